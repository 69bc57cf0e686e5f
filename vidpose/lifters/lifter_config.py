"""What a lifter's settings say of how it is run, whatever runs its network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from vidpose.common.settings import Count

Predicts = Literal["sequence", "centre", "last"]
"""Which frames of a window a lifter's answer is used for."""

PRECISIONS = ("float32", "bfloat16")
"""Of matrix products."""

PER_FRAME = frozenset({"screen"})
"""Normalisations that treat each frame on its own, so that a frame is the same in every window."""

PLACELESS = frozenset({"person"})
"""Those that forget where in the picture the person stands. A lifter cannot know then how the ray to the person lies to
the camera's axes: it answers in the frame of that ray, whose z axis goes through the root joint."""


@dataclass(frozen=True)
class LifterConfig:
    """What every lifter's frozen `Config` begins with.

    Attributes:
        frames: length T of the window the lifter was built and trained for.
        channels: C of its input: 2 for (x, y), 3 for (x, y, score).
        normalisation: name of the 2D normalisation it expects (`NORMALISATIONS` in `normalisation.py`).
        frame_stride: the window takes every how many-th frame of the video.
        fps: frames a second that it was trained on, to which a video's keypoints are brought; 0: any.
        units: of its output: "metres", or "image" where x and y are in the units of the normalised input.
        layout: name of the joint layout of its output, and of its input where `input_layout` does not say otherwise.
        input_layout: name of the joint layout of its input; "": the same.
        doubt: width of the network that says how sure the lifter is (`Doubt`); 0: it does not say. No paper's has one.
    """

    frames: Count = 81
    channels: Count = 3
    normalisation: str = "person"
    frame_stride: Count = 1
    fps: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    units: Literal["metres", "image"] = "metres"
    layout: str = "h36m17"
    input_layout: str = ""
    doubt: Annotated[int, Meta(ge=0, le=16384)] = 0

    @property
    def in_ray_frame(self) -> bool:
        """Whether it answers in the frame of the ray to the root, since it is not told where the person stands."""
        return self.normalisation in PLACELESS
