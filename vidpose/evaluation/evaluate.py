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
    device: str = "cpu",
    mirror: bool = True,
    post_filter: Filter = FILTERS["none"],
    noise: float = 0.0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Errors of a lifter on a benchmark.

    Args:
        lifter: in eval mode, already on `device`.
        input_name: which of the store's 2D keypoints the lifter gets.
        mirror: average with the mirrored prediction of the mirrored input.
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
        keypoints, scores = with_scores(store.keypoints(clip, input_name))
        if noise:
            rng = np.random.default_rng([number, round(noise * 1000)])
            keypoints = keypoints + rng.normal(0, noise, keypoints.shape).astype(np.float32)
        size = (clip.width, clip.height)
        joints = np.array(store.joints(clip))
        predicted = lift(lifter, keypoints, scores, size, device=device, mirror=mirror, metres=False)
        if lifter.config.units == "image":
            predicted = predicted * metres_per_unit(joints, store.keypoints(clip, "gt"), clip.width)[:, None, None]
        results.add(clip, post_filter(predicted), joints, store.valid(clip))
        report(number + 1, len(clips))
    return results


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
