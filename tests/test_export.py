"""What is written in other programs' formats, read back by readers that share no code with the writers."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from exports import (
    AT,
    FPS,
    PARENTS,
    bvh_joints,
    expected,
    joints_of,
    read_trc,
    result_of,
    track_of,
    world_joints,
    write,
)
from scipy.spatial.transform import Rotation

from vidpose.body.geometry import CAMERA_TO_Y_UP, CAMERA_TO_Z_UP, Z_UP_TO_Y_UP
from vidpose.body.kinematics import orientations, quaternions_of
from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.common.errors import UsageError
from vidpose.export import FORMATS, Placement, get_formats, place_of, placing
from vidpose.export.placing import EvenClock
from vidpose.export.rigid_figure import euler_angles
from vidpose.keypoint_files.bvh_reader import read_bvh

PLACES = ("world", "camera", "root")


# Axes and places


@pytest.mark.parametrize("axes", [CAMERA_TO_Y_UP, CAMERA_TO_Z_UP, Z_UP_TO_Y_UP], ids=["y up", "z up", "z to y"])
def test_axis_changes_are_proper_rotations(axes: np.ndarray):
    assert np.linalg.det(axes) == pytest.approx(1)
    assert axes @ axes.T == pytest.approx(np.eye(3))


def test_up_is_up_and_right_stays_right():
    right, up = np.array([1.0, 0, 0]), np.array([0.0, -1, 0])
    assert (CAMERA_TO_Y_UP @ right).tolist() == (CAMERA_TO_Z_UP @ right).tolist() == [1, 0, 0]
    assert (CAMERA_TO_Y_UP @ up).tolist() == (Z_UP_TO_Y_UP @ [0, 0, 1]).tolist() == [0, 1, 0]
    assert (CAMERA_TO_Z_UP @ up).tolist() == [0, 0, 1]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["trc", "c3d", "bvh", "gltf"])
def test_joints_come_back_within_a_millimetre_from_the_most_placed_coordinates(name: str, place: str, tmp_path: Path):
    world = world_joints()
    path = write(result_of(track_of(world), place=place), name, tmp_path)
    assert np.linalg.norm(joints_of(path, name) - expected(world, place), axis=-1).max() < 1e-3


@pytest.mark.parametrize("name", ["trc", "c3d", "bvh", "gltf"])
def test_the_right_arm_stays_the_right_arm(name: str, tmp_path: Path):
    # Someone who faces the camera raises the hand that is on the left of the picture: their right one.
    joints = np.zeros((1, 17, 3), np.float32)
    directions = {"hip": (-0.1, 0, 0), "knee": (0, 0.4, 0), "ankle": (0, 0.4, 0)}
    directions |= {"shoulder": (-0.2, 0, 0), "elbow": (-0.05, -0.3, 0), "wrist": (-0.02, -0.25, 0)}
    middle = {"spine": (0, -0.25, 0), "thorax": (0, -0.25, 0), "nose": (0, -0.15, -0.05), "head_top": (0, -0.15, 0.02)}
    for joint, title in enumerate(H36M_17.joints[1:], start=1):
        bone = np.array(middle.get(title) or directions[title.split("_")[1]])
        if title.startswith("left_"):
            bone *= (-1, -1 if title in ("left_elbow", "left_wrist") else 1, 1)
        joints[:, joint] = joints[:, PARENTS[joint]] + bone
    track = dataclasses.replace(track_of(world_joints(1)), joints=joints)
    read = joints_of(write(result_of(track, place="root"), name, tmp_path), name)[0]
    assert read[AT("right_wrist"), 0] < -0.2
    assert read[AT("left_wrist"), 0] > 0.2
    assert read[AT("right_wrist"), 1] > read[AT("head_top"), 1] > read[0, 1] + 0.5
    # Nobody knows a floor: it is 8 cm below the ankles.
    assert read[AT("left_ankle"), 1] == pytest.approx(0.08)
    # The face is towards the camera, which is where z points.
    assert read[AT("nose"), 2] > 0.03


def test_the_place_is_the_most_that_is_known():
    tracks = track_of(world_joints(5)), track_of(world_joints(5, seed=1), number=2)
    assert [place_of(result_of(*tracks, place=place)) for place in PLACES] == list(Placement)
    nowhere = dataclasses.replace(tracks[1], roots=np.full_like(tracks[1].roots, np.nan))
    assert place_of(result_of(tracks[0], nowhere)) is Placement.WORLD
    assert place_of(result_of(nowhere)) is Placement.ROOT


# Noisy joints: the skeleton is rigid, and as near as one can be


@pytest.mark.parametrize("name", ["bvh", "gltf"])
def test_a_skeleton_has_median_bones_that_point_as_the_joints_say(name: str, tmp_path: Path):
    world = world_joints() + np.random.default_rng(0).normal(0, 0.01, (60, 17, 3))
    raw = expected(world, "world")
    read = joints_of(write(result_of(track_of(world)), name, tmp_path), name)
    bones = [(AT(start), AT(end)) for start, end in
             (("right_hip", "right_knee"), ("left_knee", "left_ankle"), ("right_shoulder", "right_elbow"),
              ("right_elbow", "right_wrist"), ("spine", "thorax"), ("nose", "head_top"))]  # fmt: skip
    for start, end in bones:
        bone = raw[:, end] - raw[:, start]
        lengths = np.linalg.norm(bone, axis=1, keepdims=True)
        np.testing.assert_allclose(read[:, end] - read[:, start], bone / lengths * np.median(lengths), atol=1e-4)
    # Pelvis and thorax turn as the best rotation of the bones that leave them does, found by another solver.
    for joint in (AT("pelvis"), AT("thorax")):
        children = [child for child, parent in enumerate(PARENTS) if parent == joint]
        posed, seen = (joints[:, children] - joints[:, joint, None] for joints in (read, raw))
        for before, after in zip(posed, seen, strict=True):
            # Lengths vary from frame to frame, and the weights with them: the same turn up to the noise.
            left_over, _ = Rotation.align_vectors(after, before)
            assert np.degrees(left_over.magnitude()) < 3
    lengths = np.linalg.norm(read - read[:, np.maximum(PARENTS, 0)], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-4


@pytest.mark.parametrize("name", ["bvh", "gltf"])
def test_a_fitted_bodys_rotations_are_written_as_they_are(name: str, tmp_path: Path):
    track = track_of(world_joints(20))
    turned = orientations(track.joints.astype(float), H36M_17)
    # A forearm that is turned about itself: joints cannot show it, rotations can.
    twist = Rotation.from_euler("x", 40, degrees=True).as_matrix()
    turned[:, AT("left_elbow")] = turned[:, AT("left_elbow")] @ twist
    fitted = dataclasses.replace(track, rotations=quaternions_of(turned).astype(np.float32))
    path = write(result_of(fitted, place="camera"), name, tmp_path)
    if name == "bvh":
        animation, _ = read_bvh(path)
        read = animation.rotations[:, animation.names.index("lowerarm_l")]
        np.testing.assert_allclose(read, np.diag([1, -1, -1]) @ turned[:, AT("left_elbow")], atol=1e-5)
    assert np.linalg.norm(joints_of(path, name) - expected(world_joints(20), "camera"), axis=-1).max() < 1e-3


def test_euler_angles_are_the_rotation_and_do_not_jump():
    angles = np.stack([np.linspace(170, 200, 80), np.linspace(0, 140, 80), np.linspace(-150, -200, 80)], axis=1)
    turns = Rotation.from_euler("ZXY", angles, degrees=True).as_matrix()
    found = euler_angles(turns)
    np.testing.assert_allclose(Rotation.from_euler("ZXY", found, degrees=True).as_matrix(), turns, atol=1e-9)
    np.testing.assert_allclose(found, angles, atol=1e-6)


@pytest.mark.parametrize("quarter", [90, -90])
def test_euler_angles_survive_their_gimbal_lock(quarter: int):
    turns = Rotation.from_euler("ZXY", [[30, quarter, 20]] * 3, degrees=True).as_matrix()
    found = Rotation.from_euler("ZXY", euler_angles(turns), degrees=True).as_matrix()
    np.testing.assert_allclose(found, turns, atol=1e-7)


# Time


def test_uneven_times_are_brought_to_the_rate_of_the_median_interval(tmp_path: Path):
    times = np.cumsum([0, 0.02, 0.05, 0.01, 0.04, 0.06, 0.02, 0.03, 0.05, 0.02])
    world = world_joints(1) + times[:, None, None] * [0.5, 1, 0]
    result = result_of(track_of(world), times=times)
    header, read_times, read = read_trc(write(result, "trc", tmp_path))
    assert float(header["DataRate"]) == pytest.approx(1 / 0.03, rel=1e-5)
    np.testing.assert_allclose(np.diff(read_times), 0.03, atol=2e-6)
    straight = expected(world_joints(1) + read_times[:, None, None] * [0.5, 1, 0], "world")
    np.testing.assert_allclose(read, straight, atol=1e-4)
    np.testing.assert_allclose(bvh_joints(write(result, "bvh", tmp_path)), straight, atol=1e-3)


def test_times_in_whole_milliseconds_are_an_even_rate():
    result = result_of(track_of(world_joints(50)), times=np.round(np.arange(50) / FPS, 3))
    clock = EvenClock.of(result.source)
    assert (clock.start, clock.rate, clock.places.tolist()) == (0, FPS, list(range(50)))


def test_a_stated_rate_that_the_frames_do_not_keep_is_not_believed():
    result = result_of(track_of(world_joints(50)), times=np.arange(50) / 12.5)
    clock = EvenClock.of(result.source)
    assert (clock.start, clock.rate, clock.places.tolist()) == (0, pytest.approx(12.5), list(range(50)))


@pytest.mark.parametrize("name", FORMATS)
def test_one_frame_is_enough(name: str, tmp_path: Path):
    path = write(result_of(track_of(world_joints(1))), name, tmp_path)
    assert path.exists()
    if name in ("trc", "c3d", "bvh", "gltf"):
        assert np.linalg.norm(joints_of(path, name) - expected(world_joints(1), "world"), axis=-1).max() < 1e-3


# Names, people, and what is missing


def test_a_file_a_person_or_one_for_all(tmp_path: Path):
    result = result_of(track_of(world_joints(3)), track_of(world_joints(3), number=12))
    for name, format_ in FORMATS.items():
        paths = format_.write(result, tmp_path / "a [1].b")
        assert paths == format_.paths(result, tmp_path / "a [1].b"), name
        assert sorted(paths) == format_.present(tmp_path / "a [1].b"), name
        assert len(paths) == (2 if name in ("bvh", "c3d", "mot", "opensim", "trc") else 1)
    assert (tmp_path / "a [1].b_person12.trc").exists()
    assert FORMATS["trc"].present(tmp_path / "a") == []


@pytest.mark.parametrize("name", FORMATS)
def test_somebody_without_joints_is_left_out_with_a_word(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tracks = track_of(world_joints(3)), track_of(world_joints(3), number=2)
    tracks[1].joints[:] = np.nan
    paths = FORMATS[name].write(result_of(*tracks), tmp_path / "a")
    assert len(paths) == 1
    assert ("person 2 has no 3D pose" in caplog.text) == FORMATS[name].joints


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].joints])
def test_somebody_without_a_place_takes_nobody_elses(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    walker, bystander = track_of(world_joints(20)), track_of(world_joints(8, seed=1), number=2)
    bystander.roots[:] = np.nan
    alone = write(result_of(walker), name, tmp_path / "alone")
    beside = write(result_of(walker, bystander), name, tmp_path / "beside")
    files = sorted(path for path in (alone, *alone.rglob("*")) if path.is_file())
    for file in files:
        assert (beside / file.relative_to(alone)).read_bytes() == file.read_bytes()
    assert files
    assert "person 2 has no place before the camera, and is left out" in caplog.text
    assert FORMATS["gltf"].paths(result_of(bystander), tmp_path / "c")


@pytest.mark.parametrize("name", FORMATS)
def test_nobody_leaves_nothing_half_said(name: str, tmp_path: Path):
    result = result_of()
    paths = FORMATS[name].write(result, tmp_path / "a")
    assert paths == ([] if FORMATS[name].joints else FORMATS[name].paths(result, tmp_path / "a"))
    if name == "coco":
        content = json.loads(paths[0].read_text())
        assert (content["annotations"], len(content["images"])) == ([], 5)


@pytest.mark.parametrize("name", ["bvh", "gltf", "mot"])
def test_a_layout_without_a_rest_pose_is_refused_in_one_line(name: str, tmp_path: Path):
    result = dataclasses.replace(result_of(track_of(world_joints(3))), joint_layout=COCO_17.name)
    with pytest.raises(UsageError, match=r"coco17.*no rest pose") as caught:
        write(result, name, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_gets_the_nearest_name():
    with pytest.raises(UsageError, match=r"'bhv': no such format; did you mean bvh\? known are bvh, c3d"):
        get_formats(["trc", "bhv"])


def test_formats_may_be_listed_with_commas():
    assert list(get_formats(["trc,bvh", "csv, trc"])) == ["trc", "bvh", "csv"]


def test_what_everybody_shares_is_found_out_once_a_result(tmp_path, monkeypatch):
    """A file a person asks where the floor of all is: with 144 people it took most of an hour."""
    asked, floor_below = [], placing.floor_below
    monkeypatch.setattr(placing, "floor_below", lambda heights: asked.append(len(heights)) or floor_below(heights))
    people = tuple(track_of(world_joints(seed=number), number) for number in (1, 2, 3))
    low, alone = result_of(*people, place="camera"), result_of(*people[1:], place="camera")
    FORMATS["bvh"].write(low, tmp_path / "low")
    assert asked == [3]
    FORMATS["bvh"].write(alone, tmp_path / "alone")
    FORMATS["bvh"].write(low, tmp_path / "again")
    assert asked == [3, 2, 3]
    for number in (1, 2, 3):
        again = (tmp_path / f"again_person{number}.bvh").read_bytes()
        assert again == (tmp_path / f"low_person{number}.bvh").read_bytes()
    assert (tmp_path / "alone_person2.bvh").read_bytes() != (tmp_path / "low_person2.bvh").read_bytes()
