"""Our own 2D detections on a benchmark's videos, as one more input of the prepared benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vidpose.datasets.store import Clip, Store
from vidpose.errors import UsageError, VidposeError
from vidpose.pipeline import find_people
from vidpose.skeletons import BLAZEPOSE_TO_H36M

INPUT = "blazepose"
"""The only detector so far, and the name of its input."""


def detect(
    store: Store,
    videos: Path,
    video_names: Callable[[Clip], Sequence[str]],
    report: Callable[[str], None],
) -> None:
    """Run the detector over the videos of all clips, and store the keypoints as the input "blazepose".

    Frame n of a clip is frame n of its video. In every frame the person with the highest scores counts, whoever that
    is; joints that were not found are NaN with score 0. Parts that have the input already are left alone.

    Args:
        videos: folder of the benchmark's videos.
        video_names: gives the names that a clip's video may have there.
        report: is told of each video.

    Raises:
        UsageError: the benchmark's joints cannot be made from the detector's.
        VidposeError: a video is missing or cannot be read.
    """
    conversion = BLAZEPOSE_TO_H36M
    if store.layout != conversion.target:
        raise UsageError(
            f"{store.name}: joints in layout {store.layout.name} cannot be made from BlazePose's keypoints"
        )

    def keypoints_of(clip: Clip) -> np.ndarray:
        video = _find(videos, video_names(clip))
        keypoints = np.full((clip.frames, len(store.layout), 3), [np.nan, np.nan, 0], np.float32)
        best = np.zeros(clip.frames)
        for track in find_people(video).tracks:
            positions, scores = conversion(track.keypoints, track.scores)
            seen = np.concatenate([positions, scores[..., None]], axis=-1)
            within = track.frames < clip.frames
            rows, confidence = track.frames[within], scores[within].mean(axis=-1)
            better = confidence > best[rows]
            keypoints[rows[better]] = seen[within][better]
            best[rows[better]] = confidence[better]
        report(f"{video}: found in {(best > 0).sum()} of {clip.frames} frames")
        return keypoints

    store.add_input(INPUT, {"detector": "blazepose", "conversion": conversion.name, "scores": True}, keypoints_of)


def _find(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise VidposeError(f"{folder / names[0]}: missing; put the benchmark's videos there, or say where with --videos")
