"""Which device to compute on. torch is loaded only where there may be another one than the CPU."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping

from vidpose.common.errors import UsageError

_KINDS = frozenset({"cpu", "cuda", "mps"})

_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
"""Instructions as torch calls them: of AMD and Intel, of Intel, of ARM."""


def choose_device(name: str) -> str:
    """`auto` is the first GPU, else the CPU; any other name is checked and given back.

    Raises:
        UsageError: torch knows no such device, or cannot reach it.
    """
    if name == "cpu" or (name == "auto" and not _has_driver()):
        return "cpu"
    import torch

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


def has_bfloat16(device: str) -> bool:
    """Whether a device has instructions for bfloat16 that torch knows of. Without them float32 is faster, and torch may
    have no LSTM in bfloat16."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Not every version of torch that will do otherwise can tell.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return kind == "cpu" and any(capabilities.get(name) for name in _BFLOAT16)


def _has_driver() -> bool:
    """Whether there is a driver of NVIDIA's or AMD's, without which torch finds no GPU."""
    if os.path.exists("/dev/kfd"):
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
