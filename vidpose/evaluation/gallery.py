"""All figures of an evaluation, as the papers have them, into one folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidpose.common.errors import UsageError
from vidpose.datasets.clips_to_lift import counted, with_scores
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import Store, StoredClip
from vidpose.evaluation import figures
from vidpose.evaluation.attention import attention_maps
from vidpose.evaluation.evaluate import answer_turns, lift_clip
from vidpose.evaluation.tradeoff_figures import draw_costs, draw_inputs, reported_on_both, tradeoff
from vidpose.lifters import Lifter

_POSES = 4


def draw_all(
    folder: Path,
    store: Store,
    protocol: Protocol,
    lifters: Mapping[str, Lifter],
    summaries: Mapping[str, Mapping[str, Any]],
    input_name: str,
    noise_sweep: Callable[[str], Mapping[float, float]],
    on_truth: Callable[[str], float],
) -> Iterator[Path]:
    """Draw distribution, joints, poses, robustness to noise, costs and attention; gives the files as they are written.

    Error against sequence length is drawn where the lifters have windows of different lengths, and against the error on
    true 2D where the benchmark has it besides.

    Args:
        lifters: in eval mode, by the names that `summaries` has.
        summaries: of `Results`, all of this store, protocol and input.
        noise_sweep: of a lifter's name: MPJPE in millimetres by the pixels of noise.
        on_truth: of a lifter's name: MPJPE in millimetres on the input `gt`.
    """
    of = f"{store.name}, {input_name}"
    figures.draw_distribution(summaries, folder / "distribution.png")
    yield folder / "distribution.png"
    figures.draw_joints(summaries, folder / "joints.png")
    yield folder / "joints.png"
    clips = counted(store, protocol, input_name)
    rows = [_row(store, clip, lifters, input_name) for clip in _spread(clips)]
    figures.draw_poses(rows, folder / "poses.png", store.layout, title=of)
    yield folder / "poses.png"
    noise = {name: noise_sweep(name) for name in lifters}
    title = f"{of}: robustness to Gaussian noise"
    figures.draw_curve(noise, folder / "noise.png", x_label="Noise (px)", title=title)
    yield folder / "noise.png"
    lengths: dict[float, float] = {}
    for name, lifter in lifters.items():
        lengths[lifter.config.frames] = summaries[name]["averages"][0]["mpjpe"]
    if len(lengths) > 1:
        curve = {protocol.name: dict(sorted(lengths.items()))}
        title = f"{of}: error against sequence length"
        figures.draw_curve(curve, folder / "length.png", x_label="Frames of the window", title=title)
        yield folder / "length.png"
    has_truth = input_name != "gt" and "gt" in store.inputs
    costs = [
        tradeoff(
            name, lifter, summaries[name]["averages"][0]["mpjpe"], store, clips[0], input_name,
            on_truth(name) if has_truth else None,
        )
        for name, lifter in lifters.items()
    ]  # fmt: skip
    draw_costs(costs, folder / "costs.png", title=of)
    yield folder / "costs.png"
    if has_truth:
        draw_inputs(costs, reported_on_both(store.name), folder / "inputs.png", title=of)
        yield folder / "inputs.png"
    for name, lifter in lifters.items():
        path = folder / f"attention-{name}.png"
        try:
            maps = attention_maps(lifter, _window(store, clips[0], lifter, input_name))
        except UsageError:
            # Not every lifter attends to anything.
            continue
        figures.draw_attention(maps, path, store.layout, title=f"{name} on {of}")
        yield path


def _spread(clips: list[StoredClip]) -> list[StoredClip]:
    """A few clips, from all over the benchmark."""
    return [clips[i] for i in np.linspace(0, len(clips) - 1, min(_POSES, len(clips))).round().astype(int)]


def _row(store: Store, clip: StoredClip, lifters: Mapping[str, Lifter], input_name: str) -> figures.PoseRow:
    """The middle frame of a clip, with what each lifter makes of it."""
    frame = clip.frames // 2
    predictions = {
        name: lift_clip(store, clip, lifter, input_name)[frame] @ answer_turns(lifter, store, clip)[frame].T
        for name, lifter in lifters.items()
    }
    label = " ".join(dict.fromkeys(filter(None, (clip.subject, clip.action, clip.sequence, clip.camera))))
    keypoints = np.array(store.keypoints(clip, input_name)[frame, :, :2])
    return figures.PoseRow(f"{label}, frame {frame}", keypoints, np.array(store.joints(clip)[frame]), predictions)


def _window(store: Store, clip: StoredClip, lifter: Lifter, input_name: str) -> torch.Tensor:
    """(1, T, J, C) one window of a clip, normalised for the lifter."""
    keypoints, scores = with_scores(store.keypoints(clip, input_name))
    rows = np.arange(lifter.config.frames).clip(max=clip.frames - 1)
    pixels = np.concatenate([keypoints, scores[..., None]], axis=-1)[rows][None].astype(np.float32)
    device = next(lifter.parameters()).device
    return lifter.normalise(torch.from_numpy(pixels).to(device), (clip.width, clip.height))
