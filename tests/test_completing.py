"""Joints that a detector left out."""

import numpy as np
import pytest
from walkers import walk

from vidpose.body.skeletons import H36M_17, SKELETONS, Skeleton
from vidpose.refine.completing import complete

TIMES = np.arange(40) / 25
KNEE, ANKLE = H36M_17.index("left_knee"), H36M_17.index("left_ankle")


def pixels() -> np.ndarray:
    """(40, 17, 2) somebody who walks through the picture, as a camera far away sees them."""
    return 200 * walk(TIMES)[..., [0, 2]] * (1, -1) + 400


def test_what_is_whole_stays_as_it_is():
    points = pixels()
    assert complete(points, TIMES) is points
    gone = points.copy()
    gone[5:9] = np.nan
    assert complete(gone, TIMES) is gone


def test_a_joint_out_of_sight_goes_along_with_the_trunk():
    points = pixels()
    gone = points.copy()
    gone[10:14, KNEE] = np.nan
    filled = complete(gone, TIMES)
    np.testing.assert_array_equal(filled[np.isfinite(gone)], points[np.isfinite(gone)])
    assert np.linalg.norm(filled[10:14, KNEE] - points[10:14, KNEE], axis=-1).max() < 25


def test_joints_that_are_never_there_hang_where_they_would():
    points = pixels()
    gone = points.copy()
    gone[:, [KNEE, ANKLE]] = np.nan
    filled = complete(gone, TIMES)
    assert np.isfinite(filled).all()
    length = np.linalg.norm(filled[:, KNEE] - filled[:, H36M_17.index("left_hip")], axis=-1)
    assert (length > 40).all()
    assert (length < 150).all()
    assert np.linalg.norm(filled[:, KNEE] - points[:, KNEE], axis=-1).mean() < 60


@pytest.mark.parametrize("layout", SKELETONS.values(), ids=SKELETONS)
def test_every_layout_is_completed(layout: Skeleton):
    gone = np.full((4, len(layout), 2), np.nan)
    gone[:, layout.index("left_shoulder")], gone[:, layout.index("left_hip")] = (340, 100), (335, 200)
    filled = complete(gone, TIMES[:4], layout)
    assert np.isfinite(filled).all()
    assert 200 < filled[0, layout.index("right_knee"), 1] < filled[0, layout.index("right_ankle"), 1] < 500
    assert 200 < filled[0, layout.index("right_knee"), 0] < 340


def test_two_joints_are_enough_to_hang_a_body_on():
    gone = np.full((4, 17, 3), np.nan)
    gone[:, H36M_17.index("left_shoulder")] = (0.2, 0, 3)
    gone[:, H36M_17.index("right_shoulder")] = (-0.2, 0, 3)
    filled = complete(gone, TIMES[:4])
    assert np.isfinite(filled).all()
    assert filled[0, ANKLE, 1] > filled[0, KNEE, 1] > filled[0, 0, 1] > 0
