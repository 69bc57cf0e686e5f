"""Person detection by torchvision's networks, trained on COCO: Faster R-CNN, SSDlite, Keypoint R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from vidpose.people.detections import Detections, PersonDetector, in_picture
from vidpose.runtimes.torchvision_networks import load_torchvision
from vidpose.weights.catalogue import Opening

_PERSON = 1
"""The label of a person; 0 is the background."""


class TorchvisionDetector(PersonDetector):
    """Any detection network with torchvision's interface.

    Attributes:
        network: the network, on the device.
    """

    def __init__(self, network: nn.Module, device: str = "cpu", min_score: float = 0.5) -> None:
        """Take a network with its weights.

        Args:
            network: a list of (3, H, W) pictures, 0 to 1, to a list of {"boxes", "labels", "scores"}.
            device: to run it on.
            min_score: people it is less sure of are left out.
        """
        self.network = network.to(device).eval()
        self._device = device
        self._min_score = min_score

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        """As every detector does."""
        return self.detect_all([image], [index])[0]

    @torch.inference_mode()
    def detect_all(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> list[Detections]:
        """As every detector does, all in one run."""
        answers = self.network([torch.as_tensor(image, device=self._device).permute(2, 0, 1) / 255 for image in images])
        return [self._people(answer, image.shape) for answer, image in zip(answers, images, strict=True)]

    def _people(self, answer: Mapping[str, torch.Tensor], shape: tuple[int, ...]) -> Detections:
        is_person = (answer["labels"] == _PERSON) & (answer["scores"] >= self._min_score)
        boxes, scores = (answer[name][is_person].cpu().numpy() for name in ("boxes", "scores"))
        return in_picture(boxes, scores, shape)


def open_torchvision_detector(opening: Opening, network: str) -> TorchvisionDetector:
    """torchvision's network of that name (of its own), with weights in its layout."""
    return TorchvisionDetector(load_torchvision(network, opening.file), opening.device)
