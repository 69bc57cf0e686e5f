"""Memory that is free, and is kept by the process all the same."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back() -> None:
    """Give the system what the C library keeps of freed memory, in case it is wanted again: between two stages.

    What lies between live arrays stays with the process otherwise, some hundred MiB after an hour of video. Only glibc
    has to be asked; elsewhere nothing happens.
    """
    # Windows has no library of that name, and macOS and musl no such function.
    with suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
