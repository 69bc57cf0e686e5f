"""Carrying a run out: its folder, its devices, and what becomes of it when memory is short.

The run itself is in `run.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypedDict

import torch
from lightning.fabric import Fabric

from vidpose.common.errors import VidposeError
from vidpose.common.files import alone_in
from vidpose.training.checkpoints import check_folder
from vidpose.training.plan import Plan
from vidpose.training.processes import is_first_process, make_fabric, together
from vidpose.training.run import Bar, Report, Run


def no_bar(total: int, start: int) -> AbstractContextManager[Report]:
    """A bar that nobody sees."""
    return nullcontext(lambda row: None)


class Running(TypedDict, total=False):
    """How a run is carried out, whatever is trained: the options of `carry_out`."""

    device: str
    devices: int
    compile: bool
    resume: bool
    overwrite: bool
    save_minutes: float
    bar: Bar


def carry_out(
    plan: Plan,
    make: Callable[[Fabric], Run[Any, Any]],
    samples: str,
    out: Path,
    *,
    device: str = "auto",
    devices: int = 1,
    compile: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    save_minutes: float = 3.0,
    bar: Bar = no_bar,
) -> Path:
    """A run from beginning to end; gives the path of the exported weights.

    Args:
        make: gives the run, when devices and precision are known.
        samples: what a batch is made of.
        out: folder of the run.
        device: "auto", "cpu", "cuda" or "cuda:N".
        devices: processes that share the work, a GPU each; more than one starts this program again for the others.
            Where torchrun started them, it says how many.
        compile: the network by `torch.compile`.
        resume: go on from `checkpoint.pt`.
        overwrite: begin anew where there is a run already.
        save_minutes: from one checkpoint to the next.
        bar: called with the steps in all and those done, in the first process only; gives what is called with every row
            of metrics.

    Raises:
        UsageError, VidposeError, KeyboardInterrupt: as of `loop.train`.
    """
    check_folder(out, resume, overwrite, plan.init)
    fabric = make_fabric(device, devices, plan.bf16)
    # Of several processes, the first has the folder.
    with (
        alone_in(out) if is_first_process() else nullcontext(),
        _short_of_memory(plan, samples, out, fabric),
    ):
        run = make(fabric)
        if resume:
            run.resume()
        with together(fabric):
            run.launch(compile)
            if fabric.is_global_zero:
                run.begin()
            run.run(save_minutes, bar)
            return run.finish()


@contextmanager
def _short_of_memory(plan: Plan, samples: str, out: Path, fabric: Fabric) -> Iterator[None]:
    """Say what helps, when a device's memory does not do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # Of a processor's memory, torch has no error of its own.
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        fewer = "; windows of fewer frames take less, too: `set=data.window=N`" if samples == "windows" else ""
        raise VidposeError(
            f"{out}: out of memory with {plan.batch} {samples} a step on {fabric.world_size} x {fabric.device.type}; "
            "compute it in parts with `set=accumulate=N`, lower it with `set=batch=N`, or share it by `devices=N`"
            f"{fewer}"
        ) from None
