"""What each format for other programs has of its own, read back by readers that share no code with the writers."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import ezc3d
import numpy as np
import pygltflib
import pytest
from exports import (
    FPS,
    PARENTS,
    expected,
    gltf_joints,
    gltf_numbers,
    read_c3d,
    read_trc,
    result_of,
    track_of,
    world_joints,
    write,
)
from scipy.spatial.transform import Rotation

from vidpose.body.skeletons import H36M_17
from vidpose.common.errors import UsageError, VidposeError
from vidpose.export import FORMATS, Placement, get_formats
from vidpose.keypoint_files.bvh_reader import read_bvh
from vidpose.keypoint_files.markers import read_trc as read_own_trc
from vidpose.refine.fit import fit


def test_trc_has_the_header_that_opensim_wants(tmp_path: Path):
    track = track_of(world_joints(10), first=4)
    header, times, _ = read_trc(write(result_of(track), "trc", tmp_path))
    assert header["name"] == "Straße 走.v2_person1.trc"
    assert header["markers"][1:7] == ["RHJC", "RKJC", "RAJC", "LHJC", "LKJC", "LAJC"]
    assert header["markers"][11:] == ["LSJC", "LEJC", "LWJC", "RSJC", "REJC", "RWJC"]
    assert (float(header["DataRate"]), header["OrigDataStartFrame"], header["Units"]) == (FPS, "5", "m")
    np.testing.assert_allclose(times, np.arange(4, 14) / FPS, atol=1e-6)


@pytest.mark.parametrize("sign", ["\n", "\t", "\r", "\x0b", "\x85", "\u2028"])
def test_a_name_of_several_lines_leaves_the_header_of_a_trc_whole(sign: str, tmp_path: Path):
    result = result_of(track_of(world_joints(10)))
    (path,) = FORMATS["trc"].write(result, tmp_path / f"a{sign}b", heading=0)
    header, times, _ = read_trc(path)
    assert header["name"] == "a b_person1.trc"
    assert len(times) == 10
    assert len(read_own_trc(path).times) == 10


def test_absent_joints_are_empty_cells_and_residuals_of_minus_one(tmp_path: Path):
    world = world_joints(10)
    track = track_of(world)
    track.joints[3] = np.nan
    track.roots[5] = np.nan
    result = result_of(track)
    read = read_trc(write(result, "trc", tmp_path))[2]
    assert np.isnan(read[[3, 5]]).all()
    assert np.isfinite(np.delete(read, [3, 5], axis=0)).all()
    _, points, residuals = read_c3d(write(result, "c3d", tmp_path))
    assert (points[[3, 5]] == 0).all()
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


def test_gltf_of_a_clock_that_began_in_1970_begins_at_0(tmp_path: Path):
    world, began = world_joints(30), 1.7e9
    path = write(result_of(track_of(world), times=began + np.arange(30) / FPS), "gltf", tmp_path)
    np.testing.assert_allclose(gltf_joints(path)[0], np.arange(30) / FPS, atol=1e-6)
    assert pygltflib.GLTF2().load(str(path)).asset.extras["start_seconds"] == began


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
