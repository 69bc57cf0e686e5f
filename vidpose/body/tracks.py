"""The data that travels: one `Track` a person, gathered in a `PoseResult`, and its lossless file.

Everything after the keypoint stage reads tracks and gives tracks. A result is saved as one `.npz` without pickles:
the arrays of each track, and a JSON header for the rest.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from vidpose.body.skeletons import SKELETONS
from vidpose.common.errors import VidposeError
from vidpose.common.files import write_npz
from vidpose.common.inputs import Pixels, convert, short, strict_json
from vidpose.common.npz import NpzArrays, open_npz

if TYPE_CHECKING:
    import pandas

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
        in_ray_frame: the joints are not in the camera's frame yet: each pose is in that of the ray to its root, whose z
            axis it is (`vidpose.body.geometry.ray_turns`).
    """

    source: Source
    tracks: tuple[Track, ...]
    keypoint_layout: str
    joint_layout: str
    provenance: Mapping[str, str | int | float | None] = field(default_factory=dict)
    camera: PinholeCamera | None = None
    in_ray_frame: bool = False

    def with_tracks(self, tracks: tuple[Track, ...], **provenance: str | int | float | None) -> PoseResult:
        """The same result with other tracks, and with entries added to its provenance."""
        return replace(self, tracks=tracks, provenance={**self.provenance, **provenance})

    def export(self, format: str, path: str | Path) -> list[Path]:
        """Write this result for other programs; gives the files. What is there already is replaced.

        Args:
            format: a name of `vidpose.export.FORMATS`: "bvh", "gltf", "trc" and so on.
            path: folder and beginning of the files' names, as in "out/walk" or "out/walk.bvh". A format with a file a
                person puts `_person1` and so on behind it.

        Raises:
            UsageError: there is no such format, or it cannot hold this result's joint layout.
            VidposeError: a file cannot be written.
        """
        from vidpose.export import get_formats

        (chosen,) = get_formats((format,)).values()
        return chosen.write(self, chosen.stem_of(Path(path)))

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
        from vidpose.export import write_page

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
            "provenance": {key: _plain(fact) for key, fact in self.provenance.items()},
            "camera": self.camera.as_json() if self.camera else None,
            "in_ray_frame": self.in_ray_frame,
            "ids": [track.id for track in self.tracks],
        }
        arrays = {f"track{t.id}_{name}": getattr(t, name) for t in self.tracks for name in _ARRAYS}
        write_npz(path, header=np.array(json.dumps(header, allow_nan=False)), times=self.source.times, **arrays)

    @staticmethod
    def load(path: Path) -> PoseResult:
        """Read what `save` wrote, and see that all of it is as the classes here say.

        Raises:
            VidposeError: the file is missing, unreadable, or not a vidpose result; says what is wrong.
        """
        with open_npz(path, "a vidpose result", "give the .npz that `vidpose infer` wrote") as file:
            header = _read_header(path, file)
            times = file.read("times", (None,), "f").astype(np.float64)
            _check_times("times", times)
            named = header.source
            source = Source(named.path, named.width, named.height, times, _rate(named.fps), named.truncated)
            tracks = tuple(_read_track(file, id_, header, len(times)) for id_ in header.ids)
            camera = header.camera.checked() if header.camera else None
        return PoseResult(
            source, tracks, header.keypoint_layout, header.joint_layout, header.provenance, camera, header.in_ray_frame
        )


_Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
_Row = tuple[_Number, _Number, _Number, _Number]


class _SourceFacts(Struct, forbid_unknown_fields=True):
    """What the header says of the video."""

    path: str
    width: Pixels
    height: Pixels
    fps: Annotated[str, Meta(max_length=40)] | None
    truncated: bool = False


class _CameraFacts(Struct, forbid_unknown_fields=True):
    """What the header says of the camera."""

    focal: tuple[Annotated[float, Meta(gt=0, le=1e9)], Annotated[float, Meta(gt=0, le=1e9)]]
    centre: tuple[_Number, _Number]
    to_world: tuple[_Row, _Row, _Row] | None

    def checked(self) -> PinholeCamera:
        """The camera; raises ValueError where its place in the world is none."""
        if self.to_world is None:
            return PinholeCamera(self.focal, self.centre)
        to_world = np.array(self.to_world)
        turn = to_world[:, :3]
        if np.abs(turn @ turn.T - np.eye(3)).max() > _LOOSE or np.linalg.det(turn) < 0:
            raise ValueError("camera.to_world does not begin with a rotation")
        return PinholeCamera(self.focal, self.centre, to_world)


class _ResultHeader(Struct):
    """The header of a result's file."""

    format_version: int
    source: _SourceFacts
    keypoint_layout: str
    joint_layout: str
    provenance: dict[str, str | int | float | bool | None]
    ids: list[Annotated[int, Meta(ge=1, le=10**9)]]
    camera: _CameraFacts | None = None
    in_ray_frame: bool = False


_LOOSE = 1e-3
"""What rounding may take from a rotation."""

_LATE = 1e7
"""Seconds, a hundred days, that no video lasts."""

_FAR = 1e7
"""Pixels, or metres, that nothing is away."""


def _read_header(path: Path, file: NpzArrays) -> _ResultHeader:
    written = strict_json(str(file.read("header", (), "U")))
    if not isinstance(written, dict) or written.get("format") != "vidpose-result":
        raise ValueError("its header is of something else")
    version = written.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise VidposeError(f"{path}: a result of a newer vidpose (format {version}); upgrade vidpose")
    header = convert(written, _ResultHeader)
    if header.format_version < 1:
        raise ValueError(f"format_version is {header.format_version}")
    if len(set(header.ids)) < len(header.ids):
        raise ValueError("two people have one id")
    return header


def _plain(fact: str | int | float | None) -> str | int | float | None:
    """A fact as JSON can have it, which knows no number that is none."""
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact


def _rate(fps: str | None) -> Fraction | None:
    if fps is None:
        return None
    rate = Fraction(fps) if re.fullmatch(r"[0-9]{1,18}(/[1-9][0-9]{0,17})?", fps) else 0
    if not 0 < rate < 1e6:
        raise ValueError(f"source.fps is {short(fps)}, which is no frame rate")
    return rate


def _check_times(name: str, times: np.ndarray) -> None:
    # NaN is neither small nor greater than another.
    if not len(times) or not (np.abs(times) <= _LATE).all() or not (np.diff(times) > 0).all():
        raise ValueError(f"{name} are not seconds, each later than the one before")


def _joints_of(header: _ResultHeader, which: str) -> int:
    """How many joints a layout has; 0 where it has no name, since nobody was lifted."""
    name = getattr(header, which)
    if name not in SKELETONS and not (which == "joint_layout" and name == ""):
        raise ValueError(f"{which} is {short(name)}; known are {', '.join(SKELETONS)}")
    return len(SKELETONS[name]) if name else 0


def _read_track(file: NpzArrays, id_: int, header: _ResultHeader, num_frames: int) -> Track:
    def read(name: str, *shape: int | None) -> np.ndarray:
        array = file.read(f"track{id_}_{name}", shape, "f").astype(np.float32)
        if np.isinf(array).any() or np.abs(np.nan_to_num(array)).max(initial=0) > _FAR:
            raise ValueError(f"{name} of person {id_}: a number beyond {_FAR:g}")
        return array

    def joints_in(name: str) -> int:
        """As many as the layout has, or none, which stands for a person without them."""
        return joints if file.about(f"track{id_}_{name}")[0][1:2] != (0,) else 0

    keypoints, joints = _joints_of(header, "keypoint_layout"), _joints_of(header, "joint_layout")
    frames = file.read(f"track{id_}_frames", (None,), "i").astype(np.int64)
    rows = len(frames)
    if not rows or frames[0] < 0 or frames[-1] >= num_frames or (np.diff(frames) != 1).any():
        raise ValueError(f"frames of person {id_} are not consecutive ones of the video's {num_frames}")
    times = file.read(f"track{id_}_times", (rows,), "f").astype(np.float64)
    _check_times(f"times of person {id_}", times)
    track = Track.of_keypoints(
        id_,
        frames,
        times,
        read("boxes", rows, 4),
        read("keypoints", rows, keypoints, 2),
        read("scores", rows, keypoints),
    )
    lifted = joints_in("joints")
    track = replace(track, joints=read("joints", rows, lifted, 3), joint_scores=read("joint_scores", rows, lifted))
    if header.format_version >= 2:
        turned = joints_in("rotations")
        track = replace(track, roots=read("roots", rows, 3), rotations=read("rotations", rows, turned, 4))
    _check_track(track)
    return track


def _check_track(track: Track) -> None:
    """See that a track's numbers can be.

    Raises:
        ValueError: they cannot; says which.
    """
    of = f"of person {track.id}"
    for name in ("scores", "joint_scores"):
        scores = getattr(track, name)
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError(f"{name} {of} are not all from 0 to 1")
    if np.isnan(track.keypoints[track.scores > 0]).any():
        raise ValueError(f"keypoints {of} are no numbers where their scores are above 0")
    boxes = track.boxes[track.seen]
    if not (boxes[:, 2:] >= boxes[:, :2]).all():
        raise ValueError(f"boxes {of} are no boxes in frames where the person is seen")
    lengths = np.linalg.norm(track.rotations, axis=-1)
    if (np.abs(lengths - 1) > _LOOSE).any():
        raise ValueError(f"rotations {of} are not unit quaternions")
