"""What the five papers say in figures of networks and training, against recipes and networks as they are.

Each row has the paper's words. What a paper leaves open is in docs/training.md and at the heads of the networks' files.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from vidpose.keypoints.clips.clip_network import ClipNetwork, create_clip_network
from vidpose.lifters import Lifter, create_lifter
from vidpose.lifters.transformer import DropPath
from vidpose.training.keypoint_ablation import read_keypoint_table
from vidpose.training.keypoint_recipe import ClipRecipe, KeypointRecipe, read_keypoint_recipe
from vidpose.training.losses import joint_weights
from vidpose.training.recipe import Recipe, read_recipe


@cache
def recipe(name: str) -> Recipe:
    return read_recipe(name)


@cache
def keypoint_recipe(name: str) -> KeypointRecipe | ClipRecipe:
    return read_keypoint_recipe(name)


@cache
def network(name: str) -> Lifter:
    """As the recipe has it, without memory for its weights."""
    with torch.device("meta"):
        return create_lifter(recipe(name).arch, **recipe(name).model)


@cache
def clip_network() -> ClipNetwork:
    return create_clip_network("temporal-relational", depths=(1, 1, 2, 1))


def rates(plan: Recipe | KeypointRecipe | ClipRecipe, *epochs: float) -> list[float]:
    """Learning rates at epochs of a hundred steps."""
    return [plan.rate(int(100 * epoch), 100, plan.total_steps(100)) for epoch in epochs]


def weights_of_joints(name: str) -> dict[str, float]:
    """Of one joint of each group."""
    layout = network(name).layout
    found = dict(zip(layout.joints, joint_weights(recipe(name).joint_weights, layout).tolist(), strict=True))
    groups = ("thorax", "head_top", "left_knee", "right_elbow", "left_ankle", "right_wrist")
    return {joint: found[joint] for joint in groups}


def plan_of(name: str) -> tuple[Any, ...]:
    plan = recipe(name)
    return plan.optimiser, plan.batch, plan.epochs


STATEMENTS: dict[str, tuple[Callable[[], Any], Any]] = {
    # Hossain and Little, section 4.
    "100 epochs, Adam, 32 sequences": (lambda: plan_of("seq2seq"), ("adam", 32, 100)),
    "a learning rate of 1e-5 which is decayed exponentially per iteration": (
        lambda: (rates(recipe("seq2seq"), 0)[0], rates(recipe("seq2seq"), 0.01)[0] < rates(recipe("seq2seq"), 0)[0]),
        (1e-5, True),
    ),
    "a sequence length of 5, a sliding window of length T by one frame": (
        lambda: (network("seq2seq").config.frames, recipe("seq2seq").data.stride), (5, 1),
    ),
    "alpha and beta of our loss function to 1 and 5": (lambda: list(recipe("seq2seq").loss.values()), [1, 5]),
    "eta, rho and tau are set to 1, 2.5 and 4": (
        lambda: list(weights_of_joints("seq2seq").values()), [1, 1, 2.5, 2.5, 4, 4],
    ),
    "a window size of 5 frames and a stride length of 1": (
        lambda: [
            (network(name).config.frames, recipe(name).data.stride) for name in ("martinez-mean", "martinez-median")
        ],
        [(5, 1), (5, 1)],
    ),
    "fine-tuned for 250 iterations, a batch size of 3 and a learning rate of 2.5e-4, 256 x 256": (
        lambda: [
            keypoint_recipe("hourglass-hossain").steps, keypoint_recipe("hourglass-hossain").batch,
            *{keypoint_recipe("hourglass-hossain").rate(step, 10, 250) for step in range(250)},
            keypoint_recipe("hourglass-hossain").seen.input_size,
        ],
        [250, 3, 2.5e-4, (256, 256)],
    ),
    # MixSTE, sections 4.2 and 4.4.
    "Adam; a batch of 1024 (frames: four windows of 243)": (
        lambda: (recipe("mixste").optimiser, recipe("mixste").batch), ("adam", 4),
    ),
    "W: 1.0, 1.5, 2.5 and 4.0": (lambda: list(weights_of_joints("mixste").values()), [1, 1.5, 2.5, 2.5, 4, 4]),
    "dropout rate 0.1": (
        lambda: max(part.rate for part in network("mixste").modules() if isinstance(part, DropPath)), 0.1,
    ),
    "the input channel size is 2": (lambda: network("mixste").config.channels, 2),
    "interval as is same as the input length": (lambda: recipe("mixste").data.stride, 0),
    "T = 81, 243": (
        lambda: [recipe(f"mixste-table2/{row}").model["frames"] for row in ("81-frames", "243-frames")], [81, 243],
    ),
    # SSR-STF, sections III and IV.
    "AdamW over 90 epochs with a batch size of 12": (lambda: plan_of("ssr-stf"), ("adamw", 12, 90)),
    "initially set to 0.0006 and decayed by 0.99 for each epoch": (
        lambda: rates(recipe("ssr-stf"), 0, 0.99, 1, 89), [6e-4, 6e-4, 6e-4 * 0.99, 6e-4 * 0.99**89],
    ),
    "N = 12, C = 256, C_h = 512; N = 16, C = 128, C_h = 512": (
        lambda: [
            (config.depth, config.width, config.representation)
            for config in (network("ssr-stf").config, network("ssr-stf-small").config)
        ],
        [(12, 256, 512), (16, 128, 512)],
    ),
    "a 2D sequence with confidence scores, T x J x 3": (lambda: network("ssr-stf").config.channels, 3),
    # Hybrids, section 4.1.
    "80 epochs with a batch size of 512, Adam": (
        lambda: [plan_of(name) for name in ("lstm", "single-branch", "dual-branch")], [("adam", 512, 80)] * 3,
    ),
    "81 video frames": (
        lambda: [network(name).config.frames for name in ("lstm", "single-branch", "dual-branch")], [81] * 3,
    ),
    "weight decay 0.01, learning rate 0.0001, linear decay": (
        lambda: (recipe("single-branch").weight_decay, *rates(recipe("single-branch"), 0, 40)), (0.01, 1e-4, 0.5e-4),
    ),
    "eight self-attention heads": (
        lambda: [network(name).encoder.layers[0].self_attn.num_heads for name in ("single-branch", "dual-branch")],
        [8, 8],
    ),
    "a two-layer LSTM": (lambda: network("single-branch").lstm.num_layers, 2),
    # The temporal-relational network, sections III and IV-B.
    "224x224": (lambda: clip_network().config.size, 224),
    "100 epochs, AdamW, weight decay 0.05": (
        lambda: [
            (plan.epochs, plan.optimiser, plan.weight_decay)
            for plan in map(keypoint_recipe, ("temporal-relational", "temporal-relational-baseline"))
        ],
        [(100, "adamw", 0.05)] * 2,
    ),
    "linear warm-up for the initial 20 epochs, 0.001, cosine decay": (
        lambda: rates(keypoint_recipe("temporal-relational"), 10, 20, 60),
        pytest.approx([0.5e-3, 1e-3, 0.5e-3], rel=0.01),
    ),
    "f = 8, f = 32, f = 128": (
        lambda: [
            keypoint_recipe(row.recipe).model.get("frames", 32) if not row.settings else row.settings[0]
            for row in read_keypoint_table("temporal-relational-table3").rows.values()
        ],
        ["model.frames=8", 32, "model.frames=128"],
    ),
    "four cameras; tokens of 768": (lambda: (clip_network().views, clip_network().time.places.shape), (4, (32, 768))),
}  # fmt: skip
"""The paper's words: what is here, and what it should be."""


@pytest.mark.parametrize("words", STATEMENTS)
def test_what_the_papers_say_in_figures(words):
    found, expected = STATEMENTS[words]
    assert found() == expected
