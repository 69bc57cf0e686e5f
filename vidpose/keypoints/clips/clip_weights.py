"""Weights of clip networks: the header of their file (`weights_file.py`) has architecture, config, data, recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidpose.keypoints.clips.clip_network import ClipNetwork, restore_clip_network
from vidpose.weights.weights_file import fitting, read_weights_of, write_weights

KIND = "vidpose-clip-network"


def save_clip_network(network: ClipNetwork, path: Path, about: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a network's weights and everything needed to build it again.

    Args:
        about: what the weights were trained on and how well they do, for the header.
        half: parameters in float16, except those that it cannot hold.

    Raises:
        VidposeError: the file cannot be written.
    """
    write_weights(network, path, KIND, {"arch": network.name, "config": asdict(network.config), **about}, half=half)


def read_clip_network(path: Path, arch: str) -> tuple[ClipNetwork, Mapping[str, Any]]:
    """A network of that architecture in eval mode on the CPU, and the file's header.

    Raises:
        VidposeError: the file is not what it should be, or of another architecture.
    """
    about, tensors = read_weights_of(path, KIND, arch)
    with fitting(path, arch):
        network = restore_clip_network(arch, about.get("config", {}), tensors)
    return network, about
