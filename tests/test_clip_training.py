"""Runs of training on clips from several cameras: what a network is given, what a run writes, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from keypoint_pictures import colours_of, write_clips
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from training_data import cut_short, vidpose

from vidpose.body.skeletons import H36M_17
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoint_data import open_clips
from vidpose.keypoint_data.clip_batches import ClipBatches
from vidpose.keypoint_data.picture_augmentation import PLAIN, PictureAugmentation
from vidpose.keypoints.clips.clip_network import clip_network_class, clip_network_names, create_clip_network
from vidpose.keypoints.clips.clip_weights import read_clip_network
from vidpose.keypoints.clips.temporal_relational import TemporalRelational
from vidpose.keypoints.keypoint_network import Processing
from vidpose.training.clip_training import ClipTrainer, train_clips
from vidpose.training.keypoint_recipe import ClipRecipe, read_keypoint_recipe

PROCESSING = Processing(input_size=(96, 96), alignment="centre")
RECIPE = ClipRecipe(
    "temporal-relational",
    model=dict(TemporalRelational.tiny) | {"frames": 3, "views": 2},
    augmentation={"turned": 0.0, "half_body": 0.0, "scale": 0.1, "mirror": 0.0},
    steps=26,
    batch=2,
    optimiser="adamw",
    missing=0.2,
    bf16=False,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), H36M_17, 3)


@pytest.fixture(scope="module")
def clips(folder):
    return open_clips(folder, H36M_17)


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory) -> Path:
    """The weights of a run of fourteen steps, between four and five epochs, that nothing interrupted."""
    return run(replace(RECIPE, steps=14), folder, tmp_path_factory.mktemp("runs") / "whole")


def run(recipe, folder, out, **how) -> Path:
    return train_clips(recipe, [folder], folder, out, device="cpu", **how)


def curve(out) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "samples_per_s"} for row in rows]


class TestBatches:
    def batches(self, clips, how=PLAIN, views=2, frames=3, batch=2, **more):
        return ClipBatches(clips, H36M_17, PROCESSING, how, views, frames, batch, 5, **more)

    def test_joints_lie_on_their_dots_in_every_view_and_frame(self, clips):
        crops = self.batches(clips, PictureAugmentation(turned=1.0, turn=20.0, mirror=0.0, half_body=0.0))[0]
        column, row = np.floor(crops.places.numpy() * 96).astype(int).transpose(4, 0, 1, 2, 3)[:2]
        inside = (column >= 0) & (column < 96) & (row >= 0) & (row < 96)
        assert inside.mean() > 0.8
        b, v, f, j = np.nonzero(inside)
        found = crops.pixels.numpy()[b, v, f, row[inside], column[inside]].astype(int)
        assert np.abs(found - colours_of(H36M_17)[j]).max(axis=-1).mean() < 12  # JPEG

    def test_an_epoch_has_every_picture_once(self, clips):
        for views, frames in ((2, 3), (1, 1), (1, 2), (2, 6)):
            batches = self.batches(clips, views=views, frames=frames, batch=1)
            pixels = np.concatenate([batches[step].pixels.flatten(0, 2).numpy() for step in range(len(batches))])
            assert len(pixels) == 3 * 2 * 6
            assert len({some.tobytes() for some in pixels}) == 3 * 2 * 6

    def test_frames_are_in_order_and_views_in_step(self, clips):
        # People drift by the view's number of pixels a frame, and so do their boxes: the dots stand still in the crops.
        crops = self.batches(clips, replace(PLAIN, scale=0.3, shift=0.1), batch=3)[0]
        assert crops.present.all()
        drift = np.diff(crops.places.numpy(), axis=2)
        assert np.abs(drift).max() < 0.02
        scales = crops.places.numpy().std(axis=3)
        assert len(np.unique(scales[:, :, 0, 0].round(4))) == 6, "every view departs in its own way"

    def test_all_views_are_mirrored_or_none(self, clips):
        batches = self.batches(clips, replace(PLAIN, mirror=0.5), batch=3)
        plain = self.batches(clips, PLAIN, batch=3)
        mirrored = set()
        for step in range(8):
            places, original = batches[step].places.numpy(), plain[step].places.numpy()
            there = original[..., list(H36M_17.mirror), :] * (-1, 1) + (1, 0)
            for one, same, other in zip(places, original, there, strict=True):
                is_mirrored = np.abs(one - other).max() < 1e-4
                assert is_mirrored or np.abs(one - same).max() < 1e-4
                mirrored.add(bool(is_mirrored))
        assert mirrored == {True, False}

    def test_views_are_missing_now_and_then_but_never_all(self, clips):
        batches = self.batches(clips, batch=6, missing=0.5)
        present = torch.cat([batches[step].present for step in range(20)]).any(dim=-1)
        assert present.any(dim=-1).all()
        assert 0.2 < (~present).float().mean() < 0.4  # half of what 0.5 would be, for one always stays
        crops = batches[0]
        assert crops.pixels[~crops.present].max() == 0
        assert crops.places[~crops.present].isnan().all()

    def test_a_step_is_the_same_whenever_and_in_whatever_shares(self, clips):
        batches = self.batches(clips, PictureAugmentation(colour=0.3), batch=4, missing=0.3)
        batches[0]
        whole = batches[3]
        batches.share = slice(2, 4)
        for part, of in zip(batches[3], whole, strict=True):
            torch.testing.assert_close(part, of[2:], equal_nan=True)

    def test_who_is_out_of_sight_is_not_present(self, clips):
        gone = replace(clips[0].views[0].people[1], keypoints=np.full((17, 2), np.nan, np.float32))
        people = clips[0].views[0].people
        view = replace(clips[0].views[0], people=(people[0], gone, *people[2:]))
        batches = self.batches([replace(clips[0], views=(view,))], views=1, frames=6, batch=1)
        assert batches[0].present.tolist() == [[[True, False, True, True, True, True]]]


def test_training_writes_weights_that_serve(folder, tmp_path):
    said = []
    path = run(replace(RECIPE, steps=4, ema=0.9), folder, tmp_path / "run", say=said.append)
    assert said == [f"wrote {path}"]
    network, about = read_clip_network(path, "temporal-relational")
    assert (network.frames, network.views) == (3, 2)
    assert about["recipe"]["steps"] == 4
    assert about["epoch_seconds"] > 0
    assert 0 <= about["metrics"]["val_missed"] <= 1


@pytest.mark.parametrize("workers", [0, 1])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(workers, folder, whole, tmp_path, monkeypatch):
    recipe = replace(RECIPE, steps=14)
    with monkeypatch.context() as patch:
        cut_short(ClipTrainer, patch, 7)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, folder, tmp_path / "cut", workers=workers)
    resumed = run(recipe, folder, tmp_path / "cut", workers=workers, resume=True)
    assert curve(tmp_path / "cut") == curve(whole.parent)
    for ours, theirs in zip(
        *(read_clip_network(path, RECIPE.arch)[0].parameters() for path in (whole, resumed)), strict=True
    ):
        assert torch.equal(ours, theirs)


TINY = """
arch = "temporal-relational"
steps = 6
batch = 4
optimiser = "adamw"
bf16 = false
[model]
size = 64
frames = 3
views = 2
layers = 1
width = 8
depths = [1, 1, 3, 1]
heads = [1, 1, 2, 2]
relation_heads = 2
window = 2
drop_path = 0.0
"""


def test_two_processes_give_the_curve_of_one(folder, tmp_path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    done = vidpose("train-keypoints", folder, "--held-out", folder, "--arch", recipe, "--out", tmp_path / "two",
                   "--device", "cpu", "--devices", 2, "--workers", 1)  # fmt: skip
    output, errors = done.communicate()
    assert done.returncode == 0, errors
    assert output == f"wrote {tmp_path / 'two' / 'weights.safetensors'}\n"
    run(read_keypoint_recipe(str(recipe)), folder, tmp_path / "one")
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert len(one) == len(two) == 6
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_a_batch_in_parts_whose_activations_are_not_kept_gives_the_curve_of_one(folder, tmp_path):
    recipe = replace(RECIPE, steps=3, missing=0.5, batch=4)
    run(recipe, folder, tmp_path / "whole")
    run(replace(recipe, pictures_at_once=3), folder, tmp_path / "again")
    for whole, again in zip(curve(tmp_path / "whole"), curve(tmp_path / "again"), strict=True):
        assert again == pytest.approx(whole, rel=1e-4)
    # A loss is a mean over what is labelled: parts count alike where as much is labelled in each.
    run(replace(recipe, missing=0.0), folder, tmp_path / "whole", overwrite=True)
    run(replace(recipe, missing=0.0, accumulate=2), folder, tmp_path / "again", overwrite=True)
    for whole, again in zip(curve(tmp_path / "whole"), curve(tmp_path / "again"), strict=True):
        assert again == pytest.approx(whole, rel=1e-3)


def saved_bytes(network, crops) -> int:
    """What a forward pass keeps for the backward one, without the parameters, and without what is kept twice."""
    kept = {}
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}

    def keep(tensor):
        if (place := tensor.untyped_storage().data_ptr()) not in parameters:
            kept[place] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(crops)
    return sum(kept.values())


def test_activations_that_are_not_kept_are_the_bulk_of_the_memory():
    network = create_clip_network("temporal-relational", **clip_network_class("temporal-relational").tiny).train()
    crops = torch.rand(1, 4, 4, 3, 64, 64)
    whole = saved_bytes(network, crops)
    network.pictures_at_once = 4
    assert saved_bytes(network, crops) < 0.3 * whole


def test_training_learns_where_the_dots_are(folder, tmp_path):
    recipe = replace(
        RECIPE, model=RECIPE.model | {"width": 16, "keep_ratio": 1.0}, steps=60, lr=2e-3, batch=6, missing=0
    )
    run(recipe, folder, tmp_path / "run")
    rows = curve(tmp_path / "run")
    assert rows[-1]["loss"] < 0.3 * rows[0]["loss"]
    missed = [row["val_missed"] for row in rows if "val_missed" in row]
    assert missed[-1] < missed[0] - 0.1


@pytest.mark.parametrize("arch", clip_network_names())
def test_every_clip_network_trains(arch, folder, tmp_path):
    recipe = replace(RECIPE, arch=arch, model=dict(clip_network_class(arch).tiny), steps=2, bf16=True)
    path = run(recipe, folder, tmp_path / "run")
    assert np.isfinite(curve(tmp_path / "run")[-1]["loss"])
    assert read_clip_network(path, arch)[1]["step"] == 2


def test_what_looks_at_pictures_alone_begins_where_other_weights_end(folder, tmp_path):
    single = replace(RECIPE, model=RECIPE.model | {"frames": 1, "views": 1}, steps=2)
    path = run(single, folder, tmp_path / "single")
    # A step at a rate of nothing leaves everything as it began.
    begun = run(replace(RECIPE, init=str(path), steps=1, lr=1e-30), folder, tmp_path / "run")
    ours, theirs = (read_clip_network(some, RECIPE.arch)[0].state_dict() for some in (begun, path))
    shared = [key for key in theirs if key.startswith(("spatial.", "norm.", "head."))]
    assert set(shared) == set(theirs)
    for key in shared:
        torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=1e-6)
    with pytest.raises(VidposeError, match="its settings are others than the recipe's"):
        run(replace(RECIPE, init=str(path), model=RECIPE.model | {"width": 16}), folder, tmp_path / "other")


def test_imagenet_weights_are_fetched_before(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDPOSE_WEIGHTS", str(tmp_path))
    with pytest.raises(VidposeError, match="the weights of swin-t are not at hand; get them: `vidpose weights fetch"):
        run(replace(RECIPE, init="imagenet"), folder, tmp_path / "run")
    vit = replace(RECIPE, arch="vit-s", model=dict(clip_network_class("vit-s").tiny), init="imagenet")
    with pytest.raises(UsageError, match="there are no such weights for vit-s; leave it out"):
        run(vit, folder, tmp_path / "run")


def test_what_is_no_clip_or_too_short_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="clip 0 has 6 frames, fewer than the 7 that the network looks at"):
        run(replace(RECIPE, model=RECIPE.model | {"frames": 7}), folder, tmp_path / "run")
    with pytest.raises(VidposeError, match="no clip-"):
        run(RECIPE, tmp_path, tmp_path / "run")


def test_the_paper_s_recipe_is_the_paper_s():
    recipe = read_keypoint_recipe("temporal-relational", ["model.frames=128"])
    assert isinstance(recipe, ClipRecipe)
    assert (recipe.epochs, recipe.optimiser, recipe.lr, recipe.weight_decay) == (100, "adamw", 1e-3, 0.05)
    config = clip_network_class(recipe.arch).Config(**recipe.model)
    assert (config.size, config.frames) == (224, 128)
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    # By step instead of by epoch, as Swin's and ViT's own trainings have it.
    risen = LinearLR(optimiser, 1 / 201, 1.0, total_iters=200)
    scheduler = SequentialLR(optimiser, [risen, CosineAnnealingLR(optimiser, 800)], [200])
    for step in range(1000):
        assert recipe.rate(step, 10, 1000) == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()


def test_the_command_trains(folder, tmp_path):
    words = ["train-keypoints", str(folder), "--held-out", str(folder), "--arch", "temporal-relational-small",
             "--frames", "2", "--workers", "0", "--device", "cpu", "--out", str(tmp_path / "run"),
             "--set", "steps=1"]  # fmt: skip
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.output.endswith(f"wrote {tmp_path / 'run' / 'weights.safetensors'}\n")
    assert read_clip_network(tmp_path / "run" / "weights.safetensors", "temporal-relational")[0].frames == 2
    with pytest.raises(UsageError, match=r"--images .*: clips have pictures of their own; leave it out"):
        CliRunner().invoke(cli, [*words, "--overwrite", "--images", str(folder)], catch_exceptions=False)
    with pytest.raises(UsageError, match=r"no key 'model\.frames'"):
        CliRunner().invoke(cli, [*words, "--arch", "hrnet-w24"], catch_exceptions=False)
