"""2D keypoints by RTMPose, from the ONNX files that mmpose publishes: 17 joints of COCO's for each box.

Jiang et al., RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose, arXiv 2303.07399. The network says of
each joint how likely every column and every row of the crop is, in bins finer than pixels (SimCC, Li et al., ECCV
2022).

Shape suffixes: P people of one picture, N people of all, J joints, C colours, H and W height and width of a crop,
X and Y bins, D = 2 coordinates (x, y).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vidpose.body.skeletons import COCO_17
from vidpose.common.errors import VidposeError
from vidpose.keypoints.keypoint_network import Processing
from vidpose.keypoints.poses import BoxNetwork, InBoxes
from vidpose.keypoints.top_down import crop_regions, sample
from vidpose.runtimes.onnx_network import OnnxNetwork
from vidpose.weights.catalogue import Opening


class RtmPose(BoxNetwork):
    """Joints of the people in boxes."""

    layout = COCO_17

    def __init__(self, path: Path, device: str = "cpu") -> None:
        """Load the network.

        Args:
            path: an .onnx file, or an SDK archive with one.
            device: see `OnnxNetwork`.

        Raises:
            VidposeError: see `OnnxNetwork`; or the network has other joints.
        """
        self._network = OnnxNetwork(path, ("simcc_x", "simcc_y"), device)
        size = self._network.size
        self._processing = Processing(input_size=size) if size else Processing()
        width, height = self._processing.input_size
        simcc_x, _ = self._network(np.zeros((1, 3, height, width), np.float32))
        if simcc_x.shape[1] != len(self.layout):
            raise VidposeError(
                f"{path}: of a network with {simcc_x.shape[1]} joints; `keypoints=rtmpose` takes those with "
                f"{self.layout.name}'s {len(self.layout)}"
            )

    def locate_in_all(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `BoxNetwork`."""
        regions = [crop_regions(some, self._processing) for some in boxes]
        pairs = zip(images, regions, strict=True)
        crops_NCHW = np.concatenate([self._crops(image, some) for image, some in pairs if len(some)])
        simcc_NJX, simcc_NJY = self._network(crops_NCHW)
        bins_NJD = np.stack([simcc_NJX.argmax(axis=-1), simcc_NJY.argmax(axis=-1)], axis=-1)
        fractions_NJD = bins_NJD / (simcc_NJX.shape[-1], simcc_NJY.shape[-1])
        centres_ND, sizes_ND = np.concatenate(regions).transpose(1, 0, 2)
        keypoints_NJD = centres_ND[:, None] + (fractions_NJD - 0.5) * sizes_ND[:, None]
        # As mmpose has it; the mean of the two would flatter a joint of which only one coordinate is known.
        scores_NJ = np.minimum(simcc_NJX.max(axis=-1), simcc_NJY.max(axis=-1))
        ends = np.cumsum([len(some) for some in boxes])[:-1]
        return list(zip(np.split(keypoints_NJD, ends), np.split(scores_NJ, ends), strict=True))

    def _crops(self, image: np.ndarray, regions_P2D: np.ndarray) -> np.ndarray:
        """(P, 3, H, W) standardised."""
        picture_1CYX = torch.as_tensor(image).permute(2, 0, 1)[None].float()
        crops_PCHW = sample(picture_1CYX, torch.from_numpy(regions_P2D).float(), self._processing).numpy()
        mean, std = (np.array(v, np.float32)[:, None, None] for v in (self._processing.mean, self._processing.std))
        return (crops_PCHW - mean) / std


def open_rtmpose(opening: Opening) -> InBoxes:
    """RTMPose as published."""
    return InBoxes(RtmPose(opening.file, opening.device))
