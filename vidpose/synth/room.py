"""The room: a plank floor at z = 0, and a wall with two pictures behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vidpose.synth.camera import StudioCamera

WALL = 2.3
"""The wall is the plane y = WALL; the camera stands on the side of smaller y."""

_PLANK, _BOARD = 0.14, 1.9  # width and length of a plank
Rgb = tuple[float, float, float]
_SAMPLES = 3
"""The room's colours are averaged over this many samples along each side of a pixel."""


@dataclass(frozen=True)
class Surface:
    """What each pixel of the empty room shows.

    Attributes:
        albedo: (3, H, W) float32 linear colours.
        points: (3, H, W) float32 world metres at the pixels' centres.
        normals: (3, H, W) float32.
    """

    albedo: np.ndarray
    points: np.ndarray
    normals: np.ndarray


def room(camera: StudioCamera) -> Surface:
    """The empty room as the camera sees it."""
    row, column = np.mgrid[: camera.height, : camera.width]
    albedo = np.zeros((3, camera.height, camera.width), np.float32)
    offsets = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    for dx in offsets:
        for dy in offsets:
            points, floor = _meet(camera, column + dx, row + dy)
            albedo += np.where(floor, _floor(points), _wall(points)) / _SAMPLES**2
    points, floor = _meet(camera, column + 0.5, row + 0.5)
    up, front = np.array([0, 0, 1])[:, None, None], np.array([0, -1, 0])[:, None, None]
    return Surface(albedo, points, np.where(floor, up, front).astype(np.float32))


def _meet(camera: StudioCamera, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World points (3, H, W) seen at pixel positions (H, W), and whether they are on the floor."""
    rays = camera.rays(np.stack([x.ravel(), y.ravel()], axis=-1)).reshape(3, *x.shape)
    origin = np.asarray(camera.position, np.float32)
    down = np.where(rays[2] < 0, -origin[2] / np.minimum(rays[2], -1e-6), np.inf)
    back = (WALL - origin[1]) / np.maximum(rays[1], 1e-6)
    floor = down < back
    return origin[:, None, None] + np.where(floor, down, back) * rays, floor


def _noise(*integers: np.ndarray) -> np.ndarray:
    """A number in 0 to 1 for each combination of whole numbers, the same every time."""
    total = sum(k * n for k, n in zip((12.9898, 78.233), integers, strict=False))
    return (np.sin(total) * 43758.5453) % 1


def _floor(points: np.ndarray) -> np.ndarray:
    """Linear colours (3, H, W) of oak planks that run along the wall."""
    x, y, _ = points.astype(np.float64)
    lane = np.floor(y / _PLANK)
    shift = x / _BOARD + _noise(lane)
    board = np.floor(shift)
    tone = 0.82 + 0.32 * _noise(lane, board)
    grain = 0.03 * np.sin(2 * np.pi * (7 * y / _PLANK + 0.6 * np.sin(3.1 * x + 9 * _noise(lane, board))))
    across = np.abs(y / _PLANK - lane - 0.5)
    along = np.abs(shift - board - 0.5)
    gap = (across > 0.483) | (along > 0.4985)
    oak = np.array([0.36, 0.235, 0.135])[:, None, None]
    return (oak * (tone + grain) * np.where(gap, 0.55, 1)).astype(np.float32)


def _wall(points: np.ndarray) -> np.ndarray:
    """Linear colours (3, H, W) of the wall, its skirting board and its two pictures."""
    x, _, z = points
    colour = np.broadcast_to(np.array([0.60, 0.62, 0.60], np.float32)[:, None, None], points.shape).copy()
    colour[:, z < 0.11] = np.array([0.80, 0.79, 0.76])[:, None]
    colour[:, (z > 0.11) & (z < 0.118)] *= 0.6
    _hang(colour, x + 1.12, z - 1.62, (0.36, 0.47), _hills)
    _hang(colour, x - 1.15, z - 1.66, (0.44, 0.34), _sun)
    return colour


Motif = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Places (N,) to the right of and above a picture's middle, in metres, to linear colours (3, N)."""


def _hang(colour: np.ndarray, u: np.ndarray, v: np.ndarray, half: tuple[float, float], motif: Motif) -> None:
    """Paint a framed picture onto the wall; u and v are metres from its middle."""
    beyond = np.maximum(np.abs(u) - half[0], np.abs(v) - half[1])
    colour[:, beyond < 0.03] = np.array([0.12, 0.09, 0.07])[:, None]
    colour[:, beyond < 0.0] = np.array([0.82, 0.81, 0.78])[:, None]
    inside = beyond < -0.07
    colour[:, inside] = motif(u[inside], v[inside])


def _hills(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    near, far = v < -0.16 + 0.06 * np.sin(7 * u), v < 0.02 + 0.09 * np.sin(5 * u + 1.7)
    layers = ((far, (0.19, 0.36, 0.36)), (near, (0.09, 0.20, 0.22)))
    return _layered(len(u), (0.72, 0.66, 0.50), layers)


def _sun(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    layers = ((np.hypot(u - 0.06, v - 0.01) < 0.15, (0.80, 0.33, 0.12)), (v < -0.11 + 0.1 * u, (0.14, 0.20, 0.36)))
    return _layered(len(u), (0.74, 0.72, 0.66), layers)


def _layered(num_places: int, ground: Rgb, layers: Sequence[tuple[np.ndarray, Rgb]]) -> np.ndarray:
    """(3, N) colours: the ground's, and each layer's in the places (N,) it covers, the last one on top."""
    colour = np.tile(np.array(ground, np.float32)[:, None], (1, num_places))
    for covers, paint in layers:
        colour[:, covers] = np.array(paint)[:, None]
    return colour
