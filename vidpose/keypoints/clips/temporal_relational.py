"""Multi-perspective temporal-relational 3D human pose estimation: its 2D network, for clips from several cameras.

A spatial module makes one token of every picture (section III-C, `cropped_swin.py`). The image relations module
(III-D) lets the tokens of a camera's F frames attend to each other, then those of the V cameras' pictures of a moment.
A regression head gives the joints of every picture, so the network is sequence to sequence (III-A). Beyond the spatial
module there is a token a picture where an image Transformer has 196, so clips may be long.

What the paper leaves open is our choice: L = 4 layers, of ViT-B's width and heads, since "the temporal module underwent
fine-tuning using a pre-trained vision transformer"; the first relation's output (eq. 12) is the second one's input, and
a relation among one is left out; both begin as no relation at all; a norm and a linear head, whose third number per
joint is a score: how near the truth it expects its point to be. An image may be missing: nothing attends to it, and
what is said of it means nothing.

Shape suffixes: B clips, V views, F frames, N pictures, C colours, H and W pixels, D width of a token, J joints,
X = 2 coordinates (x, y).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer, vit_b_16

from vidpose.common.errors import UsageError
from vidpose.common.settings import Count, Depth, Probability, Share
from vidpose.keypoints.clips.clip_network import ClipNetwork
from vidpose.keypoints.clips.cropped_swin import CroppedSwin


class ImageRelation(nn.Module):
    """L pre-norm Transformer layers over the tokens of pictures, each told its place (eqs. 10 to 14).

    Args:
        places: how many pictures there can be, each with an embedding of its own: E_time or E_3D.
    """

    def __init__(self, places: int, width: int, layers: int, heads: int, dropout: float):
        super().__init__()
        self.places = nn.Parameter(torch.empty(places, width))
        nn.init.trunc_normal_(self.places, std=0.02)
        made = [
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        ]
        self.layers = nn.ModuleList(made)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # Training begins where pictures alone would: what was learned of them is not unlearned first.
        for layer in made:
            for last in (layer.self_attn.out_proj, layer.linear2):
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)

    def forward(self, tokens_BND: torch.Tensor, present_BN: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D); nothing attends to tokens that are not present."""
        # Attention to nothing would be NaN; where nothing is present, what comes out means nothing anyway.
        absent_BN = ~present_BN & present_BN.any(dim=1, keepdim=True)
        tokens_BND = tokens_BND + self.places[: tokens_BND.shape[1]]
        for layer in self.layers:
            tokens_BND = layer(tokens_BND, src_key_padding_mask=absent_BN)
        return self.norm(tokens_BND)


class TemporalRelational(ClipNetwork):
    """The spatial module, the relations between frames and between views, the head (Fig. 2)."""

    name = "temporal-relational"

    @dataclass(frozen=True)
    class Config(ClipNetwork.Config):
        """The paper's network by default; Table I's baseline is `relations` off.

        Attributes:
            frames, views: F and V, each at least 1.
            relations: whether there is an image relations module.
            layers, relation_heads: of either relation; `layers` is L.
            width, depths, heads, window: of the Swin Transformer, by default Swin-T's. The tokens are 8 times as wide
                as its first stage.
            keep_ratio: share of the patches that patch cropping keeps; 1: all.
            dropout: of the relations.
            drop_path: highest rate of stochastic depth of the Swin Transformer.
        """

        frames: Count = 32
        views: Count = 4
        relations: bool = True
        layers: Depth = 4
        width: Count = 96
        depths: tuple[Depth, Depth, Depth, Depth] = (2, 2, 6, 2)
        heads: tuple[Count, Count, Count, Count] = (3, 6, 12, 24)
        relation_heads: Count = 12
        window: Count = 7
        keep_ratio: Share = 0.7
        dropout: Probability = 0.0
        drop_path: Probability = 0.2

    config: Config
    spatial: CroppedSwin
    tiny = {  # noqa: RUF012
        "size": 64, "frames": 4, "layers": 1, "width": 8, "depths": (1, 1, 3, 1), "heads": (1, 1, 2, 2),
        "relation_heads": 2, "window": 2, "keep_ratio": 0.5, "drop_path": 0.0,
    }  # fmt: skip
    backbones = ("swin-t", "vit-b-16")

    def __init__(self, config: Config):
        super().__init__(config, 8 * config.width)
        if problem := _problem(config):
            raise UsageError(f"{self.name}: {problem}")
        self.frames, self.views = config.frames, config.views
        self.spatial = CroppedSwin(
            config.size, config.width, config.depths, config.heads, config.window, config.keep_ratio, config.drop_path
        )
        self.time = self._relation(config.frames)
        self.space = self._relation(config.views)

    def _relation(self, places: int) -> ImageRelation | None:
        config = self.config
        if places == 1 or not config.relations:
            return None
        return ImageRelation(places, 8 * config.width, config.layers, config.relation_heads, config.dropout)

    def related(self, tokens_BVFD: torch.Tensor, present_BVF: torch.Tensor) -> torch.Tensor:
        batch, views = present_BVF.shape[:2]
        if self.time:
            tokens_BVFD = self.time(tokens_BVFD.flatten(0, 1), present_BVF.flatten(0, 1)).unflatten(0, (batch, views))
        if self.space:
            moments_MVD = tokens_BVFD.transpose(1, 2).flatten(0, 1)
            moments_MVD = self.space(moments_MVD, present_BVF.transpose(1, 2).flatten(0, 1))
            tokens_BVFD = moments_MVD.unflatten(0, (batch, -1)).transpose(1, 2)
        return tokens_BVFD

    def _start_from(self, *backbones: Mapping[str, torch.Tensor]) -> None:
        """As the paper fine-tunes them (IV-B): Swin-T where pictures are looked at, the first L layers of ViT-B/16 over
        time."""
        swin, vit = backbones
        self.spatial.swin.load_state_dict(_headless(swin, "head."))
        if self.time:
            with torch.device("meta"):
                whole = vit_b_16()
            whole.load_state_dict(vit, assign=True)
            for layer, block in zip(self.time.layers, whole.encoder.layers, strict=False):
                layer.load_state_dict({_layer_key(key): tensor for key, tensor in block.state_dict().items()})


def _problem(config: TemporalRelational.Config) -> str:
    """What does not go together in settings that each can be; "" for nothing."""
    if config.keep_ratio < 1 and config.depths[2] < 2:
        return f"{config.depths[2]} block in stage 3; cropping needs 2, or keep_ratio = 1"
    if config.size % (32 * config.window):
        return f"crops of {config.size} pixels; a multiple of {32 * config.window} is due"
    widths = [config.width * 2**stage for stage in range(4)]
    for width, heads in zip([*widths, widths[-1]], [*config.heads, config.relation_heads], strict=True):
        if width % heads:
            return f"{heads} heads for a width of {width}, which they do not divide"
    return ""


def _headless(tensors: Mapping[str, torch.Tensor], head: str) -> dict[str, torch.Tensor]:
    """All but the classifier."""
    return {key: tensor for key, tensor in tensors.items() if not key.startswith(head)}


def _layer_key(key: str) -> str:
    """The name in torch's Transformer layer of a parameter of torchvision's."""
    module, _, parameter = key.partition(".") if key.startswith(("ln", "self")) else key.rpartition(".")
    ours = {"ln_1": "norm1", "ln_2": "norm2", "self_attention": "self_attn", "mlp.0": "linear1", "mlp.3": "linear2"}
    return f"{ours[module]}.{parameter}"


class _Vit(ClipNetwork):
    """A Vision Transformer with the same head, which looks at every picture alone: what Table I compares with."""

    @dataclass(frozen=True)
    class Config(ClipNetwork.Config):
        """Side of a `patch` in pixels, `width` of the tokens, `depth` and `heads`."""

        patch: Count = 16
        width: Count = 768
        depth: Depth = 12
        heads: Count = 12

    tiny = {"size": 64, "width": 16, "depth": 1, "heads": 2}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config, config.width)
        if config.size % config.patch:
            raise UsageError(f"{self.name}: crops of {config.size} pixels; a multiple of {config.patch} is due")
        self.spatial = VisionTransformer(
            config.size, config.patch, config.depth, config.heads, config.width, 4 * config.width
        )
        self.spatial.heads = nn.Identity()


class VitB(_Vit):
    """ViT-B/16."""

    name = "vit-b"

    backbones = ("vit-b-16",)

    def _start_from(self, *backbones: Mapping[str, torch.Tensor]) -> None:
        (vit,) = backbones
        self.spatial.load_state_dict(_headless(vit, "heads."))


class VitS(_Vit):
    """ViT-S/16 (Touvron et al., ICML 2021)."""

    name = "vit-s"

    @dataclass(frozen=True)
    class Config(_Vit.Config):
        """See `VitB`."""

        width: Count = 384
        heads: Count = 6
