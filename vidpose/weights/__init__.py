"""Files of weights: our format, what comes with vidpose, what others publish, checkpoints that nobody trusts."""
