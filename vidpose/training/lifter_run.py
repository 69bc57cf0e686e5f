"""What the runs of a lifter's recipe share, whatever of the lifter learns in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from lightning.fabric import Fabric

from vidpose.training.recipe import Recipe
from vidpose.training.run import N, Run
from vidpose.training.windows import Batch, CameraWindows, StoreWindows


class LifterRun(Run[Recipe, N]):
    """A run of a lifter's recipe. A subclass defines `prepare`, beside what `Run` asks for.

    Args:
        data: folder of the prepared benchmark, or of the CMU-17 shards.
        out, half, say: as of `vidpose.training.loop.train`.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Path,
        out: Path,
        fabric: Fabric,
        *,
        half: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ):
        torch.manual_seed(recipe.seed)
        told = say if fabric.is_global_zero else lambda line: None
        network, steps_per_epoch, logged = self.prepare(recipe, data, out, fabric.device, told)
        super().__init__(recipe, out, fabric, network, steps_per_epoch, logged, half=half, say=say)

    def prepare(
        self, recipe: Recipe, data: Path, out: Path, device: torch.device, say: Callable[[str], None]
    ) -> tuple[N, int, tuple[str, ...]]:
        """Open what is learnt from; gives the network on its device, the steps of an epoch, and what is logged."""
        raise NotImplementedError


class WindowsRun(LifterRun[N]):
    """A run that learns from windows, which its `prepare` opens."""

    samples = "windows"

    windows: StoreWindows | CameraWindows
    held_out: Batch

    def batch_of_step(self, share: slice) -> Batch:
        return self.windows.batch(self.step, self.recipe.batch).rows(share)
