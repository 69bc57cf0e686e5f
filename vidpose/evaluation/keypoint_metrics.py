"""Error measures of 2D keypoints in the picture, one person a picture: AP and AR over OKS, PCK and MSE.

Shape suffixes: N pictures, J joints.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from vidpose.errors import UsageError
from vidpose.skeletons import Skeleton

SIGMAS: Mapping[str, float] = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089, "head_top": 0.079, "head": 0.079, "thorax": 0.079, "pelvis": 0.107, "spine": 0.107,
}  # fmt: skip
"""How far people disagree about a joint, over the root of the body's area: COCO's, and CrowdPose's for the top of the
head and the neck. Neither has a pelvis and a spine; they take the hips'."""

PCK_FRACTION = 0.05
"""Of the longer side of the person's box."""

_COVERED = 0.53
"""The part of a person's box that the person covers, on average over COCO."""

_ABSENT = -1e6
"""Pixels: so far away that an absent joint counts as missed."""


def box_sizes(target: np.ndarray) -> np.ndarray:
    """(N, 2) width and height in pixels of the boxes around (N, J, 2) keypoints, NaN where absent."""
    return np.nanmax(target, axis=1) - np.nanmin(target, axis=1)


def pck_2d(predicted: np.ndarray, target: np.ndarray, fraction: float = PCK_FRACTION) -> np.ndarray:
    """Whether keypoints are nearer than a fraction of the longer side of the person's box.

    Args:
        predicted, target: (N, J, 2) pixels; an absent prediction (NaN) is a miss.

    Returns:
        (N, J) float64: 1, 0, or NaN where the target is absent.
    """
    limits = fraction * box_sizes(target).max(axis=-1, keepdims=True)
    hit = np.linalg.norm(predicted - target, axis=-1) < limits
    return np.where(np.isnan(target).any(axis=-1), np.nan, hit)


def mse(predicted: np.ndarray, target: np.ndarray) -> float:
    """Mean of the squared differences of all coordinates, in pixels squared; absent joints are left out."""
    return float(np.nanmean(np.square(predicted - target)))


def keypoint_scores(
    predicted: np.ndarray,
    target: np.ndarray,
    scores: np.ndarray,
    layout: Skeleton,
    areas: np.ndarray | None = None,
) -> dict[str, float]:
    """What the tables of 2D results have.

    Args:
        predicted, target: (N, J, 2) pixels, NaN where absent.
        scores: (N, J) of the predicted joints, which rank the pictures for AP.
        layout: of the joints.
        areas: (N,) pixels squared of the persons; about half of the target's box where not given.

    Returns:
        ap, ap50, ap75, ar and pck_2d as shares, mse in pixels squared.

    Raises:
        UsageError: pycocotools is not installed.
    """
    if areas is None:
        areas = _COVERED * box_sizes(target).prod(axis=-1)
    evaluator = _coco_evaluation(predicted, target, scores, layout, areas)
    ap, ap50, ap75, _, _, ar = evaluator.stats[:6]
    return {
        "ap": float(ap),
        "ap50": float(ap50),
        "ap75": float(ap75),
        "ar": float(ar),
        "pck_2d": float(np.nanmean(pck_2d(predicted, target))),
        "mse": mse(predicted, target),
    }


def _coco_evaluation(
    predicted: np.ndarray, target: np.ndarray, scores: np.ndarray, layout: Skeleton, areas: np.ndarray
) -> Any:
    """A summarised `COCOeval`, which prints as it works and has no switch against it."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise UsageError("AP and AR of keypoints need pycocotools: pip install pycocotools") from None

    visible_NJ = ~np.isnan(target).any(axis=-1)
    labelled_NJC = np.concatenate([np.nan_to_num(target), 2.0 * visible_NJ[..., None]], axis=-1)
    detected_NJC = np.concatenate([np.nan_to_num(predicted, nan=_ABSENT), scores[..., None]], axis=-1)
    pictures = range(1, len(target) + 1)
    truth, found = COCO(), COCO()
    truth.dataset = _dataset(pictures, [
        {"keypoints": joints.ravel().tolist(), "num_keypoints": int(visible.sum()), "area": float(area), "iscrowd": 0}
        for joints, visible, area in zip(labelled_NJC, visible_NJ, areas, strict=True)
    ])  # fmt: skip
    found.dataset = _dataset(pictures, [
        {"keypoints": joints.ravel().tolist(), "score": float(score), "area": float(area)}
        for joints, score, area in zip(detected_NJC, scores.mean(axis=-1), areas, strict=True)
    ])  # fmt: skip
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        evaluator = COCOeval(truth, found, "keypoints")
        evaluator.params.kpt_oks_sigmas = _sigmas(layout)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def _dataset(pictures: range, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    for picture, annotation in zip(pictures, annotations, strict=True):
        annotation |= {"id": picture, "image_id": picture, "category_id": 1, "bbox": [0, 0, 0, 0]}
    return {
        "info": {},
        "images": [{"id": picture} for picture in pictures],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }


def _sigmas(layout: Skeleton) -> np.ndarray:
    names = (joint.removeprefix("left_").removeprefix("right_") for joint in layout.joints)
    try:
        return np.array([SIGMAS[name] for name in names])
    except KeyError as error:
        raise UsageError(f"no OKS sigma for joint {error} of layout {layout.name!r}") from None
