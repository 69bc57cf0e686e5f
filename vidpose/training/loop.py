"""Training a lifter as a recipe says, from top to bottom.

    train(read_recipe("mixste"), Path("data/h36m"), Path("runs/mixste"))

Recipe -> windows -> lifter -> steps -> `weights.safetensors`. Every few minutes, and at Ctrl-C, the whole state goes to
`checkpoint.pt` in the output folder, from which a resumed run goes on as if nothing had happened: whatever is random in
a step follows from the recipe's seed and the step's number.

Several devices share the batch of a step and average their gradients (torch's DistributedDataParallel): the same run,
up to rounding and to batch normalisation, which sees the part of the batch on its own device.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vidpose.errors import UsageError, VidposeError
from vidpose.evaluation.metrics import p_mpjpe
from vidpose.files import replacing
from vidpose.lifters import Lifter, create_lifter
from vidpose.lifters.martinez import Standardised
from vidpose.training.checkpoints import BEST, CHECKPOINT, WEIGHTS, check_folder, read_checkpoint, write_checkpoint
from vidpose.training.logs import Logs
from vidpose.training.losses import LOSSES, OF_MOTION, joint_weights
from vidpose.training.processes import held_interrupts, make_fabric, plain_attention, together
from vidpose.training.recipe import Recipe
from vidpose.training.starting import start_from
from vidpose.training.windows import Batch, open_windows, seed_of
from vidpose.zoo import save_lifter

_ROWS, _REPORT_EVERY = 25, 100
"""Metrics are written so many times in a run, or after so many steps if that is more often."""

_VALIDATE_EVERY = 5
"""Rows of metrics from one validation to the next."""

_AT_ONCE = 2592
"""Frames that validation lifts at once."""

Report = Callable[[dict[str, float]], None]

_OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adam-amsgrad": lambda parameters, **settings: torch.optim.Adam(parameters, amsgrad=True, **settings),
    "adamw": torch.optim.AdamW,
}


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    device: str = "auto",
    devices: int = 1,
    compile: bool = False,
    half: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    save_minutes: float = 3.0,
    bar: Callable[[int, int], AbstractContextManager[Report]] = lambda total, start: nullcontext(lambda row: None),
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train as the recipe says; gives the path of the exported weights.

    Args:
        data: folder of the prepared benchmark, or of the CMU-17 shards.
        out: folder for `recipe.json`, `checkpoint.pt`, `metrics.jsonl`, `curves.png` and `weights.safetensors`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        devices: processes that share the work, a GPU each; more than one starts this program again for the others.
        compile: the lifter by `torch.compile`.
        half: export in float16.
        resume: go on from `checkpoint.pt`.
        overwrite: begin anew where there is a run already.
        bar: called with the steps in all and those done; gives what is called with every row of metrics.
        say: called with a line for people. Neither is called but in the first process.

    Raises:
        UsageError: data, lifter and recipe do not go together, or `out` holds a run.
        VidposeError: bad data, a checkpoint that is missing or of another recipe, no memory, or a loss that is no
            longer a number. The last checkpoint stays.
        KeyboardInterrupt: passed on, after the state is saved.
    """
    check_folder(out, resume, overwrite)
    fabric = make_fabric(device, devices, recipe.bf16)
    try:
        trainer = Trainer(recipe, data, out, fabric, half=half, say=say)
        if resume:
            trainer.resume()
        with together(fabric):
            trainer.launch(compile)
            if fabric.is_global_zero:
                trainer.begin()
            trainer.run(save_minutes, bar)
            return trainer.finish()
    except torch.OutOfMemoryError:
        raise VidposeError(
            f"{out}: out of memory with {recipe.batch} windows a step on {devices} x {fabric.device.type}; "
            "lower it with --set batch=N, or share it by --devices N"
        ) from None


class Trainer:
    """The state of a run: lifter, average, optimiser, windows, and how far it has come.

    Call `launch` before the first step.
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
        if recipe.batch % fabric.world_size:
            raise UsageError(f"a batch of {recipe.batch} windows cannot be shared by {fabric.world_size} devices")
        self.recipe, self.out, self.fabric, self.half = recipe, out, fabric, half
        self.say = say if fabric.is_global_zero else lambda line: None
        torch.manual_seed(recipe.seed)
        self.lifter: Lifter = create_lifter(recipe.arch, **recipe.model).to(fabric.device)
        self.windows, self.held_out = open_windows(recipe, data, self.lifter, fabric.device)
        self.steps_per_epoch = self.windows.steps_per_epoch(recipe.batch)
        self.steps = recipe.total_steps(self.steps_per_epoch)
        if isinstance(self.lifter, Standardised):
            keypoints_BTJC, joints_BTJD, metres_BT = self.windows.survey()
            self.lifter.standardise(keypoints_BTJC[metres_BT > 0], joints_BTJD[metres_BT > 0])
        if recipe.init:
            start_from(self.lifter, recipe, out, self.say)
        self.joint_weights_J = joint_weights(recipe.joint_weights, self.lifter.layout).to(fabric.device)
        self.average = AveragedModel(self.lifter, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema)) if recipe.ema else None
        self.optimiser = _OPTIMISERS[recipe.optimiser](
            self.lifter.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        self.step = 0
        self.logged = ("loss", *recipe.loss, "mpjpe_mm")
        # Of the steps since the last row of metrics; read only then, so that a GPU never waits for it.
        self.sums, self.summed = torch.zeros(len(self.logged), device=fabric.device), 0
        self.best = math.inf

    def launch(self, compile: bool = False) -> None:
        """Start the other processes, if there are any, and make the lifter ready for steps."""
        self.fabric.launch()
        predictions = _Predictions(self.lifter)
        predictions = torch.compile(predictions) if compile else predictions
        self.predictions, self.wrapped_optimiser = self.fabric.setup(predictions, self.optimiser)

    def begin(self) -> None:
        """Write down what will be done, and clear away a run that is not gone on with."""
        if self.step == 0:
            for name in (CHECKPOINT, WEIGHTS, BEST):
                (self.out / name).unlink(missing_ok=True)
        with replacing(self.out / "recipe.json") as partial:
            partial.write_text(json.dumps(self.recipe.to_dict(), indent=2))

    def run(self, save_minutes: float, bar: Callable[[int, int], AbstractContextManager[Report]]) -> None:
        """All steps that are left, with metrics, validation and checkpoints."""
        every = max(1, min(_REPORT_EVERY, self.steps // _ROWS))
        first = self.fabric.is_global_zero
        start = reported = self.step
        saved = since = time.monotonic()
        with (
            Logs(self.out, self.recipe.name, self.steps, start) if first else nullcontext() as logs,
            bar(self.steps, start) if first else nullcontext() as show,
            held_interrupts(self.fabric) as interrupts,
        ):
            while self.step < self.steps:
                self.train_step()
                if self.step % every == 0 or self.step == self.steps:
                    row = self.means()
                    row["samples_per_s"] = (self.step - reported) * self.recipe.batch / (time.monotonic() - since)
                    if first:
                        if self.step % (every * _VALIDATE_EVERY) == 0 or self.step == self.steps:
                            row |= self.validate()
                            self.keep_best(row)
                        logs.write(row)
                        show(row)
                    reported, since = self.step, time.monotonic()
                if first and (interrupts or time.monotonic() - saved > 60 * save_minutes):
                    self.save()
                    logs.draw()
                    saved = time.monotonic()
                if interrupts:
                    raise KeyboardInterrupt
            if first:
                self.save()
                logs.draw()

    def train_step(self) -> None:
        """One step of the optimiser."""
        recipe, rank = self.recipe, self.fabric.global_rank
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate(self.step, self.steps_per_epoch, self.steps)
        share = recipe.batch // self.fabric.world_size
        batch = self.windows.batch(self.step, recipe.batch).rows(slice(rank * share, (rank + 1) * share))
        # For whatever the lifter draws: dropout.
        torch.manual_seed(seed_of(recipe.seed, 2, self.step, rank))
        with plain_attention(self.fabric.device):
            loss, logged = self.losses(self.predictions(batch.keypoints_BTJC), batch)
            self.fabric.backward(loss)
        if recipe.clip:
            nn.utils.clip_grad_norm_(self.lifter.parameters(), recipe.clip)
        self.wrapped_optimiser.step()
        self.wrapped_optimiser.zero_grad()
        if self.average:
            self.average.update_parameters(self.lifter)
        self.sums += logged
        self.summed += 1
        self.step += 1

    def losses(self, predictions: tuple[torch.Tensor, ...], batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, the sum of the recipe's over all predictions; and what is logged: it, its terms, and the error."""
        terms = {name: torch.zeros((), device=self.fabric.device) for name in self.recipe.loss}
        for predicted_BTJD in map(torch.Tensor.float, predictions):
            answered = predicted_BTJD.shape[1]
            metres_BT = self.lifter.targets(batch.metres_BT, answered)
            expected_BTJD = self.lifter.targets(batch.joints_BTJD, answered)
            # A frame that does not count is its own target: no error and no gradient.
            counts_BT11 = metres_BT[..., None, None] > 0
            expected_BTJD = torch.where(counts_BT11, expected_BTJD, predicted_BTJD.detach())
            for name, weight in self.recipe.loss.items():
                if answered > 1 or name not in OF_MOTION:
                    term = LOSSES[name](predicted_BTJD, expected_BTJD, self.joint_weights_J)
                    terms[name] = terms[name] + weight * term
        loss = torch.stack(list(terms.values())).sum()
        error = _mean_millimetres(predicted_BTJD, expected_BTJD, metres_BT)
        return loss, torch.stack([loss, *terms.values(), error]).detach()

    def means(self) -> dict[str, float]:
        """A row of metrics: means over the steps since the last one, of all processes.

        Raises:
            VidposeError: the loss is no longer a number.
        """
        means = self.fabric.all_reduce(self.sums / self.summed, reduce_op="mean").tolist()
        row = {
            "step": self.step,
            "epoch": self.step / self.steps_per_epoch,
            "lr": self.optimiser.param_groups[0]["lr"],
            **dict(zip(self.logged, means, strict=True)),
        }
        # The others wait for the first process, which ends them.
        if self.fabric.is_global_zero and not math.isfinite(row["loss"]):
            again = "--resume" if (self.out / CHECKPOINT).exists() else "begin anew"
            raise VidposeError(
                f"{self.out}: the loss became {row['loss']} by step {self.step}; {again} "
                "with a lower lr (--set lr=...) or the gradient clipped (--set clip=1.0)"
            )
        self.sums.zero_()
        self.summed = 0
        return row

    @property
    def answer(self) -> Lifter:
        """What is validated and exported: the averaged weights, where there are."""
        return self.average.module if self.average else self.lifter

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Errors of the answer on the held-out windows, in millimetres."""
        keypoints_BTJC, joints_BTJD, metres_BT = self.held_out
        lifter = self.answer.eval()
        parts = keypoints_BTJC.split(max(1, _AT_ONCE // lifter.config.frames))
        predicted_BTJD = torch.cat([lifter(part) for part in parts]).float()
        joints_BTJD, metres_BT = (lifter.targets(part, predicted_BTJD.shape[1]) for part in (joints_BTJD, metres_BT))
        self.lifter.train()
        counts_BT = metres_BT > 0
        predicted_NJD, joints_NJD = (
            (metres_BT[..., None, None] * part)[counts_BT].cpu().numpy() for part in (predicted_BTJD, joints_BTJD)
        )
        return {
            "val_mpjpe_mm": _mean_millimetres(predicted_BTJD, joints_BTJD, metres_BT).item(),
            "val_p_mpjpe_mm": 1000 * float(p_mpjpe(predicted_NJD, joints_NJD).mean()),
        }

    def keep_best(self, row: dict[str, float]) -> None:
        """Keep the answer beside the run, if the recipe wants the best and this is it."""
        if self.recipe.keep == "best" and row["val_mpjpe_mm"] < self.best:
            self.best = row["val_mpjpe_mm"]
            self.export(self.out / BEST, row)

    def finish(self) -> Path:
        """Write `weights.safetensors`, the best or the last."""
        path, best = self.out / WEIGHTS, self.out / BEST
        if self.fabric.is_global_zero:
            if self.recipe.keep == "best" and best.exists():
                with replacing(path) as partial:
                    shutil.copyfile(best, partial)
            else:
                self.export(path, self.validate())
            self.say(f"wrote {path}")
        return path

    def export(self, path: Path, row: dict[str, float]) -> None:
        """Write the answer's weights, with the validation's figures."""
        about = self.windows.about | {
            "recipe": self.recipe.to_dict(),
            "step": self.step,
            "metrics": {key: round(value, 2) for key, value in row.items() if key.startswith("val_")},
        }
        save_lifter(self.answer, path, about, half=self.half)

    def save(self) -> None:
        """Write the whole state to `checkpoint.pt`, unless it is spoilt."""
        parts = [self.sums, *self.lifter.parameters()]
        if not all(part.isfinite().all() for part in parts):
            return
        state = {
            "step": self.step,
            "lifter": self.lifter.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums,
            "summed": self.summed,
            "best": self.best,
        }
        write_checkpoint(self.out, self.recipe, state)

    def resume(self) -> None:
        """Go on from `checkpoint.pt`; raises as `read_checkpoint`."""
        state = read_checkpoint(self.out, self.recipe, self.fabric.device)
        self.lifter.load_state_dict(state["lifter"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.sums, self.summed = state["sums"], state["summed"]
        self.step, self.best = state["step"], state["best"]
        self.say(f"{self.out}: going on after step {self.step}")


class _Predictions(nn.Module):
    """A lifter as training calls it, for what wraps modules by their `forward`."""

    def __init__(self, lifter: Lifter):
        super().__init__()
        self.lifter = lifter

    def forward(self, keypoints_BTJC: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.lifter.predictions(keypoints_BTJC)


def _mean_millimetres(predicted: torch.Tensor, target: torch.Tensor, metres_BT: torch.Tensor) -> torch.Tensor:
    """Mean per-joint position error over the frames that count."""
    errors_BT = (predicted - target).norm(dim=-1).mean(dim=-1)
    return 1000 * torch.where(metres_BT > 0, metres_BT * errors_BT, 0.0).sum() / (metres_BT > 0).sum().clamp_min(1)
