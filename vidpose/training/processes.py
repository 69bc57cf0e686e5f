"""Devices and processes that train together, and how they end."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from torch.nn.attention import SDPBackend, sdpa_kernel

from vidpose.common.devices import choose_device, has_bfloat16
from vidpose.common.errors import UsageError

log = logging.getLogger(__name__)

# They tell of every process that starts, and of the precision.
for _talker in ("lightning.fabric", "lightning.pytorch"):
    logging.getLogger(_talker).setLevel(logging.WARNING)


def make_fabric(device: str, devices: int, bf16: bool) -> Fabric:
    """What knows of devices, precision and processes; more than one device is a process each.

    Where torchrun started this process, it says how many there are, and on how many machines.

    Args:
        device: as of `choose_device`.
        bf16: matrix products in bfloat16, where the device has instructions for it.

    Raises:
        UsageError: there is no such device, or not so many of them; or torchrun started another number.
    """
    chosen, machines = torch.device(choose_device(device)), 1
    if TorchElasticEnvironment.detect():
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        if devices not in (1, here):
            raise UsageError(f"`devices={devices}`: torchrun started {here} on this machine; leave it out")
        devices, machines = here, everywhere // here
    if chosen.index is not None and devices > 1:
        raise UsageError(f"`devices={devices}`: `device={device}` is one; give `device={chosen.type}`")
    if chosen.type == "cuda" and devices > torch.cuda.device_count():
        raise UsageError(f"`devices={devices}`: there are {torch.cuda.device_count()}")
    if bf16 and not has_bfloat16(str(chosen)):
        bf16 = False
        if is_first_process():
            log.warning("%s has no instructions for bfloat16 that torch knows of; training is in float32", chosen)
    return Fabric(
        accelerator=chosen.type,
        devices=devices if chosen.index is None else [chosen.index],
        num_nodes=machines,
        strategy="ddp" if devices * machines > 1 else "auto",
        precision="bf16-mixed" if bf16 else "32-true",
    )


def is_first_process() -> bool:
    """Whether this process is the first of those that train together, before they know of each other."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", 0))) == 0


@contextmanager
def plain_attention(device: torch.device) -> Iterator[None]:
    """On a CPU, attention written out: the backward of its fused kernel is slow, in bfloat16 above all."""
    if device.type != "cpu":
        yield
        return
    # Its name says CUDA; it holds for the CPU too.
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def held_interrupts(fabric: Fabric) -> Iterator[list[int]]:
    """Hold the first Ctrl-C back, so that it does not cut a step in two: gives a list that it is put into.

    A second one is not held back. Other processes than the first leave it to that one, which ends them.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = signal.getsignal(signal.SIGINT)

    def catch(number: int, _frame: object) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, catch if fabric.is_global_zero else signal.SIG_IGN)
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def together(fabric: Fabric) -> Iterator[None]:
    """Processes end together: the others when the first ends early, and all when all are done.

    A process whose group is still open when its interpreter ends may abort there.
    """
    try:
        yield
        if fabric.world_size > 1:
            fabric.barrier()
            torch.distributed.destroy_process_group()
    except BaseException:
        started = getattr(fabric.strategy.launcher, "procs", [])
        others = list(started)
        # Fabric watches this list, and kills the first process, too, when one of the list ends badly.
        started.clear()
        for process in others:
            process.kill()
        raise
