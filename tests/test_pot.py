"""POT in training: what is random in it, and its two stages."""

import json
from dataclasses import replace

import pytest
import torch

from tests.training_data import recording, write_store
from vidpose.common.errors import UsageError
from vidpose.lifters import create_lifter
from vidpose.lifters.zoo import load_lifter
from vidpose.training.loop import train
from vidpose.training.recipe import Data, Recipe, read_recipe

TINY = {"width": 12, "depth": 1, "dropout": 0.0}


def test_training_moves_the_first_pose_by_its_spread():
    """Equation 9: with a deviation of the spread, and nothing else is random without dropout."""
    torch.manual_seed(0)
    lifter = create_lifter("pot", **TINY, refine_depth=1)
    seen = []
    lifter.refine_embed.register_forward_hook(lambda module, args, answer: seen.append(args[0][..., :3]))
    keypoints = torch.randn(1, 1, 17, 2).expand(4000, 1, 17, 2)
    first, spread, _ = lifter.train().stages(keypoints)
    moved = (seen[0] - first[:, 0]) / spread[:, 0]
    assert moved.mean().item() == pytest.approx(0, abs=0.01)
    assert moved.std().item() == pytest.approx(1, abs=0.01)
    lifter.eval().stages(keypoints[:1])
    torch.testing.assert_close(seen[1], lifter.stages(keypoints[:1])[0][:, 0])


def test_stage_two_refines_what_stage_one_learned(tmp_path):
    store = write_store(
        tmp_path / "h36m", [recording(n, 40, split) for n, split in enumerate(["train", "train", "test"])]
    )
    base = Recipe(arch="pot", name="first", model=TINY | {"refine_depth": 0}, data=Data(input="gt", stride=1),
                  loss={"mean-squared-error": 3.0}, steps=40, batch=16, lr=3e-3)  # fmt: skip
    first = train(base, store.folder, tmp_path / "runs" / "first")
    second = replace(base, name="second", init=str(first), model=TINY | {"refine_depth": 1}, spreads=1e-3)
    out = tmp_path / "runs" / "second"
    learned, refined = load_lifter(first).state_dict(), load_lifter(train(second, store.folder, out)).state_dict()
    for key, tensor in learned.items():
        assert torch.equal(refined[key], tensor), key
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["mean-squared-error"] < rows[0]["mean-squared-error"]
    assert rows[-1]["loss"] == pytest.approx(rows[-1]["mean-squared-error"] + rows[-1]["spreads"])
    for wrong in ({"init": ""}, {"model": TINY | {"refine_depth": 0}}, {"arch": "mixste", "model": {}}):
        with pytest.raises(UsageError, match="spreads: are of pot"):
            train(replace(second, **wrong), store.folder, tmp_path / "runs" / "third")


def test_the_recipes_are_the_two_stages():
    one, two = read_recipe("pot-stage1"), read_recipe("pot")
    assert (one.model, one.spreads, one.init, one.reported) == ({"refine_depth": 0}, 0, "", {})
    assert (two.model, two.spreads, two.init) == ({"refine_depth": 3}, 0.001, "pot-stage1")
    assert one.rate(399, 100, 2500) == 1e-3
    assert one.rate(400, 100, 2500) == pytest.approx(0.96e-3)
