"""Training a network that sees clips from several cameras as a recipe says.

    train_clips(read_keypoint_recipe("temporal-relational"), [Path("clips")], Path("held-out"), Path("runs/clips"))

`run` has what this training shares with others; `vidpose.keypoints.temporal_relational` has the networks and the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from vidpose.catalogue import weights_file
from vidpose.errors import UsageError, VidposeError, one_line
from vidpose.evaluation.keypoint_metrics import pck_2d
from vidpose.importing import read_checkpoint
from vidpose.keypoint_data.clip_batches import ClipBatches, ClipCrops
from vidpose.keypoint_data.clips import open_clips
from vidpose.keypoints.clip_weights import read_clip_network, save_clip_network
from vidpose.keypoints.clips import Appearance, ClipFinder
from vidpose.keypoints.temporal_relational import ClipNetwork, create_clip_network, regression_loss
from vidpose.training.keypoint_recipe import ClipRecipe
from vidpose.training.logs import Chart
from vidpose.training.run import Run, Running, carry_out

_HELD_OUT = 2048
"""Pictures that a run is validated on, about at most."""


def train_clips(
    recipe: ClipRecipe,
    data: Sequence[Path],
    held_out: Path,
    out: Path,
    *,
    workers: int = 0,
    half: bool = False,
    say: Callable[[str], None] = lambda line: None,
    **running: Unpack[Running],
) -> Path:
    """Train as the recipe says; gives the path of the exported weights.

    Args:
        data, held_out: folders of clips (`open_clips`), to train on and to validate on.
        workers, out, half, say, running: as of `vidpose.training.pictures.train_keypoints`.

    Raises:
        UsageError, VidposeError, KeyboardInterrupt: as of `vidpose.training.loop.train`.
    """
    return carry_out(
        recipe,
        lambda fabric: ClipTrainer(recipe, data, held_out, out, fabric, workers=workers, half=half, say=say),
        ClipTrainer.samples,
        out,
        **running,
    )


class ClipTrainer(Run):
    """A run that trains a clip network."""

    samples = "clips"
    measure = "val_missed"
    chart = Chart("keypoints beyond 5 % of the box (share)", {"val_missed": "validation"})

    def __init__(
        self,
        recipe: ClipRecipe,
        data: Sequence[Path],
        held_out: Path,
        out: Path,
        fabric: Fabric,
        *,
        workers: int = 0,
        half: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ):
        torch.manual_seed(recipe.seed)
        self.data, self.workers = data, workers
        network = create_clip_network(recipe.arch, **recipe.model)
        _start(network, recipe.init)
        clips = [clip for folder in data for clip in open_clips(folder, network.layout)]
        self.held_out = open_clips(held_out, network.layout)
        self.batches = ClipBatches(
            clips, network.layout, network.processing, recipe.varied, network.views, network.frames, recipe.batch,
            recipe.seed, recipe.missing,
        )  # fmt: skip
        self.crops: Iterator[ClipCrops] | None = None
        network.to(fabric.device)
        super().__init__(recipe, out, fabric, network, len(self.batches), ("loss",), half=half, say=say)
        self.mean_C11, self.std_C11 = (
            torch.tensor(values, device=fabric.device)[:, None, None]
            for values in (network.processing.mean, network.processing.std)
        )

    def loss_of_step(self, share: slice) -> tuple[torch.Tensor, torch.Tensor]:
        if self.crops is None:
            self.crops = self._stream(share)
        crops = next(self.crops)
        device = self.fabric.device
        pixels_BVFCHW = crops.pixels.to(device, non_blocking=True).movedim(-1, -3).float()
        present_BVF = crops.present.to(device)
        points_BVFJX, logits_BVFJ = self.predictions((pixels_BVFCHW - self.mean_C11) / self.std_C11, present_BVF)
        truth_BVFJX = crops.places.to(device)
        labelled_BVFJ = truth_BVFJX.isfinite().all(dim=-1)
        loss = regression_loss(points_BVFJX.float(), logits_BVFJ.float(), truth_BVFJX, labelled_BVFJ.float())
        return loss, loss.detach()[None]

    def _stream(self, share: slice) -> Iterator[ClipCrops]:
        """This process's clips of the step that is due, and of all after it."""
        self.batches.share = share
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(self.step, self.steps),
            num_workers=self.workers,
            pin_memory=self.fabric.device.type == "cuda",
        )
        return iter(loader)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Share of keypoints that are missed by more than a twentieth of the person's box."""
        network = self.answer
        finder = ClipFinder(network, device=str(self.fabric.device))
        pictures = sum(len(clip) * min(len(clip.views), network.views) for clip in self.held_out)
        missed = []
        for clip in self.held_out[:: 1 + pictures // _HELD_OUT]:
            views = clip.views[: network.views]
            moments = ((frame, [view.picture(frame) for view in views]) for frame in range(len(clip)))
            [(found_VNJX, _)] = finder.follow(moments, [Appearance(0, np.stack([view.boxes for view in views]))])
            missed += [1 - pck_2d(found_NJX, view.keypoints) for found_NJX, view in zip(found_VNJX, views, strict=True)]
        self.network.train()
        return {"val_missed": float(np.nanmean(np.concatenate(missed)))}

    def export(self, path: Path, row: dict[str, float]) -> None:
        about = {
            "data": ", ".join(str(path) for path in self.data),
            "recipe": self.recipe.to_dict(),
            "step": self.step,
            "epoch_seconds": self.epoch_seconds,
            "metrics": {key: round(value, 4) for key, value in row.items() if key.startswith("val_")},
        }
        save_clip_network(self.answer, path, about, half=self.half)


def _start(network: ClipNetwork, init: str) -> None:
    """Weights to start from, as `ClipRecipe.init` says.

    Raises:
        UsageError, VidposeError: there are none, or they are of something else.
    """
    if init == "imagenet":
        if not network.backbones:
            raise UsageError(f"init = 'imagenet': there are no such weights for {network.name}; leave it out")
        network.start_from(*(read_checkpoint(weights_file(name)) for name in network.backbones))
    elif init:
        other, _ = read_clip_network(Path(init), network.name)
        for part in ("spatial", "head"):
            try:
                getattr(network, part).load_state_dict(getattr(other, part).state_dict())
            except RuntimeError as error:
                raise VidposeError(f"{init}: its settings are others than the recipe's ({one_line(error)})") from None
