"""Training the doubt of a finished lifter (`vidpose.lifters.doubt`): the lifter stays as it is.

A recipe whose `model` has a doubt is for that: its `init` says whose it is. What it exports is that lifter with a
doubt; its header keeps what it said of the lifter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from scipy.stats import spearmanr

from vidpose.common.errors import UsageError
from vidpose.lifters import Lifter
from vidpose.lifters.doubt import Doubt, surprise
from vidpose.lifters.zoo import Weights, load_weights, save_lifter
from vidpose.training.lifter_run import WindowsRun
from vidpose.training.logs import Chart
from vidpose.training.recipe import Recipe
from vidpose.training.starting import new_lifter, weights_named
from vidpose.training.windows import Batch, open_windows

_WITHIN = 0.8057
"""Standard deviations within which 68 % of Laplace's distribution are: -ln(1 - 0.68) / sqrt(2)."""

_AT_ONCE = 2592
"""Frames that are lifted at once."""

_OF_THE_FILE = frozenset({"format", "format_version", "vidpose", "arch", "config", "layout"})
"""Entries of a header that are written anew."""


class DoubtTrainer(WindowsRun[Doubt]):
    """A run in which only a lifter's doubt learns."""

    measure = "val_surprise"
    chart = Chart("negative log likelihood of a joint's error", {"loss": "training", "val_surprise": "validation"})

    def prepare(
        self, recipe: Recipe, data: Path, out: Path, device: torch.device, say: Callable[[str], None]
    ) -> tuple[Doubt, int, tuple[str, ...]]:
        self.weights = load_weights(weights_named(recipe, out))
        self.lifter = _with_doubt(self.weights, recipe).to(device).eval()
        self.children = [joint for joint, parent in enumerate(self.lifter.layout.parents) if parent >= 0]
        self.windows, self.held_out = open_windows(recipe, data, self.lifter, device)
        # The run has a doubt of its own: the lifter's is that of its answer, at the end.
        network = copy.deepcopy(self.lifter.doubt)
        assert network is not None
        return network, self.windows.steps_per_epoch(recipe.batch), ("loss",)

    def loss_of(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        keypoints_NJC, joints_NJD, off_NJD = self.answers(batch)
        (doubts_NJ2,) = self.predictions(keypoints_NJC, joints_NJD)
        loss = surprise(doubts_NJ2.float(), off_NJD)[:, self.children].mean()
        return loss, loss.detach()[None]

    @torch.no_grad()
    def answers(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of all frames that are answered and count: their keypoints (N, J, C), the lifter's joints (N, J, 3), and by
        how much each is off against its parent (N, J, 3), metres."""
        parts = batch.keypoints_BTJC.split(max(1, _AT_ONCE // batch.keypoints_BTJC.shape[1]))
        joints_BTJD = torch.cat([self.lifter(part) for part in parts]).float()
        answered = joints_BTJD.shape[1]
        keypoints_BTJC, true_BTJD, metres_BT = (self.lifter.targets(part, answered) for part in batch)
        counts_BT = metres_BT > 0
        joints_NJD, true_NJD = joints_BTJD[counts_BT], true_BTJD[counts_BT]
        root = self.lifter.layout.parents.index(-1)
        parents = [max(parent, root) for parent in self.lifter.layout.parents]
        off_NJD = joints_NJD - true_NJD
        return keypoints_BTJC[counts_BT], joints_NJD - joints_NJD[:, [root]], off_NJD - off_NJD[:, parents]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """How well said and real errors of the held-out windows agree: their likelihood; the share of errors within
        what 68 % should be; and the rank correlation (Spearman's) of the two along the ray."""
        keypoints_NJC, joints_NJD, off_NJD = self.answers(self.held_out)
        doubts_NJ2 = self.answer(keypoints_NJC, joints_NJD)
        doubts_NB2, off_NBD = doubts_NJ2[:, self.children], off_NJD[:, self.children]
        spreads_NBD = doubts_NB2[..., [0, 0, 1]]
        inside_NBD = (off_NBD.abs() <= _WITHIN * spreads_NBD).double()
        along = (values.flatten().cpu().numpy() for values in (doubts_NB2[..., 1], off_NBD[..., 2].abs()))
        return {
            "val_surprise": surprise(doubts_NB2, off_NBD).mean().item(),
            "val_within_across": inside_NBD[..., :2].mean().item(),
            "val_within_along": inside_NBD[..., 2].mean().item(),
            "val_rank_along": float(spearmanr(*along).statistic),
        }

    def export(self, path: Path, row: dict[str, float]) -> None:
        """Write the lifter with its doubt."""
        assert self.lifter.doubt is not None
        self.lifter.doubt.load_state_dict(self.answer.state_dict())
        kept = {key: value for key, value in self.weights.about.items() if key not in _OF_THE_FILE}
        learned = {"of": self.weights.name} | self.facts(row, digits=3)
        save_lifter(self.lifter, path, kept | {"doubt": learned}, half=self.half)


def _with_doubt(weights: Weights, recipe: Recipe) -> Lifter:
    """The finished lifter, with a doubt that has not learned yet.

    Raises:
        UsageError: it is another one than the recipe says.
    """
    finished, lifter = weights.lifter, new_lifter(recipe)
    if finished.name != lifter.name:
        raise UsageError(f"{weights.name}: holds {finished.name}, where the recipe is of {lifter.name}")
    theirs, ours = asdict(finished.config), asdict(lifter.config)
    changed = [f"{key}={theirs[key]}" for key in ours if key != "doubt" and ours[key] != theirs[key]]
    if changed:
        raise UsageError(
            f"{weights.name}: a finished lifter stays as it is, and the recipe's has not its {', '.join(changed)}"
        )
    learned = {key: tensor for key, tensor in finished.state_dict().items() if not key.startswith("doubt.")}
    lifter.load_state_dict(learned, strict=False)
    return lifter
