"""Training a 2D keypoint network as a recipe says, on annotated pictures.

train_keypoints(read_keypoint_recipe("hrnet-w24"), [Path("clips")], Path("held-out"), Path("runs/hrnet-w24"))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidpose.common.errors import UsageError
from vidpose.evaluation.keypoints.keypoint_metrics import pck_2d
from vidpose.keypoint_data.coco_annotations import AnnotatedPerson, read_people, read_picture
from vidpose.keypoint_data.crops import heatmaps
from vidpose.keypoint_data.picture_augmentation import CropBatches, Crops
from vidpose.keypoints.keypoint_network import KeypointNetwork, Processing, create_network
from vidpose.keypoints.top_down import TopDown
from vidpose.keypoints.trained_networks import open_trained, save_network
from vidpose.training.keypoint_recipe import KeypointRecipe
from vidpose.training.picture_run import PictureRun, start_from

_HELD_OUT = 512
"""People that a run is validated on, at most."""


class KeypointTrainer(PictureRun[KeypointRecipe, KeypointNetwork]):
    """A run that trains a keypoint network on annotations' files or folders (`read_people`)."""

    samples = "crops"

    def create(self, recipe: KeypointRecipe) -> tuple[KeypointNetwork, Processing]:
        network = create_network(recipe.arch, **recipe.model).to(memory_format=torch.channels_last)
        if recipe.init:
            start_from(network, open_trained(Path(recipe.init), recipe.arch).network, recipe.init)
        width, height = recipe.seen.input_size
        if width % network.multiple or height % network.multiple:
            raise UsageError(
                f"processing.input_size is {width}x{height}; {network.name} takes multiples of {network.multiple}"
            )
        return network, recipe.seen

    def read(
        self,
        recipe: KeypointRecipe,
        network: KeypointNetwork,
        data: Sequence[Path],
        held_out: Path,
        images: Path | None,
    ) -> tuple[CropBatches, list[AnnotatedPerson]]:
        people = [person for path in data for person in read_people(path, network.layout, images)]
        batches = CropBatches(people, network.layout, self.processing, recipe.varied, recipe.batch, recipe.seed)
        return batches, _some(read_people(held_out, network.layout, images), _HELD_OUT)

    def loss_of(self, crops: Crops) -> tuple[torch.Tensor, torch.Tensor]:
        predictions = self.predictions(self.standardised(crops.pixels))
        size = predictions[-1].shape[-1], predictions[-1].shape[-2]
        places = crops.places.to(self.fabric.device)
        expected_BJYX, weights_BJ = heatmaps(places, size, self.processing, self.recipe.deviation)
        loss = heatmap_loss(predictions, expected_BJYX, weights_BJ, self.recipe.hardest)
        return loss, loss.detach()[None]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Share of keypoints that are missed by more than a twentieth of the person's box."""
        network = self.answer
        top_down = TopDown(network, self.processing, device=str(self.fabric.device))
        missed = []
        for start in range(0, len(self.held_out), self.recipe.batch):
            people = self.held_out[start : start + self.recipe.batch]
            images = [read_picture(person.picture) for person in people]
            found = top_down.locate_in_all(images, [person.box[None] for person in people])
            predicted = np.stack([keypoints[0] for keypoints, _ in found])
            missed.append(1 - pck_2d(predicted, np.stack([person.keypoints for person in people])))
        self.network.train()
        return {"val_missed": float(np.nanmean(np.concatenate(missed)))}

    def save_weights(self, path: Path, about: dict[str, Any]) -> None:
        save_network(self.answer, self.processing, path, about, half=self.half)


train_keypoints = KeypointTrainer.train


def heatmap_loss(
    predictions: Sequence[torch.Tensor], expected_BJYX: torch.Tensor, weights_BJ: torch.Tensor, hardest: int = 0
) -> torch.Tensor:
    """Mean squared error of heatmaps over cells and joints that count, summed over the predictions.

    Args:
        hardest: of the last prediction only so many joints of a person count, those with the greatest error; 0: all.
    """
    total = expected_BJYX.new_zeros(())
    for index, predicted_BJYX in enumerate(predictions):
        errors_BJ = (predicted_BJYX.float() - expected_BJYX).square().mean(dim=(-2, -1)) * weights_BJ
        count = weights_BJ.sum()
        if hardest and index == len(predictions) - 1:
            errors_BJ = errors_BJ.topk(min(hardest, errors_BJ.shape[1]), dim=1).values
            count = weights_BJ.sum(dim=1).clamp(max=hardest).sum()
        total = total + errors_BJ.sum() / count.clamp_min(1)
    return total


def _some(people: Sequence[AnnotatedPerson], number: int) -> list[AnnotatedPerson]:
    """So many of the people at most, evenly spread."""
    return [people[i] for i in np.unique(np.linspace(0, len(people) - 1, number).astype(int))]
