"""Counting a lifter's size and cost, which `lifter_table.py` has as figures."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from vidpose.lifters.lifter import Lifter

_MANY = 1000


def count_parameters(lifter: Lifter) -> int:
    """How many numbers it learns."""
    return sum(parameter.numel() for parameter in lifter.parameters())


def macs_per_frame(lifter: Lifter) -> float:
    """Multiply-accumulates that one frame of a long clip costs, by a lifter on "meta".

    Matrix products and convolutions, attention's included, that torch's counter sees.
    """
    frames = lifter.config.frames
    if lifter.convolutional:
        length, answered = frames - 1 + _MANY, _MANY
    else:
        length, answered = frames, frames if lifter.predicts == "sequence" else 1
    keypoints = torch.zeros(1, length, len(lifter.input_layout), lifter.config.channels, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        lifter(keypoints)
    return counter.get_total_flops() / 2 / answered
