"""Other programs' keypoints: each format's own example, written here by its description."""

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import FPS, expected, result_of, track_of, world_joints
from scipy.spatial.transform import Rotation

from vidpose.body.bone_names import BONE_NAMES
from vidpose.body.skeletons import BLAZEPOSE_33, BODY_25, COCO_17, H36M_17, HALPE_26, get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import UsageError, VidposeError
from vidpose.export import FORMATS
from vidpose.keypoint_files import read_keypoints
from vidpose.keypoint_files.joint_names import joint_of, named_layout
from vidpose.pipeline.keypoint_intake import smooth_joints, take_in
from vidpose.refine.smoothing import Smoothing

FRAMES = 12


def people(count: int, frames: int = FRAMES) -> np.ndarray:
    """(frames, 2, count, 3) x, y, score of two people who walk to the right, 400 pixels apart."""
    random = np.random.default_rng(count)
    bodies = random.uniform(100, 300, (1, 2, count, 2)) + np.array([[0, 0], [400, 0]])[None, :, None]
    moved = bodies + np.arange(frames)[:, None, None, None] * [2, 0]
    return np.round(np.concatenate([moved, random.uniform(0.3, 1, (frames, 2, count, 1))], axis=-1), 3)


def flat(row: np.ndarray) -> list[float]:
    return row.ravel().tolist()


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def openpose(folder: Path, values: np.ndarray, ids: bool = False, first: int = 0) -> Path:
    folder.mkdir()
    for frame, row in enumerate(values):
        listed = [
            {"person_id": [person if ids else -1], "pose_keypoints_2d": flat(one), "face_keypoints_2d": []}
            for person, one in enumerate(row)
        ]
        write(folder / f"my_walk_2_{frame + first:012d}_keypoints.json", {"version": 1.3, "people": listed})
    return folder


def check(found: PoseResult, values: np.ndarray, layout: str) -> None:
    """See that the tracks are the two people's, whole and each to itself."""
    assert found.keypoint_layout == layout
    count = len(get_skeleton(layout))
    assert [len(track) for track in found.tracks] == [len(values)] * 2
    for track in found.tracks:
        person = int(track.keypoints[0, 0, 0] > 350)
        np.testing.assert_allclose(track.keypoints, values[:, person, :count, :2], atol=1e-3)
        np.testing.assert_allclose(track.scores, values[:, person, :count, 2].clip(0, 1), atol=1e-6)
        assert (track.boxes[:, 2:] > track.boxes[:, :2]).all()


# OpenPose


@pytest.mark.parametrize(
    ("count", "layout"),
    [(25, "body25"), (18, "openpose18"), (15, "openpose-mpi15"), (17, "coco17"), (26, "halpe26"), (133, "coco-feet23"),
     (136, "halpe26")],
)  # fmt: skip
def test_openpose_of_all_layouts(tmp_path: Path, count: int, layout: str):
    values = people(count)
    found = take_in(openpose(tmp_path / "op", values), size=(1920, 1080), fps=25)
    check(found, values, layout)
    assert found.source.fps == 25
    np.testing.assert_allclose(found.source.times, np.arange(FRAMES) / 25)
    assert (found.source.width, found.source.height) == (1920, 1080)


def test_openpose_ids_missing_points_empty_frames_and_a_late_beginning(tmp_path: Path):
    values = people(25)
    values[3] = 0
    values[:, 0, 4] = 0
    folder = openpose(tmp_path / "op", values, ids=True, first=7)
    write(folder / "my_walk_2_000000000010_keypoints.json", {"version": 1.3, "people": []})
    found = take_in(folder, size=(1920, 1080), fps=30)
    assert found.provenance["ids"] == "of the file"
    assert [track.id for track in found.tracks] == [1, 2]
    assert found.source.num_frames == FRAMES
    assert found.tracks[0].seen.tolist() == [frame != 3 for frame in range(FRAMES)]
    assert np.isnan(found.tracks[0].keypoints[:, 4]).all()
    assert (found.tracks[0].scores[:, 4] == 0).all()
    assert np.isfinite(found.tracks[1].keypoints[0]).all()


def test_openpose_in_shares_of_the_picture(tmp_path: Path):
    values = people(25)
    shares = values / [1000, 500, 1]
    check(take_in(openpose(tmp_path / "op", shares), size=(1000, 500), fps=30), values, "body25")


@pytest.mark.parametrize("body", [{"pose_keypoints_2d": []}, {"pose_keypoints_2d": None}, {}])
def test_openpose_of_people_whose_hands_alone_were_found(tmp_path: Path, body: dict[str, Any]):
    values = people(25)
    folder = openpose(tmp_path / "op", values)
    for path in folder.iterdir():
        content = json.loads(path.read_text())
        content["people"].insert(0, {"person_id": [-1], "hand_left_keypoints_2d": [1, 2, 0.5] * 21} | body)
        write(path, content)
    write(folder / "settings.json", {"net_resolution": "-1x368"})
    check(take_in(folder, size=(1920, 1080), fps=30), values, "body25")


def test_body_25_means_what_it_says():
    """OpenPose's documentation: 8 is the middle of the hips, 9 the right one, 19 the left big toe."""
    assert [BODY_25.joints[i] for i in (0, 1, 4, 8, 9, 14, 15, 18, 19, 24)] == [
        "nose", "neck", "right_wrist", "pelvis", "right_hip", "left_ankle", "right_eye", "left_ear", "left_big_toe",
        "right_heel",
    ]  # fmt: skip
    assert [HALPE_26.joints[i] for i in (5, 16, 17, 18, 19, 20, 25)] == [
        "left_shoulder", "right_ankle", "head_top", "neck", "pelvis", "left_big_toe", "right_heel",
    ]  # fmt: skip


# Lists of people: AlphaPose and COCO


@pytest.mark.parametrize(("count", "layout"), [(17, "coco17"), (26, "halpe26"), (136, "halpe26")])
@pytest.mark.parametrize("tracked", [True, False])
def test_alphapose(tmp_path: Path, count: int, layout: str, tracked: bool):
    values = people(count)
    listed = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": flat(one), "score": 2.9,
         "box": [1, 2, 300, 400], "idx": [person + 1.0] if tracked else [0.0]}
        for frame, row in enumerate(values) for person, one in enumerate(row)
    ]  # fmt: skip
    found = take_in(write(tmp_path / "alphapose-results.json", listed), size=(1920, 1080))
    check(found, values, layout)
    assert found.provenance["ids"] == ("of the file" if tracked else "tracked")
    assert found.tracks[0].boxes[0].tolist() == [1, 2, 301, 402]


def test_pictures_that_count_from_one_and_frames_without_anybody(tmp_path: Path):
    values = people(17)
    listed = [
        {"image_id": f"out/frame_{frame + 1:06d}.jpg", "category_id": 1, "keypoints": flat(values[frame, 0])}
        for frame in range(FRAMES) if frame != 5
    ]  # fmt: skip
    found = take_in(write(tmp_path / "a.json", listed), size=(1920, 1080), fps=25)
    [track] = found.tracks
    assert track.frames.tolist() == list(range(FRAMES))
    assert np.flatnonzero(~track.seen).tolist() == [5]


@pytest.mark.parametrize("name", ["walk_{}_1080p.jpg", "cam2/{:05d}.png", "2026-11-28/{}-of-12.jpg", "{}"])
def test_the_number_that_differs_counts_frames(tmp_path: Path, name: str):
    values = people(17)
    listed = [
        {"image_id": name.format(frame), "keypoints": flat(one)}
        for frame, row in enumerate(values) for one in row
    ]  # fmt: skip
    check(take_in(write(tmp_path / "a.json", listed), size=(1920, 1080), fps=30), values, "coco17")


@pytest.mark.parametrize("nothing", [None, []])
def test_boxes_without_keypoints_and_a_list_for_each_keypoint(tmp_path: Path, nothing: list | None):
    values = people(17)
    listed = [
        {"image_id": frame, "bbox": [1, 2, 3, 4], "keypoints": keypoints}
        for frame, row in enumerate(values) for keypoints in (nothing, *(one.tolist() for one in row))
    ]  # fmt: skip
    check(take_in(write(tmp_path / "a.json", listed), size=(1920, 1080), fps=30), values, "coco17")


@pytest.mark.parametrize("parts", [False, True])
def test_coco_wholebody_results(tmp_path: Path, parts: bool):
    values = people(133)
    listed = []
    for frame, row in enumerate(values):
        for one in row:
            entry = {"image_id": frame, "category_id": 1, "score": 0.8, "keypoints": flat(one[:17] if parts else one)}
            if parts:
                entry |= {"foot_kpts": flat(one[17:23]), "face_kpts": flat(one[23:91])}
            listed.append(entry)
    check(take_in(write(tmp_path / "results.json", listed), size=(1920, 1080)), values, "coco-feet23")


def test_coco_annotations_have_visibility_for_a_score(tmp_path: Path):
    values = people(17)[:, :1]
    values[..., 2] = np.random.default_rng(0).integers(0, 3, values.shape[:-1])
    values[0, 0, :, 2] = 2
    content = {
        "images": [{"id": frame, "width": 640, "height": 360, "file_name": f"{frame}.jpg"} for frame in range(FRAMES)],
        "annotations": [
            {"id": frame, "image_id": frame, "category_id": 1, "keypoints": flat(row[0]), "bbox": [0, 0, 9, 9]}
            for frame, row in enumerate(values)
        ],
        "categories": [],
    }
    found = take_in(write(tmp_path / "a.json", content))
    assert (found.source.width, found.source.height) == (640, 360)
    np.testing.assert_allclose(found.tracks[0].scores, values[:, 0, :, 2] / 2)


def test_ids_of_pictures_that_count_nothing_are_taken_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    values = people(17, 3)
    listed = [
        {"image_id": image, "category_id": 1, "score": 0.8, "keypoints": flat(values[place, 0])}
        for place, image in enumerate((785, 139, 581929))
    ]
    found = take_in(write(tmp_path / "results.json", listed), size=(1920, 1080))
    assert found.source.num_frames == 3
    assert "name pictures rather than count frames" in caplog.text


# MMPose and rtmlib


def instances(row: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist(), "bbox": [[1, 2, 300, 400]]}
        for one in row
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "layout"), [(17, "coco17"), (26, "halpe26"), (133, "coco-feet23"), (16, "mpii16")])
def test_mmpose_inferencer_and_demo(tmp_path: Path, count: int, layout: str):
    values = people(count)
    inferencer = [{"frame_id": frame, "instances": instances(row)} for frame, row in enumerate(values)]
    check(take_in(write(tmp_path / "a.json", inferencer), size=(1920, 1080)), values, layout)
    demo = {"meta_info": {}, "instance_info": [one | {"frame_id": one["frame_id"] + 1} for one in inferencer]}
    found = take_in(write(tmp_path / "b.json", demo), size=(1920, 1080))
    check(found, values, layout)
    assert found.tracks[0].boxes[0].tolist() == [1, 2, 300, 400]


def test_mmpose_of_one_picture_and_of_named_keypoints(tmp_path: Path):
    values = people(17)
    found = take_in(write(tmp_path / "a.json", instances(values[0])), size=(1920, 1080))
    assert [len(track) for track in found.tracks] == [1, 1]

    order = np.random.default_rng(0).permutation(17)
    extra = np.concatenate([values[:, :, order], values[:, :, :1] * 0 + 5], axis=2)
    names = {str(place): COCO_17.joints[joint] for place, joint in enumerate(order)} | {"17": "left_ring_finger"}
    demo = {
        "meta_info": {"keypoint_id2name": names},
        "instance_info": [{"frame_id": frame + 1, "instances": instances(row)} for frame, row in enumerate(extra)],
    }
    check(take_in(write(tmp_path / "b.json", demo), size=(1920, 1080)), values, "coco17")


def test_what_rtmlib_gives(tmp_path: Path):
    values = people(26)
    listed = [
        {"frame": frame, "keypoints": row[..., :2].tolist(), "scores": row[..., 2].tolist()}
        for frame, row in enumerate(values)
    ]
    check(take_in(write(tmp_path / "a.json", listed), size=(1920, 1080)), values, "halpe26")


# MediaPipe


@pytest.mark.parametrize("shape", ["list", "solutions", "tasks", "numbers"])
def test_mediapipe_landmarks(tmp_path: Path, shape: str):
    values = people(33)[:, :1]
    shares = values / [1920, 1080, 1]
    frames = []
    for frame, row in enumerate(shares):
        landmarks = [{"x": x, "y": y, "z": 0.1, "visibility": score} for x, y, score in row[0].tolist()]
        frames.append({
            "list": landmarks,
            "solutions": {"frame": frame, "pose_landmarks": landmarks, "pose_world_landmarks": landmarks[::-1]},
            "tasks": {"timestamp_ms": 40 * frame, "landmarks": [landmarks], "worldLandmarks": [landmarks[::-1]]},
            "numbers": [[one["x"], one["y"], one["z"], one["visibility"]] for one in landmarks],
        }[shape])  # fmt: skip
    path = write(tmp_path / "a.json", {"frames": frames} if shape == "tasks" else frames)
    found = take_in(path, size=(1920, 1080), fps=None if shape == "tasks" else 25)
    assert found.keypoint_layout == BLAZEPOSE_33.name
    np.testing.assert_allclose(found.tracks[0].keypoints, values[:, 0, :, :2], atol=1e-2)
    np.testing.assert_allclose(found.tracks[0].scores, values[:, 0, :, 2], atol=1e-6)
    np.testing.assert_allclose(found.source.times, np.arange(FRAMES) / 25)


def test_mediapipe_landmarks_as_an_array(tmp_path: Path):
    values = people(33)
    array = np.concatenate([values[..., :2] / [1920, 1080], values[..., :1] * 0, values[..., 2:]], axis=-1)
    np.save(tmp_path / "a.npy", array)
    check(take_in(tmp_path / "a.npy", size=(1920, 1080)), values, BLAZEPOSE_33.name)
    np.save(tmp_path / "b.npy", array[:, 0])
    assert len(take_in(tmp_path / "b.npy", size=(1920, 1080)).tracks) == 1
    np.save(tmp_path / "c.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(VidposeError, match=r"c\.npy: not an array"):
        take_in(tmp_path / "c.npy", size=(1920, 1080))


@pytest.mark.parametrize(
    "shape", ["x1", "x0", "landmark_0_x", "LEFT_HIP_x", "leftHipX", "pose_0_x in a class", "long", "names"]
)
def test_mediapipe_landmarks_as_a_table(tmp_path: Path, shape: str):
    values = people(33)[:, 0] / [1920, 1080, 1]
    style = {
        "x1": lambda number, axis: f"{axis}{number + 1}",
        "x0": lambda number, axis: f"{axis}{number}",
        "landmark_0_x": lambda number, axis: f"landmark_{number}_{'visibility' if axis == 'v' else axis}",
        "LEFT_HIP_x": lambda number, axis: f"{BLAZEPOSE_33.joints[number].upper()}_{axis}",
        "leftHipX": lambda number, axis: (
            "".join(word.capitalize() for word in BLAZEPOSE_33.joints[number].split("_")) + axis.upper()
        ),
        "pose_0_x in a class": lambda number, axis: f"Pose_{number}_{axis}",
    }
    listed: list[list[Any]]
    if shape in ("long", "names"):
        listed = [["frame", "landmark_id" if shape == "long" else "landmark", "x", "y", "z", "visibility"]]
        for frame, row in enumerate(values):
            for number, (x, y, score) in enumerate(row):
                listed.append([frame, number if shape == "long" else BLAZEPOSE_33.joints[number], x, y, 0.1, score])
    else:
        name = style[shape]
        before = ["class"] if shape.endswith("class") else ["frame", "timestamp_ms"]
        listed = [before + [name(number, axis) for number in range(33) for axis in "xyzv"]]
        for frame, row in enumerate(values):
            cells = [cell for x, y, score in row for cell in (x, y, -0.2, score)]
            listed.append((["sit"] if before == ["class"] else [frame, 40 * frame]) + cells)
    with open(tmp_path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(listed)
    found = PoseResult.from_mediapipe(tmp_path / "a.csv", size=(1920, 1080), fps=25)
    [track] = found.tracks
    np.testing.assert_allclose(track.keypoints, people(33)[:, 0, :, :2], atol=1e-2)
    np.testing.assert_allclose(track.scores, values[..., 2], atol=1e-6)
    np.testing.assert_allclose(found.source.times, np.arange(FRAMES) / 25)


def test_a_table_of_some_landmarks_leaves_the_others_absent(tmp_path: Path):
    names = ["left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_knee", "right_knee"]
    lines = [",".join(f"{name}_{axis}" for name in names for axis in "xy")]
    lines += [",".join(str(100 + frame + 7 * number) for number in range(12)) for frame in range(5)]
    lines[3] = "," * 11
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    [track] = take_in(tmp_path / "a.csv", size=(640, 480), fps=30).tracks
    assert track.seen.tolist() == [True, True, False, True, True]
    assert track.scores[0].sum() == 6
    assert track.keypoints[0, BLAZEPOSE_33.index("right_knee")].tolist() == [170, 177]


# DeepLabCut


def deeplabcut_csv(path: Path, values: np.ndarray, individuals: bool, index: list[str] | None = None) -> Path:
    parts = [
        f"{name.split('_')[0][0].upper()}_{name.split('_')[1]}" if "_" in name else name for name in COCO_17.joints
    ]
    columns = [
        (f"mouse{person + 1}", part, coordinate)
        for person in range(values.shape[1]) for part in parts for coordinate in ("x", "y", "likelihood")
    ]  # fmt: skip
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["scorer", *["DLC_resnet50"] * len(columns)])
        if individuals:
            table.writerow(["individuals", *(one for one, _, _ in columns)])
        table.writerow(["bodyparts", *(part for _, part, _ in columns)])
        table.writerow(["coords", *(coordinate for _, _, coordinate in columns)])
        for frame, row in enumerate(values):
            table.writerow([frame, *flat(row)])
    return path


def test_deeplabcut_csv(tmp_path: Path):
    values = people(17)
    check(take_in(deeplabcut_csv(tmp_path / "a.csv", values, True), size=(1920, 1080)), values, "coco17")
    [track] = take_in(deeplabcut_csv(tmp_path / "b.csv", values[:, :1], False), size=(1920, 1080)).tracks
    np.testing.assert_allclose(track.keypoints, values[:, 0, :, :2], atol=1e-3)


def test_deeplabcut_of_a_mouse_says_what_it_lacks(tmp_path: Path):
    lines = ["scorer,DLC,DLC,DLC", "bodyparts,snout,snout,snout", "coords,x,y,likelihood", "0,1,2,0.9"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(VidposeError, match=r"no left_shoulder among snout; name the joints as COCO does"):
        take_in(tmp_path / "a.csv", size=(640, 480))


def test_deeplabcut_h5(tmp_path: Path):
    """As pandas and PyTables lay it out: records of an index and a block, the columns pickled in an attribute."""
    import pickle

    import h5py

    values = people(17)
    columns = [
        ("DLC_resnet50", f"mouse{person + 1}", part, coordinate)
        for person in range(2) for part in COCO_17.joints for coordinate in ("x", "y", "likelihood")
    ]  # fmt: skip
    records = np.zeros(FRAMES, dtype=[("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
    records["index"], records["values_block_0"] = np.arange(FRAMES), values.reshape(FRAMES, -1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("df_with_missing")
        group.create_dataset("table", data=records)
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps([(1, columns)], protocol=0))
    check(take_in(tmp_path / "a.h5", size=(1920, 1080)), values, "coco17")

    with h5py.File(tmp_path / "b.h5", "w") as file:
        group = file.create_group("df_with_missing")
        group.create_dataset("table", data=records)
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps(print, protocol=0))
    with pytest.raises(VidposeError, match=r"holds (__builtin__|builtins)\.print, which is no plain data"):
        take_in(tmp_path / "b.h5", size=(1920, 1080))


# What vidpose writes


@pytest.mark.parametrize("name", ["json", "openpose", "coco"])
def test_our_own_keypoint_files_come_back(name: str, tmp_path: Path):
    result = result_of(track_of(world_joints(20)), track_of(world_joints(20), number=2, first=5))
    [path] = FORMATS[name].write(result, tmp_path / "a")
    found = take_in(path, size=None if name in ("json", "coco") else (640, 480), fps=FPS)
    assert [track.id for track in found.tracks] == [1, 2]
    layout = get_skeleton(found.keypoint_layout)
    for track, own in zip(found.tracks, result.tracks, strict=True):
        assert track.frames.tolist() == own.frames.tolist()
        np.testing.assert_allclose(track.times, own.times, atol=1e-6)
        for joint in ("nose", "left_knee", "right_wrist", "left_ear"):
            place, there = layout.index(joint), BLAZEPOSE_33.index(joint)
            np.testing.assert_allclose(track.keypoints[:, place], own.keypoints[:, there], atol=0.01)
            np.testing.assert_allclose(track.scores[:, place], own.scores[:, there], atol=1e-3)


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        ("json", '"format_version": 1', '"format_version": 7', "format 7, of another vidpose; give the .npz"),
        ("json", '"blazepose33"', '"nobody"', "keypoints.layout is 'nobody'; known are h36m17"),
        ("json", f'"frames": {FRAMES},', '"frames": 1000000000,', "1e[+]09 frames, where 1 to 10000000 can be"),
        ("json", f'"frames": {FRAMES},', '"frames": -1,', "-1 frames"),
        ("json", f'"fps": "{FPS}"', '"fps": "1/0"', "a rate of '1/0' frames a second"),
        ("csv", "\n1,0,", "\n1,900000000000,", "9e[+]11 frames, where"),
        ("csv", "\n1,0,", "\n1,1e300,", "1e[+]300 frames, where"),
        ("csv", "\n1,0,", "\nBob,0,", "line 2: 'Bob', where a number is due"),
    ],
)
def test_what_is_wrong_with_our_own_files_is_said(suffix: str, old: str, new: str, message: str, tmp_path: Path):
    joints = np.random.default_rng(3).normal(0, 0.3, (FRAMES, 17, 3))
    [path] = FORMATS[suffix].write(result_of(track_of(joints)), tmp_path / "a")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(VidposeError, match=rf"a\.{suffix}: not .*{message}") as error:
        read_keypoints(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["trc", "c3d", "csv"])
def test_our_own_joints_come_back(name: str, tmp_path: Path):
    place = "camera" if name == "csv" else "world"
    world = world_joints(20)
    result = result_of(track_of(world, first=3), place=place)
    [path] = FORMATS[name].write(result, tmp_path / "a", heading=0)
    found = smooth_joints(take_in(path), Smoothing.parse("none"))
    [track] = found.tracks
    assert found.joint_layout == H36M_17.name
    assert len(track) == 20
    assert np.median(np.diff(track.times)) == pytest.approx(1 / FPS, abs=1e-5)
    points = (track.joints + track.roots[:, None]) @ found.camera.to_world[:, :3].T + found.camera.to_world[:, 3]
    right = expected(world, place, floor=False)[..., [0, 2, 1]] * (1, -1, 1)
    np.testing.assert_allclose(points, right, atol=2e-3)
    seen = found.camera.project(track.joints + track.roots[:, None])
    np.testing.assert_allclose(seen, track.keypoints, atol=0.2)
    assert ((track.keypoints > 0) & (track.keypoints < 1000)).all()


def test_joints_of_pose2sim_are_joints(tmp_path: Path):
    """A TRC of Halpe's joints, with a marker that is absent for a moment and one that never is there."""
    names = ["Hip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Neck", "Head", "Nose", "RShoulder", "RElbow",
             "RWrist", "LShoulder", "LElbow", "LWrist", "RBigToe", "LBigToe"]  # fmt: skip
    world = world_joints(15)
    rows = np.zeros((15, len(names), 3))
    for place, name in enumerate(names):
        joint = {"neck": "thorax"}.get(joint_of(name), joint_of(name))
        if joint in H36M_17.joints and name != "RWrist":
            rows[:, place] = world[:, H36M_17.index(joint)][:, [0, 2, 1]] * (1, 1, -1)
    cells = np.where(rows == 0, np.nan, rows)
    cells[4:6, names.index("LKnee")] = np.nan
    lines = ["PathFileType\t4\t(X/Y/Z)\ta.trc",
             "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
             f"60\t60\t15\t{len(names)}\tm\t60\t0\t15", "Frame#\tTime\t" + "\t\t\t".join(names),
             "\t\t" + "\t".join(f"{axis}{n + 1}" for n in range(len(names)) for axis in "XYZ")]  # fmt: skip
    for frame, row in enumerate(cells.reshape(15, -1)):
        lines.append("\t".join([str(frame), f"{frame / 60}", *("" if np.isnan(v) else f"{v:.6f}" for v in row)]))
    (tmp_path / "a.trc").write_text("\n".join(lines) + "\n")
    found = smooth_joints(take_in(tmp_path / "a.trc"), Smoothing.parse("none"))
    [track] = found.tracks
    assert found.source.fps == 60
    assert track.lifted.all()
    wrist, knee = H36M_17.index("right_wrist"), H36M_17.index("left_knee")
    assert (track.joint_scores[:, wrist] == 0).all()
    points = (track.joints + track.roots[:, None]) @ found.camera.to_world[:, :3].T + found.camera.to_world[:, 3]
    np.testing.assert_allclose(points[:, knee], world[:, knee], atol=0.02)
    np.testing.assert_allclose(points[:4, 1:7], world[:4, 1:7], atol=2e-3)


def test_optical_markers_are_no_joints(tmp_path: Path):
    lines = ["PathFileType\t4\t(X/Y/Z)\ta.trc", "DataRate\tUnits", "100\tmm", "Frame#\tTime\tLASI\t\t\tRASI", "\t\tX1",
             "1\t0\t1\t2\t3\t4\t5\t6"]  # fmt: skip
    (tmp_path / "a.trc").write_text("\n".join(lines) + "\n")
    with pytest.raises(VidposeError, match=r"no left_shoulder among LASI, RASI"):
        take_in(tmp_path / "a.trc")


# With a video, and without


def test_a_video_says_size_and_times(tmp_path: Path, cfr_clip: Path, caplog: pytest.LogCaptureFixture):
    folder = openpose(tmp_path / "op", people(25, 14) / [10, 10, 1] + [0, 0, 0])
    found = take_in(folder, video=cfr_clip)
    assert (found.source.path, found.source.width, found.source.height) == (str(cfr_clip), 96, 64)
    assert found.source.num_frames == 12
    np.testing.assert_allclose(found.source.times, np.arange(12) / 30)
    assert "keypoints up to frame 13, but the video ends with frame 11" in caplog.text


def test_keypoints_of_a_smaller_copy_of_the_video_are_scaled(tmp_path: Path, cfr_clip: Path):
    values = people(25)
    found = take_in(openpose(tmp_path / "op", values), video=cfr_clip, size=(960, 640))
    np.testing.assert_allclose(
        found.tracks[0].keypoints[0], values[0, int(found.tracks[0].keypoints[0, 0, 0] > 35), :, :2] / 10, atol=1e-3
    )


def test_slow_motion_is_sped_up(tmp_path: Path):
    found = take_in(openpose(tmp_path / "op", people(25)), size=(1920, 1080), fps=30, slow_motion=8)
    np.testing.assert_allclose(found.source.times, np.arange(FRAMES) / 240)
    assert found.source.fps == 240


@pytest.mark.parametrize("kind", ["alphapose", "coco"])
def test_results_come_from_files_of_one_kind(tmp_path: Path, kind: str):
    values = people(17)
    listed = [
        {"image_id": frame, "category_id": 1, "keypoints": flat(one), "score": 0.9}
        for frame, row in enumerate(values) for one in row
    ]  # fmt: skip
    path = write(tmp_path / "a.json", listed)
    check(getattr(PoseResult, f"from_{kind}")(path, size=(1920, 1080)), values, "coco17")
    check(PoseResult.from_keypoints(str(path), size=(1920, 1080)), values, "coco17")
    with pytest.raises(VidposeError, match=r"a\.json: a file of another kind, coco"):
        PoseResult.from_mmpose(path, size=(1920, 1080))
    check(PoseResult.from_openpose(openpose(tmp_path / "op", people(25)), size=(1920, 1080)), people(25), "body25")


def test_without_a_size_the_user_is_asked_for_it(tmp_path: Path):
    with pytest.raises(UsageError, match=r"op: does not say how large the picture is"):
        take_in(openpose(tmp_path / "op", people(25)))


# What is wrong


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.json",
            [{"image_id": "x.jpg", "keypoints": [1, 2, 3] * 17}],
            r"person 1: image_id is 'x.jpg', without a number",
        ),
        ("a.json", [{"image_id": 0, "keypoints": [1, 2, 3] * 5}], r"person 1: 5 keypoints a person, where 17, 26"),
        ("a.json", [{"image_id": 0, "keypoints": "many"}], r"person 1: keypoints is 'many'"),
        ("a.json", [{"image_id": 0, "keypoints": [1, 2, None] * 17}], r"nobody has a keypoint in it"),
        ("a.json", [{"image_id": 10**12, "keypoints": [1, 2, 1] * 17}] * 2, r"frame 1000000000000, where a number"),
        ("a.json", [{"image_id": 0, "keypoints": [1e300, 2, 1] * 17}], r"a keypoint at 1e\+300, which is nowhere"),
        ("a.json", {"people": []}, r"one frame of OpenPose's; give the folder"),
        ("a.json", {"nothing": 1}, r"no keypoints of a known format; read are a folder of OpenPose"),
        ("a.json", [{"frame_id": 0, "instances": [{"keypoints": [[1, 2]]}]}], r"frame 1 of the list"),
        ("a.txt", 1, r"no keypoints of a known format"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str, content: Any, message: str):
    with pytest.raises(VidposeError, match=message) as error:
        take_in(write(tmp_path / name, content), size=(640, 480))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.trc", "a.c3d", "a.h5", "a.csv", "a.npy", "a.json"])
@pytest.mark.parametrize(
    "damage",
    [b"", b"\x00\x50" * 40, b"scorer,\n", b"PathFileType\n1\n2\n3\n4\n5\n6\n", b"id,frame,time,root_x,\n1,2,3,"],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str, damage: bytes):
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(VidposeError, match=name) as error:
        read_keypoints(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_of_something_else(tmp_path: Path):
    with pytest.raises(VidposeError, match="no such file"):
        read_keypoints(tmp_path / "none.json")
    with pytest.raises(VidposeError, match="no keypoints of a known format"):
        read_keypoints(tmp_path)


# Names


@pytest.mark.parametrize(
    ("name", "joint"),
    [("LKnee", "left_knee"), ("knee_r", "right_knee"), ("Left Hip", "left_hip"), ("R_Ankle", "right_ankle"),
     ("MidHip", "pelvis"), ("Hip", "pelvis"), ("Head", "head_top"), ("leftElbow", "left_elbow"), ("nose", "nose"),
     ("LBigToe", "left_big_toe"), ("right_foot_index", "right_foot_index")],
)  # fmt: skip
def test_names_of_joints(name: str, joint: str):
    assert joint_of(name) == joint


def test_names_choose_the_layout_that_holds_them():
    assert named_layout(H36M_17.joints) == (H36M_17, list(range(17)))
    assert named_layout(BODY_25.joints)[0] == BODY_25
    layout, order = named_layout([*COCO_17.joints[::-1], "tail"])
    assert layout == COCO_17
    assert order == list(range(16, -1, -1))


def test_rates_are_ratios(tmp_path: Path):
    found = take_in(openpose(tmp_path / "op", people(25)), size=(1920, 1080), fps=29.97)
    assert found.source.fps == Fraction(2997, 100)


# What vidpose writes


def furthest_off(track: Track, world: np.ndarray) -> float:
    """Metres that a joint of a whole movement is off at most, once that is shifted and turned as one.

    A file has its own axes and origin, and the camera that looks at what is read is another one.
    """
    there, right = ((points - points.mean(axis=(0, 1))).reshape(-1, 3) for points in (
        (track.joints + track.roots[:, None]).astype(float), world))  # fmt: skip
    turn, _ = Rotation.align_vectors(right, there)
    return float(np.linalg.norm(turn.apply(there) - right, axis=-1).max())


@pytest.mark.parametrize("place", ["world", "camera"])
@pytest.mark.parametrize("name", ["bvh", "gltf", "trc", "c3d", "csv"])
def test_joints_that_were_exported_come_back_within_a_millimetre(tmp_path: Path, name: str, place: str):
    walker, other = world_joints(60), world_joints(40, 1)
    result = result_of(track_of(walker), track_of(other, 2, 9), place=place)
    paths = FORMATS[name].write(result, tmp_path / "walk")
    back = [track for path in paths for track in take_in(path).tracks]
    assert [len(track) for track in back] == [60, 40]
    for track, world in zip(back, (walker, other), strict=True):
        assert furthest_off(track, world) < 1e-3
        np.testing.assert_allclose(np.diff(track.times), 1 / FPS, atol=1e-5)
        assert (track.joint_scores > 0).all()


@pytest.mark.parametrize("bones", BONE_NAMES)
@pytest.mark.parametrize("name", ["bvh", "gltf"])
def test_bones_come_back_whatever_they_are_called(tmp_path: Path, name: str, bones: str):
    world = world_joints(20)
    [path] = FORMATS[name].write(result_of(track_of(world)), tmp_path / "walk", bones=bones)
    [track] = take_in(path).tracks
    assert furthest_off(track, world) < 1e-3


def test_people_of_one_gltf_keep_their_frames(tmp_path: Path):
    result = result_of(track_of(world_joints(30)), track_of(world_joints(20, 1), 2, 25))
    [path] = FORMATS["gltf"].write(result, tmp_path / "walk")
    found = take_in(path)
    assert [track.frames.tolist() for track in found.tracks] == [list(range(30)), list(range(25, 45))]
    assert found.joints_given
    # Both stand where they stood to each other.
    first, second = (track.roots[track.frames == 27][0] for track in found.tracks)
    before = expected(world_joints(30), "world")[27, 0] - expected(world_joints(20, 1), "world")[2, 0]
    np.testing.assert_allclose((first - second) * (1, -1, -1), before, atol=1e-3)


def test_a_pause_in_a_gltf_is_no_frame(tmp_path: Path):
    times = np.arange(40) / FPS + np.where(np.arange(40) >= 15, 3, 0)
    result = result_of(track_of(world_joints(40)), times=times)
    [path] = FORMATS["gltf"].write(result, tmp_path / "walk")
    [track] = take_in(path).tracks
    np.testing.assert_allclose(track.times, times, atol=1e-5)


def test_a_bvh_in_the_video_s_own_steps_of_time(tmp_path: Path):
    result = result_of(track_of(world_joints(30), first=5))
    [path] = FORMATS["bvh"].write(result, tmp_path / "walk")
    found = take_in(path)
    assert found.source.fps == FPS
    assert found.source.num_frames == 30
    assert PoseResult.from_keypoints(path).joint_layout == H36M_17.name


@pytest.mark.parametrize(("name", "said"), [("mot", "the angles of joints"), ("html", "a page to look at")])
def test_what_holds_no_joints_says_what_to_give(tmp_path: Path, name: str, said: str):
    [path] = FORMATS[name].write(result_of(track_of(world_joints(10))), tmp_path / "walk")
    with pytest.raises(VidposeError, match=f"{said}.*give the .npz of the same run, or its JSON, CSV, TRC, C3D, BVH"):
        take_in(path)
