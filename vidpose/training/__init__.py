"""Training of lifters and of 2D networks: recipes, augmentation, losses, schedules, the loops."""
