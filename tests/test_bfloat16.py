"""Lifters with matrix products in bfloat16, against the same ones in float32, and where they are refused."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from exports import result_of, track_of, world_joints
from safetensors.torch import load_file
from training_data import RECIPE, write_cmu17

from vidpose.common.errors import UsageError
from vidpose.lifters import create_lifter, lifter_class
from vidpose.lifters.bfloat16 import use_bfloat16
from vidpose.lifters.running import lift
from vidpose.lifters.transformer import attention
from vidpose.lifters.zoo import open_lifter, save_lifter
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.smoothing import Smoothing
from vidpose.training.loop import train
from vidpose.training.processes import make_fabric

SIZE = (1000, 800)
NETWORKS = {
    "mixste": {"frames": 27, "width": 128, "depth": 4},
    "motionbert": {"frames": 27, "width": 128, "depth": 3, "representation": 64},
    "ssr-stf": {"frames": 27, "width": 64, "depth": 3, "representation": 64},
    "poseformer": {"frames": 9},
    "videopose3d": {},
}


@pytest.fixture
def with_instructions(monkeypatch):
    """A processor with bfloat16, whatever this one is: one without them computes the same, slowly."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)


@pytest.fixture
def without_instructions(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "avx2": True}, raising=False)


def lifted(lifter, frames=40):
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(100, 700, (17, 2)) + rng.normal(0, 5, (frames, 17, 2)).cumsum(axis=0)
    return lift(lifter, keypoints, np.ones((frames, 17)), SIZE, metres=False)


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_are_near_those_in_float32(name, with_instructions):
    torch.manual_seed(0)
    exact = create_lifter(name, **NETWORKS[name]).eval()
    fast = copy.deepcopy(exact)
    use_bfloat16(fast, "cpu")
    expected, joints = lifted(exact), lifted(fast)
    error = np.linalg.norm(joints - expected, axis=-1).mean() / np.linalg.norm(expected, axis=-1).mean()
    # Eight bits round by 0.2 % on average; products in float32 would differ by 1e-6.
    assert 1e-4 < error < 0.03
    # What comes out is not rounded to eight bits, which would leave few different numbers.
    assert joints.dtype == np.float32
    assert (torch.from_numpy(joints).bfloat16().float().numpy() != joints).mean() > 0.8


def test_a_lifter_is_as_before_outside_of_clips(with_instructions):
    torch.manual_seed(0)
    lifter = create_lifter("mixste", **NETWORKS["mixste"]).eval()
    keypoints = torch.rand(1, 27, 17, 2)
    expected = lifter(keypoints)
    use_bfloat16(lifter, "cpu")
    torch.testing.assert_close(lifter(keypoints), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("scale", "with_bias"), [(None, False), (0.3, True)])
def test_attention_written_out_is_attention(scale, with_bias):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 20, 16, dtype=torch.float64) for _ in range(3))
    bias = torch.randn(3, 20, 20, dtype=torch.float64) if with_bias else None
    scores = torch.einsum("bhnd,bhmd->bhnm", query, key) * (scale or 16**-0.5)
    weights = torch.softmax(scores if bias is None else scores + bias, dim=-1)
    expected = torch.einsum("bhnm,bhmd->bhnd", weights, value)
    torch.testing.assert_close(attention(query, key, value, scale=scale, bias=bias), expected)
    with torch.no_grad():
        rounded = attention(query.bfloat16(), key.bfloat16(), value.bfloat16(), scale=scale, bias=bias)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.double(), expected, rtol=0.03, atol=0.03)


def test_infer_opens_lifters_in_the_precision_that_is_asked_for(with_instructions):
    assert open_lifter("martinez", "cpu", precision="bfloat16").lifter.half_products
    assert not open_lifter("martinez", "cpu").lifter.half_products


def test_a_result_says_that_it_was_used(with_instructions):
    found = result_of(track_of(world_joints(9)))
    half, whole = (
        lift_people(found, open_lifter("martinez", "cpu", precision=precision), Smoothing.parse("none"))
        for precision in ("bfloat16", "float32")
    )
    assert half.provenance["precision"] == "bfloat16"
    assert "precision" not in whole.provenance


def test_a_processor_without_it_is_told_so(without_instructions, tmp_path):
    weights = tmp_path / "w.safetensors"
    save_lifter(create_lifter("mixste", **NETWORKS["mixste"]), weights, {})
    with pytest.raises(UsageError, match="`precision=bfloat16`: cpu has no instructions for it"):
        open_lifter(weights, "cpu", precision="bfloat16")


@pytest.mark.parametrize("arch", ["lstm", "mixste"])
def test_training_takes_float32_where_there_is_no_bfloat16(arch, without_instructions, tmp_path, caplog):
    shards, weights = write_cmu17(tmp_path), {}
    for bf16 in (True, False):
        model = lifter_class(arch).tiny | {"normalisation": "person"}
        recipe = replace(RECIPE, arch=arch, model=model, steps=2, bf16=bf16)
        weights[bf16] = load_file(train(recipe, shards, tmp_path / str(bf16), device="cpu"))
        told = "cpu has no instructions for bfloat16 that torch knows of; training is in float32"
        assert (told in caplog.messages) == bf16
        caplog.clear()
    assert all(torch.equal(weights[True][name], weights[False][name]) for name in weights[False])


def test_training_is_in_bfloat16_where_there_is_one(with_instructions):
    assert make_fabric("cpu", 1, True)._precision.precision == "bf16-mixed"
