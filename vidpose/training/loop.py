"""Training a lifter as a recipe says, from top to bottom.

    train(read_recipe("mixste"), Path("data/h36m"), Path("runs/mixste"))

Recipe -> windows -> lifter -> steps -> `weights.safetensors`. `run` has what this training shares with others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

import torch

from vidpose.common.errors import UsageError
from vidpose.evaluation.metrics import p_mpjpe
from vidpose.lifters import HypothesisLifter, Lifter
from vidpose.lifters.martinez import Standardised
from vidpose.lifters.pot import POT
from vidpose.lifters.zoo import save_lifter
from vidpose.training.carrying_out import Running, carry_out
from vidpose.training.doubt_training import DoubtTrainer
from vidpose.training.lifter_run import WindowsRun
from vidpose.training.logs import MPJPE
from vidpose.training.losses import LOSSES, OF_MOTION, joint_weights
from vidpose.training.masked_training import MaskedTrainer
from vidpose.training.mesh_training import MeshTrainer
from vidpose.training.recipe import Recipe
from vidpose.training.refiner_training import RefinerTrainer
from vidpose.training.run import Run
from vidpose.training.starting import new_lifter, start_from
from vidpose.training.windows import Batch, open_windows

_AT_ONCE = 2592
"""Frames that validation lifts at once."""


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    half: bool = False,
    say: Callable[[str], None] = lambda line: None,
    **running: Unpack[Running],
) -> Path:
    """Train as the recipe says; gives the path of the exported weights.

    Args:
        data: folder of the prepared benchmark, or of the CMU-17 shards.
        out: folder for `recipe.json`, `checkpoint.pt`, `metrics.jsonl`, `curves.png` and `weights.safetensors`.
        half: export in float16.
        say: called with a line for people, in the first process only.
        running: as of `carry_out`.

    Raises:
        UsageError: data, lifter and recipe do not go together, or `out` holds a run.
        VidposeError: bad data, a checkpoint that is missing or of another recipe, no memory, or a loss that is no
            longer a number. The last checkpoint stays.
        KeyboardInterrupt: passed on, after the state is saved.
    """
    return carry_out(
        recipe,
        lambda fabric: _trainer(recipe)(recipe, data, out, fabric, half=half, say=say),
        Trainer.samples,
        out,
        **running,
    )


def _trainer(recipe: Recipe) -> Callable[..., Run[Any, Any]]:
    """What the recipe trains."""
    if recipe.masking:
        return MaskedTrainer
    if recipe.refiner:
        return RefinerTrainer
    if recipe.mesh:
        return MeshTrainer
    if recipe.spreads:
        return SpreadTrainer
    return DoubtTrainer if recipe.model.get("doubt") else Trainer


class Trainer(WindowsRun[Lifter]):
    """A run that trains a lifter."""

    measure = "val_mpjpe_mm"
    chart = MPJPE

    def prepare(
        self, recipe: Recipe, data: Path, out: Path, device: torch.device, say: Callable[[str], None]
    ) -> tuple[Lifter, int, tuple[str, ...]]:
        self.lifter: Lifter = new_lifter(recipe).to(device)
        self.windows, self.held_out = open_windows(recipe, data, self.lifter, device)
        if isinstance(self.lifter, Standardised):
            keypoints_BTJC, joints_BTJD, metres_BT = self.windows.survey()
            self.lifter.standardise(keypoints_BTJC[metres_BT > 0], joints_BTJD[metres_BT > 0])
        if recipe.init:
            start_from(self.lifter, recipe, out, say)
        self.joint_weights_J = joint_weights(recipe.joint_weights, self.lifter.layout).to(device)
        return self.lifter, self.windows.steps_per_epoch(recipe.batch), ("loss", *recipe.loss, "mpjpe_mm")

    def loss_of(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        # What such a lifter learns from is the truth, with noise.
        truth = (batch.joints_BTJD,) if isinstance(self.lifter, HypothesisLifter) else ()
        return self.losses(self.predictions(batch.keypoints_BTJC, *truth), batch)

    def losses(self, predictions: tuple[torch.Tensor, ...], batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, the sum of the recipe's over all predictions; and what is logged: it, its terms, and the error."""
        terms = {name: torch.zeros((), device=self.fabric.device) for name in self.recipe.loss}
        for predicted_BTJD in map(torch.Tensor.float, predictions):
            answered = predicted_BTJD.shape[1]
            metres_BT = self.lifter.targets(batch.metres_BT, answered)
            expected_BTJD = self.lifter.targets(batch.joints_BTJD, answered)
            # A frame that does not count is its own target: no error, and no gradient, not even by its neighbours.
            counts_BT11 = metres_BT[..., None, None] > 0
            predicted_BTJD = torch.where(counts_BT11, predicted_BTJD, predicted_BTJD.detach())
            expected_BTJD = torch.where(counts_BT11, expected_BTJD, predicted_BTJD.detach())
            for name, weight in self.recipe.loss.items():
                if answered > 1 or name not in OF_MOTION:
                    term = LOSSES[name](predicted_BTJD, expected_BTJD, self.joint_weights_J)
                    terms[name] = terms[name] + weight * term
        loss = torch.stack(list(terms.values())).sum()
        error = _mean_millimetres(predicted_BTJD, expected_BTJD, metres_BT)
        return loss, torch.stack([loss, *terms.values(), error]).detach()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Errors of the answer on the held-out windows, in millimetres."""
        keypoints_BTJC, joints_BTJD, metres_BT = self.held_out
        lifter = self.answer.eval()
        parts = keypoints_BTJC.split(max(1, _AT_ONCE // lifter.config.frames))
        predicted_BTJD = torch.cat([lifter(part) for part in parts]).float()
        joints_BTJD, metres_BT = (lifter.targets(part, predicted_BTJD.shape[1]) for part in (joints_BTJD, metres_BT))
        if lifter.predicts != "sequence" and predicted_BTJD.shape[1] == lifter.config.frames:
            # It learns from all frames of its window, and is used for one.
            used = lifter.config.frames // 2 if lifter.predicts == "centre" else lifter.config.frames - 1
            predicted_BTJD, joints_BTJD = predicted_BTJD[:, used, None], joints_BTJD[:, used, None]
            metres_BT = metres_BT[:, used, None]
        self.lifter.train()
        counts_BT = metres_BT > 0
        predicted_NJD, joints_NJD = (
            (metres_BT[..., None, None] * part)[counts_BT].cpu().numpy() for part in (predicted_BTJD, joints_BTJD)
        )
        return {
            "val_mpjpe_mm": _mean_millimetres(predicted_BTJD, joints_BTJD, metres_BT).item(),
            "val_p_mpjpe_mm": 1000 * float(p_mpjpe(predicted_NJD, joints_NJD).mean()),
        }

    def export(self, path: Path, row: dict[str, float]) -> None:
        """Write the answer's weights, with the validation's figures."""
        save_lifter(self.answer, path, self.windows.about | self.facts(row), half=self.half)


class SpreadTrainer(Trainer):
    """A run of POT's second stage: its refinement and its spreads learn, and what they refine does not."""

    lifter: POT

    def prepare(
        self, recipe: Recipe, data: Path, out: Path, device: torch.device, say: Callable[[str], None]
    ) -> tuple[Lifter, int, tuple[str, ...]]:
        if recipe.arch != POT.name or not recipe.init or recipe.model.get("refine_depth") == 0:
            raise UsageError("spreads: are of pot, refining what init names; leave them out otherwise")
        lifter, steps_per_epoch, logged = super().prepare(recipe, data, out, device, say)
        self.lifter.freeze_first_stage()
        return lifter, steps_per_epoch, (*logged, "spreads")

    def loss_of(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        spreads_BTJ, refined_BTJ3 = self.predictions(batch.keypoints_BTJC, batch.joints_BTJD)
        loss, logged = self.losses((refined_BTJ3,), batch)
        counts_BT = batch.metres_BT > 0
        spreads = self.recipe.spreads * spreads_BTJ[counts_BT].mean(dim=-1).sum() / counts_BT.sum().clamp_min(1)
        return loss + spreads, torch.stack([loss + spreads, *logged[1:], spreads]).detach()

    def validate(self) -> dict[str, float]:
        row = super().validate()
        self.lifter.freeze_first_stage()
        return row


def _mean_millimetres(predicted: torch.Tensor, target: torch.Tensor, metres_BT: torch.Tensor) -> torch.Tensor:
    """Mean per-joint position error over the frames that count."""
    errors_BT = (predicted - target).norm(dim=-1).mean(dim=-1)
    return 1000 * torch.where(metres_BT > 0, metres_BT * errors_BT, 0.0).sum() / (metres_BT > 0).sum().clamp_min(1)
