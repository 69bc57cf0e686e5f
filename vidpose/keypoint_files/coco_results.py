"""Flat lists of people: COCO's results and annotations, and AlphaPose's.

COCO ("Results Format" and "Data format", cocodataset.org): `image_id`, and `keypoints` as x, y and score or visibility;
a file of annotations has them in `annotations`. COCO-WholeBody adds `foot_kpts` and more. AlphaPose ("Output format",
docs/output.md) names the picture, `0.jpg`, and may have `idx`, who it is. Frames without anybody are left out.
"""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.common.inputs import reading, short
from vidpose.keypoint_files.keypoint_table import (
    LAYOUTS,
    KeypointTable,
    corners,
    counting_place,
    first_of,
    floats,
    frame_number,
    layout_of,
    table_of,
    triples,
    whose,
)

log = logging.getLogger(__name__)

_SPARSE = 100
"""Frames from one sighting to the next, on average: then the numbers name pictures, and do not count frames."""


def is_coco(content: Any) -> bool:
    """Whether a JSON is COCO's: annotations, or a list of results."""
    if isinstance(content, dict):
        return isinstance(content.get("annotations"), list)
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(one, dict) for one in content)
        and "image_id" in content[0]
    )


def read_coco(path: Path, content: Any) -> KeypointTable:
    """Everybody in a file of COCO's or AlphaPose's.

    Raises:
        VidposeError: it is none, or a person's entry is wrong; says which.
    """
    with reading(path, "a list of people as COCO and AlphaPose write it"):
        people = content["annotations"] if isinstance(content, dict) else content
        facts = _of_images(content) if isinstance(content, dict) else {}
        rows, boxes, layout = [], [], None
        place = counting_place(person.get("image_id") for person in people if isinstance(person, dict))
        for number, person in enumerate(people, start=1):
            try:
                if not person.get("keypoints"):  # a box, or a crowd
                    continue
                keypoints = _keypoints(person)
                layout = layout or layout_of(len(keypoints), LAYOUTS)
                if len(keypoints) < len(layout):
                    raise ValueError(f"{len(keypoints)} keypoints, where those before have {len(layout)}")
                frame = frame_number(person.get("image_id"), "image_id", place)
                rows.append((frame, whose(person.get("track_id", person.get("idx"))), keypoints[: len(layout)]))
                boxes.append(corners(person.get("bbox", person.get("box")), sized=True))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise ValueError(f"person {number}: {error}") from None
        rows, first = _in_order(path, rows)
        if any(re.fullmatch(r"[1-9]\d*\.jpg", str(person.get("image_id"))) for person in people):
            first = 0  # AlphaPose's names for a video's frames; where nobody is, it writes none
        return table_of(layout or LAYOUTS[17], rows, boxes=boxes, **({"first": first} | facts))


def _keypoints(person: dict[str, Any]) -> np.ndarray:
    keypoints = triples(person.get("keypoints"), "keypoints")
    if len(keypoints) == 17 and isinstance(person.get("foot_kpts"), list) and len(person["foot_kpts"]) == 18:
        # The other parts of a whole body are not used, but the layout is told by all of them.
        keypoints = np.concatenate([keypoints, triples(person["foot_kpts"], "foot_kpts"), np.zeros((110, 3))])
    if "keypoint_scores" in person:
        keypoints[:, 2] = floats(person["keypoint_scores"], "keypoint_scores")
    elif np.isin(keypoints[:, 2], (0, 1, 2)).all() and (keypoints[:, 2] == 2).any():
        keypoints[:, 2] /= 2  # visibility: 1 is hidden
    return keypoints


def _of_images(content: dict[str, Any]) -> dict[str, Any]:
    """What the list of images says: how many there are, how large, and when."""
    images = content.get("images")
    if not isinstance(images, list) or not images or not all(isinstance(one, dict) for one in images):
        return {}
    facts: dict[str, Any] = {}
    sizes = {(one.get("width"), one.get("height")) for one in images}
    if len(sizes) == 1 and all(isinstance(side, int) and 0 < side <= 32768 for side in next(iter(sizes))):
        facts["size"] = next(iter(sizes))
    numbers = [one.get("id") for one in images]
    if all(isinstance(number, int) for number in numbers) and sorted(numbers) == list(
        range(min(numbers), min(numbers) + len(numbers))
    ):
        facts |= {"first": min(numbers), "num_frames": len(numbers)}
        moments = {one["id"]: one.get("time") for one in images}
        if all(isinstance(moment, int | float) for moment in moments.values()):
            times = np.array([moments[number] for number in sorted(moments)], np.float64)
            if (np.diff(times) > 0).all():
                facts["times"] = times
                facts["fps"] = (
                    Fraction(1 / float(np.median(np.diff(times)))).limit_denominator(1001) if len(times) > 1 else None
                )
    return facts


def _in_order(
    path: Path, rows: list[tuple[int, int | None, np.ndarray]]
) -> tuple[list[tuple[int, int | None, np.ndarray]], int]:
    """The rows with numbers that count frames, and the number of the first frame."""
    numbers = sorted({frame for frame, _, _ in rows})
    if numbers and numbers[-1] - numbers[0] > _SPARSE * len(numbers):
        log.warning(
            "%s: its numbers, as %s, name pictures rather than count frames; they are taken in order",
            path,
            short(numbers[-1]),
        )
        places = {number: place for place, number in enumerate(numbers)}
        return [(places[frame], id_, row) for frame, id_, row in rows], 0
    return rows, first_of(numbers)
