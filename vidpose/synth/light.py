"""Light: a warm key light with soft shadows, the sky, a cool fill and a rim light, and ambient occlusion.

Shadows and occlusion come from a few capsules a person instead of the whole body: closed formulas, and soft for free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.synth.frames import Frames
from vidpose.synth.raycast import ray_to_segment


def direction(x: float, y: float, z: float) -> np.ndarray:
    """The unit vector along these coordinates, (3, 1) float32."""
    vector = np.array([x, y, z], np.float32)
    return (vector / np.linalg.norm(vector))[:, None]


def rgb(r: float, g: float, b: float) -> np.ndarray:
    """A linear colour, (3, 1) float32."""
    return np.array([r, g, b], np.float32)[:, None]


@dataclass(frozen=True)
class Light:
    """Where light comes from, and its colours: directions (3, 1) towards it and linear colours (3, 1), float32.

    Attributes:
        to_key, key: the sun or the strongest lamp, which alone throws shadows.
        sky, ground: of surfaces that face up and down.
        to_fill, fill, to_rim, rim: a lamp that fills shadows, and one from behind that draws outlines.
    """

    to_key: np.ndarray
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    to_fill: np.ndarray
    fill: np.ndarray
    to_rim: np.ndarray
    rim: np.ndarray


STUDIO = Light(
    to_key=direction(-0.48, -0.72, 1.0),
    key=rgb(1.02, 0.94, 0.82),
    sky=rgb(0.40, 0.43, 0.48),
    ground=rgb(0.16, 0.13, 0.10),
    to_fill=direction(0.85, -0.6, 0.25),
    fill=rgb(0.12, 0.14, 0.18),
    to_rim=direction(0.35, 0.8, 0.5),
    rim=rgb(0.42, 0.46, 0.52),
)
"""The light of the samples."""

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


def openness(
    points: np.ndarray, normals: np.ndarray, shadows: list[Caster], light: Light
) -> tuple[np.ndarray, np.ndarray]:
    """How open surface points (3, N) with normals (3, N) lie: (N,) to the key light, (N,) to their surroundings."""
    points = points + 0.012 * normals
    key, around = np.ones(points.shape[1], np.float32), np.ones(points.shape[1], np.float32)
    for caster in shadows:
        distance, gap = ray_to_segment(points, light.to_key, caster.a, caster.b)
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


def illuminate(normals: np.ndarray, key: np.ndarray, around: np.ndarray, light: Light) -> np.ndarray:
    """The light (3, N) that a matt surface receives, given its normals (3, N) and openness (N,)."""
    direct = np.maximum((normals * light.to_key).sum(0), 0) * key
    fill = np.maximum((normals * light.to_fill).sum(0), 0) * around
    upward = 0.5 + 0.5 * normals[2]
    return light.key * direct + light.fill * fill + (light.sky * upward + light.ground * (1 - upward)) * around


def glance(
    normals: np.ndarray, rays: np.ndarray, key: np.ndarray, around: np.ndarray, gloss: np.ndarray, light: Light
) -> np.ndarray:
    """The light (3, N) that a surface throws back by its gloss (N,), seen along rays (3, N), and the rim's."""
    halfway = light.to_key - rays
    halfway /= np.linalg.norm(halfway, axis=0)
    highlight = gloss * key * np.maximum((normals * halfway).sum(0), 0) ** 28
    edge = (1 + (normals * rays).sum(0)) ** 3
    rim = 0.35 * edge * np.maximum((normals * light.to_rim).sum(0) + 0.25, 0) * around
    return light.key * highlight + light.rim * rim


def encode(light: np.ndarray) -> np.ndarray:
    """Linear light to sRGB in 0 to 255, uint8."""
    light = np.clip(light, 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** (1 / 2.4) - 0.055)
    return (255 * srgb + 0.5).astype(np.uint8)
