"""What there is to know of a lifter before one runs it: its paper, size, cost and reach."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from vidpose.lifters.lifter import Lifter, Paper, lifter_class

_MANY = 1000


@dataclass(frozen=True)
class LifterSummary:
    """A registered lifter at its paper's setting.

    Attributes:
        name: registered.
        paper: where it comes from, and what its authors report.
        parameters: how many numbers it learns.
        macs_per_frame: multiply-accumulates that one frame of a long clip costs.
        frames: T of its window.
        receptive_field: frames of video that decide one frame of output.
        predicts: "sequence", "centre" or "last": which frames of a window its answer is used for.
    """

    name: str
    paper: Paper
    parameters: int
    macs_per_frame: int
    frames: int
    receptive_field: int
    predicts: str


def summarise(name: str) -> LifterSummary:
    """Build a lifter without memory for its weights, and count.

    Raises:
        UsageError: no lifter has that name.
    """
    kind = lifter_class(name)
    with torch.device("meta"):
        lifter = kind(kind.Config()).eval()
    return LifterSummary(
        name,
        lifter.paper,
        sum(parameter.numel() for parameter in lifter.parameters()),
        round(macs_per_frame(lifter)),
        lifter.config.frames,
        lifter.receptive_field,
        lifter.predicts,
    )


def macs_per_frame(lifter: Lifter) -> float:
    """Matrix products and convolutions, attention's included, that torch's counter sees in a lifter on "meta"."""
    frames = lifter.config.frames
    if lifter.convolutional:
        length, answered = frames - 1 + _MANY, _MANY
    else:
        length, answered = frames, frames if lifter.predicts == "sequence" else 1
    keypoints = torch.zeros(1, length, len(lifter.input_layout), lifter.config.channels, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        lifter(keypoints)
    return counter.get_total_flops() / 2 / answered
