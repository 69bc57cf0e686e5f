"""Lifter weights: what their header says, and which weights exist.

The header of the file (`weights_file.py`) has architecture and config, joint layout, the detector and conversion they
were trained on, data, recipe, metrics, licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import short
from vidpose.lifters import HypothesisLifter, Lifter, lifter_names, restore_lifter
from vidpose.weights.downloads import file_hash
from vidpose.weights.shipped import ShippedWeights
from vidpose.weights.weights_file import fitting, read_weights, write_weights

KIND = "vidpose-lifter"
"""What the header of a lifter's weights calls them."""


ZOO: Mapping[str, ShippedWeights] = {
    name: ShippedWeights(f"{name}-cmu17.safetensors", sha256)
    for name, sha256 in {
        "single-branch": "59386eb9011ea7bd33ad3d9c8b8abe6f11af9f0fb79c7b072c3cf6919a4a12d0",
        "dual-branch": "64d092cff794d6332d2b514b637d641301f583749de494b77e674557377a9fd3",
        "lstm": "4f89fe5d036684f505417e62150ed5344b2a9fed85aff43635d037896b720344",
        "seq2seq": "182d7d9b4e7072ef92a20fa831670ced81448805224a97985d627f852dc95655",
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
    facts = {"arch": lifter.name, "config": asdict(lifter.config), "layout": lifter.layout.name}
    write_weights(lifter, path, KIND, {**facts, **about}, half=half)


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

    def draw(self, hypotheses: int | None, steps: int | None) -> None:
        """Set how many hypotheses a lifter that draws poses draws, and in how many steps; None: as its file says.

        Raises:
            UsageError: it draws none, or not so many.
        """
        if hypotheses is None and steps is None:
            return
        if not isinstance(self.lifter, HypothesisLifter):
            raise UsageError(
                f"{self.name}: {self.lifter.name} gives one answer; `hypotheses` and `draw_steps` are for d3dp"
            )
        config = self.lifter.config
        self.lifter.sampling(hypotheses or config.hypotheses, steps or config.steps)


@dataclass(frozen=True)
class ShippedLifter:
    """What the file of a shipped lifter says of it, which need not be what its paper has.

    Attributes:
        name: in `ZOO`.
        file: in `weights/`.
        parameters: how many numbers it has.
        mib: of the file.
        layout: of its joints.
        frames: T of its window.
        data: what it was trained on.
        mpjpe, p_mpjpe: millimetres on that data's validation split, by imitated keypoints through random cameras.
        licence: of the weights.
    """

    name: str
    file: str
    parameters: int
    mib: float
    layout: str
    frames: int
    data: str
    mpjpe: float | None
    p_mpjpe: float | None
    licence: str


def shipped_lifters() -> list[ShippedLifter]:
    """Of every lifter that comes with weights, what the file says.

    Raises:
        VidposeError: a file is missing or damaged.
    """
    found = []
    for name, entry in ZOO.items():
        about, tensors = read_weights(entry.checked(), KIND)
        lifter = _build(entry.path, about, tensors)
        metrics = about.get("metrics", {})
        found.append(
            ShippedLifter(
                name,
                entry.file,
                sum(parameter.numel() for parameter in lifter.parameters()),
                round(entry.path.stat().st_size / 2**20, 1),
                lifter.layout.name,
                lifter.config.frames,
                about.get("data", ""),
                metrics.get("val_mpjpe_mm"),
                metrics.get("val_p_mpjpe_mm"),
                about.get("licence", ""),
            )
        )
    return found


def load_weights(name_or_file: str | Path) -> Weights:
    """Read weights by zoo name or from a file.

    Raises:
        UsageError: neither a known name nor an existing file.
        VidposeError: the file is not what it should be: another hash than the zoo's, a pickle, foreign or wrong keys.
    """
    entry = ZOO.get(str(name_or_file))
    path = entry.checked() if entry else Path(name_or_file)
    if not path.is_file():
        known = f"shipped are {', '.join(ZOO)}"
        raise UsageError(
            f"unknown lifter {str(name_or_file)!r}: no such file, and {known}; or give a .safetensors file"
        )
    sha256 = entry.sha256 if entry else file_hash(path)
    about, tensors = read_weights(path, KIND)
    return Weights(str(name_or_file), _build(path, about, tensors), about, sha256)


def load_lifter(name_or_file: str | Path) -> Lifter:
    """A lifter with its weights, in eval mode: (B, T, 17, C) normalised keypoints to (B, T', 17, 3) metres.

    Raises:
        UsageError, VidposeError: as `load_weights`.
    """
    return load_weights(name_or_file).lifter


def _build(path: Path, about: Mapping[str, Any], tensors: Mapping[str, Any]) -> Lifter:
    arch, config = about["arch"], about.get("config", {})
    if arch not in lifter_names():
        raise VidposeError(f"{path}: of an unknown architecture {short(arch)}; known are {', '.join(lifter_names())}")
    with fitting(path, arch):
        lifter = restore_lifter(arch, config, tensors)
    if about.get("layout") != lifter.layout.name:
        raise VidposeError(
            f"{path}: joints in layout {short(about.get('layout'))}, where {arch} has {lifter.layout.name!r}"
        )
    return lifter
