"""Authors' checkpoints of the lifters, read without running what is in them, into our weights.

    lifter = import_lifter(Path("best_epoch.bin"), "mixste")

Checkpoints are pickles. They are read by torch's restricted unpickler, which admits tensors and plain containers; the
random state of numpy that many of them carry is admitted by name and thrown away unread.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from vidpose.errors import UsageError, VidposeError
from vidpose.lifters.base import Lifter, create_lifter, lifter_class

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
    try:
        with torch.serialization.safe_globals(_RANDOM_STATE), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise VidposeError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:
        raise VidposeError(f"{path}: {_refusal(str(error))}") from None
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
    return tensors


def _refusal(problem: str) -> str:
    if "GLOBAL " not in problem:
        return "not a PyTorch checkpoint, or a damaged one"
    culprit = problem.split("GLOBAL ")[1].split()[0]
    return f"holds {culprit}, which could run code when read; only checkpoints of tensors are admitted"


def import_lifter(
    path: Path,
    arch: str,
    settings: Mapping[str, Any] | None = None,
    *,
    report: Callable[[dict[str, Any]], None] = lambda assumed: None,
) -> Lifter:
    """A lifter with the weights of its authors' checkpoint, in eval mode on the CPU.

    Sizes come from the tensors' shapes. What these do not tell is as in the paper, unless `settings` say otherwise.

    Args:
        settings: fields of the lifter's config.
        report: called with the fields that neither shapes nor `settings` tell.

    Raises:
        UsageError: no lifter is called `arch`, or its config has no such setting.
        VidposeError: see `read_checkpoint`; or the checkpoint is of another architecture, or lacks keys, or has more.
    """
    kind = lifter_class(arch)
    theirs = read_checkpoint(path)
    renamed = {rename(key, kind.authors_keys): tensor for key, tensor in theirs.items()}
    try:
        config = kind.infer_config(renamed)
        tensors = kind.from_authors(renamed)
    except NotImplementedError:
        raise UsageError(f"{arch}: no authors' checkpoints of it are known, so there is nothing to import") from None
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        missing = f"it has no {original(error.args[0], kind)}" if isinstance(error, KeyError) else "shapes do not fit"
        raise VidposeError(f"{path}: not a checkpoint of {arch}: {missing}, but {_some(theirs)}") from None
    lifter = create_lifter(arch, **(config | dict(settings or {})))
    expected = lifter.state_dict()
    if missing := expected.keys() - tensors.keys():
        raise VidposeError(f"{path}: lacks keys of {arch}: {_some(original(key, kind) for key in missing)}")
    if surplus := tensors.keys() - expected.keys():
        raise VidposeError(f"{path}: has keys that {arch} has not: {_some(original(key, kind) for key in surplus)}")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            raise VidposeError(
                f"{path}: {original(key, kind)} is of shape {tuple(tensor.shape)}, where {arch} with these settings "
                f"has {tuple(expected[key].shape)}"
            )
    lifter.load_state_dict(tensors)
    told = config.keys() | (settings or {}).keys()
    report({key: value for key, value in asdict(lifter.config).items() if key not in told})
    return lifter.eval()


def rename(key: str, pairs: Sequence[tuple[str, str]]) -> str:
    """An authors' parameter name in our words."""
    for theirs, ours in pairs:
        key = key.replace(theirs, ours)
    return key


def original(key: str, kind: type[Lifter]) -> str:
    """One of our parameter names in the authors' words, for messages."""
    return rename(key, [(ours, theirs) for theirs, ours in reversed(kind.authors_keys)])


def _some(keys: Iterable[str]) -> str:
    keys = sorted(keys)
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
