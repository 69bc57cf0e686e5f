"""Where everybody stands in a viewer: x right, y away from the camera, z up, metres."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vidpose.body.tracks import PoseResult, Track
from vidpose.export.placing import Placement, place_of, placed_joints, placed_people

_BETWEEN = 1.4
"""Metres from one person to the next where their places are unknown."""

_FLOOR_REACH = 1.0
"""Metres from the middle to the border of the floor that each person then has."""


@dataclass(frozen=True)
class Floor:
    """A level square, by its middle and the way from there to its border."""

    x: float
    y: float
    z: float
    reach: float

    @property
    def spacing(self) -> float:
        """Metres between its lines."""
        return 0.5 * max(1, math.ceil(self.reach / 6))


@dataclass(frozen=True)
class ViewerScene:
    """Everybody in one space.

    Attributes:
        place: what is known of where they are. Where nothing is, those who are there at the same time stand side by
            side, from left to right as in the picture, each with the lowest joint on the floor.
        joints: (N, J, 3) metres by the person's id, a row for every row of the track; NaN where absent.
        low, high: (3,) the corners of where nearly all joints are.
        floors: at least one, all at height 0. Where only the camera is known, one under everybody, as if the camera
            stood level.
    """

    place: Placement
    joints: Mapping[int, np.ndarray]
    low: np.ndarray
    high: np.ndarray
    floors: tuple[Floor, ...]

    @staticmethod
    def of(result: PoseResult) -> ViewerScene:
        """The scene of a result; an empty one where nobody has 3D joints."""
        joints = {track.id: placed_joints(result, track, "z", guessed=True) for track in placed_people(result)}
        place = place_of(result) if joints else Placement.ROOT
        if place is Placement.ROOT:
            slots = _slots(tuple(track for track in result.tracks if track.id in joints))
            for id_, points in joints.items():
                points[..., 2] -= np.fmin.reduce(points[..., 2], axis=1, keepdims=True)
                points[..., 0] += _BETWEEN * (slots[id_] - max(slots.values()) / 2)
        low, high = _corners(joints)
        return ViewerScene(place, joints, low, high, _floors(joints, place, low, high))


def _slots(tracks: tuple[Track, ...]) -> dict[int, int]:
    """Track id -> place in the row: nobody shares one at the same time, and the leftmost in the picture comes first."""
    free_from: list[int] = []
    slots: dict[int, int] = {}
    for track in sorted(tracks, key=lambda track: int(track.frames[0])):
        first, last = int(track.frames[0]), int(track.frames[-1])
        slot = next((i for i, frame in enumerate(free_from) if frame <= first), len(free_from))
        free_from[slot : slot + 1] = [last + 1]
        slots[track.id] = slot
    middles = [
        np.nanmean(np.concatenate([track.boxes[:, [0, 2]].ravel() for track in tracks if slots[track.id] == slot]))
        for slot in range(len(free_from))
    ]
    ranks = np.argsort(np.argsort(middles))
    return {id_: int(ranks[slot]) for id_, slot in slots.items()}


def _corners(joints: Mapping[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The box that holds nearly all joints, with a little room; that of one standing person where there are none."""
    points = np.concatenate([np.empty((0, 3)), *(one.reshape(-1, 3) for one in joints.values())])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return np.array([-1.0, -1.0, 0.0]), np.array([1.0, 1.0, 1.8])
    low, high = np.percentile(points, (1, 99), axis=0)
    return low - 0.1, high + 0.1


def _floors(joints: Mapping[int, np.ndarray], place: Placement, low: np.ndarray, high: np.ndarray) -> tuple[Floor, ...]:
    if place is Placement.ROOT:
        middles = {round(float(np.nanmedian(one[:, 0, 0])), 3) for one in joints.values()}
        return tuple(Floor(x, 0.0, 0.0, _FLOOR_REACH) for x in sorted(middles) or [0.0])
    x, y = np.rint((low + high) / 2)[:2]
    return (Floor(float(x), float(y), 0.0, float(np.ceil((high - low)[:2].max() / 2 + 0.5))),)
