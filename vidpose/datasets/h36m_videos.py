"""Human3.6M's videos as clips of a person before four cameras in step, for 2D networks (`keypoint_data/clips.py`).

    for recording in find_recordings(store, Path("h36m"), ["S1", "S5"], Cut()):
        for number, shots in film(store, recording, recording.clips):
            write_clip(Path("clips"), number, H36M_17.joints, shots, recording.facts(number))

Keypoints are the prepared benchmark's input "gt": motion capture seen through the benchmark's calibrated lenses, as its
own 2D positions are. The lenses distort, by some pixels towards the edge of a picture. Pictures and keypoints are
distorted alike, but a clip's cameras are pinholes, and so only right to those pixels. Frame n of motion capture is
frame n of each video.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.geometry import world_to_camera
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.h36m import PROTOCOLS, video_names
from vidpose.datasets.h36m_cameras import CAMERAS, H36mCamera
from vidpose.datasets.h36m_names import FPS
from vidpose.datasets.store import Store, StoredClip
from vidpose.keypoint_data.clips import Shot
from vidpose.video import VideoReader

log = logging.getLogger(__name__)

_FLESH = 0.12
"""Metres that a body reaches beyond its joints."""

_CONTEXT = 1.5
"""Side of a crop over the longest side of the person's box: networks cut a margin of their own, and vary it."""

_OUTSIDE = -1.0
"""Pixels: of a joint that the video's picture does not show, though the crop may reach that far."""

_LEFT_OUT = frozenset(pair for protocol in PROTOCOLS.values() for pair in protocol.excluded)
"""Recordings with a damaged video, and those whose motion capture lies beside the person in the picture."""


@dataclass(frozen=True)
class Cut:
    """How recordings are cut into clips, which lie end to end.

    Attributes:
        frames: of a clip.
        every: frames of a video from one to the next.
        size: pixels of a picture's sides.
    """

    frames: int = 32
    every: int = 2
    size: int = 256

    @property
    def step(self) -> int:
        """Frames of a video from the start of a clip to that of the next."""
        return self.frames * self.every

    @property
    def reach(self) -> int:
        """Frames of a video from the first of a clip to its last, both counted."""
        return self.step - self.every + 1


@dataclass(frozen=True)
class RecordedView:
    """One camera's video of a recording: the camera's number, its motion capture in the store, the file."""

    number: int
    camera: H36mCamera
    clip: StoredClip
    video: Path


@dataclass(frozen=True)
class VideoRecording:
    """A subject's motion, and the videos of it that are there.

    Attributes:
        subject, sequence: as the benchmark calls them.
        views: in the order of the cameras.
        cut: how it is cut.
        clips: numbers of its clips.
    """

    subject: str
    sequence: str
    views: tuple[RecordedView, ...]
    cut: Cut
    clips: range

    def start(self, number: int) -> int:
        """The first frame of a clip."""
        return self.clips.index(number) * self.cut.step

    def facts(self, number: int) -> dict[str, Any]:
        """Where a clip is from."""
        return {"subject": self.subject, "recording": self.sequence, "start": self.start(number)}


def find_recordings(store: Store, videos: Path, subjects: Sequence[str], cut: Cut) -> list[VideoRecording]:
    """What clips can be made of. A clip's number depends on the motion capture and the cut, not on what is there.

    Logs a warning for every recording that lacks a video.

    Args:
        store: the prepared benchmark.
        videos: folder of the benchmark's videos, `S1/Videos/Walking.54138969.mp4` and so on.

    Raises:
        UsageError: a subject is not in the benchmark.
        VidposeError: there is no video of a subject.
    """
    grouped: dict[tuple[str, str], list[StoredClip]] = defaultdict(list)
    for clip in store.clips:
        if (clip.subject, clip.sequence) not in _LEFT_OUT:
            grouped[clip.subject, clip.sequence].append(clip)
    known = list(dict.fromkeys(subject for subject, _ in grouped))
    if unknown := [subject for subject in subjects if subject not in known]:
        raise UsageError(f"`subjects={','.join(unknown)}`: not in {store.folder}, which has {', '.join(known)}")
    found, first = [], 0
    for (subject, sequence), clips in grouped.items():
        count = max(0, (min(clip.frames for clip in clips) - cut.reach) // cut.step + 1)
        if subject in subjects:
            views = tuple(_views(videos, clips))
            found.append(VideoRecording(subject, sequence, views, cut, range(first, first + count)))
        first += count
    for subject in subjects:
        _check_videos(videos, subject, [recording for recording in found if recording.subject == subject])
    return found


def _views(videos: Path, clips: Sequence[StoredClip]) -> Iterator[RecordedView]:
    """The cameras of a recording whose video is there."""
    by_camera = {clip.camera: clip for clip in clips}
    for number, camera in enumerate(CAMERAS[clips[0].subject]):
        clip = by_camera.get(camera.name)
        if clip is None:
            continue
        places = (videos / name for name in video_names(clip))
        if video := next((place for place in places if place.is_file()), None):
            yield RecordedView(number, camera, clip, video)


def _check_videos(videos: Path, subject: str, found: Sequence[VideoRecording]) -> None:
    """Tell of a subject's videos that are missing; raises where all are."""
    if not any(recording.views for recording in found):
        raise VidposeError(
            f"{videos / subject / 'Videos'}: no videos of {subject} here, Walking.54138969.mp4 and so on; extract "
            f"Videos_{subject}.tgz, say where they are with `videos`, or choose other `subjects`"
        )
    for recording in found:
        name, there = f"{subject} {recording.sequence}", {view.camera.name for view in recording.views}
        missing = [camera.name for camera in CAMERAS[subject] if camera.name not in there]
        if not there:
            log.warning("%s: no video of it, and so no clips", name)
        elif missing:
            log.warning("%s: no video of camera %s; its clips are without", name, ", ".join(missing))


def film(store: Store, recording: VideoRecording, wanted: Collection[int]) -> Iterator[tuple[int, list[Shot]]]:
    """Number and frames of the wanted clips of a recording, whose videos are decoded in step.

    A picture is a square that follows the person; its size is the same throughout a view of a clip. It is black beyond
    the video's picture, where joints are not annotated. Videos of unequal length are used as far as all of them go; a
    warning says so where that costs a clip.

    Raises:
        VidposeError: a video is damaged from its beginning, or its pictures are not of the camera's size.
    """
    cut = recording.cut
    starts = {recording.start(number): number for number in recording.clips if number in wanted}
    if not (starts and recording.views):
        return
    end = max(starts) + cut.reach
    moment = 0
    crops: list[_Crops] = []
    shots: list[Shot] = []
    with ExitStack() as opened:
        readers = [opened.enter_context(VideoReader(view.video)) for view in recording.views]
        for view, reader in zip(recording.views, readers, strict=True):
            _check_size(view, reader)
        for moment, pictures in enumerate(zip(*readers, strict=False)):
            place = moment % cut.step
            start = moment - place
            if start not in starts or place % cut.every:
                continue
            if place == 0:
                crops = [_Crops(store, view, cut, start) for view in recording.views]
                shots = []
            shots += [crop.shot(place // cut.every, frame.image) for crop, frame in zip(crops, pictures, strict=True)]
            if place == cut.reach - 1:
                yield starts[start], shots
            if moment == end - 1:
                return
    log.warning(
        "%s %s: its videos go on together for %d frames only; no clips of what comes after",
        recording.subject, recording.sequence, moment + 1,
    )  # fmt: skip


def _check_size(view: RecordedView, reader: VideoReader) -> None:
    camera = view.camera
    if (reader.width, reader.height) != (camera.width, camera.height):
        raise VidposeError(
            f"{view.video}: {reader.width}x{reader.height} pixels, where camera {camera.name} has "
            f"{camera.width}x{camera.height}; take the video as it was downloaded"
        )


class _Crops:
    """What one camera sees of a person in a clip, cut out."""

    def __init__(self, store: Store, view: RecordedView, cut: Cut, start: int) -> None:
        self._view, self._cut, self._start = view, cut, start
        rows = slice(start, start + cut.reach, cut.every)
        pixels = np.asarray(store.keypoints(view.clip, "gt")[rows, :, :2], float)
        depths = store.joints(view.clip)[rows, 0, 2]
        limits = np.array([view.camera.width, view.camera.height])
        flesh = (_FLESH * view.camera.focal.mean() / depths)[:, None]
        low = np.clip(pixels.min(axis=1) - flesh, 0, limits)
        high = np.clip(pixels.max(axis=1) + flesh, 0, limits)
        # Whole pixels, so that a crop is the video's own picture but for its size.
        self._side = int(np.ceil(_CONTEXT * (high - low).max()))
        self._corners = np.round((low + high) / 2 - self._side / 2).astype(int)
        seen = ((pixels >= 0) & (pixels <= limits)).all(axis=-1, keepdims=True)
        self._keypoints = np.where(seen, self._placed(pixels), _OUTSIDE)
        self._boxes = self._placed(np.stack([low, high], axis=1)).reshape(-1, 4)

    def _placed(self, points: np.ndarray) -> np.ndarray:
        """(F, N, 2) pixels of the video as those of the crops."""
        return (points - self._corners[:, None]) * (self._cut.size / self._side)

    def shot(self, frame: int, image: np.ndarray) -> Shot:
        """A frame of the clip, from the video's picture."""
        camera = self._view.camera
        scale = self._cut.size / self._side
        origin, *axes = world_to_camera(np.eye(4, 3, k=-1), camera.orientation, camera.position)
        facts = {
            "focal": float(camera.focal.mean() * scale),
            "centre": ((camera.centre - self._corners[frame]) * scale).tolist(),
            "world_to_camera": np.column_stack([*(axes - origin), origin]).tolist(),
        }
        time = (self._start + frame * self._cut.every) / FPS
        crop = _square(image, self._corners[frame], self._side, self._cut.size)
        return Shot(self._view.number, frame, time, crop, None, self._keypoints[frame], facts, self._boxes[frame])


def _square(image: np.ndarray, corner: np.ndarray, side: int, size: int) -> np.ndarray:
    """(size, size, 3): what lies in a square of a picture, black beyond its edge."""
    import cv2

    low = np.maximum(corner, 0)
    high = np.minimum(corner + side, image.shape[1::-1])
    square = np.zeros((side, side, 3), np.uint8)
    (left, top), (right, bottom) = low - corner, high - corner
    square[top:bottom, left:right] = image[low[1] : high[1], low[0] : high[0]]
    # Averaging where it shrinks, as a sensor does; elsewhere OpenCV's areas would be blocks.
    way = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=way)
