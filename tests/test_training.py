import json

import numpy as np
import pytest
import torch

from vidpose.datasets.cmu import load_cmu
from vidpose.errors import UsageError, VidposeError
from vidpose.skeletons import BLAZEPOSE_TO_H36M, H36M_17
from vidpose.training.augmentation import Augmentation, MotionSampler, detect, new_bodies, view
from vidpose.training.loop import Recipe, train
from vidpose.training.losses import LOSSES
from vidpose.zoo import load_weights

CLEAN = Augmentation(
    landmark_bias=0.0, jitter=0.0, white=0.0, occluded=0.0, dropped=0.0, unscored=1.0, recombine=0.0, perturb=0.0,
    reverse=0.0,
    bone_scale=0.0, body_scale=0.0,
)  # fmt: skip
T_POSE = np.array(
    [(0, 0, 0.95), (-0.09, 0, 0.93), (-0.09, -0.02, 0.5), (-0.09, 0, 0.08), (0.09, 0, 0.93), (0.09, -0.02, 0.5),
     (0.09, 0, 0.08), (0, 0, 1.2), (0, 0, 1.47), (0, -0.12, 1.55), (0, 0, 1.7), (0.18, 0, 1.43), (0.46, 0, 1.43),
     (0.65, 0, 1.43), (-0.18, 0, 1.43), (-0.46, 0, 1.43), (-0.65, 0, 1.43)], np.float32,
)  # fmt: skip
"""Facing -y, z up: the person's left is at +x."""


@pytest.fixture
def cmu(tmp_path):
    """A small data set in the shards' own format: a person who walks and swings the arms."""
    rng = np.random.default_rng(0)
    for split, lengths in (("train", (120, 90)), ("val", (100,))):
        sequences = []
        for length in lengths:
            t = np.arange(length)[:, None, None] / 50
            swing = 0.1 * np.sin(2 * np.pi * t + rng.uniform(0, 6, (1, 17, 1))) * rng.normal(size=(1, 17, 3))
            sequences.append(T_POSE + swing + t * [0.5, 0.2, 0])
        np.savez(
            tmp_path / f"cmu17_{split}_00.npz",
            positions=np.round(1000 * np.concatenate(sequences)).astype(np.int16),
            offsets=np.cumsum([0, *lengths]),
            subject=np.arange(len(lengths), dtype=np.int16),
            fps=np.float32(50),
        )
    return tmp_path


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def posed(batch: int = 8, frames: int = 5) -> torch.Tensor:
    return torch.from_numpy(T_POSE).expand(batch, frames, 17, 3).clone()


def bone_lengths(joints: torch.Tensor) -> torch.Tensor:
    return (joints[:, :, 1:] - joints[:, :, list(H36M_17.parents[1:])]).norm(dim=-1)


def test_reader_gives_metres_and_sequences(cmu):
    motion = load_cmu(cmu, "train")
    assert motion.positions.shape == (210, 17, 3)
    assert motion.offsets.tolist() == [0, 120, 210]
    assert np.abs(motion.positions[0, 10, 2] - 1.7) < 0.5


def test_missing_and_broken_data_are_one_line(tmp_path):
    with pytest.raises(VidposeError, match="no cmu17_train"):
        load_cmu(tmp_path, "train")
    np.savez(
        tmp_path / "cmu17_train_00.npz", positions=np.zeros((5, 16, 3), np.int16), offsets=[0, 5], subject=[1], fps=50
    )
    with pytest.raises(VidposeError, match=r"\(5, 16, 3\), where \(frames, 17, 3\)"):
        load_cmu(tmp_path, "train")
    with pytest.raises(UsageError, match="unknown CMU split"):
        load_cmu(tmp_path, "all")


def test_cameras_are_rigid_and_upright():
    camera, distance = view(posed(64), CLEAN, generator())
    torch.testing.assert_close(bone_lengths(camera), bone_lengths(posed(64)), rtol=1e-4, atol=1e-4)
    assert (camera[..., 2] > 0.5).all()
    assert (distance >= 2).all()
    head_above_feet = camera[:, :, H36M_17.index("left_ankle"), 1] - camera[:, :, H36M_17.index("head_top"), 1]
    assert (head_above_feet > 0.5).all(), "y points down"


def test_left_stays_left_in_every_view():
    camera, _ = view(posed(64), CLEAN, generator())
    # In a frame with x right, y down, z forward: forward = up x left, for a mirrored person too.
    up = -(camera[:, :, 0] - camera[:, :, 8])
    left = camera[:, :, 11] - camera[:, :, 14]
    nose = camera[:, :, 9] - camera[:, :, 8]
    facing = torch.linalg.cross(left, up)
    assert ((facing * nose).sum(-1) > 0).all()


def test_a_clean_detector_sees_the_projection():
    camera, distance = view(posed(16), CLEAN, generator())
    seen = detect(camera, distance, torch.full((16,), 0.02), CLEAN, generator())
    wrist = H36M_17.index("left_wrist")
    expected = camera[..., wrist, :2] / camera[..., wrist, 2:] * distance[:, None, None]
    torch.testing.assert_close(seen[:, :, wrist, :2], expected)
    assert (seen[..., 2] == 1).all()


def test_derived_joints_are_made_as_at_inference():
    noisy = Augmentation(dropped=0.0)
    camera, distance = view(posed(16), noisy, generator())
    seen = detect(camera, distance, torch.full((16,), 0.02), noisy, generator(4)).numpy()
    by_name = {joint: seen[..., H36M_17.index(joint), :] for joint in H36M_17.joints}
    blazepose = np.zeros((*seen.shape[:2], 33, 3), np.float32)
    for i, joint in enumerate(BLAZEPOSE_TO_H36M.source.joints):
        if joint in by_name:
            blazepose[..., i, :] = by_name[joint]
    xy, scores = BLAZEPOSE_TO_H36M(blazepose[..., :2], blazepose[..., 2])
    for joint in ("pelvis", "spine", "thorax"):
        np.testing.assert_allclose(xy[..., H36M_17.index(joint), :], by_name[joint][..., :2], atol=1e-5)
        np.testing.assert_allclose(scores[..., H36M_17.index(joint)], by_name[joint][..., 2], atol=1e-6)


def test_new_bodies_keep_bones_constant_in_time_and_borrow_limbs():
    moving = posed(6, 4) + 0.05 * torch.randn(6, 1, 17, 3, generator=generator(2))
    bodies = new_bodies(moving, Augmentation(recombine=1.0), generator())
    lengths = bone_lengths(bodies)
    torch.testing.assert_close(lengths, lengths[:, :1].expand_as(lengths), rtol=1e-4, atol=1e-4)
    same = new_bodies(moving, Augmentation(recombine=0.0, perturb=0.0, bone_scale=0.0, body_scale=0.0), generator())
    # Only the stated centres change a body when nothing is random but 1 % asymmetry.
    ratio = (bone_lengths(same) / bone_lengths(moving))[:, 0].mean(0)
    assert ratio[H36M_17.index("left_wrist") - 1] == pytest.approx(1.28, abs=0.03)
    assert ratio[H36M_17.index("left_knee") - 1] == pytest.approx(1.0, abs=0.03)


def test_sampler_imitates_frame_rates_and_respects_sequences(cmu):
    sampler = MotionSampler(load_cmu(cmu, "train"), 27, Augmentation(fps=(25, 25.001), reverse=0.0), generator())
    windows, seconds = sampler.windows(64)
    assert seconds.numpy() == pytest.approx(0.04, rel=1e-3)
    # The walk goes 0.5 m/s in x: 2 cm a frame at 25 fps, unless it stands at an end of its sequence.
    step = windows[:, :, :, 0].mean(dim=2).diff(dim=1)
    assert step.max() < 0.06
    assert step.median() == pytest.approx(0.02, abs=0.005)


RECIPE = Recipe(
    "single-branch",
    {"width": 16, "depth": 1, "frames": 9, "heads": 2},
    steps=6,
    batch=4,
    schedule={"name": "warmup-linear", "warmup": 2},
    bf16=False,
)


def test_training_writes_weights_that_load(cmu, tmp_path):
    path = train(RECIPE, cmu, tmp_path / "run")
    loaded = load_weights(path)
    assert loaded.about["conversion"] == BLAZEPOSE_TO_H36M.name
    assert set(loaded.about["metrics"]) == {"val_mpjpe_mm", "val_p_mpjpe_mm"}
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["steps"] == 6


def test_the_same_seed_gives_the_same_weights_and_a_resumed_run_too(cmu, tmp_path):
    whole = load_weights(train(RECIPE, cmu, tmp_path / "whole"))
    again = load_weights(train(RECIPE, cmu, tmp_path / "again"))
    assert whole.sha256 == again.sha256

    calls = 0

    def interrupt(*_):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return original(*_)

    from vidpose.training.loop import Trainer

    original = Trainer.train_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(RECIPE, cmu, tmp_path / "cut")
    assert not (tmp_path / "cut" / "weights.safetensors").exists()
    resumed = load_weights(train(RECIPE, cmu, tmp_path / "cut", resume=True))
    for key, tensor in whole.lifter.state_dict().items():
        assert torch.equal(tensor, resumed.lifter.state_dict()[key]), key


def test_training_reduces_the_error(cmu, tmp_path):
    rows = []
    recipe = Recipe(
        "single-branch",
        RECIPE.model,
        steps=200,
        batch=16,
        lr=5e-3,
        schedule={"name": "warmup-linear", "warmup": 5},
        bf16=False,
    )
    train(recipe, cmu, tmp_path / "run", report=rows.append)
    assert rows[-1]["mpjpe_mm"] < 0.8 * rows[0]["mpjpe_mm"]


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
    recipe = Recipe(arch, model, loss=loss, joint_weights="hossain", steps=4, batch=4, bf16=False,
                    schedule={"name": "exponential-by-epoch"}, steps_per_epoch=2)  # fmt: skip
    rows = []
    lifter = load_weights(train(recipe, cmu, tmp_path / "run", report=rows.append)).lifter
    assert np.isfinite(rows[-1]["val_mpjpe_mm"])
    if arch != "p-stmo":
        # A metre or so of body, not the unit that an untrained lifter begins with.
        assert 0.01 < lifter.output_std[1:].mean() < 0.6
    assert recipe.rate(3) == pytest.approx(0.99 * recipe.lr)


def test_nothing_to_resume_is_said(cmu, tmp_path):
    with pytest.raises(VidposeError, match="no checkpoint to resume"):
        train(RECIPE, cmu, tmp_path / "run", resume=True)


def test_recipes_with_unknown_keys_are_refused():
    with pytest.raises(UsageError, match="no such key: stepz"):
        Recipe.from_dict({"arch": "single-branch", "stepz": 3}, "r.toml")
    with pytest.raises(UsageError, match="no such key: mpjp"):
        Recipe.from_dict({"arch": "lstm", "loss": {"mpjp": 1.0}}, "r.toml")
    with pytest.raises(UsageError, match="no such key: wormup"):
        Recipe.from_dict({"arch": "lstm", "schedule": {"name": "warmup-linear", "wormup": 1}}, "r.toml")
    with pytest.raises(UsageError, match="its schedule needs a name: linear, warmup-linear"):
        Recipe.from_dict({"arch": "lstm", "schedule": {"name": "steep"}}, "r.toml")
    with pytest.raises(UsageError, match="no such key: wind"):
        Recipe.from_dict({"arch": "single-branch", "augmentation": {"wind": 3}}, "r.toml")
    with pytest.raises(UsageError, match="names no arch"):
        Recipe.from_dict({}, "r.toml")


def test_every_shipped_recipe_builds():
    import tomllib

    from vidpose.lifters import create_lifter
    from vidpose.shipped import shipped

    recipes = sorted(shipped("recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        recipe = Recipe.from_dict(tomllib.loads(path.read_text()), str(path))
        create_lifter(recipe.arch, **recipe.model)
        Augmentation(**recipe.augmentation)


WITHOUT = """
import sys
for missing in ("cv2", "av", "mediapipe"):
    sys.modules[missing] = None
from vidpose.cli import main
main()
"""


def test_training_needs_neither_opencv_nor_pyav_nor_mediapipe(cmu, tmp_path):
    import subprocess
    import sys

    recipe = tmp_path / "r.toml"
    recipe.write_text('arch = "single-branch"\nsteps = 2\nbatch = 2\n[model]\nwidth = 16\ndepth = 1\nframes = 9\n')
    command = [
        sys.executable,
        "-c",
        WITHOUT,
        "train",
        recipe,
        "--data",
        cmu,
        "--out",
        tmp_path / "run",
        "--device",
        "cpu",
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert load_weights(tmp_path / "run" / "weights.safetensors").lifter.config.width == 16
