"""Clips of a prepared benchmark as a lifter takes them: which count, keypoints with scores, the picture's scale."""

from __future__ import annotations

import numpy as np

from vidpose.body.skeletons import Skeleton, get_conversion, order_of
from vidpose.common.errors import UsageError
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import Store, StoredClip


def counted(store: Store, protocol: Protocol, input_name: str) -> list[StoredClip]:
    """The clips that a protocol evaluates.

    Raises:
        UsageError: there are none, or the benchmark has no such input.
    """
    clips = [clip for clip in store.clips if protocol.counts(clip)]
    if not clips:
        raise UsageError(f"{store.folder}: nothing to evaluate in it by protocol {protocol.name!r}")
    store.keypoints(clips[0], input_name)
    return clips


def check_joints(store: Store, name: str, layout: Skeleton, input_layout: Skeleton) -> None:
    """See that a lifter answers for a benchmark's joints, and takes such as can be made from them.

    Args:
        name: of the lifter.
        layout, input_layout: of its answer and of its input.

    Raises:
        UsageError: it does not.
    """
    try:
        order_of(layout, store.layout)
    except UsageError:
        raise UsageError(
            f"{name} has joints in layout {layout.name}, where {store.name} has {store.layout.name}; "
            f"set model.layout={store.layout.name}, or take other weights"
        ) from None
    if input_layout != store.layout:
        get_conversion(store.layout.name, input_layout.name)


def keypoints_in(layout: Skeleton, store: Store, clip: StoredClip, input_name: str) -> tuple[np.ndarray, np.ndarray]:
    """(F, J, 2) pixels and (F, J) scores of a clip, in a layout that can be made from the benchmark's."""
    keypoints, scores = with_scores(store.keypoints(clip, input_name))
    if layout == store.layout:
        return keypoints, scores
    return get_conversion(store.layout.name, layout.name)(keypoints, scores)


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
