"""Files from outside: each is opened, bounded and parsed here, and what is wrong with it becomes one line.

A reader checks all of a file before anything is made of it. `convert` checks what JSON and TOML hold against types, and
`Checked` names the number that is not what it should be.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from vidpose.common.errors import VidposeError, one_line

T = TypeVar("T")

Pixels = Annotated[int, msgspec.Meta(ge=1, le=32768)]
"""A side of a picture."""

_MAX_TEXT = 1 << 30
"""Bytes of a file that is read as a whole, where its kind says nothing less."""


@contextmanager
def reading(path: Path, what: str, advice: str = "", *, kind: type[VidposeError] = VidposeError) -> Iterator[None]:
    """Around reading a file: whatever a parser says of it becomes a VidposeError.

    Args:
        what: it should be, with its article: "a vidpose result".
        advice: what to do where it is not; "" leaves that out.
        kind: of the error, where the file is part of the command's words.

    Raises:
        VidposeError: the file cannot be read, or is not what it should be.
    """
    try:
        yield
    except (VidposeError, NameError, AssertionError, ImportError):  # of our own code
        raise
    except FileNotFoundError:
        raise kind(f"{path}: no such file") from None
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror or one_line(error)})") from error
    except Exception as error:  # what parsers raise at a damaged file has no common base
        raise kind(f"{path}: not {what} ({_reason(error)}){'; ' * bool(advice)}{advice}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, MemoryError):
        return "more than fits into memory"
    if isinstance(error, KeyError) and error.args:
        return f"no {one_line(error)}"
    return one_line(error)


def open_input(path: Path) -> BufferedReader:
    """A file, opened to read its bytes; raises as `check_file`, and OSError."""
    check_file(path)
    return path.open("rb")


def check_file(path: Path) -> None:
    """See that there is a file, before a library opens it that would wait for a pipe.

    Raises:
        OSError: there is none.
        VidposeError: it is a folder, or a pipe or a device, which may never end.
    """
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind):
        found = "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"
        raise VidposeError(f"{path}: {found}, where a file is due")


def read_bytes(path: Path, limit: int = _MAX_TEXT) -> bytes:
    """All of a file.

    Raises:
        OSError, VidposeError: as of `open_input`.
        ValueError: it has more bytes than `limit`.
    """
    with open_input(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"more than {limit:,} bytes")
    return content


def read_text(path: Path, limit: int = _MAX_TEXT) -> str:
    """All of a file in UTF-8, or in UTF-16 with the byte order mark that Windows writes; raises as `read_bytes`."""
    content = read_bytes(path, limit)
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8, from byte {error.start} on") from None


def strict_json(text: str | bytes, *, nan: bool = False) -> Any:
    """What JSON says, as its standard has it.

    Args:
        nan: NaN and Infinity may be in it, which the standard does not have, and Python writes.

    Raises:
        ValueError, RecursionError: it is damaged, or holds numbers that JSON does not have: NaN, Infinity, 1e999.
    """
    if not text.strip():
        raise ValueError("it is empty")
    return json.loads(text, parse_constant=float if nan else _no_number, parse_float=_finite)


def read_json(path: Path, limit: int = _MAX_TEXT, *, nan: bool = False) -> Any:
    """What a JSON file says; args and raises as `read_bytes` and `strict_json`."""
    return strict_json(read_bytes(path, limit), nan=nan)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says; raises as `read_bytes`, and ValueError where it is no TOML."""
    return tomllib.loads(read_text(path))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name}, which is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number


def convert(values: Any, kind: type[T]) -> T:
    """What JSON or TOML said, as `kind`: a dataclass, a `msgspec.Struct` or any type made of such.

    Raises:
        ValueError: a key is missing, or a value impossible; says which.
    """
    try:
        return msgspec.convert(values, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise ValueError(_words(str(error), values)) from None


def _words(problem: str, values: Any) -> str:
    """What msgspec says, with the value that is wrong: "ids[0] is 'a', where a whole number is due"."""
    problem, _, place = problem.partition(" - at `$")
    place = place.strip("`").removeprefix(".")
    lacking = re.fullmatch(r"Object missing required field `(.*)`", problem, re.DOTALL)
    if lacking:
        return f"{place + '.' if place else ''}{lacking[1]} is missing"
    # In a mapping, msgspec does not say which key.
    place = place.partition("[...]")[0]
    for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", place.replace("[", ".[")):
        values = values[int(index)] if index else values[key]
    given = f"{place} is {short(values)}".removeprefix(" is ")
    expected = re.fullmatch(r"Expected `([^`]+)`(?: ([<>]=?) ([0-9.e+-]+))?(?:, got `[^`]+`)?", problem)
    if not expected:
        return f"{given}: {problem[:1].lower()}{problem[1:]}"
    kinds, comparison, limit = expected.groups()
    if comparison:
        return f"{given}; it must be {_COMPARISONS[comparison]} {limit.removesuffix('.0')}"
    return f"{given}, where {' or '.join(_KINDS.get(kind, kind) for kind in kinds.split(' | '))} is due"


_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""What people call the types of JSON and TOML."""

_COMPARISONS = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}


def short(value: Any) -> str:
    """A value from outside, for a message: on one line, and not without end."""
    try:
        text = ascii(value) if isinstance(value, str) else " ".join(repr(value).split())
    except (ValueError, RecursionError):  # a number of more digits than Python prints; a list in a list in a list ...
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}..."
