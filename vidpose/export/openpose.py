"""OpenPose's output: a JSON file a frame with everybody's 2D keypoints in BODY_25's order.

The format and the order are those of OpenPose's "Output" documentation, version 1.3. What a detector does not give
(small toes; feet or faces of some) or did not see is 0, 0, 0, as there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vidpose.body.pieces import part_of, pieces
from vidpose.body.seen import seen_keypoints
from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import VidposeError
from vidpose.common.files import describe, make_folder, replacing

BODY_25: tuple[tuple[str, ...], ...] = (
    ("nose",), ("left_shoulder", "right_shoulder"), ("right_shoulder",), ("right_elbow",), ("right_wrist",),
    ("left_shoulder",), ("left_elbow",), ("left_wrist",), ("left_hip", "right_hip"), ("right_hip",), ("right_knee",),
    ("right_ankle",), ("left_hip",), ("left_knee",), ("left_ankle",), ("right_eye",), ("left_eye",), ("right_ear",),
    ("left_ear",), ("left_foot_index",), (), ("left_heel",), ("right_foot_index",), (), ("right_heel",),
)  # fmt: skip
"""The keypoints that BODY_25's are the middle of. BlazePose's foot index stands for the big toe."""

_EMPTY = ("face", "hand_left", "hand_right")


def write_openpose(result: PoseResult, folder: Path) -> None:
    """Write `STEM_000000000012_keypoints.json` for the frames, named after the folder less its `_openpose`.

    `person_id` is the track's. Files of an earlier result for frames beyond this one's are removed.

    Raises:
        VidposeError: a file cannot be written.
    """
    make_folder(folder)
    stem = folder.name.removesuffix("_openpose")
    layout = get_skeleton(result.keypoint_layout)
    for frames in pieces(result.source.num_frames):
        people = [(part, body_25(result.source, part, layout), part.seen) for part in _between(result.tracks, frames)]
        for frame in range(frames.start, frames.stop):
            present = []
            for track, bodies, seen in people:
                row = frame - int(track.frames[0])
                if 0 <= row < len(track) and seen[row]:
                    present.append(_person(track.id, bodies[row]))
            with replacing(folder / f"{stem}_{frame:012d}_keypoints.json") as partial:
                partial.write_text(json.dumps({"version": 1.3, "people": present}, allow_nan=False), encoding="utf-8")
    _remove_beyond(folder, stem, result.source.num_frames)


def _between(tracks: Sequence[Track], frames: slice) -> Iterator[Track]:
    """What there is of tracks in some of the video's frames."""
    for track in tracks:
        first = int(track.frames[0])
        if frames.stop > first and frames.start < first + len(track):
            yield part_of(track, slice(max(frames.start - first, 0), frames.stop - first))


def body_25(source: Source, track: Track, layout: Skeleton) -> np.ndarray:
    """(N, 25, 3) pixels and score; the lowest score of those that a keypoint is the middle of, 0, 0, 0 where absent."""
    rows = np.zeros((len(track), len(BODY_25), 3))
    seen = seen_keypoints(source, track)
    for place, parts in enumerate(BODY_25):
        if parts and set(parts) <= set(layout.joints):
            columns = [layout.index(part) for part in parts]
            rows[:, place, :2] = track.keypoints[:, columns].mean(axis=1)
            rows[:, place, 2] = track.scores[:, columns].min(axis=1)
            rows[~seen[:, columns].all(axis=1), place] = 0
    rows[np.isnan(rows).any(axis=2) | (rows[..., 2] == 0)] = 0
    return rows


def _person(number: int, body: np.ndarray) -> dict[str, object]:
    person: dict[str, object] = {"person_id": [number], "pose_keypoints_2d": body.round(4).ravel().tolist()}
    for dimension in ("2d", "3d"):
        person |= {f"{part}_keypoints_{dimension}": [] for part in _EMPTY}
    return person | {"pose_keypoints_3d": []}


def _remove_beyond(folder: Path, stem: str, frames: int) -> None:
    ours = re.compile(re.escape(stem) + r"_(\d{12})_keypoints\.json")
    try:
        for path in folder.iterdir():
            if (found := ours.fullmatch(path.name)) and int(found[1]) >= frames:
                path.unlink()
    except OSError as error:
        raise VidposeError(f"{folder}: cannot remove files of an earlier result ({describe(error)})") from None
