"""Checkpoints that nobody vouches for, read without running what is in them.

They are pickles. They are read by torch's restricted unpickler, which admits tensors and plain containers; the random
state of numpy that many of them carry is admitted by name and thrown away unread.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import open_input, short

_WRAPPERS = ("model_pos", "model", "state_dict")


class _Ignored:
    """Stands in for a numpy object of a checkpoint: takes whatever the pickle gives it, and keeps none of it."""

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_RANDOM_STATE = [
    (_Ignored, name)
    for name in (
        "numpy.random._pickle.__randomstate_ctor",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._mt19937.MT19937",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray.scalar",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.dtypes.UInt32DType",
    )
]
"""What pickled `numpy.random.RandomState`s and scalars of numpy 1 and 2 are made of."""


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint by name, without the wrapper (`model_pos` or the like) and the prefix `module.`.

    Raises:
        VidposeError: no such file, not a checkpoint, one that holds anything but tensors, containers and numpy's
            random state, or one without tensors.
    """
    content = unpickled(path, _RANDOM_STATE)
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise VidposeError(f"{path}: a checkpoint without tensors, or with them where they are not expected")
    for key, tensor in tensors.items():
        _check_plain(path, key, tensor)
    return tensors


def unpickled(path: Path, admitted: Sequence[tuple[Any, str]] = (), device: torch.device | str = "cpu") -> Any:
    """What a pickled file holds, as torch's restricted unpickler reads it: tensors and plain containers.

    Args:
        admitted: what else may be in it: (class that stands in, full name).

    Raises:
        VidposeError: no such file, a damaged one, or one that holds anything else.
    """
    try:
        with (
            open_input(path) as file,
            torch.serialization.safe_globals(list(admitted)),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return torch.load(file, map_location=device, weights_only=True)
    except VidposeError:
        raise
    except OSError as error:
        raise VidposeError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a pickle may say anything
        raise VidposeError(f"{path}: {_refusal(str(error))}") from None


def _check_plain(path: Path, key: str, tensor: torch.Tensor) -> None:
    """Raises VidposeError for a tensor that does not hold each of its numbers."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise VidposeError(f"{path}: the tensor {short(key)} does not hold the numbers it should have; get it again")


def _refusal(problem: str) -> str:
    if "GLOBAL " not in problem:
        return "not a PyTorch checkpoint, or a damaged one"
    culprit = problem.split("GLOBAL ")[1].split()[0]
    return f"holds {culprit}, which could run code when read; only checkpoints of tensors are admitted"
