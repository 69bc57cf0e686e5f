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

import numpy as np

from vidpose.errors import VidposeError
from vidpose.files import write_npz

FORMAT_VERSION = 1


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
    """

    id: int
    frames: np.ndarray
    times: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    joints: np.ndarray
    joint_scores: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seen(self) -> np.ndarray:
        """(N,) bool: the rows in which the detector found this person."""
        return (self.scores > 0).any(axis=1)

    @property
    def lifted(self) -> np.ndarray:
        """(N,) bool: the rows that have a 3D pose."""
        return np.isfinite(self.joints).all(axis=(1, 2))


_ARRAYS = tuple(f.name for f in fields(Track) if f.name != "id")


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
        keypoint_layout, joint_layout: names of the 2D and 3D joint layouts (`vidpose.skeletons`).
        provenance: what made this: detector, conversion, lifter, weights and their hash, smoothing, vidpose version.
            Strings, numbers and None only.
    """

    source: Source
    tracks: tuple[Track, ...]
    keypoint_layout: str
    joint_layout: str
    provenance: Mapping[str, str | int | float | None] = field(default_factory=dict)

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
                tracks = tuple(
                    Track(id=i, **{name: file[f"track{i}_{name}"] for name in _ARRAYS}) for i in header["ids"]
                )
                fps = header["source"].pop("fps")
                source = Source(**header["source"], fps=Fraction(fps) if fps else None, times=file["times"])
        except FileNotFoundError:
            raise VidposeError(f"{path}: no such file") from None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise VidposeError(
                f"{path}: not a vidpose result ({str(error) or 'empty'}); give the .npz that `vidpose infer` wrote"
            ) from None
        return PoseResult(source, tracks, header["keypoint_layout"], header["joint_layout"], header["provenance"])
