"""The data that travels: one `Track` a person, gathered in a `PoseResult`.

Everything after the keypoint stage reads tracks and gives tracks. `result_file.py` is how they are saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Track:
    """One person through time, a row for every decoded frame from the first to the last sighting.

    N rows, K keypoints of the detector's layout, J joints of the lifter's layout. What is absent is NaN, with score 0.

    Attributes:
        id: the person's number, from 1, unique in the result.
        frames: (N,) int64 frame numbers, consecutive; frame n is the nth decoded frame of the video, from 0.
        times: (N,) float64 seconds, from the video's own timestamps.
        boxes: (N, 4) float32 pixels, x0 y0 x1 y1.
        keypoints: (N, K, 2) float32 pixels of the upright picture, with left and right the same throughout.
        scores: (N, K) float32 confidence of each keypoint, 0 to 1.
        joints: (N, J, 3) float32 metres, relative to the root joint; x right, y down, z away from the camera.
        joint_scores: (N, J) float32, 0 to 1; a filled gap keeps score 0.
        roots: (N, 3) float32 metres, the root joint in the camera's frame; all NaN where nobody looked for it.
        rotations: (N, J, 4) float32 unit quaternions, the real part first, that turn the bones which leave a joint
            from the rest pose (`vidpose.body.kinematics`) into the camera's frame; (N, 0, 4) where no body was fitted.
        extremities: (N, 10, 3) float32 metres, relative to the root joint: feet and hands of a fitted body, in
            `EXTREMITIES_10`, seen or not (`vidpose.body.whole_body`); (N, 0, 3) where there are none.
        doubts: (N, J, 2) float32 metres, standard deviations of what the lifter gave for each joint against its parent,
            as it says itself: across the ray to the person, and along it; (N, 0, 2) where it does not say.
    """

    id: int
    frames: np.ndarray
    times: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    joints: np.ndarray
    joint_scores: np.ndarray
    roots: np.ndarray
    rotations: np.ndarray
    extremities: np.ndarray
    doubts: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool: the rows in which the detector found this person."""
        return np.any(self.scores > 0, axis=1)

    @property
    def lifted(self) -> np.ndarray:
        """(N,) bool: the rows that have a 3D pose."""
        return np.isfinite(self.joints).all(axis=(1, 2)) & (self.joints.shape[1] > 0)

    @staticmethod
    def of_keypoints(
        id: int, frames: np.ndarray, times: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray, scores: np.ndarray
    ) -> Track:
        """A track that has no 3D yet."""
        rows = len(frames)
        joints, roots = np.empty((rows, 0, 3), np.float32), np.full((rows, 3), np.nan, np.float32)
        rotations, doubts = np.empty((rows, 0, 4), np.float32), np.empty((rows, 0, 2), np.float32)
        return Track(
            id, frames, times, boxes, keypoints, scores, joints, joints[..., 0], roots, rotations, joints, doubts
        )

    @staticmethod
    def of_sightings(
        id: int, frames: np.ndarray, times: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray, scores: np.ndarray
    ) -> Track:
        """A track that has no 3D yet, with a row for each frame from the first to the last; NaN where not seen.

        Args:
            frames: (R,) rising, in which somebody was seen, as boxes, keypoints and scores say.
            times: (F,) seconds of every frame of the video.
        """
        whole = np.arange(frames[0], frames[-1] + 1)
        columns = []
        for values, nothing in ((boxes, np.nan), (keypoints, np.nan), (scores, 0.0)):
            column = np.full((len(whole), *values.shape[1:]), nothing, np.float32)
            column[frames - whole[0]] = values
            columns.append(column)
        return Track.of_keypoints(id, whole, times[whole], *columns)


@dataclass(frozen=True)
class PinholeCamera:
    """The camera that 3D joints, with their roots, are seen by: a pinhole.

    Attributes:
        focal, centre: (fx, fy) and (cx, cy) in pixels of the upright picture.
        to_world: (3, 4) float64, turns and moves points of the camera's frame into a world with Z up and the floor at
            0, in metres; None where no floor is known.
    """

    focal: tuple[float, float]
    centre: tuple[float, float]
    to_world: np.ndarray | None = None

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels (..., 2) of points (..., 3) in the camera's frame, in front of it."""
        return points[..., :2] / points[..., 2:] * self.focal + self.centre

    def as_json(self) -> dict[str, Any]:
        """Its facts as lists of numbers, by name."""
        to_world = None if self.to_world is None else self.to_world.tolist()
        return {"focal": list(self.focal), "centre": list(self.centre), "to_world": to_world}


FocalFrom = Literal["fov", "focal", "video", "assumed"]
"""Where a focal length is from: a setting of that name, the video's metadata, or a common lens."""


@dataclass(frozen=True)
class PlacingFacts:
    """How people were put into space.

    Attributes:
        focal_from: where the camera's focal length is from.
        heights: metres that people were said to be tall, by id; the others have the lifter's own metres.
        reprojection_px: by id, the median distance in pixels between a joint and its keypoint.
    """

    focal_from: FocalFrom
    heights: Mapping[int, float]
    reprojection_px: Mapping[int, float]


@dataclass(frozen=True)
class ViewFacts:
    """How one of several calibrated views agrees with the others.

    Attributes:
        camera: its name in the calibration.
        views: how many there are.
        reprojection_px: the median distance in pixels between triangulated points and keypoints; None where nothing is
            triangulated.
        triangulated: the share of the keypoints seen that agree with other views; None where no other view sees them.
    """

    camera: str
    views: int
    reprojection_px: float | None
    triangulated: float | None


@dataclass(frozen=True)
class Source:
    """The video a result came from, as it was decoded.

    Attributes:
        path: the file as the user named it.
        width, height: pixels of the upright picture, after rotation metadata.
        times: (F,) float64 seconds of every decoded frame.
        fps: frames a second as the container states it; None when it states nothing.
        truncated: the file ended before its container said it would, or could not be decoded to the end.
        cuts: numbers of the frames that shots begin with, but for the first.
        pictures: there is a video at `path`; False where only keypoints were given, which are at `path` then.
    """

    path: str
    width: int
    height: int
    times: np.ndarray
    fps: Fraction | None
    truncated: bool = False
    cuts: tuple[int, ...] = ()
    pictures: bool = True

    @property
    def num_frames(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class PoseResult:
    """People found in one video.

    Attributes:
        source: the video.
        tracks: the people, in order of appearance.
        keypoint_layout, joint_layout: names of the 2D and 3D joint layouts (`vidpose.body.skeletons`).
        provenance: what made this: detector, conversion, lifter, weights and their hash, smoothing, vidpose version.
            Strings, numbers and None only.
        camera: by which the tracks' roots were found; None where nobody looked for them.
        placing: how people were put into space by one camera; None where they were not.
        agreement: how this view agrees with the others; None for a video by itself.
        in_ray_frame: the joints are not in the camera's frame yet: each pose is in that of the ray to its root, whose z
            axis it is (`vidpose.body.geometry.ray_turns`).
        joints_given: the joints came in 3D, from a file: there is nothing to lift.
    """

    source: Source
    tracks: tuple[Track, ...]
    keypoint_layout: str
    joint_layout: str
    provenance: Mapping[str, str | int | float | None] = field(default_factory=dict)
    camera: PinholeCamera | None = None
    placing: PlacingFacts | None = None
    agreement: ViewFacts | None = None
    in_ray_frame: bool = False
    joints_given: bool = False

    @staticmethod
    def from_keypoints(
        path: str | Path,
        *,
        video: str | Path | None = None,
        size: tuple[int, int] | str | None = None,
        fps: float | Fraction | None = None,
    ) -> PoseResult:
        """What another program found, as a result that `vidpose.infer(from_keypoints=...)` lifts.

        Which format it is, the file says: a folder of OpenPose's JSON, results of AlphaPose or COCO, predictions of
        MMPose or rtmlib, MediaPipe's landmarks, DeepLabCut's CSV or HDF5, TRC, C3D, BVH and `.glb` (joints in 3D, which
        need no lifting), and what vidpose writes (docs/formats.md). The methods after this one read one format each.

        Args:
            path: of the file or folder.
            video: that the keypoints are of, for its size and times.
            size: (width, height) in pixels, or "1920x1080", of the picture that the keypoints are in, where nothing
                else says it.
            fps: frames a second, above 0, where nothing else says it.

        Raises:
            UsageError: nothing says how large the picture is; or a number cannot be.
            VidposeError: the file is missing, damaged, or of another format or video.
        """
        from vidpose.pipeline.keypoint_intake import take_in

        return take_in(Path(path), video=None if video is None else Path(video), size=size, fps=fps)

    @staticmethod
    def from_openpose(path: str | Path, **how: Any) -> PoseResult:
        """A folder of OpenPose's JSON files; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("openpose", path, **how)

    @staticmethod
    def from_alphapose(path: str | Path, **how: Any) -> PoseResult:
        """AlphaPose's results; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("alphapose", path, **how)

    @staticmethod
    def from_coco(path: str | Path, **how: Any) -> PoseResult:
        """COCO's results or annotations; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("coco", path, **how)

    @staticmethod
    def from_mmpose(path: str | Path, **how: Any) -> PoseResult:
        """Predictions of MMPose or rtmlib; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("mmpose", path, **how)

    @staticmethod
    def from_mediapipe(path: str | Path, **how: Any) -> PoseResult:
        """MediaPipe's landmarks, JSON, CSV or `.npy`; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("mediapipe", path, **how)

    @staticmethod
    def from_deeplabcut(path: str | Path, **how: Any) -> PoseResult:
        """DeepLabCut's CSV or HDF5; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("deeplabcut", path, **how)

    @staticmethod
    def from_trc(path: str | Path, **how: Any) -> PoseResult:
        """Joints in 3D from a TRC file; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("trc", path, **how)

    @staticmethod
    def from_c3d(path: str | Path, **how: Any) -> PoseResult:
        """Joints in 3D from a C3D file; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("c3d", path, **how)

    @staticmethod
    def from_bvh(path: str | Path, **how: Any) -> PoseResult:
        """Joints in 3D from a BVH of ours; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("bvh", path, **how)

    @staticmethod
    def from_gltf(path: str | Path, **how: Any) -> PoseResult:
        """Joints in 3D from a `.glb` of ours; `how`, and what may go wrong, as of `from_keypoints`."""
        from vidpose.pipeline.keypoint_intake import take_in_kind

        return take_in_kind("gltf", path, **how)

    def with_tracks(self, tracks: tuple[Track, ...], **provenance: str | int | float | None) -> PoseResult:
        """The same result with other tracks, and with entries added to its provenance."""
        return replace(self, tracks=tracks, provenance={**self.provenance, **provenance})

    def export(self, format: str, path: str | Path, **chosen: Any) -> list[Path]:
        """Write this result for other programs; gives the files. What is there already is replaced.

        Args:
            format: a name of `vidpose.export.FORMATS`: "bvh", "gltf", "trc" and so on.
            path: folder and beginning of the files' names, as in "out/walk" or "out/walk.bvh". A format with a file a
                person puts `_person1` and so on behind it.
            chosen: what may be chosen about the format: `heading`, degrees, for "trc", "mot" and "opensim";
                `bones`, a name of `vidpose.export.BONE_NAMES`, for "bvh" and "gltf".

        Raises:
            UsageError: there is no such format, it has no such choice, or it cannot hold this result's joint layout.
            VidposeError: a file cannot be written.
        """
        from vidpose.export import check_choices, get_formats

        formats = get_formats((format,))
        check_choices(chosen, formats)
        (writer,) = formats.values()
        return writer.write(self, writer.stem_of(Path(path)), **chosen)

    def render(self, video: str | Path, path: str | Path) -> Path:
        """Draw the overlay: the skeletons on the video, and in 3D beside it. Gives `path`, an `.mp4` or `.mkv`.

        Raises:
            VidposeError: the video cannot be read or is not the one of this result; the file cannot be written.
        """
        from vidpose.render import render_overlay

        render_overlay(self, Path(video), Path(path))
        return Path(path)

    def view(self, path: str | Path) -> Path:
        """Write a page to look at: the video, if it is still where it was, the skeletons in 3D, the joint angles.

        Gives `path`, one HTML file that needs nothing beside it: open it in a browser.

        Raises:
            VidposeError: the page cannot be written.
        """
        from vidpose.export.html import write_page

        write_page(self, Path(path))
        return Path(path)

    def to_dataframe(self) -> pandas.DataFrame:
        """The 3D joints as a pandas table, with the columns of the `.csv`: a row for each person and frame.

        `id`, `frame`, `time` in seconds; `root_x`, `root_y`, `root_z`, the root joint in the camera's frame; `NAME_x`,
        `NAME_y`, `NAME_z`, relative to the root, and `NAME_score`, 0 to 1, of every joint. In metres, NaN where absent.

        Raises:
            VidposeError: pandas is not installed.
        """
        from vidpose.export.csv import dataframe

        return dataframe(self)

    def save(self, path: str | Path) -> None:
        """Write every number of this result, bit for bit, to a `.npz`.

        Raises:
            VidposeError: the file cannot be written.
        """
        from vidpose.body.result_file import write_result

        write_result(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> PoseResult:
        """Read what `save` wrote, and see that all of it is as the classes here say.

        Raises:
            VidposeError: the file is missing, unreadable, or not a vidpose result; says what is wrong.
        """
        from vidpose.body.result_file import read_result

        return read_result(Path(path))
