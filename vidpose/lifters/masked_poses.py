"""P-STMO's stage I: the lifter's front learns to restore 2D poses of which most are hidden (Shan et al., section 3.2).

Some joints of each frame give way to one learned point (spatial masking), and of the frames that the spatial encoding
has seen most are left out (temporal masking). The temporal encoding relates those that are left; a decoder, half as
wide and a layer less deep, gets them back with a learned token in each gap, and restores the keypoints of all frames.
What has been learned then begins stage II, the lifter's own training; the decoder is thrown away.

Where paper and released code differ we follow the code: the loss is on all frames, hidden or not, and one draw of what
is hidden holds for a whole batch. Its joints are drawn from the first sixteen of seventeen; here they are from all.

Shape suffixes: B batch, T frames, V visible frames, J joints, C channels, D width, E width of the decoder.
"""

from __future__ import annotations

import torch
from torch import nn

from vidpose.common.errors import UsageError
from vidpose.lifters.p_stmo import PSTMO
from vidpose.lifters.strided_transformer import EncoderLayer, UnbiasedLayerNorm


class MaskedPoses(nn.Module):
    """A lifter's spatial and temporal encoding, with a decoder that restores 2D poses.

    Args:
        lifter: whose parts learn.
        frames: share of a window's frames that are hidden.
        joints: number of joints that are hidden in each frame.

    Raises:
        UsageError: nothing would be hidden, or all.
    """

    def __init__(self, lifter: PSTMO, frames: float = 0.8, joints: int = 2):
        super().__init__()
        config, count = lifter.config, len(lifter.input_layout)
        self.hidden_frames, self.hidden_joints = int(config.frames * frames), joints
        if not (0 < self.hidden_frames < config.frames and 0 <= joints < count):
            raise UsageError(
                f"hiding {frames:g} of {config.frames} frames and {joints} of {count} joints; hide some, and not all"
            )
        width = config.width // 2
        self.lifter = lifter
        self.joint_token = nn.Parameter(torch.randn(1, 1, config.channels))
        self.norm = UnbiasedLayerNorm(config.width)
        self.reduce = nn.Linear(config.width, width, bias=False)
        self.frame_token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, config.frames, width))
        self.decoder = nn.Sequential(
            *(EncoderLayer(width, config.heads, config.hidden // 2, config.dropout) for _ in range(config.depth - 1))
        )
        self.out_norm = nn.BatchNorm1d(width)
        self.out = nn.Linear(width, count * 2)

    def predictions(self, keypoints_BTJC: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Restored (B, T, J, 2) keypoints, of what a fresh draw leaves to be seen."""
        return (self.restore(keypoints_BTJC, *self.draw(keypoints_BTJC.shape[1:3], keypoints_BTJC.device)),)

    def draw(self, shape: torch.Size, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """What is hidden: (T,) bool of frames, (T, J) bool of joints, from torch's random numbers."""
        frames, joints = shape
        hidden_T = torch.zeros(frames, dtype=torch.bool, device=device)
        hidden_T[torch.randperm(frames, device=device)[: self.hidden_frames]] = True
        rank_TJ = torch.rand(frames, joints, device=device).argsort(dim=1).argsort(dim=1)
        return hidden_T, rank_TJ < self.hidden_joints

    def restore(self, keypoints_BTJC: torch.Tensor, hidden_T: torch.Tensor, hidden_TJ: torch.Tensor) -> torch.Tensor:
        """(B, T, J, C) -> (B, T, J, 2): all keypoints, told from those that are not hidden."""
        seen_BTJC = torch.where(hidden_TJ[:, :, None], self.joint_token, keypoints_BTJC)
        tokens_BTD = self.lifter.embed(seen_BTJC) + self.lifter.vanilla.positions
        tokens_BVD = self.lifter.vanilla.layers(tokens_BTD[:, ~hidden_T])
        batch, frames = keypoints_BTJC.shape[:2]
        tokens_BTE = self.frame_token.repeat(batch, frames, 1)
        tokens_BTE[:, ~hidden_T] = self.reduce(self.norm(tokens_BVD)).to(tokens_BTE.dtype)
        tokens_BTE = self.decoder(tokens_BTE + self.positions)
        return self.out(self.out_norm(tokens_BTE.flatten(0, 1))).view(batch, frames, -1, 2)
