"""Surroundings by chance: walls and a floor of noise, stripes and clutter, and light from anywhere.

Nothing in them looks like a real place. A network that has seen enough of them goes by the person alone (domain
randomisation: Tobin et al., IROS 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidpose.synth.camera import StudioCamera
from vidpose.synth.light import Light, direction
from vidpose.synth.room import Surface

_TEXELS = 640
"""Along each side of a texture, which is mirrored beyond its edge."""

_TEXEL = 0.012
"""Metres a side."""


@dataclass(frozen=True)
class Surroundings:
    """Four walls around the middle of the world, and a floor at z = 0.

    Attributes:
        half: metres from the middle to each wall; cameras stand inside.
        yaw: by which the walls are turned about z.
        walls, floor: (texels, texels, 3) float32 linear colours.
        blur: standard deviation in pixels of what is out of focus.
    """

    half: float
    yaw: float
    walls: np.ndarray
    floor: np.ndarray
    blur: float

    def seen_by(self, camera: StudioCamera) -> Surface:
        """What each pixel of the empty place shows."""
        row, column = np.mgrid[: camera.height, : camera.width]
        pixels = np.stack([column.ravel(), row.ravel()], axis=-1) + 0.5
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float32)
        rays, origin = turn @ camera.rays(pixels), turn @ np.asarray(camera.position, np.float32)
        steep = np.where(np.abs(rays) > 1e-6, rays, 1e-6)
        down = np.where(rays[2] < 0, -origin[2] / steep[2], np.inf)
        across = [(np.copysign(self.half, steep[i]) - origin[i]) / steep[i] for i in (0, 1)]
        axis = np.argmin(across, axis=0)
        is_floor = down < np.minimum(*across)
        points = origin[:, None] + np.minimum(down, np.minimum(*across)) * rays
        along = np.where(axis == 0, points[1], points[0]) + 3 * self.half * axis
        albedo = np.where(is_floor, _look_up(self.floor, points[0], points[1]), _look_up(self.walls, along, points[2]))
        normals = np.where(is_floor, [[0], [0], [1]], -np.sign(rays) * (np.arange(3)[:, None] == axis))
        shape = (3, camera.height, camera.width)
        albedo = albedo.reshape(shape).transpose(1, 2, 0)
        if self.blur:
            albedo = cv2.GaussianBlur(albedo, (0, 0), self.blur)
        world = (turn.T @ points, turn.T @ normals)
        points, normals = (array.astype(np.float32).reshape(shape) for array in world)
        return Surface(np.ascontiguousarray(albedo.transpose(2, 0, 1)), points, normals)


def _look_up(texture: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(3, N) colours at N places, metres."""
    # OpenCV's pictures have fewer than 2^15 columns.
    x, y = ((places / _TEXEL).astype(np.float32).reshape(-1, 256) for places in (u, v))
    return cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101).reshape(-1, 3).T


def random_place(random: np.random.Generator, reach: float) -> Surroundings:
    """A place with room for cameras up to `reach` metres from its middle."""
    return Surroundings(
        half=reach + random.uniform(0.2, 4.0),
        yaw=random.uniform(0, np.pi),
        walls=_texture(random, int(random.integers(0, 60))),
        floor=_texture(random, int(random.integers(0, 8))),
        blur=random.choice([0.0, random.uniform(0.4, 2.5)]),
    )


def random_light(random: np.random.Generator) -> Light:
    """Light from above or the side, hard or soft, warm or cold, bright or dim."""
    strength, softness = random.uniform(0.5, 1.4), random.uniform(0.2, 1.0)

    def colour(brightness: float, tint: float) -> np.ndarray:
        return (brightness * (1 + tint * random.uniform(-1, 1, (3, 1)))).astype(np.float32)

    def lamp(lowest: float) -> np.ndarray:
        x, y = random.normal(size=2)
        return direction(x, y, random.uniform(lowest, 2.0))

    return Light(
        to_key=lamp(0.2),
        key=colour(strength * (1.2 - softness), 0.15),
        sky=colour(strength * (0.15 + 0.5 * softness), 0.15),
        ground=colour(strength * random.uniform(0.05, 0.3), 0.25),
        to_fill=lamp(-0.2),
        fill=colour(strength * random.uniform(0, 0.3), 0.2),
        to_rim=lamp(0.0),
        rim=colour(strength * random.uniform(0, 0.5), 0.15),
    )


def _texture(random: np.random.Generator, clutter: int) -> np.ndarray:
    """Linear colours of a texture with so many things on it."""
    low, high = _colour(random), _colour(random)
    noise = sum(_octave(random, 2**octave) / 1.5**octave for octave in range(1, 7))
    share = np.clip(0.5 + random.uniform(0.1, 1.0) * noise, 0, 1)[..., None]
    texture = (low + share * (high - low)).astype(np.float32)
    texture *= _pattern(random)[..., None]
    for _ in range(clutter):
        _draw_thing(texture, random)
    if random.random() < 0.3:
        texture = cv2.GaussianBlur(texture, (0, 0), random.uniform(0.5, 4))
    return texture


def _colour(random: np.random.Generator) -> np.ndarray:
    """Mostly grey, now and then strong."""
    grey = random.beta(1.3, 1.8)
    return np.clip(grey * (1 + random.choice([0.15, 0.8]) * random.normal(size=3)), 0.01, 0.95)


def _octave(random: np.random.Generator, cells: int) -> np.ndarray:
    grid = random.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    return cv2.resize(grid, (_TEXELS, _TEXELS), interpolation=cv2.INTER_CUBIC)


def _pattern(random: np.random.Generator) -> np.ndarray:
    """(texels, texels) factors: none, stripes, or tiles with joints between them."""
    y, x = np.mgrid[:_TEXELS, :_TEXELS]
    size, depth = random.uniform(6, 90), random.uniform(0.1, 0.6)
    kind = random.integers(4)
    if kind == 0:
        lines = (x / size) % 1 < 0.5
    elif kind == 1:
        lines = np.minimum((x / size) % 1, (y / size / random.uniform(0.3, 3)) % 1) < random.uniform(0.03, 0.15)
    elif kind == 2:
        lines = ((x / size).astype(int) + (y / size).astype(int)) % 2 == 0
    else:
        lines = np.zeros_like(x, bool)
    return np.where(lines, 1 - depth, 1).astype(np.float32)


def _draw_thing(texture: np.ndarray, random: np.random.Generator) -> None:
    """Paint a box, a ball, a polygon or a rod, which could be taken for a limb."""
    centre = random.integers(0, _TEXELS, 2)
    size = int(np.exp(random.uniform(np.log(6), np.log(140))))
    colour = _colour(random).tolist()
    kind = random.integers(4)
    if kind == 0:
        other = centre + random.integers(-size, size + 1, 2)
        cv2.rectangle(texture, centre.tolist(), other.tolist(), colour, random.choice([-1, 2]))
    elif kind == 1:
        axes = (size // 2 + 1, int(random.integers(2, size + 3)) // 2)
        cv2.ellipse(texture, centre.tolist(), axes, random.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    elif kind == 2:
        corners = centre + random.integers(-size, size + 1, (random.integers(3, 7), 2))
        cv2.fillPoly(texture, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    else:
        other = centre + random.integers(-2 * size, 2 * size + 1, 2)
        cv2.line(texture, centre.tolist(), other.tolist(), colour, int(random.integers(2, 16)), cv2.LINE_AA)
