"""The data that travels: one `Track` a person, gathered in a `PoseResult`, and its lossless file.

Everything after the keypoint stage reads tracks and gives tracks. A result is saved as one `.npz` without pickles:
the arrays of each track, and a JSON header for the rest.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.common.files import write_npz

FORMAT_VERSION = 2


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

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool: the rows in which the detector found this person."""
        return (self.scores > 0).any(axis=1)

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
        rotations = np.empty((rows, 0, 4), np.float32)
        return Track(id, frames, times, boxes, keypoints, scores, joints, joints[..., 0], roots, rotations)


_ARRAYS = tuple(f.name for f in fields(Track) if f.name != "id")
_SINCE_2 = ("roots", "rotations")


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


@dataclass(frozen=True)
class Source:
    """The video a result came from, as it was decoded.

    Attributes:
        path: the file as the user named it.
        width, height: pixels of the upright picture, after rotation metadata.
        times: (F,) float64 seconds of every decoded frame.
        fps: frames a second as the container states it; None when it states nothing.
        truncated: the file ended before its container said it would, or could not be decoded to the end.
    """

    path: str
    width: int
    height: int
    times: np.ndarray
    fps: Fraction | None
    truncated: bool = False

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
    """

    source: Source
    tracks: tuple[Track, ...]
    keypoint_layout: str
    joint_layout: str
    provenance: Mapping[str, str | int | float | None] = field(default_factory=dict)
    camera: PinholeCamera | None = None

    def with_tracks(self, tracks: tuple[Track, ...], **provenance: str | int | float | None) -> PoseResult:
        """The same result with other tracks, and with entries added to its provenance."""
        return replace(self, tracks=tracks, provenance={**self.provenance, **provenance})

    def save(self, path: Path) -> None:
        """Write every number of this result, bit for bit, to a `.npz`.

        Raises:
            VidposeError: the file cannot be written.
        """
        source = {**asdict(self.source), "fps": str(self.source.fps) if self.source.fps else None}
        del source["times"]
        header = {
            "format": "vidpose-result",
            "format_version": FORMAT_VERSION,
            "source": source,
            "keypoint_layout": self.keypoint_layout,
            "joint_layout": self.joint_layout,
            "provenance": dict(self.provenance),
            "camera": self.camera.as_json() if self.camera else None,
            "ids": [track.id for track in self.tracks],
        }
        arrays = {f"track{t.id}_{name}": getattr(t, name) for t in self.tracks for name in _ARRAYS}
        write_npz(path, header=np.array(json.dumps(header)), times=self.source.times, **arrays)

    @staticmethod
    def load(path: Path) -> PoseResult:
        """Read what `save` wrote.

        Raises:
            VidposeError: the file is missing, unreadable, or not a vidpose result.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header["format"] != "vidpose-result" or header["format_version"] > FORMAT_VERSION:
                    raise ValueError(f"format {header['format']} {header['format_version']}")
                tracks = tuple(_read_track(file, i, header["format_version"]) for i in header["ids"])
                camera = _camera_of_json(header.get("camera"))
                fps = header["source"].pop("fps")
                source = Source(**header["source"], fps=Fraction(fps) if fps else None, times=file["times"])
        except FileNotFoundError:
            raise VidposeError(f"{path}: no such file") from None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise VidposeError(
                f"{path}: not a vidpose result ({str(error) or 'empty'}); give the .npz that `vidpose infer` wrote"
            ) from None
        return PoseResult(
            source, tracks, header["keypoint_layout"], header["joint_layout"], header["provenance"], camera
        )


def _read_track(file: Mapping[str, np.ndarray], id_: int, version: int) -> Track:
    names = [name for name in _ARRAYS if version >= 2 or name not in _SINCE_2]
    arrays = {name: file[f"track{id_}_{name}"] for name in names}
    if version >= 2:
        return Track(id_, **arrays)
    joints, joint_scores = arrays.pop("joints"), arrays.pop("joint_scores")
    return replace(Track.of_keypoints(id_, **arrays), joints=joints, joint_scores=joint_scores)


def _camera_of_json(facts: Mapping[str, Any] | None) -> PinholeCamera | None:
    if facts is None:
        return None
    to_world = None if facts["to_world"] is None else np.array(facts["to_world"], float).reshape(3, 4)
    return PinholeCamera(tuple(facts["focal"]), tuple(facts["centre"]), to_world)
