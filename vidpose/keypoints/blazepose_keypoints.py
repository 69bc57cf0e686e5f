"""2D keypoints by BlazePose's landmark networks: 33 joints of the person in each given region.

Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, arXiv 2006.10204. A person is found once by a
detector; from then on the landmarks of one frame say where to look in the next, which is how BlazePose follows people.

What lies between pixels and network, and between network and joints, is as in Google's MediaPipe, in which the networks
were published. A region is mid-hip and the top of the circle that encloses the body; what is looked at is a square
around that circle, turned so that the body is upright in it.

Shape suffixes: P people, J = 39 points, of which the first 33 are joints, C = 3 colours, H and W height and width of
a crop, Y and X those of a heatmap, D = 2 coordinates (x, y), K = 7 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from vidpose.body.skeletons import BLAZEPOSE_33
from vidpose.keypoints.network_table import KEYPOINTS
from vidpose.keypoints.poses import KeypointFinder, Poses, seen_inside
from vidpose.runtimes.embedded import EmbeddedNetwork
from vidpose.weights.catalogue import Opening

Size = Literal["lite", "full", "heavy"]

_SIDE = 256  # pixels of a crop
_CROP_MARGIN = 1.25  # the networks were trained on squares this much larger than the body's circle
_BOX_MARGIN = 1.1  # of a circle around the longer side of a box that hugs the body
_MIN_RADIUS = 2.0  # pixels
_MID_HIP, _TOP = 33, 34
_POINTS = 39
_REACH = 3  # cells of a heatmap that are looked at on either side of a point
_SURE_CELL = 0.5  # probability of a cell from which a heatmap knows better than the regression
_OUTPUTS = ("landmarks", "presence", "heatmaps", "world")


class BlazePoseKeypoints(KeypointFinder):
    """Finds 33 joints."""

    layout = BLAZEPOSE_33
    takes_boxes = False

    def __init__(self, size: Size = "heavy", *, device: str = "cpu", threads: int | None = None) -> None:
        """Load a network.

        Args:
            size: lite, full and heavy take about 1, 2 and 7 parts of the time. Lite often takes left for right.
            device, threads: see `EmbeddedNetwork`.

        Raises:
            VidposeError: its files are missing or damaged.
        """

        def make():
            from vidpose.runtimes.blazepose import LANDMARK_CONFIGS, PoseLandmarks

            return PoseLandmarks(LANDMARK_CONFIGS[size])

        self._network = EmbeddedNetwork(KEYPOINTS[f"blazepose-{size}"].shipped, make, _OUTPUTS, device, threads)

    def close(self) -> None:
        """As every finder does."""
        self._network.close()

    def regions(self, boxes: np.ndarray) -> np.ndarray:
        """(P, 2, 2) of bodies upright in the middle of boxes (P, 4)."""
        low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
        centres, radii = (low + high) / 2, _BOX_MARGIN * (high - low).max(axis=1) / 2
        return np.stack([centres, centres - np.stack([np.zeros_like(radii), radii], axis=1)], axis=1)

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        return self.locate_all([image], [regions])[0]

    def locate_all(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> list[Poses]:
        counts = [len(some) for some in regions]
        if not any(counts):
            return [_poses(np.empty((0, _POINTS, 2)), np.empty((0, _POINTS)), np.empty(0), i.shape) for i in images]
        squares = [turned_squares(some) for some in regions]
        pairs = zip(images, squares, strict=True)
        crops_PCHW = np.stack([_crop(image, square) for image, some in pairs for square in some])
        landmarks, presence, heatmaps_PJYX, _ = self._network(crops_PCHW)
        values_PJ5 = landmarks.reshape(-1, _POINTS, 5)
        points_PJD = refined(values_PJ5[..., :2] / _SIDE, heatmaps_PJYX)
        # How likely it is that a joint is not hidden, and that it is in the crop at all.
        scores_PJ = _sigmoid(values_PJ5[..., 3]) * _sigmoid(values_PJ5[..., 4])
        pixels_PJD = _in_picture(points_PJD, np.concatenate(squares))
        ends = np.cumsum(counts)[:-1]
        parts = (np.split(array, ends) for array in (pixels_PJD, scores_PJ, presence[:, 0]))
        shapes = [image.shape for image in images]
        return [_poses(*some) for some in zip(*parts, shapes, strict=True)]


def turned_squares(regions: np.ndarray) -> np.ndarray:
    """(P, 2, 2): of the squares to look at for regions (P, 2, 2), the middle, and half a side in the head's direction.

    Raises:
        AssertionError: a region is not finite.
    """
    assert np.isfinite(regions).all()
    middles_PD, along_PD = regions[:, 0], regions[:, 1] - regions[:, 0]
    radii_P = np.linalg.norm(along_PD, axis=1)
    up_PD = np.where(radii_P[:, None] > 0, along_PD / np.maximum(radii_P, 1e-9)[:, None], (0.0, -1.0))
    return np.stack([middles_PD, _CROP_MARGIN * np.maximum(radii_P, _MIN_RADIUS)[:, None] * up_PD], axis=1)


def _crop(image: np.ndarray, square: np.ndarray) -> np.ndarray:
    """(3, H, W) float32, 0 to 1; beyond the edge of the picture its last pixels go on."""
    middle, up = square
    right = np.array([-up[1], up[0]])
    # From the crop's pixels to the picture's. Corner lies on corner: MediaPipe shifts by no half pixel either.
    turn = np.stack([right, -up], axis=1) / (_SIDE / 2)
    start = middle - right + up
    matrix = np.column_stack([turn, start])
    crop_HWC = cv2.warpAffine(
        image, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(crop_HWC.transpose(2, 0, 1)) * np.float32(1 / 255)


def refined(points_PJD: np.ndarray, heatmaps_PJYX: np.ndarray) -> np.ndarray:
    """Points (P, J, 2), fractions of the crop, moved to the middle of what their heatmaps say close to them.

    A point outside the crop, or with no sure cell close to it, stays where it is.
    """
    rows, columns = heatmaps_PJYX.shape[2:]
    cells_PJD = np.trunc(points_PJD * (columns, rows)).astype(int)
    steps_K = np.arange(-_REACH, _REACH + 1)
    x_PJK, y_PJK = (cells_PJD[..., axis, None] + steps_K for axis in (0, 1))
    is_x, is_y = (x_PJK >= 0) & (x_PJK < columns), (y_PJK >= 0) & (y_PJK < rows)
    person, point = np.ogrid[: points_PJD.shape[0], : points_PJD.shape[1]]
    logits_PJKK = heatmaps_PJYX[
        person[..., None, None], point[..., None, None],
        np.clip(y_PJK, 0, rows - 1)[..., :, None], np.clip(x_PJK, 0, columns - 1)[..., None, :],
    ]  # fmt: skip
    weights_PJKK = _sigmoid(logits_PJKK) * (is_y[..., :, None] & is_x[..., None, :])
    total_PJ = np.maximum(weights_PJKK.sum(axis=(2, 3)), 1e-9)
    x_PJ = (weights_PJKK.sum(axis=2) * x_PJK).sum(axis=2) / total_PJ / columns
    y_PJ = (weights_PJKK.sum(axis=3) * y_PJK).sum(axis=2) / total_PJ / rows
    is_inside = ((cells_PJD >= 0) & (cells_PJD < (columns, rows))).all(axis=-1)
    knows_better = is_inside & (weights_PJKK.max(axis=(2, 3)) >= _SURE_CELL)
    return np.where(knows_better[..., None], np.stack([x_PJ, y_PJ], axis=-1), points_PJD)


def _in_picture(points_PJD: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Pixels of the picture, of points that are fractions of their crop."""
    middles, up = squares[:, None, 0], squares[:, None, 1]
    right = np.stack([-up[..., 1], up[..., 0]], axis=-1)
    x, y = (2 * points_PJD - 1).transpose(2, 0, 1)[..., None]
    return middles + x * right - y * up


def _poses(pixels_PJD: np.ndarray, scores_PJ: np.ndarray, presence_P: np.ndarray, shape: tuple[int, ...]) -> Poses:
    joints = len(BLAZEPOSE_33)
    keypoints = pixels_PJD[:, :joints].astype(np.float32)
    scores = seen_inside(keypoints, scores_PJ[:, :joints], shape).astype(np.float32)
    return Poses(keypoints, scores, presence_P.astype(np.float32), pixels_PJD[:, [_MID_HIP, _TOP]].astype(np.float64))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))


def open_blazepose_keypoints(opening: Opening, size: Size) -> BlazePoseKeypoints:
    """BlazePose's landmark network of that size."""
    return BlazePoseKeypoints(size, device=opening.device, threads=opening.threads)
