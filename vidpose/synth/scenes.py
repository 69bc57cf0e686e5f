"""The scenes that can be rendered: who does what before which camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import pi, radians

import numpy as np

from vidpose.common.errors import UsageError
from vidpose.synth.camera import StudioCamera
from vidpose.synth.figure import LEFT, RIGHT, Size
from vidpose.synth.motion import Bend, Kick, ProceduralMotion, Punch, SideStep, Squat, Stand, Walk, Wave
from vidpose.synth.physique import Look

TO_CAMERA = -pi / 2
"""The heading of a person who faces the camera."""


@dataclass(frozen=True)
class ScenePerson:
    """Somebody in a scene: how they move, and what they look like."""

    motion: ProceduralMotion
    look: Look


@dataclass(frozen=True)
class Scene:
    """One clip.

    Attributes:
        name: how the command line calls it.
        summary: what happens in it.
        people: in the order of the truth file.
        seconds: how long it takes.
    """

    name: str
    summary: str
    camera: StudioCamera
    people: tuple[ScenePerson, ...]
    seconds: float = 6.0
    fps: Fraction = Fraction(25)

    @property
    def times(self) -> np.ndarray:
        """(T,) float64 seconds of every frame."""
        return np.arange(round(self.seconds * self.fps)) / float(self.fps)

    def joints(self) -> np.ndarray:
        """(people, T, 17, 3) float64 joints of `H36M_17`, world metres."""
        return np.stack([person.motion.joints(self.times) for person in self.people])


_ADA = Look()
_BEA = Look(
    skin="#8d5a3b",
    hair="#15110f",
    hair_style="bob",
    shirt="#c8503c",
    stripe="#f0c75e",
    trousers="#e8e2d2",
    shoes="#2c4a6b",
    sleeve=0.6,
    legging=0.42,
    girth=0.94,
)
_CEM = Look(
    skin="#c98d68",
    hair="#a8642d",
    hair_style="bun",
    shirt="#3f7d5a",
    stripe="#dfe8dc",
    trousers="#55463e",
    shoes="#d8d4c8",
    sleeve=0.2,
    girth=0.97,
)

_WALK_WAVE = Scene(
    "walk-wave",
    "one person walks in a circle and waves: seen from the front, the sides and the back",
    StudioCamera(640, 480, 720.0, (0.0, -4.5, 1.35), (0.0, 0.0, 0.97)),
    (
        ScenePerson(
            ProceduralMotion(
                Walk((0.0, 0.1), 0.72, radians(140), speed=0.72, cycle=1.16), (Wave(0.2, 2.7, RIGHT),), seed=1
            ),
            _ADA,
        ),
    ),
)

_TWO_PEOPLE = Scene(
    "two-people",
    "one person punches and squats; another comes in from the right, turns to the camera and waves",
    StudioCamera(848, 480, 790.0, (0.0, -4.9, 1.45), (0.0, 0.0, 0.97)),
    (
        ScenePerson(
            ProceduralMotion(
                Stand((-0.55, -0.1), TO_CAMERA + 0.25),
                (Punch(0.2, 2.7, LEFT), Squat(2.9, 1.6), Bend(4.5, 1.5, RIGHT)),
                Size.of(1.80, 1.05),
                seed=2,
            ),
            _ADA,
        ),
        ScenePerson(
            ProceduralMotion(
                Walk((3.0, -1.2), 2.6, radians(72), speed=0.79, cycle=1.14, phase=0.3),
                (Wave(3.3, 2.5, LEFT),),
                Size.of(1.68, 0.95),
                seed=3,
            ),
            _BEA,
        ),
    ),
)

_WORKOUT = Scene(
    "workout",
    "one person steps to the side and back, bends and kicks",
    StudioCamera(480, 640, 880.0, (0.0, -4.5, 1.35), (0.0, 0.0, 0.97)),
    (
        ScenePerson(
            ProceduralMotion(
                SideStep((-0.22, 0.0), TO_CAMERA - 0.15, period=2.4, length=2.4),
                (Bend(2.2, 1.9, RIGHT), Kick(4.2, 1.6, RIGHT)),
                Size.of(1.72),
                seed=4,
            ),
            _CEM,
        ),
    ),
)

SCENES: Mapping[str, Scene] = {scene.name: scene for scene in (_WALK_WAVE, _TWO_PEOPLE, _WORKOUT)}


def get_scene(name: str) -> Scene:
    """The scene of that name.

    Raises:
        UsageError: there is no such scene.
    """
    if name not in SCENES:
        raise UsageError(f"unknown scene {name!r}; known are {', '.join(SCENES)}")
    return SCENES[name]
