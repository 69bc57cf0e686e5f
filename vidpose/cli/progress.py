"""How far a job has come: a bar on a terminal, a plain line now and then elsewhere. Both go to stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vidpose.cli.terminal import printable

_PLAIN_SECONDS = 10.0

_ESTIMATE_SECONDS = 300.0
"""How far back the time left is estimated from: a row of a training's metrics may take a minute."""

_PLACE = ("step", "epoch", "lr")
"""Where in a training a row of metrics stands, which the bar shows already or nobody watches."""


@contextmanager
def progress_of(label: str, unit: str = "frames") -> Iterator[Callable[[int, int | None], None]]:
    """Give a function to call with the numbers done and expected. The expectation may be None."""
    started = first = None
    with _display(label, unit, None) as show:

        def update(done: int, total: int | None) -> None:
            nonlocal started, first
            if started is None or first is None:
                # A run that goes on from what another did begins with that, and comes to it after a while.
                started, first = time.monotonic(), done
            # A container may promise fewer frames than it has.
            total = max(done, total) if total else None
            rate = (done - first) / max(time.monotonic() - started, 1e-6)
            show(done, total, f"{1 / rate:.0f} s each" if 0 < rate < 0.5 else f"{rate:.1f} {unit}/s")

        yield update


@contextmanager
def counting(label: str, unit: str = "frames") -> Iterator[Callable[[int, str], None]]:
    """Give a function to call with the number done of who knows how many, and with what else there is to say."""
    started = time.monotonic()
    with _display(label, unit) as show:

        def update(done: int, note: str) -> None:
            show(done, None, f"{done / max(time.monotonic() - started, 1e-6):.1f} {unit}/s, {note}")

        yield update


@contextmanager
def training_bar(total: int, start: int = 0) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Give a function to call with every row of a training's metrics.

    Args:
        total: steps of the whole run.
        start: steps that an interrupted run has done before.
    """
    validated: dict[str, float] = {}
    with _display("training", "steps", start) as show:

        def update(row: Mapping[str, float]) -> None:
            # Not every row has been validated; the others show what the last one gave.
            validated.update({key: value for key, value in row.items() if key.startswith("val_")})
            quantities = {key: value for key, value in {**row, **validated}.items() if key not in _PLACE}
            show(int(row["step"]), total, ", ".join(_readable(key, value) for key, value in quantities.items()))

        yield update


def _readable(key: str, value: float) -> str:
    """A metric for people: `val_mpjpe_mm` is "val mpjpe 45.1 mm"."""
    if key == "samples_per_s":
        return f"{value:.0f} samples/s" if value >= 10 else f"{value:.2g} samples/s"
    name = key.removesuffix("_mm")
    return f"{name.replace('_', ' ')} " + (f"{value:.3g}" if name == key else f"{value:.1f} mm")


class _Bar(Progress):
    """A bar, and in a line of its own what else there is to say."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for task in self.tasks:
            yield Padding(task.fields["note"], (0, 2))


@contextmanager
def _display(label: str, unit: str, start: int | None = 0) -> Iterator[Callable[[int, int | None, str], None]]:
    """Give a function to call with the numbers done and expected, and with what else there is to say."""
    label, console = printable(label), Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _plain(console, label, unit, start)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _Bar(*columns, console=console, transient=True, speed_estimate_period=_ESTIMATE_SECONDS) as bar:
        task = bar.add_task(escape(label), total=None, completed=start or 0, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def _plain(console: Console, label: str, unit: str, start: int | None) -> Callable[[int, int | None, str], None]:
    started = reported = time.monotonic()

    def show(done: int, total: int | None, note: str) -> None:
        nonlocal started, reported, start
        now = time.monotonic()
        if start is None:
            start, started = done, now
        if now - reported < _PLAIN_SECONDS:
            return
        reported = now
        line = f"{label}: {done}{f' of {total}' if total else ''} {unit}, {note}"
        if total and done > start:
            left = (total - done) * (now - started) / (done - start)
            line += f", {timedelta(seconds=round(left))} left"
        console.print(line, markup=False, soft_wrap=True)

    return show
