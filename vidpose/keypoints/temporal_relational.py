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
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.models.vision_transformer import VisionTransformer, vit_b_16

from vidpose.errors import UsageError, VidposeError, one_line
from vidpose.keypoints.base import NetworkConfig, Processing
from vidpose.keypoints.cropped_swin import CroppedSwin
from vidpose.registry import Registry
from vidpose.skeletons import Skeleton, get_skeleton

_PAPER = "Multi-perspective temporal-relational 3D human pose estimation"
_VIT = "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, ICLR 2021"

_NEAR = 0.05
"""Of the crop's side: a score is exp(-d^2 / (2 * this^2)) of a point expected to be d off, as in COCO's OKS."""

_SCORE_WEIGHT = 0.01
"""In the loss, so that the points decide: their part of it falls to a hundredth and less."""


class ImageRelation(nn.Module):
    """L pre-norm Transformer layers over the tokens of pictures, each told its place (eqs. 10 to 14).

    Args:
        places: how many pictures there can be, each with an embedding of its own: E_time or E_3D.
    """

    def __init__(self, places: int, width: int, layers: int, heads: int, dropout: float):
        super().__init__()
        self.places = nn.Parameter(torch.empty(places, width))
        nn.init.trunc_normal_(self.places, std=0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout, "gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        # Training begins where pictures alone would: what was learned of them is not unlearned first.
        for layer in self.layers:
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


class ClipNetwork(nn.Module):
    """Clips of one person in, joints out: (B, V, F, 3, H, W) standardised RGB -> points and scores of every picture.

    A subclass names its `Config`, takes one, and sets `spatial`, a module from (N, 3, H, W) pictures to (N, D) tokens.

    Attributes:
        frames, views: the longest window and the most views it takes.
        tiny: settings of the smallest sensible network, for tests.
        backbones: names of published ImageNet weights that `start_from` takes; none where none are known.
    """

    @dataclass(frozen=True)
    class Config(NetworkConfig):
        """The joint layout, and `size`, the height and width of a crop in pixels."""

        layout: str = "h36m17"
        size: int = 224

    tiny: ClassVar[Mapping[str, Any]] = {}
    backbones: ClassVar[tuple[str, ...]] = ()
    # Set by `register`.
    name: ClassVar[str]
    paper: ClassVar[str]

    spatial: nn.Module
    frames: int = 1
    views: int = 1

    def __init__(self, config: Config, width: int):
        super().__init__()
        self.config = config
        self.layout: Skeleton = get_skeleton(config.layout)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 3 * len(self.layout))
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @property
    def processing(self) -> Processing:
        """How crops are cut for it."""
        return Processing(input_size=(self.config.size, self.config.size), alignment="centre", flip=False)

    def forward(
        self, crops_BVFCHW: torch.Tensor, present_BVF: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the joints in every picture of a clip.

        Args:
            crops_BVFCHW: pictures taken at the same moments by up to `views` cameras, each with its place in E_3D.
            present_BVF: bool, which of them there are; None: all. The others are not looked at.

        Returns:
            (B, V, F, J, 2) points as fractions of the crop, (0, 0) its upper left corner, and (B, V, F, J) logits of
            scores; of pictures that are not present they mean nothing.

        Raises:
            VidposeError: more views or frames than the network takes, crops of another size, or nothing is present.
        """
        self._check(crops_BVFCHW, present_BVF)
        if present_BVF is None:
            present_BVF = torch.ones(crops_BVFCHW.shape[:3], dtype=torch.bool, device=crops_BVFCHW.device)
            tokens_BVFD = self.spatial(crops_BVFCHW.flatten(0, 2)).unflatten(0, present_BVF.shape)
        else:
            tokens_ND = self.spatial(crops_BVFCHW[present_BVF])
            zeros_BVFD = tokens_ND.new_zeros(*present_BVF.shape, tokens_ND.shape[-1])
            tokens_BVFD = zeros_BVFD.index_put((present_BVF,), tokens_ND)
        return self.decode(tokens_BVFD, present_BVF)

    predictions = forward
    """What training puts a loss on (`regression_loss`)."""

    def start_from(self, *backbones: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of `backbones` over, which are in torchvision's names.

        Raises:
            VidposeError: they are of other networks or sizes.
        """
        try:
            self._start_from(*backbones)
        except RuntimeError as error:
            raise VidposeError(f"not weights that {self.name} can start from ({one_line(error)})") from None

    def _start_from(self, *backbones: Mapping[str, torch.Tensor]) -> None:
        raise NotImplementedError

    def decode(self, tokens_BVFD: torch.Tensor, present_BVF: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What `forward` gives, from the spatial module's tokens: so windows that overlap can share them."""
        answers_BVFJ3 = self.head(self.norm(self.related(tokens_BVFD, present_BVF))).unflatten(-1, (-1, 3))
        return answers_BVFJ3[..., :2] + 0.5, answers_BVFJ3[..., 2]

    def related(self, tokens_BVFD: torch.Tensor, present_BVF: torch.Tensor) -> torch.Tensor:
        """Tokens that know of the others: here they remain as they are."""
        return tokens_BVFD

    def _check(self, crops_BVFCHW: torch.Tensor, present_BVF: torch.Tensor | None) -> None:
        _, views, frames, *picture = crops_BVFCHW.shape
        for what, found, most in (("views", views, self.views), ("frames", frames, self.frames)):
            if found > most:
                raise VidposeError(f"{self.name}: a clip of {found} {what}, where at most {most} are due")
        due = [3, self.config.size, self.config.size]
        if picture != due:
            raise VidposeError(f"{self.name}: crops of shape {tuple(picture)}, where {tuple(due)} is due")
        if present_BVF is not None and not present_BVF.any():
            raise VidposeError(f"{self.name}: there is nobody in any picture of the clip")


_REGISTRY: Registry[ClipNetwork] = Registry("clip network")
register, clip_network_names = _REGISTRY.register, _REGISTRY.names
clip_network_class, create_clip_network = _REGISTRY.find, _REGISTRY.create


@register("temporal-relational", _PAPER)
class TemporalRelational(ClipNetwork):
    """The spatial module, the relations between frames and between views, the head (Fig. 2)."""

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

        frames: int = 32
        views: int = 4
        relations: bool = True
        layers: int = 4
        width: int = 96
        depths: tuple[int, int, int, int] = (2, 2, 6, 2)
        heads: tuple[int, int, int, int] = (3, 6, 12, 24)
        relation_heads: int = 12
        window: int = 7
        keep_ratio: float = 0.7
        dropout: float = 0.0
        drop_path: float = 0.2

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

    def _start_from(self, swin: Mapping[str, torch.Tensor], vit: Mapping[str, torch.Tensor]) -> None:
        """As the paper fine-tunes them (IV-B): Swin-T where pictures are looked at, the first L layers of ViT-B/16 over
        time."""
        self.spatial.swin.load_state_dict(_headless(swin, "head."))
        if self.time:
            with torch.device("meta"):
                whole = vit_b_16()
            whole.load_state_dict(vit, assign=True)
            for layer, block in zip(self.time.layers, whole.encoder.layers, strict=False):
                layer.load_state_dict({_layer_key(key): tensor for key, tensor in block.state_dict().items()})


def _problem(config: TemporalRelational.Config) -> str:
    """What is impossible about settings; "" for nothing."""
    if config.frames < 1 or config.views < 1:
        return f"{config.frames} frames and {config.views} views; at least 1 of each is due"
    if not 0 < config.keep_ratio <= 1:
        return f"keep_ratio {config.keep_ratio:g}; it is a share, above 0 and at most 1"
    if (len(config.depths), len(config.heads)) != (4, 4):
        return f"depths {config.depths} and heads {config.heads}; each has one number for each of 4 stages"
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

        patch: int = 16
        width: int = 768
        depth: int = 12
        heads: int = 12

    tiny = {"size": 64, "width": 16, "depth": 1, "heads": 2}  # noqa: RUF012

    def __init__(self, config: Config):
        super().__init__(config, config.width)
        if config.size % config.patch:
            raise UsageError(f"{self.name}: crops of {config.size} pixels; a multiple of {config.patch} is due")
        self.spatial = VisionTransformer(
            config.size, config.patch, config.depth, config.heads, config.width, 4 * config.width
        )
        self.spatial.heads = nn.Identity()


@register("vit-b", _VIT)
class VitB(_Vit):
    """ViT-B/16."""

    backbones = ("vit-b-16",)

    def _start_from(self, vit: Mapping[str, torch.Tensor]) -> None:
        self.spatial.load_state_dict(_headless(vit, "heads."))


@register("vit-s", _VIT)
class VitS(_Vit):
    """ViT-S/16 (Touvron et al., ICML 2021)."""

    @dataclass(frozen=True)
    class Config(_Vit.Config):
        """See `VitB`."""

        width: int = 384
        heads: int = 6


def regression_loss(
    points_BVFJX: torch.Tensor, logits_BVFJ: torch.Tensor, truth_BVFJX: torch.Tensor, weights_BVFJ: torch.Tensor
) -> torch.Tensor:
    """Mean distance of the points along either axis, as fractions of the crop, plus how wrong the scores are.

    The paper names no loss. A score learns by cross-entropy what its point deserves, which for that is held fixed.

    Args:
        truth_BVFJX: true points; where the weight is 0, anything.
        weights_BVFJ: of each joint; 0 for joints that are not annotated, and pictures that are not present.
    """
    offsets_BVFJX = torch.where((weights_BVFJ > 0)[..., None], points_BVFJX - truth_BVFJX, 0)
    deserved_BVFJ = torch.exp(-offsets_BVFJX.detach().square().sum(dim=-1) / (2 * _NEAR**2))
    wrong_BVFJ = binary_cross_entropy_with_logits(logits_BVFJ, deserved_BVFJ, reduction="none")
    losses_BVFJ = offsets_BVFJX.abs().mean(dim=-1) + _SCORE_WEIGHT * wrong_BVFJ
    return (weights_BVFJ * losses_BVFJ).sum() / weights_BVFJ.sum().clamp(min=1e-9)
