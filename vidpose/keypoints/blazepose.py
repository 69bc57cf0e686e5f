"""2D keypoints by BlazePose's landmark network: 33 joints of the person in each given region.

A person is found once by a detector; from then on the landmarks of one frame say where to look in the next, which is
how BlazePose follows people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.blazepose import LandmarkSearch
from vidpose.skeletons import BLAZEPOSE_33

_OUTSIDE = 0.1  # what the score of a joint beyond the edge of the picture is worth: it is a guess however sure


@dataclass(frozen=True)
class Poses:
    """People with their joints.

    Attributes:
        keypoints: (P, 33, 2) float32 pixels, layout `blazepose33`; may lie outside the picture.
        scores: (P, 33) float32, 0 to 1: the probability that the joint is there to be seen; outside the picture a tenth
            of that.
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


class BlazePoseKeypoints:
    """Finds joints. Use it in a `with` block, or call `close`."""

    layout = BLAZEPOSE_33

    def __init__(self) -> None:
        """Load the network, which takes about a second the first time.

        Raises:
            VidposeError: mediapipe cannot be loaded.
        """
        self._search = LandmarkSearch()

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        """Find the joints of the person in each region, 12 ms each; check `presence` before believing in one.

        Args:
            image: (H, W, 3) uint8 RGB.
            regions: (P, 2, 2) pixels, finite: from a detection, or from the poses of the frame before.
        """
        assert np.isfinite(regions).all()
        count = len(regions)
        landmarks, next_regions = np.empty((count, len(self.layout), 4)), np.empty((count, 2, 2))
        presence = np.empty(count, np.float32)
        for i, region in enumerate(regions):
            landmarks[i], next_regions[i], presence[i] = self._search.run(image, region)
        keypoints = landmarks[..., :2].astype(np.float32)
        scores = landmarks[..., 2] * landmarks[..., 3]
        scores = np.where(inside(keypoints, image.shape), scores, _OUTSIDE * scores)
        return Poses(keypoints, scores.astype(np.float32), presence, next_regions)

    def close(self) -> None:
        """Free the network."""
        self._search.close()

    def __enter__(self) -> BlazePoseKeypoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def inside(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(...,) bool: which of the points (..., 2) lie in a picture of that shape (H, W, ...)."""
    return ((points >= 0) & (points <= (shape[1], shape[0]))).all(axis=-1)
