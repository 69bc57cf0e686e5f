"""Results as JSON, for any language. docs/formats.md describes it; the `.npz` is the lossless one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.pieces import part_of, pieces
from vidpose.body.seen import seen_keypoints
from vidpose.body.skeletons import EXTREMITIES_10, H36M_27, SKELETONS, Skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import known_whole, whole_joints, whole_skeleton
from vidpose.common.files import replacing

FORMAT_VERSION = 1


def write_json(result: PoseResult, path: Path) -> None:
    """Write a header and, a line a frame, every person's box, 2D keypoints, place and 3D joints.

    Positions are rounded to 0.1 mm, pixels to 0.01, scores and times to 0.001 and 0.000001; what is absent, or was
    never seen (`vidpose.body.seen`), is null.

    Raises:
        VidposeError: the file cannot be written.
    """
    with replacing(path) as partial, open(partial, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(
            '{\n"header": '
            + json.dumps(header(result), ensure_ascii=False, indent=1, allow_nan=False)
            + ',\n"people": ['
        )
        for number, track in enumerate(result.tracks):
            file.write(("," if number else "") + f'\n{{"id": {track.id}, "frames": [\n')
            for number_of_row, row in enumerate(rows(result, track)):
                file.write((",\n" if number_of_row else "") + json.dumps(row, allow_nan=False))
            file.write("\n]}")
        file.write("\n]\n}\n")


def header(result: PoseResult) -> dict[str, Any]:
    """What a file says of itself: its source, units and axes, the joints' names, how it was made."""
    source = result.source
    return {
        "format": "vidpose-json",
        "format_version": FORMAT_VERSION,
        "version": result.provenance.get("vidpose"),
        "source": {
            "path": source.path,
            "width": source.width,
            "height": source.height,
            "frames": source.num_frames,
            "fps": str(source.fps) if source.fps else None,
            "truncated": source.truncated,
            "cuts": list(source.cuts),
        },
        "units": {"joints": "metres", "keypoints": "pixels", "time": "seconds"},
        "axes": {"x": "right", "y": "down", "z": "away from the camera", "origin": "each person's root joint"},
        "camera": result.camera.as_json() if result.camera else None,
        "joints": _layout(SKELETONS.get(result.joint_layout)),
        "extremities": _extremities_layout(result),
        "keypoints": _layout(SKELETONS.get(result.keypoint_layout)),
        "provenance": dict(result.provenance),
        "placing": asdict(result.placing) if result.placing else None,
        "agreement": asdict(result.agreement) if result.agreement else None,
    }


def _layout(skeleton: Skeleton | None) -> dict[str, Any] | None:
    if skeleton is None:
        return None
    return {"layout": skeleton.name, "names": list(skeleton.joints), "parents": list(skeleton.parents)}


def _extremities_layout(result: PoseResult) -> dict[str, Any] | None:
    """Of feet and hands; their parents are joints, by name."""
    whole = whole_skeleton(result) if result.joint_layout in SKELETONS else None
    if whole is not H36M_27:
        return None
    ends = [whole.joints[whole.parents[whole.index(joint)]] for joint in EXTREMITIES_10.joints]
    return {"layout": EXTREMITIES_10.name, "names": list(EXTREMITIES_10.joints), "parents": ends}


def rows(result: PoseResult, track: Track) -> Iterator[dict[str, Any]]:
    """A person's frames, one after the other, rounded as `write_json` says."""
    known = known_whole(result, track)
    for part in pieces(len(track)):
        yield from _rows(result, part_of(track, part), known[part])


def _rows(result: PoseResult, track: Track, known: np.ndarray) -> Iterator[dict[str, Any]]:
    """The same of a part of a track, with what is known of its whole body (`known_whole`)."""
    whole = np.where(known[..., None], whole_joints(track, whole_skeleton(result)), np.nan)
    observed, extremities = np.split(whole, [track.joints.shape[1]], axis=1)
    joints = np.concatenate([observed, track.joint_scores[..., None]], axis=-1)
    keypoints = np.concatenate([track.keypoints, track.scores[..., None]], axis=-1)
    keypoints[~seen_keypoints(result.source, track)] = np.nan
    for row in range(len(track)):
        yield {
            "frame": int(track.frames[row]),
            "time": round(float(track.times[row]), 6),
            "box": _numbers(track.boxes[row].tolist(), (2, 2)),
            "root": _numbers(track.roots[row].tolist(), (4, 4)),
            "keypoints": _points(keypoints[row], (2, 3)),
            "joints": _points(joints[row], (4, 3)),
            **({"extremities": _points(extremities[row], (4, 4))} if track.extremities.shape[1] else {}),
        }


def _points(points: np.ndarray, digits: tuple[int, int]) -> list[list[float] | None] | None:
    """Points with a score each, those that are absent null; null altogether when all are."""
    listed = [_numbers(point, digits) for point in points.tolist()]
    return listed if any(point is not None for point in listed) else None


def _numbers(values: list[float], digits: tuple[int, int]) -> list[float] | None:
    """Coordinates rounded to digits[0] places and the last value to digits[1]; null when any is not a number."""
    if not all(map(isfinite, values)):
        return None
    *coordinates, last = values
    return [round(value, digits[0]) for value in coordinates] + [round(last, digits[1])]
