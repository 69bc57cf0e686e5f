"""Finding what each ray hits: sphere tracing, one group of shapes at a time, against a shared depth.

Square tiles of the picture are first tested against a capsule around every shape, which tells each ray which groups it
may meet and between which distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidpose.synth.camera import StudioCamera
from vidpose.synth.shapes import Field

TILE = 6
MOST_STEPS = 110
STEP = 0.93
"""Tapered capsules overstate distances slightly; shorter steps make up for it."""
NEAR_ENOUGH = 4e-4


@dataclass(frozen=True)
class Tiles:
    """Which groups lie behind each tile of the picture.

    Attributes:
        columns: tiles in a row of the picture.
        enter: (groups, tiles) float32 distance from the camera at which a group may begin; inf where it is not.
        leave: (groups, tiles) float32 distance at which it ends.
    """

    columns: int
    enter: np.ndarray
    leave: np.ndarray

    @staticmethod
    def of(camera: StudioCamera, fields: Sequence[Field]) -> Tiles:
        """Test every tile against every shape."""
        columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
        x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
        rays = camera.rays(TILE * np.stack([x.ravel(), y.ravel()], axis=-1))
        spread = TILE * np.sqrt(0.5) / camera.focal
        spans = [_spans(field, np.asarray(camera.position, np.float32), rays, spread) for field in fields]
        return Tiles(columns, np.stack([enter for enter, _ in spans]), np.stack([leave for _, leave in spans]))

    def index(self, pixels: np.ndarray) -> np.ndarray:
        """The tile of each pixel position (N, 2)."""
        column, row = (pixels // TILE).astype(int).T
        return row * self.columns + column


def _spans(field: Field, origin: np.ndarray, rays: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances (N,) between which cones of half-angle `spread` around rays (3, N) may meet a group."""
    enter = np.full(rays.shape[1], np.inf, np.float32)
    leave = np.zeros_like(enter)
    for shape in field.group.shapes:
        a, b, radius = shape.bounds
        distance, gap = ray_to_segment(origin[:, None], rays, a, b)
        half = 0.5 * float(np.linalg.norm(b - a))
        # Blending swells the surface by some of its reach.
        radius += 1.5 * field.group.blend
        meets = gap < radius + spread * distance
        enter = np.where(meets, np.minimum(enter, distance - radius - 2 * half), enter)
        leave = np.where(meets, np.maximum(leave, distance + radius + 2 * half), leave)
    return enter, leave


def ray_to_segment(
    origins: np.ndarray, rays: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where rays pass a segment most closely.

    Args:
        origins, rays: (3, N) or (3, 1); the rays have unit length.
        a, b: (3,) ends of the segment.

    Returns:
        (N,) distances along the rays, not negative, and (N,) gaps to the segment there.
    """
    axis = (b - a).astype(np.float32)[:, None]
    offset = origins - a.astype(np.float32)[:, None]
    square = float((axis * axis).sum()) + 1e-9
    ray_axis, ray_offset, axis_offset = (rays * axis).sum(0), (rays * offset).sum(0), (axis * offset).sum(0)
    share = (axis_offset - ray_offset * ray_axis) / np.maximum(square - ray_axis**2, 1e-9)
    share = np.clip(share, 0, 1)
    distance = np.maximum(share * ray_axis - ray_offset, 0)
    share = np.clip((axis_offset + distance * ray_axis) / square, 0, 1)
    return distance, np.linalg.norm(offset + distance * rays - share * axis, axis=0)


def trace(field: Field, origin: np.ndarray, rays: np.ndarray, enter: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """Distances (N,) float32 at which rays (3, N) from a common origin (3,) hit a group, inf where they miss it.

    Args:
        enter, leave: (N,) distances between which to look.
    """
    origin = (origin - field.middle).astype(np.float32)[:, None]
    hits = np.full(rays.shape[1], np.inf, np.float32)
    active, at = np.arange(rays.shape[1]), np.maximum(enter, 0)
    for _ in range(MOST_STEPS):
        distance = field(origin + at * rays)
        hit = distance < NEAR_ENOUGH
        hits[active[hit]] = at[hit]
        at = at + STEP * distance
        going = ~hit & (at < leave)
        active, at, rays, leave = active[going], at[going], rays[:, going], leave[going]
        if not len(active):
            break
    return hits


def cast(
    camera: StudioCamera, fields: Sequence[Field], tiles: Tiles, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look through pixel positions (N, 2).

    Returns:
        (3, N) float32 unit rays, (N,) float32 distances to what they hit, inf for nothing, and (N,) indices of the
        fields hit, -1 for none.
    """
    rays = camera.rays(pixels)
    origin = np.asarray(camera.position, np.float32)
    depth = np.full(len(pixels), np.inf, np.float32)
    owner = np.full(len(pixels), -1)
    tile = tiles.index(pixels)
    # From front to back, so that what is hidden is not looked for.
    for i in np.argsort(tiles.enter.min(axis=1)):
        enter, leave = tiles.enter[i, tile], np.minimum(tiles.leave[i, tile], depth)
        met = np.flatnonzero(enter < leave)
        if not len(met):
            continue
        found = trace(fields[i], origin, rays[:, met], enter[met], leave[met])
        nearer = found < depth[met]
        depth[met[nearer]], owner[met[nearer]] = found[nearer], i
    return rays, depth, owner
