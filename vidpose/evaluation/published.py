"""The result tables of the papers that vidpose implements, as data: `published/*.toml`, one file a paper.

A table has the columns and the rows that were printed, with

    number       of the table, and which part of it
    dataset      h36m, mpi-inf-3dhp or humaneva
    metric       of all columns, a name of `metrics.METRICS` or "mpve", a mesh's; or one for each column, "" for what is
                 no error measure
    input        2D that was lifted, unless a row says otherwise: gt, a detector's name, or "detected" where the paper
                 does not name it; "image" where nothing was lifted
    study        whether it compares settings of one method (an ablation), not methods
    rows         method as printed, venue, input, frames (T), own (the paper's method), note, values; nan for a gap
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vidpose.common.errors import UsageError

_FOLDER = Path(__file__).parent / "published"

AVERAGE = "Average"
"""The column of the average, and of a measure that has one figure only."""

ACTION_HEADINGS: Mapping[str, str] = {
    "Directions": "Dir.", "Discussion": "Disc.", "Eating": "Eat", "Greeting": "Greet", "Phoning": "Phone",
    "Photo": "Photo", "Posing": "Pose", "Purchases": "Purch.", "Sitting": "Sit", "SittingDown": "SitD.",
    "Smoking": "Smoke", "Waiting": "Wait", "WalkDog": "WalkD.", "Walking": "Walk", "WalkTogether": "WalkT.",
}  # fmt: skip
"""Human3.6M's actions, and the papers' headings."""

_SPELLINGS = {heading: action for action, heading in ACTION_HEADINGS.items()} | {
    "Direct.": "Directions", "Discuss": "Discussion", "Eating": "Eating", "Pur.": "Purchases", "Sitting": "Sitting",
    "SitingD": "SittingDown", "Somke": "Smoking", "WalkD": "WalkDog", "WalkT": "WalkTogether",
    "Avg": AVERAGE, "Avg.": AVERAGE,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A line of a paper's table, for one measure.

    Attributes:
        paper: that printed it: its method's name and its venue.
        table: its number.
        dataset, metric, input: see the module.
        method: as printed; "Ours" for the paper's own.
        name: the same without its references, and with the paper's method for "Ours".
        frames: T; None where the table does not say.
        own: whether it is the paper's own method.
        values: by action of Human3.6M, by action and subject of HumanEva ("Walk S1"), and `AVERAGE`; in the
            measure's unit, gaps left out.
        note: what is odd about the figures.
    """

    paper: str
    table: str
    dataset: str
    metric: str
    input: str
    method: str
    name: str
    frames: int | None
    own: bool
    values: Mapping[str, float]
    note: str


@dataclass(frozen=True)
class PublishedTable:
    """A table as printed.

    Attributes:
        file: it stands in, without its suffix.
        paper, number, dataset, study: see the module and `Row`.
        columns: as printed.
        metrics: of each column; "" for what is no error measure.
        lines: (method as printed, value of each column; NaN for a gap).
        rows: of the measures.
    """

    file: str
    paper: str
    number: str
    dataset: str
    study: bool
    columns: tuple[str, ...]
    metrics: tuple[str, ...]
    lines: tuple[tuple[str, tuple[float, ...]], ...]
    rows: tuple[Row, ...]


def published(dataset: str, metric: str, input_name: str | None = None) -> list[Row]:
    """What the papers report for methods on a benchmark, in the order of the files; studies are left out.

    Args:
        input_name: None for all, "gt", a detector's name, or "detected" for those of any detector.

    Raises:
        UsageError: no paper reports that measure on that benchmark.
    """
    rows = [
        row
        for table in published_tables()
        if not table.study
        for row in table.rows
        if (row.dataset, row.metric) == (dataset, metric)
    ]
    if not rows:
        known = sorted({f"{row.metric} on {row.dataset}" for table in published_tables() for row in table.rows})
        raise UsageError(f"no paper reports {metric!r} on {dataset!r}; there are {', '.join(known)}")
    if input_name == "detected":
        return [row for row in rows if row.input not in ("gt", "image")]
    return [row for row in rows if input_name in (None, row.input)]


def published_line(file: str, number: str, method: str, frames: int | None = None) -> dict[str, Row]:
    """What one line of one paper's table reports, by metric.

    Args:
        file: of the paper, without its suffix.
        number: of the table.
        method: as printed.
        frames: T, where lines differ by it alone.

    Raises:
        UsageError: there is no such line, or there are several.
    """
    tables = [table for table in published_tables() if (table.file, table.number) == (file, number)]
    rows = [row for table in tables for row in table.rows if row.method == method and frames in (None, row.frames)]
    by_metric = {row.metric: row for row in rows}
    if not rows or len(by_metric) < len(rows):
        there = ", ".join(dict.fromkeys(row.method for table in tables for row in table.rows)) or "no such table"
        raise UsageError(f"{file}, Table {number}: {len(rows)} figures of {method!r}, where one is due; it has {there}")
    return by_metric


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """All tables of all papers, ablations too."""
    return tuple(table for path in sorted(_FOLDER.glob("*.toml")) for table in _read(path))


def _read(path: Path) -> Iterator[PublishedTable]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    paper = content["paper"]
    for table in content["table"]:
        columns = tuple(table["columns"])
        metric = table["metric"]
        metrics = (metric,) * len(columns) if isinstance(metric, str) else tuple(metric)
        rows = []
        for line in table["rows"]:
            for name in dict.fromkeys(filter(None, metrics)):
                values = {
                    _SPELLINGS.get(column, _humaneva(column)) if isinstance(metric, str) else AVERAGE: value
                    for column, of, value in zip(columns, metrics, line["values"], strict=True)
                    if of == name and not math.isnan(value)
                }
                if values:
                    rows.append(_row(paper, table, line, name, values))
        yield PublishedTable(
            path.stem,
            f"{paper['method']}, {paper['venue']}",
            table["number"],
            table["dataset"],
            table.get("study", False),
            columns,
            metrics,
            tuple((line["method"], tuple(line["values"])) for line in table["rows"]),
            tuple(rows),
        )


def _row(paper: Mapping, table: Mapping, line: Mapping, metric: str, values: Mapping[str, float]) -> Row:
    frames = line.get("frames", table.get("frames"))
    return Row(
        paper=f"{paper['method']}, {paper['venue']}",
        table=table["number"],
        dataset=table["dataset"],
        metric=metric,
        input=line.get("input", table["input"]),
        method=line["method"],
        name=_name(line["method"], paper["method"], frames),
        frames=frames,
        own=line.get("own", False),
        values=values,
        note=line.get("note", ""),
    )


def _name(method: str, own_method: str, frames: int | None) -> str:
    """A method's name away from its paper: no references and daggers, "Ours" replaced, T told."""
    name = re.sub(r"\[\d+\]|\(†\)|\(\*\)|\*|\(MA\)", " ", method)
    name = re.sub(r"^(Ours|Our network)\b", own_method, name)
    name = re.sub(r"\s+", " ", name.replace("(", " (")).replace("( ", "(").strip()
    return name if frames is None or "T=" in name or "frames" in name else f"{name} (T={frames})"


def _humaneva(column: str) -> str:
    """Its actions by one name: "Walking S1" is "Walk S1" elsewhere."""
    return re.sub(r"^(Walk|Jog)(g?ing)(?= S\d)", r"\1", column)
