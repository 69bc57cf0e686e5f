"""A run of training from its first step to its weights, whatever is trained: lifters (`loop`), or networks that see
pictures (`picture_run`).

Every few minutes, and at Ctrl-C, the whole state goes to `checkpoint.pt` in the output folder, from which a resumed run
goes on as if nothing had happened: whatever is random in a step follows from the recipe's seed and the step's number.

Several devices share the batch of a step and average their gradients (torch's DistributedDataParallel): the same run,
up to rounding and to batch normalisation, which sees the part of the batch on its own device.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import replacing, write_json
from vidpose.common.registry import check_tensors
from vidpose.training.checkpoints import (
    BEST,
    CHECKPOINT,
    WEIGHTS,
    fit_to_resume,
    read_checkpoint,
    write_checkpoint,
)
from vidpose.training.logs import Chart, Logs
from vidpose.training.plan import Plan
from vidpose.training.processes import held_interrupts, plain_attention
from vidpose.training.windows import seed_of

_ROWS, _REPORT_EVERY = 25, 100
"""Metrics are written so many times in a run, or after so many steps if that is more often."""

_VALIDATE_EVERY = 5
"""Rows of metrics from one validation to the next."""

Report = Callable[[dict[str, float]], None]
Bar = Callable[[int, int], AbstractContextManager[Report]]
"""Called with the steps in all and those done; gives what is called with every row of metrics."""

_OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adam-amsgrad": lambda parameters, **settings: torch.optim.Adam(parameters, amsgrad=True, **settings),
    "adamw": torch.optim.AdamW,
}


P = TypeVar("P", bound=Plan)
N = TypeVar("N", bound=nn.Module)


class Run(Generic[P, N]):
    """The state of a run: network, average, optimiser, and how far it has come.

    A subclass names its `samples`, its `chart` and its `measure`, makes the network, and defines `batch_of_step`,
    `loss_of`, `validate` and `export`. Call `launch` before the first step.

    Args:
        network: whose `predictions` gives all that a loss is put on.
        logged: names of what `loss_of` logs; the first is "loss".
        half: export in float16.
        say: called with a line for people.

    Attributes:
        samples: what a batch is made of.
        measure: name of the figure of validation that says which weights are best; less is better.
        chart: what is drawn of the metrics.
    """

    samples: ClassVar[str]
    measure: ClassVar[str]
    chart: ClassVar[Chart]

    def __init__(
        self,
        recipe: P,
        out: Path,
        fabric: Fabric,
        network: N,
        steps_per_epoch: int,
        logged: tuple[str, ...],
        *,
        half: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ):
        if recipe.batch % (fabric.world_size * recipe.accumulate):
            parts = f", in {recipe.accumulate} parts each" if recipe.accumulate > 1 else ""
            raise UsageError(
                f"a batch of {recipe.batch} {self.samples} cannot be shared by {fabric.world_size} devices{parts}"
            )
        self.recipe: P = recipe
        self.out, self.fabric, self.half = out, fabric, half
        self.say = say if fabric.is_global_zero else lambda line: None
        self.network: N = network
        self.steps_per_epoch, self.logged = steps_per_epoch, logged
        self.steps = recipe.total_steps(steps_per_epoch)
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema)) if recipe.ema else None
        self.optimiser = _OPTIMISERS[recipe.optimiser](
            network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        self.step = 0
        # Of the steps since the last row of metrics; read only then, so that a GPU never waits for it.
        self.sums, self.summed = torch.zeros(len(logged), device=fabric.device), 0
        self.best = math.inf
        self.seconds = 0.0

    def batch_of_step(self, share: slice) -> Any:
        """This process's share of the batch of the step: a named tuple of tensors, all with the samples on axis 0."""
        raise NotImplementedError

    def loss_of(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of a batch or of a part of one; and what is logged, the loss first, detached."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Figures of the answer on what is held out; their names begin with `val_`."""
        raise NotImplementedError

    def export(self, path: Path, row: dict[str, float]) -> None:
        """Write the answer's weights, with the validation's figures."""
        raise NotImplementedError

    def facts(self, row: dict[str, float], digits: int = 2) -> dict[str, Any]:
        """What a file of weights says of the run: its recipe and step, and the validation's figures."""
        figures = {key: round(value, digits) for key, value in row.items() if key.startswith("val_")}
        return {"recipe": self.recipe.to_dict(), "step": self.step, "metrics": figures}

    def launch(self, compile: bool = False) -> None:
        """Start the other processes, if there are any, and make the network ready for steps."""
        self.fabric.launch()
        predictions: Any = _Predictions(self.network)
        predictions = torch.compile(predictions) if compile else predictions
        self.predictions, self.wrapped_optimiser = self.fabric.setup(predictions, self.optimiser)

    def begin(self) -> None:
        """Write down what will be done, and clear away a run that is not gone on with."""
        if self.step == 0:
            for name in (CHECKPOINT, WEIGHTS, BEST):
                (self.out / name).unlink(missing_ok=True)
        write_json(self.out / "recipe.json", self.recipe.to_dict())

    def run(self, save_minutes: float, bar: Bar) -> None:
        """All steps that are left, with metrics, validation and checkpoints."""
        every = max(1, min(_REPORT_EVERY, self.steps // _ROWS))
        first = self.fabric.is_global_zero
        start = reported = self.step
        saved = since = time.monotonic()
        with (
            Logs(self.out, self.recipe.name, self.steps, start, self.chart) if first else nullcontext() as logs,
            bar(self.steps, start) if first else nullcontext() as show,
            held_interrupts(self.fabric) as interrupts,
        ):
            while self.step < self.steps:
                self.train_step()
                if self.step % every == 0 or self.step == self.steps:
                    row = self.means()
                    passed = time.monotonic() - since
                    self.seconds += passed
                    row["samples_per_s"] = (self.step - reported) * self.recipe.batch / passed
                    if logs and show:
                        if self.step % (every * _VALIDATE_EVERY) == 0 or self.step == self.steps:
                            row |= self.validate()
                            self.keep_best(row)
                        logs.write(row)
                        show(row)
                    reported, since = self.step, time.monotonic()
                if logs and (interrupts or time.monotonic() - saved > 60 * save_minutes):
                    self.save()
                    logs.draw()
                    saved = time.monotonic()
                if interrupts:
                    raise KeyboardInterrupt
            if logs:
                self.save()
                logs.draw()

    def train_step(self) -> None:
        """One step of the optimiser."""
        recipe, rank = self.recipe, self.fabric.global_rank
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate(self.step, self.steps_per_epoch, self.steps)
        share = recipe.batch // self.fabric.world_size
        batch = self.batch_of_step(slice(rank * share, (rank + 1) * share))
        # For whatever the network draws: dropout.
        torch.manual_seed(seed_of(recipe.seed, 2, self.step, rank))
        size = share // recipe.accumulate
        with plain_attention(self.fabric.device):
            for start in range(0, share, size):
                # Gradients of processes are averaged once a step.
                with self.fabric.no_backward_sync(self.predictions, enabled=start + size < share):
                    loss, logged = self.loss_of(_part(batch, slice(start, start + size)))
                    self.fabric.backward(loss / recipe.accumulate)
                self.sums += logged / recipe.accumulate
        if recipe.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.wrapped_optimiser.step()
        self.wrapped_optimiser.zero_grad()
        if self.average:
            self.average.update_parameters(self.network)
        self.summed += 1
        self.step += 1

    def means(self) -> dict[str, float]:
        """A row of metrics: means over the steps since the last one, of all processes.

        Raises:
            VidposeError: the loss is no longer a number.
        """
        reduced = self.fabric.all_reduce(self.sums / self.summed, reduce_op="mean")
        assert isinstance(reduced, torch.Tensor)
        means = reduced.tolist()
        row = {
            "step": self.step,
            "epoch": self.step / self.steps_per_epoch,
            "lr": self.optimiser.param_groups[0]["lr"],
            **dict(zip(self.logged, means, strict=True)),
        }
        # The others wait for the first process, which ends them.
        if self.fabric.is_global_zero and not math.isfinite(row["loss"]):
            again = "`resume`" if (self.out / CHECKPOINT).exists() else "begin anew"
            raise VidposeError(
                f"{self.out}: the loss became {row['loss']} by step {self.step}; {again} "
                "with a lower lr (`set=lr=...`) or the gradient clipped (`set=clip=1.0`)"
            )
        self.sums.zero_()
        self.summed = 0
        return row

    @property
    def epoch_seconds(self) -> float:
        """Seconds that an epoch takes, without validation, by the rows of metrics so far."""
        return round(self.seconds / self.step * self.steps_per_epoch, 1)

    @property
    def answer(self) -> N:
        """What is validated and exported: the averaged weights, where there are."""
        return cast(N, self.average.module) if self.average else self.network

    def keep_best(self, row: dict[str, float]) -> None:
        """Keep the answer beside the run, if the recipe wants the best and this is it."""
        if self.recipe.keep == "best" and row[self.measure] < self.best:
            self.best = row[self.measure]
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

    def save(self) -> None:
        """Write the whole state to `checkpoint.pt`, unless it is spoilt."""
        parts = [self.sums, *self.network.parameters()]
        if not all(part.isfinite().all() for part in parts):
            return
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimiser": self.optimiser.state_dict(),
            "sums": self.sums,
            "summed": self.summed,
            "best": self.best,
            "seconds": self.seconds,
        }
        write_checkpoint(self.out, self.recipe, state)

    def resume(self) -> None:
        """Go on from `checkpoint.pt`; raises as `read_checkpoint`."""
        state = read_checkpoint(self.out, self.recipe, self.fabric.device)
        with fit_to_resume(self.out):
            check_tensors(state["network"], self.network.state_dict())
            self.network.load_state_dict(state["network"])
            if self.average:
                check_tensors(state["average"], self.average.state_dict())
                self.average.load_state_dict(state["average"])
            self._resume_optimiser(state["optimiser"])
            check_tensors({"sums": state["sums"]}, {"sums": self.sums})
            if math.isnan(state["best"]):
                raise ValueError("best is no number")
        self.sums, self.summed = state["sums"], state["summed"]
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
        self.say(f"{self.out}: going on after step {self.step}")

    def _resume_optimiser(self, state: dict[str, Any]) -> None:
        """Take an optimiser's moments over, once they are found to be of the network's parameters.

        Raises:
            Exception: whatever torch makes of a state that is none.
        """
        settings = [dict(group) for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state)
        for group, ours in zip(self.optimiser.param_groups, settings, strict=True):
            group |= {key: value for key, value in ours.items() if key != "params"}
        names = {"step", "exp_avg", "exp_avg_sq"} | ({"max_exp_avg_sq"} if settings[0]["amsgrad"] else set())
        for parameter, moments in self.optimiser.state.items():
            check_tensors(moments, {name: parameter if name != "step" else torch.zeros(()) for name in names})


def _part(batch: Any, part: slice) -> Any:
    """Some samples of a batch."""
    return type(batch)(*(tensor[part] for tensor in batch))


class _Predictions(nn.Module):
    """A network as training calls it, for what wraps modules by their `forward`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        network: Any = self.network
        return network.predictions(*inputs)
