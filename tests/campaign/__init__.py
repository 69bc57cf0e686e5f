"""A campaign of damaged inputs and odd options: `python -m campaign` in `tests/`, or `make fuzz`."""
