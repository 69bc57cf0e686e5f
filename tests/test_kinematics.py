import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vidpose.body.geometry import rotate
from vidpose.body.kinematics import (
    bone_lengths,
    matrices_of,
    orientations,
    pose,
    quaternions_of,
    relative,
    rest_directions,
    rest_offsets,
)
from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.common.errors import UsageError
from vidpose.synth.motion import ProceduralMotion, Squat, Walk, Wave

LENGTHS = np.array([0, .09, .4, .44, .09, .4, .44, .26, .27, .14, .14, .17, .29, .2, .17, .29, .2])  # fmt: skip
AT = H36M_17.index


@pytest.fixture(scope="module")
def walking() -> np.ndarray:
    """(90, 17, 3) world metres, z up, with bones of constant length."""
    motion = ProceduralMotion(Walk((0, 0), 1.5, 0.0), (Wave(0.2, 1.8), Squat(1.0, 2.0)))
    return motion.joints(np.arange(90) / 30)


def t_pose() -> np.ndarray:
    """The rest pose, put together by hand."""
    joints = np.zeros((1, 17, 3))
    directions = rest_directions(H36M_17)
    for joint, parent in enumerate(H36M_17.parents):
        if parent >= 0:
            joints[0, joint] = joints[0, parent] + LENGTHS[joint] * directions[joint]
    return joints


def test_the_rest_pose_stands_upright_with_the_left_arm_to_the_left():
    joints = dict(zip(H36M_17.joints, t_pose()[0], strict=True))
    assert joints["head_top"][1] > joints["nose"][1] > joints["thorax"][1] > 0 > joints["left_ankle"][1]
    assert joints["left_wrist"][0] > 0.5 > -0.5 > joints["right_wrist"][0]
    assert joints["nose"][2] > 0.05


def test_the_rest_pose_is_not_turned():
    np.testing.assert_allclose(orientations(t_pose(), H36M_17)[0], np.tile(np.eye(3), (17, 1, 1)), atol=1e-9)


def test_someone_who_faces_the_camera_is_turned_half_about_x():
    facing = t_pose() * (1, -1, -1)
    np.testing.assert_allclose(orientations(facing, H36M_17)[0, 8], np.diag([1, -1, -1]), atol=1e-9)


def test_every_orientation_is_a_proper_rotation(walking: np.ndarray):
    turned = orientations(walking, H36M_17)
    np.testing.assert_allclose(np.linalg.det(turned), 1, atol=1e-9)
    np.testing.assert_allclose(
        turned @ np.swapaxes(turned, -1, -2), np.broadcast_to(np.eye(3), turned.shape), atol=1e-9
    )


def test_bones_that_leave_alone_are_met_exactly(walking: np.ndarray):
    turned, rest = orientations(walking, H36M_17), rest_offsets(walking, H36M_17)
    for parent, child in (("left_hip", "left_knee"), ("right_elbow", "right_wrist"), ("spine", "thorax")):
        bone = walking[:, AT(child)] - walking[:, AT(parent)]
        np.testing.assert_allclose(turned[:, AT(parent)] @ rest[AT(child)], bone, atol=1e-9)


def test_joints_come_back_from_offsets_and_orientations(walking: np.ndarray):
    rng = np.random.default_rng(1)
    turned = orientations(walking, H36M_17)
    offsets = rest_offsets(walking, H36M_17) * rng.uniform(0.8, 1.2, (17, 1))
    body = pose(offsets, turned, walking[:, 0], H36M_17)
    again = pose(rest_offsets(body, H36M_17), orientations(body, H36M_17), body[:, 0], H36M_17)
    np.testing.assert_allclose(again, body, atol=1e-4)
    np.testing.assert_allclose(rest_offsets(body, H36M_17, turned), offsets, atol=1e-9)


def test_the_thorax_is_turned_as_an_independent_solver_turns_it(walking: np.ndarray):
    children = [AT(joint) for joint in ("nose", "left_shoulder", "right_shoulder")]
    rest = rest_offsets(walking, H36M_17)[children]
    turned = orientations(walking, H36M_17)[:, AT("thorax")]
    for row in (0, 40, 89):
        bones = walking[row, children] - walking[row, AT("thorax")]
        np.testing.assert_allclose(turned[row], Rotation.align_vectors(bones, rest)[0].as_matrix(), atol=1e-7)


@pytest.mark.parametrize(("joint", "axis"), [("left_knee", (1, 0, 0)), ("right_knee", (1, 0, 0)),
                                             ("left_elbow", (0, -1, 0)), ("right_elbow", (0, 1, 0))])  # fmt: skip
def test_a_bend_is_a_turn_about_the_hinge(joint: str, axis: tuple[float, float, float]):
    bent = np.tile(np.eye(3), (1, 17, 1, 1))
    end = {"knee": "ankle", "elbow": "wrist"}[joint.split("_")[1]]
    turn = Rotation.from_rotvec(np.radians(70) * np.array(axis)).as_matrix()
    bent[0, AT(joint)] = bent[0, AT(joint.replace(joint.split("_")[1], end))] = turn
    joints = pose(rest_directions(H36M_17) * LENGTHS[:, None], bent, np.zeros((1, 3)), H36M_17)
    forward = joints[0, AT(joint) + 1, 2]
    assert forward < -0.1 if "knee" in joint else forward > 0.1
    found = relative(orientations(joints, H36M_17), H36M_17)[0, AT(joint)]
    np.testing.assert_allclose(Rotation.from_matrix(found).as_rotvec(degrees=True), 70 * np.array(axis), atol=1e-6)


def test_a_turned_body_has_turned_orientations(walking: np.ndarray):
    turn = Rotation.from_euler("xyz", (20, 130, -60), degrees=True).as_matrix()
    np.testing.assert_allclose(
        orientations(walking @ turn.T, H36M_17), turn @ orientations(walking, H36M_17), atol=1e-9
    )


def test_a_mirrored_body_has_mirrored_orientations(walking: np.ndarray):
    mirror = np.diag([-1.0, 1, 1])
    mirrored = (walking @ mirror)[:, H36M_17.mirror]
    expected = mirror @ orientations(walking, H36M_17)[:, H36M_17.mirror] @ mirror
    np.testing.assert_allclose(orientations(mirrored, H36M_17), expected, atol=1e-6)


def test_an_arm_that_straightens_does_not_roll():
    bends = np.radians(np.linspace(-3, 60, 64))
    joints = np.repeat(t_pose(), len(bends), axis=0)
    swing = np.stack([np.cos(bends), 0 * bends, np.sin(bends)], axis=-1)
    joints[:, AT("left_wrist")] = joints[:, AT("left_elbow")] + 0.2 * swing
    turned = orientations(joints, H36M_17)[:, AT("left_shoulder")]
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(3), turned.shape), atol=1e-6)


def test_quaternions_turn_as_matrices_do_and_do_not_jump(walking: np.ndarray):
    turned = orientations(walking, H36M_17)
    turned[30] = np.nan
    quaternions = quaternions_of(turned)
    assert np.isnan(quaternions[30]).all()
    bone = np.array([0.1, -0.4, 0.2])
    np.testing.assert_allclose(rotate(quaternions[10, 2], bone[None])[0], turned[10, 2] @ bone, atol=1e-12)
    there = np.delete(quaternions, 30, axis=0)
    assert (np.sum(there[1:] * there[:-1], axis=-1) > 0).all()
    np.testing.assert_allclose(matrices_of(quaternions), turned, atol=1e-12)


def test_frames_that_lack_a_joint_are_nan_and_spoil_nothing(walking: np.ndarray):
    holed = walking.copy()
    holed[7, 3] = np.nan
    turned = orientations(holed, H36M_17)
    assert np.isnan(turned[7]).all()
    whole = np.delete(walking, 7, axis=0)
    np.testing.assert_allclose(np.delete(turned, 7, axis=0), orientations(whole, H36M_17), atol=1e-9)
    np.testing.assert_allclose(bone_lengths(holed, H36M_17), bone_lengths(walking, H36M_17), atol=1e-9)


def test_nobody_has_no_bones():
    nobody = np.full((4, 17, 3), np.nan)
    assert np.isnan(orientations(nobody, H36M_17)).all()
    assert np.isnan(bone_lengths(nobody, H36M_17)[1:]).all()
    assert np.isnan(rest_offsets(nobody, H36M_17)).all()


def test_other_layouts_are_refused():
    with pytest.raises(UsageError, match=r"coco17.*no rest pose"):
        orientations(np.zeros((1, 17, 3)), COCO_17)
