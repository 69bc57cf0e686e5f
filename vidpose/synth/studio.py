"""Pictures of people in the room, as a camera takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidpose.synth.camera import StudioCamera
from vidpose.synth.frames import frames
from vidpose.synth.light import STUDIO, Caster, Light, casters, encode, glance, illuminate, openness
from vidpose.synth.physique import Look, body
from vidpose.synth.raycast import Tiles, cast
from vidpose.synth.room import Surface, room
from vidpose.synth.shapes import Field

_SUBPIXELS = np.array([(0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875)])
"""Where the four rays of an antialiased pixel pass: no two in one row or column."""


@dataclass(frozen=True)
class Picture:
    """A rendered frame.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        people: (H, W) int, the index of the person in each pixel, -1 for the room.
    """

    image: np.ndarray
    people: np.ndarray


class Studio:
    """The room before one camera; the empty room is worked out once.

    Args:
        camera: what takes the pictures.
        surroundings: what it sees where nobody stands; None: the room.
        light: what all is lit by.
    """

    def __init__(self, camera: StudioCamera, surroundings: Surface | None = None, light: Light = STUDIO) -> None:
        self.camera, self._light = camera, light
        self._room = surroundings or room(camera)

    def shoot(self, people: Sequence[tuple[np.ndarray, Look]]) -> Picture:
        """Take a picture of people, each given by joints (17, 3) of `H36M_17` in world metres and a look."""
        bodies = [body(joints, look) for joints, look in people]
        fields = [Field(group) for groups in bodies for group in groups]
        person = np.array([i for i, groups in enumerate(bodies) for _ in groups] + [-1])
        shadows = [caster for joints, _ in people for caster in casters(frames(joints))]
        light = self._empty(shadows)
        if not fields:
            return Picture(encode(light).transpose(1, 2, 0), np.full(light.shape[1:], -1))
        tiles = Tiles.of(self.camera, fields)
        owner = self._draw(light, fields, tiles, shadows)
        return Picture(encode(light).transpose(1, 2, 0), person[owner])

    def _empty(self, shadows: list[Caster]) -> np.ndarray:
        """The room without people but with their shadows, linear light (3, H, W)."""
        surface = self._room
        height, width = surface.albedo.shape[1:]
        # Shadows are soft: a quarter of the pixels is enough.
        points, normals = (a[:, ::2, ::2].reshape(3, -1) for a in (surface.points, surface.normals))
        shape = (-(-height // 2), -(-width // 2))
        key, around = (
            cv2.resize(o.reshape(shape), (width, height), interpolation=cv2.INTER_LINEAR).ravel()
            for o in openness(points, normals, shadows, self._light)
        )
        received = illuminate(surface.normals.reshape(3, -1), key, around, self._light)
        return surface.albedo * received.reshape(3, height, width)

    def _draw(self, light: np.ndarray, fields: list[Field], tiles: Tiles, shadows: list[Caster]) -> np.ndarray:
        """Draw the fields over linear light (3, H, W); returns which field is in each pixel (H, W), -1 for none."""
        height, width = light.shape[1:]
        row, column = np.mgrid[:height, :width].reshape(2, -1)
        corners = np.stack([column, row], axis=-1)
        busy = np.isfinite(tiles.enter).any(axis=0)[tiles.index(corners)]
        owner = np.full(height * width, -1)
        rays, depth, owner[busy] = cast(self.camera, fields, tiles, corners[busy] + 0.5)
        refine = _refine(owner.reshape(height, width), fields).ravel()
        flat = light.reshape(3, -1)
        plain = (owner[busy] >= 0) & ~refine[busy]
        flat[:, np.flatnonzero(busy)[plain]] = self._shade(
            fields, rays[:, plain], depth[plain], owner[busy][plain], shadows
        )
        refined = np.flatnonzero(refine)
        places = (corners[refined] + _SUBPIXELS[:, None]).reshape(-1, 2)
        rays, depth, hit = cast(self.camera, fields, tiles, places)
        seen, colour = hit >= 0, np.tile(flat[:, refined], len(_SUBPIXELS))
        colour[:, seen] = self._shade(fields, rays[:, seen], depth[seen], hit[seen], shadows)
        flat[:, refined] = colour.reshape(3, len(_SUBPIXELS), -1).mean(axis=1)
        return owner.reshape(height, width)

    def _shade(
        self, fields: list[Field], rays: np.ndarray, depth: np.ndarray, owner: np.ndarray, shadows: list[Caster]
    ) -> np.ndarray:
        """Linear light (3, N) of the points where rays (3, N) hit fields."""
        points = np.asarray(self.camera.position, np.float32)[:, None] + depth * rays
        albedo, normals = np.empty_like(points), np.empty_like(points)
        gloss = np.empty_like(depth)
        for i in np.unique(owner):
            own = owner == i
            local = points[:, own] - fields[i].middle[:, None]
            albedo[:, own], normals[:, own] = fields[i].albedo(local), fields[i].normals(local)
            gloss[own] = fields[i].group.gloss
        key, around = openness(points, normals, shadows, self._light)
        matt = albedo * illuminate(normals, key, around, self._light)
        return matt + glance(normals, rays, key, around, gloss, self._light)


def _refine(owner: np.ndarray, fields: list[Field]) -> np.ndarray:
    """(H, W) bool: the pixels worth more than one ray, at outlines and on fine groups."""
    fine = np.array([field.group.fine for field in fields] + [False])[owner]
    edge = np.zeros_like(fine)
    for axis in (0, 1):
        step = np.diff(owner, axis=axis) != 0
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= step
        edge[tuple(after)] |= step
    return fine | edge
