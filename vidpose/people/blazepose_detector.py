"""Person detection by BlazePose's detector: where bodies are, as regions for the landmark network.

The network sees 224 x 224 pixels and knows people who fill a good part of them. In a 1768 x 994 video it finds a man
370 pixels tall in 2 of 34 pictures seen whole, in 21 when it also sees their tallest squares, in 30 when it sees
squares of three quarters of that side as well; a woman of 430 pixels in 14, 31 and 31 of 33. So a brief search takes
the whole and the tallest squares (4 views of a 16:9 picture, 7 ms each), a thorough one the smaller squares too (12).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil

import numpy as np

from vidpose.people.detections import Detections, PersonDetector
from vidpose.runtimes.mediapipe import PersonSearch

_THOROUGH = 0.75  # side of the squares of a thorough search, of the picture's shorter side
_MOST_ALONG = 4  # squares side by side along a picture, so that a ribbon of one is not cut to confetti
_SAME_CENTRE = 0.3  # of a body's radius: two people side by side are about 0.5 apart
_THREADS = 2  # that share the views of a search
_ELONGATED = 1.2  # aspect from which the tallest squares differ enough from the whole picture


class BlazePoseDetector(PersonDetector):
    """Finds people, with their regions; a box is the square around a body's circle."""

    is_tight = False

    def __init__(self, min_score: float = 0.5) -> None:
        """Load the network, which takes about a second the first time.

        Args:
            min_score: people the detector is less sure of are left out. On real videos two thirds of what it scores
                between 0.2 and 0.5 is no person, a third between 0.5 and 0.6, and one in twenty above.

        Raises:
            VidposeError: mediapipe cannot be loaded.
        """
        self._searches = [PersonSearch(min_score) for _ in range(_THREADS)]
        self._pool = ThreadPoolExecutor(_THREADS)

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """As every detector does; a thorough search looks into small squares too."""
        height, width = image.shape[:2]
        regions, scores = [np.empty((0, 2, 2))], [np.empty(0)]
        parts = views(width, height, thorough)
        for (x, y, w, h), (found, found_scores) in zip(parts, self._search(image, parts), strict=True):
            # A body whose middle lies beyond an edge is guessed from a part; the view next to it sees it whole.
            inside = ((found[:, 0] >= 0) & (found[:, 0] < (w, h))).all(axis=1)
            regions.append(found[inside] + (x, y))
            scores.append(found_scores[inside])
        return _merge(np.concatenate(regions), np.concatenate(scores), width, height)

    def _search(self, image: np.ndarray, parts: list[tuple[int, int, int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
        """What the network finds in each part of the picture; each thread has a network and a share of the parts."""

        def search_share(first: int) -> list[tuple[np.ndarray, np.ndarray]]:
            return [self._searches[first].run(image[y : y + h, x : x + w]) for x, y, w, h in parts[first::_THREADS]]

        found: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * len(parts)
        for first, share in enumerate(self._pool.map(search_share, range(_THREADS))):
            found[first::_THREADS] = share
        return found

    def close(self) -> None:
        """Free the networks."""
        self._pool.shutdown()
        for search in self._searches:
            search.close()


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
