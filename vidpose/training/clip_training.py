"""Training a network that sees clips from several cameras as a recipe says.

    train_clips(read_keypoint_recipe("temporal-relational"), [Path("clips")], Path("held-out"), Path("runs/clips"))

`vidpose.keypoints.clips.temporal_relational` has the networks and the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidpose.common.errors import UsageError
from vidpose.evaluation.keypoints.keypoint_metrics import pck_2d
from vidpose.keypoint_data.clip_batches import ClipBatches, ClipCrops
from vidpose.keypoint_data.clips import FilmedClip, open_clips
from vidpose.keypoints.clips.clip_finder import Appearance, ClipFinder
from vidpose.keypoints.clips.clip_network import ClipNetwork, create_clip_network, regression_loss
from vidpose.keypoints.clips.clip_weights import read_clip_network, save_clip_network
from vidpose.keypoints.keypoint_network import Processing
from vidpose.keypoints.network_table import BACKBONES
from vidpose.training.keypoint_recipe import ClipRecipe
from vidpose.training.picture_run import PictureRun, start_from
from vidpose.weights.catalogue import weights_file
from vidpose.weights.untrusted import read_checkpoint

_HELD_OUT = 2048
"""Pictures that a run is validated on, about at most."""


class ClipTrainer(PictureRun[ClipRecipe, ClipNetwork]):
    """A run that trains a clip network on folders of clips (`open_clips`)."""

    samples = "clips"

    def create(self, recipe: ClipRecipe) -> tuple[ClipNetwork, Processing]:
        network = create_clip_network(recipe.arch, **recipe.model)
        _start(network, recipe.init)
        network.pictures_at_once = recipe.pictures_at_once
        return network, network.processing

    def read(
        self, recipe: ClipRecipe, network: ClipNetwork, data: Sequence[Path], held_out: Path, images: Path | None
    ) -> tuple[ClipBatches, list[FilmedClip]]:
        if images:
            raise UsageError(f"`images={images}`: clips have pictures of their own; leave it out")
        clips = [clip for folder in data for clip in open_clips(folder, network.layout)]
        batches = ClipBatches(
            clips, network.layout, self.processing, recipe.varied, network.views, network.frames, recipe.batch,
            recipe.seed, recipe.missing,
        )  # fmt: skip
        return batches, open_clips(held_out, network.layout)

    def loss_of(self, crops: ClipCrops) -> tuple[torch.Tensor, torch.Tensor]:
        present_BVF = crops.present.to(self.fabric.device)
        points_BVFJX, logits_BVFJ = self.predictions(self.standardised(crops.pixels), present_BVF)
        truth_BVFJX = crops.places.to(self.fabric.device)
        labelled_BVFJ = truth_BVFJX.isfinite().all(dim=-1)
        loss = regression_loss(points_BVFJX.float(), logits_BVFJ.float(), truth_BVFJX, labelled_BVFJ.float())
        return loss, loss.detach()[None]

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

    def save_weights(self, path: Path, about: dict[str, Any]) -> None:
        save_clip_network(self.answer, path, about, half=self.half)


train_clips = ClipTrainer.train


def _start(network: ClipNetwork, init: str) -> None:
    """Weights to start from, as `ClipRecipe.init` says.

    Raises:
        UsageError, VidposeError: there are none, or they are of something else.
    """
    if init == "imagenet":
        if not network.backbones:
            raise UsageError(f"init = 'imagenet': there are no such weights for {network.name}; leave it out")
        network.start_from(*(read_checkpoint(weights_file(BACKBONES[name])) for name in network.backbones))
    elif init:
        other, _ = read_clip_network(Path(init), network.name)
        for part in ("spatial", "norm", "head"):
            start_from(getattr(network, part), getattr(other, part), init)
