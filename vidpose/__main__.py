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


def _come_again(unraisable: UnraisableHookArgs) -> None:
    """Bring Ctrl-C back, a moment later, where it came while nothing can be raised, as in a destructor."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    later = threading.Timer(0.01, _thread.interrupt_main)
    later.daemon = True
    later.start()


def main() -> None:
    """Run the program as `vidpose.cli.main` does; 130 at Ctrl-C, at whatever moment, the imports' too."""
    sys.unraisablehook = _come_again
    try:
        from vidpose.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("interrupted", file=sys.stderr, flush=True)
        if sys.stdout:
            sys.stdout.flush()
        # What was unfinished is cleared away by now. Libraries whose threads are still at work, or still loading, can
        # abort or hang where the interpreter takes them down.
        os._exit(130)


if __name__ == "__main__":
    main()
