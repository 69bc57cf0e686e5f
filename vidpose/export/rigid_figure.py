"""A person as a rigid skeleton in motion, y up, for the formats that turn bones: BVH, glTF, MOT.

Bones have the median lengths of the track. They are turned as the fitted body's were (`Track.rotations`), or as
`vidpose.body.kinematics.orientations` reads from the joints, whose docstring states how they roll about themselves.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from vidpose.body.kinematics import matrices_of, orientations, pose, rest_offsets
from vidpose.body.pieces import ByRows, ComputedRows, pieces
from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.body.stretches import jumps
from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import known_whole, whole_skeleton
from vidpose.export.placing import axes_of, placed_joints, root_of

log = logging.getLogger(__name__)

_SAME_TIME = 1e-6
"""Seconds."""

_LAST_MOMENT = 0.01
"""Seconds, at most, that a still figure takes to be elsewhere."""

EULER = "ZXY"
"""Order of the angles that rotations are written as, each about the axes that the ones before have turned."""


@dataclass(frozen=True)
class Figure:
    """K keyframes, J joints.

    Attributes:
        layout: of the joints.
        offsets: (J, 3) metres from each joint's parent to it in the rest pose (`vidpose.body.kinematics`); zero for the
            root.
        times: (K,) seconds.
        turns: (K, J, 3, 3) rotations from the rest pose into the exported frame, by rows: all of an hour would be eight
            times as large as the result.
        roots: (K, 3) metres, the root joint in the exported frame.
    """

    layout: Skeleton
    offsets: np.ndarray
    times: np.ndarray
    turns: ByRows
    roots: np.ndarray

    @staticmethod
    def of(result: PoseResult, track: Track) -> Figure:
        """The frames of a lifted track that have a whole pose and its place.

        Raises:
            UsageError: no rest pose is known for the result's layout.
        """
        _warn_of_guesses(result, track)
        layout = whole_skeleton(result) if track.extremities.shape[1] else get_skeleton(result.joint_layout)
        joints = placed_joints(result, track, "y", guessed=True)[:, : len(layout)]
        there = np.isfinite(joints).all(axis=(1, 2))
        assert there.any(), "somebody without a pose is no figure"
        fitted = there & (track.rotations.shape[1] > 0) & np.isfinite(track.rotations).all(axis=(1, 2))
        if fitted.any():
            there, axes, turning = fitted, axes_of(result, "y"), [*range(track.rotations.shape[1])]
            turning += layout.parents[len(turning) :]  # points of feet and hands turn with ankles and wrists
            of_track = np.flatnonzero(there)
            turns: ByRows = ComputedRows(lambda rows: axes @ matrices_of(track.rotations[of_track[rows]][:, turning]))
        else:
            turns = orientations(joints[there], layout)
        joints = joints[there]
        offsets = rest_offsets(joints, layout, turns)
        return Figure(layout, offsets, track.times[there], turns, joints[:, root_of(result)])

    def at(self, times: np.ndarray) -> Figure:
        """The figure at other times: turned along great circles between keyframes.

        It is still before and after them, and, through what is too long to be bridged, until the next one.
        """
        if np.array_equal(times, self.times):
            return self
        within = np.clip(times, self.times[0], self.times[-1])
        for last in np.flatnonzero(jumps(self.times)):
            within[(within > self.times[last]) & (within < self.times[last + 1] - _SAME_TIME)] = self.times[last]
        roots = np.stack([np.interp(within, self.times, axis) for axis in self.roots.T], axis=1)
        return Figure(self.layout, self.offsets, times, ComputedRows(lambda rows: self._turned_at(within[rows])), roots)

    def _turned_at(self, times: np.ndarray) -> np.ndarray:
        """(m, J, 3, 3) between the keyframes around times (m,), which do not fall and are within all keyframes'."""
        if len(self.times) == 1:
            return np.repeat(self.turns[0:1], len(times), axis=0)
        first = min(max(int(np.searchsorted(self.times, times[0])) - 1, 0), len(self.times) - 2)
        around = slice(first, max(int(np.searchsorted(self.times, times[-1])) + 1, first + 2))
        turns = [
            Slerp(self.times[around], Rotation.from_matrix(keys))(times).as_matrix()
            for keys in self.turns[around].swapaxes(0, 1)
        ]
        return np.stack(turns, axis=1)

    def joints(self) -> np.ndarray:
        """(K, J, 3) metres in the exported frame."""
        joints = np.empty((len(self.times), len(self.layout), 3))
        for rows in pieces(len(joints)):
            joints[rows] = pose(self.offsets, self.turns[rows], self.roots[rows], self.layout)
        return joints

    def moved(self, turn: np.ndarray, shift: np.ndarray) -> Figure:
        """The figure after a rotation (3, 3) of all it is in, and then a way (3,)."""
        return replace(
            self, turns=ComputedRows(lambda rows: turn @ self.turns[rows]), roots=self.roots @ turn.T + shift
        )

    def held(self) -> Figure:
        """The figure with a keyframe more before each jump of time ends: a viewer then shows no way between."""
        ends = self.times[1:][jumps(self.times)]
        if not len(ends):
            return self
        usual = float(np.median(np.diff(self.times)))
        return self.at(np.union1d(self.times, ends - min(usual, _LAST_MOMENT)))


def _warn_of_guesses(result: PoseResult, track: Track) -> None:
    never = np.flatnonzero(~known_whole(result, track)[track.lifted].any(axis=0))
    if len(never):
        names = ", ".join(whole_skeleton(result).joints[joint] for joint in never)
        log.warning("person %d: never seen, and in a format of whole bodies a guess: %s", track.id, names)


def euler_angles(turns: np.ndarray, last: np.ndarray | None = None) -> np.ndarray:
    """Rotations as degrees about z, x and y, in `EULER`'s order.

    Of the two ways to write a rotation, and the whole turns that may be added, each frame has what is nearest to the
    frame before: a knee bends beyond 90 degrees without a jump.

    Args:
        turns: (N, ..., 3, 3).
        last: (..., 3) degrees of the frame before the first, if there is one.

    Returns:
        (N, ..., 3), of the first frame of all from -180 to 180 and, about x, from -90 to 90.
    """
    angles = np.empty((*turns.shape[:-2], 3))
    for rows in pieces(len(turns)):
        ways = _both_ways(turns[rows])
        last = ways[0, 0] if last is None else last
        for row in range(ways.shape[1]):
            step = (ways[:, row] - last + 180) % 360 - 180
            nearer = np.abs(step).sum(axis=-1).argmin(axis=0)
            last = angles[rows.start + row] = last + np.where(nearer[..., None] == 0, *step)
    return angles


def _both_ways(turns: np.ndarray) -> np.ndarray:
    """(2, N, ..., 3) degrees, both ways to write (N, ..., 3, 3) rotations."""
    z = np.arctan2(-turns[..., 0, 1], turns[..., 1, 1])
    x = np.arcsin(turns[..., 2, 1].clip(-1, 1))
    y = np.arctan2(-turns[..., 2, 0], turns[..., 2, 2])
    # At a quarter turn about x, z and y turn about the same axis: all of it is put into z.
    locked = np.hypot(turns[..., 0, 1], turns[..., 1, 1]) < 1e-9
    z, y = np.where(locked, np.arctan2(turns[..., 1, 0], turns[..., 0, 0]), z), np.where(locked, 0, y)
    one = np.degrees(np.stack([z, x, y], axis=-1))
    return np.stack([one, one * (1, -1, 1) + 180])
