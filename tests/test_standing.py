"""Feet that stand stay in their places, and nobody else is moved."""

from dataclasses import replace

import numpy as np
import pytest
from exports import FPS, result_of, track_of

from vidpose.body.kinematics import pose
from vidpose.body.skeletons import EXTREMITIES_10, H36M_17
from vidpose.body.tracks import PinholeCamera, PoseResult
from vidpose.refine.standing import stand_still, standing

ANKLES = [H36M_17.index("left_ankle"), H36M_17.index("right_ankle")]
ROWS = 90
OFFSETS = np.array(
    [(0, 0, 0), (-0.1, 0, 0), (0, 0.42, 0), (0, 0.4, 0), (0.1, 0, 0), (0, 0.42, 0), (0, 0.4, 0), (0, -0.25, 0),
     (0, -0.25, 0), (0, -0.12, -0.05), (0, -0.14, 0), (0.17, 0.03, 0), (0, 0.28, 0), (0, 0.25, 0), (-0.17, 0.03, 0),
     (0, 0.28, 0), (0, 0.25, 0)]
)  # fmt: skip
"""Metres in the camera's frame: somebody who stands upright and faces the camera."""

LEVEL = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.4]])
"""To the world of a level camera 1.4 m above the floor."""


def result_with(roots: np.ndarray, floor: bool) -> PoseResult:
    """Somebody whose pose never changes, on a path (N, 3)."""
    rows = len(roots)
    upright = pose(OFFSETS, np.tile(np.eye(3), (rows, 17, 1, 1)), np.zeros((rows, 3)), H36M_17)
    track = replace(track_of(upright), joints=upright.astype(np.float32), roots=roots.astype(np.float32))
    result = result_of(track)
    return replace(result, camera=PinholeCamera((500.0, 500.0), (320.0, 240.0), LEVEL if floor else None))


def path(depths: np.ndarray, low: float = 0.5) -> np.ndarray:
    """Along the line of sight of somebody a bit aside, whose hips are below the camera."""
    sight = np.array([0.1, low / 4, 1.0])
    return depths[:, None] * sight


@pytest.mark.parametrize("floor", [False, True])
def test_who_stands_does_not_drift_towards_the_camera_and_back(floor: bool):
    drift = path(4 + 0.3 * np.sin(np.arange(ROWS) / 25))
    before = result_with(drift, floor)
    after = stand_still(before)
    [old], [new] = before.tracks, after.tracks
    assert (new.joints == old.joints).all()
    slid = [np.linalg.norm(np.diff(track.roots, axis=0), axis=1).sum() for track in (old, new)]
    assert slid[1] < 0.1 * slid[0]
    # On the whole they stay as far away as they were.
    assert new.roots[:, 2].mean() == pytest.approx(old.roots[:, 2].mean(), abs=0.1)
    if floor:
        heights = [1.4 - (track.joints + track.roots[:, None])[:, ANKLES, 1] for track in (old, new)]
        sole = 0.048 * 1.6  # about, of a person of this size
        assert np.abs(heights[1] - sole).mean() < np.abs(heights[0] - sole).mean() + 0.01


def test_feet_below_the_floor_are_brought_upon_it():
    before = result_with(path(np.full(ROWS, 4.0), low=0.72), floor=True)
    low = [1.4 - (track.joints + track.roots[:, None])[:, ANKLES, 1].max() for track in before.tracks]
    after = stand_still(before)
    high = [1.4 - (track.joints + track.roots[:, None])[:, ANKLES, 1].max() for track in after.tracks]
    assert low[0] < -0.1
    assert high[0] > 0


def test_who_comes_nearer_is_left_where_they_were_found():
    walk = path(6 - 1.2 * np.arange(ROWS) / FPS)
    before = result_with(walk, floor=True)
    np.testing.assert_array_equal(stand_still(before).tracks[0].roots, before.tracks[0].roots)


@pytest.mark.parametrize("floor", [False, True])
def test_heels_of_who_walks_are_not_under_a_known_floor(floor: bool):
    """Somebody walks past, their heels 6 cm too low in the second half."""
    along = np.arange(ROWS) / FPS - 1.5
    roots = np.stack([along, np.full(ROWS, 0.5), np.full(ROWS, 4.0)], axis=1)
    before = result_with(roots, floor)
    (track,) = before.tracks
    lowest = np.where(np.arange(ROWS) < ROWS // 2, 0.9, 0.96)[:, None, None] * (0, 1, 0)
    points = np.full((ROWS, 10, 3), np.nan)
    points[:, [i for i, joint in enumerate(EXTREMITIES_10.joints) if "heel" in joint]] = lowest
    low = replace(track, extremities=points.astype(np.float32))
    (after,) = stand_still(before.with_tracks((low,))).tracks
    assert (after.joints == track.joints).all()
    if not floor:
        np.testing.assert_array_equal(after.roots, track.roots)
        return
    under = [0.5 + lowest[:, 0, 1] - 1.4, after.roots[:, 1] + lowest[:, 0, 1] - 1.4]
    assert under[0].max() == pytest.approx(0.06)
    assert under[1].max() < 0.03
    # It came nearer rather than up, and did not slide on the way.
    assert after.roots[-1, 2] < 3.9
    moved = np.diff(after.roots - track.roots, axis=0)
    assert np.linalg.norm(moved, axis=1).max() * FPS < 0.5


def test_a_short_rest_is_no_standing():
    roots = path(np.full(40, 4.0))
    roots[:, 0] += np.concatenate([np.linspace(-1, 0, 14), np.zeros(12), np.linspace(0, 1, 14)])
    ankles = roots[:, None] + np.array([[-0.1, 0.8, 0], [0.1, 0.8, 0]])
    assert not standing(ankles, roots, np.arange(40) / FPS).any()
    assert standing(ankles, roots, np.arange(40) / 10)[15:25].all()


@pytest.mark.parametrize("rows", [1, 2])
def test_a_frame_or_two_tell_nothing(rows: int):
    before = result_with(path(np.full(rows, 4.0)), floor=True)
    np.testing.assert_array_equal(stand_still(before).tracks[0].roots, before.tracks[0].roots)
