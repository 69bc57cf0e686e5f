"""Person detection by BlazePose's detector: where bodies are, as regions for the landmark network.

Bazarevsky et al., arXiv 2006.10204. The network sees 224 x 224 pixels and knows people who fill a good part of them. In
a 1768 x 994 video it finds a man 370 pixels tall in 2 of 34 pictures seen whole, in 21 when it also sees their tallest
squares, in 30 when it sees squares of three quarters of that side as well; a woman of 430 pixels in 14, 31 and 31 of
33. So a brief search takes the whole and the tallest squares (4 views of a 16:9 picture, 7 ms each), a thorough one the
smaller squares too (12).

Shape suffixes: N views, A anchors, P people, D = 2 coordinates (x, y).
"""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np

from vidpose.body.regions import Regions
from vidpose.people.detections import Detections, PersonDetector, overlaps
from vidpose.people.detector_table import DETECTORS
from vidpose.runtimes.embedded import EmbeddedNetwork
from vidpose.weights.catalogue import Opening

_SIDE = 224  # pixels of a view
_GRIDS = ((28, 2), (14, 2), (7, 6))  # cells along a side, and anchors of each
_SAME_BOX = 0.3  # overlap of head and shoulders from which two anchors mean one person
_THOROUGH = 0.75  # side of the squares of a thorough search, of the picture's shorter side
_MOST_ALONG = 4  # squares side by side along a picture, so that a ribbon of one is not cut to confetti
_SAME_CENTRE = 0.3  # of a body's radius: two people side by side are about 0.5 apart
_NEAR = 1.6  # half the side of the square in which somebody is looked for, of the radius of their body
_ELONGATED = 1.2  # aspect from which the tallest squares differ enough from the whole picture


class BlazePoseDetector(PersonDetector):
    """Finds people, with their regions; a box is the square around a body's circle."""

    is_tight = False

    def __init__(self, min_score: float = 0.5, *, device: str = "cpu", threads: int | None = None) -> None:
        """Load the network.

        Args:
            min_score: people the detector is less sure of are left out. On real videos two thirds of what it scores
                between 0.2 and 0.5 is no person, a third between 0.5 and 0.6, and one in twenty above.
            device, threads: see `EmbeddedNetwork`.

        Raises:
            VidposeError: its files are missing or damaged.
        """

        def make():
            from vidpose.runtimes.blazepose import PersonRegions

            return PersonRegions()

        self._network = EmbeddedNetwork(DETECTORS["blazepose"].shipped, make, ("regions", "logits"), device, threads)
        self._min_score = min_score

    def close(self) -> None:
        """As every detector does."""
        self._network.close()

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """As every detector does; a thorough search looks into small squares too."""
        return self._detect(image, views(image.shape[1], image.shape[0], thorough))

    def detect_near(self, image: np.ndarray, regions: np.ndarray, index: int = 0) -> Detections:
        """As every detector does: in a square around each region, in which even somebody small is large."""
        around = Regions(regions)
        size = image.shape[1::-1]
        low = np.clip(around.middles - _NEAR * around.radii[:, None], 0, size).astype(int)
        high = np.clip(around.middles + _NEAR * around.radii[:, None] + 1, 0, size).astype(int)
        return self._detect(image, [(*a, *(b - a)) for a, b in zip(low, high, strict=True) if (b > a).all()])

    def _detect(self, image: np.ndarray, parts: list[tuple[int, int, int, int]]) -> Detections:
        height, width = image.shape[:2]
        regions, scores = [np.empty((0, 2, 2))], [np.empty(0)]
        for (x, y, w, h), (found, found_scores) in zip(parts, self._search(image, parts) if parts else [], strict=True):
            # A body whose middle lies beyond an edge is guessed from a part; the view next to it sees it whole.
            inside = ((found[:, 0] >= 0) & (found[:, 0] < (w, h))).all(axis=1)
            regions.append(found[inside] + (x, y))
            scores.append(found_scores[inside])
        return _merge(np.concatenate(regions), np.concatenate(scores), width, height)

    def _search(self, image: np.ndarray, parts: list[tuple[int, int, int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Regions (P, 2, 2) in pixels of each part of the picture, and scores (P,)."""
        crops = [_letterboxed(image[y : y + h, x : x + w]) for x, y, w, h in parts]
        values_NAx, logits_NA = self._network(np.stack(crops))
        return [
            self._read(values, logits, w, h)
            for values, logits, (_, _, w, h) in zip(values_NAx, logits_NA, parts, strict=True)
        ]

    def _read(self, values_Ax: np.ndarray, logits_A: np.ndarray, w: int, h: int) -> tuple[np.ndarray, np.ndarray]:
        """What the network says of one view: regions (P, 2, 2) in pixels of it, and scores (P,)."""
        scores = 1 / (1 + np.exp(-np.clip(logits_A, -60, 60)))
        is_person = scores >= self._min_score
        scores, values = scores[is_person], values_Ax[is_person].reshape(-1, 6, 2) / _SIDE
        centres = values[:, 0] + _ANCHORS_AD[is_person]
        corners = np.concatenate([centres - values[:, 1] / 2, centres + values[:, 1] / 2], axis=1)
        # Mid-hip and the top of the circle around the body; the other points and the box are of its upper part.
        points = values[:, 2:4] + _ANCHORS_AD[is_person, None]
        regions, sure = _averaged(corners, points, scores)
        return (regions - 0.5) * max(w, h) + (w / 2, h / 2), sure


def _anchors() -> np.ndarray:
    """(A, 2) middles of the cells, fractions of the view."""
    grids = []
    for cells, count in _GRIDS:
        y, x = np.mgrid[:cells, :cells]
        grids.append(np.repeat((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells, count, axis=0))
    return np.concatenate(grids)


_ANCHORS_AD = _anchors()


def _letterboxed(view: np.ndarray) -> np.ndarray:
    """(3, 224, 224) float32, -1 to 1: the whole view in the middle, black beside it."""
    height, width = view.shape[:2]
    scale = _SIDE / max(width, height)
    start = (_SIDE - scale * np.array([width, height])) / 2
    matrix = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    picture_HWC = cv2.warpAffine(view, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(picture_HWC.transpose(2, 0, 1)) * np.float32(1 / 127.5) - np.float32(1)


def _averaged(corners: np.ndarray, points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 2, 2) and scores (P,): boxes (N, 4) that overlap are one person, whose points are averaged by score.

    MediaPipe's weighted non-maximum suppression.
    """
    order = np.argsort(-scores, kind="stable")
    found, sure = [np.empty((0, 2, 2))], []
    while len(order):
        is_same = overlaps(corners[order[:1]], corners[order])[0] > _SAME_BOX
        is_same[0] = True
        same = order[is_same]
        found.append(np.average(points[same], axis=0, weights=scores[same])[None])
        sure.append(scores[order[0]])
        order = order[~is_same]
    return np.concatenate(found), np.array(sure)


def views(width: int, height: int, thorough: bool) -> list[tuple[int, int, int, int]]:
    """The parts of a picture to search, each x, y, width, height in pixels: the whole, then overlapping squares."""
    found = [(0, 0, width, height)]
    if max(width, height) > _ELONGATED * min(width, height):
        found += _squares(width, height, 1.0)
    if thorough:
        found += _squares(width, height, _THOROUGH)
    return found


def _squares(width: int, height: int, scale: float) -> list[tuple[int, int, int, int]]:
    """Squares that cover the picture and overlap by half or more; their side is `scale` of its shorter side."""
    side = ceil(max(scale * min(width, height), max(width, height) / _MOST_ALONG))
    w, h = min(side, width), min(side, height)
    return [(x, y, w, h) for y in _offsets(height, h) for x in _offsets(width, w)]


def _offsets(length: int, part: int) -> list[int]:
    steps = ceil(2 * (length - part) / part)
    return [round(i * (length - part) / steps) for i in range(steps + 1)] if steps else [0]


def _merge(regions: np.ndarray, scores: np.ndarray, width: int, height: int) -> Detections:
    """Keep the surest of the detections of one body, which several views give."""
    centres, radii = regions[:, 0], np.linalg.norm(regions[:, 1] - regions[:, 0], axis=1)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        apart = np.linalg.norm(centres[kept] - centres[i], axis=1)
        if (apart > _SAME_CENTRE * np.maximum(radii[kept], radii[i])).all():
            kept.append(int(i))
    corners = np.concatenate([centres - radii[:, None], centres + radii[:, None]], axis=1)[kept]
    boxes = np.clip(corners, 0, (width, height, width, height))
    return Detections(boxes.astype(np.float32), scores[kept].astype(np.float32), regions[kept])


def open_blazepose_detector(opening: Opening) -> BlazePoseDetector:
    """BlazePose's detector."""
    return BlazePoseDetector(device=opening.device, threads=opening.threads)
