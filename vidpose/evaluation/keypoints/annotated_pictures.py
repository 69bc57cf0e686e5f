"""2D keypoint networks on annotated pictures: AP, AR, PCK and MSE of each over the same joints.

A network is asked where the annotations say people are, or where a detector finds them. Joints are compared by their
names: those that the annotations and all networks of a table have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean, stdev
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError
from vidpose.evaluation.keypoints.keypoint_metrics import (
    NoPycocotools,
    average_precision,
    detected,
    labelled,
    mse,
    over_known,
    pck_2d,
)
from vidpose.evaluation.published import published_tables
from vidpose.evaluation.tables import Line, Table
from vidpose.keypoint_data.coco_annotations import AnnotatedPerson, read_picture
from vidpose.keypoints.poses import KeypointFinder, Poses
from vidpose.people.detections import PersonDetector

_MIN_PRESENCE = 0.5
_FAR = 1e6  # pixels: farther than anyone can be


@dataclass(frozen=True)
class Found:
    """What a network found in annotated pictures.

    Attributes:
        people: of each picture with somebody annotated, those found, as `average_precision` takes them.
        matched: (N, J, 2) pixels of the one who was found for each annotated person; NaN where there is none.
        milliseconds: of the network, a person; the detector's apart.
    """

    people: list[dict[str, object]]
    matched: np.ndarray
    milliseconds: float


def common_joints(layouts: Sequence[Skeleton], people: Callable[[Skeleton], Sequence[AnnotatedPerson]]) -> Skeleton:
    """The joints that all layouts have and that are labelled in somebody.

    Args:
        people: reads the annotations in a layout.

    Raises:
        UsageError: there are none.
    """
    first, *others = layouts
    labelled_J = np.any([person.labelled for person in people(first)], axis=0)
    joints = tuple(
        joint
        for joint, is_labelled in zip(first.joints, labelled_J, strict=True)
        if is_labelled and all(joint in other.joints for other in others)
    )
    if not joints:
        raise UsageError(f"no joint is in all of {', '.join(layout.name for layout in layouts)} and labelled")
    return Skeleton("common", joints, (-1,) * len(joints))


def find_annotated(
    people: Sequence[AnnotatedPerson],
    layout: Skeleton,
    finder: KeypointFinder,
    detector: PersonDetector | None = None,
    report: Callable[[int, int | None], None] = lambda done, total: None,
) -> Found:
    """Look for the annotated people.

    Args:
        people: in the order of their pictures.
        layout: of their joints, all of which the finder has.
        detector: finds them; None: the network is told their boxes.
        report: hears of the people done and of all.

    Raises:
        VidposeError: a picture cannot be read.
    """
    rows = [finder.layout.index(joint) for joint in layout.joints]
    entries, matched, seconds, looked_at = [], [], 0.0, 0
    for picture, (_, group) in enumerate(groupby(people, key=lambda person: person.picture), start=1):
        annotated = list(group)
        image = read_picture(annotated[0].picture)
        boxes = np.stack([person.box for person in annotated])
        regions, sure = _regions(image, boxes, finder, detector)
        start = time.monotonic()
        poses = _look(image, regions, finder)
        seconds += time.monotonic() - start
        looked_at += len(poses)
        there = poses.presence >= _MIN_PRESENCE
        keypoints_PJD = np.where(there[:, None, None], poses.keypoints[:, rows], np.nan)
        for keypoints, scores, confidence in zip(
            keypoints_PJD[there], poses.scores[there][:, rows], sure[there], strict=True
        ):
            entries.append(detected(picture, keypoints, scores, confidence * scores.mean()))
        targets = np.stack([person.keypoints for person in annotated])
        matched.append(keypoints_PJD if detector is None else _nearest(keypoints_PJD[there], targets))
        report(sum(map(len, matched)), len(people))
    return Found(entries, np.concatenate(matched), 1000 * seconds / max(looked_at, 1))


def _regions(
    image: np.ndarray, boxes: np.ndarray, finder: KeypointFinder, detector: PersonDetector | None
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2, 2) where to look, and (P,) how sure it is that somebody is there."""
    if detector is None:
        return finder.regions(boxes), np.ones(len(boxes))
    found = detector.detect(image)
    if found.regions is not None and not finder.takes_boxes:
        return found.regions, found.scores
    return finder.regions(found.boxes), found.scores


def _look(image: np.ndarray, regions: np.ndarray, finder: KeypointFinder) -> Poses:
    """Poses in the regions; one that is not about boxes looks twice, as it does in a video's second frame."""
    poses = finder.locate(image, regions)
    if finder.takes_boxes or not len(poses):
        return poses
    again = np.where((poses.presence >= _MIN_PRESENCE)[:, None, None], poses.regions, regions)
    return finder.locate(image, again)


def _nearest(found_PJD: np.ndarray, targets_NJD: np.ndarray) -> np.ndarray:
    """(N, J, 2) of each annotated person the pose nearest to it, each pose once; NaN where none is left."""
    matched = np.full_like(targets_NJD, np.nan)
    if len(found_PJD):
        apart_NPJ = np.linalg.norm(targets_NJD[:, None] - found_PJD[None], axis=-1)
        rows, columns = linear_sum_assignment(np.nan_to_num(np.nanmean(apart_NPJ, axis=-1), nan=_FAR))
        matched[rows] = found_PJD[columns]
    return matched


def figures(people: Sequence[AnnotatedPerson], layout: Skeleton, found: Found) -> dict[str, float]:
    """What a table of 2D results has: ap, ap50, ap75, ar and pck_2d as shares, mse in pixels squared, the median error
    in pixels, and milliseconds a person. Without pycocotools there are no ap and ar.

    Args:
        people: that were looked for, in the same order.
    """
    pictures = [number for number, (_, group) in enumerate(groupby(people, key=lambda p: p.picture), 1) for _ in group]
    truth = [labelled(picture, p.keypoints, p.area) for picture, p in zip(pictures, people, strict=True)]
    targets = np.stack([person.keypoints for person in people]).astype(np.float64)
    try:
        precision = average_precision(truth, found.people, layout)
    except NoPycocotools:
        precision = {}
    return {
        **precision,
        "pck_2d": float(np.nanmean(pck_2d(found.matched, targets))),
        "mse": mse(found.matched, targets),
        "median_px": over_known(np.median, np.linalg.norm(found.matched - targets, axis=-1)),
        "ms": found.milliseconds,
    }


def over_files(rows: Sequence[Mapping[str, float]]) -> Mapping[str, Any]:
    """Figures of networks that differ in nothing but their seed, as one row: their means.

    Returns:
        `figures` and whatever else all rows have; where there are several, also `deviation`, the standard deviation of
        each measure, and `files`, the rows.
    """
    if len(rows) == 1:
        return rows[0]
    values = {key: [row[key] for row in rows] for key in rows[0] if all(key in row for row in rows)}
    return {
        **{key: mean(some) for key, some in values.items()},
        # Whole numbers are settings.
        "deviation": {key: stdev(some) for key, some in values.items() if isinstance(some[0], float)},
        "files": list(rows),
    }


_COLUMNS = {
    "F": ("frames", 1), "V": ("views", 1), "AP": ("ap", 100), "AP50": ("ap50", 100), "AP75": ("ap75", 100),
    "AR": ("ar", 100), "PCK@0.05": ("pck_2d", 100), "MSE (px²)": ("mse", 1), "Median (px)": ("median_px", 1),
    "ms a person": ("ms", 1), "s an epoch": ("epoch_seconds", 1),
}  # fmt: skip


def keypoint_table(title: str, rows: Mapping[str, Mapping[str, Any]], notes: tuple[str, ...]) -> Table:
    """A table of rows from `over_files` by the name of the network; columns that no row has are left out.

    Besides `figures`, a row may have `frames` and `views`, of which the network sees so many together, and
    `epoch_seconds`, the time that an epoch of its training took; and `reported`, where it was printed.
    """
    columns = {name: column for name, column in _COLUMNS.items() if any(column[0] in row for row in rows.values())}
    lines = []
    for name, row in rows.items():
        lines.append(Line(name, _scaled(row, columns), row.get("reported", "")))
        if "files" in row:
            lines.append(Line(f"± over {len(row['files'])} files", _scaled(row["deviation"], columns)))
    return Table(title, "Network", tuple(columns), tuple(lines), notes)


def reported_rows(number: str) -> dict[str, dict[str, Any]]:
    """Rows of a table of 2D keypoints that a paper printed, as `keypoint_table` takes them, by their labels.

    Args:
        number: of a table of the multi-perspective temporal-relational network's paper, "I" or "III".
    """
    scales = {key: scale for key, scale in _COLUMNS.values()}
    rows: dict[str, dict[str, Any]] = {}
    for table in published_tables():
        if (table.file, table.number) != ("temporal-relational", number):
            continue
        for row in table.rows:
            figures = rows.setdefault(row.name, {"reported": f"{row.paper}, Table {row.table}"})
            if row.frames:
                figures["frames"] = row.frames
            for value in row.values.values():
                figures[row.metric] = value / scales[row.metric]
    return rows


def _scaled(row: Mapping[str, Any], columns: Mapping[str, tuple[str, int]]) -> tuple[float | None, ...]:
    return tuple(scale * row[key] if key in row else None for key, scale in columns.values())
