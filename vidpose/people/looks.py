"""What people wear, as histograms of colour: who is who when two have met.

A look is the colours of the trunk and of the thighs, each a histogram over lightness, green to red and blue to yellow
(CIE L*a*b*), spread to neighbouring bins, so that a shade more or less changes little.

Shape suffixes: P people, S = 2 parts, N bins, D = 2 coordinates.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidpose.body.skeletons import Skeleton

_LIGHT, _COLOUR = 4, 8  # bins
_RANGE = (78.0, 178.0)  # of OpenCV's 8-bit a and b: what cloth has
_STEPS = np.linspace(0.1, 0.9, 9)  # of the way across and along a part, where its colours are taken
_THIGH = 0.25  # half its width, of the distance of the hips
_SURE = 0.3  # score of the joints of a part that can be seen
_ENOUGH = 20  # points inside the picture


def look_at(image: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, layout: Skeleton) -> np.ndarray:
    """(P, S, N) histograms that sum to 1, NaN of a part that cannot be seen.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints, scores: (P, K, 2) pixels and (P, K), in a layout that has shoulders, hips and knees.
    """
    joints = [layout.index(f"{side}_{j}") for j in ("shoulder", "hip", "knee") for side in ("left", "right")]
    looks = unseen(len(keypoints))
    for look, places, sure in zip(looks, keypoints[:, joints], scores[:, joints] >= _SURE, strict=True):
        shoulders, hips, knees = places.reshape(3, 2, 2)
        if sure[:4].all():
            across = _between(*shoulders)[:, None], _between(*hips)[:, None]
            look[0] = _histogram(image, _between(*across).reshape(-1, 2))
        for_thighs = [side for side in (0, 1) if sure[2 + side] and sure[4 + side]]
        if for_thighs:
            half = _THIGH * (hips[1] - hips[0])
            points = [_between(hips[s] + o * half, knees[s] + o * half)[1:-3] for s in for_thighs for o in (-1, 0, 1)]
            look[1] = _histogram(image, np.concatenate(points))
    return looks


def unseen(count: int) -> np.ndarray:
    """(P, S, N) looks of so many people whom nobody looked at: NaN."""
    return np.full((count, 2, _LIGHT * _COLOUR * _COLOUR), np.nan)


def likeness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P, Q) how alike looks (P, S, N) and (Q, S, N) are, 0 to 1; NaN of a pair with no part that both show.

    The Bhattacharyya coefficient, averaged over the parts.
    """
    each_PQS = np.sqrt(a[:, None] * b).sum(axis=-1)
    known_PQS = np.isfinite(each_PQS)
    counts_PQ = known_PQS.sum(axis=-1)
    total_PQ = np.where(known_PQS, each_PQS, 0).sum(axis=-1)
    return np.where(counts_PQ > 0, total_PQ / np.maximum(counts_PQ, 1), np.nan)


def blended(old: np.ndarray, new: np.ndarray, weight: float) -> np.ndarray:
    """A look (S, N) brought up to date by another, of that weight; a part that one lacks is the other's."""
    both = old + weight * (new - old)
    return np.where(np.isfinite(both), both, np.where(np.isfinite(old), old, new))


def _between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points on the way from one place to the other, (steps, ..., D)."""
    return start + _STEPS.reshape(-1, *[1] * start.ndim) * (end - start)


def _histogram(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) of the colours at points (M, D) of the picture; NaN where too few lie in it."""
    height, width = image.shape[:2]
    x, y = np.floor(points).astype(int).T
    is_inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    if is_inside.sum() < _ENOUGH:
        return np.full(_LIGHT * _COLOUR * _COLOUR, np.nan)
    pixels = np.ascontiguousarray(image[y[is_inside], x[is_inside]][None])
    light, red, yellow = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[0].astype(float).T
    low, high = _RANGE
    bins = [np.clip(_LIGHT * light / 256, 0, _LIGHT - 1)]
    bins += [np.clip(_COLOUR * (colour - low) / (high - low), 0, _COLOUR - 1) for colour in (red, yellow)]
    counts = np.zeros((_LIGHT, _COLOUR, _COLOUR))
    np.add.at(counts, tuple(axis.astype(int) for axis in bins), 1.0)
    for axis in range(3):
        padded = np.pad(counts, [(int(axis == other),) * 2 for other in range(3)], mode="edge")
        before, middle, after = (np.take(padded, range(i, i + counts.shape[axis]), axis) for i in range(3))
        counts = (before + 2 * middle + after) / 4
    return counts.ravel() / counts.sum()
