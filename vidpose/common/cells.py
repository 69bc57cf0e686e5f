"""Tables in text, as spreadsheets of all countries save them: commas, semicolons or tabs; points or decimal commas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from vidpose.common.inputs import read_text

_SEPARATORS = ";\t,"
"""The first of these in the first line is what separates: a comma may be a decimal one beside the others."""

_DECIMAL_COMMA = re.compile(r"([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)")


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a table: the number of the line, and its cells, without blanks around them and with decimal points.

    Lines that are empty are left out, and above the table also comments (`#`) and Excel's `sep=;`.

    Raises:
        OSError, VidposeError, ValueError: as of `read_text`; or quotes that do not end.
    """
    text = io.StringIO(read_text(path), newline=None)
    separator, above = ",", 0
    for line in text:
        if line.strip() and not line.startswith("#") and not re.match(r"sep=.\s*$", line, re.IGNORECASE):
            separator = next((mark for mark in _SEPARATORS if mark in line), ",")
            break
        above += 1
    text.seek(0)
    for _ in range(above):
        next(text)
    rows = csv.reader(text, delimiter=separator, skipinitialspace=True)
    try:
        for cells in rows:
            cells = [cell.strip() for cell in cells]
            if len(cells) > 1 or any(cells):
                yield above + rows.line_num, cells if separator == "," else [_with_point(cell) for cell in cells]
    except csv.Error as error:
        raise ValueError(f"line {above + rows.line_num}: {error}") from None


def _with_point(cell: str) -> str:
    number = _DECIMAL_COMMA.fullmatch(cell)
    return f"{number[1]}.{number[2]}" if number else cell


def number_in(cell: str, line: int, empty: float = float("nan")) -> float:
    """The number in a cell, or `empty` where nothing is.

    Raises:
        ValueError: it holds something else.
    """
    try:
        return float(cell) if cell else empty
    except ValueError:
        raise ValueError(f"line {line}: {cell[:40]!r}, where a number is due") from None
