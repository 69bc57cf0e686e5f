"""Options of the commands that train: how a run is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import rich_click as click

from vidpose.cli.bundles import Number, bundled
from vidpose.cli.terminal import say


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out, whatever is trained."""

    device: str
    devices: int
    compiled: bool
    half: bool
    save_minutes: float
    resume: bool
    overwrite: bool

    def options(self) -> dict[str, Any]:
        """As `train` and `train_keypoints` take them, with a bar and lines for people."""
        from vidpose.cli.progress import training_bar

        return {
            "device": self.device, "devices": self.devices, "compile": self.compiled, "half": self.half,
            "save_minutes": self.save_minutes, "resume": self.resume, "overwrite": self.overwrite,
            "bar": training_bar, "say": say,
        }  # fmt: skip


running_options = bundled(
    RunOptions,
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True,
                 help="How many GPUs (or processes on a CPU) share each batch."),
    click.option("--compile", "compiled", is_flag=True, help="Compile the network: a slow start, then more speed."),
    click.option("--half", is_flag=True, help="Write the weights in float16."),
    click.option("--save-minutes", type=Number(min=0), default=3.0, show_default=True, metavar="MINUTES",
                 help="Time between checkpoints."),
    click.option("--resume", is_flag=True, help="Continue from the checkpoint in --out."),
    click.option("--overwrite", is_flag=True, help="Start again, and replace the run in --out."),
)  # fmt: skip
