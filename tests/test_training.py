"""Runs of the training loop on small data: what they write, that they repeat, stop and go on, and what they refuse."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_data import CMU17, RECIPE, WITHOUT, curve, cut_short, recording, vidpose, write_cmu17, write_store

from vidpose.body.skeletons import BLAZEPOSE_TO_H36M, H36M_17, HUMANEVA_15
from vidpose.common.errors import UsageError, VidposeError
from vidpose.lifters import create_lifter, lifter_class, lifter_names
from vidpose.lifters.zoo import load_weights, save_lifter
from vidpose.training.loop import Trainer, train
from vidpose.training.losses import LOSSES
from vidpose.training.processes import is_first_process, make_fabric
from vidpose.training.recipe import Data, Recipe, read_recipe
from vidpose.training.starting import start_from
from vidpose.training.windows import StoreWindows

STORE = Data(dataset="h36m", input="gt", stride=0, flip="duplicate", validation="test")
LSTM = """
arch = "lstm"
steps = 50
batch = 4
bf16 = false
schedule = { name = "linear" }
loss = { mpjpe = 1.0, mpjve = 0.5 }
model = { width = 8, frames = 9 }
data = { dataset = "h36m", input = "gt", validation = "test" }
"""


@pytest.fixture
def cmu(tmp_path):
    return write_cmu17(tmp_path)


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "h36m", [recording(0, 31), recording(1, 20), recording(2, 30, "test")])


def test_training_writes_weights_that_load(cmu, tmp_path):
    said = []
    path = train(RECIPE, cmu, tmp_path / "run", say=said.append)
    assert said == [f"wrote {path}"]
    loaded = load_weights(path)
    assert loaded.about["conversion"] == BLAZEPOSE_TO_H36M.name
    assert set(loaded.about["metrics"]) == {"val_mpjpe_mm", "val_p_mpjpe_mm"}
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["steps"] == 6
    rows = curve(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert list(rows[0]) == ["step", "epoch", "lr", "loss", "mpjpe", "mpjpe_mm"]
    assert rows[0]["lr"] == RECIPE.lr / 2
    assert rows[0]["mpjpe_mm"] == pytest.approx(1000 * rows[0]["mpjpe"])
    assert [row["step"] for row in rows if "val_mpjpe_mm" in row] == [5, 6]


def test_weights_of_a_benchmark_say_what_they_have_seen(store, tmp_path):
    recipe = replace(RECIPE, data=replace(STORE, input="found", actions=("Sit",)), steps=2)
    about = load_weights(train(recipe, store.folder, tmp_path / "run")).about
    assert about["data"] == "h36m, training split, Sit, input found"
    assert about["detector"] == "a good one"
    assert about["recipe"]["data"]["input"] == "found"


def test_epochs_are_of_the_data(store, tmp_path):
    # 31 and 20 frames are 4 and 3 windows of 9, all of them twice: 14 in batches of 4.
    recipe = replace(RECIPE, data=STORE, steps=0, epochs=2)
    train(recipe, store.folder, tmp_path / "run")
    last = curve(tmp_path / "run")[-1]
    assert (last["step"], last["epoch"]) == (8, 2.0)


@pytest.mark.parametrize("data", ["cmu", "store"])
def test_a_run_repeats_and_an_interrupted_one_goes_on_as_if_nothing_had_happened(
    data, cmu, store, tmp_path, monkeypatch
):
    # Steps 1 to 26 make rows of two: the interruption at 13 falls between them.
    monkeypatch.setattr("vidpose.training.run._ROWS", 13)
    recipe = replace(RECIPE, steps=26, data=CMU17 if data == "cmu" else replace(STORE, flip="random", noise=2.0))
    folder = cmu if data == "cmu" else store.folder
    whole = load_weights(train(recipe, folder, tmp_path / "whole"))
    assert load_weights(train(recipe, folder, tmp_path / "again")).sha256 == whole.sha256
    other = train(replace(recipe, seed=2), folder, tmp_path / "other")
    assert load_weights(other).sha256 != whole.sha256

    with monkeypatch.context() as patch:
        cut_short(Trainer, patch, 13)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, folder, tmp_path / "cut")
    assert not (tmp_path / "cut" / "weights.safetensors").exists()
    said = []
    resumed = train(recipe, folder, tmp_path / "cut", resume=True, say=said.append)
    assert said[0].endswith("going on after step 13")
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert load_weights(resumed).sha256 == whole.sha256


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_program_resumes_with_the_same_curve(number, store, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(LSTM.replace("50", "200"))
    words = ("train", recipe, "--data", store.folder, "--device", "cpu", "--save-minutes", "0.002", "--out")
    metrics, checkpoint = tmp_path / "cut" / "metrics.jsonl", tmp_path / "cut" / "checkpoint.pt"
    # As from a terminal: a shell's background jobs do not hear Ctrl-C.
    killed = vidpose(
        *words, tmp_path / "cut", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    deadline = time.monotonic() + 120
    while not (checkpoint.exists() and metrics.exists() and metrics.read_text().count("\n") > 2):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(number)
    _, errors = killed.communicate()
    assert killed.returncode == (-9 if number == signal.SIGKILL else 130), errors
    if number == signal.SIGINT:
        assert errors.splitlines()[-1] == "interrupted"
    torch.set_num_threads(1)
    train(read_recipe(str(recipe)), store.folder, tmp_path / "cut", device="cpu", resume=True)
    train(read_recipe(str(recipe)), store.folder, tmp_path / "whole", device="cpu")
    assert len(curve(tmp_path / "whole")) == 25
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")


def test_two_processes_give_the_curve_of_one(store, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(LSTM.replace("50", "20"))
    words = ("train", recipe, "--data", store.folder, "--device", "cpu", "--out")
    done = vidpose(*words, tmp_path / "two", "--devices", 2)
    output, errors = done.communicate()
    assert done.returncode == 0, errors
    assert output == f"wrote {tmp_path / 'two' / 'weights.safetensors'}\n"
    assert all(line.startswith("training:") for line in errors.splitlines()), errors
    train(read_recipe(str(recipe)), store.folder, tmp_path / "one", device="cpu")
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert len(one) == len(two) == 20
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert one[0]["loss"] > 1.1 * one[-1]["loss"]


def test_two_machines_give_the_curve_of_one(store, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(LSTM.replace("50", "20"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = f"127.0.0.1:{free.getsockname()[1]}"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1")
    words = ("-m", "vidpose", "train", recipe, "--data", store.folder, "--device", "cpu", "--out", tmp_path / "two")
    machines = [
        subprocess.Popen(
            [*torchrun, "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting, *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]  # fmt: skip
    outputs, errors = zip(*(machine.communicate() for machine in machines), strict=True)
    assert [machine.returncode for machine in machines] == [0, 0], errors
    assert "".join(outputs) == f"wrote {tmp_path / 'two' / 'weights.safetensors'}\n"
    train(read_recipe(str(recipe)), store.folder, tmp_path / "one", device="cpu")
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert len(two) == 20
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_devices_are_torchruns_where_it_started_the_process(monkeypatch):
    started = {"TORCHELASTIC_RUN_ID": "a", "RANK": 3, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2, "WORLD_SIZE": 4}
    for name, value in started.items():
        monkeypatch.setenv(name, str(value))
    assert not is_first_process()
    with pytest.raises(UsageError, match="`devices=3`: torchrun started 2 on this machine; leave it out"):
        make_fabric("cpu", 3, False)


@pytest.mark.parametrize("parts", [2, 8])
def test_a_batch_in_parts_gives_the_curve_of_one(parts, store, tmp_path):
    recipe = replace(RECIPE, data=replace(STORE, input="gt"), batch=8, steps=8)
    train(recipe, store.folder, tmp_path / "whole")
    train(replace(recipe, accumulate=parts), store.folder, tmp_path / "parts")
    for whole, in_parts in zip(curve(tmp_path / "whole"), curve(tmp_path / "parts"), strict=True):
        assert in_parts == pytest.approx(whole, rel=1e-4)


def test_parts_must_divide_the_batch(store, tmp_path):
    recipe = replace(RECIPE, data=STORE, batch=8, accumulate=3)
    with pytest.raises(UsageError, match="a batch of 8 windows cannot be shared by 1 devices, in 3 parts each"):
        train(recipe, store.folder, tmp_path / "run")


def test_training_reduces_the_error(cmu, tmp_path):
    recipe = replace(RECIPE, steps=200, batch=16, lr=5e-3, schedule={"name": "warmup-linear", "warmup": 5})
    train(recipe, cmu, tmp_path / "run")
    rows = curve(tmp_path / "run")
    assert rows[-1]["mpjpe_mm"] < 0.8 * rows[0]["mpjpe_mm"]
    validated = [row["val_mpjpe_mm"] for row in rows if "val_mpjpe_mm" in row]
    assert validated[-1] < validated[0]


@pytest.mark.parametrize(
    ("arch", "model"),
    [
        ("p-stmo", {"frames": 9, "width": 16, "hidden": 32, "depth": 1, "strides": [3, 3], "normalisation": "person"}),
        ("martinez-median", {"width": 16, "normalisation": "person"}),
        ("seq2seq", {"width": 16, "normalisation": "person"}),
    ],
)
def test_lifters_of_every_kind_train(arch, model, cmu, tmp_path):
    """Several outputs, one frame of a window, standardised coordinates; with every loss at once."""
    loss = dict.fromkeys(LOSSES, 0.1)
    recipe = Recipe(arch=arch, model=model, data=CMU17, loss=loss, joint_weights="hossain", steps=4, batch=4,
                    bf16=False, schedule={"name": "exponential-by-epoch"}, steps_per_epoch=2)  # fmt: skip
    lifter = load_weights(train(recipe, cmu, tmp_path / "run")).lifter
    rows = curve(tmp_path / "run")
    assert np.isfinite(rows[-1]["val_mpjpe_mm"])
    if arch != "p-stmo":
        # A metre or so of body, not the unit that an untrained lifter begins with.
        assert 0.01 < lifter.output_std[1:].mean() < 0.6
    assert rows[3]["lr"] == pytest.approx(0.99 * recipe.lr)
    assert rows[0]["loss"] == pytest.approx(sum(rows[0][name] for name in loss), rel=1e-5)


@pytest.mark.parametrize("arch", lifter_names())
def test_every_registered_lifter_trains_on_a_benchmark(arch, store, tmp_path):
    """In bfloat16, in the units, with the normalisation and for the frames that are its own."""
    recipe = Recipe(arch=arch, model=dict(lifter_class(arch).tiny), data=replace(STORE, stride=9), steps=2, batch=2,
                    loss={"mpjpe": 1.0, "mpjve": 1.0})  # fmt: skip
    before = create_lifter(arch, **recipe.model).state_dict()
    trained = load_weights(train(recipe, store.folder, tmp_path / "run")).lifter
    rows = curve(tmp_path / "run")
    # A person of about a metre, from weights that know nothing.
    assert 50 < rows[-1]["val_mpjpe_mm"] < 5000
    assert any(not torch.equal(trained.state_dict()[name], before[name]) for name in before)


@pytest.mark.parametrize("optimiser", ["adam", "adam-amsgrad", "adamw"])
def test_the_optimiser_is_the_recipe_s(optimiser, store, tmp_path):
    recipe = replace(RECIPE, data=replace(STORE, flip="none"), optimiser=optimiser, weight_decay=0.1, steps=1, ema=0.0,
                     clip=0.0, schedule={"name": "linear"}, batch=7)  # fmt: skip
    trained = load_weights(train(recipe, store.folder, tmp_path / "run")).lifter
    # All windows in one step, so their order does not matter.
    torch.manual_seed(recipe.seed)
    lifter = create_lifter(recipe.arch, **recipe.model)
    batch = StoreWindows(store, "train", lifter, recipe.data, 1, torch.device("cpu")).batch(0, 7)
    before = {name: parameter.detach().clone() for name, parameter in lifter.named_parameters()}
    (lifter(batch.keypoints_BTJC) - batch.joints_BTJD).norm(dim=-1).mean().backward()
    for name, parameter in lifter.named_parameters():
        gradient, start = parameter.grad, before[name]
        if optimiser != "adamw":
            gradient = gradient + 0.1 * start
        # Adam's first step, bias corrections and all.
        expected = start - recipe.lr * gradient / (gradient.abs() + 1e-8)
        if optimiser == "adamw":
            expected = expected - recipe.lr * 0.1 * start
        moved = gradient.abs() > 1e-5
        torch.testing.assert_close(trained.state_dict()[name][moved], expected[moved], atol=1e-5, rtol=1e-4)


def test_the_best_is_kept_where_the_recipe_asks(cmu, tmp_path, monkeypatch):
    # Validated every five steps: 15, 10, 15 and 20 millimetres.
    monkeypatch.setattr(Trainer, "validate", lambda trainer: {"val_mpjpe_mm": 10.0 + abs(trainer.step - 10)})
    runs = {}
    for keep, steps in (("best", 20), ("last", 20), ("last", 10)):
        path = train(replace(RECIPE, steps=steps, lr=1e-3, schedule={"name": "exponential-by-epoch"}, keep=keep), cmu,
                     tmp_path / f"{keep} {steps}")  # fmt: skip
        runs[keep, steps] = load_weights(path)
    assert runs["best", 20].about["metrics"] == {"val_mpjpe_mm": 10.0}
    assert (runs["best", 20].about["step"], runs["last", 20].about["step"]) == (10, 20)
    best, at_10, at_20 = (runs[key].lifter.state_dict() for key in (("best", 20), ("last", 10), ("last", 20)))
    assert all(torch.equal(best[name], at_10[name]) for name in best)
    assert not all(torch.equal(best[name], at_20[name]) for name in best)


def test_image_units_are_learnt_and_reported_in_millimetres(store, tmp_path):
    model = {"frames": 9, "width": 16, "depth": 1, "units": "image"}
    recipe = replace(RECIPE, arch="mixste", model=model, data=replace(STORE, flip="none"), steps=1, batch=7)
    train(recipe, store.folder, tmp_path / "run")
    (row,) = curve(tmp_path / "run")
    # A unit is half the picture at the person: about two metres.
    assert row["mpjpe_mm"] / row["mpjpe"] == pytest.approx(2000, rel=0.15)


def test_frames_that_do_not_count_have_no_gradient(tmp_path):
    counts = np.ones(18, bool)
    counts[4:] = False
    store = write_store(tmp_path / "h36m", [recording(0, 18, valid=counts), recording(1, 9, "test")])
    recipe = replace(RECIPE, data=replace(STORE, flip="none"), batch=1, steps=1, loss={"mpjpe": 1.0})
    spoilt = recording(0, 18, valid=counts)
    spoilt.joints[4:] += np.random.default_rng(0).normal(size=(14, 17, 3)).astype(np.float32)
    other = write_store(tmp_path / "other", [spoilt, recording(1, 9, "test")])
    hashes = {load_weights(train(recipe, s.folder, tmp_path / s.folder.name / "run")).sha256 for s in (store, other)}
    assert len(hashes) == 1


def test_frames_that_do_not_count_have_no_gradient_by_their_neighbours(tmp_path):
    counts = np.arange(18) != 4
    store = write_store(tmp_path / "h36m", [recording(0, 18, valid=counts), recording(1, 9, "test")])
    recipe = replace(RECIPE, data=replace(STORE, flip="none"), batch=2, loss={"mpjve": 1.0, "velocity-sum": 1.0})
    trainer = Trainer(recipe, store.folder, tmp_path / "run", make_fabric("cpu", 1, False))
    batch = trainer.windows.batch(0, 2)
    predicted = torch.randn(batch.joints_BTJD.shape, requires_grad=True)
    trainer.losses((predicted,), batch)[0].backward()
    moved = predicted.grad.abs().sum(dim=(-1, -2)) > 0
    assert (batch.metres_BT == 0).sum() == 1
    assert torch.equal(moved, batch.metres_BT > 0)


@pytest.mark.parametrize(("arch", "used"), [("seq2seq", -1), ("stcformer", 4)])
def test_validation_is_of_the_frame_that_a_window_is_used_for(store, tmp_path, arch, used):
    model = dict(lifter_class(arch).tiny) | {"frames": 9}
    recipe = replace(RECIPE, arch=arch, model=model, data=replace(STORE, flip="none"), batch=2)
    trainer = Trainer(recipe, store.folder, tmp_path / "run", make_fabric("cpu", 1, False))
    with torch.no_grad():
        answered = trainer.answer.eval()(trainer.held_out.keypoints_BTJC)
    expected = (answered - trainer.held_out.joints_BTJD).norm(dim=-1)[:, used].mean() * 1000
    assert trainer.validate()["val_mpjpe_mm"] == pytest.approx(expected.item(), rel=1e-5)


def test_weights_to_start_from(store, tmp_path):
    first = replace(RECIPE, data=STORE, steps=2, name="first")
    train(first, store.folder, tmp_path / "runs" / "first")
    said = []
    second = replace(
        first, model=first.model | {"depth": 2}, name="table/second", init="first", lr=0.0, weight_decay=0.0
    )
    path = train(second, store.folder, tmp_path / "runs" / "table" / "second", say=said.append)
    assert said[0].startswith("starting from first, but for ")
    assert ".1." in said[0]
    ours, theirs = (
        load_weights(p).lifter.state_dict() for p in (path, tmp_path / "runs" / "first" / "weights.safetensors")
    )
    assert len(ours) > len(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_joints_of_weights_to_start_from_go_by_name(tmp_path, monkeypatch):
    torch.manual_seed(0)
    sizes = {"frames": 5, "width": 16, "depth": 1}
    theirs, ours = create_lifter("mixste", **sizes), create_lifter("mixste", layout="humaneva15", **sizes)
    torch.nn.init.normal_(theirs.spatial_positions)
    path = tmp_path / "h36m.safetensors"
    save_lifter(theirs, path, {})
    said = []
    start_from(ours, Recipe(arch="mixste", steps=1, init=str(path), name="x"), tmp_path / "run", said.append)
    assert said == [f"starting from {path}"]
    for joint in HUMANEVA_15.joints:
        taken = ours.spatial_positions[0, HUMANEVA_15.index(joint)]
        expected = theirs.spatial_positions[0, H36M_17.index(joint)] if joint != "head" else torch.zeros(16)
        assert torch.equal(taken, expected), joint
    assert torch.equal(ours.embed.weight, theirs.embed.weight)

    other = create_lifter("videopose3d", frames=9, filter_widths=(3, 3), width=24)
    with pytest.raises(VidposeError, match="none of its tensors fits videopose3d"):
        start_from(other, Recipe(arch="x", steps=1, init=str(path), name="x"), tmp_path / "run", said.append)
    monkeypatch.setattr("vidpose.training.starting.recipe_names", lambda: ["table/row"])
    with pytest.raises(VidposeError, match=r"not there to start from; first `vidpose train table/row`"):
        start_from(ours, Recipe(arch="x", steps=1, init="table/row", name="x"), tmp_path / "run", said.append)
    with pytest.raises(UsageError, match="unknown lifter 'nobody'"):
        start_from(ours, Recipe(arch="x", steps=1, init="nobody", name="x"), tmp_path / "run", said.append)


def test_training_needs_neither_opencv_nor_pyav_nor_mediapipe(cmu, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'arch = "single-branch"\nsteps = 2\nbatch = 2\n[model]\nwidth = 16\ndepth = 1\nframes = 9\n'
        '[data]\ndataset = "cmu17"\nvalidation = "val"\n'
    )
    words = ("train", recipe, "--data", cmu, "--out", tmp_path / "run", "--device", "cpu", "--half")
    command = [sys.executable, "-c", WITHOUT, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load_weights(tmp_path / "run" / "weights.safetensors").lifter.config.width == 16
