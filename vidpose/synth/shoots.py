"""Shoots by chance: motion capture enacted by somebody, somewhere, before several cameras at once.

    for index in range(100):
        for view in range(4):
            for picture, truth in random_shoot(motion, options, seed=1, index=index).film(view):
                ...

A shoot follows from the seed and its number alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vidpose.synth.actors import enact, points
from vidpose.synth.camera import StudioCamera
from vidpose.synth.figure import Size
from vidpose.synth.light import Light
from vidpose.synth.physique import Look
from vidpose.synth.places import Surroundings, random_light, random_place
from vidpose.synth.studio import Picture, Studio

_FLESH = 0.12
"""Metres that a body reaches beyond its joints."""

_PAN_SECONDS = 0.5
"""Standard deviation of the filter by which cameras follow a person."""


@dataclass(frozen=True)
class PictureFormat:
    """What every clip of a set has in common.

    Attributes:
        views: cameras, in step.
        frames: of a clip.
        fps: frames a second, at most those of the motion.
        size: pixels of a picture's sides.
    """

    views: int = 4
    frames: int = 32
    fps: float = 25.0
    size: int = 256


@dataclass(frozen=True)
class Shoot:
    """One person's motion, and all that is needed to film it.

    Attributes:
        joints: (F, 17, 3) float64 of `H36M_17`, world metres, z up.
        cameras: of each view, one for every frame: they stand still and turn after the person.
    """

    joints: np.ndarray
    cameras: tuple[tuple[StudioCamera, ...], ...]
    look: Look
    place: Surroundings
    light: Light

    @cached_property
    def points(self) -> np.ndarray:
        """(F, 21, 3) world metres of `vidpose.synth.actors.POINTS`."""
        return points(self.joints)

    def film(self, view: int) -> Iterator[tuple[Picture, np.ndarray]]:
        """Each frame of a view: the picture, and (21, 2) pixels of the points."""
        for camera, joints, known in zip(self.cameras[view], self.joints, self.points, strict=True):
            studio = Studio(camera, self.place.seen_by(camera), self.light)
            yield studio.shoot([(joints, self.look)]), camera.project(known)


def random_shoot(sequences: Sequence[np.ndarray], rate: float, format: PictureFormat, seed: int, index: int) -> Shoot:
    """The shoot of that number.

    Args:
        sequences: (F, 17, 3) each, metres, z up; the long ones are chosen the more often.
        rate: their frames a second.
    """
    random = np.random.default_rng((seed, index))
    taken = np.round(np.arange(format.frames) * rate / format.fps).astype(int)
    spare = np.array([max(len(sequence) - taken[-1], 0) for sequence in sequences], float)
    assert spare.any(), "no sequence is that long"
    sequence = sequences[random.choice(len(sequences), p=spare / spare.sum())]
    # The whole sequence is enacted, so that the floor is the lowest place of all its steps.
    stature = np.clip(random.normal(1.70, 0.10), 1.45, 1.98)
    whole = enact(sequence, Size.of(stature, random.uniform(0.92, 1.10)))
    joints = whole[random.integers(len(whole) - taken[-1]) + taken]
    middle = (joints.min(axis=(0, 1)) + joints.max(axis=(0, 1))) / 2
    joints = joints - (middle[0], middle[1], 0)
    cameras = tuple(_camera(joints, format, yaw, random) for yaw in _yaws(format.views, random))
    reach = max(np.hypot(*camera[0].position[:2]) for camera in cameras) + np.abs(joints[..., :2]).max()
    return Shoot(joints, cameras, random_look(random), random_place(random, reach), random_light(random))


def _yaws(views: int, random: np.random.Generator) -> np.ndarray:
    """Directions in which cameras stand, spread around the person."""
    spread = np.radians(20) if views > 1 else 0.0
    return random.uniform(0, 2 * np.pi) + np.arange(views) * 2 * np.pi / views + random.uniform(-spread, spread, views)


def _camera(
    joints: np.ndarray, format: PictureFormat, yaw: float, random: np.random.Generator
) -> tuple[StudioCamera, ...]:
    """A camera in a direction, for every frame; the person fills most of its picture in one frame at least."""
    distance = np.exp(random.uniform(np.log(2.2), np.log(7.0)))
    height = np.clip(random.normal(1.4, 0.6), 0.3, 3.4)
    # Whoever walks towards the camera may not walk into it.
    distance += np.abs(joints[..., :2]).max()
    position = (distance * np.cos(yaw), distance * np.sin(yaw), height)
    middles = (joints.min(axis=1) + joints.max(axis=1)) / 2
    sway = gaussian_filter1d(random.normal(0, 0.05, joints.shape[::2]), 3 * format.fps / 25, axis=0, mode="nearest")
    targets = gaussian_filter1d(middles, _PAN_SECONDS * format.fps, axis=0, mode="nearest") + sway
    unit = [StudioCamera(format.size, format.size, 1.0, position, tuple(target)) for target in targets]
    reach = 0.0
    for camera, some in zip(unit, joints, strict=True):
        seen = camera.to_camera(some)
        reach = max(reach, ((np.abs(seen[:, :2]) + _FLESH) / seen[:, 2:]).max())
    focal = random.uniform(0.70, 1.0) * format.size / 2 / reach
    return tuple(replace(camera, focal=focal) for camera in unit)


_SKINS = ("#f1c9a5", "#e6b38a", "#d9a07c", "#c98d68", "#a86b45", "#8d5a3b", "#6d4229", "#4b2d1c")
_HAIR = ("#15110f", "#2d1d13", "#4a2f1d", "#7b4b25", "#a8642d", "#d2a866", "#8d8a86", "#d8d6d2")


def random_look(random: np.random.Generator) -> Look:
    """Somebody in clothes of any colour."""

    def cloth() -> str:
        grey, strength = random.uniform(0.05, 0.95), random.choice([0.05, 0.45])
        levels = np.clip(grey + strength * random.normal(size=3), 0.02, 0.98)
        return "#" + "".join(f"{round(255 * level):02x}" for level in levels)

    skin = random.choice(_SKINS)
    # Now and then bare-chested, or barefoot.
    shirt = cloth() if random.random() < 0.88 else skin
    return Look(
        skin=skin,
        hair=random.choice(_HAIR),
        hair_style=random.choice(["short", "short", "bob", "bun"]),
        shirt=shirt,
        stripe=shirt if shirt == skin else random.choice([shirt, cloth()]),
        trousers=random.choice([cloth(), cloth(), shirt]) if shirt != skin else cloth(),
        shoes=cloth() if random.random() < 0.85 else skin,
        sleeve=random.choice([0.2, random.uniform(0.25, 0.6), 1.0]),
        legging=random.choice([1.0, 1.0, random.uniform(0.3, 0.8)]),
        girth=random.uniform(0.85, 1.2),
    )
