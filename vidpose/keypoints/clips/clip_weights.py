"""Weights of clip networks: the header of their file (`weights_file.py`) has architecture, config, data, recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidpose.keypoints.clips.clip_finder import ClipFinder
from vidpose.keypoints.clips.clip_network import CLIP_CLASSES, ClipNetwork
from vidpose.weights.catalogue import Opening
from vidpose.weights.weights_file import read_network, write_weights


def save_clip_network(network: ClipNetwork, path: Path, about: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a network's weights and everything needed to build it again.

    Args:
        about: what the weights were trained on and how well they do, for the header.
        half: parameters in float16, except those that it cannot hold.

    Raises:
        VidposeError: the file cannot be written.
    """
    facts = {"arch": network.name, "config": asdict(network.config)}
    write_weights(network, path, CLIP_CLASSES.format, {**facts, **about}, half=half)


def read_clip_network(path: Path, arch: str) -> tuple[ClipNetwork, Mapping[str, Any]]:
    """A network of that architecture in eval mode on the CPU, and the file's header.

    Raises:
        VidposeError: the file is not what it should be, or of another architecture.
    """
    return read_network(path, CLIP_CLASSES, arch=arch)


def open_clip_network(opening: Opening) -> ClipFinder:
    """A clip network with its weights. Raises VidposeError as `read_clip_network`."""
    network, _ = read_clip_network(opening.file, opening.entry.name)
    return ClipFinder(network, device=opening.device)
