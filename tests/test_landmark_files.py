"""Landmarks of MediaPipe and tables of DeepLabCut, by their descriptions."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_keypoints import FRAMES, check, flat, people, write

from vidpose.body.skeletons import BLAZEPOSE_33, COCO_17
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import VidposeError
from vidpose.pipeline.keypoint_intake import take_in

# MediaPipe

OWN_NAMES = [{"left_mouth": "mouth_left", "right_mouth": "mouth_right"}.get(name, name) for name in BLAZEPOSE_33.joints]
"""Of `PoseLandmark`, MediaPipe's own enumeration, in lower case."""


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
        "LEFT_HIP_x": lambda number, axis: f"{OWN_NAMES[number].upper()}_{axis}",
        "leftHipX": lambda number, axis: (
            "".join(word.capitalize() for word in OWN_NAMES[number].split("_")) + axis.upper()
        ),
        "pose_0_x in a class": lambda number, axis: f"Pose_{number}_{axis}",
    }
    listed: list[list[Any]]
    if shape in ("long", "names"):
        listed = [["frame", "landmark_id" if shape == "long" else "landmark", "x", "y", "z", "visibility"]]
        for frame, row in enumerate(values):
            for number, (x, y, score) in enumerate(row):
                listed.append([frame, number if shape == "long" else OWN_NAMES[number], x, y, 0.1, score])
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


@pytest.mark.parametrize("start", [0, 1_700_000_000_000])
def test_milliseconds_since_1970_count_from_the_first(tmp_path: Path, start: int):
    values = people(33)[:, 0] / [1920, 1080, 1]
    names = ["timestamp_ms", *(f"{axis}{n + 1}" for n in range(33) for axis in "xyv")]
    lines = [",".join(map(str, [start + 40 * frame, *row.ravel()])) for frame, row in enumerate(values)]
    (tmp_path / "a.csv").write_text("\n".join([",".join(names), *lines]))
    found = take_in(tmp_path / "a.csv", size=(1920, 1080))
    np.testing.assert_allclose(found.source.times, np.arange(FRAMES) / 25, atol=1e-6)


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
            table.writerow([frame if index is None else index[frame], *flat(row)])
    return path


def test_deeplabcut_csv(tmp_path: Path):
    values = people(17)
    check(take_in(deeplabcut_csv(tmp_path / "a.csv", values, True), size=(1920, 1080)), values, "coco17")
    [track] = take_in(deeplabcut_csv(tmp_path / "b.csv", values[:, :1], False), size=(1920, 1080)).tracks
    np.testing.assert_allclose(track.keypoints, values[:, 0, :, :2], atol=1e-3)


@pytest.mark.parametrize(
    ("index", "frames"),
    [(range(38, 50), range(38, 50)), (range(0, 24, 2), range(0, 24, 2)), 
     ([f"{n}.0" for n in range(3, 15)], range(3, 15)),
     ([f"labeled-data/take2/img{n:04d}.png" for n in range(5, 17)], range(5, 17)), ([""] * 12, range(12)),
     (["x.png"] * 12, range(12)), ([7] * 12, range(12))],
)  # fmt: skip
def test_deeplabcut_rows_are_of_the_frames_that_they_name(tmp_path: Path, index: Any, frames: Any):
    values = people(17)
    path = deeplabcut_csv(tmp_path / "a.csv", values, True, [str(name) for name in index])
    found = take_in(path, size=(1920, 1080), fps=25)
    for track in found.tracks:
        assert track.frames[track.seen].tolist() == list(frames)
        np.testing.assert_allclose(track.times[track.seen], np.array(frames) / 25)


def test_deeplabcut_of_a_mouse_says_what_it_lacks(tmp_path: Path):
    lines = ["scorer,DLC,DLC,DLC", "bodyparts,snout,snout,snout", "coords,x,y,likelihood", "0,1,2,0.9"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(VidposeError, match=r"no left_shoulder among snout; name the joints as COCO does"):
        take_in(tmp_path / "a.csv", size=(640, 480))


def deeplabcut_h5(path: Path, values: np.ndarray, pickled: Any = None, first: int = 0) -> Path:
    """As pandas and PyTables lay it out: records of an index and a block, the columns pickled in an attribute."""
    import pickle

    import h5py

    columns = [
        ("DLC_resnet50", f"mouse{person + 1}", part, coordinate)
        for person in range(2) for part in COCO_17.joints for coordinate in ("x", "y", "likelihood")
    ]  # fmt: skip
    records = np.zeros(len(values), dtype=[("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
    records["index"], records["values_block_0"] = first + np.arange(len(values)), values.reshape(len(values), -1)
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.create_dataset("table", data=records)
        group.attrs["non_index_axes"] = np.bytes_(pickle.dumps(pickled or [(1, columns)], protocol=0))
    return path


def test_deeplabcut_h5(tmp_path: Path):
    values = people(17)
    check(take_in(deeplabcut_h5(tmp_path / "a.h5", values), size=(1920, 1080)), values, "coco17")
    late = take_in(deeplabcut_h5(tmp_path / "late.h5", values, first=38), size=(1920, 1080), fps=25)
    assert [track.frames[[0, -1]].tolist() for track in late.tracks] == [[38, 49], [38, 49]]
    deeplabcut_h5(tmp_path / "b.h5", values, pickled=print)
    with pytest.raises(VidposeError, match=r"holds (__builtin__|builtins)\.print, which is no plain data"):
        take_in(tmp_path / "b.h5", size=(1920, 1080))
