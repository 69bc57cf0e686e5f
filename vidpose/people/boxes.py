"""People's boxes from a file, found before by whatever it was.

A table with a row for each box: `frame,x0,y0,x1,y1`, and if known `score` and `id` (docs/formats.md). Without ids
people are told apart as with any detector; with ids the file says who is who, and nobody is looked for elsewhere.

MOTChallenge's files (motchallenge.net, "Submission instructions") have no line of names: frame and id, from 1, left,
top, width, height, confidence, and more that is not used.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.common.cells import read_cells
from vidpose.common.errors import VidposeError
from vidpose.common.inputs import read_json, reading, short
from vidpose.people.detections import Detections, PersonDetector
from vidpose.weights.catalogue import Opening

log = logging.getLogger(__name__)

_MOST = 1e9
"""What no frame, pixel or id is beyond."""

_MOST_IN_A_FRAME = 200
"""Boxes; keypoints are looked for in each."""

_MOT_NUMBERS = 6
"""In a row of MOTChallenge's, at least."""

_CORNERS = ("x0", "y0", "x1", "y1")


class BoxesFile(PersonDetector):
    """Gives back the boxes of a CSV or JSON file."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            VidposeError: it cannot be read, or a row is not as it should be; says which.
        """
        self._path = path
        rows = [(place, _row(path, place, fields)) for place, fields in _table(path)]
        if not rows:
            raise VidposeError(f"{path}: no boxes in it")
        self.gives_ids = "id" in rows[0][1]
        self._rows: dict[int, list[dict[str, float]]] = {}
        for place, row in rows:
            if ("id" in row) != self.gives_ids:
                raise VidposeError(f"{path}, {place}: some boxes have an id and some have none; give all or none")
            same_frame = self._rows.setdefault(int(row["frame"]), [])
            if self.gives_ids and any(row["id"] == other["id"] for other in same_frame):
                raise VidposeError(f"{path}, {place}: id {row['id']:g} is twice in frame {row['frame']:g}")
            same_frame.append(row)
            if len(same_frame) > _MOST_IN_A_FRAME:
                raise VidposeError(
                    f"{path}, {place}: more than {_MOST_IN_A_FRAME} boxes in frame {row['frame']:g}; keep the surest"
                )

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """The boxes of frame `index`, cut off at the edge of the picture.

        Raises:
            VidposeError: a box lies outside the picture.
        """
        rows = sorted(self._rows.get(index, []), key=lambda row: -row["score"])
        corners = np.array([[row[corner] for corner in _CORNERS] for row in rows]).reshape(-1, 4)
        height, width = image.shape[:2]
        boxes = np.clip(corners, 0, (width, height, width, height))
        for lost in np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(axis=1)):
            box = " ".join(f"{corner:g}" for corner in corners[lost])
            raise VidposeError(
                f"{self._path}: in frame {index} the box {box} lies outside the picture of {width}x{height}; "
                "is it another video's file?"
            )
        scores = np.array([row["score"] for row in rows], np.float32)
        ids = np.array([row["id"] for row in rows], np.int64) if self.gives_ids else None
        return Detections(boxes.astype(np.float32), scores, ids=ids)

    def check_length(self, num_frames: int) -> None:
        last = max(self._rows)
        if last >= num_frames:
            log.warning(
                "%s: has boxes up to frame %d, but the video ends with frame %d; is it another video's file?",
                self._path, last, num_frames - 1,
            )  # fmt: skip


def _table(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows as they stand in the file, each with the words for its place."""
    with reading(path, "a table of boxes", "damaged, or neither CSV nor JSON"):
        if path.suffix.lower() == ".json":
            content = read_json(path)
            if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
                raise VidposeError(f"{path}: must be a list of boxes, each an object with frame, x0, y0, x1 and y1")
            yield from ((f"box {number}", row) for number, row in enumerate(content, start=1))
        else:
            lines = list(read_cells(path))
            names = lines[0][1] if lines else []
            if len(names) >= _MOT_NUMBERS and all(_is_number(cell) for cell in names[:_MOT_NUMBERS]):
                yield from _mot_rows(lines)
                return
            names = [name.lower() for name in names]
            yield from ((f"line {line}", dict(zip(names, cells, strict=False))) for line, cells in lines[1:])


def _mot_rows(rows: Sequence[tuple[int, list[str]]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """MOTChallenge's rows as ours. Truth marks with a confidence of 0 what is not to be looked at."""
    named = all(_is_number(row[1]) and float(row[1]) > 0 for _, row in rows if len(row) > 1)
    for number, row in rows:
        if len(row) < _MOT_NUMBERS:
            raise ValueError(f"line {number} has {len(row)} numbers, where MOTChallenge's have six or more")
        try:
            frame, id_, left, top, width, height, *more = (float(cell) for cell in row[:7] if cell)
        except ValueError:
            raise ValueError(f"line {number}: {short(','.join(row))} is not made of numbers") from None
        confidence = more[0] if more else 1.0
        if confidence != 0:
            yield f"line {number}", {
                "frame": frame - 1, "x0": left, "y0": top, "x1": left + width, "y1": top + height,
                "score": confidence if 0 < confidence <= 1 else 1.0, **({"id": id_} if named else {}),
            }  # fmt: skip


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _row(path: Path, place: str, fields: Mapping[str, Any]) -> dict[str, float]:
    """A row in numbers: frame, corners, score, and id where there is one."""
    row = {"score": 1.0}
    for name in ("frame", *_CORNERS, "score", "id"):
        value = fields.get(name)
        if value is None or value == "":
            if name in ("score", "id"):
                continue
            raise VidposeError(f"{path}, {place}: no {name}; a box has frame,x0,y0,x1,y1 and may have score,id")
        try:
            row[name] = float(value)
        except (TypeError, ValueError, OverflowError):
            row[name] = math.nan
        if not abs(row[name]) <= _MOST:
            raise VidposeError(f"{path}, {place}: {name} is {short(value)}, which is no number that can be")
    if row["x1"] <= row["x0"] or row["y1"] <= row["y0"]:
        raise VidposeError(f"{path}, {place}: a box of no area; x0 must be less than x1, and y0 less than y1")
    for name, least in (("frame", 0), ("id", 1)):
        if name in row and (row[name] < least or row[name] % 1):
            raise VidposeError(f"{path}, {place}: {name} is {row[name]:g}; it must be a whole number from {least}")
    if not 0 <= row["score"] <= 1:
        raise VidposeError(f"{path}, {place}: score is {row['score']:g}; it must be from 0 to 1")
    return row


def open_boxes(opening: Opening) -> BoxesFile:
    """The file that is named."""
    return BoxesFile(Path(opening.rest))
