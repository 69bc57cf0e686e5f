"""Training before the training: a lifter's front restores hidden 2D poses (P-STMO's stage I, `lifters/masked_poses`).

What it exports is a whole lifter, of which only that front has learned anything; a recipe whose `init` names this one
goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vidpose.common.errors import UsageError
from vidpose.lifters.masked_poses import MaskedPoses
from vidpose.lifters.p_stmo import PSTMO
from vidpose.lifters.zoo import save_lifter
from vidpose.training.lifter_run import WindowsRun
from vidpose.training.logs import Chart
from vidpose.training.recipe import Recipe
from vidpose.training.starting import new_lifter
from vidpose.training.windows import Batch, open_windows

_AT_ONCE = 32
"""Windows that validation restores at once."""


class MaskedTrainer(WindowsRun[MaskedPoses]):
    """A run in which a lifter's front learns from 2D keypoints alone."""

    measure = "val_restored"
    chart = Chart(
        "distance of restored keypoints (1/1000 of half the picture's width)",
        {"restored": "training", "val_restored": "validation"},
    )

    def prepare(
        self, recipe: Recipe, data: Path, out: Path, device: torch.device, say: Callable[[str], None]
    ) -> tuple[MaskedPoses, int, tuple[str, ...]]:
        lifter = new_lifter(recipe)
        if not isinstance(lifter, PSTMO):
            raise UsageError(f"masking: hides what p-stmo then restores, and is not for {recipe.arch}; leave it out")
        settings: dict[str, Any] = dict(recipe.masking)
        network = MaskedPoses(lifter, **settings).to(device)
        self.windows, self.held_out = open_windows(recipe, data, lifter, device)
        return network, self.windows.steps_per_epoch(recipe.batch), ("loss", "restored")

    def loss_of(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        (restored_BTJ2,) = self.predictions(batch.keypoints_BTJC)
        loss = _distance(restored_BTJ2.float(), batch.keypoints_BTJC)
        return loss, torch.stack([loss, 1000 * loss]).detach()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """How far restored keypoints of the held-out windows are off, what is hidden being the same every time."""
        network = self.answer.eval()
        distances = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for part_BTJC in self.held_out.keypoints_BTJC.split(_AT_ONCE):
                hidden_T, hidden_TJ = network.draw(part_BTJC.shape[1:3], torch.device("cpu"))
                restored_BTJ2 = network.restore(
                    part_BTJC, hidden_T.to(part_BTJC.device), hidden_TJ.to(part_BTJC.device)
                )
                distances.append(_distance(restored_BTJ2.float(), part_BTJC) * len(part_BTJC))
        self.network.train()
        return {"val_restored": 1000 * torch.stack(distances).sum().item() / len(self.held_out.keypoints_BTJC)}

    def export(self, path: Path, row: dict[str, float]) -> None:
        """Write the lifter, with the validation's figure."""
        stage = {"stage": "front pre-trained on hidden 2D poses; the rest is as it was drawn"}
        save_lifter(self.answer.lifter, path, self.windows.about | self.facts(row) | stage, half=self.half)


def _distance(restored_BTJ2: torch.Tensor, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
    """Mean distance of restored keypoints from those that were there."""
    return (restored_BTJ2 - keypoints_BTJC[..., :2]).norm(dim=-1).mean()
