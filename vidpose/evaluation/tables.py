"""Tables of results: one model, shown in a terminal or written as Markdown, CSV, LaTeX or JSON.

Under every table stand the protocol, what it leaves out, the input and the number of frames of each run. Rows that the
papers report are marked so, and say where they were printed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from vidpose.common.errors import UsageError
from vidpose.common.files import replacing
from vidpose.evaluation.metrics import METRICS
from vidpose.evaluation.published import ACTION_HEADINGS, AVERAGE, Row

_GAP = "-"

_LABEL_WIDTH = 40
"""Characters of a label in a terminal, before it is wrapped."""


@dataclass(frozen=True)
class Line:
    """A row of figures.

    Attributes:
        label: the method, or what the row is about.
        values: of each column; None for a gap.
        reported: the paper and the table it is from; "" for what was measured here.
    """

    label: str
    values: tuple[float | None, ...]
    reported: str = ""


@dataclass(frozen=True)
class Table:
    """A table, however it is shown.

    Attributes:
        title: what is measured, and its unit.
        heading: of the labels.
        columns: of the values.
        lines: in order.
        notes: sentences that stand under it.
    """

    title: str
    heading: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Where reported lines are from, each once: the references [1], [2], ... of the printed forms."""
        return tuple(dict.fromkeys(line.reported for line in self.lines if line.reported))


def action_table(runs: Mapping[str, Mapping[str, Any]], metric: str, reported: Sequence[Row] = ()) -> Table:
    """One measure by action, a row a method: the papers' main table.

    Args:
        runs: summaries of `Results` by the name of the method, all of one data set.
        metric: a name of `METRICS`.
        reported: what to put under them.

    Raises:
        UsageError: a run does not have the measure.
    """
    actions = list(dict.fromkeys(row["action"] for run in runs.values() for row in run["actions"]))
    lines = []
    for name, run in runs.items():
        _check(name, run, metric)
        values = {row["action"]: row[metric] for row in run["actions"]}
        lines.append(Line(name, (*map(values.get, actions), run["averages"][0][metric])))
    lines += [Line(row.name, tuple(map(row.values.get, (*actions, AVERAGE))), _source(row)) for row in reported]
    notes = [_frames_note(name, run, metric) for name, run in runs.items()]
    return Table(
        f"{METRICS[metric].name} ({METRICS[metric].unit}) on {_datasets(runs)}",
        "Method",
        (*(ACTION_HEADINGS.get(action, action) for action in actions), "Avg."),
        tuple(lines),
        (*_run_notes(runs), *notes, *_reported_notes(reported)),
    )


def measure_table(runs: Mapping[str, Mapping[str, Any]], metrics: Sequence[str], reported: Sequence[Row] = ()) -> Table:
    """The averages of several measures, a row a method: the papers' table of MPI-INF-3DHP.

    Args:
        runs: summaries of `Results` by the name of the method, all of one data set.
        metrics: names of `METRICS`.
        reported: what to put under them; rows of one line of a paper's table become one line again.

    Raises:
        UsageError: a run does not have a measure.
    """
    lines = []
    for name, run in runs.items():
        for metric in metrics:
            _check(name, run, metric)
        lines.append(Line(name, tuple(run["averages"][0][metric] for metric in metrics)))
    printed: dict[tuple[str, str], dict[str, float | None]] = {}
    for row in reported:
        printed.setdefault((row.name, _source(row)), {})[row.metric] = row.values.get(AVERAGE)
    lines += [Line(name, tuple(map(values.get, metrics)), source) for (name, source), values in printed.items()]
    return Table(
        f"Averages on {_datasets(runs)}",
        "Method",
        tuple(_heading(metric) for metric in metrics),
        tuple(lines),
        (*_run_notes(runs), *_reported_notes(reported)),
    )


def breakdown_table(name: str, run: Mapping[str, Any], by: str) -> Table:
    """All measures of one run, a row for each action, subject, recording or joint, with averages and variance.

    Args:
        name: of the method.
        run: a summary of `Results`.
        by: "actions", "subjects", "sequences", "subject_actions" or "joints".

    Raises:
        UsageError: there is no such breakdown.
    """
    keys = {
        "actions": ("action",), "subjects": ("subject",), "sequences": ("subject", "action", "sequence"),
        "subject_actions": ("subject", "action"), "joints": ("joint",),
    }  # fmt: skip
    if by not in keys:
        raise UsageError(f"no table by {by!r}; there are {', '.join(keys)}")
    metrics = list(run["units"])
    lines = [
        Line(" ".join(filter(None, (row[key] for key in keys[by]))), _values(row, ("frames", *metrics)))
        for row in run[by]
    ]
    lines += [Line(average["label"], _values(average, ("frames", *metrics))) for average in run["averages"]]
    if by in run["variance"]:
        lines.append(Line("variance, in the units squared", (None, *_values(run["variance"][by], metrics))))
    return Table(
        f"{name} on {run['dataset']} by {by.replace('_', ' and ')}",
        by.replace("_", " and ").capitalize(),
        ("Frames", *map(_heading, metrics)),
        tuple(lines),
        tuple(_run_notes({name: run})),
    )


def print_table(table: Table, console: Any) -> None:
    """Show a table; one that is wider than the terminal is shown in parts, so that no figure is cut.

    Args:
        console: a `rich.console.Console`.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    cells = list(_cells(table))
    texts = _texts(table)
    console.print(Text(table.title, style="bold"))
    for columns in _blocks(cells, texts, console.width):
        shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for i in columns:
            justify: Literal["left", "right"] = "left" if i < texts else "right"
            width = None if i else _LABEL_WIDTH
            shown.add_column(Text(cells[0][i]), justify=justify, no_wrap=i > 0, max_width=width, overflow="fold")
        for row, line in zip(cells[1:], table.lines, strict=True):
            shown.add_row(*(Text(row[i]) for i in columns), style="dim" if line.reported else None)
        console.print(shown)
    for note in _footnotes(table):
        console.print(Text(note))


def to_markdown(table: Table) -> str:
    """A GitHub-flavoured Markdown table."""
    head, *rows = ([cell.replace("|", r"\|") for cell in cells] for cells in _cells(table))
    texts = _texts(table)
    rule = ["---"] * texts + ["---:"] * (len(head) - texts)
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]
    return "\n".join([f"**{table.title}**", "", *lines, "", *(f"- {note}" for note in _footnotes(table))]) + "\n"


def to_latex(table: Table) -> str:
    """A `table` environment; needs the package booktabs."""
    head, *rows = (" & ".join(map(_latex, cells)) + r" \\" for cells in _cells(table))
    texts = _texts(table)
    body = []
    for i, row in enumerate(rows):
        if i and bool(table.lines[i].reported) != bool(table.lines[i - 1].reported):
            body.append(r"\midrule")
        body.append(row)
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\caption{{{_latex(table.title)}}}",
        rf"\begin{{tabular}}{{{'l' * texts}{'r' * len(table.columns)}}}",
        r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", "",
        *(rf"{{\footnotesize {_latex(note)}\par}}" for note in _footnotes(table)), r"\end{table}", "",
    ])  # fmt: skip


def to_csv(table: Table) -> str:
    """Comma-separated values in full precision; the title and the notes are lines that begin with #."""
    text = io.StringIO()
    text.writelines(f"# {line}\n" for line in (table.title, *table.notes))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([table.heading, "Reported", *table.columns])
    for line in table.lines:
        writer.writerow([line.label, line.reported, *("" if value is None else value for value in line.values)])
    return text.getvalue()


def to_json(table: Table) -> str:
    """The title, the notes, and each line with its values by column."""
    lines = [
        {
            "label": line.label,
            "reported": line.reported or None,
            "values": dict(zip(table.columns, line.values, strict=True)),
        }
        for line in table.lines
    ]
    content = {"title": table.title, "lines": lines, "notes": table.notes}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Table], str]] = {
    ".md": to_markdown,
    ".csv": to_csv,
    ".tex": to_latex,
    ".json": to_json,
}


def write_table(table: Table, path: Path) -> None:
    """Write a table in the format that the file's suffix names.

    Raises:
        UsageError: there is no such format.
        VidposeError: the file cannot be written.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: no format for tables has that suffix; there are {', '.join(FORMATS)}")
    with replacing(path) as partial:
        partial.write_text(FORMATS[path.suffix](table), encoding="utf-8")


def _texts(table: Table) -> int:
    """Columns of text that come first."""
    return 2 if table.sources else 1


def _cells(table: Table) -> Iterable[list[str]]:
    """The printed form: headings, then lines, with a column for the source where some line is reported."""
    yield [table.heading, *(["Source"] if table.sources else []), *table.columns]
    for line in table.lines:
        source = f"reported [{table.sources.index(line.reported) + 1}]" if line.reported else "here"
        values = (_number(value) for value in line.values)
        yield [line.label, *([source] if table.sources else []), *values]


def _blocks(cells: Sequence[Sequence[str]], texts: int, width: int) -> Iterable[list[int]]:
    """Columns that fit beside each other in a terminal: those of text in every block, and some of the others."""
    widths = [max(map(len, column)) + 2 for column in zip(*cells, strict=True)]
    widths[0] = min(widths[0], _LABEL_WIDTH + 2)
    block = list(range(texts))
    for i in range(texts, len(widths)):
        if len(block) > texts and sum(widths[k] for k in (*block, i)) > width:
            yield block
            block = list(range(texts))
        block.append(i)
    yield block


def _footnotes(table: Table) -> list[str]:
    return [*(f"[{i}] {source}" for i, source in enumerate(table.sources, 1)), *table.notes]


def _number(value: float | None) -> str:
    if value is None:
        return _GAP
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}"


def _latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "²": "$^2$"}
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)


def _heading(metric: str) -> str:
    return f"{METRICS[metric].name} ({METRICS[metric].unit})"


def _values(row: Mapping[str, Any], keys: Iterable[str]) -> tuple[Any, ...]:
    return tuple(row[key] for key in keys)


def _source(row: Row) -> str:
    return f"{row.paper}, Table {row.table}"


def _datasets(runs: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(run["dataset"] for run in runs.values()))


def _check(name: str, run: Mapping[str, Any], metric: str) -> None:
    if metric not in run["units"]:
        raise UsageError(
            f"{name}: protocol {run['protocol']['name']!r} has no {metric!r}; it has {', '.join(run['units'])}"
        )


def _run_notes(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What each run's figures mean; runs of one meaning share a note."""
    names_of: dict[str, list[str]] = {}
    for name, run in runs.items():
        protocol = run["protocol"]
        excluded = ", ".join(" ".join(filter(None, pair)) for pair in protocol["excluded"]) or "nothing"
        note = (
            f"input {run['input']}; protocol {protocol['name']}, {protocol['split']} set: "
            f"{protocol['description']}; left out: {excluded}; {run['frames']:,} frames in {run['clips']:,} clips; "
            f"average: {run['averages'][0]['label']}"
        )
        lacking = run.get("lacking", "")
        if lacking and not lacking.startswith(excluded):
            note += f"; NOT IN THE DATA: {lacking}"
        if run["missing_actions"]:
            note += f"; NO FRAMES of {', '.join(run['missing_actions'])}, so the average is not the protocol's"
        names_of.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}" for note, names in names_of.items()]


def _frames_note(name: str, run: Mapping[str, Any], metric: str) -> str:
    over_frames, variance = run["averages"][-1][metric], run["variance"]["actions"][metric]
    return f"{name}: {run['averages'][-1]['label']} {_number(over_frames)}, variance over actions {_number(variance)}"


def _reported_notes(reported: Sequence[Row]) -> list[str]:
    if not reported:
        return []
    odd = dict.fromkeys(f"{row.name}, {_source(row)}: {row.note}" for row in reported if row.note)
    return ["Reported rows are as the papers print them; their protocols and inputs may differ.", *odd]
