"""What a run tells of itself: `metrics.jsonl`, TensorBoard where it is installed, and `curves.png`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from vidpose.common.errors import VidposeError
from vidpose.common.files import describe, replacing, to_json
from vidpose.evaluation.figures import figure_file

_STYLES = (("#0072B2", "-"), ("#D55E00", "-"), ("#D55E00", "--"))
"""Colours and styles of lines, in order."""


@dataclass(frozen=True)
class Chart:
    """What is drawn of a run.

    Attributes:
        quantity: what the axis is called.
        curves: labels of up to three lines, by the name in a row of metrics.
    """

    quantity: str
    curves: Mapping[str, str]


MPJPE = Chart(
    "MPJPE (mm)",
    {"mpjpe_mm": "training", "val_mpjpe_mm": "validation", "val_p_mpjpe_mm": "validation, P-MPJPE"},
)


class Logs:
    """The metrics of a run, a row now and then; use it in a `with` statement.

    Rows that a killed run wrote after its last checkpoint are dropped, so that it leaves the file of one that was not.

    Args:
        out: folder of the run.
        recipe_name: for the title of the curves.
        total: steps of the whole run.
        resume_from: steps that are done; 0 begins a new file.
        chart: what the curves are of.

    Raises:
        VidposeError: the folder cannot be written.
    """

    def __init__(self, out: Path, recipe_name: str, total: int, resume_from: int = 0, chart: Chart = MPJPE):
        self.out, self.recipe_name, self.total, self.chart = out, recipe_name, total, chart
        self.path = out / "metrics.jsonl"
        kept = [row for row in _read(self.path) if row["step"] <= resume_from] if resume_from else []
        with replacing(self.path) as partial:
            partial.write_text("".join(to_json(row) + "\n" for row in kept))
        self._board = _tensorboard(out, resume_from)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._board:
            self._board.close()

    def write(self, row: Mapping[str, float]) -> None:
        """Add a row of metrics: `step`, `epoch`, `lr`, and whatever was measured, by name.

        Raises:
            VidposeError: the file cannot be written.
        """
        try:
            with self.path.open("a") as file:
                file.write(to_json(row) + "\n")
        except OSError as error:
            raise VidposeError(f"{self.path}: cannot write ({describe(error)})") from error
        if self._board:
            for key, value in row.items():
                self._board.add_scalar(key, value, row["step"])
            self._board.flush()

    def draw(self) -> Path:
        """Draw the learning rate and the chart of the rows so far, as Fig. 2 of the LSTM and Transformer hybrids.

        Raises:
            VidposeError: the picture cannot be written.
        """
        path, rows = self.out / "curves.png", _read(self.path)
        with figure_file(path, 9, 3.6) as figure:
            rates, errors = figure.subplots(1, 2)
            rates.plot([row["epoch"] for row in rows], [row["lr"] for row in rows], color="black", linewidth=1.8)
            rates.set_ylabel("learning rate")
            rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
            for (key, label), (colour, style) in zip(self.chart.curves.items(), _STYLES, strict=False):
                points = [(row["epoch"], row[key]) for row in rows if key in row]
                if points:
                    errors.plot(*zip(*points, strict=True), style, marker=".", color=colour, linewidth=1.8, label=label)
                    errors.legend()
            errors.set_ylabel(self.chart.quantity)
            for axes in (rates, errors):
                axes.set_xlabel("epoch")
                axes.set_ylim(bottom=0)
                if rows:
                    axes.set_xlim(0, self.total * rows[-1]["epoch"] / rows[-1]["step"])
                axes.grid()
            figure.suptitle(self.recipe_name)
        return path


def _read(path: Path) -> list[dict[str, Any]]:
    """The whole rows of a file of metrics: the last one may have been cut off."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _tensorboard(out: Path, resume_from: int) -> Any:
    """A writer that hides what an earlier run wrote after `resume_from` steps, or None without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "tensorboard"), purge_step=resume_from + 1)
