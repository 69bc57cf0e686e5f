"""2D keypoints found in a benchmark's videos, as one more input of the prepared benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import Conversion, Skeleton, get_conversion
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.store import Store, StoredClip


def input_name(keypoints: str) -> str:
    """What the input of a keypoint network is called, if nobody says otherwise: by its name, or its config's.

    >>> input_name("mmpose:configs/my-net.py")
    'mmpose-my-net'
    """
    library, _, config = keypoints.partition(":")
    return f"{library}-{Path(config).stem}" if config else library


def detect(
    store: Store,
    videos: Path,
    video_names: Callable[[StoredClip], Sequence[str]],
    report: Callable[[str], None],
    *,
    find: Callable[[Sequence[Path]], Sequence[PoseResult]],
    in_step: bool = False,
    layout: Skeleton,
    found_by: Mapping[str, str],
    name: str,
) -> None:
    """Find people in the videos of all clips, and store their keypoints as an input.

    Frame n of a clip is frame n of its video. In every frame the person with the highest scores counts, whoever that
    is; joints that were not found are NaN with score 0. Parts that have the input already are left alone.

    Args:
        videos: folder of the benchmark's videos.
        video_names: gives the names that a clip's video may have there.
        report: is told of each video.
        find: gives the people of each of several videos, with keypoints in `layout`.
        in_step: ask for the videos of all cameras of a recording at once, in the order of the clips; else one by one.
        found_by: names of the `detector` of people and of the network that finds their `keypoints`.
        name: of the input.

    Raises:
        UsageError: the benchmark's joints cannot be made from the network's, or it has an input of that name that is
            another network's, or that cannot be a file's name.
        VidposeError: a video is missing or cannot be read.
    """
    conversion = _conversion(store, layout)
    _check_name(store, name, found_by["keypoints"])
    facts = {
        "detector": found_by["keypoints"],  # of keypoints, as with the inputs that benchmarks come with
        "people": found_by["detector"],
        "conversion": conversion.name if conversion else None,
        "scores": True,
    }

    last: dict[StoredClip, tuple[Path, PoseResult]] = {}

    def find_recording(clip: StoredClip) -> None:
        together = [other for other in store.clips if _recording(other) == _recording(clip)] if in_step else [clip]
        paths = [_find(videos, video_names(other)) for other in together]
        last.clear()
        last.update(zip(together, zip(paths, find(paths), strict=True), strict=True))

    def keypoints_of(clip: StoredClip) -> np.ndarray:
        if clip not in last:
            find_recording(clip)
        video, result = last.pop(clip)
        keypoints = np.full((clip.frames, len(store.layout), 3), [np.nan, np.nan, 0], np.float32)
        best = np.zeros(clip.frames)
        for track in result.tracks:
            positions, scores = track.keypoints, track.scores
            if conversion:
                positions, scores = conversion(positions, scores)
            seen = np.concatenate([positions, scores[..., None]], axis=-1)
            within = track.frames < clip.frames
            rows, confidence = track.frames[within], scores[within].mean(axis=-1)
            better = confidence > best[rows]
            keypoints[rows[better]] = seen[within][better]
            best[rows[better]] = confidence[better]
        report(f"{video}: found in {(best > 0).sum()} of {clip.frames} frames")
        return keypoints

    store.add_input(name, facts, keypoints_of)


def _recording(clip: StoredClip) -> tuple[str, ...]:
    """What all cameras' clips of one recording have in common."""
    return clip.part, clip.subject, clip.action, clip.sequence


def _conversion(store: Store, layout: Skeleton) -> Conversion | None:
    if layout == store.layout:
        return None
    try:
        return get_conversion(layout.name, store.layout.name)
    except UsageError:
        raise UsageError(
            f"{store.name}: joints in layout {store.layout.name} cannot be made from the network's {layout.name}"
        ) from None


def _check_name(store: Store, name: str, keypoints: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"`name={name}`: an input's name is a file's too; take letters, digits, - and _")
    if name in store.inputs and store.inputs[name].get("detector") != keypoints:
        raise UsageError(f"`name={name}`: {store.folder} has another input of that name; take another name")


def _find(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise VidposeError(f"{folder / names[0]}: missing; put the benchmark's videos there, or say where with `videos`")
