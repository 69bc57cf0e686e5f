"""What was never seen is never exported as seen."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from exports import read_c3d, read_trc, result_of, track_of, world_joints

from vidpose.body.colours import GUESS, LEFT, RIGHT
from vidpose.body.joint_angles import track_angles
from vidpose.body.seen import known_joints, observed_joints, seen_keypoints
from vidpose.body.skeletons import BLAZEPOSE_33, H36M_17, get_conversion
from vidpose.body.tracks import PoseResult
from vidpose.export import FORMATS
from vidpose.render.panel import Panel

LEGS = [H36M_17.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]
BELOW = [i for i, name in enumerate(BLAZEPOSE_33.joints) if "knee" in name or "ankle" in name]


def upper_body(rows: int = 30) -> PoseResult:
    """Somebody whose knees and ankles are below the picture, where a detector still says that they are."""
    track = track_of(world_joints(rows))
    keypoints, scores = track.keypoints.copy(), track.scores.copy()
    keypoints[:, BELOW, 1], scores[:, BELOW] = 700, 0.001
    _, joint_scores = get_conversion(BLAZEPOSE_33.name, H36M_17.name)(keypoints, scores)
    track = dataclasses.replace(track, keypoints=keypoints, scores=scores, joint_scores=joint_scores)
    return result_of(track)


def test_knees_below_the_picture_are_not_known():
    result = upper_body()
    known = known_joints(result, result.tracks[0])
    assert not known[:, LEGS].any()
    assert np.delete(known, LEGS, axis=1).all()
    assert not seen_keypoints(result.source, result.tracks[0])[:, BELOW].any()


def test_a_joint_outside_the_picture_is_not_known_however_sure_the_detector_is():
    result = upper_body()
    track = result.tracks[0]
    track.scores[:, BELOW] = 0.9
    _, scores = get_conversion(BLAZEPOSE_33.name, H36M_17.name)(track.keypoints, track.scores)
    known = known_joints(result, dataclasses.replace(track, joint_scores=scores))
    assert not known[:, LEGS].any()


def test_a_joint_that_another_camera_saw_is_known():
    result = upper_body()
    track = dataclasses.replace(result.tracks[0], joint_scores=np.full((30, 17), 0.8, np.float32))
    assert known_joints(result, track).all()


def test_a_moment_out_of_sight_is_bridged_and_a_long_one_is_not():
    result = upper_body()
    scores = np.full((30, 17), 0.9, np.float32)
    wrist, ankle = H36M_17.index("left_wrist"), H36M_17.index("left_ankle")
    scores[5:10, wrist] = 0
    scores[5:25, ankle] = 0
    known = known_joints(result, dataclasses.replace(result.tracks[0], joint_scores=scores))
    assert known[:, wrist].all()
    assert np.flatnonzero(~known[:, ankle]).tolist() == list(range(5, 25))


def test_tables_and_marker_files_leave_it_out(tmp_path: Path):
    result = upper_body()
    _, _, joints = read_trc(FORMATS["trc"].write(result, tmp_path / "a")[0])
    assert np.isnan(joints[:, LEGS]).all()
    assert np.isfinite(np.delete(joints, LEGS, axis=1)).all()
    _, _, residuals = read_c3d(FORMATS["c3d"].write(result, tmp_path / "a")[0])
    assert (residuals[:, LEGS] == -1).all()
    assert (np.delete(residuals, LEGS, axis=1) == 0).all()
    [path] = FORMATS["csv"].write(result, tmp_path / "a")
    with open(path, encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["left_knee_x"], row["right_ankle_z"]) == ("", "")
    assert float(row["left_wrist_x"]) == pytest.approx(
        result.tracks[0].joints[0, H36M_17.index("left_wrist"), 0], abs=1e-4
    )
    [path] = FORMATS["json"].write(result, tmp_path / "a")
    frame = json.loads(path.read_text(encoding="utf-8"))["people"][0]["frames"][0]
    assert [frame["joints"][joint] for joint in LEGS] == [None] * 4
    assert [frame["keypoints"][joint] for joint in BELOW] == [None] * 4
    assert len(frame["joints"][0]) == 4


def test_keypoint_files_leave_it_out(tmp_path: Path):
    result = upper_body()
    [path] = FORMATS["coco"].write(result, tmp_path / "a")
    annotation = json.loads(path.read_text(encoding="utf-8"))["annotations"][0]
    assert annotation["keypoints"][3 * 13 :] == [0] * 12
    assert annotation["num_keypoints"] == 13
    [folder] = FORMATS["openpose"].write(result, tmp_path / "a")
    body = json.loads(min(folder.iterdir()).read_text(encoding="utf-8"))["people"][0]["pose_keypoints_2d"]
    assert [body[3 * i : 3 * i + 3] for i in (10, 11, 13, 14)] == [[0, 0, 0]] * 4


@pytest.mark.parametrize("name", ["bvh", "gltf", "mot"])
def test_formats_of_whole_bodies_say_what_is_a_guess(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    FORMATS[name].write(upper_body(), tmp_path / "a")
    assert (
        "never seen, and in a format of whole bodies a guess: right_knee, right_ankle, left_knee, left_ankle"
        in caplog.text
    )


def test_angles_at_it_are_unknown():
    result = upper_body()
    angles = track_angles(result, result.tracks[0])
    assert np.isnan(angles["left_knee_flexion"]).all()
    assert np.isfinite(angles["left_elbow_flexion"]).all()
    assert np.isnan(observed_joints(result, result.tracks[0])[:, LEGS]).all()


def test_the_panel_draws_it_grey():
    result = upper_body()
    track = result.tracks[0]
    picture = np.empty((480, 360, 3), np.uint8)

    def shades(known: bool) -> tuple[int, int]:
        scores = np.where(known, 1, track.joint_scores).astype(np.float32)
        shown = dataclasses.replace(track, joint_scores=scores)
        drawn = dataclasses.replace(result, tracks=(shown,))
        Panel(drawn, 360, 480).draw(picture, [(shown, 0)])
        near = [np.abs(picture.astype(int) - colour).max(axis=-1) < 30 for colour in (LEFT, RIGHT, GUESS)]
        return int(near[0].sum() + near[1].sum()), int(near[2].sum())

    (coloured, grey), (all_coloured, no_grey) = shades(False), shades(True)
    assert coloured < 0.8 * all_coloured
    assert grey > no_grey + 100
