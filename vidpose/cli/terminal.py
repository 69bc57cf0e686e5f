"""What the program says: nothing that a name holds reaches the terminal raw, and no output that fails ends a job."""

from __future__ import annotations

import contextlib
import errno
import sys
import unicodedata
from typing import Any, TextIO

import click

_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the order of what follows around, on the rest of the line."""


def printable(text: str) -> str:
    r"""Text for a terminal, on one line.

    >>> printable("a\x1b[31m.mp4\n")
    'a\\x1b[31m.mp4\\n'
    """
    return "".join(
        ascii(sign)[1:-1] if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in _BIDI else sign
        for sign in text
    )


def say(text: str, err: bool = False) -> None:
    """Print a line that may have names in it; to stderr if `err`."""
    click.echo(printable(text), err=err)


_HEAD, _TAIL = 1500, 500
"""Characters of an error that are shown: a file may have a name in it that does not end."""


def complain(problem: object) -> None:
    """Say on stderr, in one line, what went wrong."""
    text = printable(str(problem))
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} ... {text[-_TAIL:]}"
    print(f"error: {text}", file=sys.stderr, flush=True)


class PatientStream:
    """A stream that does not raise: what cannot be written is dropped, and remembered.

    A job of hours shall not end because its last line, which tells of it, has nowhere to go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        if self.failure is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self.failure = error
        return len(text)

    def flush(self) -> None:
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.failure = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Make stdout and stderr patient, and able to say every name, whatever the locale."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, PatientStream):
            continue
        with contextlib.suppress(AttributeError, ValueError):  # of a stream that a test put there
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, PatientStream(stream))


def finished() -> int:
    """The exit code of a job that went well: 1 where its output had nowhere to go, which is said."""
    if sys.stdout is None:
        return 0
    sys.stdout.flush()
    failure = getattr(sys.stdout, "failure", None)
    if failure is None:
        return 0
    if failure.errno != errno.EPIPE:
        complain(f"standard output cannot be written ({failure.strerror}); the files that were to be written are there")
    return 1
