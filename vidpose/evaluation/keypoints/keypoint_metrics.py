"""Error measures of 2D keypoints in the picture, one person a picture: AP and AR over OKS, PCK and MSE.

Shape suffixes: N pictures, J joints.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError
from vidpose.keypoint_data.clips import COVERED

SIGMAS: Mapping[str, float] = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089, "head_top": 0.079, "head": 0.079, "thorax": 0.079, "pelvis": 0.107, "spine": 0.107,
}  # fmt: skip
"""How far people disagree about a joint, over the root of the body's area: COCO's, and CrowdPose's for the top of the
head and the neck. Neither has a pelvis and a spine; they take the hips'."""

PCK_FRACTION = 0.05
"""Of the longer side of the box around the joints that are compared."""

_SOME_AREA = 1.0
_ABSENT = -1e6
"""Pixels: so far away that an absent joint counts as missed."""


class NoPycocotools(UsageError):
    """It is not installed, so there are no AP and AR."""


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
    return over_known(np.mean, np.square(predicted - target))


def over_known(statistic: Callable[[np.ndarray], float], values: np.ndarray) -> float:
    """A statistic of those values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(statistic(known)) if len(known) else np.nan


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
        NoPycocotools: it is not installed.
    """
    if areas is None:
        areas = COVERED * box_sizes(target).prod(axis=-1)
    pictures = range(1, len(target) + 1)
    return {
        **average_precision(
            [labelled(*entry) for entry in zip(pictures, target, areas, strict=True)],
            [detected(*entry) for entry in zip(pictures, predicted, scores, scores.mean(axis=-1), strict=True)],
            layout,
        ),
        "pck_2d": float(np.nanmean(pck_2d(predicted, target))),
        "mse": mse(predicted, target),
    }


def labelled(picture: int, keypoints: np.ndarray, area: float) -> dict[str, Any]:
    """A true person, for `average_precision`.

    Args:
        picture: in which; from 1.
        keypoints: (J, 2) pixels, NaN where unlabelled.
        area: pixels squared of the person.
    """
    visible_J = ~np.isnan(keypoints).any(axis=-1)
    listed_JC = np.concatenate([np.nan_to_num(keypoints), 2.0 * visible_J[:, None]], axis=-1)
    facts = {"keypoints": listed_JC.ravel().tolist(), "num_keypoints": int(visible_J.sum())}
    return {"image_id": picture, "area": float(area), "iscrowd": 0, **facts}


def detected(picture: int, keypoints: np.ndarray, scores: np.ndarray, score: float) -> dict[str, Any]:
    """Somebody found, for `average_precision`.

    Args:
        picture: in which; from 1.
        keypoints: (J, 2) pixels, NaN where not found.
        scores: (J,) of the keypoints.
        score: of the person, which ranks them.
    """
    listed_JC = np.concatenate([np.nan_to_num(keypoints, nan=_ABSENT), scores[:, None]], axis=-1)
    # COCO leaves people of other sizes out by the area, which is a detection's own only where its box is asked for.
    return {"image_id": picture, "area": _SOME_AREA, "keypoints": listed_JC.ravel().tolist(), "score": float(score)}


def average_precision(truth: list[dict[str, Any]], found: list[dict[str, Any]], layout: Skeleton) -> dict[str, float]:
    """COCO's figures of keypoints, by pycocotools.

    Args:
        truth, found: people, from `labelled` and `detected`.
        layout: of their joints.

    Returns:
        ap, ap50, ap75 and ar as shares.

    Raises:
        NoPycocotools: it is not installed.
        UsageError: nobody knows how far people disagree about one of the joints.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise NoPycocotools("AP and AR of keypoints need pycocotools: pip install pycocotools") from None

    pictures = sorted({entry["image_id"] for entry in truth})
    true, guessed = COCO(), COCO()
    true.dataset, guessed.dataset = _dataset(pictures, truth), _dataset(pictures, found)
    # It prints as it works and has no switch against it.
    with redirect_stdout(io.StringIO()):
        true.createIndex()
        guessed.createIndex()
        evaluator = COCOeval(true, guessed, "keypoints")
        evaluator.params.kpt_oks_sigmas = _sigmas(layout)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    ap, ap50, ap75, _, _, ar = evaluator.stats[:6]
    return {"ap": float(ap), "ap50": float(ap50), "ap75": float(ap75), "ar": float(ar)}


def _dataset(pictures: list[int], people: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "info": {},
        "images": [{"id": picture} for picture in pictures],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": number, "category_id": 1, "bbox": [0, 0, 0, 0], **person}
            for number, person in enumerate(people, start=1)
        ],
    }


def _sigmas(layout: Skeleton) -> np.ndarray:
    names = (joint.removeprefix("left_").removeprefix("right_") for joint in layout.joints)
    try:
        return np.array([SIGMAS[name] for name in names])
    except KeyError as error:
        raise UsageError(f"no OKS sigma for joint {error} of layout {layout.name!r}") from None
