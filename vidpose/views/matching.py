"""Who is who across views: tracks of one person, in different views, see the same points in space.

Two tracks are compared by what their keypoints give when triangulated: how far the rays pass each other, and how far
the body they make is from the bodies that the lifter saw. Rays alone would not do: cameras at one height see everyone's
head and feet at about the same height, and two people give the ghost of a third where their rays cross.

Tracks are joined two by two, the best fit first, until none fits well enough. So someone whom one view lost for a
while, and who has two tracks there, becomes one person again where another view saw them all along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vidpose.body.skeletons import Conversion, Skeleton
from vidpose.views.cameras import ViewCamera
from vidpose.views.triangulation import distances, triangulate

_RAYS_COUNT = 3.0
"""A metre between rays, which are good to a centimetre or two, counts for so many metres between bodies."""

_MAX_COST = 0.25
"""Metres. On synthetic scenes and real video, tracks of one person cost 0.10 to 0.18, of two people 0.29 and more."""

_FARTHEST = 1.0
"""Metres that a single joint can add at most."""

_LEAST_TICKS = 3
_MOST_TICKS = 200
"""Two tracks are compared at no more moments than this, spread evenly."""


@dataclass(frozen=True)
class Sighted:
    """A track on the common clock; N ticks, K keypoints, J joints.

    Attributes:
        view: index of its view.
        id: the track's number there.
        first: the tick of the first row.
        ideal: (N, K, 2) keypoints in ideal image coordinates, NaN where not seen.
        scores: (N, K), 0 where not seen.
        joint_ideal, joint_scores: (N, J, 2) and (N, J), the same of the lifter's joints.
        bodies: (N, J, 3) metres, lifted joints relative to the root, turned into the world; NaN where not lifted.
    """

    view: int
    id: int
    first: int
    ideal: np.ndarray
    scores: np.ndarray
    joint_ideal: np.ndarray
    joint_scores: np.ndarray
    bodies: np.ndarray

    @property
    def stop(self) -> int:
        """The tick after the last row."""
        return self.first + len(self.scores)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool."""
        return np.any(self.scores > 0, axis=1)


def match(
    tracks: Sequence[Sighted], cameras: Sequence[ViewCamera], conversion: Conversion | None, layout: Skeleton
) -> list[list[Sighted]]:
    """Tracks gathered by person; someone may have several in one view, one after the other.

    Args:
        tracks: of all views.
        cameras: of the views.
        conversion: from keypoints to the lifter's joints; None where they are the same.
        layout: of the lifter's joints.
    """
    costs = {
        (a, b): _cost(tracks[a], tracks[b], cameras, conversion, layout)
        for b in range(len(tracks))
        for a in range(b)
        if tracks[a].view != tracks[b].view
    }
    people = {number: [number] for number in range(len(tracks))}

    def fits(one: int, others: Iterable[int]) -> dict[tuple[int, int], float]:
        """What it costs to join a person with others, where that is possible at all."""
        pairs = ((min(one, other), max(one, other)) for other in others if other != one)
        joined = {pair: _joint_cost(people[pair[0]], people[pair[1]], tracks, costs) for pair in pairs}
        return {pair: cost for pair, cost in joined.items() if cost <= _MAX_COST}

    possible = {pair: cost for number in people for pair, cost in fits(number, range(number)).items()}
    while possible:
        one, other = min(possible, key=possible.__getitem__)
        people[one] += people.pop(other)
        possible = {pair: cost for pair, cost in possible.items() if not {one, other} & set(pair)}
        possible |= fits(one, people)
    return [[tracks[number] for number in numbers] for numbers in people.values()]


def _joint_cost(
    one: Sequence[int],
    other: Sequence[int],
    tracks: Sequence[Sighted],
    costs: Mapping[tuple[int, int], tuple[float, int]],
) -> float:
    """Mean cost over the moments that tracks share; infinite for people who are in one view at the same time."""
    pairs = [(min(a, b), max(a, b)) for a in one for b in other]
    for a, b in pairs:
        if tracks[a].view == tracks[b].view and tracks[a].first < tracks[b].stop and tracks[b].first < tracks[a].stop:
            return np.inf
    shared = [costs[pair] for pair in pairs if pair in costs and costs[pair][1]]
    moments = sum(count for _, count in shared)
    return sum(cost * count for cost, count in shared) / moments if moments else np.inf


def _cost(
    a: Sighted, b: Sighted, cameras: Sequence[ViewCamera], conversion: Conversion | None, layout: Skeleton
) -> tuple[float, int]:
    """How little two tracks look like one person, in metres, and the number of ticks at which both see somebody."""
    first, stop = max(a.first, b.first), min(a.stop, b.stop)
    rows_a, rows_b = (slice(first - track.first, max(stop, first) - track.first) for track in (a, b))
    both = np.flatnonzero(a.seen[rows_a] & b.seen[rows_b])
    if len(both) < _LEAST_TICKS:
        return np.inf, 0
    some = both[np.linspace(0, len(both) - 1, min(len(both), _MOST_TICKS)).astype(int)]
    ideal = np.stack([a.ideal[rows_a][some], b.ideal[rows_b][some]])
    scores = np.minimum(a.scores[rows_a][some], b.scores[rows_b][some]).astype(np.float64)
    matrices = np.stack([cameras[track.view].world_to_camera for track in (a, b)])
    points = triangulate(ideal, np.stack([scores, scores]), matrices)
    rays = _mean(distances(points, ideal, matrices)[0].mean(axis=0), scores)
    joints, joint_scores = conversion(points, scores) if conversion else (points, scores)
    joints = joints - joints[:, [layout.parents.index(-1)]]
    lifted = (a.bodies[rows_a][some] + b.bodies[rows_b][some]) / 2
    bodies = _mean(np.linalg.norm(joints - lifted, axis=-1), joint_scores)
    return _RAYS_COUNT * rays + bodies, len(both)


def _mean(metres: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean; what is unknown or infinite counts as the farthest."""
    capped = np.minimum(np.nan_to_num(metres, nan=_FARTHEST, posinf=_FARTHEST), _FARTHEST)
    return float((capped * weights).sum() / max(weights.sum(), 1e-9))
