"""2D keypoints as OpenPose and COCO have them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exports import result_of, track_of, world_joints

from vidpose.body.skeletons import BLAZEPOSE_33, COCO_17
from vidpose.body.tracks import PoseResult
from vidpose.export import FORMATS

BODY_25 = [
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee",
    "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel", "RBigToe",
    "RSmallToe", "RHeel",
]  # fmt: skip
"""In the order of OpenPose's documentation."""

NAMES = {"BigToe": "foot_index"}
SIDES = {"R": "right_", "L": "left_"}


@pytest.fixture
def result() -> PoseResult:
    """Two people; the first is not seen in frame 2, and only partly in frame 3."""
    first, second = track_of(world_joints(6)), track_of(world_joints(3), number=4, first=2)
    first.keypoints[2], first.scores[2], first.boxes[2] = np.nan, 0, np.nan
    wrist = BLAZEPOSE_33.index("right_wrist")
    first.keypoints[3, wrist], first.scores[3, wrist] = np.nan, 0
    return result_of(first, second)


def read_openpose(folder: Path) -> list[dict]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.iterdir())]


def test_openpose_has_a_file_a_frame_named_as_its_own(result: PoseResult, tmp_path: Path):
    (folder,) = FORMATS["openpose"].write(result, tmp_path / "Straße 走")
    assert [path.name for path in sorted(folder.iterdir())] == [f"Straße 走_{i:012d}_keypoints.json" for i in range(6)]
    frames = read_openpose(folder)
    assert [[person["person_id"] for person in frame["people"]] for frame in frames] == [
        [[1]], [[1]], [[4]], [[1], [4]], [[1], [4]], [[1]]
    ]  # fmt: skip
    assert {frame["version"] for frame in frames} == {1.3}


def test_openpose_has_body_25s_order(result: PoseResult, tmp_path: Path):
    (folder,) = FORMATS["openpose"].write(result, tmp_path / "a")
    person = read_openpose(folder)[1]["people"][0]
    points = dict(zip(BODY_25, np.array(person["pose_keypoints_2d"]).reshape(25, 3), strict=True))
    track = result.tracks[0]
    seen = dict(zip(BLAZEPOSE_33.joints, np.column_stack([track.keypoints[1], track.scores[1]]), strict=True))
    for name, point in points.items():
        if name in ("Neck", "MidHip"):
            pair = [seen[f"{side}_{'shoulder' if name == 'Neck' else 'hip'}"] for side in ("left", "right")]
            np.testing.assert_allclose(point[:2], (pair[0][:2] + pair[1][:2]) / 2, atol=1e-3)
            assert point[2] == pytest.approx(min(pair[0][2], pair[1][2]), abs=1e-4)
        elif "SmallToe" in name:
            assert point.tolist() == [0, 0, 0]
        else:
            plain = "nose" if name == "Nose" else SIDES[name[0]] + NAMES.get(name[1:], name[1:].lower())
            np.testing.assert_allclose(point, seen[plain], atol=1e-3, err_msg=name)


def test_openpose_has_zeros_for_what_was_not_seen(result: PoseResult, tmp_path: Path):
    (folder,) = FORMATS["openpose"].write(result, tmp_path / "a")
    body = np.array(read_openpose(folder)[3]["people"][0]["pose_keypoints_2d"]).reshape(25, 3)
    assert np.flatnonzero((body == 0).all(axis=1)).tolist() == [
        BODY_25.index(n) for n in ("RWrist", "LSmallToe", "RSmallToe")
    ]
    feetless = replace(
        result.tracks[0], keypoints=result.tracks[0].keypoints[:, :17], scores=result.tracks[0].scores[:, :17]
    )
    (folder,) = FORMATS["openpose"].write(replace(result, tracks=(feetless,), keypoint_layout="coco17"), tmp_path / "b")
    body = np.array(read_openpose(folder)[0]["people"][0]["pose_keypoints_2d"]).reshape(25, 3)
    assert (body[19:] == 0).all()
    assert (body[:19, 2] > 0).all()


def test_openpose_leaves_no_frames_of_a_longer_video_behind(result: PoseResult, tmp_path: Path):
    (folder,) = FORMATS["openpose"].write(result, tmp_path / "a")
    (folder / "notes.txt").write_text("mine")
    FORMATS["openpose"].write(result_of(track_of(world_joints(2))), tmp_path / "a")
    assert len(list(folder.glob("a_*_keypoints.json"))) == 2
    assert (folder / "notes.txt").exists()


def test_coco_is_read_by_its_own_tools(result: PoseResult, tmp_path: Path):
    coco_tools = pytest.importorskip("pycocotools.coco")
    (path,) = FORMATS["coco"].write(result, tmp_path / "Straße 走")
    coco = coco_tools.COCO(str(path))
    assert coco.getImgIds() == list(range(6))
    assert coco.loadImgs(3)[0]["file_name"] == "Straße 走_000000000003.jpg"
    assert [len(coco.getAnnIds(imgIds=[frame])) for frame in range(6)] == [1, 1, 1, 2, 2, 1]
    (category,) = coco.loadCats(coco.getCatIds(catNms=["person"]))
    assert category["keypoints"] == list(COCO_17.joints)
    annotation = coco.loadAnns(coco.getAnnIds(imgIds=[3]))[0]
    points = np.array(annotation["keypoints"]).reshape(17, 3)
    track, at = result.tracks[0], [BLAZEPOSE_33.index(joint) for joint in COCO_17.joints]
    absent = COCO_17.index("right_wrist")
    assert points[absent].tolist() == [0, 0, 0]
    assert annotation["num_keypoints"] == 16
    np.testing.assert_allclose(
        np.delete(points[:, :2], absent, 0), np.delete(track.keypoints[3, at], absent, 0), atol=6e-3
    )
    assert set(np.delete(points[:, 2], absent)) == {2}
    assert (annotation["bbox"], annotation["area"], annotation["track_id"]) == ([90, 80, 320, 340], 320 * 340, 1)
    results = coco.loadRes(json.loads(path.read_text(encoding="utf-8"))["annotations"])
    assert len(results.getAnnIds()) == 8
