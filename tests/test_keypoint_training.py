"""Runs of keypoint training on small pictures: what they write, that they repeat and learn, and what they refuse."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from keypoint_pictures import write_pictures
from training_data import WITHOUT, cut_short

from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoint_data.coco_annotations import read_people, read_picture
from vidpose.keypoint_data.picture_augmentation import PictureAugmentation
from vidpose.keypoints.keypoint_network import (
    KEYPOINT_CLASSES,
    Processing,
    create_network,
    network_class,
    network_names,
)
from vidpose.keypoints.trained_networks import read_trained, save_network
from vidpose.pipeline.networks import open_networks
from vidpose.training.keypoint_recipe import ClipRecipe, KeypointRecipe, keypoint_recipe_names, read_keypoint_recipe
from vidpose.training.picture_training import KeypointTrainer, heatmap_loss, train_keypoints
from vidpose.training.schedules import SCHEDULES
from vidpose.weights.shipped import shipped
from vidpose.weights.weights_file import read_weights

RECIPE = KeypointRecipe(
    "hrnet-w24",
    model={"layout": "coco17", "width": 4, "bottleneck_width": 4, "blocks": 1},
    processing={"input_size": [64, 64]},
    augmentation={"turned": 0.0, "scale": 0.1, "mirror": 0.0, "half_body": 0.0},
    steps=6,
    batch=4,
    ema=0.9,
    clip=1.0,
    schedule={"name": "warmup-linear", "warmup": 2},
    bf16=False,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, COCO_17, 6)
    return folder


def run(recipe, folder, out, **how) -> Path:
    return train_keypoints(recipe, [folder], folder, out, device="cpu", **how)


def curve(out) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "samples_per_s"} for row in rows]


def test_training_writes_weights_that_serve(folder, tmp_path):
    said = []
    path = run(RECIPE, folder, tmp_path / "run", say=said.append, half=True)
    assert said == [f"wrote {path}"]
    about, tensors = read_weights(path, KEYPOINT_CLASSES.format)
    assert about["recipe"]["steps"] == 6
    assert 0 <= about["metrics"]["val_missed"] <= 1
    assert tensors["head.final_layer.weight"].dtype == torch.float16
    assert [row["step"] for row in curve(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "run" / "curves.png").stat().st_size > 1000
    trained = read_trained(path, "hrnet-w24")
    assert trained.processing == replace(network_class("hrnet-w24").processing, input_size=(64, 64))
    assert trained.network.layout == COCO_17
    person = read_people(folder, COCO_17)[0]
    with open_networks(keypoints="hrnet-w24", keypoints_weights=path) as networks:
        poses = networks.keypoints.locate(read_picture(person.picture), networks.keypoints.regions(person.box[None]))
    assert poses.keypoints.shape == (1, 17, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_repeats_and_an_interrupted_one_goes_on_as_if_nothing_had_happened(
    workers, folder, tmp_path, monkeypatch
):
    recipe = replace(RECIPE, steps=26, batch=2, processing={"input_size": [32, 32]})
    whole = run(recipe, folder, tmp_path / "whole")
    with monkeypatch.context() as patch:
        cut_short(KeypointTrainer, patch, 13)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, folder, tmp_path / "cut", workers=workers)
    resumed = run(recipe, folder, tmp_path / "cut", workers=workers, resume=True)
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    tensors = [read_weights(path, KEYPOINT_CLASSES.format)[1] for path in (whole, resumed)]
    assert all(torch.equal(tensor, tensors[1][key]) for key, tensor in tensors[0].items())


def test_a_run_begins_where_other_weights_end(folder, tmp_path):
    path = run(replace(RECIPE, ema=0.0), folder, tmp_path / "first")
    # A step at a rate of nothing leaves everything as it began, but for statistics of batches.
    begun = run(replace(RECIPE, init=str(path), steps=1, lr=1e-30, ema=0.0), folder, tmp_path / "second")
    ours, theirs = (dict(read_trained(some, RECIPE.arch).network.named_parameters()) for some in (begun, path))
    for key, parameter in theirs.items():
        torch.testing.assert_close(ours[key], parameter, rtol=0, atol=1e-6)
    public = tmp_path / "public.pth"
    torch.save(create_network("hrnet-w24", **RECIPE.model).state_dict(), public)
    run(replace(RECIPE, init=str(public), steps=1), folder, tmp_path / "third")
    other = replace(RECIPE, init=str(path), model=RECIPE.model | {"width": 8})
    with pytest.raises(VidposeError, match="its settings are others than the recipe's"):
        run(other, folder, tmp_path / "fourth")


def test_training_finds_the_dots(folder, tmp_path):
    # A mirrored dot has its partner's place and its own colour: the flip test would mislead.
    recipe = replace(RECIPE, model=RECIPE.model | {"width": 16}, steps=60, lr=5e-3, ema=0.0, batch=6, deviation=1.0,
                     processing={"input_size": [64, 64], "decoding": "quarter", "flip": False})  # fmt: skip
    run(recipe, folder, tmp_path / "run")
    rows = curve(tmp_path / "run")
    missed = [row["val_missed"] for row in rows if "val_missed" in row]
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert missed[-1] < 0.3


@pytest.mark.parametrize("arch", network_names())
def test_every_network_trains(arch, folder, tmp_path):
    tiny = dict(network_class(arch).tiny) | {"layout": "coco17"}
    size = create_network(arch, **tiny).multiple
    recipe = replace(RECIPE, arch=arch, model=tiny, processing={"input_size": [size, size]}, steps=2, hardest=4,
                     bf16=True)  # fmt: skip
    trained = read_trained(run(recipe, folder, tmp_path / "run"), arch)
    assert np.isfinite(curve(tmp_path / "run")[-1]["loss"])
    assert trained.network.layout == COCO_17


def test_the_loss_is_what_plain_loops_give():
    generator = torch.Generator().manual_seed(0)
    first, last, expected = (torch.rand(2, 3, 4, 5, generator=generator) for _ in range(3))
    weights = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])

    def errors(predicted):
        return [[float(((predicted[b, j] - expected[b, j]) ** 2).mean()) for j in range(3) if weights[b, j]]
                for b in range(2)]  # fmt: skip

    everything = [sum(map(sum, errors(one))) / 5 for one in (first, last)]
    assert heatmap_loss((first, last), expected, weights).item() == pytest.approx(sum(everything))
    hardest = sum(max(row) for row in errors(last)) / 2
    found = heatmap_loss((first, last), expected, weights, hardest=1).item()
    assert found == pytest.approx(everything[0] + hardest)
    assert heatmap_loss((first,), expected, torch.zeros(2, 3)).item() == 0


def test_every_recipe_that_comes_with_vidpose_fits_its_network():
    recipes = {name: read_keypoint_recipe(name) for name in keypoint_recipe_names()}
    pictures = {name: recipe for name, recipe in recipes.items() if isinstance(recipe, KeypointRecipe)}
    assert {name for name, recipe in pictures.items() if recipe.arch == name} == set(network_names())
    for name, recipe in pictures.items():
        network = network_class(recipe.arch)(network_class(recipe.arch).Config(**recipe.model))
        assert not any(side % network.multiple for side in recipe.seen.input_size), name
        assert recipe.rate(0, 1000, 10_000) > 0
        assert isinstance(recipe.varied, PictureAugmentation)


def test_rates_fall_at_milestones():
    recipe = read_keypoint_recipe("hrnet-w32")
    rates = [recipe.rate(epoch * 10, 10, 2100) for epoch in range(210)]
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=1e-3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, [171, 200])
    for rate in rates:
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learn=1", "no key 'learn'"),
        ("deviaton=1", "no key 'deviaton'; did you mean deviation"),
        ("model.widht=8", "no key 'model.widht'; did you mean model.width"),
        ("processing.flip=3", "processing.flip is 3"),
        ("processing.decoding=best", "processing.decoding is 'best'; choose from quarter"),
        ("augmentation.turns=3", "no key 'augmentation.turns'; did you mean augmentation.turn"),
        ("schedule.name=step", "schedule.name is 'step'; choose from linear"),
        ("optimiser=sgd", "optimiser is 'sgd'; choose from adam"),
        ("keep=all", "keep is 'all'; choose from best, last"),
        ("arch=lstm", "arch is 'lstm'; choose from cpn"),
        ("batch=0", "batch is 0; it must be at least 1"),
        ("batch=big", "batch is 'big'"),
    ],
)
def test_settings_that_cannot_be_are_said(setting, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_keypoint_recipe("hrnet-w24", [setting])
    assert "\n" not in str(caught.value)


def test_length_is_steps_or_epochs():
    assert read_keypoint_recipe("hrnet-w32", ["steps=5"]).total_steps(100) == 5
    assert read_keypoint_recipe("hrnet-w24", ["epochs=2"]).total_steps(100) == 200
    with pytest.raises(UsageError, match="epochs or steps say how long a run is"):
        read_keypoint_recipe("hrnet-w24", ["epochs=2", "steps=3"])
    with pytest.raises(UsageError, match=r"hrnet-w23: no such recipe; did you mean hrnet-w\d\d"):
        read_keypoint_recipe("hrnet-w23")


def test_the_page_lists_every_key():
    page = (shipped("recipes").parent / "docs" / "keypoints.md").read_text()
    keys = [
        *KeypointRecipe.__dataclass_fields__,
        *ClipRecipe.__dataclass_fields__,
        *PictureAugmentation.__dataclass_fields__,
        *Processing.__dataclass_fields__,
    ]
    for key in (*keys, *SCHEDULES, *network_names()):
        assert f"`{key}`" in page or f"`[{key}]`" in page, key


def test_what_does_not_go_together_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match=r"processing.input_size is 60x64; hrnet-w24 takes multiples of 32"):
        run(replace(RECIPE, processing={"input_size": [60, 64]}), folder, tmp_path / "run")
    with pytest.raises(VidposeError, match="nobody in it has a labelled joint"):
        run(RECIPE, write_pictures(tmp_path, COCO_17, 1, keypoints=[0] * 51), tmp_path / "run")
    path = tmp_path / "w.safetensors"
    network = create_network("hrnet-w24", width=4, bottleneck_width=4, blocks=1)
    save_network(network, network.processing, path, {})
    assert read_trained(path, "hrnet-w24").network.layout == H36M_17
    with pytest.raises(VidposeError, match="weights of hrnet-w24, not of hrnet-w32; give `keypoints=hrnet-w24`"):
        open_networks(keypoints="hrnet-w32", keypoints_weights=path)
    save_network(network, network.processing, path, {"config": {"width": 8}})
    with pytest.raises(VidposeError, match="the weights do not fit hrnet-w24"):
        read_trained(path, "hrnet-w24")
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(VidposeError, match="a pickled checkpoint, which could run code"):
        read_trained(path, "hrnet-w24")


def test_the_command_trains(folder, tmp_path):
    words = ["train-keypoints", str(folder), "--held-out", str(folder), "--arch", "hrnet-w24", "--workers", "0",
             "--device", "cpu", "--out", str(tmp_path / "run"), "--set", "steps=1", "--set", "batch=2",
             "--set", "model.width=4", "--set", "model.layout=coco17"]  # fmt: skip
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.output.endswith(f"wrote {tmp_path / 'run' / 'weights.safetensors'}\n")
    with pytest.raises(UsageError, match="holds a finished run; --resume goes on with it"):
        CliRunner().invoke(cli, words, catch_exceptions=False)


def test_training_needs_neither_opencv_nor_pyav_nor_mediapipe(folder, tmp_path):
    words = ("train-keypoints", folder, "--held-out", folder, "--arch", "hrnet-w24", "--workers", "1",
             "--device", "cpu", "--out", tmp_path / "run", "--half", "--set", "steps=2", "--set", "batch=2",
             "--set", "model.width=4", "--set", "model.layout=coco17", "--set", "augmentation.soften=1.0")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", WITHOUT, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_trained(tmp_path / "run" / "weights.safetensors", "hrnet-w24").network.config.width == 4
