"""What is written in other programs' formats, read back by readers that share no code with the writers."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import ezc3d
import numpy as np
import pygltflib
import pytest
from exports import (
    AT,
    FPS,
    PARENTS,
    bvh_joints,
    expected,
    gltf_joints,
    gltf_numbers,
    read_c3d,
    read_trc,
    result_of,
    track_of,
    world_joints,
)
from scipy.spatial.transform import Rotation

from vidpose.body.geometry import CAMERA_TO_Y_UP, CAMERA_TO_Z_UP, Z_UP_TO_Y_UP
from vidpose.body.kinematics import orientations, quaternions_of
from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, VidposeError
from vidpose.export import FORMATS, Placement, get_formats, place_of, placing
from vidpose.export.placing import EvenClock
from vidpose.export.rigid_figure import euler_angles
from vidpose.keypoint_files.bvh_reader import read_bvh
from vidpose.refine.fit import fit

PLACES = ("world", "camera", "root")


def write(result: PoseResult, name: str, folder: Path) -> Path:
    (path,) = FORMATS[name].write(result, folder / "Straße 走.v2", heading=0)
    return path


def joints_of(path: Path, name: str) -> np.ndarray:
    """(N, 17, 3) metres, y up, of any format that has joints."""
    if name == "trc":
        return read_trc(path)[2]
    if name == "c3d":
        x, y, z = np.moveaxis(read_c3d(path)[1] / 1000, -1, 0)
        return np.stack([x, z, -y], axis=-1)
    return bvh_joints(path) if name == "bvh" else gltf_joints(path)[1]


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


def test_the_place_is_the_most_that_is_known_of_everybody():
    tracks = track_of(world_joints(5)), track_of(world_joints(5, seed=1), number=2)
    assert [place_of(result_of(*tracks, place=place)) for place in PLACES] == list(Placement)
    nowhere = dataclasses.replace(tracks[1], roots=np.full_like(tracks[1].roots, np.nan))
    assert place_of(result_of(tracks[0], nowhere)) is Placement.ROOT


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


# Each format's own conventions


def test_trc_has_the_header_that_opensim_wants(tmp_path: Path):
    track = track_of(world_joints(10), first=4)
    header, times, _ = read_trc(write(result_of(track), "trc", tmp_path))
    assert header["name"] == "Straße 走.v2_person1.trc"
    assert header["markers"][1:7] == ["RHJC", "RKJC", "RAJC", "LHJC", "LKJC", "LAJC"]
    assert header["markers"][11:] == ["LSJC", "LEJC", "LWJC", "RSJC", "REJC", "RWJC"]
    assert (float(header["DataRate"]), header["OrigDataStartFrame"], header["Units"]) == (FPS, "5", "m")
    np.testing.assert_allclose(times, np.arange(4, 14) / FPS, atol=1e-6)


def test_absent_joints_are_empty_cells_and_residuals_of_minus_one(tmp_path: Path):
    world = world_joints(10)
    track = track_of(world)
    track.joints[3] = np.nan
    track.roots[5] = np.nan
    result = result_of(track)
    read = read_trc(write(result, "trc", tmp_path))[2]
    assert np.isnan(read[[3, 5]]).all()
    assert np.isfinite(np.delete(read, [3, 5], axis=0)).all()
    residuals = read_c3d(write(result, "c3d", tmp_path))[2]
    assert (residuals[[3, 5]] == -1).all()
    assert (np.delete(residuals, [3, 5], axis=0) == 0).all()


def test_c3d_says_units_rate_names_and_axes(tmp_path: Path):
    reader, _, _ = read_c3d(write(result_of(track_of(world_joints(10), number=7, first=4)), "c3d", tmp_path))
    assert reader.point_rate == FPS
    assert (reader.first_frame, reader.last_frame) == (5, 14)
    assert [label.strip() for label in reader.point_labels] == list(H36M_17.joints)
    assert reader.get("POINT:UNITS").string_value.strip() == "mm"
    assert (reader.get("POINT:X_SCREEN").string_value, reader.get("POINT:Y_SCREEN").string_value) == ("+X", "+Z")
    assert reader.get("VIDPOSE:POSITIONS").string_value == Placement.WORLD.value


@pytest.mark.parametrize(
    "together", [range(17), (9,), (2,), (1, 4), (1, 4, 7), (9, 10, 11, 14)], ids=lambda joints: str([*joints])
)
def test_joints_that_coincide_are_fitted_and_exported(tmp_path: Path, together: Sequence[int]):
    """A bone without a length points anywhere: no joint is moved by how it is turned."""
    track = track_of(world_joints(12))
    for joint in together:
        track.joints[:, joint] = track.joints[:, max(PARENTS[joint], 0)]
    result = result_of(track)
    assert np.isfinite(fit(result, 1.7).tracks[0].joints).all()
    for name in ("bvh", "gltf", "mot"):
        FORMATS[name].write(result, tmp_path / "walk")
    joints = gltf_joints(tmp_path / "walk.glb")[1]
    for joint in together:
        np.testing.assert_allclose(joints[:, joint], joints[:, max(PARENTS[joint], 0)], atol=1e-6)


def test_more_frames_than_a_c3d_can_count_are_several_files(tmp_path: Path):
    world = np.tile(world_joints(1000), (66, 1, 1))
    paths = FORMATS["c3d"].write(result_of(track_of(world)), tmp_path / "walk")
    assert [path.name for path in paths] == ["walk_person1.c3d", "walk_person1_part2.c3d"]
    assert FORMATS["c3d"].present(tmp_path / "walk") == paths
    first, second = (ezc3d.c3d(str(path)) for path in paths)
    points = np.concatenate([file["data"]["points"][:3] for file in (first, second)], axis=2).transpose(2, 1, 0) / 1000
    np.testing.assert_allclose(points, world, atol=1e-4)
    assert second["parameters"]["VIDPOSE"]["START"]["value"][0] == pytest.approx(65534 / FPS, abs=1e-3)


def test_c3d_of_somebody_late_counts_from_the_first_frame_and_says_when_that_was(tmp_path: Path):
    reader, points, _ = read_c3d(write(result_of(track_of(world_joints(2), first=65534)), "c3d", tmp_path))
    assert len(points) == 2
    assert reader.get("VIDPOSE:START").float_value == pytest.approx(65534 / FPS, abs=1e-3)


def test_json_and_csv_say_where_the_root_is_in_the_cameras_frame(tmp_path: Path):
    track = track_of(world_joints(3))
    track.roots[1] = np.nan
    result = result_of(track)
    content = json.loads(write(result, "json", tmp_path).read_text(encoding="utf-8"))
    np.testing.assert_allclose(content["header"]["camera"]["to_world"], result.camera.to_world)
    roots = [row["root"] for row in content["people"][0]["frames"]]
    assert roots[1] is None
    with open(write(result, "csv", tmp_path), encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert table[1]["root_x"] == ""
    for row in (0, 2):
        np.testing.assert_allclose(roots[row], track.roots[row], atol=6e-5)
        np.testing.assert_allclose([float(table[row][f"root_{x}"]) for x in "xyz"], track.roots[row], atol=6e-5)
    content = json.loads(write(result_of(track, place="root"), "json", tmp_path).read_text(encoding="utf-8"))
    assert (content["header"]["camera"], content["people"][0]["frames"][0]["root"]) == (None, None)


def test_a_c3d_that_is_cut_off_by_a_full_disk_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write_a_part(file: ezc3d.c3d, path: str) -> None:
        whole(file, path)
        with open(path, "r+b") as cut:
            cut.truncate(Path(path).stat().st_size - 600)

    whole = ezc3d.c3d.write
    monkeypatch.setattr(ezc3d.c3d, "write", write_a_part)
    with pytest.raises(VidposeError, match="cannot write"):
        write(result_of(track_of(world_joints(10))), "c3d", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["bvh", "gltf"])
def test_gaps_are_bridged_by_turning_evenly(name: str, tmp_path: Path):
    track = track_of(world_joints(12))
    track.joints[4:8] = np.nan
    path = write(result_of(track), name, tmp_path)
    if name == "gltf":
        times, _ = gltf_joints(path)
        np.testing.assert_allclose(times, np.delete(np.arange(12), range(4, 8)) / FPS, atol=1e-6)
        return
    animation, fps = read_bvh(path)
    assert (len(animation.positions), fps) == (12, FPS)
    for joint in ("pelvis", "lowerarm_l"):
        turns = Rotation.from_matrix(animation.rotations[:, animation.names.index(joint)])
        steps = (turns[4:9] * turns[3:8].inv()).magnitude()
        np.testing.assert_allclose(steps, steps.mean(), rtol=1e-3)
        assert steps.mean() > 0.01


def test_gltf_holds_everybody_with_a_skin_that_fits_their_bones(tmp_path: Path):
    worlds = world_joints(30), world_joints(20, seed=2)
    path = write(result_of(track_of(worlds[0]), track_of(worlds[1], number=2, first=6)), "gltf", tmp_path)
    for person, world, first in ((1, worlds[0], 0), (2, worlds[1], 6)):
        times, joints = gltf_joints(path, person)
        np.testing.assert_allclose(times, (first + np.arange(len(world))) / FPS, atol=1e-6)
        assert np.linalg.norm(joints - expected(world, "world"), axis=-1).max() < 1e-3
    file = pygltflib.GLTF2().load(str(path))
    assert file.asset.extras == {"positions": Placement.WORLD.value}
    for person, skin in enumerate(file.skins, start=1):
        # At rest each inverse bind matrix takes its joint to the origin.
        rest = {}
        for number in skin.joints:
            node, own = file.nodes[number], np.eye(4)
            parent = next((i for i in skin.joints if number in (file.nodes[i].children or ())), None)
            own[:3, :3] = Rotation.from_quat(node.rotation).as_matrix()
            own[:3, 3] = np.zeros(3) if parent is None else node.translation
            rest[number] = own if parent is None else rest[parent] @ own
        binds = gltf_numbers(file, skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        np.testing.assert_allclose(binds @ [rest[i] for i in skin.joints], np.tile(np.eye(4), (17, 1, 1)), atol=1e-6)
        # A bone's y runs along it: to the knee, to the elbow, up the trunk.
        for bone, end in (
            ("thigh_r", "calf_r"),
            ("upperarm_l", "lowerarm_l"),
            ("pelvis", "spine"),
            ("head", "head_end"),
        ):
            start, end = (next(rest[i] for i in skin.joints if file.nodes[i].name == name) for name in (bone, end))
            along = end[:3, 3] - start[:3, 3]
            np.testing.assert_allclose(start[:3, 1], along / np.linalg.norm(along), atol=1e-6)
        assert file.nodes[skin.skeleton].name == "pelvis"
        mesh = next(mesh for mesh in file.meshes if mesh.name == f"person {person}")
        colours = {file.materials[primitive.material].name: primitive for primitive in mesh.primitives}
        left = gltf_numbers(file, colours["left"].attributes.POSITION)
        right = gltf_numbers(file, colours["right"].attributes.POSITION)
        assert left[:, 0].mean() > 0.1 > -0.1 > right[:, 0].mean()


@pytest.mark.parametrize(
    ("bones", "thigh", "hand"),
    [("mixamo", "mixamorig:RightUpLeg", "mixamorig:LeftHand"), ("rigify", "thigh.R", "hand.L"),
     ("vrm", "rightUpperLeg", "leftHand"), ("plain", "thigh_r", "hand_l")],
)  # fmt: skip
def test_bones_are_called_as_a_rig_has_them(bones: str, thigh: str, hand: str, tmp_path: Path):
    result = result_of(track_of(world_joints(3)))
    (path,) = result.export("gltf", tmp_path / "a", bones=bones)
    names = [node.name for node in pygltflib.GLTF2().load(str(path)).nodes]
    assert names[2] == thigh
    assert hand in names
    (path,) = result.export("bvh", tmp_path / "a", bones=bones)
    animation, _ = read_bvh(path)
    assert animation.names[1] == thigh


def test_names_that_no_rig_has_are_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"`bones=vmr`: no such names; did you mean vrm\? known are plain, mixamo"):
        result_of(track_of(world_joints(3))).export("gltf", tmp_path / "a", bones="vmr")


def test_glb_is_gltf():
    assert get_formats(["glb", "gltf"]) == {"gltf": FORMATS["gltf"]}


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
