import numpy as np
import pytest

from vidpose.body.skeletons import (
    BLAZEPOSE_33,
    BLAZEPOSE_TO_H36M,
    CONVERSIONS,
    H36M_17,
    MPII_16,
    SKELETONS,
    get_conversion,
)
from vidpose.common.errors import UsageError


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_layouts_are_consistent(skeleton):
    assert len(set(skeleton.joints)) == len(skeleton.parents) == len(skeleton)
    assert all(parent < len(skeleton) and parent != child for child, parent in enumerate(skeleton.parents))
    assert len(skeleton.left) == len(skeleton.right)
    assert np.array(skeleton.mirror)[list(skeleton.mirror)].tolist() == list(range(len(skeleton)))


def test_h36m_has_the_order_of_the_papers():
    # In every lifting code base left is 4, 5, 6, 11, 12, 13 and right 1, 2, 3, 14, 15, 16.
    assert set(H36M_17.left) == {4, 5, 6, 11, 12, 13}
    assert set(H36M_17.right) == {1, 2, 3, 14, 15, 16}
    assert H36M_17.parents[11] == H36M_17.parents[14] == 8


def test_mpii_has_the_order_of_its_annotations():
    # From its authors' readme: 0 to 5 are right ankle, knee, hip and left hip, knee, ankle, 6 to 9 from pelvis to head.
    assert [MPII_16.joints[i].split("_")[-1] for i in range(6)] == ["ankle", "knee", "hip", "hip", "knee", "ankle"]
    assert set(MPII_16.right) == {0, 1, 2, 10, 11, 12}
    assert MPII_16.joints[6:10] == ("pelvis", "thorax", "upper_neck", "head_top")
    assert MPII_16.joints[10:12] == ("right_wrist", "right_elbow")


@pytest.mark.parametrize("conversion", CONVERSIONS.values(), ids=lambda c: c.name)
def test_conversions_keep_sides_and_move_with_the_person(conversion):
    rng = np.random.default_rng(0)
    points, scores = rng.normal(size=(5, len(conversion.source), 3)), rng.uniform(0.1, 1, (5, len(conversion.source)))
    converted, _ = conversion(points, scores)
    moved, _ = conversion(2 * points + [1.0, -2.0, 3.0], scores)
    np.testing.assert_allclose(moved, 2 * converted + [1.0, -2.0, 3.0], atol=1e-9)
    mirrored, _ = conversion((points * [-1, 1, 1])[:, conversion.source.mirror], scores)
    np.testing.assert_allclose(mirrored, (converted * [-1, 1, 1])[:, conversion.target.mirror], atol=1e-9)


def test_derived_joints_take_the_lowest_score_and_are_absent_with_any_parent():
    points = np.zeros((1, 33, 2), np.float32)
    scores = np.full((1, 33), 0.9, np.float32)
    scores[0, BLAZEPOSE_33.index("left_hip")] = 0.2
    points[0, BLAZEPOSE_33.index("right_shoulder")] = np.nan
    converted, converted_scores = BLAZEPOSE_TO_H36M(points, scores)
    assert converted_scores[0, H36M_17.index("pelvis")] == np.float32(0.2)
    assert np.isnan(converted[0, H36M_17.index("thorax")]).all()
    assert converted_scores[0, H36M_17.index("thorax")] == 0
    assert np.isfinite(converted[0, H36M_17.index("left_elbow")]).all()
    assert converted.dtype == np.float32


def test_the_crown_lies_over_an_upright_head():
    # A face in the plane of the picture, in millimetres: mouth 65 below the eyes, ears at the eyes' height.
    points = np.zeros((33, 2))
    for side, x in (("left", 1), ("right", -1)):
        points[BLAZEPOSE_33.index(f"{side}_eye")] = (x * 32, 0)
        points[BLAZEPOSE_33.index(f"{side}_ear")] = (x * 75, 0)
        points[BLAZEPOSE_33.index(f"{side}_mouth")] = (x * 25, 65)
    crown, _ = BLAZEPOSE_TO_H36M(points, np.ones(33))
    np.testing.assert_allclose(crown[H36M_17.index("head_top")], (0, -130), atol=1e-9)


def test_an_unknown_conversion_names_the_known_ones():
    with pytest.raises(UsageError, match="blazepose33-h36m17-crown"):
        get_conversion("h36m17", "coco17")
