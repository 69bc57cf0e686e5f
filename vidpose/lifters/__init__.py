"""2D keypoints to 3D joints: one file per paper, and an entry of each lifter in `lifter_table.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidpose.lifters.lifter import (
        FrameEncoder,
        HypothesisLifter,
        Lifter,
        LifterConfig,
        create_lifter,
        lifter_class,
        lifter_names,
    )

__all__ = [
    "FrameEncoder",
    "HypothesisLifter",
    "Lifter",
    "LifterConfig",
    "create_lifter",
    "lifter_class",
    "lifter_names",
]


def __getattr__(name: str) -> Any:
    # The table of the lifters is in this package, and who reads it must not wait for torch.
    if name not in __all__:
        raise AttributeError(f"module 'vidpose.lifters' has no attribute {name!r}")
    from vidpose.lifters import lifter

    return getattr(lifter, name)
