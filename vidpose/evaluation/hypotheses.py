"""One answer of many hypotheses, as D3DP has them (Shan et al., ICCV 2023, sections 3.3 and 4.2).

Two are answers: the mean (P-Agg), and the joint of the hypothesis whose projection lies nearest the keypoint (J-Agg).
Two ask the truth, and say how good the hypotheses are at best: of each joint (J-Best), of each pose (P-Best).

J-Agg projects with the true root path and the true camera, as the released code does; P-Best chooses for each frame,
where that code chooses once for a batch of windows. Ties go to the first hypothesis.

Shape suffixes: H hypotheses, F frames, J joints, D the 3 of a joint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vidpose.datasets.store import Store, StoredClip


def p_agg(drawn_HFJD: np.ndarray, store: Store, clip: StoredClip, keypoints_FJ2: np.ndarray) -> np.ndarray:
    """(F, J, 3): the mean of the hypotheses."""
    return drawn_HFJD.mean(axis=0)


def j_agg(drawn_HFJD: np.ndarray, store: Store, clip: StoredClip, keypoints_FJ2: np.ndarray) -> np.ndarray:
    """(F, J, 3): of each joint the hypothesis whose projection lies nearest its keypoint."""
    joints_FJD = np.array(store.joints(clip))
    focal_2, centre_2 = pinhole(joints_FJD, np.array(store.keypoints(clip, "gt"))[..., :2])
    placed_HFJD = drawn_HFJD + joints_FJD[:, [store.layout.parents.index(-1)]]
    projected_HFJ2 = placed_HFJD[..., :2] / placed_HFJD[..., 2:] * focal_2 + centre_2
    distance_HFJ = np.linalg.norm(projected_HFJ2 - keypoints_FJ2, axis=-1)
    # Where a keypoint is absent nothing is nearest: the first.
    return _chosen(drawn_HFJD, np.where(np.isfinite(distance_HFJ), distance_HFJ, np.inf))


def j_best(drawn_HFJD: np.ndarray, store: Store, clip: StoredClip, keypoints_FJ2: np.ndarray) -> np.ndarray:
    """(F, J, 3): of each joint the hypothesis nearest the truth."""
    return _chosen(drawn_HFJD, _errors(drawn_HFJD, store, clip))


def p_best(drawn_HFJD: np.ndarray, store: Store, clip: StoredClip, keypoints_FJ2: np.ndarray) -> np.ndarray:
    """(F, J, 3): of each pose the hypothesis nearest the truth on average."""
    errors_HFJ = _errors(drawn_HFJD, store, clip)
    return _chosen(drawn_HFJD, np.broadcast_to(errors_HFJ.mean(axis=-1, keepdims=True), errors_HFJ.shape))


AGGREGATIONS: Mapping[str, Callable[[np.ndarray, Store, StoredClip, np.ndarray], np.ndarray]] = {
    "p-agg": p_agg,
    "j-agg": j_agg,
    "p-best": p_best,
    "j-best": j_best,
}
"""By name; all called (drawn, store, clip, keypoints), in the store's layout."""


def pinhole(joints_FJD: np.ndarray, keypoints_FJ2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Focal length (2,) and centre (2,) in pixels of the camera that takes joints to keypoints, in least squares."""
    there = np.isfinite(joints_FJD).all(axis=-1) & np.isfinite(keypoints_FJ2).all(axis=-1)
    rays_N2, pixels_N2 = (joints_FJD[..., :2] / joints_FJD[..., 2:])[there], keypoints_FJ2[there]
    fits = [np.polyfit(rays_N2[:, axis], pixels_N2[:, axis], 1) for axis in range(2)]
    focal_2, centre_2 = np.array(fits).T
    return focal_2, centre_2


def _errors(drawn_HFJD: np.ndarray, store: Store, clip: StoredClip) -> np.ndarray:
    joints_FJD = np.array(store.joints(clip))
    return np.linalg.norm(drawn_HFJD - (joints_FJD - joints_FJD[:, [store.layout.parents.index(-1)]]), axis=-1)


def _chosen(drawn_HFJD: np.ndarray, cost_HFJ: np.ndarray) -> np.ndarray:
    """The hypothesis of least cost, for each joint of each frame."""
    return np.take_along_axis(drawn_HFJD, cost_HFJ.argmin(axis=0)[None, :, :, None], axis=0)[0]
