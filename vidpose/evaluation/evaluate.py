"""A lifter over a benchmark, clip after clip: memory does not grow with the benchmark.

results = evaluate(Store(Path("data/h36m")), H36M_PROTOCOLS["videopose3d"], lifter, "cpn")
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import Clip, Store
from vidpose.errors import UsageError
from vidpose.evaluation.keypoint_metrics import keypoint_scores
from vidpose.evaluation.results import Results
from vidpose.lifters import Lifter
from vidpose.lifting import lift

Filter = Callable[[np.ndarray], np.ndarray]
"""Takes and gives the (F, J, 3) joints of a clip."""

FILTERS: dict[str, Filter] = {
    "none": lambda joints: joints,
    "mean": lambda joints: ndimage.uniform_filter1d(joints, 5, axis=0, mode="nearest"),
    "median": lambda joints: ndimage.median_filter(joints, (5, 1, 1), mode="nearest"),
}
"""Over five frames: the baselines of Hossain and Little, ECCV 2018, section 4, for any lifter."""


def counted(store: Store, protocol: Protocol, input_name: str) -> list[Clip]:
    """The clips that a protocol evaluates.

    Raises:
        UsageError: there are none, or the benchmark has no such input.
    """
    clips = [clip for clip in store.clips if protocol.counts(clip)]
    if not clips:
        raise UsageError(f"{store.folder}: nothing to evaluate in it by protocol {protocol.name!r}")
    store.keypoints(clips[0], input_name)
    return clips


def evaluate(
    store: Store,
    protocol: Protocol,
    lifter: Lifter,
    input_name: str,
    *,
    mirror: bool = True,
    overlap: bool = True,
    post_filter: Filter = FILTERS["none"],
    noise: float = 0.0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Errors of a lifter on a benchmark.

    Args:
        lifter: in eval mode, on any device.
        input_name: which of the store's 2D keypoints the lifter gets.
        mirror: average with the mirrored prediction of the mirrored input.
        overlap: of the windows, see `lift`.
        post_filter: what is done to the lifted joints of each clip.
        noise: standard deviation, in pixels, of Gaussian noise added to the keypoints (Hossain and Little, Table 3);
            the same for the same clip every time.
        report: called with the numbers of clips done and in all.

    Raises:
        UsageError: the lifter is for another joint layout, or there is nothing to evaluate.
    """
    if lifter.layout.name != store.layout.name:
        raise UsageError(
            f"the lifter has joints in layout {lifter.layout.name}, where {store.name} has {store.layout.name}"
        )
    clips = counted(store, protocol, input_name)
    results = Results(protocol, store.layout, store.name, input_name)
    for number, clip in enumerate(clips):
        predicted = lift_clip(store, clip, lifter, input_name, mirror=mirror, overlap=overlap, noise=noise, seed=number)
        results.add(clip, post_filter(predicted), np.array(store.joints(clip)), store.valid(clip))
        report(number + 1, len(clips))
    return results


def lift_clip(
    store: Store,
    clip: Clip,
    lifter: Lifter,
    input_name: str,
    *,
    mirror: bool = True,
    overlap: bool = True,
    noise: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """(F, J, 3) metres relative to the root: a lifter on one clip. Arguments as of `evaluate`."""
    keypoints, scores = with_scores(store.keypoints(clip, input_name))
    if noise:
        keypoints = keypoints + np.random.default_rng(seed).normal(0, noise, keypoints.shape)
    size = (clip.width, clip.height)
    lifted = lift(lifter, keypoints, scores, size, mirror=mirror, overlap=overlap, metres=False)
    if lifter.config.units == "image":
        factor_F = metres_per_unit(store.joints(clip), store.keypoints(clip, "gt"), clip.width)
        lifted = lifted * factor_F[:, None, None]
    return lifted


def evaluate_keypoints(store: Store, protocol: Protocol, input_name: str, *, every: int = 10) -> dict[str, float]:
    """Errors of a benchmark's 2D keypoints against the true projections, on every so manieth frame that counts.

    Returns:
        see `keypoint_scores`, and `pictures`, how many there were.

    Raises:
        UsageError: the benchmark has no true projections, or there is nothing to evaluate.
    """
    found, truth = [], []
    for clip in counted(store, protocol, input_name):
        rows = np.flatnonzero(store.valid(clip))[::every]
        positions, scores = with_scores(store.keypoints(clip, input_name)[rows])
        found.append(np.concatenate([positions, scores[..., None]], axis=-1))
        truth.append(np.array(store.keypoints(clip, "gt")[rows, :, :2]))
    found, truth = np.concatenate(found).astype(np.float64), np.concatenate(truth).astype(np.float64)
    return {"pictures": len(truth)} | keypoint_scores(found[..., :2], truth, found[..., 2], store.layout)


def with_scores(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, J, 2) keypoints and (F, J) scores: what the store has, or 1 where a keypoint is there."""
    if keypoints.shape[-1] == 3:
        return np.array(keypoints[..., :2]), np.array(keypoints[..., 2])
    return np.array(keypoints), np.isfinite(keypoints).all(axis=-1).astype(np.float32)


def metres_per_unit(joints: np.ndarray, keypoints: np.ndarray, width: int) -> np.ndarray:
    """(F,) what a unit of the normalised picture, half its width, is at the person in each frame.

    Lifters that answer in the picture's units (MotionBERT, MotionAGFormer) are evaluated with the true factor of each
    frame, which their authors keep with the data: it takes the true joints to their projections, in least squares.

    Args:
        joints: (F, J, 3) true metres, joint 0 the root.
        keypoints: (F, J, 2 or 3) true pixels.
    """
    offsets = joints[..., :2] - joints[:, :1, :2]
    pictured = (keypoints[..., :2] - keypoints[:, :1, :2]) * (2 / width)
    return (offsets * pictured).sum(axis=(1, 2)) / np.square(pictured).sum(axis=(1, 2)).clip(min=1e-12)
