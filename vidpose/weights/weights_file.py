"""The file format of weights: safetensors with one JSON entry, `vidpose`, in the header. Nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from vidpose import __version__
from vidpose.common.errors import UsageError, VidposeError, one_line
from vidpose.common.files import replacing, to_json
from vidpose.common.registry import Registry
from vidpose.weights.header import FORMAT_VERSION, opened, read_header

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
        partial.write_bytes(save(tensors, metadata={"vidpose": to_json(header)}))


def _halved(parameter: torch.Tensor) -> torch.Tensor:
    """In float16, unless numbers would overflow or all be next to nothing there."""
    rounded = parameter.half()
    # An overflow makes the error infinite.
    error = (rounded.float() - parameter).abs().max()
    return rounded if error <= _HALF_TOLERANCE * parameter.abs().max() else parameter


def read_weights(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The header and the tensors of a file.

    Raises:
        VidposeError: as of `read_header`, or it is of another kind.
    """
    about = read_header(path)
    _check_kind(path, about, [kind])
    return about, _tensors(path)


def read_network(path: Path, *registries: Registry[Any], arch: str = "") -> tuple[Any, dict[str, Any]]:
    """The network that a file of ours holds, in eval mode on the CPU, and the file's header.

    Args:
        registries: of the networks that will do; the header says which of them knows it.
        arch: its name; "": any will do.

    Raises:
        VidposeError: the file is not what it should be, or of a network that will not do.
    """
    about = read_header(path)
    kinds = {registry.format: registry for registry in registries}
    _check_kind(path, about, list(kinds))
    theirs = about["arch"]
    if arch and theirs != arch:
        raise VidposeError(f"{path}: weights of {theirs}, not of {arch}; give `keypoints={theirs}`")
    with fitting(path, theirs):
        network = kinds[about["format"]].restore(theirs, about.get("config", {}), _tensors(path))
    return network, about


def _check_kind(path: Path, about: Mapping[str, Any], due: Sequence[str]) -> None:
    if about.get("format") not in due:
        raise VidposeError(f"{path}: its header is of a {about.get('format')}, where a {' or '.join(due)} is due")


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    with opened(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)


@contextmanager
def fitting(path: Path, arch: str) -> Iterator[None]:
    """Around making a network from a file's header and tensors: what does not fit becomes a VidposeError."""
    try:
        yield
    except (UsageError, ValueError) as error:
        raise VidposeError(f"{path}: the weights do not fit {arch} ({one_line(error)})") from None
