"""Meshes drawn into a picture, lit from above beside the camera: the nearest surface at each pixel, smoothly shaded.

All pixels that triangles may cover are computed at once, and of those that lie over each other the nearest is kept
(Catmull, "A subdivision algorithm for computer display of curved surfaces", 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidpose.body.colours import Colour
from vidpose.body.tracks import PinholeCamera
from vidpose.body_models.body_model import face_normals, vertex_normals

_LIGHT = np.array([0.35, -0.6, -0.72])
"""Where the light comes from, in the camera's axes."""

_AMBIENT, _COVER = 0.35, 0.93
"""The share of light that comes from everywhere; and how much of the picture a mesh hides."""

_NEAR = 0.1
"""Metres before the camera, nearer than which nothing is drawn."""

_FAR_OUT = 8.0
"""Sizes of the picture beside it, beyond which no corner of a triangle is drawn."""


@dataclass(frozen=True)
class PlacedMesh:
    """A mesh before the camera: (V, 3) vertices in its frame, metres, (F, 3) faces, and its colour."""

    vertices: np.ndarray
    faces: np.ndarray
    colour: Colour


def draw_meshes(image: np.ndarray, meshes: Sequence[PlacedMesh], camera: PinholeCamera, scale: float = 1.0) -> None:
    """Draw meshes over a picture, in place; nearer ones hide those behind.

    Args:
        image: (H, W, 3) uint8 RGB.
        camera: that made the picture.
        scale: pixels of `image` to one of the camera's.
    """
    if not meshes:
        return
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    points = np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float64)
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)])
    colours = np.repeat([mesh.colour for mesh in meshes], [len(mesh.vertices) for mesh in meshes], axis=0)
    pixels = camera.project(np.maximum(points, (-np.inf, -np.inf, _NEAR))) * scale
    across, normals = face_normals(points, faces), vertex_normals(points, faces)
    middles = points[faces].mean(axis=1)
    drawable = (points[faces, 2] > _NEAR).all(axis=1) & ((across * middles).sum(axis=1) < 0)
    drawable &= (np.abs(pixels[faces]) < _FAR_OUT * max(image.shape)).all(axis=(1, 2))
    covered = _nearest(image.shape[:2], pixels, points[:, 2], faces[drawable])
    _shade(image, covered, normals, colours)


@dataclass(frozen=True)
class _Covered:
    """P pixels of a picture, and what is nearest there.

    Attributes:
        at: (P,) places in the picture, row by row.
        corners: (P, 3) vertices of the triangle.
        shares: (P, 3) by how much each counts.
    """

    at: np.ndarray
    corners: np.ndarray
    shares: np.ndarray


def _nearest(shape: tuple[int, ...], pixels: np.ndarray, depths: np.ndarray, faces: np.ndarray) -> _Covered:
    """Where triangles cover the middle of a pixel, and which is nearest."""
    height, width = shape
    corners = pixels[faces].astype(np.float32)
    low, high = (
        np.clip(np.ceil(edge - 0.5), 0, (width, height)).astype(np.int32)
        for edge in (corners.min(axis=1), corners.max(axis=1))
    )
    wide, tall = (high - low).T
    counts = wide * tall
    face = np.repeat(np.arange(len(faces), dtype=np.int32), counts)
    within = np.arange(len(face), dtype=np.int32) - np.repeat(np.cumsum(counts, dtype=np.int32) - counts, counts)
    down = within // wide[face]
    x, y = low[face, 0] + within - down * wide[face], low[face, 1] + down
    second, third = _shares(x, y, corners, face)
    inside = np.flatnonzero((second >= 0) & (third >= 0) & (second + third <= 1))
    face, second, third = face[inside], second[inside], third[inside]
    # In a picture one over the depth changes evenly. Bits of floats above 0 are in the order of the floats.
    a, b, c = (1 / depths[faces]).astype(np.float32).T
    near = a[face] + second * (b - a)[face] + third * (c - a)[face]
    keys = near.view(np.int32).astype(np.int64) << 32 | np.arange(len(face))
    nearest = np.full(height * width, -1, np.int64)
    np.maximum.at(nearest, y[inside] * width + x[inside], keys)
    at = np.flatnonzero(nearest >= 0)
    which = nearest[at] & 0xFFFFFFFF
    shares = np.stack([1 - second[which] - third[which], second[which], third[which]], axis=-1)
    return _Covered(at, faces[face[which]], shares)


def _shares(x: np.ndarray, y: np.ndarray, corners: np.ndarray, face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,) by how much the second and the third of a triangle's (F, 3, 2) corners count in pixels of its."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    area = np.where(np.abs(area) > 1e-9, area, np.float32(1e-9))
    along, down = (
        values.astype(np.float32) + np.float32(0.5) - corners[face, 0, axis] for axis, values in enumerate((x, y))
    )
    (x_to_second, y_to_second), (x_to_third, y_to_third) = (second[:, ::-1].T / area, first[:, ::-1].T / area)
    return (
        along * x_to_second[face] - down * y_to_second[face],
        down * y_to_third[face] - along * x_to_third[face],
    )


def _shade(image: np.ndarray, covered: _Covered, normals: np.ndarray, colours: np.ndarray) -> None:
    if not len(covered.at):
        return
    facing = np.einsum("pc,pcd->pd", covered.shares, normals[covered.corners])
    facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-9)
    light = _AMBIENT + (1 - _AMBIENT) * np.clip(facing @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1)
    shaded = colours[covered.corners[:, 0]] * light[:, None]
    mask = np.zeros(image.shape[:2], np.float32)
    rows, columns = np.divmod(covered.at, image.shape[1])
    mask[rows, columns] = 1
    cover = cv2.blur(mask, (3, 3))[rows, columns, None] * _COVER
    image[rows, columns] = np.rint(cover * shaded + (1 - cover) * image[rows, columns])
