"""Recordings for the Rerun viewer: the video, the skeletons on it and in space, the joint angles.

The only file that knows rerun-sdk, an extra. Its interface changes from release to release; this keeps to what 0.23,
the last release that lives with NumPy 1, and later ones have in common.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from vidpose.body import colours as style
from vidpose.body.joint_angles import track_angles
from vidpose.body.skeletons import SKELETONS, Skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import whole_skeleton
from vidpose.common.errors import VidposeError
from vidpose.common.files import replacing
from vidpose.export.page_film import small_film
from vidpose.export.page_length import PageLength, frames_to_show
from vidpose.export.scene import ViewerScene

_LEAST_SCORE = 0.2
"""Keypoints below it are left out, as in the overlay."""

_RADIUS_2D, _RADIUS_3D = 2.0, 0.02
"""Half the width of a limb, in pixels and in metres."""


def write_rrd(
    result: PoseResult,
    path: Path,
    *,
    video: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a recording: `picture` has the video and 2D skeletons, `scene` the 3D skeletons, `angles` the curves.

    Args:
        result: the people.
        path: of the .rrd file.
        video: of the result, to put into the recording; None leaves it out.
        progress: called after every frame of the video with the frames decoded so far and those of the whole video.

    Raises:
        VidposeError: rerun-sdk is not installed; the video cannot be read or is not the one of the result; the file
            cannot be written.
    """
    rr = _rerun()
    with replacing(path) as partial:
        # Rerun reports a file that it cannot open in its own words, and goes on without.
        partial.touch()
        recording = rr.RecordingStream("vidpose")
        recording.save(partial)
        recording.log("scene", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        length = PageLength(frames_to_show(result))
        if video:
            _log_film(rr, recording, result, length.frames, small_film(result, video, length, progress))
        scene, to_film = ViewerScene.of(result), length.film_size(result.source)[0] / result.source.width
        for track in result.tracks:
            _log_person(rr, recording, result, track, scene, to_film)
        recording.flush()
        recording.disconnect()


def open_viewer(path: Path) -> None:
    """Start the Rerun viewer on a recording; it lives on by itself.

    Raises:
        VidposeError: rerun-sdk is not installed.
    """
    _rerun()
    subprocess.Popen(  # noqa: S603 - no shell, and the program is this Python
        [sys.executable, "-m", "rerun", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def _rerun() -> ModuleType:
    try:
        import rerun
    except ImportError as error:
        raise VidposeError(
            f"`rerun` needs the Rerun viewer ({error}); install it with `pip install 'vidpose[rerun]'`"
        ) from None
    return rerun


def _log_film(rr: ModuleType, recording: Any, result: PoseResult, frames: range, film: bytes) -> None:
    times = result.source.times[frames.start : frames.stop]
    recording.log("picture/video", rr.AssetVideo(contents=film, media_type="video/mp4"), static=True)
    # The film begins with the first frame that is shown.
    nanoseconds = np.rint(1e9 * (times - times[0])).astype(np.int64)
    rr.send_columns(
        "picture/video", _clocks(rr, np.array(frames), times), rr.VideoFrameReference.columns_nanos(nanoseconds),
        recording=recording,
    )  # fmt: skip


def _log_person(
    rr: ModuleType, recording: Any, result: PoseResult, track: Track, scene: ViewerScene, to_film: float
) -> None:
    keypoints = np.where(track.scores[..., None] < _LEAST_SCORE, np.nan, track.keypoints) * to_film
    seen_as = SKELETONS[result.keypoint_layout]
    _log_bones(recording, f"picture/person_{track.id}", rr.LineStrips2D, track, keypoints, seen_as, _RADIUS_2D)
    if track.id not in scene.joints:
        return
    joints = scene.joints[track.id]
    _log_bones(
        recording, f"scene/person_{track.id}", rr.LineStrips3D, track, joints, whole_skeleton(result), _RADIUS_3D
    )
    for name, curve in track_angles(result, track).items():
        known = np.isfinite(curve)
        rr.send_columns(
            f"angles/person_{track.id}/{name}",
            _clocks(rr, track.frames[known], track.times[known]),
            rr.Scalars.columns(scalars=curve[known]),
            recording=recording,
        )


def _log_bones(
    recording: Any, entity: str, strips: type, track: Track, points: np.ndarray, layout: Skeleton, radius: float
) -> None:
    """Lines from joint to joint in every frame, none where either is absent; after the last row there is nobody."""
    bones = style.bones_of(layout)
    ends = np.array([(bone.start, bone.end) for bone in bones])
    colours = np.array([bone.colour for bone in bones], np.uint8)
    for row, frame in enumerate(track.frames):
        lines = points[row, ends]
        there = np.isfinite(lines).all(axis=(1, 2))
        _set_time(recording, frame, track.times[row])
        recording.log(entity, strips(lines[there], colors=colours[there], radii=radius))
    step = track.times[-1] - track.times[-2] if len(track) > 1 else 1.0
    _set_time(recording, track.frames[-1] + 1, track.times[-1] + step)
    recording.log(entity, strips([]))


def _clocks(rr: ModuleType, frames: np.ndarray, times: np.ndarray) -> list[Any]:
    return [rr.TimeColumn("time", duration=times), rr.TimeColumn("frame", sequence=frames)]


def _set_time(recording: Any, frame: int, time: float) -> None:
    recording.set_time("time", duration=float(time))
    recording.set_time("frame", sequence=int(frame))
