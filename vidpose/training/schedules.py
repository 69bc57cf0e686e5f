"""Learning rates: factors of a recipe's initial or peak rate, by step.

All are called (step, steps_per_epoch, steps), with step from 0 to steps - 1; settings are by keyword and default to the
values of the paper they are from. An epoch is counted from 0, and changes the rate when it begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated

from msgspec import Meta

from vidpose.common.settings import Chance, Share

Steps = Annotated[int, Meta(ge=1, le=10**9)]


def linear(step: int, steps_per_epoch: int, steps: int) -> float:
    """From 1 to 0 over the whole run (LSTM and Transformer hybrids, section 4.1).

    The paper gives neither the value at the end nor whether the rate changes by step or by epoch; here 0 and by step.
    """
    return 1 - step / steps


def warmup_linear(step: int, steps_per_epoch: int, steps: int, *, warmup: Steps = 100, decay: Chance = 0.4) -> float:
    """Linear warm-up, plateau, linear decay to 0. Of no paper.

    Args:
        warmup: steps until the rate is whole.
        decay: fraction of the steps over which it falls.
    """
    remaining = (steps - step) / max(1, decay * steps)
    return min(1.0, (step + 1) / max(1, warmup), remaining)


def exponential_by_step(
    step: int, steps_per_epoch: int, steps: int, *, rate: Share = 0.96, every: Steps = 100_000
) -> float:
    """rate^(step / every), continuous (Hossain and Little, section 4; rate and steps from the released code).

    Martinez et al. use the same.
    """
    return rate ** (step / every)


def exponential_by_epoch(step: int, steps_per_epoch: int, steps: int, *, rate: Share = 0.99, every: Steps = 1) -> float:
    """rate^epoch (SSR-STF, section IV.B; MixSTE, released code: the paper's text gives no rate).

    Args:
        every: epochs from one change of the rate to the next.
    """
    return rate ** (step // steps_per_epoch // every)


def stepped(
    step: int, steps_per_epoch: int, steps: int, *, rate: Share = 0.95, large_rate: Share = 0.5, every: Steps = 5
) -> float:
    """The factor `rate` after each epoch, but `large_rate` after every fifth (MHFormer, released code)."""
    epochs = step // steps_per_epoch
    large = epochs // every
    return rate ** (epochs - large) * large_rate**large


def cosine(step: int, steps_per_epoch: int, steps: int, *, floor: Chance = 1e-3) -> float:
    """From 1 towards `floor` along half a cosine, by epoch (GLA-GCN, released code: from 1e-2 to 1e-5)."""
    turned = step // steps_per_epoch * steps_per_epoch / steps
    return floor + (1 - floor) * (1 + math.cos(math.pi * turned)) / 2


def warmup_cosine(step: int, steps_per_epoch: int, steps: int, *, warmup: Chance = 0.2) -> float:
    """Linear warm-up, then half a cosine to 0 (multi-perspective temporal-relational network, section IV-B).

    Args:
        warmup: share of the run until the rate is whole; the paper's is 20 of 100 epochs.
    """
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


def milestones(
    step: int, steps_per_epoch: int, steps: int, *, at: tuple[Chance, ...] = (0.81, 0.952), rate: Share = 0.1
) -> float:
    """The factor `rate` at each of some points of the run, as shares of it (HRNet, section 4.1: of 210 epochs, 170 and
    200)."""
    return rate ** sum(step >= share * steps for share in at)


SCHEDULES: Mapping[str, Callable[..., float]] = {
    "linear": linear,
    "warmup-linear": warmup_linear,
    "exponential-by-step": exponential_by_step,
    "exponential-by-epoch": exponential_by_epoch,
    "stepped": stepped,
    "cosine": cosine,
    "warmup-cosine": warmup_cosine,
    "milestones": milestones,
}
