"""P-STMO's stage I: 2D poses that are hidden, and restored."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_published_sizes import PUBLISHED, weights
from training_data import recording, write_store

from vidpose.common.errors import UsageError
from vidpose.lifters import create_lifter
from vidpose.lifters.importing import import_lifter
from vidpose.lifters.masked_poses import MaskedPoses
from vidpose.lifters.zoo import load_weights
from vidpose.training.loop import train
from vidpose.training.recipe import Data, Recipe, read_recipe

TINY = {"frames": 9, "width": 16, "hidden": 32, "depth": 2, "strides": (3, 3)}


@pytest.fixture
def masked() -> MaskedPoses:
    torch.manual_seed(0)
    return MaskedPoses(create_lifter("p-stmo", **TINY)).eval()


def test_what_is_hidden_has_no_effect(masked):
    keypoints, generator = torch.randn(2, 9, 17, 2), torch.Generator().manual_seed(1)
    hidden_T, hidden_TJ = masked.draw(keypoints.shape[1:3], torch.device("cpu"))
    restored = masked.restore(keypoints, hidden_T, hidden_TJ)
    assert restored.shape == (2, 9, 17, 2)
    other = torch.randn(keypoints.shape, generator=generator)
    unseen = hidden_T[:, None] | hidden_TJ
    swapped = torch.where(unseen[..., None], other, keypoints)
    torch.testing.assert_close(masked.restore(swapped, hidden_T, hidden_TJ), restored)
    # Everything else has.
    frame, joint = (~unseen).nonzero()[0]
    moved = keypoints.clone()
    moved[:, frame, joint] += 1
    assert (masked.restore(moved, hidden_T, hidden_TJ) - restored).abs().max() > 1e-4


def test_so_much_is_hidden_as_the_paper_says():
    masked = MaskedPoses(create_lifter("p-stmo"))
    hidden_T, hidden_TJ = masked.draw(torch.Size((243, 17)), torch.device("cpu"))
    assert hidden_T.sum() == 194  # 80 % of 243, rounded down
    assert (hidden_TJ.sum(dim=1) == 2).all()
    assert hidden_TJ.any(dim=0).all()
    for frames, joints in ((0.0, 2), (1.0, 2), (0.8, 17)):
        with pytest.raises(UsageError, match="hide some, and not all"):
            MaskedPoses(create_lifter("p-stmo", **TINY), frames, joints)


def test_restoring_is_the_published_computation(masked):
    """The forward pass of the released network once more, by torch's functions and the state's names."""
    state = {key: tensor.double() for key, tensor in masked.state_dict().items() if tensor.is_floating_point()}
    keypoints = torch.randn(2, 9, 17, 2).double()
    hidden_T, hidden_TJ = masked.draw(keypoints.shape[1:3], torch.device("cpu"))

    def linear(x, name):
        return torch.nn.functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    def batch_norm(x, name):
        return (x - state[f"{name}.running_mean"]) / (state[f"{name}.running_var"] + 1e-5).sqrt() * state[
            f"{name}.weight"
        ] + state[f"{name}.bias"]

    def layer_norm(x, name):
        mean = x.mean(-1, keepdim=True)
        std = ((x - mean).square().sum(-1, keepdim=True) / (x.shape[-1] - 1)).sqrt()
        return state[f"{name}.weight"] * (x - mean) / (std + 1e-6) + state[f"{name}.bias"]

    def layer(x, name):
        q, k, v = linear(layer_norm(x, f"{name}.norm1"), f"{name}.attn.qkv").chunk(3, dim=-1)
        heads = []
        for head in range(8):
            part = slice(head * x.shape[-1] // 8, (head + 1) * x.shape[-1] // 8)
            scores = q[..., part] @ k[..., part].transpose(1, 2) / (x.shape[-1] / 8) ** 0.5
            heads.append(scores.softmax(-1) @ v[..., part])
        x = x + linear(torch.cat(heads, dim=-1), f"{name}.attn.proj")
        return x + linear(linear(layer_norm(x, f"{name}.norm2"), f"{name}.mlp.fc1").relu(), f"{name}.mlp.fc2")

    def leaky(x):
        return torch.where(x > 0, x, 0.2 * x)

    seen = keypoints.clone()
    seen[:, hidden_TJ] = state["joint_token"][0, 0]
    x = leaky(batch_norm(linear(seen.flatten(2), "lifter.embed.fc1"), "lifter.embed.norm"))
    y = leaky(batch_norm(linear(x, "lifter.embed.block_fc1"), "lifter.embed.block_norm1"))
    x = x + leaky(batch_norm(linear(y, "lifter.embed.block_fc2"), "lifter.embed.block_norm2"))
    x = (linear(x, "lifter.embed.fc2") + state["lifter.vanilla.positions"])[:, ~hidden_T]
    for index in range(2):
        x = layer(x, f"lifter.vanilla.layers.{index}")
    x = linear(layer_norm(x, "norm"), "reduce")
    # Theirs puts the hidden frames behind the others, which attention does not mind.
    positions = state["positions"][0]
    whole = torch.cat([x + positions[~hidden_T], (state["frame_token"][0] + positions[hidden_T]).repeat(2, 1, 1)], 1)
    whole = linear(batch_norm(layer(whole, "decoder.0"), "out_norm"), "out").unflatten(-1, (17, 2))
    order = torch.cat([(~hidden_T).nonzero()[:, 0], hidden_T.nonzero()[:, 0]]).argsort()
    restored = masked.double().restore(keypoints, hidden_T, hidden_TJ)
    torch.testing.assert_close(restored, whole[:, order], rtol=1e-9, atol=1e-9)


def stage1(path: Path) -> Path:
    about = json.loads((PUBLISHED / "p-stmo-s-stage1-243.keys.json").read_text())
    torch.save({about["prefix"] + key: tensor for key, tensor in weights(about["shapes"]).items()}, path)
    return path


def test_the_authors_stage_one_is_something_to_start_from(tmp_path):
    lifter = import_lifter(stage1(tmp_path / "pretrain.pth"), "p-stmo")
    assert (lifter.config.frames, lifter.config.depth, lifter.config.strides) == (243, 3, (3, 3, 3, 3, 3))
    theirs = weights(json.loads((PUBLISHED / "p-stmo-s-stage1-243.keys.json").read_text())["shapes"])
    assert torch.equal(lifter.embed.block_fc2.weight, theirs["encoder.layers.0.w2.weight"].squeeze(-1))
    queries = lifter.vanilla.layers[2].attn.qkv.weight[:256]
    assert torch.equal(queries, theirs["Transformer.model.layers.2.self_attn.linears.0.weight"])
    # The decoder has as many parameters as theirs, less a norm that has no effect.
    masked = MaskedPoses(lifter)
    decoder = sum(p.numel() for p in masked.parameters()) - sum(p.numel() for p in lifter.parameters())
    names = ("dec", "mask_token", "encoder_LN", "encoder_to")
    counted = sum(
        t.numel() for key, t in theirs.items() if any(n in key for n in names) and "running" not in key and t.dim()
    )
    assert decoder == counted - 2 * 128


def test_stage_two_starts_from_stage_one(tmp_path):
    store = write_store(
        tmp_path / "h36m", [recording(n, 40, split) for n, split in enumerate(["train", "train", "test"])]
    )
    base = Recipe(arch="p-stmo", name="first", model=dict(TINY), data=Data(input="gt", stride=3), steps=60, batch=8,
                  lr=3e-3, bf16=False, masking={"frames": 0.6, "joints": 2})  # fmt: skip
    first = train(base, store.folder, tmp_path / "runs" / "first")
    rows = [json.loads(line) for line in (tmp_path / "runs" / "first" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["restored"] < 0.7 * rows[0]["restored"]
    assert np.isfinite(rows[-1]["val_restored"])
    said = []
    second = replace(base, name="second", masking={}, init=str(first), steps=1, lr=1e-12)
    out = train(second, store.folder, tmp_path / "runs" / "second", say=said.append)
    assert said[0] == f"starting from {first}"
    learned, begun = load_weights(first).lifter.state_dict(), load_weights(out).lifter.state_dict()
    for key in ("embed.fc1.weight", "vanilla.layers.0.mlp.fc1.weight", "vanilla.positions"):
        torch.testing.assert_close(begun[key], learned[key])
    mixste = replace(base, arch="mixste", model={"frames": 9, "width": 16, "depth": 1})
    with pytest.raises(UsageError, match="masking: hides what p-stmo then restores, and is not for mixste"):
        train(mixste, store.folder, tmp_path / "runs" / "third")


def test_the_recipes_are_the_two_stages():
    one, two = read_recipe("p-stmo-stage1"), read_recipe("p-stmo")
    assert one.masking == {"frames": 0.8, "joints": 2}
    assert (one.init, one.lr, one.reported) == ("", 1e-4, {})
    assert (two.masking, two.init) == ({}, "p-stmo-stage1")
    assert read_recipe("p-stmo", ["init="]).init == ""
