"""Weights files in float16, and those that are shipped."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from vidpose.datasets.cmu import RELEASE
from vidpose.lifters import Lifter, create_lifter, lifter_class, lifter_names
from vidpose.lifters.lifter_table import ZOO
from vidpose.lifters.zoo import load_lifter, load_weights, save_lifter
from vidpose.training.recipe import Recipe, read_recipe
from vidpose.weights.shipped import shipped


def lifter_with_statistics(name: str) -> Lifter:
    """At its smallest, with statistics such as training leaves: some large, some next to nothing."""
    torch.manual_seed(0)
    lifter = create_lifter(name, **lifter_class(name).tiny).eval()
    for key, buffer in lifter.named_buffers():
        if key.endswith(("std", "running_var")):
            buffer.uniform_(1e-6, 1e-4)
        elif key.endswith("mean"):
            buffer.uniform_(-1e-2, 1e-2)
    return lifter


@pytest.mark.parametrize("name", lifter_names())
def test_float16_weights_give_nearly_the_same_answers(name, tmp_path):
    lifter = lifter_with_statistics(name)
    save_lifter(lifter, tmp_path / "w.safetensors", {}, half=True)
    loaded = load_lifter(tmp_path / "w.safetensors")
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    keypoints_BTJC = torch.randn(2, lifter.config.frames, len(lifter.layout), lifter.config.channels)
    with torch.no_grad():
        exact, rounded = lifter(keypoints_BTJC), loaded(keypoints_BTJC)
    assert 0 < (rounded - exact).norm() < 1e-3 * exact.norm()


def test_what_float16_cannot_hold_stays_float32(tmp_path):
    lifter = create_lifter("martinez", width=16)
    with torch.no_grad():
        lifter.linear1.bias[3] = 70_000.0
        lifter.linear2.weight *= 1e-7
        lifter.output_mean[5] = 1234.5678
    save_lifter(lifter, tmp_path / "w.safetensors", {}, half=True)
    kinds = {key: tensor.dtype for key, tensor in load_file(tmp_path / "w.safetensors").items()}
    assert kinds["linear1.weight"] == kinds["linear2.bias"] == torch.float16
    assert kinds["linear1.bias"] == kinds["linear2.weight"] == kinds["output_mean"] == torch.float32
    assert kinds["norm1.num_batches_tracked"] == torch.int64
    for key, tensor in load_lifter(tmp_path / "w.safetensors").state_dict().items():
        if kinds[key] != torch.float16:
            assert torch.equal(tensor, lifter.state_dict()[key]), key


def test_shipped_weights_are_small_and_say_what_made_them():
    paths = {name: shipped("weights") / entry.weights.file for name, entry in ZOO.items()}
    sizes = [path.stat().st_size for path in paths.values()]
    assert max(sizes) < 25e6
    assert sum(sizes) < 120e6
    for name in paths:
        weights = load_weights(name)
        recipe = Recipe.from_dict(weights.about["recipe"], name)
        if weights.about["data"].startswith(RELEASE):
            row = read_recipe(f"cmu17/{name}")
            if recipe.init:
                # Trained further from what was shipped before (docs/experiments.md), in steps of its own.
                row = replace(row, init=recipe.init, steps=recipe.steps, lr=recipe.lr)
            assert recipe.to_dict() == row.to_dict()
        assert recipe.arch == weights.lifter.name == name
        assert weights.about["step"] == recipe.steps
