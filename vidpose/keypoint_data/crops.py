"""What a keypoint network is given of a picture, and what it should answer: the inverse of `keypoints/top_down.py`.

Places in a crop are fractions of it: (0, 0) its upper left corner, (1, 1) the lower right one. Which pixel and which
cell of a heatmap a fraction is, the network's `Processing.alignment` says.

Shape suffixes: B crops, J joints, H and W height and width of a crop, Y and X those of a heatmap, D = 2 coordinates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

from vidpose.keypoints.keypoint_network import Processing

_REACH = 3.0
"""Deviations from the edge of a heatmap beyond which a joint leaves no trace in it."""


def placing(region: np.ndarray, turn: float = 0.0, mirrored: bool = False) -> np.ndarray:
    """(2, 3) float64 that takes fractions of a crop to pixels of the picture.

    Args:
        region: (2, 2) pixels, centre and size, as of `top_down.crop_regions`.
        turn: radians by which the crop is turned, clockwise in the picture.
        mirrored: whether the crop shows the picture's mirror image.
    """
    centre, size = np.asarray(region, np.float64)
    c, s = np.cos(turn), np.sin(turn)
    axes = np.array([[c, -s], [s, c]]) * size * (-1 if mirrored else 1, 1)
    return np.column_stack([axes, centre - axes @ (0.5, 0.5)])


def to_fractions(points: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of the picture as fractions of a crop that lies so."""
    return (points - placed[:, 2]) @ np.linalg.inv(placed[:, :2]).T


def cut(image: np.ndarray, placed: np.ndarray, processing: Processing) -> np.ndarray:
    """(H, W, 3) uint8: a crop of a picture, bilinear, black beyond its edge."""
    width, height = processing.input_size
    size = np.array([width, height])
    scale, offset = _steps(size, processing)
    # PyTorch gives places from -1 to 1, from edge to edge, in the crop and in the picture.
    half, middle = scale * size / 2, offset + scale * (size - 1) / 2
    matrix = placed @ np.array([[half[0], 0, middle[0]], [0, half[1], middle[1]], [0, 0, 1]])
    if processing.alignment != "centre":
        matrix[:, 2] += 0.5  # a pixel's own coordinates are its corner's here, not its middle's
    matrix *= 2 / np.array([[image.shape[1]], [image.shape[0]]])
    matrix[:, 2] -= 1
    grid_1HWD = affine_grid(torch.from_numpy(matrix)[None].float(), [1, 3, height, width], align_corners=False)
    picture_1CYX = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    crop_CHW = grid_sample(picture_1CYX, grid_1HWD, padding_mode="zeros", align_corners=False)[0]
    return crop_CHW.permute(1, 2, 0).contiguous().round_().byte().numpy()


def heatmaps(
    fractions_BJD: torch.Tensor, size: tuple[int, int], processing: Processing, deviation: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What heatmaps should be: a Gaussian of height 1 around each joint.

    Args:
        fractions_BJD: places in the crop, NaN where unlabelled.
        size: (X, Y) of a heatmap.
        deviation: of the Gaussian, in cells.

    Returns:
        (B, J, Y, X), and (B, J) weights: 1, or 0 for joints that are unlabelled or beyond the heatmap.
    """
    scale, offset = (torch.tensor(part, dtype=torch.float32) for part in _steps(np.array(size), processing))
    cells_BJD = ((fractions_BJD.cpu() - offset) / scale).to(fractions_BJD.device)
    limit_D = torch.tensor(size, device=cells_BJD.device) - 1
    reach = _REACH * deviation
    labelled_BJ = ((cells_BJD >= -reach) & (cells_BJD <= limit_D + reach)).all(dim=-1)
    falls = []
    for axis, count in enumerate(size):
        steps = torch.arange(count, device=cells_BJD.device)
        falls.append(torch.exp(-((steps - cells_BJD[..., axis, None]) ** 2) / (2 * deviation**2)))
    across_BJX, down_BJY = falls
    maps_BJYX = down_BJY[..., :, None] * across_BJX[..., None, :]
    return torch.where(labelled_BJ[..., None, None], maps_BJYX, 0.0), labelled_BJ.float()


def _steps(size: np.ndarray, processing: Processing) -> tuple[np.ndarray, np.ndarray]:
    """Of pixels or cells, so many a side, (x, y): fractions from one to the next, and the first one's."""
    if processing.alignment == "udp":
        return 1 / (size - 1), np.zeros(2)
    return 1 / size, (0.5 if processing.alignment == "centre" else 0.0) / size
