"""The one class of error that a user can cause, and the exit codes the command line gives it."""


class VidposeError(Exception):
    """Something the user can put right: one line that names the file, the value and what to do next.

    The command line prints the message without a traceback and exits with `exit_code`: 1 for a job that failed,
    2 for wrong use. Invariants of our own code are asserted instead.
    """

    exit_code = 1


class UsageError(VidposeError):
    """The command was asked for something that cannot be: an unknown name, an option out of range."""

    exit_code = 2
