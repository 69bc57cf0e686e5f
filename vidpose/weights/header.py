"""What a file of weights says of itself, read without torch and without the weights."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from safetensors import safe_open

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import check_file, convert, open_input, reading, short, strict_json

FORMAT_VERSION = 1

_STATISTICS = ("_mean", "_std", "_var", "num_batches_tracked")
"""How the names of statistics end: of batch normalisation, and of standardised input and output."""


def read_header(path: Path) -> dict[str, Any]:
    """What a file of ours says of itself; `format` is its kind.

    Raises:
        VidposeError: it is not safetensors, not from vidpose, or of a newer one.
    """
    with reading(path, "a file of weights"), open_input(path) as file:
        start = file.read(2)
    if start == b"PK" and _is_npz(path):
        raise VidposeError(f"{path}: arrays, as results of ours are, no weights; only .safetensors weights are read")
    if start in (b"PK", b"\x80\x02", b"\x80\x04"):
        raise VidposeError(f"{path}: a pickled checkpoint, which could run code; only .safetensors weights are read")
    with opened(path, "np") as file:
        written = (file.metadata() or {}).get("vidpose", "")
    if not written:
        raise VidposeError(f"{path}: no vidpose header; these are not weights that vidpose wrote")
    with reading(path, "weights that vidpose wrote", "its header is damaged"):
        about = strict_json(written)
        facts = convert(about, _WeightsHeader)
    if facts.format_version > FORMAT_VERSION:
        raise VidposeError(f"{path}: written by a newer vidpose ({short(facts.vidpose)}); upgrade vidpose")
    return about


def _is_npz(path: Path) -> bool:
    """Whether a file is what NumPy writes; torch's have pickles, and what is damaged may have them."""
    try:
        with zipfile.ZipFile(path) as file:
            return all(name.endswith(".npy") for name in file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


class _WeightsHeader(Struct):
    """What every header has; what is besides, its kind knows."""

    format: str
    format_version: Annotated[int, Meta(ge=1)]
    arch: str
    config: dict[str, Any] = {}
    vidpose: str = "unknown"


def count_parameters(path: Path) -> int:
    """How many parameters a file holds: all numbers but the statistics that a network keeps beside them.

    Raises:
        VidposeError: it is not safetensors.
    """
    with opened(path, "np") as file:
        learned = [key for key in file.keys() if not key.endswith(_STATISTICS)]  # noqa: SIM118 (not a mapping)
        return sum(prod(file.get_slice(key).get_shape()) for key in learned)


@contextmanager
def opened(path: Path, framework: Literal["np", "pt"]) -> Iterator[Any]:
    """A safetensors file, open; raises VidposeError where it is none."""
    with reading(path, "a safetensors file"):
        check_file(path)
        with safe_open(path, framework=framework) as file:
            yield file
