"""Training a lifter on motion capture seen through virtual cameras and an imitated detector, from top to bottom.

    vidpose train recipes/single-branch-cmu17.toml --data CMU17_DIR --out runs/single-branch
    vidpose train recipes/single-branch-cmu17.toml --data CMU17_DIR --out runs/try --set steps=20 --set batch=4

Recipe -> data -> model -> steps -> `weights.safetensors`. Every few minutes, and at Ctrl-C, the whole state goes to
`checkpoint.pt` in the output folder, from which `--resume` goes on as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vidpose.datasets.cmu import load_cmu
from vidpose.errors import UsageError, VidposeError
from vidpose.evaluation.metrics import p_mpjpe
from vidpose.files import replacing
from vidpose.lifters import Lifter, create_lifter
from vidpose.lifters.martinez import Standardised
from vidpose.skeletons import BLAZEPOSE_TO_H36M
from vidpose.training.augmentation import Augmentation, MotionSampler
from vidpose.training.losses import LOSSES, OF_MOTION, joint_weights, mpjpe
from vidpose.training.schedules import SCHEDULES
from vidpose.zoo import save_lifter


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, as its TOML file says it.

    Attributes:
        arch, model: registered lifter, and its config fields that differ from the default.
        augmentation: fields of `Augmentation` that differ from the default.
        steps, batch: optimiser steps, and windows a step.
        loss: names of `LOSSES`, and their weights in the sum.
        joint_weights: a name of `JOINT_WEIGHTS`, for the losses that weigh joints.
        lr, weight_decay, clip: AdamW's learning rate and weight decay; the gradient norm is clipped.
        schedule: `name`, one of `SCHEDULES`, of the factor on the learning rate, and its settings.
        steps_per_epoch: what schedules by epoch take for an epoch.
        ema: decay of the moving average of weights that is validated and exported.
        seed: of weights and data.
        bf16: matrix products in bfloat16.
    """

    arch: str
    model: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=lambda: {"mpjpe": 1.0, "mpjve": 0.5})
    joint_weights: str = "uniform"
    steps: int = 20_000
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 1.0
    schedule: dict[str, Any] = field(default_factory=lambda: {"name": "warmup-linear"})
    steps_per_epoch: int = 1000
    ema: float = 0.998
    seed: int = 1
    bf16: bool = True

    @staticmethod
    def from_dict(values: dict[str, Any], where: str) -> Recipe:
        """Raises UsageError for keys that a recipe, its augmentation, loss or schedule does not have."""
        schedule = dict(values.get("schedule", {"name": "warmup-linear"}))
        factor = SCHEDULES.get(schedule.pop("name", ""))
        if factor is None:
            raise UsageError(f"{where}: not a recipe (its schedule needs a name: {', '.join(SCHEDULES)})")
        unknown = set(values) - {f.name for f in fields(Recipe)}
        unknown |= set(values.get("augmentation", {})) - {f.name for f in fields(Augmentation)}
        unknown |= set(values.get("loss", {})) - set(LOSSES)
        unknown |= set(schedule) - set(factor.__kwdefaults__ or {})
        if unknown or "arch" not in values:
            problem = f"no such key: {', '.join(sorted(unknown))}" if unknown else "it names no arch"
            raise UsageError(f"{where}: not a recipe ({problem})")
        return Recipe(**values)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        settings = {key: value for key, value in self.schedule.items() if key != "name"}
        return self.lr * SCHEDULES[self.schedule["name"]](step, self.steps_per_epoch, self.steps, **settings)


VALIDATION = Augmentation(bone_scale=0.0, body_scale=0.0, recombine=0.0, perturb=0.0, reverse=0.0)
"""Recorded bodies and motion; cameras and detector noise as in training."""


class Trainer:
    """The state of a run: model, average, optimiser, data, and how far it has come."""

    def __init__(self, recipe: Recipe, data: Path, out: Path, device: str):
        torch.manual_seed(recipe.seed)
        self.recipe, self.out, self.device = recipe, out, torch.device(device)
        self.model: Lifter = create_lifter(recipe.arch, **recipe.model).to(self.device)
        self.generator = torch.Generator(self.device).manual_seed(recipe.seed)
        frames = self.model.config.frames
        augmentation = Augmentation(**recipe.augmentation)
        self.sampler = MotionSampler(load_cmu(data, "train"), frames, augmentation, self.generator)
        fixed = torch.Generator(self.device).manual_seed(0)
        self.held_out = MotionSampler(load_cmu(data, "val"), frames, VALIDATION, fixed).batch(256)
        if isinstance(self.model, Standardised):
            keypoints_BTJC, joints_BTJD = self.sampler.batch(1024)
            self.model.standardise(self.normalise(keypoints_BTJC).flatten(0, 1), joints_BTJD.flatten(0, 1))
        self.joint_weights_J = joint_weights(recipe.joint_weights, self.model.layout).to(self.device)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
        self.optimiser = torch.optim.AdamW(self.model.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
        self.step = 0

    def normalise(self, keypoints_BTJC: torch.Tensor) -> torch.Tensor:
        # The virtual picture's unit is a metre at the person, so it has no size in pixels; only normalisations that
        # ignore the picture make sense here.
        return self.model.normalise(keypoints_BTJC, (1, 1))

    def train_step(self) -> dict[str, float]:
        """One optimiser step; gives its losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        keypoints_BTJC, target_BTJD = self.sampler.batch(self.recipe.batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            predictions = self.model.predictions(self.normalise(keypoints_BTJC))
        loss = torch.zeros((), device=self.device)
        for predicted_BTJD in map(torch.Tensor.float, predictions):
            expected_BTJD = self.model.targets(target_BTJD, predicted_BTJD.shape[1])
            for name, weight in self.recipe.loss.items():
                if predicted_BTJD.shape[1] > 1 or name not in OF_MOTION:
                    loss = loss + weight * LOSSES[name](predicted_BTJD, expected_BTJD, self.joint_weights_J)
        position = mpjpe(predicted_BTJD, expected_BTJD).detach()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimiser.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return {"loss": loss.item(), "mpjpe_mm": 1000 * position.item()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Errors of the averaged weights on the fixed validation windows, in millimetres."""
        keypoints_BTJC, target_BTJD = self.held_out
        self.average.eval()
        predicted_BTJD = torch.cat([self.average(part) for part in self.normalise(keypoints_BTJC).split(32)]).float()
        target_BTJD = self.model.targets(target_BTJD, predicted_BTJD.shape[1])
        aligned = p_mpjpe(predicted_BTJD.cpu().numpy(), target_BTJD.cpu().numpy())
        return {
            "val_mpjpe_mm": 1000 * mpjpe(predicted_BTJD, target_BTJD).item(),
            "val_p_mpjpe_mm": 1000 * float(aligned.mean()),
        }

    def save(self) -> None:
        """Write the whole state to `checkpoint.pt`."""
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
        }
        with replacing(self.out / "checkpoint.pt") as partial:
            torch.save(state, partial)

    def resume(self) -> None:
        """Go on from `checkpoint.pt`.

        Raises:
            VidposeError: there is none, or it is of another model.
        """
        path = self.out / "checkpoint.pt"
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.generator.set_state(state["generator"].cpu())
            self.step = state["step"]
        except FileNotFoundError:
            raise VidposeError(f"{path}: no checkpoint to resume; start without --resume") from None
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise VidposeError(f"{path}: cannot resume this recipe from it ({reason})") from error

    def export(self, metrics: dict[str, float]) -> Path:
        """Write the averaged weights to `weights.safetensors`."""
        path = self.out / "weights.safetensors"
        about = {
            "conversion": BLAZEPOSE_TO_H36M.name,
            "detector": "blazepose",
            "data": "CMU motion capture (mocap.cs.cmu.edu), 16 subjects, virtual cameras and an imitated detector",
            "recipe": asdict(self.recipe),
            "metrics": {key: round(value, 2) for key, value in metrics.items()},
            "licence": "Apache-2.0",
        }
        save_lifter(self.average.module, path, about)
        return path


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    save_minutes: float = 3.0,
    report: Callable[[dict[str, float]], None] = lambda row: None,
) -> Path:
    """Train as the recipe says; gives the path of the exported weights.

    Args:
        data: folder of the CMU-17 shards.
        out: folder for `checkpoint.pt`, `metrics.jsonl`, `recipe.json` and `weights.safetensors`.
        resume: go on from `checkpoint.pt`.
        report: called with a row of metrics about every 100 steps.

    Raises:
        VidposeError: bad data, nothing to resume, or a loss that is no longer a number.
        KeyboardInterrupt: passed on, after the state is saved.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, data, out, device)
    if resume:
        trainer.resume()
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2))
    saved = reported = time.monotonic()
    losses: list[float] = []
    try:
        while trainer.step < recipe.steps:
            row = trainer.train_step()
            losses.append(row["mpjpe_mm"])
            if not math.isfinite(row["loss"]):
                raise VidposeError(
                    f"{out}: the loss became {row['loss']} at step {trainer.step}; lower lr, then --resume"
                )
            if trainer.step % 100 == 0 or trainer.step == recipe.steps:
                now = time.monotonic()
                rate = len(losses) * recipe.batch / (now - reported)
                row = {"step": trainer.step, "mpjpe_mm": sum(losses) / len(losses), "samples_per_s": rate}
                if trainer.step % 500 == 0 or trainer.step == recipe.steps:
                    row |= trainer.validate()
                with open(out / "metrics.jsonl", "a") as log:
                    log.write(json.dumps(row) + "\n")
                report(row)
                reported, losses = time.monotonic(), []
            if time.monotonic() - saved > 60 * save_minutes:
                trainer.save()
                saved = time.monotonic()
    except KeyboardInterrupt:
        trainer.save()
        raise
    trainer.save()
    return trainer.export(trainer.validate())
