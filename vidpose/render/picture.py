"""2D skeletons over the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.body.colours import (
    BACKGROUND,
    OUTLINE,
    Colour,
    bones_of,
    face_joints,
    joint_colours,
    main_joints,
    mix,
)
from vidpose.body.skeletons import Skeleton
from vidpose.render.drawing import chip, dot, stroke

_HIDDEN_BELOW = 0.2
_FAINT_BELOW = 0.5

_OUTLINED_ABOVE = 0.5
"""The weight of a bone; a face would be all outline."""


@dataclass(frozen=True)
class Label:
    """A person's number, and the colour it stands in."""

    number: int
    colour: Colour


def draw_person(
    image: np.ndarray, skeleton: Skeleton, points: np.ndarray, scores: np.ndarray, label: Label, unit: float
) -> None:
    """Draw one person's keypoints and label, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        skeleton: the layout of the keypoints.
        points: (K, 2) pixels of this image; NaN where absent.
        scores: (K,) confidences; low ones are drawn faint, lower ones not at all.
        label: above their head.
        unit: pixels that stand for one in a picture 720 pixels high.
    """
    visible = _visible(points, scores)
    if not visible.any():
        return
    extent = _extent(points[visible])
    # A small person takes thin lines, or limbs run together.
    width = float(np.clip(0.011 * extent, 1.5 * unit, 4.5 * unit))
    solid = visible & (scores >= _FAINT_BELOW)
    _draw_bones(image, skeleton, points, visible, solid, width)
    _draw_joints(image, skeleton, points, solid, width)
    label_person(image, skeleton, points, scores, label, unit)


def label_person(
    image: np.ndarray, skeleton: Skeleton, points: np.ndarray, scores: np.ndarray, label: Label, unit: float
) -> None:
    """Write a person's number above their head, in place; arguments as of `draw_person`."""
    visible = _visible(points, scores)
    if not visible.any():
        return
    face = [joint for joint in face_joints(skeleton) if visible[joint]]
    head = points[face].mean(axis=0) if face else points[visible][points[visible][:, 1].argmin()]
    height = max(8.0, 12 * unit)
    above = head[1] - 0.09 * _extent(points[visible]) - 1.6 * height
    chip(image, (head[0], max(above, 1.5 * height)), str(label.number), label.colour, height)


def _visible(points: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.isfinite(points).all(axis=1) & (scores >= _HIDDEN_BELOW)


def _extent(points: np.ndarray) -> float:
    return float(np.hypot(*np.ptp(points, axis=0)))


def draw_box(image: np.ndarray, box: np.ndarray, colour: Colour, unit: float) -> None:
    """Mark the corners of a box, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: (4,) x0 y0 x1 y1 pixels of this image; NaN draws nothing.
    """
    if not np.isfinite(box).all():
        return
    x0, y0, x1, y1 = box.tolist()
    arm = 0.12 * min(x1 - x0, y1 - y0)
    for x, y, right, down in ((x0, y0, arm, arm), (x1, y0, -arm, arm), (x0, y1, arm, -arm), (x1, y1, -arm, -arm)):
        stroke(image, (x, y), (x + right, y), colour, 2 * unit)
        stroke(image, (x, y), (x, y + down), colour, 2 * unit)


def _draw_bones(
    image: np.ndarray, skeleton: Skeleton, points: np.ndarray, visible: np.ndarray, solid: np.ndarray, width: float
) -> None:
    bones = [bone for bone in bones_of(skeleton) if visible[bone.start] and visible[bone.end]]
    is_solid = [solid[bone.start] and solid[bone.end] for bone in bones]
    places = points.tolist()
    # All outlines first, or the outline of one bone would cut the end of another.
    for bone, outlined in zip(bones, is_solid, strict=True):
        if outlined and bone.weight > _OUTLINED_ABOVE:
            outline = bone.weight * width + max(1.5, 0.5 * bone.weight * width)
            stroke(image, places[bone.start], places[bone.end], OUTLINE, outline)
    for bone, bright in zip(bones, is_solid, strict=True):
        colour = bone.colour if bright else mix(bone.colour, BACKGROUND, 0.45)
        stroke(image, places[bone.start], places[bone.end], colour, bone.weight * width * (1 if bright else 0.5))


def _draw_joints(image: np.ndarray, skeleton: Skeleton, points: np.ndarray, solid: np.ndarray, width: float) -> None:
    colours, places = joint_colours(skeleton), points.tolist()
    for joint in main_joints(skeleton):
        if solid[joint]:
            dot(image, places[joint], OUTLINE, 0.9 * width + 1)
            dot(image, places[joint], mix(colours[joint], (255, 255, 255), 0.6), 0.75 * width)
