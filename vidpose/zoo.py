"""Lifter weights: the file format, and which weights exist.

Weights are safetensors with one JSON entry, `vidpose`, in the header: architecture and config, joint layout, the
detector and conversion they were trained on, data, recipe, metrics, licence. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from vidpose import __version__
from vidpose.errors import UsageError, VidposeError, one_line
from vidpose.files import replacing
from vidpose.lifters import Lifter, create_lifter, lifter_names
from vidpose.shipped import shipped

FORMAT_VERSION = 1

_HALF_TOLERANCE = 1e-3
"""What rounding to float16 may change in a parameter, relative to its largest number."""


@dataclass(frozen=True)
class ZooEntry:
    """Weights that come with vidpose: the file's name in `weights/`, and its sha256."""

    file: str
    sha256: str


ZOO: Mapping[str, ZooEntry] = {
    name: ZooEntry(f"{name}-cmu17.safetensors", sha256)
    for name, sha256 in {
        "single-branch": "59386eb9011ea7bd33ad3d9c8b8abe6f11af9f0fb79c7b072c3cf6919a4a12d0",
        "dual-branch": "64d092cff794d6332d2b514b637d641301f583749de494b77e674557377a9fd3",
        "lstm": "4f89fe5d036684f505417e62150ed5344b2a9fed85aff43635d037896b720344",
        "seq2seq": "182d7d9b4e7072ef92a20fa831670ced81448805224a97985d627f852dc95655",
        "mixste": "b03f80052e68641b4cd175a5a60b92d3b2b0ec999feca98694f2bed9fe1dd5a9",
        "ssr-stf-small": "394c3230dda47a14b284ab454c42f9889be0e22a83c33cb85fc9113110e0ea7e",
        "videopose3d": "0bf4b06a75d6f2a035c2ba67134a936953533eb3ec31f42aab291bae5ea481bd",
        "martinez": "54bd86509095a9b6043ab5cb583dcd878f58942389d30ae5496b5538e4f8bd7e",
    }.items()
}
"""Lifters by the name the command line takes."""

DEFAULT = "single-branch"


def save_lifter(lifter: Lifter, path: Path, about: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a lifter's weights and everything needed to build it again.

    Args:
        about: what the weights were trained on and how well they do, for the header.
        half: parameters in float16, except those that it cannot hold. Buffers, which are statistics, stay as they are.

    Raises:
        VidposeError: the file cannot be written.
    """
    header = {
        "format": "vidpose-lifter",
        "format_version": FORMAT_VERSION,
        "arch": lifter.name,
        "config": asdict(lifter.config),
        "layout": lifter.layout.name,
        "vidpose": __version__,
        **about,
    }
    tensors = {key: tensor.cpu().contiguous() for key, tensor in lifter.state_dict().items()}
    if half:
        tensors |= {key: _halved(tensors[key]) for key, _ in lifter.named_parameters()}
    with replacing(path) as partial:
        # Not by save_file, which makes files that only their owner may read.
        partial.write_bytes(save(tensors, metadata={"vidpose": json.dumps(header)}))


def _halved(parameter: torch.Tensor) -> torch.Tensor:
    """In float16, unless numbers would overflow or all be next to nothing there."""
    rounded = parameter.half()
    # An overflow makes the error infinite.
    error = (rounded.float() - parameter).abs().max()
    return rounded if error <= _HALF_TOLERANCE * parameter.abs().max() else parameter


@dataclass(frozen=True)
class Weights:
    """A lifter ready to use, and what its file says of it.

    Attributes:
        name: as the user asked for it: a zoo name or a path.
        lifter: in eval mode, on the CPU.
        about: the header.
        sha256: of the file.
    """

    name: str
    lifter: Lifter
    about: Mapping[str, Any]
    sha256: str


def load_weights(name_or_file: str | Path) -> Weights:
    """Read weights by zoo name or from a file.

    Raises:
        UsageError: neither a known name nor an existing file.
        VidposeError: the file is not what it should be: another hash than the zoo's, a pickle, foreign or wrong keys.
    """
    entry = ZOO.get(str(name_or_file))
    path = shipped("weights") / entry.file if entry else Path(name_or_file)
    if not path.is_file():
        if entry:
            raise VidposeError(f"{path}: the shipped weights are missing; install vidpose again")
        known = f"shipped are {', '.join(ZOO)}"
        raise UsageError(
            f"unknown lifter {str(name_or_file)!r}: no such file, and {known}; or give a .safetensors file"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VidposeError(f"{path}: cannot read ({error.strerror})") from None
    sha256 = hashlib.sha256(content).hexdigest()
    if entry and sha256 != entry.sha256:
        raise VidposeError(f"{path}: damaged (sha256 {sha256[:8]}, expected {entry.sha256[:8]}); install vidpose again")
    if content[:2] in (b"PK", b"\x80\x02", b"\x80\x04"):
        raise VidposeError(f"{path}: a pickled checkpoint, which could run code; only .safetensors weights are read")
    about, tensors = _read(path)
    return Weights(str(name_or_file), _build(path, about, tensors), about, sha256)


def load_lifter(name_or_file: str | Path) -> Lifter:
    """A lifter with its weights, in eval mode: (B, T, 17, C) normalised keypoints to (B, T', 17, 3) metres.

    Raises:
        UsageError, VidposeError: as `load_weights`.
    """
    return load_weights(name_or_file).lifter


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["vidpose"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise VidposeError(f"{path}: not a safetensors file ({error})") from None
    except (KeyError, ValueError):
        raise VidposeError(f"{path}: no vidpose header; these are not weights that vidpose wrote") from None
    if not isinstance(about, dict) or about.get("format") != "vidpose-lifter":
        raise VidposeError(f"{path}: its header is not of a vidpose lifter")
    if about.get("format_version", 0) > FORMAT_VERSION:
        raise VidposeError(f"{path}: written by a newer vidpose ({about.get('vidpose')}); upgrade vidpose")
    return about, tensors


def _build(path: Path, about: Mapping[str, Any], tensors: Mapping[str, Any]) -> Lifter:
    arch, config = about.get("arch"), about.get("config")
    if arch not in lifter_names() or not isinstance(config, dict):
        raise VidposeError(f"{path}: of an unknown architecture {arch!r}; known are {', '.join(lifter_names())}")
    try:
        lifter = create_lifter(arch, **config)
        lifter.load_state_dict(tensors)
    except (UsageError, TypeError, ValueError, RuntimeError) as error:
        raise VidposeError(f"{path}: the weights do not fit {arch} ({one_line(error)})") from None
    if about.get("layout") != lifter.layout.name:
        raise VidposeError(f"{path}: joints in layout {about.get('layout')!r}, where {arch} has {lifter.layout.name!r}")
    return lifter.eval()
