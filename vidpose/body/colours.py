"""Colours (RGB) and which of them a joint or a bone takes: one look for the picture and the 3D panel.

Right is orange and left is blue, the pair that every kind of colour-blindness tells apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from vidpose.body.skeletons import Skeleton
from vidpose.body.tracks import Track

Colour = tuple[int, int, int]

LEFT: Colour = (64, 160, 255)
RIGHT: Colour = (255, 132, 48)
CENTRE: Colour = (228, 232, 238)

GUESS: Colour = (98, 106, 118)
"""Of a limb that nobody saw."""

BACKGROUND: Colour = (19, 22, 28)
FLOOR: Colour = (66, 73, 86)
SHADOW: Colour = (11, 13, 17)
OUTLINE: Colour = (14, 16, 20)
TEXT: Colour = (222, 226, 232)
QUIET_TEXT: Colour = (124, 132, 144)

_ID_COLOURS: tuple[Colour, ...] = (
    (245, 205, 92),
    (214, 140, 224),
    (120, 220, 200),
    (240, 150, 160),
    (180, 200, 110),
    (166, 160, 250),
)

_FACE = {"nose", "eye", "ear", "mouth"}
_HANDS_AND_FEET = {"pinky", "index", "thumb", "heel", "foot", "toe"}


@dataclass(frozen=True)
class BoneColour:
    """Two joints, by index, and how to draw what connects them.

    `weight` is the width of the stroke relative to a limb's: hands and feet are drawn finer, a face finer still.
    """

    start: int
    end: int
    colour: Colour
    weight: float


def id_colour(track_id: int) -> Colour:
    """The colour of a person's label; the first six people have different ones."""
    return _ID_COLOURS[(track_id - 1) % len(_ID_COLOURS)]


def id_colours(tracks: Iterable[Track]) -> dict[int, Colour]:
    """The colours of people's labels, by id: `id_colour`, unless somebody who is there at the same time has it.

    More people at once than there are colours share them.
    """
    last_frames = dict.fromkeys(_ID_COLOURS, -1)
    colours: dict[int, Colour] = {}
    for track in sorted(tracks, key=lambda track: int(track.frames[0])):
        colour = id_colour(track.id)
        if last_frames[colour] >= track.frames[0]:
            colour = min(last_frames, key=last_frames.__getitem__)
        last_frames[colour] = max(last_frames[colour], int(track.frames[-1]))
        colours[track.id] = colour
    return colours


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """A colour with a share, 0 to 1, of another."""
    (red, green, blue), (red_2, green_2, blue_2) = colour, other
    return (
        round(red + (red_2 - red) * share),
        round(green + (green_2 - green) * share),
        round(blue + (blue_2 - blue) * share),
    )


@cache
def bones_of(skeleton: Skeleton) -> tuple[BoneColour, ...]:
    """The bones of a layout. One that connects left and right, like the hips, belongs to the centre."""
    return tuple(_bone(skeleton, start, end) for start, end in skeleton.bones)


@cache
def joint_colours(skeleton: Skeleton) -> tuple[Colour, ...]:
    """The colour of each joint."""
    return tuple(_side_colour({_side(joint)}) for joint in skeleton.joints)


@cache
def face_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """The joints of the face."""
    return tuple(i for i, joint in enumerate(skeleton.joints) if _has(joint, _FACE))


@cache
def main_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """The joints worth a dot: neither of the face nor of fingers and toes."""
    return tuple(i for i, joint in enumerate(skeleton.joints) if not _has(joint, _FACE | _HANDS_AND_FEET))


def _bone(skeleton: Skeleton, start: int, end: int) -> BoneColour:
    ends = skeleton.joints[start], skeleton.joints[end]
    if all(_has(joint, _FACE) for joint in ends):
        weight = 0.4
    else:
        weight = 0.6 if any(_has(joint, _HANDS_AND_FEET) for joint in ends) else 1.0
    return BoneColour(start, end, _side_colour({_side(joint) for joint in ends}), weight)


def _has(joint: str, parts: set[str]) -> bool:
    return not parts.isdisjoint(joint.split("_"))


def _side(joint: str) -> str:
    return joint.split("_")[0] if joint.startswith(("left_", "right_")) else "centre"


def _side_colour(sides: set[str]) -> Colour:
    if {"left", "right"} <= sides:
        return CENTRE
    return LEFT if "left" in sides else RIGHT if "right" in sides else CENTRE
