"""Frames a second of every lifter at its paper's setting, against a plain formulation of the same network.

    python benchmarks/lifters.py [NAMES] [--precision bfloat16] [--device cuda] [--frames 243] [--rounds 3]

Plain means: softmax attention written out, attention over time on transposed copies, one window after the other, all in
float32. Both run in turn in one process on the same weights and keypoints; only the ratio means anything on a shared
machine, and on a CPU seconds are the processor's. The last two columns are the largest and the mean difference between
the two outputs, relative to the largest coordinate.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import contextlib
import copy
import time
from collections.abc import Iterator
from unittest import mock

import click
import numpy as np
import torch

from vidpose.lifters import Lifter, create_lifter, lifter_names, transformer, window_network
from vidpose.lifters import running as lifting
from vidpose.lifters.bfloat16 import use_bfloat16
from vidpose.lifters.lifter_config import PRECISIONS
from vidpose.lifters.transformer import Attention, TemporalAttention


def softmax_attention(q, k, v, *, attn_mask=None, dropout_p=0.0, scale=None):
    """Eq. 1 of "Attention is all you need", as it stands there."""
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    return (scores if attn_mask is None else scores + attn_mask).softmax(dim=-1) @ v


def transposed_attention(self: TemporalAttention, tokens_BTJD: torch.Tensor) -> torch.Tensor:
    """Attention over time as over joints, on a copy laid out for it."""
    batch, frames, joints, width = tokens_BTJD.shape
    tokens = tokens_BTJD.transpose(1, 2).reshape(batch * joints, frames, width)
    return Attention.forward(self, tokens).view(batch, joints, frames, width).transpose(1, 2).contiguous()


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """The lifters, written plainly."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(transformer, "scaled_dot_product_attention", softmax_attention))
        stack.enter_context(mock.patch.object(TemporalAttention, "forward", transposed_attention))
        stack.enter_context(mock.patch.object(lifting, "_BATCH_FRAMES", 1))
        # No normalisation that treats frames alone, no work that windows could share.
        for module in (lifting, window_network):
            stack.enter_context(mock.patch.object(module, "PER_FRAME", frozenset()))
        yield


def timed(lifter: Lifter, keypoints: np.ndarray) -> tuple[float, np.ndarray]:
    """Seconds that a clip takes, and its joints."""
    on_cpu = next(lifter.parameters()).device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    started = clock()
    joints = lifting.lift(lifter, keypoints, np.ones(keypoints.shape[:2]), (1000, 1000), mirror=False)
    return clock() - started, joints


def compare(name: str, device: str, precision: str, frames: int, rounds: int) -> str:
    """One line of the table: the fastest of the rounds of either."""
    torch.manual_seed(0)
    lifter = create_lifter(name).eval().to(device)
    ours = copy.deepcopy(lifter)
    if precision == "bfloat16":
        use_bfloat16(ours, device)
    if lifter.predicts == "sequence":
        frames = max(1, round(frames / lifter.config.frames)) * lifter.config.frames
    keypoints = np.random.default_rng(0).uniform(0, 1000, (frames, len(lifter.layout), 2)).astype(np.float32)
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    joints = {}
    for _ in range(rounds + 1):
        fast, joints["ours"] = timed(ours, keypoints)
        with plain():
            slow, joints["plain"] = timed(lifter, keypoints)
        seconds["ours"].append(fast)
        seconds["plain"].append(slow)
    # The first round warms up.
    best = {key: min(values[1:]) for key, values in seconds.items()}
    differences = np.abs(joints["ours"] - joints["plain"]) / np.abs(joints["plain"]).max()
    fast, slow = frames / best["ours"], frames / best["plain"]
    return (
        f"{name:20} {fast:10.1f} {slow:10.1f} {fast / slow:8.2f} {differences.max():10.1e} {differences.mean():10.1e}"
    )


@click.command()
@click.argument("names", nargs=-1)
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True, help="Ours.")
@click.option("--frames", default=243, show_default=True, help="Length of the clip, about.")
@click.option("--rounds", default=3, show_default=True)
def main(names: tuple[str, ...], device: str, precision: str, frames: int, rounds: int) -> None:
    """Print a line a lifter."""
    print(f"{'lifter':20} {'frames/s':>10} {'plain':>10} {'ratio':>8} {'largest':>10} {'mean':>10}")
    for name in names or lifter_names():
        print(compare(name, device, precision, frames, rounds), flush=True)


if __name__ == "__main__":
    main()
