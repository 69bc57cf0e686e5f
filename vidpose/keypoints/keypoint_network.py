"""What every native 2D keypoint network is, and how one is made by its name in `network_table.py`.

Shape suffixes: B crops, J joints, C colours, H and W height and width in pixels, Y and X those of a heatmap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from vidpose.body.skeletons import COCO_17, MPII_16, Skeleton, get_skeleton
from vidpose.common.errors import UsageError, VidposeError, one_line
from vidpose.common.registry import Registry
from vidpose.common.settings import Count, Ratio
from vidpose.keypoints.network_table import CROP_NETWORKS
from vidpose.weights.catalogue import classes

_LAYOUTS: Mapping[int, Skeleton] = {len(layout): layout for layout in (COCO_17, MPII_16)}


@dataclass(frozen=True)
class Processing:
    """What a network was trained to see, and how its heatmaps are meant: it belongs to the weights.

    Attributes:
        input_size: (width, height) of a crop in pixels.
        mean, std: of red, green and blue, 0 to 255; crops are standardised by them.
        margin: (of the width, of the height): the crop is the box times these, then widened to the input's aspect.
        alignment: which point of the crop a cell of the heatmap stands for. "corner": its upper left pixel, as mmpose
            and the authors of HRNet have it; a mirrored heatmap is then off by nearly a cell, which the flip test
            shifts it by. "centre": its middle. "udp": the outer cells are the outer pixels (Huang et al., CVPR 2020).
        decoding: name of the way from a heatmap to a point (`DECODINGS` in `heatmaps.py`).
        flip: look at the mirrored crop as well, and average the heatmaps.
    """

    input_size: tuple[Count, Count] = (192, 256)
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[Ratio, Ratio, Ratio] = (58.395, 57.12, 57.375)
    margin: tuple[Ratio, Ratio] = (1.25, 1.25)
    alignment: Literal["corner", "centre", "udp"] = "corner"
    decoding: str = "quarter"
    flip: bool = True


@dataclass(frozen=True)
class NetworkConfig:
    """What every network's frozen `Config` begins with: the name of the joint layout of its output."""

    layout: str = "coco17"


class KeypointNetwork(nn.Module):
    """Crops in, heatmaps out: (B, 3, H, W) standardised RGB -> (B, J, H / 4, W / 4).

    A subclass has a `name`, that of its entry in `network_table.py`, and a `Config`, of which it takes one; it defines
    `predictions` and `infer_config`. Its parameters have the names of a public implementation. Those that its
    checkpoints hold but nothing uses require no gradient.

    Attributes:
        processing: what the public weights were trained with.
        multiple: of which H and W have to be multiples.
        tiny: settings of the smallest sensible network, for tests.
    """

    name: ClassVar[str]
    Config: ClassVar[type[NetworkConfig]] = NetworkConfig
    processing: ClassVar[Processing] = Processing()
    tiny: ClassVar[Mapping[str, Any]] = {}

    multiple: int = 32

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.layout: Skeleton = get_skeleton(config.layout)

    def forward(self, crops_BCHW: torch.Tensor) -> torch.Tensor:
        return self.predictions(crops_BCHW)[-1]

    def predictions(self, crops_BCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All heatmaps that training puts a loss on, each (B, J, H / 4, W / 4); the last are what `forward` gives."""
        raise NotImplementedError

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """The settings that the shapes of a public checkpoint tell, in our keys.

        Raises:
            KeyError: a tensor that every such checkpoint has is missing.
        """
        raise NotImplementedError

    @classmethod
    def from_authors(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A public checkpoint in our keys: mmpose 0.x says `keypoint_head`, 1.x stores mean and deviation with it."""
        return {
            key.replace("keypoint_head.", "head."): tensor
            for key, tensor in tensors.items()
            if not key.startswith("data_preprocessor.")
        }


KEYPOINT_CLASSES: Registry[KeypointNetwork] = Registry("keypoint network", classes(CROP_NETWORKS))
network_names, network_class = KEYPOINT_CLASSES.names, KEYPOINT_CLASSES.find
create_network, restore_network = KEYPOINT_CLASSES.create, KEYPOINT_CLASSES.restore


def load_network(name: str, tensors: Mapping[str, torch.Tensor]) -> KeypointNetwork:
    """A network with the weights of a public checkpoint, in eval mode on the CPU; its sizes are those of the tensors.

    Args:
        name: in `network_table.py`.
        tensors: by their names in the checkpoint.

    Raises:
        UsageError: no network has that name.
        VidposeError: the tensors are not of that network, or its joints of no layout that is known.
    """
    kind = network_class(name)
    try:
        ours = kind.from_authors(tensors)
        return restore_network(name, kind.infer_config(ours), ours)
    except KeyError as error:
        raise VidposeError(f"not weights of {name}: there is no {error.args[0]}") from None
    # Tensors of any number and shape may stand under the right names.
    except (ArithmeticError, LookupError, RuntimeError, TypeError, UsageError, ValueError) as error:
        raise VidposeError(f"not weights of {name} ({one_line(error)})") from None


def layout_of(head: torch.Tensor) -> str:
    """Name of the joint layout that the last layer of a checkpoint, (J, ...), is for.

    Raises:
        ValueError: J is neither COCO's nor MPII's.
    """
    if len(head) not in _LAYOUTS:
        known = " or ".join(f"{count} ({layout.name})" for count, layout in _LAYOUTS.items())
        raise ValueError(f"{len(head)} joints, where {known} are known")
    return _LAYOUTS[len(head)].name
