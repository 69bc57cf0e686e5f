"""How tall a person is: by the lifted bones, and by what the user says.

A lifter has an idea of metres, which is that of the bodies it has learned from; one camera cannot know better. Who is
asked for their height can: the body, and with it its distance, is scaled by the ratio.

A body is measured by bones, not upright frames, since nobody need stand: legs, trunk and head laid end to end, each the
median over all frames. On an anatomical skeleton that chain, from ankle to crown, is 0.961 of the stature (Drillis and
Contini, "Body segment parameters", 1966, in Winter, "Biomechanics and motor control of human movement", fig. 4.1: the
ankle is at 0.039 of it). The ankles that detectors see, and lifters therefore learn, lie higher by about a tenth of the
shin: 0.94 remain.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError

Heights = float | Mapping[int, float]
"""Metres of everybody, or by the people's ids."""

_CHAIN = 0.94
"""Of the stature; the depth of CMU's validation subjects is right, on average, with 0.939."""

_SHORTEST, _TALLEST = 0.4, 2.8
"""Metres, of a newborn and of nobody yet."""


def parse_heights(text: str) -> Heights:
    """From `1.75`, for everybody, or `1:1.75,2:1.62`, by id, as the command line takes it.

    Raises:
        UsageError: it reads otherwise, or nobody is so tall.
    """
    if ":" not in text:
        return _height(text, text)
    heights: dict[int, float] = {}
    for item in text.split(","):
        person, _, height = item.partition(":")
        if not person.strip().isdecimal() or int(person) in heights:
            raise UsageError(f"`height={text}`: {item!r} is not ID:METRES with each id once; write 1:1.75,2:1.62")
        heights[int(person)] = _height(height, text)
    return heights


def _height(number: str, text: str) -> float:
    try:
        metres = float(number)
    except ValueError:
        raise UsageError(
            f"`height={text}`: {number!r} is no number; write metres, like 1.75, or 1:1.75,2:1.62"
        ) from None
    check_height(metres)
    return metres


def check_height(metres: float) -> None:
    """See that somebody can be so tall.

    Raises:
        UsageError: nobody can.
    """
    if not _SHORTEST <= metres <= _TALLEST:
        advice = f"; did you mean {metres / 100:g}?" if _SHORTEST <= metres / 100 <= _TALLEST else ""
        raise UsageError(f"`height={metres:g}`: metres from {_SHORTEST:g} to {_TALLEST:g} are wanted{advice}")


def stature(joints_NJ3: np.ndarray, layout: Skeleton) -> float:
    """How tall a person would stand, in the metres of the lifter.

    Args:
        joints_NJ3: NaN in rows without a pose.
        layout: of the joints; with pelvis, thorax, head_top, and hips, knees and ankles.

    Returns:
        Metres; NaN where no row has a pose.

    Raises:
        UsageError: the layout lacks one of the joints.
    """
    poses = joints_NJ3[np.isfinite(joints_NJ3).all(axis=(1, 2))].astype(np.float64)
    if not len(poses):
        return float("nan")

    def length(start: str, end: str) -> float:
        missing = {start, end} - set(layout.joints)
        if missing:
            raise UsageError(
                f"`height` and `ground` measure a body by joints that {layout.name} lacks ({', '.join(missing)}); "
                "lift with another `lifter`, or leave them out"
            )
        bone = poses[:, layout.index(start)] - poses[:, layout.index(end)]
        return float(np.median(np.linalg.norm(bone, axis=-1)))

    shins_and_thighs = [
        length(f"{side}_{start}", f"{side}_{end}")
        for side in ("left", "right")
        for start, end in (("hip", "knee"), ("knee", "ankle"))
    ]
    chain = sum(shins_and_thighs) / 2 + length("pelvis", "thorax") + length("thorax", "head_top")
    return chain / _CHAIN
