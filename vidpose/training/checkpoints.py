"""The folder of a run: its files, whether it is free, and the checkpoint in it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import make_folder, replacing, spare_inputs
from vidpose.common.inputs import convert, reading, short
from vidpose.training.plan import Plan
from vidpose.weights.untrusted import unpickled

CHECKPOINT, BEST, WEIGHTS = "checkpoint.pt", "best.safetensors", "weights.safetensors"
"""Files of a run: the whole state, the best by validation so far, and what it ends with."""

_MAY_DIFFER = frozenset({"name", "reported", "epochs", "steps", "lr", "clip"})
"""Keys of a recipe that a resumed run may change: to train longer, or past what spoilt the loss."""


def check_folder(out: Path, resume: bool, overwrite: bool, init: str = "") -> None:
    """Make the folder of a run, unless it is there.

    Args:
        init: what the run starts from, which may be a file.

    Raises:
        UsageError: it holds a run, which is neither to be gone on with nor to be begun anew.
        VidposeError: nothing can be written there, or the run would replace what it starts from.
    """
    if not resume:
        spare_inputs([out / name for name in (CHECKPOINT, BEST, WEIGHTS)], [Path(init)] if init else [])
    make_folder(out)
    for name, what in ((WEIGHTS, "a finished run"), (CHECKPOINT, "an unfinished run")):
        if (out / name).exists() and not (resume or overwrite):
            raise UsageError(
                f"{out}: holds {what}; `resume` goes on with it, `overwrite` begins anew, or choose another `out`"
            )


def write_checkpoint(out: Path, recipe: Plan, state: dict[str, Any]) -> None:
    """Write `checkpoint.pt`: the state of a run, and the recipe it follows."""
    with replacing(out / CHECKPOINT) as partial:
        # In memory first: on a full disk, torch raises what nobody would take for that.
        packed = io.BytesIO()
        torch.save(state | {"recipe": recipe.to_dict()}, packed)
        partial.write_bytes(packed.getbuffer())


def read_checkpoint(out: Path, recipe: Plan, device: torch.device) -> dict[str, Any]:
    """The state of a run, from `checkpoint.pt`.

    Raises:
        VidposeError: there is none, it is damaged, or it is of another recipe.
    """
    path = out / CHECKPOINT
    if not path.exists():
        raise VidposeError(f"{path}: no checkpoint to resume; start without `resume`")
    with fit_to_resume(out):
        state = vars(convert(unpickled(path, device=device), _State))
    ours, theirs = recipe.to_dict(), state["recipe"]
    changed = [key for key in ours if key not in _MAY_DIFFER and ours[key] != theirs.get(key)]
    if changed:
        listed = "; ".join(f"{key} {short(theirs.get(key))} there, {short(ours[key])} here" for key in changed)
        raise VidposeError(f"{path}: of another recipe ({listed}); resume with its own, or choose another `out`")
    return state


@contextmanager
def fit_to_resume(out: Path) -> Iterator[None]:
    """Around taking a state over: what does not fit becomes a VidposeError with advice."""
    with reading(out / CHECKPOINT, "the state of this run", "begin anew with `overwrite`"):
        yield


@dataclass(frozen=True)
class _State:
    """What a checkpoint holds; `Run.save` writes it."""

    recipe: dict[str, Any]
    step: Annotated[int, Meta(ge=0)]
    network: dict[str, Any]
    average: dict[str, Any] | None
    optimiser: dict[str, Any]
    sums: Any
    summed: Annotated[int, Meta(ge=0)]
    best: float
    seconds: Annotated[float, Meta(ge=0, le=1e12)]
