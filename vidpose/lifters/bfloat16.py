"""Lifters with matrix products in bfloat16: half the time, where the processor has instructions for them.

The sums along the depth and the layer norms stay in float32, and so do the layers that take keypoints or give joints:
bfloat16 has eight bits, which would move a keypoint by a quarter of a pixel, and a joint by a millimetre.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from vidpose.common.devices import has_bfloat16
from vidpose.common.errors import UsageError
from vidpose.lifters.lifter import Lifter


def use_bfloat16(lifter: Lifter, device: str) -> None:
    """Have a lifter that is run over clips on a device compute so from now on.

    Raises:
        UsageError: the device has no instructions for it, without which it would be slower.
    """
    if not has_bfloat16(device):
        raise UsageError(f"`precision=bfloat16`: {device} has no instructions for it that torch knows of; take float32")
    if lifter.half_products:
        return
    lifter.half_products = True
    channels = lifter.config.channels
    numbers = {channels, channels * len(lifter.input_layout), 3, 3 * len(lifter.layout)}
    for module in lifter.modules():
        if isinstance(module, nn.Linear | nn.Conv1d) and numbers & set(module.weight.shape[:2]):
            module.forward = _exact(module.forward)  # type: ignore[assignment, method-assign]


def products_of(lifter: Lifter, device: torch.device) -> AbstractContextManager[object]:
    """While a lifter answers: matrix products as it is to compute them."""
    return torch.autocast(device.type, torch.bfloat16) if lifter.half_products else nullcontext()


def _exact(forward: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A layer's forward in float32, whatever is around it."""

    def in_float32(features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return forward(features.float())

    return in_float32
