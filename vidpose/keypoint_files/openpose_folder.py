"""OpenPose's output folder: a JSON file a frame.

"OpenPose Doc - Output" (CMU-Perceptual-Computing-Lab): `people`, each with `pose_keypoints_2d`, a flat list of x, y and
confidence, 0 0 0 for what is missing. BODY_25, COCO and MPI have 25, 18 and 15 keypoints. Pose2Sim and others write the
same files of other layouts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import BODY_25, OPENPOSE_18, OPENPOSE_MPI_15
from vidpose.common.errors import VidposeError
from vidpose.common.inputs import read_json, reading
from vidpose.keypoint_files.keypoint_table import (
    LAYOUTS,
    KeypointTable,
    counting_place,
    layout_of,
    table_of,
    triples,
    whose,
)

_LAYOUTS = {25: BODY_25, 18: OPENPOSE_18, 15: OPENPOSE_MPI_15, **LAYOUTS}
_FIELDS = ("pose_keypoints_2d", "pose_keypoints")
"""As it is called since version 1.1, and before."""

_BESIDE = 0.1
"""Shares of the picture that keypoints may be beside it, left or above."""

_ENDING = "_keypoints"
"""Of the names of its files."""


def is_openpose(path: Path) -> bool:
    """Whether a path is a folder of JSON files, one a frame."""
    return path.is_dir() and any(path.glob("*.json"))


def read_openpose(path: Path) -> KeypointTable:
    """Everybody in a folder of OpenPose's files. A file's number is its frame's.

    Raises:
        VidposeError: a file is not one of OpenPose's, or they are of several videos; says which.
    """
    files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
    files = [file for file in files if file.stem.endswith(_ENDING)] or files
    numbers = _frames(path, files)
    rows, layout = [], None
    for number, file in sorted(zip(numbers, files, strict=True)):
        with reading(file, "one of OpenPose's files", "give the folder that it wrote"):
            content = read_json(file, nan=True)
            for person in _people(content):
                listed = next((person[key] for key in _FIELDS if key in person), None)
                if not listed:  # whose face or hands alone were found
                    continue
                keypoints = triples(listed, _FIELDS[0])
                layout = layout or layout_of(len(keypoints), _LAYOUTS)
                if layout != layout_of(len(keypoints), _LAYOUTS):
                    raise ValueError(f"{len(keypoints)} keypoints a person, where the files before have {layout.name}")
                if (keypoints[:, 2] > 0).any():
                    rows.append((number, whose(person.get("person_id")), keypoints[: len(layout)]))
    with reading(path, "a folder of OpenPose's files with somebody in them"):
        first = min(numbers, default=0)
        span = max(numbers) - first + 1
        table = table_of(layout or BODY_25, rows, first=first, num_frames=span)
        # --keypoint_scale 3: both sides of the picture are 1. With 4 they go from -1 to 1.
        from_middle = table.share and bool(np.nanmin(table.keypoints) < -_BESIDE)
        return replace(table, keypoints=(table.keypoints + 1) / 2) if from_middle else table


def _frames(path: Path, files: Sequence[Path]) -> list[int]:
    """The frame of each file: its name's number, or its place where names do not have one each.

    Raises:
        VidposeError: names that differ in more have the same number, as those of two videos.
    """
    names = [file.stem.removesuffix(_ENDING) for file in files]
    place, in_order = counting_place(names), list(range(len(files)))
    found = [list(re.finditer(r"\d{1,15}", name)) for name in names]
    if any(len(own) < -place for own in found):
        return in_order
    spans = [own[place].span() for own in found]
    numbers = [int(name[start:end]) for name, (start, end) in zip(names, spans, strict=True)]
    if len(set(numbers)) == len(files):
        return numbers
    if len(set(numbers)) == 1:
        return in_order
    rests = [f"{name[:start]}*{name[end:]}" for name, (start, end) in zip(names, spans, strict=True)]
    first_with: dict[int, int] = {}
    for row, number in enumerate(numbers):
        other = first_with.setdefault(number, row)
        if rests[other] != rests[row]:
            raise VidposeError(
                f"{path}: {files[other].name} and {files[row].name} are both of frame {number}; give a folder with the "
                "files of one video"
            )
    return in_order


def _people(content: object) -> list[dict]:
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise ValueError("no list of people")
    return people
