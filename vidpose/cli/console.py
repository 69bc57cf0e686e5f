"""Where tables are printed."""

from __future__ import annotations

import sys

from rich.console import Console


def table_console() -> Console:
    """The terminal, or a page of 120 columns where there is none: a pipe has no width, nor what is closed."""
    return Console(width=None if sys.stdout and sys.stdout.isatty() else 120)
