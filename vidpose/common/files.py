"""Writing files so that nothing half-written is ever found under its final name."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vidpose.common.errors import VidposeError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, and rename it into place when the block ends well.

    The partial file keeps the suffix of its target, for writers that choose a format by it. It is removed when the
    block raises, Ctrl-C included.

    Raises:
        VidposeError: the file cannot be written there; says why.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise VidposeError(f"{path}: cannot write ({describe(error)})") from error
    finally:
        partial.unlink(missing_ok=True)


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays to a compressed `.npz`.

    Raises:
        VidposeError: the file cannot be written there; says why.
    """
    with replacing(path) as partial:
        # In memory first: a zip file that is broken off in the middle of a write cannot even be closed quietly.
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        partial.write_bytes(packed.getbuffer())


def check_free(paths: Iterable[Path]) -> None:
    """See that no file would be replaced.

    Raises:
        VidposeError: one of the files exists.
    """
    for path in paths:
        if path.exists():
            raise VidposeError(f"{path}: exists already; give `overwrite`, or another `out`")


def make_folder(folder: Path) -> None:
    """Make a folder to write to, with those above it, unless it is there.

    Raises:
        VidposeError: it cannot be made, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VidposeError(f"{folder}: cannot be made ({describe(error)})") from None
    if not os.access(folder, os.W_OK):
        raise VidposeError(f"{folder}: no permission to write there; choose another `out`")


def describe(error: OSError) -> str:
    """An operating-system error in words a user can act on."""
    advice = {
        errno.ENOSPC: "the disk is full; free some space or choose another `out`",
        errno.EACCES: "no permission; choose another `out`",
        errno.EROFS: "the file system is read-only; choose another `out`",
    }
    return advice.get(error.errno or 0, error.strerror or str(error))
