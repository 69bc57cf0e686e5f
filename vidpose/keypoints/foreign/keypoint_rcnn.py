"""2D keypoints by torchvision's Keypoint R-CNN: 17 joints of COCO's for the person in each given box.

He et al., Mask R-CNN, ICCV 2017, section 5. The network proposes boxes of its own; here its keypoint head answers for
boxes that any detector gave, so the picture is seen once however many people there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import KeypointRCNN
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints
from torchvision.models.detection.transform import resize_boxes, resize_keypoints

from vidpose.body.skeletons import COCO_17
from vidpose.keypoints.poses import BoxNetwork, InBoxes
from vidpose.runtimes.torchvision_networks import KEYPOINT_RCNN_NETWORK, load_torchvision
from vidpose.weights.catalogue import Opening


class Remembering(nn.Module):
    """A backbone that keeps its last answer, for a detector and a keypoint head that look at the same pictures."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_channels = backbone.out_channels
        self._seen: torch.Tensor | None = None
        self._features: dict[str, torch.Tensor] = {}

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        # Comparing takes 5 ms where looking takes 3 s.
        if self._seen is None or not torch.equal(self._seen, pictures):
            self._features, self._seen = self.backbone(pictures), pictures
        return self._features


class KeypointRcnn(BoxNetwork):
    """Joints of the people in boxes."""

    layout = COCO_17

    def __init__(self, network: KeypointRCNN, device: str = "cpu") -> None:
        """Take a network with its weights, to run on a device."""
        self._network = network.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def locate_in_all(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `BoxNetwork`. A score is the logistic function of a heatmap's peak, which has no scale of its own."""
        pixels = [torch.as_tensor(image, device=self._device).permute(2, 0, 1) / 255 for image in images]
        pictures, _ = self._network.transform(pixels)
        full, seen = [image.shape[:2] for image in images], pictures.image_sizes
        boxes_P4 = [
            resize_boxes(torch.as_tensor(some, dtype=torch.float32, device=self._device), *sizes)
            for some, *sizes in zip(boxes, full, seen, strict=True)
        ]
        heads = self._network.roi_heads
        features = heads.keypoint_roi_pool(self._network.backbone(pictures.tensors), boxes_P4, seen)
        heatmaps_NJYX = heads.keypoint_predictor(heads.keypoint_head(features))
        found = []
        for some_PJYX, some_P4, *sizes in zip(
            heatmaps_NJYX.split([len(b) for b in boxes_P4]), boxes_P4, seen, full, strict=True
        ):
            keypoints_PJ3, peaks_PJ = heatmaps_to_keypoints(some_PJYX, some_P4)
            keypoints_PJD = resize_keypoints(keypoints_PJ3, *sizes)[..., :2]
            found.append((keypoints_PJD.cpu().numpy(), peaks_PJ.sigmoid().cpu().numpy()))
        return found


def open_keypoint_rcnn(opening: Opening) -> InBoxes:
    """Keypoint R-CNN, with weights in torchvision's layout."""
    return InBoxes(KeypointRcnn(load_torchvision(KEYPOINT_RCNN_NETWORK, opening.file), opening.device))


def sharing(network: KeypointRCNN, device: str) -> InBoxes:
    """Keypoints by a network that finds people already: its backbone sees a picture once for both."""
    network.backbone = Remembering(network.backbone)
    return InBoxes(KeypointRcnn(network, device))
