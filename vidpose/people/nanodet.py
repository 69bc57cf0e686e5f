"""NanoDet: people in a whole picture, by the smallest detector that finds them in a street.

Its network is in `nanodet_network.py`; ONNX Runtime needs no torch to run it.

Shape suffixes: P people, C channels, H and W height and width, A anchors: cells of all scales, S = 4 sides, N = 11
bins.
"""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np

from vidpose.people.detections import Detections, PersonDetector, in_picture, suppressed
from vidpose.people.detector_table import DETECTORS
from vidpose.runtimes.embedded import EmbeddedNetwork
from vidpose.weights.catalogue import Opening

STRIDES = (8, 16, 32)
"""Of the three scales, in pixels of the picture."""

BINS = 11
"""Of the distance from the middle of a cell to a side of the box: 0 to 10 strides."""

_LONGER = 416  # pixels of the longer side that the network was trained on; near people are missed in larger pictures
_MULTIPLE = 32
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)[:, None, None]  # blue, green, red
_STD = np.array([57.375, 57.12, 58.395], np.float32)[:, None, None]
_SAME_PERSON = 0.6  # overlap from which two boxes are one person's
_TILE = 0.6  # of the picture's sides: four of them cover it, and overlap by a third of their own
_CUT = 3.0  # pixels of a tile from its inner edges, where a box may be part of somebody


class NanoDetDetector(PersonDetector):
    """Finds people from about a tenth of the picture's height."""

    sure = 0.5

    def __init__(
        self, min_score: float = 0.34, *, tiles: bool = False, device: str = "cpu", threads: int | None = None
    ) -> None:
        """Load the network.

        Args:
            min_score: people it is less sure of are left out.
            tiles: look at the four corners of the picture as well, for crowds: five times the time.
            device, threads: see `EmbeddedNetwork`.

        Raises:
            VidposeError: its files are missing or damaged.
        """

        def make():
            from vidpose.people.nanodet_network import NanoDet

            return NanoDet()

        self._network = EmbeddedNetwork(DETECTORS["nanodet"].shipped, make, ("people", "bins"), device, threads)
        self._min_score, self._tiles = min_score, tiles

    def close(self) -> None:
        """As every detector does."""
        self._network.close()

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """As every detector does."""
        boxes, scores = self._look(image)
        if self._tiles:
            parts = [(boxes, scores), *(self._look_at(image, tile) for tile in _corners(image.shape))]
            boxes, scores = (np.concatenate(some) for some in zip(*parts, strict=True))
        kept = suppressed(boxes, scores, _SAME_PERSON)
        return in_picture(boxes[kept], scores[kept], image.shape)

    def _look_at(self, image: np.ndarray, tile: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (P, 4) and scores (P,) of whom a tile of the picture shows whole."""
        boxes, scores = self._look(image[tile])
        rows, columns = tile
        start = np.array([columns.start, rows.start, columns.start, rows.start])
        size, margin = image.shape[1::-1], _CUT * max(image[tile].shape[:2]) / _LONGER
        low, high = np.array([columns.start, rows.start]), np.array([columns.stop, rows.stop])
        boxes = boxes + start
        is_cut = ((boxes[:, :2] < low + margin) & (low > 0)) | ((boxes[:, 2:] > high - margin) & (high < size))
        whole = ~is_cut.any(axis=1)
        return boxes[whole], scores[whole]

    def _look(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (P, 4) in pixels of the picture, which may reach beyond it, and scores (P,)."""
        picture_CHW, scale, start = _letterboxed(image)
        (people_A,), (bins_ASN,) = self._network(picture_CHW[None])
        found = np.flatnonzero(people_A >= self._min_score)
        weights = np.exp(bins_ASN[found] - bins_ASN[found].max(axis=-1, keepdims=True))
        middles, strides = (some[found] for some in _cells(*picture_CHW.shape[1:]))
        sides = (weights * np.arange(BINS)).sum(axis=-1) / weights.sum(axis=-1) * strides[:, None]
        boxes = np.concatenate([middles - sides[:, :2], middles + sides[:, 2:]], axis=1)
        return (boxes - np.tile(start, 2)) / np.tile(scale, 2), people_A[found]


def open_nanodet(opening: Opening, tiles: bool = False) -> NanoDetDetector:
    """NanoDet, which sees tiles of the picture too if so wanted."""
    return NanoDetDetector(tiles=tiles, device=opening.device, threads=opening.threads)


def _letterboxed(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture as the network takes it, black beside it up to a multiple of 32.

    Returns:
        (3, H, W) float32; by how much x and y are scaled, which rounding makes differ; and where it begins, x and y.
    """
    height, width = image.shape[:2]
    ratio = _LONGER / max(width, height)
    fitted_w, fitted_h = (max(1, round(side * ratio)) for side in (width, height))
    picture_HWC = np.zeros((*(_MULTIPLE * ceil(side / _MULTIPLE) for side in (fitted_h, fitted_w)), 3), np.uint8)
    top, left = ((outer - inner) // 2 for outer, inner in zip(picture_HWC.shape, (fitted_h, fitted_w), strict=False))
    kind = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (fitted_w, fitted_h), interpolation=kind)
    picture_HWC[top : top + fitted_h, left : left + fitted_w] = small[..., ::-1]
    picture_CHW = (np.ascontiguousarray(picture_HWC.transpose(2, 0, 1)) - _MEAN) / _STD
    return picture_CHW, np.array([fitted_w / width, fitted_h / height]), np.array([left, top])


def _cells(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(A, 2) middles of the cells in pixels of the picture, and (A,) strides."""
    middles, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[: height // stride, : width // stride]
        middles.append(np.stack([x, y], axis=-1).reshape(-1, 2) * stride + (stride - 1) / 2)
        strides.append(np.full(x.size, stride))
    return np.concatenate(middles), np.concatenate(strides)


def _corners(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The four tiles of a picture (H, W, ...)."""
    rows, columns = ((slice(0, ceil(_TILE * side)), slice(side - ceil(_TILE * side), side)) for side in shape[:2])
    return [(row, column) for row in rows for column in columns]
