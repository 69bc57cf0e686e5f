"""`python -m vidpose` is the same program as `vidpose`."""

from vidpose.cli import main

main()
