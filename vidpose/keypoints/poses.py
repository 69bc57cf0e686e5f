"""What every 2D keypoint detector gives, and what every 2D keypoint detector is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from vidpose.body.skeletons import Skeleton

_SURE = 0.3  # score of a joint that says where the body is
_ENOUGH = 4  # such joints that make a box
_MARGIN = 0.15  # of the box around them: head, hands and feet reach farther than the joints


@dataclass(frozen=True)
class Poses:
    """People with their J joints.

    Attributes:
        keypoints: (P, J, 2) float32 pixels, in the layout of whoever found them; may lie outside the picture.
        scores: (P, J) float32, 0 to 1: the probability that the joint is there to be seen; 0 outside the picture, where
            a joint is a guess, however sure.
        presence: (P,) float32, 0 to 1: the probability that there is a person in the region at all.
        regions: (P, 2, 2) float64 pixels: where to look for each person in the next frame.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    presence: np.ndarray
    regions: np.ndarray

    def __len__(self) -> int:
        return len(self.presence)

    def __getitem__(self, which: np.ndarray) -> Poses:
        """Some of the people, by a mask or by indices."""
        return Poses(self.keypoints[which], self.scores[which], self.presence[which], self.regions[which])

    def __add__(self, more: Poses) -> Poses:
        """These people, then those."""
        pairs = zip(_arrays(self), _arrays(more), strict=True)
        return Poses(*(np.concatenate(pair) for pair in pairs))


def _arrays(poses: Poses) -> tuple[np.ndarray, ...]:
    return poses.keypoints, poses.scores, poses.presence, poses.regions


class KeypointFinder:
    """Finds the joints of people in given regions. Use it in a `with` block, or call `close`.

    A region is two points in pixels, (2, 2): the middle of a body, and a point on the circle that encloses it. Which
    point that is, is for each detector to say.

    Attributes:
        layout: of its joints.
        takes_boxes: its regions are upright boxes, so nothing but a box says better where to look.
    """

    layout: Skeleton
    takes_boxes: ClassVar[bool]

    def regions(self, boxes: np.ndarray) -> np.ndarray:
        """(P, 2, 2) where to look for people in boxes (P, 4)."""
        raise NotImplementedError

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        """Find the joints of the person in each region; check `presence` before believing in one.

        Args:
            image: (H, W, 3) uint8 RGB.
            regions: (P, 2, 2) pixels, finite: from `regions`, or from the poses of the frame before.
        """
        raise NotImplementedError

    def locate_all(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> list[Poses]:
        """As `locate` for each of several pictures with its regions, in one run where the network can."""
        return [self.locate(image, some) for image, some in zip(images, regions, strict=True)]

    def close(self) -> None:
        """Free the network."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BoxNetwork(Protocol):
    """A network that sees each person in a box: what most of the field's are."""

    layout: Skeleton

    def locate_in_all(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Find the joints of the person in each box of each picture.

        Args:
            images: (H, W, 3) uint8 RGB.
            boxes: of each picture, (P, 4) pixels, x0 y0 x1 y1; may reach beyond it. There is a box in one at least.

        Returns:
            Of each picture, (P, J, 2) pixels, NaN where there can be nobody in a box, and (P, J) scores, about 0 to 1.
        """


class InBoxes(KeypointFinder):
    """Any network that sees each person in a box. The second point of its regions is the box's lower right corner."""

    takes_boxes = True

    def __init__(self, network: BoxNetwork) -> None:
        self._network = network
        self.layout = network.layout

    def regions(self, boxes: np.ndarray) -> np.ndarray:
        low, high = boxes[:, None, :2].astype(np.float64), boxes[:, None, 2:].astype(np.float64)
        return np.concatenate([(low + high) / 2, high], axis=1)

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        return self.locate_all([image], [regions])[0]

    def locate_all(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> list[Poses]:
        boxes = [_boxes(some) for some in regions]
        if any(map(len, boxes)):
            found = self._network.locate_in_all(images, boxes)
        else:
            found = [(np.empty((0, len(self.layout), 2)), np.empty((0, len(self.layout))))] * len(images)
        return [
            self._poses(*joints, looked_at, image.shape)
            for joints, looked_at, image in zip(found, boxes, images, strict=True)
        ]

    def _poses(self, keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray, shape: tuple[int, ...]) -> Poses:
        keypoints, scores = keypoints.astype(np.float32), np.clip(scores, 0, 1).astype(np.float32)
        scores = seen_inside(keypoints, scores, shape)
        presence = np.isfinite(keypoints).all(axis=(1, 2)).astype(np.float32)
        return Poses(keypoints, scores, presence, self.regions(_next_boxes(keypoints, scores, boxes)))


def _boxes(regions: np.ndarray) -> np.ndarray:
    half = np.abs(regions[:, 1] - regions[:, 0])
    return np.concatenate([regions[:, 0] - half, regions[:, 0] + half], axis=1)


def _next_boxes(keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(P, 4) around the sure joints with a margin; where they are too few, the box that was looked at."""
    is_sure = scores >= _SURE
    low = np.where(is_sure[..., None], keypoints, np.inf).min(axis=1)
    high = np.where(is_sure[..., None], keypoints, -np.inf).max(axis=1)
    is_enough = (is_sure.sum(axis=1) >= _ENOUGH) & (high > low).all(axis=1)
    low, high = np.where(is_enough[:, None], (low, high), (boxes[:, :2], boxes[:, 2:]))
    margin = np.where(is_enough[:, None], _MARGIN * (high - low), 0)
    return np.concatenate([low - margin, high + margin], axis=1)


def seen_inside(keypoints: np.ndarray, scores: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scores (..., J) of keypoints (..., J, 2): 0 of those outside a picture of that shape (H, W, ...)."""
    return np.where(inside(keypoints, shape), scores, 0)


def inside(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(...,) bool: which of the points (..., 2) lie in a picture of that shape (H, W, ...)."""
    return np.all((points >= 0) & (points <= (shape[1], shape[0])), axis=-1)
