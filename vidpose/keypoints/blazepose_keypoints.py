"""2D keypoints by BlazePose's landmark network: 33 joints of the person in each given region.

A person is found once by a detector; from then on the landmarks of one frame say where to look in the next, which is
how BlazePose follows people.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.skeletons import BLAZEPOSE_33
from vidpose.keypoints.poses import KeypointFinder, Poses, discounted
from vidpose.runtimes.mediapipe import LandmarkSearch


class BlazePoseKeypoints(KeypointFinder):
    """Finds 33 joints. Its regions are mid-hip and the top of the body's circle (`vidpose.runtimes.mediapipe`)."""

    layout = BLAZEPOSE_33
    takes_boxes = False

    def __init__(self) -> None:
        """Load the network, which takes about a second the first time.

        Raises:
            VidposeError: mediapipe cannot be loaded.
        """
        self._search = LandmarkSearch()

    def regions(self, boxes: np.ndarray) -> np.ndarray:
        """(P, 2, 2) of bodies upright in the middle of boxes (P, 4)."""
        low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
        centres, radii = (low + high) / 2, (high - low).max(axis=1) / 2
        return np.stack([centres, centres - np.stack([np.zeros_like(radii), radii], axis=1)], axis=1)

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        """As every keypoint detector does; 12 ms a person."""
        assert np.isfinite(regions).all()
        count = len(regions)
        landmarks, next_regions = np.empty((count, len(self.layout), 4)), np.empty((count, 2, 2))
        presence = np.empty(count, np.float32)
        for i, region in enumerate(regions):
            landmarks[i], next_regions[i], presence[i] = self._search.run(image, region)
        keypoints = landmarks[..., :2].astype(np.float32)
        scores = discounted(keypoints, landmarks[..., 2] * landmarks[..., 3], image.shape)
        return Poses(keypoints, scores.astype(np.float32), presence, next_regions)

    def close(self) -> None:
        """Free the network."""
        self._search.close()
