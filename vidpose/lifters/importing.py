"""Authors' checkpoints of the lifters, into our weights.

lifter = import_lifter(Path("best_epoch.bin"), "mixste")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import short
from vidpose.common.registry import check_tensors
from vidpose.lifters.lifter import Lifter, create_lifter, lifter_class
from vidpose.weights.untrusted import read_checkpoint

_FRAME_RATES = {"h36m17": 50.0, "h36m16": 50.0, "humaneva15": 60.0}
"""Frames a second of the data set whose joints a layout has. Those of MPI-INF-3DHP have 25 or 50."""


def import_lifter(
    path: Path,
    arch: str,
    settings: Mapping[str, Any] | None = None,
    *,
    prefer: str = "plain",
    report: Callable[[dict[str, Any]], None] = lambda assumed: None,
    tell: Callable[[str], None] = lambda fact: None,
) -> Lifter:
    """A lifter with the weights of its authors' checkpoint, in eval mode on the CPU.

    Sizes come from the tensors' shapes. What these do not tell is as in the paper, unless `settings` say otherwise.

    Args:
        settings: fields of the lifter's config.
        prefer: "plain" weights or "ema", their moving averages, where there are both.
        report: called with the fields that neither shapes nor `settings` tell.
        tell: called with what was left out of the checkpoint.

    Raises:
        UsageError: no lifter is called `arch`, or its config has no such setting.
        VidposeError: see `read_checkpoint`; or the checkpoint is of another architecture, or lacks keys, or has more.
    """
    kind = lifter_class(arch)
    theirs = read_checkpoint(path, prefer=prefer, tell=tell)
    renamed = {rename(key, (*kind.other_keys, *kind.authors_keys)): tensor for key, tensor in theirs.items()}
    try:
        config = kind.infer_config(renamed)
        tensors = kind.from_authors(renamed)
    except NotImplementedError:
        raise UsageError(f"{arch}: no authors' checkpoints of it are known, so there is nothing to import") from None
    except UsageError as error:
        raise VidposeError(f"{path}: {error}") from None
    # Tensors of any number and shape may stand under the right names.
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        missing = (
            f"it has no {original(str(error.args[0]), kind)}" if isinstance(error, KeyError) else "shapes do not fit"
        )
        raise VidposeError(f"{path}: not a checkpoint of {arch}: {missing}, but {_some(theirs)}") from None
    chosen = asdict(kind.Config()) | config | dict(settings or {})
    if chosen["frames"] != 1:
        config = {"fps": _FRAME_RATES.get(chosen["layout"], 0.0)} | config
    try:
        lifter = create_lifter(arch, **(config | dict(settings or {})))
    except UsageError as error:
        if settings:
            raise
        raise VidposeError(f"{path}: not a checkpoint of {arch} ({error})") from None
    expected = lifter.state_dict()
    # PyTorch before 0.4.1 did not count the batches.
    tensors = {key: value for key, value in expected.items() if key.endswith("num_batches_tracked")} | tensors
    tensors = {key: value for key, value in tensors.items() if key in expected or not key.startswith(kind.unused_keys)}
    if lacking := expected.keys() - tensors.keys():
        raise VidposeError(f"{path}: lacks keys of {arch}: {_some(original(key, kind) for key in lacking)}")
    if surplus := tensors.keys() - expected.keys():
        raise VidposeError(f"{path}: has keys that {arch} has not: {_some(original(key, kind) for key in surplus)}")
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            raise VidposeError(
                f"{path}: {original(key, kind)} is of shape {tuple(tensor.shape)}, where {arch} with these settings "
                f"has {tuple(expected[key].shape)}"
            )
    try:
        check_tensors(tensors, expected)
    except ValueError as error:
        raise VidposeError(f"{path}: damaged, or of another kind ({error})") from None
    lifter.load_state_dict(tensors)
    # Of layouts the shapes tell no more than how many joints they have, of strides how many there are.
    told = (config.keys() - {"layout", "input_layout", "strides", "fps"}) | (settings or {}).keys()
    report({key: value for key, value in asdict(lifter.config).items() if key not in told})
    return lifter.eval()


def rename(key: str, pairs: Sequence[tuple[str, str]]) -> str:
    """An authors' parameter name in our words."""
    for theirs, ours in pairs:
        key = key.replace(theirs, ours)
    return key


def original(key: str, kind: type[Lifter]) -> str:
    """One of our parameter names in the authors' words, for messages."""
    return rename(key, [(ours, theirs) for theirs, ours in reversed(kind.authors_keys) if ours])


def _some(keys: Iterable[str]) -> str:
    keys = sorted(short(key).strip("'") for key in keys)
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
