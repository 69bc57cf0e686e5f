"""Which device to compute on."""

from __future__ import annotations

import torch

from vidpose.common.errors import UsageError

_KINDS = frozenset({"cpu", "cuda", "mps"})


def choose_device(name: str) -> str:
    """`auto` is the first GPU, else the CPU; any other name is checked and given back.

    Raises:
        UsageError: torch knows no such device, or cannot reach it.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.device(name).type not in _KINDS:
            raise RuntimeError("no device that computes")
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"`device={name}`: cannot be used here ({reason}); try auto or cpu") from None
    return name
