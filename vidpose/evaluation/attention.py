"""What a lifter's attention looks at: between the joints of a frame, and between the frames of a window.

Shape suffixes: B batch, T frames, J joints, C channels.
"""

from __future__ import annotations

import numpy as np
import torch

from vidpose.common.errors import UsageError
from vidpose.lifters import Lifter
from vidpose.lifters.stcformer import Pathway
from vidpose.lifters.transformer import Attention, TemporalAttention


@torch.inference_mode()
def attention_maps(lifter: Lifter, keypoints_BTJC: torch.Tensor) -> dict[str, np.ndarray]:
    """The weights of the last attention over joints and of the last one over frames (MixSTE, section 4.5, Fig. 5).

    Args:
        lifter: in eval mode.
        keypoints_BTJC: windows, normalised as the lifter wants them and where it is.

    Returns:
        "spatial", (J, J), and "temporal", (T, T), where the lifter has such attention: the mean over heads, batch, and
        frames or joints. Row i is what joint or frame i attends to, and adds up to one.

    Raises:
        UsageError: the lifter has neither.
        VidposeError: it cannot take the keypoints.
    """
    last: dict[str, tuple[Attention | Pathway, torch.Tensor]] = {}

    def remember(attention: Attention | Pathway, args: tuple[torch.Tensor]) -> None:
        kind = _kind(attention, args[0], *keypoints_BTJC.shape[1:3])
        if kind:
            last[kind] = attention, args[0]

    hooks = [
        module.register_forward_pre_hook(remember)
        for module in lifter.modules()
        if isinstance(module, Attention | Pathway)
    ]
    try:
        lifter(keypoints_BTJC)
    finally:
        for hook in hooks:
            hook.remove()
    if not last:
        raise UsageError(f"{lifter.name}: no attention over joints or frames that could be drawn; mixste has both")
    return {kind: _mean_weights(kind, *last[kind]) for kind in ("spatial", "temporal") if kind in last}


def _kind(attention: Attention | Pathway, tokens: torch.Tensor, frames: int, joints: int) -> str | None:
    """What attention is over; None where it is over neither joints nor all the frames of the window."""
    if isinstance(attention, TemporalAttention) or (isinstance(attention, Pathway) and attention.temporal):
        return "temporal"
    # A lifter of one frame has nothing but its joints to look at.
    if tokens.ndim == 4 or (frames == 1 and tokens.shape[1] == joints):
        return "spatial"
    # Whole poses are the tokens; other counts of them are coordinates, or what is left of the frames.
    return "temporal" if tokens.shape[1] == frames else None


def _mean_weights(kind: str, attention: Attention | Pathway, tokens: torch.Tensor) -> np.ndarray:
    """(tokens, tokens): the softmax of scaled q k, which fused kernels keep to themselves; its mean over all else."""
    if kind == "temporal" and tokens.ndim == 4:
        tokens = tokens.transpose(1, 2)
    qkv = attention.qkv(tokens).unflatten(-1, (3, attention.heads, -1))
    q, k, _ = (part.transpose(-2, -3) for part in qkv.unbind(dim=-3))
    scale = attention.scale if isinstance(attention, Pathway) else q.shape[-1] ** -0.5
    weights = (scale * q @ k.transpose(-1, -2)).softmax(dim=-1)
    return weights.flatten(0, -3).mean(dim=0).float().cpu().numpy()
