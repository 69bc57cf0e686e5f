"""Undoing swaps of left and right, which 2D detectors fall into when they cannot see a face.

A swap is a jump of all the joints of a side onto the other side's places and, soon after, back. Which frames are
swapped is found over the whole track at once, by dynamic programming: joints should move little from frame to frame
under their corrected names, and a correction costs something for as long as it lasts. So short episodes are mended,
and what the detector says most of the time is believed.
"""

from __future__ import annotations

import itertools

import numpy as np

from vidpose.body.skeletons import Skeleton

_PRICE = 0.4
"""Of a swapped half of the body, in body lengths a second: an episode longer than the jumps at its ends, divided by
this, is left as it is."""

_MEMORY_SECONDS = 0.3
"""After a longer absence, where the joints were says nothing about which is which."""

_LEGS = ("hip", "knee", "ankle", "heel", "foot_index", "big_toe", "small_toe")
_STATES = tuple(itertools.product((False, True), repeat=2))
"""Whether the upper and the lower half of the body are swapped."""


def unswap_sides(
    keypoints: np.ndarray, scores: np.ndarray, times: np.ndarray, layout: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """One person's keypoints with left and right the same throughout.

    Args:
        keypoints: (N, K, 2) pixels, NaN in rows where the person is not seen.
        scores: (N, K) confidences.
        times: (N,) seconds.
        layout: of the K joints.

    Returns:
        Corrected keypoints and scores; arms and face, and legs, are exchanged as wholes.
    """
    seen = np.flatnonzero(np.isfinite(keypoints).all(axis=(1, 2)))
    if len(seen) < 3:
        return keypoints, scores
    is_leg = np.array([layout.joints[i].removeprefix("left_") in _LEGS for i in layout.left])
    halves = [np.array([layout.left, layout.right])[:, chosen] for chosen in (~is_leg, is_leg)]
    costs = np.stack([_motion(keypoints[seen], half) for half in halves], axis=1)
    swapped = _cheapest(costs, np.diff(times[seen]))
    keypoints, scores = keypoints.copy(), scores.copy()
    for half, (left, right) in enumerate(halves):
        rows = seen[swapped[:, half]][:, None]
        for values in (keypoints, scores):
            values[rows, left], values[rows, right] = values[rows, right], values[rows, left]
    return keypoints, scores


def _motion(keypoints: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """(N - 1, 2) mean distance, in body lengths, from each frame to the next: names kept, and names exchanged."""
    size = np.median(np.ptp(keypoints, axis=1).max(axis=-1))
    left, right = keypoints[:, sides[0]], keypoints[:, sides[1]]

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.linalg.norm(a[1:] - b[:-1], axis=-1).mean(axis=-1)

    kept, exchanged = distance(left, left) + distance(right, right), distance(left, right) + distance(right, left)
    return np.stack([kept, exchanged], axis=-1) / (2 * max(size, 1e-6))


def _cheapest(costs: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """(N, 2) bool: the cheapest sequence of states, by the Viterbi algorithm.

    Args:
        costs: (N - 1, 2 halves, 2) of keeping and of exchanging names from each frame to the next.
        seconds: (N - 1,) between frames.
    """
    costs = np.where((seconds > _MEMORY_SECONDS)[:, None, None], 0.0, costs)
    # Half a body that is swapped alone pays the other half's price too: it is the rarer accident.
    seconds = np.minimum(seconds, _MEMORY_SECONDS)
    price_S = np.array([2.0 if any(state) else 0.0 for state in _STATES]) * _PRICE
    change_SS2 = np.array([[np.not_equal(a, b) for b in _STATES] for a in _STATES]).astype(int)
    total_S = price_S * seconds[0]
    came_from = np.zeros((len(costs), len(_STATES)), dtype=int)
    for step, (cost, dt) in enumerate(zip(costs, seconds, strict=True)):
        path_SS = total_S[:, None] + cost[0, change_SS2[..., 0]] + cost[1, change_SS2[..., 1]]
        came_from[step] = path_SS.argmin(axis=0)
        total_S = path_SS.min(axis=0) + price_S * dt
    state = int(total_S.argmin())
    states = [state]
    for previous in came_from[::-1]:
        state = int(previous[state])
        states.append(state)
    return np.array([_STATES[s] for s in reversed(states)])
