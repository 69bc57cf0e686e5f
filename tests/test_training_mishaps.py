"""What training refuses, and what it says and keeps where something goes wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_data import RECIPE, curve, cut_short, write_cmu17

from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.training.loop import Trainer, train


@pytest.fixture
def cmu(tmp_path):
    return write_cmu17(tmp_path)


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_its_checkpoint(cmu, tmp_path, monkeypatch):
    original = Trainer.losses

    def losses(trainer, predictions, batch):
        loss, logged = original(trainer, predictions, batch)
        return (loss * float("nan"), logged * float("nan")) if trainer.step == 6 else (loss, logged)

    recipe = replace(RECIPE, steps=10)
    monkeypatch.setattr("vidpose.training.run._ROWS", 5)  # of two steps
    monkeypatch.setattr(Trainer, "losses", losses)
    with pytest.raises(VidposeError, match=r"the loss became nan by step 8; `resume` with a lower lr"):
        train(recipe, cmu, tmp_path / "run", save_minutes=0)
    monkeypatch.undo()
    said = []
    train(replace(recipe, lr=1e-4), cmu, tmp_path / "run", resume=True, say=said.append)
    assert said[0].endswith("going on after step 6")
    assert np.isfinite(curve(tmp_path / "run")[-1]["loss"])


def test_out_of_memory_is_said_and_the_checkpoint_stays(cmu, tmp_path, monkeypatch):
    original = Trainer.train_step

    def train_step(trainer):
        if trainer.step == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        original(trainer)

    monkeypatch.setattr(Trainer, "train_step", train_step)
    with pytest.raises(VidposeError, match=r"out of memory with 4 windows a step on 1 x cpu; compute it in parts with"):
        train(RECIPE, cmu, tmp_path / "run", save_minutes=0)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] == 4


def test_a_window_that_no_memory_holds_is_said(cmu, tmp_path):
    recipe = replace(RECIPE, data=replace(RECIPE.data, window=10**9))
    with pytest.raises(VidposeError, match=r"run: out of memory with 4 windows .*; windows of fewer frames take less,"):
        train(recipe, cmu, tmp_path / "run")


def test_runs_are_not_written_over(cmu, tmp_path, monkeypatch):
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        cut_short(Trainer, patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(RECIPE, cmu, out)
    with pytest.raises(UsageError, match="holds an unfinished run; `resume` goes on with it"):
        train(RECIPE, cmu, out)
    train(RECIPE, cmu, out, resume=True)
    with pytest.raises(UsageError, match="holds a finished run"):
        train(RECIPE, cmu, out)
    train(replace(RECIPE, steps=2), cmu, out, overwrite=True)
    weights = out / "weights.safetensors"
    with pytest.raises(VidposeError, match=r"weights.safetensors: an input, which would be replaced"):
        train(replace(RECIPE, steps=2, init=str(weights)), cmu, out, overwrite=True)
    assert [row["step"] for row in curve(out)] == [1, 2]
    train(replace(RECIPE, steps=4), cmu, out, resume=True)
    assert [row["step"] for row in curve(out)] == [1, 2, 3, 4]


def test_checkpoints_that_cannot_be_gone_on_with_are_said(cmu, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(VidposeError, match="no checkpoint to resume; start without `resume`"):
        train(RECIPE, cmu, out, resume=True)
    train(RECIPE, cmu, out)
    with pytest.raises(VidposeError, match=r"of another recipe \(batch 4 there, 8 here; ema 0.9 there, 0.8 here\)"):
        train(replace(RECIPE, ema=0.8, batch=8), cmu, out, resume=True)
    content = (out / "checkpoint.pt").read_bytes()
    (out / "checkpoint.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(VidposeError, match="not a PyTorch checkpoint, or a damaged one"):
        train(RECIPE, cmu, out, resume=True)


def test_devices_that_cannot_be_are_refused(cmu, tmp_path):
    with pytest.raises(UsageError, match="`device=cuda:7`: cannot be used here"):
        train(RECIPE, cmu, tmp_path / "run", device="cuda:7")
    with pytest.raises(UsageError, match="a batch of 5 windows cannot be shared by 2 devices"):
        train(replace(RECIPE, batch=5), cmu, tmp_path / "run", device="cpu", devices=2)


def test_the_command_line_needs_a_recipe(tmp_path):
    from click.testing import CliRunner

    with pytest.raises(UsageError, match=r"what to train\? Give one RECIPE, or --arch: .*mixste.*single-branch"):
        CliRunner().invoke(cli, ["train"], catch_exceptions=False)
    with pytest.raises(UsageError, match="what to train"):
        CliRunner().invoke(cli, ["train", "mixste", "--arch", "lstm"], catch_exceptions=False)
    with pytest.raises(UsageError, match="data/h36m: no prepared benchmark"):
        CliRunner().invoke(cli, ["train", "mixste", "--out", str(tmp_path)], catch_exceptions=False)
