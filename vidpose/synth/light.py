"""Light: a warm key light with soft shadows, the sky, a cool fill and a rim light, and ambient occlusion.

Shadows and occlusion come from a few capsules a person instead of the whole body: closed formulas, and soft for free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.synth.frames import Frames
from vidpose.synth.raycast import ray_to_segment


def _direction(x: float, y: float, z: float) -> np.ndarray:
    vector = np.array([x, y, z], np.float32)
    return (vector / np.linalg.norm(vector))[:, None]


def _rgb(r: float, g: float, b: float) -> np.ndarray:
    return np.array([r, g, b], np.float32)[:, None]


_TO_KEY, _KEY = _direction(-0.48, -0.72, 1.0), _rgb(1.02, 0.94, 0.82)
_SKY, _GROUND = _rgb(0.40, 0.43, 0.48), _rgb(0.16, 0.13, 0.10)
_TO_FILL, _FILL = _direction(0.85, -0.6, 0.25), _rgb(0.12, 0.14, 0.18)
_TO_RIM, _RIM = _direction(0.35, 0.8, 0.5), _rgb(0.42, 0.46, 0.52)
_SHADOW_SPREAD = 0.16
"""Half the width of a shadow's edge, over the distance from what casts it."""


@dataclass(frozen=True)
class Caster:
    """A capsule that stands for a part of a body where shadows are concerned."""

    a: np.ndarray
    b: np.ndarray
    radius: float


def casters(parts: Frames) -> list[Caster]:
    """About 16 capsules that stand for one body."""
    at, skull = parts.joints, parts.head
    crown = float(np.linalg.norm(at["head_top"] - at["thorax"]))
    capsules = [
        Caster(parts.pelvis(-0.05, 0, 0.02), parts.pelvis(0.05, 0, 0.02), 0.11),
        Caster(at["pelvis"], at["spine"], 0.105),
        Caster(at["spine"], parts.chest(0, 0, -0.12), 0.11),
        Caster(parts.chest(-0.08, 0, -0.09), parts.chest(0.08, 0, -0.09), 0.085),
        Caster(skull(0, 0.0, 0.55 * crown), skull(0, 0, 0.75 * crown), 0.078),
        Caster(skull(0, -0.02, 0), skull(0, 0, 0.5 * crown), 0.05),
    ]
    for arm in parts.arms:
        capsules += [
            Caster(arm.upper.origin, arm.lower.origin, 0.043),
            Caster(arm.lower.origin, arm.end.origin, 0.03),
            Caster(arm.end(0, 0, -0.03), arm.end(0, 0, -0.12), 0.026),
        ]
    for leg in parts.legs:
        capsules += [
            Caster(leg.upper.origin, leg.lower.origin, 0.068),
            Caster(leg.lower.origin, leg.end.origin, 0.05),
            Caster(leg.end(0, -0.03, -0.045), leg.end(0, 0.14, -0.05), 0.036),
        ]
    return capsules


def openness(points: np.ndarray, normals: np.ndarray, shadows: list[Caster]) -> tuple[np.ndarray, np.ndarray]:
    """How open surface points (3, N) with normals (3, N) lie: (N,) to the key light, (N,) to their surroundings."""
    points = points + 0.012 * normals
    key, around = np.ones(points.shape[1], np.float32), np.ones(points.shape[1], np.float32)
    for caster in shadows:
        distance, gap = ray_to_segment(points, _TO_KEY, caster.a, caster.b)
        # Half a shade at the edge. A caster that passes at once is the limb the point lies on: its back is dark anyway.
        shade = np.clip(0.5 - (gap - caster.radius) / (2 * _SHADOW_SPREAD * distance + 1e-4), 0, 1)
        shade = np.where(distance > 0.5 * caster.radius, shade, 0)
        key *= 1 - shade**2 * (3 - 2 * shade)
        around *= 1 - 0.8 * _occlusion(points, normals, caster)
    return key, around


def _occlusion(points: np.ndarray, normals: np.ndarray, caster: Caster) -> np.ndarray:
    """(N,) share of the half space above each point that a capsule hides, roughly: its nearest ball's."""
    a, axis = caster.a.astype(np.float32)[:, None], (caster.b - caster.a).astype(np.float32)[:, None]
    share = np.clip(((points - a) * axis).sum(0) / ((axis * axis).sum() + 1e-9), 0, 1)
    towards = a + share * axis - points
    distance = np.linalg.norm(towards, axis=0) + 1e-6
    cosine = (normals * towards).sum(0) / distance
    return np.clip(cosine, 0, 1) * np.minimum((caster.radius / distance) ** 2, 1)


def illuminate(normals: np.ndarray, key: np.ndarray, around: np.ndarray) -> np.ndarray:
    """The light (3, N) that a matt surface receives, given its normals (3, N) and openness (N,)."""
    direct = np.maximum((normals * _TO_KEY).sum(0), 0) * key
    fill = np.maximum((normals * _TO_FILL).sum(0), 0) * around
    upward = 0.5 + 0.5 * normals[2]
    return _KEY * direct + _FILL * fill + (_SKY * upward + _GROUND * (1 - upward)) * around


def glance(normals: np.ndarray, rays: np.ndarray, key: np.ndarray, around: np.ndarray, gloss: np.ndarray) -> np.ndarray:
    """The light (3, N) that a surface throws back by its gloss (N,), seen along rays (3, N), and the rim's."""
    halfway = _TO_KEY - rays
    halfway /= np.linalg.norm(halfway, axis=0)
    highlight = gloss * key * np.maximum((normals * halfway).sum(0), 0) ** 28
    edge = (1 + (normals * rays).sum(0)) ** 3
    rim = 0.35 * edge * np.maximum((normals * _TO_RIM).sum(0) + 0.25, 0) * around
    return _KEY * highlight + _RIM * rim


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light to sRGB in 0 to 255, uint8."""
    light = np.clip(light, 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** (1 / 2.4) - 0.055)
    return (255 * srgb + 0.5).astype(np.uint8)
