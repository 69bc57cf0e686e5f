"""Training a mesh head behind a lifter (SSR-STF, section IV.G) on a benchmark whose people were fitted with a body.

Human3.6M has no meshes that may be passed on, so the truth is made here: a body is fitted to the true joints of each
clip before the first step (`vidpose.training.true_bodies`).

Shape suffixes: F frames of a split, B batch, T frames of a window, J joints, K bones, P dials, D 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vidpose.body_models.anny_model import anny
from vidpose.body_models.body_model import BodyModel
from vidpose.body_models.differentiable import relative_turns
from vidpose.body_models.smpl_model import read_smpl
from vidpose.common.errors import UsageError
from vidpose.datasets.store import Store
from vidpose.evaluation.metrics import mpjpe, mpve, p_mpjpe
from vidpose.lifters import Lifter
from vidpose.lifters.mesh_head import MeshLifter, save_mesh_lifter
from vidpose.training.lifter_run import LifterRun
from vidpose.training.logs import Chart
from vidpose.training.losses import mpjpe as joint_error
from vidpose.training.losses import mpjve as velocity_error
from vidpose.training.mesh_losses import parameter_norm, pose_error, shape_error
from vidpose.training.recipe import CMU17, Data, Recipe
from vidpose.training.starting import new_lifter, start_from
from vidpose.training.true_bodies import TrueMotion, true_bodies
from vidpose.training.windows import StoreWindows, open_store

_AT_ONCE = 16
"""Windows that are evaluated together."""

_HELD_OUT = 256
"""Windows that a run is validated on."""


class MeshBatch(NamedTuple):
    """Windows with the bodies in them.

    Attributes:
        keypoints_BTJC: as the lifter takes them.
        turns_BTKDD: rotations of bones from the rest pose, in the lifter's frame.
        shapes_BP: where the fitted dials stand.
        counts_BT: whether a frame is one of the clip and counts.
    """

    keypoints_BTJC: torch.Tensor
    turns_BTKDD: torch.Tensor
    shapes_BP: torch.Tensor
    counts_BT: torch.Tensor


def body_of(recipe: Recipe) -> BodyModel:
    """The body that a recipe's mesh head learns; raises VidposeError where its file cannot be read."""
    assert recipe.mesh
    return anny() if recipe.mesh.body == "anny" else read_smpl(Path(recipe.mesh.body))


class MeshWindows(StoreWindows):
    """Windows of a benchmark with the bodies that were fitted to its people.

    A bone's rotation goes along with the joints as two directions, its y and its z axis, so that whatever turns or
    mirrors a window does so to the body in it: left and right bones change places, and the x axis follows.

    Args:
        model: the body.
        kept, say: as of `vidpose.training.true_bodies.true_bodies`.
        others: as of `StoreWindows`.

    Attributes:
        landmarks_JD: mean ways from heads of bones to joints, in the frames of the bones that hold them.
    """

    def __init__(
        self, store: Store, split: str, lifter: Lifter, data: Data, seed: int, device: torch.device, model: BodyModel,
        kept: Path | None = None, say: Callable[[str], None] = lambda line: None,
    ):  # fmt: skip
        super().__init__(store, split, lifter, data, seed, device)
        joints_FJD, counts_F = self.joints_FJD * self.metres_F[:, None, None], self.metres_F > 0
        clips = [(first, last) for first, last in torch.unique(self.windows_W4[:, 1:3], dim=0).tolist()]
        motion = TrueMotion(joints_FJD.cpu().numpy(), counts_F.cpu().numpy(), clips, lifter.layout, str(store.folder))
        truth = true_bodies(motion, model, kept, say)
        self.model, self.joint_count = model, self.joints_FJD.shape[1]
        self.landmarks_JD = torch.from_numpy(truth.landmarks).to(device)
        self.shapes_FP = torch.from_numpy(truth.shapes).to(device)
        axes_FXD = torch.from_numpy(truth.axes[:, model.mover_of]).flatten(1, 2).to(device)
        self.joints_FJD = torch.cat([self.joints_FJD, axes_FXD], dim=1)
        mirror_K = torch.tensor(model.layout.mirror, device=device)
        mirror_X = self.joint_count + torch.stack([2 * mirror_K, 2 * mirror_K + 1], dim=1).flatten()
        self.mirrors = (self.mirrors[0], torch.cat([self.mirrors[1], mirror_X]))

    def bodies(self, step: int, size: int) -> MeshBatch:
        """The windows of a step."""
        window_B, _ = self.drawn(step, size)
        return self._with_bodies(self.batch(step, size), window_B)

    def plain(self, window_B: torch.Tensor) -> MeshBatch:
        """Windows by their numbers, as they are."""
        return self._with_bodies(self.cut(window_B), window_B)

    def _with_bodies(self, batch: Any, window_B: torch.Tensor) -> MeshBatch:
        y_BTKD, z_BTKD = batch.joints_BTJD[:, :, self.joint_count :].unflatten(2, (-1, 2)).unbind(-2)
        turns_BTKDD = torch.stack([torch.linalg.cross(y_BTKD, z_BTKD), y_BTKD, z_BTKD], dim=-1)
        rows_BT, inside_BT = self.rows_of(window_B)
        counts_BT = (batch.metres_BT > 0) & inside_BT
        return MeshBatch(batch.keypoints_BTJC, turns_BTKDD, self.shapes_FP[rows_BT[:, 0]], counts_BT)


def open_mesh_windows(
    recipe: Recipe, store: Store, split: str, lifter: Lifter, device: torch.device, *, plain: bool,
    run: Path | None = None, say: Callable[[str], None] = lambda line: None,
) -> MeshWindows:  # fmt: skip
    """A split's windows; `plain` for what is evaluated, end to end, without noise or mirror images.

    Args:
        run: the folder that keeps the bodies; None: none does.
        say: called with a line for people.

    Raises:
        UsageError: lifter or data do not go together with a mesh head.
    """
    if lifter.predicts != "sequence":
        raise UsageError(f"{lifter.name}: answers for one frame of a window; a mesh head needs all of them")
    data = recipe.data
    if plain:
        data = replace(data, stride=0, flip="none", noise=0.0)
    kept = run / f"bodies-{split}.safetensors" if run else None
    return MeshWindows(store, split, lifter, data, recipe.seed, device, body_of(recipe), kept, say)


@torch.no_grad()
def mesh_figures(network: MeshLifter, windows: MeshWindows, window_W: torch.Tensor) -> dict[str, float]:
    """MPVE, and MPJPE and P-MPJPE of 14 joints, in millimetres, over the frames of windows that count."""
    sums, frames = np.zeros(3), 0
    for numbers_B in window_W.split(_AT_ONCE):
        batch = windows.plain(numbers_B)
        relative_BTKDD, shapes_BP = network(batch.keypoints_BTJC)
        counts_BT = batch.counts_BT
        answers = []
        for turns_BTKDD, absolute in ((relative_BTKDD, False), (batch.turns_BTKDD, True)):
            turns_NKDD = turns_BTKDD[counts_BT]
            shapes = batch.shapes_BP if absolute else shapes_BP
            shapes_NP = shapes[:, None].expand(-1, counts_BT.shape[1], -1)[counts_BT]
            parents = network.body.bone_parents
            relative_NKDD = relative_turns(turns_NKDD, parents) if absolute else turns_NKDD
            joints_NJD, all_NKDD, heads_NKD = network.joints(relative_NKDD, shapes_NP)
            vertices_NVD = network.body.vertices(all_NKDD, heads_NKD, shapes_NP)
            answers.append([part.double().cpu().numpy() for part in (vertices_NVD, joints_NJD)])
        (vertices, joints), (true_vertices, true_joints) = answers
        errors = (
            mpve(vertices, true_vertices, joints[:, network.root], true_joints[:, network.root]),
            mpjpe(joints[:, network.scored], true_joints[:, network.scored]),
            p_mpjpe(joints[:, network.scored], true_joints[:, network.scored]),
        )
        sums += [error.mean(axis=-1).sum() for error in errors]
        frames += len(joints)
    return dict(zip(("mpve", "mpjpe", "p_mpjpe"), (1000 * sums / max(frames, 1)).tolist(), strict=True))


def mesh_summary(network: MeshLifter, recipe: Recipe, store: Store, split: str) -> dict[str, Any]:
    """A run's figures on a split, as tables of them want it (`vidpose.evaluation.results.Results.summary`)."""
    device = network.landmarks.device
    windows = open_mesh_windows(recipe, store, split, network.lifter, device, plain=True)
    figures = mesh_figures(network, windows, torch.arange(len(windows), device=device))
    return {
        "dataset": store.name,
        "input": recipe.data.input,
        "protocol": {
            "name": "mesh",
            "description": f"bodies of {network.body_name} fitted to the true joints; MPVE of all vertices, MPJPE and "
            "P-MPJPE of 14 joints; windows end to end",
            "split": split,
            "excluded": [],
        },
        "clips": len(torch.unique(windows.windows_W4[:, 1])),
        "frames": int((windows.metres_F > 0).sum()),
        "units": dict.fromkeys(figures, "mm"),
        "averages": [{"over": "frames", "label": "mean over all frames", **figures}],
        "missing_actions": [],
    }


class MeshTrainer(LifterRun[MeshLifter]):
    """A run that trains a mesh head, and the lifter before it."""

    samples = "windows"
    measure = "val_mpve_mm"
    chart = Chart("error (mm)", {"mpjpe_mm": "training, MPJPE", "val_mpjpe_mm": "validation, MPJPE",
                                 "val_mpve_mm": "validation, MPVE"})  # fmt: skip

    def prepare(
        self, recipe: Recipe, data: Path, out: Path, device: torch.device, say: Callable[[str], None]
    ) -> tuple[MeshLifter, int, tuple[str, ...]]:
        if recipe.data.dataset == CMU17:
            raise UsageError(
                "mesh: learns from a benchmark's clips, whose people keep their bodies; `data prepare` one"
            )
        assert recipe.mesh
        store, lifter = open_store(data, recipe.data), new_lifter(recipe)
        network = MeshLifter(lifter, body_of(recipe), recipe.mesh.hidden).to(device)
        self.windows = open_mesh_windows(recipe, store, "train", lifter, device, plain=False, run=out, say=say)
        self.held_out = open_mesh_windows(recipe, store, recipe.data.validation, lifter, device, plain=True, run=out)
        number = min(len(self.held_out), _HELD_OUT)
        self.held_out_W = torch.linspace(0, len(self.held_out) - 1, number, dtype=torch.float64).long().to(device)
        if recipe.init:
            start_from(lifter, recipe, out, say)
        survey = self.windows.plain(torch.arange(min(len(self.windows.windows_W4), 1024), device=device))
        relative_NKDD = relative_turns(survey.turns_BTKDD[survey.counts_BT], network.body.bone_parents)
        network.start_at(relative_NKDD, survey.shapes_BP, self.windows.landmarks_JD)
        terms = ("joints", "velocity", "pose", "shape", "norm")
        return network, self.windows.steps_per_epoch(recipe.batch), ("loss", *terms, "mpjpe_mm")

    def batch_of_step(self, share: slice) -> MeshBatch:
        """The windows of this step that are this process's."""
        return MeshBatch(*(part[share] for part in self.windows.bodies(self.step, self.recipe.batch)))

    def loss_of(self, batch: MeshBatch) -> tuple[torch.Tensor, torch.Tensor]:
        relative_BTKDD, shapes_BP = (part.float() for part in self.predictions(batch.keypoints_BTJC))
        frames = batch.turns_BTKDD.shape[:2]
        true_NKDD = relative_turns(batch.turns_BTKDD.flatten(0, 1), self.network.body.bone_parents)

        def joints(relative_NKDD: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
            shapes_NP = shapes[:, None].expand(*frames, -1).flatten(0, 1)
            return self.network.joints(relative_NKDD, shapes_NP)[0].unflatten(0, frames)

        joints_BTJD = joints(relative_BTKDD.flatten(0, 1), shapes_BP)
        true_BTJD = joints(true_NKDD, batch.shapes_BP)
        error = joint_error(joints_BTJD, true_BTJD)
        terms = torch.stack([
            error,
            velocity_error(joints_BTJD, true_BTJD),
            pose_error(relative_BTKDD, true_NKDD.unflatten(0, frames)),
            shape_error(shapes_BP, batch.shapes_BP),
            parameter_norm(relative_BTKDD, shapes_BP),
        ])  # fmt: skip
        mesh = self.recipe.mesh
        assert mesh
        loss = (terms * terms.new_tensor([mesh.joints, mesh.velocity, mesh.pose, mesh.shape, mesh.norm])).sum()
        return loss, torch.cat([loss[None], terms, 1000 * error[None]]).detach()

    def validate(self) -> dict[str, float]:
        """Errors on held-out windows, in millimetres."""
        figures = mesh_figures(self.answer.eval(), self.held_out, self.held_out_W)
        self.network.train()
        return {f"val_{name}_mm": value for name, value in figures.items()}

    def export(self, path: Path, row: dict[str, float]) -> None:
        save_mesh_lifter(self.answer, path, self.windows.about | self.facts(row))
