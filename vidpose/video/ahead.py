"""Working one step ahead: an iterator's next items are made in a thread while this one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_DEPTH = 2
"""Items that wait, at most: decoded frames are large."""


@dataclass(frozen=True)
class _Ended:
    """Stands behind the last item, with what was raised there."""

    error: BaseException | None = None


class Ahead(Generic[T]):
    """Iterates over `items` in a thread of its own; what they raise is raised here, in its place.

    `close` ends the thread, and may be called at any time; nothing else may use `items` before.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._queue: queue.Queue[T | _Ended] = queue.Queue(_DEPTH)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(items,), daemon=True)
        self._thread.start()

    def _work(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                self._queue.put(item)
                if self._closed.is_set():
                    return
            self._queue.put(_Ended())
        except BaseException as error:
            self._queue.put(_Ended(error))

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Stop after the item that is being made, and wait for that."""
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.01)
            except queue.Empty:
                continue
