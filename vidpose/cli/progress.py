"""How far a job has come: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN_SECONDS = 10.0


@contextmanager
def progress_of(label: str, unit: str = "frames") -> Iterator[Callable[[int, int | None], None]]:
    """Give a function to call with the numbers done and expected; it goes to stderr. The expectation may be None."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(label, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} {task.fields[unit]}/s"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(escape(label), total=None, rate=0.0, unit=unit)

        def update(done: int, total: int | None) -> None:
            # A container may promise fewer frames than it has.
            total = max(done, total) if total else None
            bar.update(task, completed=done, total=total, rate=done / max(time.monotonic() - started, 1e-6))

        yield update


def _plain(label: str, unit: str) -> Callable[[int, int | None], None]:
    started = reported = time.monotonic()

    def update(done: int, total: int | None) -> None:
        nonlocal reported
        now = time.monotonic()
        if now - reported < _PLAIN_SECONDS:
            return
        reported = now
        rate = done / (now - started)
        left = f" of {total}, {max(0, total - done) / rate:.0f} s left" if total else ""
        Console(stderr=True, highlight=False).print(f"{label}: {done} {unit}{left}, {rate:.1f} a second", markup=False)

    return update
