"""Training a 2D keypoint network as a recipe says, on annotated pictures.

    train_keypoints(read_keypoint_recipe("hrnet-w24"), [Path("clips")], Path("held-out"), Path("runs/hrnet-w24"))

Recipe -> annotated people -> crops -> network -> steps -> `weights.safetensors`. `run` has what this training shares
with others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils.data import DataLoader

from vidpose.errors import UsageError
from vidpose.evaluation.keypoint_metrics import pck_2d
from vidpose.keypoint_data.augmentation import CropBatches, Crops
from vidpose.keypoint_data.coco import Person, read_people, read_picture
from vidpose.keypoint_data.crops import heatmaps
from vidpose.keypoints.networks import create_network
from vidpose.keypoints.top_down import TopDown
from vidpose.keypoints.weights import save_network
from vidpose.training.keypoint_recipe import KeypointRecipe
from vidpose.training.logs import Chart
from vidpose.training.run import Run, Running, carry_out

_HELD_OUT = 512
"""People that a run is validated on, at most."""


def train_keypoints(
    recipe: KeypointRecipe,
    data: Sequence[Path],
    held_out: Path,
    out: Path,
    *,
    images: Path | None = None,
    workers: int = 0,
    half: bool = False,
    say: Callable[[str], None] = lambda line: None,
    **running: Unpack[Running],
) -> Path:
    """Train as the recipe says; gives the path of the exported weights.

    Args:
        data, held_out: annotations' files or folders (`read_people`), to train on and to validate on.
        images: folder that the files' names of pictures are relative to; None: each file's own.
        workers: processes that read and cut pictures; 0: the one that trains.
        out, half, say, running: as of `vidpose.training.loop.train`.

    Raises:
        UsageError, VidposeError, KeyboardInterrupt: as of `vidpose.training.loop.train`.
    """
    return carry_out(
        recipe,
        lambda fabric: KeypointTrainer(
            recipe, data, held_out, out, fabric, images=images, workers=workers, half=half, say=say
        ),
        KeypointTrainer.samples,
        out,
        **running,
    )


class KeypointTrainer(Run):
    """A run that trains a keypoint network."""

    samples = "crops"
    measure = "val_missed"
    chart = Chart("keypoints beyond 5 % of the box (share)", {"val_missed": "validation"})

    def __init__(
        self,
        recipe: KeypointRecipe,
        data: Sequence[Path],
        held_out: Path,
        out: Path,
        fabric: Fabric,
        *,
        images: Path | None = None,
        workers: int = 0,
        half: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ):
        torch.manual_seed(recipe.seed)
        self.data, self.workers, self.processing = data, workers, recipe.seen
        network = create_network(recipe.arch, **recipe.model).to(fabric.device, memory_format=torch.channels_last)
        width, height = self.processing.input_size
        if width % network.multiple or height % network.multiple:
            raise UsageError(
                f"processing.input_size is {width}x{height}; {network.name} takes multiples of {network.multiple}"
            )
        people = [person for path in data for person in read_people(path, network.layout, images)]
        self.held_out = _some(read_people(held_out, network.layout, images), _HELD_OUT)
        self.batches = CropBatches(people, network.layout, self.processing, recipe.varied, recipe.batch, recipe.seed)
        self.crops: Iterator[Crops] | None = None
        super().__init__(recipe, out, fabric, network, len(self.batches), ("loss",), half=half, say=say)
        self.mean_C, self.std_C = (
            torch.tensor(values, device=fabric.device) for values in (self.processing.mean, self.processing.std)
        )

    def loss_of_step(self, share: slice) -> tuple[torch.Tensor, torch.Tensor]:
        if self.crops is None:
            self.crops = self._stream(share)
        crops = next(self.crops)
        device = self.fabric.device
        pixels_BHWC = crops.pixels.to(device, non_blocking=True).float()
        inputs_BCHW = ((pixels_BHWC - self.mean_C) / self.std_C).permute(0, 3, 1, 2)
        predictions = self.predictions(inputs_BCHW)
        size = predictions[-1].shape[-1], predictions[-1].shape[-2]
        expected_BJYX, weights_BJ = heatmaps(crops.places.to(device), size, self.processing, self.recipe.deviation)
        loss = heatmap_loss(predictions, expected_BJYX, weights_BJ, self.recipe.hardest)
        return loss, loss.detach()[None]

    def _stream(self, share: slice) -> Iterator[Crops]:
        """This process's crops of the step that is due, and of all after it."""
        batches = self.batches
        batches.share = share
        loader = DataLoader(
            batches,
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

    def export(self, path: Path, row: dict[str, float]) -> None:
        about = {
            "data": ", ".join(str(path) for path in self.data),
            "recipe": self.recipe.to_dict(),
            "step": self.step,
            "metrics": {key: round(value, 4) for key, value in row.items() if key.startswith("val_")},
        }
        save_network(self.answer, self.processing, path, about, half=self.half)


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


def _some(people: Sequence[Person], number: int) -> list[Person]:
    """So many of the people at most, evenly spread."""
    return [people[i] for i in np.unique(np.linspace(0, len(people) - 1, number).astype(int))]
