"""The file format of weights: safetensors with one JSON entry, `vidpose`, in the header. Nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta, Struct
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from vidpose import __version__
from vidpose.common.errors import UsageError, VidposeError, one_line
from vidpose.common.files import replacing
from vidpose.common.inputs import convert, open_input, reading, short, strict_json

FORMAT_VERSION = 1

_HALF_TOLERANCE = 1e-3
"""What rounding to float16 may change in a parameter, relative to its largest number."""


def write_weights(network: nn.Module, path: Path, kind: str, about: Mapping[str, Any], *, half: bool = False) -> None:
    """Write the weights of a network, and what its header shall say.

    Args:
        kind: what it is: "vidpose-lifter", say.
        half: parameters in float16, except those that it cannot hold. Buffers, which are statistics, stay as they are.

    Raises:
        VidposeError: the file cannot be written.
    """
    header = {"format": kind, "format_version": FORMAT_VERSION, "vidpose": __version__, **about}
    tensors = {key: tensor.cpu().contiguous() for key, tensor in network.state_dict().items()}
    if half:
        tensors |= {key: _halved(tensors[key]) for key, _ in network.named_parameters()}
    with replacing(path) as partial:
        # Not by save_file, which makes files that only their owner may read.
        partial.write_bytes(save(tensors, metadata={"vidpose": json.dumps(header)}))


def _halved(parameter: torch.Tensor) -> torch.Tensor:
    """In float16, unless numbers would overflow or all be next to nothing there."""
    rounded = parameter.half()
    # An overflow makes the error infinite.
    error = (rounded.float() - parameter).abs().max()
    return rounded if error <= _HALF_TOLERANCE * parameter.abs().max() else parameter


def read_header(path: Path) -> dict[str, Any]:
    """What a file of ours says of itself; `format` is its kind.

    Raises:
        VidposeError: it is not safetensors, not from vidpose, or of a newer one.
    """
    with reading(path, "a file of weights"), open_input(path) as file:
        start = file.read(2)
    if start in (b"PK", b"\x80\x02", b"\x80\x04"):
        raise VidposeError(f"{path}: a pickled checkpoint, which could run code; only .safetensors weights are read")
    with _opened(path) as file:
        written = (file.metadata() or {}).get("vidpose", "")
    if not written:
        raise VidposeError(f"{path}: no vidpose header; these are not weights that vidpose wrote")
    with reading(path, "weights that vidpose wrote", "its header is damaged"):
        about = strict_json(written)
        facts = convert(about, _WeightsHeader)
    if facts.format_version > FORMAT_VERSION:
        raise VidposeError(f"{path}: written by a newer vidpose ({short(facts.vidpose)}); upgrade vidpose")
    return about


class _WeightsHeader(Struct):
    """What every header has; what is besides, its kind knows."""

    format: str
    format_version: Annotated[int, Meta(ge=1)]
    arch: str
    config: dict[str, Any] = {}
    vidpose: str = "unknown"


def read_weights(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The header and the tensors of a file.

    Raises:
        VidposeError: as of `read_header`, or it is of another kind.
    """
    about = read_header(path)
    if about.get("format") != kind:
        raise VidposeError(f"{path}: its header is not of a {kind.replace('-', ' ')}")
    with _opened(path) as file:
        return about, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with reading(path, "a safetensors file"), safe_open(path, framework="pt") as file:
        yield file


def read_weights_of(path: Path, kind: str, arch: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The header and the tensors of a file of weights of that architecture.

    Raises:
        VidposeError: as of `read_weights`, or it is of another architecture.
    """
    about, tensors = read_weights(path, kind)
    theirs = about.get("arch")
    if theirs != arch:
        raise VidposeError(f"{path}: weights of {theirs}, not of {arch}; give `keypoints={theirs}`")
    return about, tensors


@contextmanager
def fitting(path: Path, arch: str) -> Iterator[None]:
    """Around making a network from a file's header and tensors: what does not fit becomes a VidposeError."""
    try:
        yield
    except (UsageError, ValueError) as error:
        raise VidposeError(f"{path}: the weights do not fit {arch} ({one_line(error)})") from None
