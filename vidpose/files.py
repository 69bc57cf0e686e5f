"""Writing files so that nothing half-written is ever found under its final name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidpose.errors import VidposeError


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


def describe(error: OSError) -> str:
    """An operating-system error in words a user can act on."""
    advice = {
        errno.ENOSPC: "the disk is full; free some space or choose another --out",
        errno.EACCES: "no permission; choose another --out",
        errno.EROFS: "the file system is read-only; choose another --out",
    }
    return advice.get(error.errno or 0, error.strerror or str(error))
