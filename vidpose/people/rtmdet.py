"""Person detection by RTMDet, from the ONNX files that mmpose and mmdet publish.

Lyu et al., RTMDet: An Empirical Study of Designing Real-Time Object Detectors, arXiv 2212.07784. The files end in
non-maximum suppression: they give boxes with scores, and the class of each.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vidpose.people.detections import Detections, PersonDetector, in_picture
from vidpose.runtimes.onnx_network import OnnxNetwork
from vidpose.weights.catalogue import Opening

# Of mmdet's configurations, in the order blue, green, red: RTMDet sees pictures as OpenCV reads them.
_MEAN = np.array([103.53, 116.28, 123.675], np.float32)
_STD = np.array([57.375, 57.12, 58.395], np.float32)
_PADDING = 114
_PERSON = 0
"""The class of a person, the first of COCO's and the only one of the networks trained on people alone."""


class RtmDet(PersonDetector):
    """Finds people."""

    def __init__(self, path: Path, device: str = "cpu", size: int = 640, min_score: float = 0.5) -> None:
        """Load the network.

        Args:
            path: an .onnx file, or an SDK archive with one.
            device: see `OnnxNetwork`.
            size: side of the square picture that it was trained on, where the file takes any.
            min_score: people it is less sure of are left out.

        Raises:
            VidposeError: see `OnnxNetwork`.
        """
        self._network = OnnxNetwork(path, ("dets", "labels"), device)
        self._size = self._network.size or (size, size)
        self._min_score = min_score

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """As every detector does."""
        picture_CHW, scale = _fit(image, self._size)
        (dets_P5,), (labels_P,) = self._network(picture_CHW[None])
        people_P5 = dets_P5[(labels_P == _PERSON) & (dets_P5[:, 4] >= self._min_score)]
        return in_picture(people_P5[:, :4] / np.tile(scale, 2), people_P5[:, 4], image.shape)


def open_rtmdet(opening: Opening, size: int) -> RtmDet:
    """RTMDet as published, trained on squares of `size` pixels."""
    return RtmDet(opening.file, opening.device, size)


def _fit(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The picture as large as it fits into `size` (width, height), at the top left of it, as the network takes it.

    Returns:
        (3, H, W) float32; and by how much x and y are scaled, which rounding makes differ.
    """
    height, width = image.shape[:2]
    ratio = min(size[0] / width, size[1] / height)
    fitted = max(1, int(width * ratio + 0.5)), max(1, int(height * ratio + 0.5))
    picture_HWC = np.full((size[1], size[0], 3), _PADDING, np.uint8)
    picture_HWC[: fitted[1], : fitted[0]] = cv2.resize(image, fitted)[..., ::-1]
    normal_HWC = (picture_HWC - _MEAN) / _STD
    return np.ascontiguousarray(normal_HWC.transpose(2, 0, 1)), np.array([fitted[0] / width, fitted[1] / height])
