"""Ctrl-C where it would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is done: in the middle of C++ code that calls Python back, it would abort."""
    if threading.current_thread() is not threading.main_thread():  # which alone is ever interrupted
        yield
        return
    caught = []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
        if caught:
            signal.raise_signal(signal.SIGINT)
