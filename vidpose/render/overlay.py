"""The overlay video: the source with 2D skeletons on it, and the 3D skeletons beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from vidpose.body.colours import id_colours
from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.body_models.anny_model import anny
from vidpose.body_models.embodying import MovingBody, embody
from vidpose.common.errors import VidposeError
from vidpose.render.panel import Panel
from vidpose.render.picture import Label, draw_box, draw_person, label_person
from vidpose.render.shading import PlacedMesh, draw_meshes
from vidpose.video import VideoReader, VideoWriter
from vidpose.video.acceleration import SOFTWARE
from vidpose.video.ahead import Ahead

MAX_WIDTH, MAX_HEIGHT = 1920, 1080
"""The overlay, panel included, is scaled down to fit; it is never enlarged."""

_PANEL_ASPECT = 0.72
"""Width of the panel over its height."""


class OverlayRenderer:
    """Draws a result frame by frame.

    Args:
        result: the people, with the size of the video they were found in.
        boxes: mark the person detector's boxes.
        bodies: people's meshes, by id, to draw instead of their 2D skeletons wherever they have a place.

    Attributes:
        size: (width, height) of the drawn pictures, both even.

    Raises:
        UsageError: the result names a joint layout that is not known.
    """

    def __init__(
        self, result: PoseResult, *, boxes: bool = False, bodies: Mapping[int, MovingBody] | None = None
    ) -> None:
        self._tracks, self._colours = result.tracks, id_colours(result.tracks)
        self._boxes = boxes
        self._camera = result.camera
        self._bodies = dict(bodies or {}) if result.camera else {}
        self._skeleton = get_skeleton(result.keypoint_layout)
        width, height = result.source.width, result.source.height
        self._scale = min(1, MAX_HEIGHT / height, MAX_WIDTH / (width + _PANEL_ASPECT * height))
        self._video_size = round(width * self._scale), round(height * self._scale)
        panel_width = round(self._video_size[1] * _PANEL_ASPECT)
        self.size = _even(self._video_size[0] + panel_width), _even(self._video_size[1])
        self._unit = self.size[1] / 720
        self._panel = Panel(result, self.size[0] - self._video_size[0], self.size[1])

    def draw(self, image: np.ndarray, frame_index: int) -> np.ndarray:
        """Draw one frame.

        Args:
            image: (H, W, 3) uint8 RGB, a frame of the video.
            frame_index: its number in the video.

        Returns:
            (height, width, 3) uint8 RGB of `size`.
        """
        width, height = self.size
        canvas = np.empty((height, width, 3), np.uint8)
        if self._scale < 1:
            # Averaging over areas takes seven times as long, and only shows where pixels would be skipped.
            method = cv2.INTER_LINEAR if self._scale >= 0.5 else cv2.INTER_AREA
            image = cv2.resize(image, self._video_size, interpolation=method)
        picture = canvas[:, : self._video_size[0]]
        picture[:] = image[:height]
        people = [(track, row) for track in self._tracks if (row := _row(track, frame_index)) is not None]
        meshes = {track.id: mesh for track, row in people if (mesh := self._mesh(track, row))}
        if self._camera:
            draw_meshes(picture, list(meshes.values()), self._camera, self._scale)
        for track, row in people:
            if self._boxes:
                draw_box(picture, track.boxes[row] * self._scale, self._colours[track.id], self._unit)
            points = track.keypoints[row] * self._scale
            draw = label_person if track.id in meshes else draw_person
            label = Label(track.id, self._colours[track.id])
            draw(picture, self._skeleton, points, track.scores[row], label, self._unit)
        self._panel.draw(canvas[:, self._video_size[0] :], people)
        return canvas

    def _mesh(self, track: Track, row: int) -> PlacedMesh | None:
        """A person's mesh before the camera; None where they have none, or no place."""
        body = self._bodies.get(track.id)
        if body is None or not body.posed[row] or not np.isfinite(track.roots[row]).all():
            return None
        return PlacedMesh(body.vertices(row) + track.roots[row], body.model.faces, self._colours[track.id])


def bodies_of(result: PoseResult) -> dict[int, MovingBody]:
    """Meshes to draw over the video, by id, of everybody who has a fitted body; where nobody has 3D joints, none.

    Raises:
        VidposeError: the result has no camera, nobody has a fitted body, or bones that nobody has.
    """
    lifted = [track for track in result.tracks if track.lifted.any()]
    if not lifted:
        return {}
    if result.camera is None:
        raise VidposeError("the result has no camera, which a mesh is drawn by; lift again, with `fit`")
    # Of several views, somebody whom only one sees has none; a skeleton shows them.
    fitted = [track for track in lifted if np.isfinite(track.rotations).any()]
    return embody(result.with_tracks(tuple(fitted or lifted)), anny())


def render_overlay(
    result: PoseResult,
    video_path: Path,
    out_path: Path,
    *,
    boxes: bool = False,
    bodies: Mapping[int, MovingBody] | None = None,
    start: float | None = None,
    end: float | None = None,
    hwaccel: str = SOFTWARE,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Read the video once more, and write it with the result drawn on it, at the result's times.

    Args:
        result: what was found in this video.
        video_path: the video or the folder of images.
        out_path: the video to write.
        boxes, bodies: as of `OverlayRenderer`.
        start, end: seconds; draw only the frames with start <= time < end.
        hwaccel: device that decodes and encodes, as of `VideoReader` and `VideoWriter`.
        progress: called after every frame with the frames decoded so far and those of the whole video.

    Raises:
        VidposeError: the video cannot be read, is not the one of the result, or the overlay cannot be written.
        UsageError: there is no frame between `start` and `end`, or `out_path` names no kind of video.
    """
    renderer = OverlayRenderer(result, boxes=boxes, bodies=bodies)
    source = result.source
    with VideoReader(video_path, start=start, end=end, times=source.times, hwaccel=hwaccel) as video:
        if (video.width, video.height) != (source.width, source.height):
            raise VidposeError(
                f"{video_path}: {video.width}x{video.height} pixels, but the result is of a video with "
                f"{source.width}x{source.height}; give the video it was made from"
            )
        drawn = Ahead((frame, renderer.draw(frame.image, frame.index)) for frame in video)
        with closing(drawn), VideoWriter(out_path, renderer.size, video.fps, hwaccel=hwaccel) as writer:
            for frame, picture in drawn:
                writer.write(picture, frame.time)
                if progress:
                    progress(frame.index + 1, source.num_frames)


def _even(side: int) -> int:
    return side - side % 2


def _row(track: Track, frame_index: int) -> int | None:
    """The row of a frame in a track, whose frames are consecutive; None outside of it."""
    row = frame_index - int(track.frames[0])
    return row if 0 <= row < len(track) else None
