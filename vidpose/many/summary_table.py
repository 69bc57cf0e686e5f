"""What became of the videos of a batch, as a table for a spreadsheet and as a page."""

from __future__ import annotations

import csv
import html
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from vidpose.body import colours
from vidpose.common.files import replacing
from vidpose.many.records import Record

_TEMPLATE = Path(__file__).with_name("summary.html")
_COLUMNS = ("video", "name", "people", "frames", "video_seconds", "seconds", "cpu_seconds", "warnings", "failure")


def write_summary(out: Path, records: Sequence[Record]) -> None:
    """Write `summary.csv` and `summary.html`; raises VidposeError where they cannot be."""
    table, page = summary_files(out)
    # A file's name need not be text, and then has signs in Python that no encoding has.
    escaped = "backslashreplace"
    with replacing(table) as partial, partial.open("w", encoding="utf-8", errors=escaped, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(_cells(record) for record in records)
    with replacing(page) as partial:
        partial.write_text(_page(out, records), encoding="utf-8", errors=escaped)


def summary_files(out: Path) -> tuple[Path, Path]:
    """The table and the page."""
    return out / "summary.csv", out / "summary.html"


def totals(records: Sequence[Record]) -> str:
    """How many were done, in one line."""
    done = [record for record in records if record.failure is None]
    people = sum(record.people for record in done)
    length, cpu = (sum(getattr(record, name) for record in done) for name in ("video_seconds", "cpu_seconds"))
    failed = f", {len(records) - len(done)} not" if len(done) < len(records) else ""
    rate = f", {cpu / length:.2f} s of a processor for each second" if length else ""
    who = "1 person" if people == 1 else f"{people} people"
    return f"{len(done)} of {len(records)} videos done{failed}: {who} in {_clock(length)} of video{rate}"


def _cells(record: Record) -> list[object]:
    seconds = [round(getattr(record, name), 3) for name in ("video_seconds", "seconds", "cpu_seconds")]
    about = [record.people, record.frames, *seconds]
    return [record.video, record.name, *about, "; ".join(record.warnings), record.failure or ""]


def _clock(seconds: float) -> str:
    """0:01:02 for 62.3."""
    return str(timedelta(seconds=round(seconds)))


def _page(out: Path, records: Sequence[Record]) -> str:
    style = "".join(f"--{name}: rgb{colour};" for name, colour in _COLOURS.items())
    # What went wrong is what somebody looks for.
    rows = "\n".join(_row(out, record) for record in sorted(records, key=lambda record: record.failure is None))
    title = html.escape(out.resolve().name)
    template = _TEMPLATE.read_text(encoding="utf-8")
    return template.format(style=style, title=title, totals=html.escape(totals(records)), rows=rows)


def _row(out: Path, record: Record) -> str:
    cells = ["", "", "", ""]
    if record.failure is None:
        length, took = _clock(record.video_seconds), _clock(record.seconds)
        cells = [str(record.people), str(record.frames), length, took]
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    notes = [f'<div class="wrong">{html.escape(record.failure)}</div>'] if record.failure else []
    notes += [f"<div>{html.escape(warning)}</div>" for warning in record.warnings]
    return f"<tr><td>{_link(out, record)}</td>{numbers}<td>{''.join(notes)}</td></tr>"


def _link(out: Path, record: Record) -> str:
    """The video's name, with its overlay or result behind it."""
    name = html.escape(record.video)
    for suffix in ("_overlay.mp4", ".npz"):
        if (out / record.name / f"{record.name}{suffix}").exists():
            return f'<a href="{quote(os.fsencode(f"{record.name}/{record.name}{suffix}"))}">{name}</a>'
    return name


_COLOURS = {
    "background": colours.BACKGROUND,
    "text": colours.TEXT,
    "quiet": colours.QUIET_TEXT,
    "line": colours.FLOOR,
    "link": colours.LEFT,
    "wrong": colours.RIGHT,
}
