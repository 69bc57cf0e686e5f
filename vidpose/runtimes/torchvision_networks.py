"""torchvision's detection networks, and the weights of the one that both finds people and their joints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vidpose.common.errors import VidposeError, one_line
from vidpose.weights.catalogue import Paper, Published

if TYPE_CHECKING:
    from torch import nn

KEYPOINT_RCNN = "torchvision:keypointrcnn"
KEYPOINT_RCNN_NETWORK = "keypointrcnn_resnet50_fpn"
"""torchvision's name of it."""

KEYPOINT_RCNN_PAPER = Paper("Mask R-CNN", "ICCV 2017")
KEYPOINT_RCNN_WEIGHTS = Published(
    "torchvision",
    url="https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
    sha256="fc266e95",
    mib=226.054,
)

_NO_EPSILON = ("fasterrcnn_resnet50_fpn", KEYPOINT_RCNN_NETWORK)
"""Those whose published weights were trained without the epsilon of batch normalisation."""


def load_torchvision(network: str, weights: Path) -> nn.Module:
    """A detection network of torchvision, with weights from a file in its layout.

    Args:
        network: as torchvision calls it.

    Raises:
        VidposeError: the file cannot be read, or is of another network.
    """
    from torch.nn import BatchNorm2d
    from torchvision.models import get_model

    from vidpose.weights.untrusted import read_checkpoint

    tensors = read_checkpoint(weights)
    made = get_model(network, weights=None, weights_backbone=None)
    for module in made.modules():
        if isinstance(module, BatchNorm2d) and network in _NO_EPSILON:
            module.eps = 0.0
    try:
        made.load_state_dict(tensors)
    except RuntimeError as error:
        raise VidposeError(f"{weights}: not weights of {network} ({one_line(error)})") from None
    return made.eval()
