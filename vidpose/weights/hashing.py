"""Whether a file is what it should be."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import open_input


def file_hash(path: Path) -> str:
    """The sha256 of a file.

    Raises:
        VidposeError: it cannot be read.
    """
    try:
        with open_input(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VidposeError(f"{path}: cannot be read ({error.strerror})") from None


def has_hash(path: Path, sha256: str) -> bool:
    """Whether there is a file with that sha256, of which the first digits do."""
    return path.is_file() and file_hash(path).startswith(sha256)
