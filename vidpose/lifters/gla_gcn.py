"""GLA-GCN: Global-local Adaptive Graph Convolutional Network for 3D Human Pose Estimation from Monocular Video.

Yu, Zhang, Liu, Zhong, Liu, Chen, ICCV 2023. Adaptive graph convolutional blocks: each mixes the joints of a frame by a
graph that is part the skeleton, part learnt, part computed from the input (section 3.1, eq. 2 and 3), then convolves
over nine frames. After a first block, five modules of two blocks each stride by 3, so that one frame is left (strided
learning architecture). A linear layer that all joints share reads each joint's position from its own features (section
3.2, eq. 6). T = 243, width 96, 1.35 M parameters.

Where the paper and the released network differ we follow the network, whose weights can be imported:

* The skeleton's matrices are divided by the sums of their columns, without the square roots and alpha below eq. 2; the
  neighbours towards the pelvis and those away from it are told apart by the bones, not by distances.
* The similarity of eq. 3 is divided by the number of features before the softmax.
* There is no reconstruction of the whole 3D sequence, and no loss on it (eq. 4).
* HumanEva's bones of arms and legs are listed from the trunk outwards, all others towards the pelvis.
* A strided convolution is centred on the first of every three frames, the residual around its module is the middle one.

The authors have a convolution for each of the three graphs, whose biases add up: ours is one. The bias of the keys in
eq. 3, which cancels in the softmax, is neither here nor imported. An early version of theirs took the joints' numbers
in its list of bones wrongly; weights trained with it need that other graph, and nothing in a checkpoint tells. Nor does
it tell their HumanEva network for Mask R-CNN's keypoints, which lacks two bones and does not use the normalisation of
its input that it holds: the variant `humaneva-mask-rcnn` has the settings to import it with. Its head is the nose.

Shape suffixes: B batch, T frames, J joints, C channels, D width, K the three graphs, N features of a joint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import nn

from vidpose.body.skeletons import H36M_17, MPI_INF_3DHP_17, Skeleton
from vidpose.common.errors import UsageError
from vidpose.common.inputs import short
from vidpose.common.registry import count_blocks
from vidpose.common.settings import Count, Counts, Probability
from vidpose.lifters.lifter import Lifter, LifterConfig, layouts_of
from vidpose.lifters.videopose3d import check_window

_GRAPHS = 3


_LIMBS_OUTWARDS = {"humaneva15": tuple(range(2, 14))}
"""Joints whose bones the authors' list for a layout has the other way round than all other bones."""


def skeleton_graphs(parents: Sequence[int], turned: Sequence[int] = (), unlinked: Sequence[int] = ()) -> torch.Tensor:
    """A_k of eq. 2: (3, J, J) of each joint itself, of its parent, and of its children, columns summing to 1.

    Args:
        parents: of each joint; -1 for the root.
        turned: joints whose bone goes the other way, so that they are their parent's parent.
        unlinked: joints without a bone to their parent.
    """
    identity_JJ = torch.eye(len(parents))
    # One row more, for the parent that the root has not.
    parent_JJ = torch.eye(len(parents) + 1)[list(parents)][:, :-1].T
    parent_JJ[:, list(unlinked)] = 0
    turned_JJ = torch.zeros_like(parent_JJ)
    turned_JJ[:, list(turned)] = parent_JJ[:, list(turned)]
    parent_JJ = parent_JJ - turned_JJ + turned_JJ.T
    graphs_KJJ = torch.stack([identity_JJ, parent_JJ, parent_JJ.T])
    return graphs_KJJ / graphs_KJJ.sum(dim=1, keepdim=True).clamp_min(1)


def graph_layout(layout: Skeleton) -> Skeleton:
    """Whose bones the graphs are of. The authors train on MPI-INF-3DHP's 17 joints with Human3.6M's, by number."""
    return H36M_17 if layout == MPI_INF_3DHP_17 else layout


def convolution(channels: int, width: int, frames: int = 1, stride: int = 1) -> nn.Sequential:
    """Over time, with batch normalisation: (B, C, T, J) -> (B, D, T / stride, J), rounded up."""
    conv = nn.Conv2d(channels, width, (frames, 1), stride=(stride, 1), padding=(frames // 2, 0))
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.BatchNorm2d(width))


class AdaptiveGraphConvolution(nn.Module):
    """Eq. 2, with batch normalisation, dropout, a residual and ReLU: (B, C, T, J) -> (B, D, T, J)."""

    skeleton: torch.Tensor

    def __init__(self, channels: int, width: int, graphs_KJJ: torch.Tensor, dropout: float):
        super().__init__()
        features = width // 4
        self.register_buffer("skeleton", graphs_KJJ, persistent=False)
        self.learnt = nn.Parameter(torch.full_like(graphs_KJJ, 1e-6))
        self.query = nn.Conv2d(channels, _GRAPHS * features, kernel_size=1)
        self.key = nn.Conv2d(channels, _GRAPHS * features, kernel_size=1, bias=False)
        self.mix = nn.Conv2d(_GRAPHS * channels, width, kernel_size=1)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(dropout)
        self.residual = nn.Identity() if channels == width else convolution(channels, width)
        for conv in (self.query, self.key):
            nn.init.normal_(conv.weight, std=sqrt(2 / features))
        nn.init.normal_(self.mix.weight, std=sqrt(2 / (_GRAPHS * channels * width)))
        for conv in (self.query, self.mix):
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        # The block starts as little more than its residual.
        nn.init.constant_(self.norm.weight, 1e-6)

    def forward(self, features_BCTJ: torch.Tensor) -> torch.Tensor:
        graphs_BKJJ = self.skeleton + self.learnt + self.similarity(features_BCTJ)
        gathered = features_BCTJ.flatten(1, 2)[:, None] @ graphs_BKJJ
        mixed_BDTJ = self.mix(gathered.unflatten(2, features_BCTJ.shape[1:3]).flatten(1, 2))
        return (self.drop(self.norm(mixed_BDTJ)) + self.residual(features_BCTJ)).relu()

    def similarity(self, features_BCTJ: torch.Tensor) -> torch.Tensor:
        """C_k of eq. 3, over all frames at once: (B, 3, J, J), whose columns sum to 1."""
        queries_BKNJ, keys_BKNJ = (
            conv(features_BCTJ).unflatten(1, (_GRAPHS, -1)).flatten(2, 3) for conv in (self.query, self.key)
        )
        # Not by scaled_dot_product_attention, which does not give the weights, to which the skeleton is added.
        return (keys_BKNJ.transpose(2, 3) @ queries_BKNJ / keys_BKNJ.shape[2]).softmax(dim=2)


class AGCNBlock(nn.Module):
    """Graph convolution, convolution over nine frames, ReLU: (B, C, T, J) -> (B, D, T / stride, J), rounded up.

    Only a block that does not stride has a residual.
    """

    def __init__(self, channels: int, width: int, graphs_KJJ: torch.Tensor, dropout: float, stride: int | None = None):
        super().__init__()
        self.spatial = AdaptiveGraphConvolution(channels, width, graphs_KJJ, dropout)
        self.temporal = convolution(width, width, frames=9, stride=stride or 1)
        self.residual = None
        if stride is None:
            self.residual = nn.Identity() if channels == width else convolution(channels, width)

    def forward(self, features_BCTJ: torch.Tensor) -> torch.Tensor:
        inner_BDTJ = self.temporal(self.spatial(features_BCTJ))
        if self.residual is not None:
            inner_BDTJ = inner_BDTJ + self.residual(features_BCTJ)
        return inner_BDTJ.relu()


class GLAGCN(Lifter):
    """Strided modules of adaptive graph convolutional blocks (Fig. 1): (B, T, J, C) -> (B, 1, J, 3)."""

    name = "gla-gcn"

    @dataclass(frozen=True)
    class Config(LifterConfig):
        """`width` of a joint's features, `strides` of the modules, whose product is `frames`, and `dropout`.

        `unlinked` are joints whose bone the graph lacks. `normalise_input`: by the statistics of what was learnt from.
        """

        frames: Count = 243
        channels: Count = 2
        normalisation: str = "screen"
        width: Count = 96
        strides: Counts = (3, 3, 3, 3, 3)
        dropout: Probability = 0.1
        unlinked: tuple[str, ...] = ()
        normalise_input: bool = True

    config: Config
    predicts = "centre"
    tiny = {"frames": 9, "width": 16, "strides": (3, 3)}  # noqa: RUF012
    variants = {  # noqa: RUF012
        "humaneva-mask-rcnn": {
            "frames": 27, "strides": (3, 3, 3), "layout": "humaneva15",
            "unlinked": ("right_shoulder", "left_hip"), "normalise_input": False,
        },
    }  # fmt: skip
    unused_keys = ("input_norm.",)
    authors_keys = (
        ("data_bn", "input_norm"),
        ("expand_gcn", "expand"),
        ("layers_tcngcn", "blocks"),
        ("tcn1.conv", "temporal.0"),
        ("tcn1.bn", "temporal.1"),
        (".residual.conv", ".residual.0"),
        (".residual.bn", ".residual.1"),
        ("gcn1", "spatial"),
        ("spatial.PA", "spatial.learnt"),
        ("spatial.bn", "spatial.norm"),
        ("spatial.down", "spatial.residual"),
        ("fc.", "head."),
    )

    def __init__(self, config: Config):
        super().__init__(config)
        check_window(config.strides, config.frames)
        layout = graph_layout(self.layout)
        if missing := set(config.unlinked) - set(layout.joints):
            raise UsageError(f"gla-gcn: {layout.name} has no joint {short(min(missing))}; `unlinked` takes its joints")
        unlinked = [layout.index(joint) for joint in config.unlinked]
        graphs_KJJ = skeleton_graphs(layout.parents, _LIMBS_OUTWARDS.get(layout.name, ()), unlinked)
        width, shared = config.width, (graphs_KJJ, config.dropout)
        self.input_norm = (
            nn.BatchNorm1d(len(self.layout) * config.channels) if config.normalise_input else nn.Identity()
        )
        self.expand = AGCNBlock(config.channels, width, *shared)
        # Two a module, of which the second strides.
        self.blocks = nn.ModuleList(
            AGCNBlock(width, width, *shared, stride) for module in config.strides for stride in (None, module)
        )
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(width, 3)

    @property
    def frame_range(self) -> tuple[int, int | None]:
        return self.config.frames, self.config.frames

    def forward(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        coordinates = self.input_norm(keypoints_BTJC.flatten(2).transpose(1, 2))
        coordinates_BJCT = coordinates.unflatten(1, keypoints_BTJC.shape[2:])
        features_BDTJ = self.expand(coordinates_BJCT.permute(0, 2, 3, 1))
        for index, stride in enumerate(self.config.strides):
            inner_BDTJ = self.drop(self.blocks[2 * index](features_BDTJ))
            inner_BDTJ = self.drop(self.blocks[2 * index + 1](inner_BDTJ))
            features_BDTJ = features_BDTJ[:, :, stride // 2 :: stride] + inner_BDTJ
        return self.head(features_BDTJ.permute(0, 2, 3, 1))

    @classmethod
    def infer_config(cls, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        width, channels = tensors["expand.residual.0.weight"].shape[:2]
        # No shape tells the strides, which are 3 in all networks of the authors.
        modules = count_blocks(tensors, "blocks") // 2
        return {
            **layouts_of(len(tensors["expand.spatial.learnt"][0])),
            "frames": 3**modules,
            "channels": channels,
            "width": width,
            "strides": (3,) * modules,
        }

    @classmethod
    def from_authors(cls, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Theirs has the three graphs' convolutions apart: of keys (`conv_a`), queries (`conv_b`) and mixing."""

        def graphs(spatial: str, conv: str, parameter: str) -> list[torch.Tensor]:
            return [tensors[f"{spatial}.conv_{conv}.{graph}.{parameter}"] for graph in range(_GRAPHS)]

        ours = {key: tensor for key, tensor in tensors.items() if ".conv_" not in key}
        ours["head.weight"] = tensors["head.weight"].squeeze(-1)
        for spatial in (key.removesuffix(".learnt") for key in tensors if key.endswith(".learnt")):
            ours[f"{spatial}.key.weight"] = torch.cat(graphs(spatial, "a", "weight"))
            ours[f"{spatial}.query.weight"] = torch.cat(graphs(spatial, "b", "weight"))
            ours[f"{spatial}.query.bias"] = torch.cat(graphs(spatial, "b", "bias"))
            ours[f"{spatial}.mix.weight"] = torch.cat(graphs(spatial, "d", "weight"), dim=1)
            ours[f"{spatial}.mix.bias"] = torch.stack(graphs(spatial, "d", "bias")).sum(dim=0)
        return ours
