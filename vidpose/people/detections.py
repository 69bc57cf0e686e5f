"""What every person detector gives, and what every person detector is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np


@dataclass(frozen=True)
class Detections:
    """People found in one picture, the surest first.

    Attributes:
        boxes: (P, 4) float32 pixels, x0 y0 x1 y1, of some area inside the picture.
        scores: (P,) float32, 0 to 1.
        regions: (P, 2, 2) float64 pixels, from a detector that knows how a body lies: mid-hip, and the top of the
            body's circle.
        ids: (P,) int64 from 1, from a detector that knows who is who.
    """

    boxes: np.ndarray
    scores: np.ndarray
    regions: np.ndarray | None = None
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)


class PersonDetector:
    """Finds people. Use it in a `with` block, or call `close`.

    Attributes:
        is_tight: its boxes hug bodies, so they are a better place to look for someone than a guess from the frame
            before.
        sure: score from which it is right nearly always: what a newcomer needs.
        gives_ids: it knows who is who.
    """

    is_tight: ClassVar[bool] = True
    sure: ClassVar[float] = 0.6
    gives_ids: bool = False

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """Find everyone in a picture, each once.

        Args:
            image: (H, W, 3) uint8 RGB.
            thorough: look for people who are small in the picture too, where that takes longer.
            index: number of the frame in its video; only boxes that were found before need it.
        """
        raise NotImplementedError

    def detect_near(self, image: np.ndarray, regions: np.ndarray, index: int = 0) -> Detections:
        """Find people where they should be: around regions (P, 2, 2). A detector that cannot look closer looks at all.

        Args:
            image, index: see `detect`.
        """
        return self.detect(image, thorough=False, index=index)

    def detect_all(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> list[Detections]:
        """As `detect`, thoroughly, for several pictures of one size, in one run where the network can."""
        return [self.detect(image, index=index) for image, index in zip(images, indices, strict=True)]

    def check_length(self, num_frames: int) -> None:
        """Warn where it knows of frames beyond the end of a video that has so many."""

    def close(self) -> None:
        """Free the network."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def in_picture(boxes: np.ndarray, scores: np.ndarray, shape: tuple[int, ...]) -> Detections:
    """Boxes (P, 4) cut off at the edge of a picture of that shape (H, W, ...), those with no area in it left out."""
    height, width = shape[:2]
    boxes = np.clip(boxes, 0, (width, height, width, height))
    order = np.argsort(-scores, kind="stable")
    order = order[(boxes[order, 2:] > boxes[order, :2]).all(axis=1)]
    return Detections(boxes[order].astype(np.float32), scores[order].astype(np.float32))


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) intersection over union of boxes (A, 4) and (B, 4)."""
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(axis=-1) for box in (a, b))
    return shared / np.maximum(area_a[:, None] + area_b - shared, 1e-9)


def suppressed(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """Indices of the boxes (P, 4) that are left, the surest first, when of those that overlap so much the surest is."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        kept.append(int(order[0]))
        order = order[1:][overlaps(boxes[order[:1]], boxes[order[1:]])[0] <= overlap]
    return np.array(kept, dtype=int)
