"""What the recipes of all trainings have in common: how long a run is, and the learning rate of each of its steps."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from vidpose.training.schedules import SCHEDULES

OPTIMISERS = ("adam", "adam-amsgrad", "adamw")


class Plan:
    """The base of a recipe, which is a frozen dataclass with these fields at least; `Recipe` explains them."""

    arch: str
    name: str
    epochs: int
    steps: int
    batch: int
    optimiser: str
    lr: float
    weight_decay: float
    schedule: dict[str, Any]
    clip: float
    ema: float
    keep: str
    seed: int
    bf16: bool

    def to_dict(self) -> dict[str, Any]:
        """Its keys with values as JSON has them."""
        return json.loads(json.dumps(asdict(self)))

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps of the run, with so many an epoch."""
        return self.steps or self.epochs * steps_per_epoch

    def rate(self, step: int, steps_per_epoch: int, steps: int) -> float:
        """Learning rate of a step, of so many."""
        settings = {key: value for key, value in self.schedule.items() if key != "name"}
        return self.lr * SCHEDULES[self.schedule["name"]](step, steps_per_epoch, steps, **settings)
