"""Meshes drawn into a picture, lit from above beside the camera: the nearest triangle at each pixel, smoothly shaded.

Triangles are filled from the farthest to the nearest with their numbers instead of colours; then each pixel is shaded
by what its triangle's corners have there.
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

_SHIFT = 4


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
    size = np.array(image.shape[1::-1])
    middles = points[faces].mean(axis=1)
    drawable = (points[faces, 2] > _NEAR).all(axis=1) & ((across * middles).sum(axis=1) < 0)
    drawable &= (np.abs(pixels[faces]) < _FAR_OUT * size.max()).all(axis=(1, 2))
    order = np.flatnonzero(drawable)
    order = order[np.argsort(-middles[order, 2])]
    _shade(image, pixels, faces[order], normals, colours)


def _shade(image: np.ndarray, pixels: np.ndarray, faces: np.ndarray, normals: np.ndarray, colours: np.ndarray) -> None:
    numbers = _nearest(image.shape[:2], pixels, faces)
    rows, columns = np.nonzero(numbers)
    if not len(rows):
        return
    corners = faces[numbers[rows, columns] - 1]
    shares = _shares(np.stack([columns, rows], axis=-1) + 0.5, pixels[corners])
    facing = np.einsum("pc,pcd->pd", shares, normals[corners])
    facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-9)
    light = _AMBIENT + (1 - _AMBIENT) * np.clip(facing @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1)
    shaded = colours[corners[:, 0]] * light[:, None]
    covered = cv2.blur((numbers > 0).astype(np.float32), (3, 3))[rows, columns, None] * _COVER
    image[rows, columns] = np.rint(covered * shaded + (1 - covered) * image[rows, columns])


def _nearest(shape: tuple[int, ...], pixels: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(H, W) int32: at each pixel, the number, from 1, of the last triangle that covers it; 0 where none does."""
    numbers = np.zeros(shape, np.int32)
    for number, corners in enumerate(np.rint((pixels[faces] - 0.5) * (1 << _SHIFT)).astype(np.int32), 1):
        cv2.fillConvexPoly(numbers, corners, number, cv2.LINE_8, _SHIFT)
    return numbers


def _shares(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(P, 3) by how much each of a triangle's (P, 3, 2) corners counts at (P, 2) points."""
    first, second, beside = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    area = np.where(np.abs(area) > 1e-9, area, 1e-9)
    b = (beside[:, 0] * second[:, 1] - beside[:, 1] * second[:, 0]) / area
    c = (first[:, 0] * beside[:, 1] - first[:, 1] * beside[:, 0]) / area
    # The rim of a triangle lies a little outside of it.
    shares = np.clip(np.stack([1 - b - c, b, c], axis=-1), 0, 1)
    return shares / shares.sum(axis=-1, keepdims=True)
