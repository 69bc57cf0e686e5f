"""The one class of error that a user can cause, the exit codes the command line gives it, and what its
messages are made of.
"""

import difflib
from collections.abc import Iterable


class VidposeError(Exception):
    """Something the user can put right: one line that names the file, the value and what to do next.

    The command line prints the message without a traceback and exits with `exit_code`: 1 for a job that failed,
    2 for wrong use. Invariants of our own code are asserted instead.
    """

    exit_code = 1


class UsageError(VidposeError):
    """The command was asked for something that cannot be: an unknown name, an option out of range."""

    exit_code = 2


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """For an error about an unknown name: "did you mean X? ", or nothing where none of the known ones is near."""
    wanted, lowered = name.lower(), {full.lower(): full for full in known}
    near = [full for full in lowered if wanted and wanted in full] or difflib.get_close_matches(wanted, lowered, n=1)
    return f"did you mean {lowered[near[0]]}? " if near else ""


def one_line(error: BaseException) -> str:
    """What a library said, on one line and not without end, for a message of our own."""
    return " ".join(str(error).split())[:200] or type(error).__name__
