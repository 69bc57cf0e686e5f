"""What every lifter is, and the registry that the weights' files and the shared tests read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from vidpose.errors import UsageError
from vidpose.skeletons import H36M_17, Skeleton


@dataclass(frozen=True)
class LifterConfig:
    """What every lifter's frozen `Config` begins with.

    Attributes:
        frames: length T of the window the lifter was built and trained for.
        channels: C of its input: 2 for (x, y), 3 for (x, y, score).
        normalisation: name of the 2D normalisation it expects (`NORMALISATIONS` in `normalisation.py`).
    """

    frames: int = 81
    channels: int = 3
    normalisation: str = "person"


class Lifter(nn.Module):
    """2D keypoints in, 3D joints out: (B, T, J, C) -> (B, T', J, 3) root-relative metres in the camera frame.

    T' is T for a sequence lifter and 1 for a centre-frame one. A subclass names its `Config`, and takes one.
    """

    Config: ClassVar[type[LifterConfig]] = LifterConfig
    layout: ClassVar[Skeleton] = H36M_17
    name: ClassVar[str]

    def __init__(self, config: LifterConfig):
        super().__init__()
        self.config = config

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


_REGISTRY: dict[str, type[Lifter]] = {}


def register(name: str) -> Callable[[type[Lifter]], type[Lifter]]:
    """Make a lifter known by `name` everywhere."""

    def add(lifter: type[Lifter]) -> type[Lifter]:
        assert name not in _REGISTRY, name
        lifter.name = name
        _REGISTRY[name] = lifter
        return lifter

    return add


def lifter_names() -> list[str]:
    """Names of all registered lifters, sorted."""
    return sorted(_REGISTRY)


def create_lifter(name: str, **config: Any) -> Lifter:
    """A lifter with fresh weights.

    Args:
        name: a registered name.
        config: fields of its `Config` that shall differ from the default.

    Raises:
        UsageError: no lifter has that name, or its config no such field.
    """
    if name not in _REGISTRY:
        raise UsageError(f"unknown lifter {name!r}; known are {', '.join(lifter_names())}")
    lifter = _REGISTRY[name]
    unknown = set(config) - set(asdict(lifter.Config()))
    if unknown:
        raise UsageError(f"lifter {name!r} has no setting {', '.join(sorted(unknown))}")
    return lifter(lifter.Config(**config))
