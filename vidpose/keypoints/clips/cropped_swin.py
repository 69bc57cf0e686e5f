"""The spatial module of the multi-perspective temporal-relational network: one picture into one token.

Windowed and shifted-window attention with patch merging (eqs. 6 to 9) are torchvision's Swin Transformer (Liu et al.,
ICCV 2021), so its published weights fit. The paper adds patch cropping in words only: the windowed attention tells
"patches with high attention", which are kept, and the others are dropped. What it leaves open is our choice:

- Cropping is in stage 3, after its first pair of blocks. There a 224 x 224 crop is 14 x 14 patches, the paper's 196, in
  windows of a quarter of the crop, each of which holds some of the person and some of what is around.
- The mark of a patch is the attention it receives in that pair, from all patches of its windows and in all heads.
- Patches are kept or dropped in cells of 2 x 2, those that patch merging makes one of, so that no kept patch is merged
  with a hole. `keep_ratio` is the share of the cells that is kept.
- The kept patches attend to those kept in the same window, with the position biases they would have without cropping.
- A learned query gathers them into the frame's token by attention, after learned positions have been added: their mean,
  which Swin takes for classification, does not say where in the picture anything is.

Shape suffixes: N pictures, C channels, H and W pixels, Y and X rows and columns of patches, P patches of the grid, K
those that are kept, G cells, Q the 4 patches of a cell, D width of the token, h heads.
"""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models.swin_transformer import ShiftedWindowAttention, SwinTransformer, SwinTransformerBlock

_CROP_STAGE = 5
"""Index of stage 3 in torchvision's `features`: embedding, then stages with patch merging between."""

_PAIR = 2
"""Blocks that mark: one of windowed, one of shifted-window attention."""


class KeptWindows(nn.Module):
    """Windowed attention among patches that were kept, wherever they lie: blocks of torchvision's Swin run by it.

    Args:
        side: rows, and columns, of patches in the whole grid; a multiple of the window.
        window: rows, and columns, of patches in a window.
        shift: of the windows, up and left, in patches; what comes out at one edge comes in at the other, but does not
            attend across it.
    """

    index_PP: torch.Tensor
    apart_PP: torch.Tensor

    def __init__(self, side: int, window: int, shift: int):
        super().__init__()
        shift = 0 if window >= side else shift
        row_P, column_P = (axis.flatten() for axis in torch.meshgrid(*[torch.arange(side)] * 2, indexing="ij"))
        shifted_2P = (torch.stack([row_P, column_P]) - shift) % side
        # Patches attend to each other that are in one window and came in at the same edges.
        group_4P = torch.cat([shifted_2P // window, torch.stack([row_P, column_P]) < shift])
        apart_PP = (group_4P[:, :, None] != group_4P[:, None, :]).any(dim=0)
        row_PP, column_PP = shifted_2P[:, :, None] - shifted_2P[:, None, :] + window - 1
        self.register_buffer("index_PP", (row_PP * (2 * window - 1) + column_PP).masked_fill(apart_PP, 0), False)
        self.register_buffer("apart_PP", apart_PP, False)

    def forward(
        self, block: SwinTransformerBlock, tokens_NKC: torch.Tensor, places_NK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Run a block (eqs. 6 and 7, or 8 and 9).

        Args:
            tokens_NKC: kept patches.
            places_NK: where in the grid they lie, row by row.

        Returns:
            (N, K, C) patches, and (N, K) attention that each received: over all of them 1 on average.
        """
        attended_NKC, received_NK = self._attend(block.attn, block.norm1(tokens_NKC), places_NK)
        tokens_NKC = tokens_NKC + block.stochastic_depth(attended_NKC)
        return tokens_NKC + block.stochastic_depth(block.mlp(block.norm2(tokens_NKC))), received_NK

    def _attend(
        self, attention: ShiftedWindowAttention, tokens_NKC: torch.Tensor, places_NK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Multi-head attention (eqs. 3 to 5) plus what the positions contribute."""
        heads, width = attention.num_heads, tokens_NKC.shape[-1]
        q, k, v = attention.qkv(tokens_NKC).unflatten(-1, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
        bias_PPh = attention.relative_position_bias_table[self.index_PP]
        bias_PPh = bias_PPh.masked_fill(self.apart_PP[..., None], -torch.inf)
        bias_NKKh = bias_PPh[places_NK[:, :, None], places_NK[:, None, :]]
        scores_NhKK = (q * (width // heads) ** -0.5) @ k.transpose(-2, -1) + bias_NKKh.permute(0, 3, 1, 2)
        weights_NhKK = scores_NhKK.softmax(dim=-1)
        attended_NKC = attention.proj((weights_NhKK @ v).transpose(1, 2).flatten(2))
        return attended_NKC, weights_NhKK.detach().mean(dim=1).sum(dim=1)


class Aggregation(nn.Module):
    """Patches into one token: attention by a learned query (section III-A; how, is our choice)."""

    def __init__(self, places: int, width: int, heads: int):
        super().__init__()
        self.places = nn.Parameter(torch.empty(places, width))
        self.query = nn.Parameter(torch.empty(1, 1, width))
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        for parameter in (self.places, self.query):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, tokens_NKD: torch.Tensor, places_NK: torch.Tensor) -> torch.Tensor:
        """(N, K, D) -> (N, D)."""
        tokens_NKD = tokens_NKD + self.places[places_NK]
        query_N1D = self.query.expand(len(tokens_NKD), -1, -1)
        return self.attention(query_N1D, tokens_NKD, tokens_NKD, need_weights=False)[0][:, 0]


class CroppedSwin(nn.Module):
    """Swin with patch cropping, and the aggregation of a picture into one token: (N, 3, H, W) -> (N, D).

    Args:
        size: H and W, a multiple of 32 times the window.
        width: of the first stage; every later one has twice that of the one before, so D = 8 * width.
        depths, heads: of the four stages.
        window: rows, and columns, of patches in a window.
        keep_ratio: share of the cells that are kept, 0 (exclusive) to 1. With 1 nothing is marked or dropped.
        drop_path: highest rate of stochastic depth.
    """

    patches_GQ: torch.Tensor

    def __init__(
        self,
        size: int,
        width: int,
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        window: int,
        keep_ratio: float,
        drop_path: float,
    ):
        super().__init__()
        swin = SwinTransformer(
            [4, 4], width, list(depths), list(heads), [window, window], stochastic_depth_prob=drop_path
        )
        swin.head = nn.Identity()
        self.swin = swin
        self.keep_ratio = keep_ratio
        self.side = size // 32
        self.aggregation = Aggregation(self.side**2, 8 * width, heads[-1])
        self.fine = nn.ModuleList(KeptWindows(2 * self.side, window, shift) for shift in (0, window // 2))
        self.coarse = KeptWindows(self.side, window, 0)
        patches_YX = torch.arange(4 * self.side**2).view(2 * self.side, 2 * self.side)
        self.register_buffer("patches_GQ", _in_cells(patches_YX[None, ..., None])[0, ..., 0], False)

    @property
    def kept(self) -> int:
        """Cells that are kept: at least one."""
        return max(1, round(self.keep_ratio * self.side**2))

    def forward(self, crops_NCHW: torch.Tensor) -> torch.Tensor:
        patches_NYXC = self.swin.features[:_CROP_STAGE](crops_NCHW)
        if self.keep_ratio == 1:
            tokens_NGD = self.swin.features[_CROP_STAGE:](patches_NYXC).flatten(1, 2)
            cells_NG = torch.arange(self.side**2, device=crops_NCHW.device).expand(len(crops_NCHW), -1)
            return self.aggregation(self.swin.norm(tokens_NGD), cells_NG)
        tokens_NGD, cells_NG = self._cropped(patches_NYXC)
        return self.aggregation(self.swin.norm(tokens_NGD), cells_NG)

    def marks(self, crops_NCHW: torch.Tensor) -> torch.Tensor:
        """(N, Y, X) attention that the cells received: by it they are kept, the highest first."""
        _, marks_NG = self._marked(self.swin.features[:_CROP_STAGE](crops_NCHW))
        return marks_NG.unflatten(-1, (self.side, self.side))

    def _marked(self, patches_NYXC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, 4 G, C) patches in cells after the blocks that mark, and (N, G) marks."""
        tokens_NPC = _in_cells(patches_NYXC).flatten(1, 2)
        places_NP = self.patches_GQ.flatten().expand(len(tokens_NPC), -1)
        marks_NP = tokens_NPC.new_zeros(tokens_NPC.shape[:2])
        for block, windows in zip(self.swin.features[_CROP_STAGE][:_PAIR], self.fine, strict=True):
            tokens_NPC, received_NP = windows(block, tokens_NPC, places_NP)
            marks_NP = marks_NP + received_NP
        return tokens_NPC, marks_NP.unflatten(-1, (-1, 4)).sum(dim=-1)

    def _cropped(self, patches_NYXC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Stages 3 and 4 with patch cropping: (N, K, D) cells, and (N, K) where in the grid they lie."""
        stage, merging, last_stage = self.swin.features[_CROP_STAGE:]
        tokens_NPC, marks_NG = self._marked(patches_NYXC)
        cells_NK = marks_NG.topk(self.kept, sorted=False).indices.sort(dim=-1).values
        places_NP = self.patches_GQ[cells_NK].flatten(1)
        picture_N1 = torch.arange(len(tokens_NPC), device=tokens_NPC.device)[:, None]
        tokens_NPC = tokens_NPC.unflatten(1, (-1, 4))[picture_N1, cells_NK].flatten(1, 2)
        for index, block in enumerate(stage[_PAIR:]):
            tokens_NPC, _ = self.fine[index % 2](block, tokens_NPC, places_NP)
        tokens_NKD = merging.reduction(merging.norm(tokens_NPC.unflatten(1, (-1, 4)).flatten(2)))
        for block in last_stage:
            tokens_NKD, _ = self.coarse(block, tokens_NKD, cells_NK)
        return tokens_NKD, cells_NK


def _in_cells(patches_NYXC: torch.Tensor) -> torch.Tensor:
    """(N, G, 4, C): the patches of each cell of 2 x 2, in the order of torchvision's patch merging: down, right."""
    cells = patches_NYXC.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))
    return cells.permute(0, 1, 3, 4, 2, 5).flatten(3, 4).flatten(1, 2)
