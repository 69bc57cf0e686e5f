"""The program: `vidpose`, or `python -m vidpose`."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType


def _come_again(unraisable: UnraisableHookArgs) -> None:
    """Bring Ctrl-C back, a moment later, where it came while nothing can be raised, as in a destructor."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    later = threading.Timer(0.01, _thread.interrupt_main)
    later.daemon = True
    later.start()


def _hear_termination() -> list[int]:
    """Have SIGTERM, as queues of clusters and `kill` send it, do what Ctrl-C does; gives a list that it is put into."""
    own, heard = os.getpid(), list[int]()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != own:  # one that was forked, which its parent ends so
            os._exit(128 + number)
        heard.append(number)
        at_ctrl_c = signal.getsignal(signal.SIGINT)
        # A shell in the background has Ctrl-C ignored, but not this.
        (at_ctrl_c if callable(at_ctrl_c) else signal.default_int_handler)(number, frame)

    signal.signal(signal.SIGTERM, end)
    return heard


def main() -> None:
    """Run the program as `vidpose.cli.main` does; 130 at Ctrl-C, whenever it comes, imports too; 143 at SIGTERM."""
    sys.unraisablehook = _come_again
    heard = _hear_termination()
    try:
        from vidpose.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        print("terminated" if heard else "interrupted", file=sys.stderr, flush=True)
        if sys.stdout:
            sys.stdout.flush()
        # What was unfinished is cleared away by now. Libraries whose threads are still at work, or still loading, can
        # abort or hang where the interpreter takes them down.
        os._exit(128 + (heard or [signal.SIGINT])[0])


if __name__ == "__main__":
    main()
