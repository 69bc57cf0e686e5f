"""What trainings on annotated pictures share: `picture_training` has heatmap networks, `clip_training` clip networks.

Recipe -> annotated people -> crops -> network -> steps -> `weights.safetensors`. `run` has what every run shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader

from vidpose.common.errors import VidposeError, one_line
from vidpose.keypoint_data.clip_batches import ClipBatches
from vidpose.keypoint_data.picture_augmentation import CropBatches
from vidpose.keypoints.keypoint_network import Processing
from vidpose.training.carrying_out import Running, carry_out
from vidpose.training.keypoint_recipe import ClipRecipe, KeypointRecipe
from vidpose.training.logs import Chart
from vidpose.training.run import N, Run

R = TypeVar("R", bound=KeypointRecipe | ClipRecipe)


class PictureRun(Run[R, N]):
    """A run that learns from crops, which are made as they are needed.

    A subclass names its `samples`, and defines `create`, `read`, `loss_of`, `validate` and `save_weights`.

    Args:
        data, held_out: annotations, to train on and to validate on.
        images: folder that the files' names of pictures are relative to; None: each file's own.
        workers: processes that read and cut pictures; 0: the one that trains.

    Attributes:
        batches: crops by the numbers of their steps; `share` says which of a step's to make.
        held_out: what `validate` looks at.
    """

    measure = "val_missed"
    chart = Chart("keypoints beyond 5 % of the box (share)", {"val_missed": "validation"})

    def __init__(
        self,
        recipe: R,
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
        network, self.processing = self.create(recipe)
        network.to(fabric.device)
        self.data, self.workers = data, workers
        self.batches, self.held_out = self.read(recipe, network, data, held_out, images)
        self._crops: Iterator[Any] | None = None
        super().__init__(recipe, out, fabric, network, len(self.batches), ("loss",), half=half, say=say)
        self._mean_C11, self._std_C11 = (
            torch.tensor(values, device=fabric.device)[:, None, None]
            for values in (self.processing.mean, self.processing.std)
        )

    @classmethod
    def train(
        cls,
        recipe: R,
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
            data, held_out, images, workers: as of the class.
            out, half, say, running: as of `vidpose.training.loop.train`.

        Raises:
            UsageError, VidposeError, KeyboardInterrupt: as of `vidpose.training.loop.train`.
        """
        return carry_out(
            recipe,
            lambda fabric: cls(recipe, data, held_out, out, fabric, images=images, workers=workers, half=half, say=say),
            cls.samples,
            out,
            **running,
        )

    def create(self, recipe: R) -> tuple[N, Processing]:
        """The network, with the weights that it starts from, and how crops are cut for it."""
        raise NotImplementedError

    def read(
        self, recipe: R, network: N, data: Sequence[Path], held_out: Path, images: Path | None
    ) -> tuple[CropBatches | ClipBatches, Any]:
        """What becomes `batches` and `held_out`."""
        raise NotImplementedError

    def save_weights(self, path: Path, about: dict[str, Any]) -> None:
        """Write the answer's weights, with what is known about them."""
        raise NotImplementedError

    def batch_of_step(self, share: slice) -> Any:
        """The crops of the step that is due: the next ones of the batches."""
        if self._crops is None:
            self.batches.share = share
            loader = DataLoader(
                self.batches,
                batch_size=None,
                sampler=range(self.step, self.steps),
                num_workers=self.workers,
                pin_memory=self.fabric.device.type == "cuda",
            )
            self._crops = iter(loader)
        return next(self._crops)

    def standardised(self, pixels: torch.Tensor) -> torch.Tensor:
        """(..., H, W, C) uint8 crops as the network takes them: (..., C, H, W), on its device."""
        crops = pixels.to(self.fabric.device, non_blocking=True).movedim(-1, -3).float()
        return (crops - self._mean_C11) / self._std_C11

    def export(self, path: Path, row: dict[str, float]) -> None:
        data = ", ".join(str(path) for path in self.data)
        self.save_weights(path, {"data": data, "epoch_seconds": self.epoch_seconds} | self.facts(row, digits=4))


def start_from(part: nn.Module, other: nn.Module, init: str) -> None:
    """Take weights over.

    Args:
        init: where they are from.

    Raises:
        VidposeError: they are of other settings.
    """
    try:
        part.load_state_dict(other.state_dict())
    except RuntimeError as error:
        raise VidposeError(f"{init}: its settings are others than the recipe's ({one_line(error)})") from None
