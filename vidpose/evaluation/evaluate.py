"""A lifter over a benchmark, clip after clip: memory does not grow with the benchmark.

results = evaluate(Store(Path("data/h36m")), H36M_PROTOCOLS["videopose3d"], lifter, "cpn")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage

from vidpose.body.geometry import ray_turns
from vidpose.body.skeletons import order_of
from vidpose.common.errors import UsageError
from vidpose.datasets.clips_to_lift import check_joints, counted, keypoints_in, metres_per_unit, with_scores
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import Store, StoredClip
from vidpose.evaluation.hypotheses import AGGREGATIONS, pinhole
from vidpose.evaluation.keypoints.keypoint_metrics import keypoint_scores
from vidpose.evaluation.results import Results
from vidpose.lifters import HypothesisLifter, Lifter
from vidpose.lifters.pose_refiner import PoseRefiner, placed_by_keypoints
from vidpose.lifters.running import lift, lift_hypotheses
from vidpose.refine.smoothing import Smoothing

Filter = Callable[[np.ndarray], np.ndarray]
"""Takes and gives the (F, J, 3) joints of a clip."""

FILTERS: dict[str, Filter] = {
    "none": lambda joints: joints,
    "mean": lambda joints: ndimage.uniform_filter1d(joints, 5, axis=0, mode="nearest"),
    "median": lambda joints: ndimage.median_filter(joints, (5, 1, 1), mode="nearest"),
}
"""Over five frames: the baselines of Hossain and Little, ECCV 2018, section 4, for any lifter."""


def evaluate(
    store: Store,
    protocol: Protocol,
    lifter: Lifter,
    input_name: str,
    *,
    beside: Sequence[Lifter] = (),
    mirror: bool = True,
    overlap: bool = True,
    post_filter: Filter = FILTERS["none"],
    smoothing: Smoothing | None = None,
    noise: float = 0.0,
    aggregate: str = "p-agg",
    refiner: PoseRefiner | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Errors of a lifter on a benchmark.

    Args:
        lifter: in eval mode, on any device.
        input_name: which of the store's 2D keypoints the lifter gets.
        beside: further lifters of the same joints, whose answers are averaged with its.
        mirror: average with the mirrored prediction of the mirrored input.
        overlap: of the windows, see `lift`.
        post_filter: what is done to the lifted joints of each clip.
        smoothing: done to them before, as `vidpose infer` does it; None: as they are, as papers have it.
        noise: standard deviation, in pixels, of Gaussian noise added to the keypoints (Hossain and Little, Table 3);
            the same for the same clip every time.
        aggregate: a name in `AGGREGATIONS`, for a lifter that draws poses.
        refiner: corrects what was lifted, by the keypoints, the true camera and the true depth of the root, as the
            papers do.
        report: called with the numbers of clips done and in all.

    Raises:
        UsageError: the lifter answers for other joints or takes such as cannot be made from the benchmark's, there is
            nothing to evaluate, or no frame rate to smooth by.
    """
    check_joints(store, lifter.name, lifter.layout, lifter.input_layout)
    clips = counted(store, protocol, input_name)
    results = Results(protocol, store.layout, store.name, input_name, str(store.facts.get("left out", "")))
    for number, clip in enumerate(clips):
        answers = [
            lift_clip(
                store, clip, one, input_name, mirror=mirror, overlap=overlap, noise=noise, seed=number,
                aggregate=aggregate,
            )
            for one in (lifter, *beside)
        ]  # fmt: skip
        predicted, turns_FDD = np.mean(answers, axis=0), answer_turns(lifter, store, clip)
        if refiner:
            lifted_FJD = predicted @ turns_FDD.transpose(0, 2, 1)
            predicted = refined(refiner, lifted_FJD, store, clip, input_name) @ turns_FDD
        if smoothing:
            if not clip.fps:
                raise UsageError(f"smoothing {smoothing}: {store.name} does not say how many frames a second it has")
            predicted = smoothing(predicted, np.arange(clip.frames) / clip.fps)
        joints = np.array(store.joints(clip))
        # The truth is turned, not the answer: nothing that the lifter does not know comes in.
        root = joints[:, [store.layout.parents.index(-1)]]
        joints = root + (joints - root) @ turns_FDD
        results.add(clip, post_filter(predicted), joints, store.valid(clip))
        report(number + 1, len(clips))
    return results


def lift_clip(
    store: Store,
    clip: StoredClip,
    lifter: Lifter,
    input_name: str,
    *,
    mirror: bool = True,
    overlap: bool = True,
    noise: float = 0.0,
    seed: int = 0,
    aggregate: str = "p-agg",
) -> np.ndarray:
    """(F, J, 3) metres relative to the root, in the benchmark's layout: a lifter on one clip.

    They are in the frame that the lifter answers in (`answer_turns`). Arguments as of `evaluate`.
    """
    keypoints, scores = keypoints_in(lifter.input_layout, store, clip, input_name)
    if noise:
        keypoints = keypoints + np.random.default_rng(seed).normal(0, noise, keypoints.shape)
    size = (clip.width, clip.height)
    order = order_of(lifter.layout, store.layout)
    times = np.arange(clip.frames) / clip.fps if clip.fps else None
    if isinstance(lifter, HypothesisLifter):
        drawn = lift_hypotheses(lifter, keypoints, scores, size, mirror=mirror, overlap=overlap, times=times)
        turns_FDD = answer_turns(lifter, store, clip)
        drawn = drawn[:, :, order] @ turns_FDD.transpose(0, 2, 1)
        seen = np.array(store.keypoints(clip, input_name))[..., :2]
        return AGGREGATIONS[aggregate](drawn, store, clip, seen) @ turns_FDD
    lifted = lift(lifter, keypoints, scores, size, mirror=mirror, overlap=overlap, metres=False, times=times)
    if lifter.config.units == "image":
        factor_F = metres_per_unit(store.joints(clip), store.keypoints(clip, "gt"), clip.width)
        lifted = lifted * factor_F[:, None, None]
    return lifted[:, order]


def answer_turns(lifter: Lifter, store: Store, clip: StoredClip) -> np.ndarray:
    """(F, 3, 3) by which joints relative to the root go from the camera's frame to that of the lifter's answer.

    It is the camera's own, or that of the ray to the true root (`Lifter.in_ray_frame`).
    """
    if not lifter.in_ray_frame:
        return np.broadcast_to(np.eye(3), (clip.frames, 3, 3))
    return ray_turns(np.array(store.joints(clip))[:, store.layout.parents.index(-1)])


@torch.inference_mode()
def refined(
    refiner: PoseRefiner, lifted_FJD: np.ndarray, store: Store, clip: StoredClip, input_name: str
) -> np.ndarray:
    """(F, J, 3) metres relative to the root: a clip's lifted joints after the refinement (`pose_refiner`).

    Args:
        lifted_FJD: in the camera's frame, as is what comes of them.

    Raises:
        UsageError: the refiner is for another number of joints.
    """
    if refiner.joints != len(store.layout):
        raise UsageError(f"the refiner is for {refiner.joints} joints, where {store.name} has {len(store.layout)}")
    placed_FJD = placed_in(store, clip, lifted_FJD, input_name)
    answer_FJD = refiner(*(torch.from_numpy(array).float() for array in (lifted_FJD, placed_FJD))).numpy()
    answer_FJD[:, store.layout.parents.index(-1)] = 0
    return answer_FJD


def placed_in(store: Store, clip: StoredClip, lifted_FJD: np.ndarray, input_name: str) -> np.ndarray:
    """(F, J, 3) metres relative to the root: a clip's lifted joints by its keypoints (`placed_by_keypoints`).

    Args:
        lifted_FJD: in the camera's frame.
    """
    root, joints_FJD = store.layout.parents.index(-1), np.array(store.joints(clip))
    focal_2, centre_2 = pinhole(joints_FJD, np.array(store.keypoints(clip, "gt"))[..., :2])
    seen_FJ2 = np.array(store.keypoints(clip, input_name))[..., :2]
    return placed_by_keypoints(lifted_FJD, seen_FJ2, joints_FJD[:, root, 2], focal_2, centre_2, root)


def evaluate_keypoints(store: Store, protocol: Protocol, input_name: str, *, every: int = 10) -> dict[str, float]:
    """Errors of a benchmark's 2D keypoints against the true projections, on every Nth frame that counts.

    Returns:
        see `keypoint_scores`, and `pictures`, how many there were.

    Raises:
        UsageError: the benchmark has no true projections, or there is nothing to evaluate.
    """
    parts, true_parts = [], []
    for clip in counted(store, protocol, input_name):
        rows = np.flatnonzero(store.valid(clip))[::every]
        positions, scores = with_scores(store.keypoints(clip, input_name)[rows])
        parts.append(np.concatenate([positions, scores[..., None]], axis=-1))
        true_parts.append(np.array(store.keypoints(clip, "gt")[rows, :, :2]))
    found, truth = (np.concatenate(some).astype(np.float64) for some in (parts, true_parts))
    pictures: dict[str, float] = {"pictures": len(truth)}
    return pictures | keypoint_scores(found[..., :2], truth, found[..., 2], store.layout)
