"""Weights of native keypoint networks that vidpose trained, and what their header says.

The header of the file (`weights_file.py`) has architecture and config with the joint layout, the processing before and
after the network, data, recipe, metrics, licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import convert
from vidpose.keypoints.keypoint_network import KEYPOINT_CLASSES, KeypointNetwork, Processing, load_network
from vidpose.keypoints.poses import InBoxes
from vidpose.keypoints.top_down import TopDown
from vidpose.weights.catalogue import Opening
from vidpose.weights.untrusted import read_checkpoint
from vidpose.weights.weights_file import fitting, read_network, write_weights


@dataclass(frozen=True)
class Trained:
    """A network with its weights, in eval mode on the CPU, and what belongs to them; `about` is empty for others'."""

    network: KeypointNetwork
    processing: Processing
    about: Mapping[str, Any]


def save_network(
    network: KeypointNetwork, processing: Processing, path: Path, about: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write a network's weights and everything needed to use it again.

    Args:
        about: what the weights were trained on and how well they do, for the header.
        half: parameters in float16, except those that it cannot hold.

    Raises:
        VidposeError: the file cannot be written.
    """
    facts = {"arch": network.name, "config": asdict(network.config), "processing": asdict(processing)}
    write_weights(network, path, KEYPOINT_CLASSES.format, {**facts, **about}, half=half)


def open_top_down(opening: Opening, **changes: Any) -> InBoxes:
    """A network of ours, from a file of ours or from a public checkpoint in its layout.

    Args:
        changes: what the processing of its public weights has otherwise than the network's.

    Raises:
        VidposeError: see `open_trained`.
    """
    trained = open_trained(opening.file, opening.entry.arch or opening.entry.name)
    processing = trained.processing if trained.about else replace(trained.processing, **changes)
    device = opening.device
    return InBoxes(TopDown(trained.network, processing, device=device, half=device.startswith("cuda")))


def open_trained(path: Path, arch: str) -> Trained:
    """A network of that architecture from a file of ours, or from a public checkpoint in its layout.

    Raises:
        VidposeError: the file is not what it should be, or of another architecture.
    """
    if path.suffix == ".safetensors":
        return read_trained(path, arch)
    tensors = read_checkpoint(path)
    try:
        network = load_network(arch, tensors)
    except VidposeError as error:
        raise VidposeError(f"{path}: {error}") from None
    return Trained(network, network.processing, {})


def read_trained(path: Path, arch: str) -> Trained:
    """A network of that architecture from a file of ours.

    Raises:
        VidposeError: the file is not what it should be, or of another architecture.
    """
    network, about = read_network(path, KEYPOINT_CLASSES, arch=arch)
    with fitting(path, arch):
        processing = convert(about.get("processing"), Processing)
    return Trained(network, processing, about)
