"""The command line: one thin file a command, imported only when that command is called."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from typing import Any

import rich_click as click
from click.exceptions import Exit

from vidpose import __version__
from vidpose.cli.spelling import SpelledFormatter, spelled
from vidpose.cli.terminal import complain, finished, guard_streams, printable
from vidpose.common.errors import VidposeError, one_line

COMMANDS = {
    "ablate": "Train every row of a paper's table, and print them beside the paper's.",
    "angles": "Joint angles of a saved result, as a table and curves.",
    "batch": "3D skeletons from many videos, on all cores or on a cluster.",
    "data": "Prepare benchmarks, and look at them.",
    "eval": "Evaluate lifters on a benchmark, in the tables of the papers.",
    "eval-keypoints": "Evaluate 2D keypoint networks on annotated pictures or clips.",
    "export": "Write a saved result for other programs: BVH, glTF, TRC, C3D and more.",
    "infer": "3D skeletons from video.",
    "live": "3D skeletons from a camera, while it happens: on the screen, and to avatars and other programs.",
    "mesh": "Fit a skinned body to a saved result, and write it: glTF or OBJ.",
    "models": "List the lifters: paper, size, cost, and which weights are at hand.",
    "render": "Draw the overlay video of a saved result.",
    "synth": "Render people whose joints are exactly known: a video, or clips to train on.",
    "train": "Train a lifter.",
    "train-keypoints": "Train a 2D keypoint network.",
    "view": "Look at a saved result in a browser: the video, the skeletons, their angles.",
    "weights": "List, fetch, check and convert weights.",
}
"""Name -> one line for the list. A command `x-y` is the function `x_y` in `vidpose/cli/x_y.py`."""


_LISTING = "vidpose.listing"


class LazyGroup(click.RichGroup):
    """Knows its commands' names without importing them, so that `vidpose --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_help(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]
        ctx.meta[_LISTING] = True
        super().format_help(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VidposeError as error:
            if ctx.invoked_subcommand:
                error.args = (spelled(str(error), self.get_command(ctx, ctx.invoked_subcommand)),)
            raise

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        if _LISTING in ctx.meta:
            return click.RichCommand(name=name, help=COMMANDS[name])
        function = name.replace("-", "_")
        return getattr(importlib.import_module(f"vidpose.cli.{function}"), function)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vidpose")
@click.option("--debug", is_flag=True, help="Show a traceback where an error would be one line.")
def cli(debug: bool) -> None:
    """3D human motion from ordinary video."""
    handler = logging.StreamHandler()
    handler.setFormatter(SpelledFormatter("%(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[handler], force=True)
    if not debug:
        warnings.showwarning = _tell


def _tell(
    message: Warning | str, category: object, filename: str, lineno: int, file: object = None, line: str | None = None
) -> None:
    """Show what a library warns of as a warning of ours, on one line: names may be in it."""
    logging.getLogger("vidpose").warning("%s", message)


_ONLY_HELP = 2
"""What rich-click exits with when it has shown the help to somebody who gave no command."""


def main() -> None:
    """Run a command, and exit: 0 when all went well, 1 for a failed job, 2 for wrong use.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
    """
    # Idle OpenMP threads that spin slow a busy machine down many times over; read when torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    debug = "--debug" in sys.argv
    guard_streams()
    try:
        sys.exit(cli.main(prog_name="vidpose", standalone_mode=False) or finished())
    except Exit as error:
        sys.exit(error.exit_code or finished())
    except SystemExit as stopped:
        if stopped.code == _ONLY_HELP:
            complain("no command; choose one of those above")
        raise
    except click.ClickException as error:
        vars(error)["message"] = printable(error.message)
        error.show()
        sys.exit(error.exit_code)
    except VidposeError as error:
        if debug:
            raise
        complain(error)
        sys.exit(error.exit_code)
    except ImportError as error:
        if debug:
            raise
        complain(f"a library cannot be loaded ({error}); install vidpose again")
        sys.exit(1)
    except OSError as error:
        if debug:
            raise
        complain(f"{error.filename or 'a file'}: {error.strerror or one_line(error)}")
        sys.exit(1)
    except MemoryError:
        if debug:
            raise
        complain("the memory is full; give less at a time: a shorter --time range, fewer people, a smaller --set batch")
        sys.exit(1)
    except click.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        if debug:
            raise
        complain(f"unexpected {type(error).__name__} ({one_line(error)}); please report it with what --debug says")
        sys.exit(1)
