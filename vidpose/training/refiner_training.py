"""Training the refinement of the Strided Transformer and P-STMO on what a lifter gives (`lifters/pose_refiner`).

The lifter is the recipe's `init`, and learns no more. The loss is the MPJPE of refined poses.

Shape suffixes: N poses, J joints, D the 3 of a joint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vidpose.common.errors import UsageError
from vidpose.datasets.store import Store
from vidpose.evaluation.evaluate import answer_turns, lift_clip, placed_in
from vidpose.lifters import Lifter
from vidpose.lifters.pose_refiner import PoseRefiner, save_refiner
from vidpose.lifters.zoo import load_lifter
from vidpose.training.lifter_run import LifterRun
from vidpose.training.logs import MPJPE
from vidpose.training.recipe import CMU17, Recipe
from vidpose.training.starting import weights_named
from vidpose.training.windows import seed_of


class PosesToRefine(NamedTuple):
    """(N, J, 3) metres relative to the root: lifted, placed by the keypoints, and true."""

    lifted_NJD: torch.Tensor
    placed_NJD: torch.Tensor
    joints_NJD: torch.Tensor

    def rows(self, which: torch.Tensor | slice) -> PosesToRefine:
        """Some of them."""
        return PosesToRefine(*(part[which] for part in self))


class RefinerTrainer(LifterRun[PoseRefiner]):
    """A run that trains a refiner on a prepared benchmark."""

    samples = "poses"
    measure = "val_mpjpe_mm"
    chart = MPJPE

    def prepare(
        self, recipe: Recipe, data: Path, out: Path, device: torch.device, say: Callable[[str], None]
    ) -> tuple[PoseRefiner, int, tuple[str, ...]]:
        if recipe.data.dataset == CMU17 or not recipe.init:
            raise UsageError("refiner: learns from a benchmark's cameras, and from the lifter that init names")
        store = Store(data)
        self.store, self.root = store, store.layout.parents.index(-1)
        lifter = load_lifter(weights_named(recipe, out)).to(device)
        say(f"lifting with {recipe.init}")
        self.poses, self.held_out = (
            _poses(store, split, recipe, lifter, device) for split in ("train", recipe.data.validation)
        )
        network = PoseRefiner(len(store.layout)).to(device)
        return network, max(1, len(self.poses.joints_NJD) // recipe.batch), ("loss", "mpjpe_mm")

    def batch_of_step(self, share: slice) -> PosesToRefine:
        """PosesToRefine drawn at random."""
        generator = torch.Generator().manual_seed(seed_of(self.recipe.seed, 1, self.step))
        drawn = torch.randint(len(self.poses.joints_NJD), (self.recipe.batch,), generator=generator)[share]
        return self.poses.rows(drawn.to(self.fabric.device))

    def loss_of(self, batch: PosesToRefine) -> tuple[torch.Tensor, torch.Tensor]:
        (refined_NJD,) = self.predictions(batch.lifted_NJD, batch.placed_NJD)
        loss = self.error(refined_NJD, batch.joints_NJD)
        return loss, torch.stack([loss, 1000 * loss]).detach()

    def error(self, refined_NJD: torch.Tensor, joints_NJD: torch.Tensor) -> torch.Tensor:
        """Metres, the mean over joints of which the root has none."""
        errors_NJ = (refined_NJD.float() - joints_NJD).norm(dim=-1)
        counts_J = torch.ones_like(errors_NJ[0])
        counts_J[self.root] = 0
        return (errors_NJ * counts_J).mean()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Error of the refined held-out poses, in millimetres."""
        network = self.answer.eval()
        refined_NJD = network(self.held_out.lifted_NJD, self.held_out.placed_NJD)
        self.network.train()
        return {"val_mpjpe_mm": 1000 * self.error(refined_NJD, self.held_out.joints_NJD).item()}

    def export(self, path: Path, row: dict[str, float]) -> None:
        data = f"{self.store.name}, training split, input {self.recipe.data.input}"
        save_refiner(self.answer, path, {"data": data} | self.facts(row))


def _poses(store: Store, split: str, recipe: Recipe, lifter: Lifter, device: torch.device) -> PosesToRefine:
    """All frames of a split that count. Raises UsageError where there are none."""
    data, root, found = recipe.data, store.layout.parents.index(-1), []
    for clip in store.clips:
        if clip.split != split or (data.actions and clip.action not in data.actions):
            continue
        lifted_FJD = lift_clip(store, clip, lifter, data.input, mirror=data.flip != "none")
        lifted_FJD = lifted_FJD @ answer_turns(lifter, store, clip).transpose(0, 2, 1)
        joints_FJD, counts_F = np.array(store.joints(clip)), store.valid(clip)
        placed_FJD = placed_in(store, clip, lifted_FJD, data.input)
        parts = lifted_FJD, placed_FJD, joints_FJD - joints_FJD[:, [root]]
        found.append([torch.from_numpy(part[counts_F]).float() for part in parts])
    if not found:
        raise UsageError(f"{store.folder}: no clip of the split {split!r} to learn a refiner from")
    return PosesToRefine(*(torch.cat(parts).to(device) for parts in zip(*found, strict=True)))
