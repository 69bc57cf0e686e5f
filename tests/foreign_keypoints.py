"""Files of keypoints as other programs write them, of two people who walk, and what must come of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult

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


def instances(row: np.ndarray) -> list[dict[str, Any]]:
    """A frame's people as MMPose has them."""
    return [
        {"keypoints": one[:, :2].tolist(), "keypoint_scores": one[:, 2].tolist(), "bbox": [[1, 2, 300, 400]]}
        for one in row
    ]  # fmt: skip


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
