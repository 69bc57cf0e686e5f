"""Running a lifter over a whole track: windows, blended seams, mirror averaging. The one place that does it.

Shape suffixes: N frames of the track, W windows, T frames of a window, J joints, C channels.
"""

from __future__ import annotations

import numpy as np
import torch

from vidpose.lifters import Lifter
from vidpose.lifters.normalisation import NORMALISATIONS

_BATCH = 32


@torch.inference_mode()
def lift(
    lifter: Lifter,
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    *,
    device: str = "cpu",
    mirror: bool = True,
) -> np.ndarray:
    """3D joints of one unbroken stretch of frames.

    Windows of the lifter's length overlap by half and are blended with triangular weights, so that no seam shows; a
    shorter stretch is padded with its last frame.

    Args:
        lifter: a sequence lifter in eval mode, already on `device`.
        keypoints: (N, J, 2) pixels in the lifter's layout, NaN where absent.
        scores: (N, J) confidences, 0 where absent.
        image_size: (width, height) pixels.
        mirror: average with the mirrored prediction of the mirrored input.

    Returns:
        (N, J, 3) float32 metres relative to the root joint.
    """
    length, window = len(keypoints), lifter.config.frames
    starts_W = _window_starts(length, window)
    rows_WT = np.minimum(starts_W[:, None] + np.arange(window), length - 1)
    stacked = np.concatenate([keypoints, scores[..., None]], axis=-1).astype(np.float32)
    normalise = NORMALISATIONS[lifter.config.normalisation]

    # A ramp up and down; its ends are not zero, since the first and the last frame lie in one window only.
    weights_T = np.minimum(np.arange(window), np.arange(window)[::-1]).astype(np.float64) + 1
    total = np.zeros((length, len(lifter.layout), 3))
    weight_N = np.zeros(length)
    for chunk in np.array_split(np.arange(len(starts_W)), -(-len(starts_W) // _BATCH)):
        windows_WTJC = normalise(torch.from_numpy(stacked[rows_WT[chunk]]).to(device), image_size)
        lifted = _predict(lifter, windows_WTJC[..., : lifter.config.channels], mirror).double().cpu().numpy()
        for start, joints_TJD in zip(starts_W[chunk], lifted, strict=True):
            rows = slice(start, min(start + window, length))
            used = rows.stop - rows.start
            total[rows] += weights_T[:used, None, None] * joints_TJD[:used]
            weight_N[rows] += weights_T[:used]
    joints = total / weight_N[:, None, None]
    return (joints - joints[:, :1]).astype(np.float32)


def _window_starts(length: int, window: int) -> np.ndarray:
    """First frames of half-overlapping windows; the last one ends with the stretch."""
    if length <= window:
        return np.zeros(1, dtype=np.int64)
    starts = np.arange(0, length - window, max(1, window // 2))
    return np.append(starts, length - window)


def _predict(lifter: Lifter, keypoints_WTJC: torch.Tensor, mirror: bool) -> torch.Tensor:
    joints_WTJD = lifter(keypoints_WTJC)
    if not mirror:
        return joints_WTJD
    order = list(lifter.layout.mirror)
    flip = keypoints_WTJC.new_ones(keypoints_WTJC.shape[-1])
    flip[0] = -1
    mirrored = lifter((keypoints_WTJC * flip)[:, :, order])[:, :, order]
    return (joints_WTJD + mirrored * mirrored.new_tensor([-1, 1, 1])) / 2
