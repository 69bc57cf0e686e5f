"""The lossless file of a result: an `.npz` without pickles, with the arrays of each track and a JSON header."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from vidpose.body.skeletons import EXTREMITIES_10, H36M_17, SKELETONS
from vidpose.body.tracks import FocalFrom, PinholeCamera, PlacingFacts, PoseResult, Source, Track, ViewFacts
from vidpose.common.errors import VidposeError
from vidpose.common.files import write_npz
from vidpose.common.inputs import Pixels, convert, short, strict_json
from vidpose.common.npz import NpzArrays, open_npz

FORMAT_VERSION = 5

MAX_ID = 10**9
"""Of a person, from 1."""

_ARRAYS = tuple(f.name for f in fields(Track) if f.name != "id")


def write_result(result: PoseResult, path: Path) -> None:
    """Write every number of a result, bit for bit.

    Raises:
        VidposeError: the file cannot be written; or an id is one that nothing would read.
    """
    wrong = [track.id for track in result.tracks if not 1 <= track.id <= MAX_ID]
    if wrong:
        raise VidposeError(
            f"{path}: a person has id {wrong[0]}, where ids from 1 to {MAX_ID} can be saved; renumber them"
        )
    source = {**asdict(result.source), "fps": str(result.source.fps) if result.source.fps else None}
    del source["times"]
    header = {
        "format": "vidpose-result",
        "format_version": FORMAT_VERSION,
        "source": source,
        "keypoint_layout": result.keypoint_layout,
        "joint_layout": result.joint_layout,
        "provenance": {key: _plain(fact) for key, fact in result.provenance.items()},
        "camera": result.camera.as_json() if result.camera else None,
        "in_ray_frame": result.in_ray_frame,
        "joints_given": result.joints_given,
        "placing": asdict(result.placing) if result.placing else None,
        "agreement": asdict(result.agreement) if result.agreement else None,
        "ids": [track.id for track in result.tracks],
    }
    arrays = {f"track{t.id}_{name}": getattr(t, name) for t in result.tracks for name in _ARRAYS}
    write_npz(path, header=np.array(json.dumps(header, allow_nan=False)), times=result.source.times, **arrays)


def read_result(path: Path) -> PoseResult:
    """Read what `write_result` wrote, and see that all of it is as `PoseResult` says.

    Raises:
        VidposeError: the file is missing, unreadable, or not a vidpose result; says what is wrong.
    """
    with open_npz(path, "a vidpose result", "give the .npz that `vidpose infer` wrote") as file:
        header = _read_header(path, file)
        times = file.read("times", (None,), "f").astype(np.float64)
        _check_times("times", times)
        named = header.source
        _check_cuts(named.cuts, len(times))
        source = Source(
            named.path, named.width, named.height, times, _rate(named.fps), named.truncated, tuple(named.cuts),
            named.pictures,
        )  # fmt: skip
        tracks = tuple(_read_track(file, id_, header, len(times)) for id_ in header.ids)
        camera = header.camera.checked() if header.camera else None
    layouts = (header.keypoint_layout, header.joint_layout)
    return PoseResult(
        source, tracks, *layouts, header.provenance, camera, header.placing, header.agreement, header.in_ray_frame,
        header.joints_given,
    )  # fmt: skip


def read_provenance(path: Path) -> tuple[Mapping[str, str | int | float | bool | None], list[int]]:
    """What a result's file says made it, and the ids of the people in it, without the rest. Raises as `read_result`."""
    with open_npz(path, "a vidpose result", "give the .npz that `vidpose infer` wrote") as file:
        header = _read_header(path, file)
    return header.provenance, header.ids


_Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
_Row = tuple[_Number, _Number, _Number, _Number]


class _SourceFacts(Struct, forbid_unknown_fields=True):
    """What the header says of the video."""

    path: str
    width: Pixels
    height: Pixels
    fps: Annotated[str, Meta(max_length=40)] | None
    truncated: bool = False
    cuts: list[Annotated[int, Meta(ge=0, le=10**9)]] = []
    pictures: bool = True


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
    ids: list[Annotated[int, Meta(ge=1, le=MAX_ID)]]
    camera: _CameraFacts | None = None
    placing: PlacingFacts | None = None
    agreement: ViewFacts | None = None
    in_ray_frame: bool = False
    joints_given: bool = False


_LOOSE = 1e-3
"""What rounding may take from a rotation."""

_LATE = 1e7
"""Seconds, a hundred days, that no video lasts."""

_MAX_SIDE = 32768
"""Pixels of a side of a picture."""

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
    if header.format_version < 3:
        header.placing, header.agreement = _former_facts(header.provenance)
    if len(set(header.ids)) < len(header.ids):
        raise ValueError("two people have one id")
    return header


_FORMER_FACTS = ("focal_from", "height", "reprojection_px", "triangulated", "views", "view")
"""Provenance of formats 1 and 2 that has types now."""

_FOCAL_FROM: Mapping[str, FocalFrom] = {"fov": "fov", "focal": "focal", "metadata": "video"}
"""How the texts began, without an option's dashes, and what they are now."""


def _former_facts(provenance: dict[str, Any]) -> tuple[PlacingFacts | None, ViewFacts | None]:
    """The typed facts that older results have as text in their provenance, from which they are taken."""
    facts = {name: provenance.pop(name, None) for name in _FORMER_FACTS}
    if isinstance(facts["view"], str) and isinstance(facts["views"], int):
        measures = {name: facts[name] for name in ("reprojection_px", "triangulated")}
        return None, convert({"camera": facts["view"], "views": facts["views"], **measures}, ViewFacts)
    if not isinstance(facts["focal_from"], str):
        return None, None
    text = facts["focal_from"].removeprefix("--")
    told_by: FocalFrom = next((told for start, told in _FOCAL_FROM.items() if text.startswith(start)), "assumed")
    return PlacingFacts(told_by, _by_id(facts["height"]), _by_id(facts["reprojection_px"])), None


def _by_id(text: Any) -> dict[int, float]:
    """Numbers by id, from the text "1:2.7,2:3.2"; none where it is none."""
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,9}:[\d.]{1,20}(,\d{1,9}:[\d.]{1,20})*", text):
        return {}
    return {int(id_): float(number) for id_, number in (item.split(":") for item in text.split(","))}


def _plain(fact: str | int | float | None) -> str | int | float | None:
    """A fact as JSON can have it, which knows no number that is none."""
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact


def _rate(fps: str | None) -> Fraction | None:
    if fps is None:
        return None
    rate = Fraction(fps if re.fullmatch(r"[0-9]{1,18}(/[1-9][0-9]{0,17})?", fps) else 0)
    if not 0 < rate < 1e6:
        raise ValueError(f"source.fps is {short(fps)}, which is no frame rate")
    return rate


def _check_times(name: str, times: np.ndarray) -> None:
    # NaN is neither small nor greater than another.
    if not len(times) or not (np.abs(times) <= _LATE).all() or not (np.diff(times) > 0).all():
        raise ValueError(f"{name} are not seconds, each later than the one before")


def _check_cuts(cuts: Sequence[int], num_frames: int) -> None:
    if any(cut >= num_frames for cut in cuts) or list(cuts) != sorted(set(cuts)):
        raise ValueError(f"source.cuts is {short(cuts)}, where numbers of its {num_frames} frames in order are due")


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
    if header.format_version >= 4:
        track = replace(track, doubts=read("doubts", rows, joints_in("doubts"), 2))
    if header.format_version >= 5:
        ends = len(EXTREMITIES_10) if file.about(f"track{id_}_extremities")[0][1:2] != (0,) else 0
        track = replace(track, extremities=read("extremities", rows, ends, 3))
        if ends and header.joint_layout != H36M_17.name:
            raise ValueError(f"person {id_} has feet and hands, but joints in layout {header.joint_layout}")
    _check_track(track)
    return track


def check_result(result: PoseResult) -> None:
    """See that a result that was made of others' files is one that could be saved and read.

    Raises:
        ValueError: it is not; says what is wrong.
    """
    if not all(1 <= side <= _MAX_SIDE for side in (result.source.width, result.source.height)):
        raise ValueError(f"a picture of {result.source.width} x {result.source.height} pixels")
    _check_times("times", result.source.times)
    for track in result.tracks:
        for name in ("boxes", "keypoints", "joints", "roots", "extremities", "doubts"):
            array = getattr(track, name)
            if np.isinf(array).any() or np.abs(np.nan_to_num(array)).max(initial=0) > _FAR:
                raise ValueError(f"{name} of person {track.id}: a number beyond {_FAR:g}")
        _check_track(track)


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
    if (track.doubts < 0).any():
        raise ValueError(f"doubts {of} are below 0")
    lengths = np.linalg.norm(track.rotations, axis=-1)
    if (np.abs(lengths - 1) > _LOOSE).any():
        raise ValueError(f"rotations {of} are not unit quaternions")
