"""Clips of a prepared benchmark as a lifter takes them: which count, keypoints with scores, the picture's scale."""

from __future__ import annotations

import numpy as np

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
