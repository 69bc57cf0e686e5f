"""The mesh head of SSR-STF's section IV.G: its equations once more, its truth, and a small training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import CAMERA_IN_WORLD, CAMERA_PLACE, world_joints
from scipy.spatial.transform import Rotation
from training_data import write_store

from vidpose.body.kinematics import pose
from vidpose.body_models.anny_model import anny
from vidpose.body_models.body_model import skinned
from vidpose.body_models.differentiable import DifferentiableBody, relative_turns
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.store import Recording, Store
from vidpose.evaluation.metrics import mpve
from vidpose.lifters import create_lifter
from vidpose.lifters.mesh_head import MeshLifter, read_mesh_lifter, rotations_of, six_of
from vidpose.training.loop import train
from vidpose.training.mesh_losses import parameter_norm, pose_error, shape_error
from vidpose.training.mesh_training import mesh_summary, open_mesh_windows
from vidpose.training.recipe import Recipe, read_recipe

CPU = torch.device("cpu")


def walk(number: int, split: str) -> Recording:
    """A body of rigid bones that walks before a camera."""
    joints = ((world_joints(40, number) - CAMERA_PLACE) @ CAMERA_IN_WORLD).astype(np.float32)
    pixels = joints[..., :2] / joints[..., 2:] * 800 + 500
    found = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 0.9)], axis=-1).astype(np.float32)
    return Recording(joints, {"gt": pixels.astype(np.float32), "detector": found}, split, f"S{number}", "all", "1",
                     f"walk {number}", 1000, 1000, 30.0)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    recordings = [walk(0, "train"), walk(1, "train"), walk(2, "test")]
    return write_store(tmp_path_factory.mktemp("walks") / "h36m", recordings)


@pytest.fixture
def recipe() -> Recipe:
    settings = ["mesh.body=anny", "mesh.hidden=32", "data.input=gt", "steps=30", "batch=8", "lr=1e-2"]
    model = {"frames": 8, "width": 16, "depth": 1, "representation": 24, "normalisation": "person", "channels": 3}
    return replace(read_recipe("ssr-stf-table7/ssr-stf", settings), model=model)


def test_six_numbers_are_a_rotation():
    """By the QR decomposition of the two columns, whose signs are made to agree with them."""
    six = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 6)))
    for numbers, found in zip(six.numpy(), rotations_of(six).numpy(), strict=True):
        q, r = np.linalg.qr(numbers.reshape(2, 3).T)
        q = q * np.sign(np.diag(r))
        np.testing.assert_allclose(found, np.column_stack([*q.T, np.cross(*q.T)]), atol=1e-12)
    turns = torch.from_numpy(Rotation.random(4, random_state=1).as_matrix())
    np.testing.assert_allclose(rotations_of(six_of(turns)), turns, atol=1e-12)


def test_losses_by_hand():
    rng = np.random.default_rng(2)
    ours, theirs = (Rotation.random(2 * 3 * 4, random_state=seed) for seed in (3, 4))
    shapes, true_shapes = rng.normal(size=(2, 2, 5))
    matrices = [torch.from_numpy(turns.as_matrix().reshape(2, 3, 4, 3, 3)) for turns in (ours, theirs)]
    differences = [abs(a - b) for a, b in zip(*(m.numpy().ravel() for m in matrices), strict=True)]
    assert pose_error(*matrices).item() == pytest.approx(sum(differences) / len(differences), rel=1e-12)
    by_hand = sum(abs(a - b) for a, b in zip(shapes.ravel(), true_shapes.ravel(), strict=True)) / 10
    assert shape_error(torch.from_numpy(shapes), torch.from_numpy(true_shapes)).item() == pytest.approx(by_hand)
    theta = ours.as_rotvec().reshape(2, 3, 12)
    lengths = [np.linalg.norm([*theta[b, t], *shapes[b]]) for b in range(2) for t in range(3)]
    assert parameter_norm(matrices[0], torch.from_numpy(shapes)).item() == pytest.approx(np.mean(lengths), rel=1e-9)
    still = torch.eye(3).expand(1, 1, 2, 3, 3).clone().requires_grad_()
    parameter_norm(still, torch.zeros(1, 5)).backward()
    assert still.grad is not None
    assert still.grad.isfinite().all()


def test_mpve_by_hand():
    rng = np.random.default_rng(5)
    ours, theirs, roots, true_roots = (rng.normal(size=size) for size in ((2, 7, 3), (2, 7, 3), (2, 3), (2, 3)))
    for n, row in enumerate(mpve(ours, theirs, roots, true_roots)):
        for v, error in enumerate(row):
            way = [(ours[n, v, d] - roots[n, d]) - (theirs[n, v, d] - true_roots[n, d]) for d in range(3)]
            assert error == pytest.approx(sum(part**2 for part in way) ** 0.5)


@pytest.mark.parametrize(("dial", "value"), [("thighs", 0.4), ("thighs", -0.4), ("scale", 1.2), ("height", 0.1)])
def test_torch_moves_a_body_as_numpy_does(dial: str, value: float):
    model = anny()
    body = DifferentiableBody(model).double()
    turns = Rotation.random(2 * len(model.layout), random_state=6).as_matrix().reshape(2, -1, 3, 3)
    rest = model.rest({dial: value})
    heads = pose(rest.offsets(model.layout), turns, np.zeros((2, 3)), model.layout)
    shapes = body.usual.expand(2, -1).clone()
    shapes[:, body.dials.index(dial)] = value
    relative = relative_turns(torch.from_numpy(turns), model.layout.parents)
    found_turns, found_heads = body.bones(relative, shapes)
    np.testing.assert_allclose(found_turns, turns, atol=1e-9)
    np.testing.assert_allclose(found_heads, heads, atol=1e-5)
    vertices = body.vertices(found_turns, found_heads, shapes)
    np.testing.assert_allclose(vertices, skinned(model, rest, turns, heads), atol=2e-5)


@pytest.mark.parametrize("normalisation", ["person", "screen"])
def test_the_true_bodies_go_along_with_the_windows(normalisation: str, store: Store, recipe: Recipe):
    """Turned into the frame of the ray and mirrored, a body's limbs stay where the window's own joints are."""
    lifter = create_lifter(recipe.arch, **{**recipe.model, "normalisation": normalisation})
    flipped = replace(recipe, data=replace(recipe.data, flip="duplicate"))
    windows = open_mesh_windows(flipped, store, "train", lifter, CPU, plain=False)
    network = MeshLifter(lifter, anny(), 8)
    network.landmarks.copy_(windows.landmarks_JD)
    _, mirrored = windows.drawn(0, 20)
    assert 0 < mirrored.sum() < 20
    batch, plain = windows.bodies(0, 20), windows.batch(0, 20)
    turns = relative_turns(batch.turns_BTKDD.flatten(0, 1), network.body.bone_parents)
    joints, _, _ = network.joints(turns, batch.shapes_BP[:, None].expand(-1, 8, -1).flatten(0, 1))
    limbs = [i for i, joint in enumerate(lifter.layout.joints) if "_" in joint and joint != "head_top"]
    off = (joints.unflatten(0, (20, 8)) - plain.joints_BTJD[:, :, :17])[:, :, limbs].norm(dim=-1)
    assert off.mean() < 0.006
    assert off[mirrored > 0].mean() < 0.006


def test_a_small_training(store: Store, recipe: Recipe, tmp_path: Path):
    path = train(recipe, store.folder, tmp_path / "run", device="cpu")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    weights = {"joints": 500, "velocity": 10_000, "pose": 1000, "shape": 1, "norm": 20}
    assert rows[0]["loss"] == pytest.approx(sum(weight * rows[0][name] for name, weight in weights.items()), rel=1e-4)
    network = read_mesh_lifter(path, anny())
    assert not any(key.startswith("body.") for key in network.state_dict())
    summary = mesh_summary(network, recipe, store, "test")
    (figures,) = summary["averages"]
    for name in ("mpve", "mpjpe", "p_mpjpe"):
        assert figures[name] == pytest.approx(rows[-1][f"val_{name}_mm"], rel=1e-4)
    assert (summary["frames"], summary["clips"]) == (40, 1)


def test_a_run_that_goes_on_takes_up_its_bodies(
    store: Store, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    short, out, said = replace(recipe, steps=2), tmp_path / "run", []
    train(short, store.folder, out, device="cpu")
    lifter = create_lifter(recipe.arch, **recipe.model)
    fitted = open_mesh_windows(recipe, store, "train", lifter, CPU, plain=False)

    def fails(*of: object) -> None:
        raise VidposeError("fitted again")

    monkeypatch.setattr("vidpose.training.true_bodies.fit_motion", fails)
    train(replace(short, steps=3), store.folder, out, device="cpu", resume=True, say=said.append)
    kept = out / "bodies-train.safetensors"
    assert f"{kept}: bodies that were fitted before" in said
    found = open_mesh_windows(recipe, store, "train", lifter, CPU, plain=False, run=out)
    for one, other in zip(found.plain(torch.arange(4)), fitted.plain(torch.arange(4)), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(found.landmarks_JD, fitted.landmarks_JD)
    # Of another split, and of another model, they are no bodies.
    shutil.copy(kept, out / "bodies-test.safetensors")
    with pytest.raises(VidposeError, match="fitted again"):
        open_mesh_windows(recipe, store, "test", lifter, CPU, plain=False, run=out)
    thin = anny()
    monkeypatch.setattr(thin, "rest", lambda shape, usual=thin.rest: usual({**shape, "weight": 0.1}))
    with pytest.raises(VidposeError, match="fitted again"):
        open_mesh_windows(recipe, store, "train", lifter, CPU, plain=False, run=out)
    kept.write_bytes(kept.read_bytes()[:-100])
    with pytest.raises(VidposeError, match=r"bodies-train\.safetensors: not the bodies of a run .*; remove it"):
        open_mesh_windows(recipe, store, "train", lifter, CPU, plain=False, run=out)


def test_what_cannot_be_is_said_in_a_line(store: Store, recipe: Recipe, tmp_path: Path):
    with pytest.raises(UsageError, match="martinez: has no motion representation"):
        train(replace(recipe, arch="martinez", model={}), store.folder, tmp_path / "a", device="cpu")
    with pytest.raises(UsageError, match="mesh: learns from a benchmark's clips"):
        train(replace(recipe, data=replace(recipe.data, dataset="cmu17")), store.folder, tmp_path / "b", device="cpu")
    smpl = replace(recipe.mesh, body=str(tmp_path / "no.npz"))
    with pytest.raises(VidposeError, match=r"no\.npz"):
        train(replace(recipe, mesh=smpl), store.folder, tmp_path / "c", device="cpu")
    with pytest.raises(UsageError, match="no key"):
        read_recipe("ssr-stf-table7/ssr-stf", ["mesh.bones=24"])
