"""Weights to start from: a lifter's tensors from another one's, perhaps of another joint layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError, VidposeError
from vidpose.lifters import Lifter, create_lifter
from vidpose.lifters.lifter_table import ZOO
from vidpose.lifters.zoo import load_lifter
from vidpose.training.recipe import Recipe, recipe_names


def new_lifter(recipe: Recipe) -> Lifter:
    """The network that a recipe trains, untrained.

    Raises:
        UsageError: there is no such network, or none like that; names the recipe, whose settings they are.
    """
    try:
        return create_lifter(recipe.arch, **recipe.model)
    except UsageError as error:
        raise UsageError(f"recipe {recipe.name}: {error}") from None


def start_from(lifter: Lifter, recipe: Recipe, out: Path, say: Callable[[str], None]) -> None:
    """Give a lifter what fits it of the weights that its recipe names.

    A tensor fits if it has the same shape; or the same but for axes over the joints, where the layouts differ: joints
    are then taken by their names, and one that the other layout does not have stays as it is.

    Args:
        out: folder of the run; another run that the recipe may mean lies beside it.
        say: called with a line that names the tensors that do not fit.

    Raises:
        UsageError, VidposeError: there are no such weights, or none of them fits.
    """
    source = load_lifter(weights_named(recipe, out))
    theirs, ours = source.state_dict(), lifter.state_dict()
    taken = {}
    for name in ours.keys() & theirs.keys():
        fitted = _fitted(theirs[name].to(ours[name].device), ours[name], source.layout, lifter.layout)
        if fitted is not None:
            taken[name] = fitted
    if taken.keys().isdisjoint(dict(lifter.named_parameters())):
        raise VidposeError(f"{recipe.init}: none of its tensors fits {lifter.name}; start from other weights")
    lifter.load_state_dict(ours | taken)
    left = [name for name in ours if name not in taken]
    say(f"starting from {recipe.init}" + (f", but for {', '.join(left)}" if left else ""))


def weights_named(recipe: Recipe, out: Path) -> Path | str:
    """The file or zoo name that a recipe's `init` means: of another run, if there is one of that name.

    Raises:
        VidposeError: it means a recipe, whose run is not there.
    """
    runs = out.resolve().parents[recipe.name.count("/")]
    of_run = runs / recipe.init / "weights.safetensors"
    if of_run.is_file():
        return of_run
    if recipe.init in recipe_names() and recipe.init not in ZOO:
        raise VidposeError(f"{of_run}: not there to start from; first `vidpose train {recipe.init}`, or give `init`")
    return recipe.init


def _fitted(theirs: torch.Tensor, ours: torch.Tensor, source: Skeleton, target: Skeleton) -> torch.Tensor | None:
    """`theirs` in the shape of `ours`, with joints by name along the axes over joints; None if it does not fit."""
    if theirs.dim() != ours.dim():
        return None
    taken = torch.ones_like(ours, dtype=torch.bool)
    if source != target:
        row_J = torch.tensor(
            [source.index(joint) if joint in source.joints else -1 for joint in target.joints], device=ours.device
        )
        for axis, sizes in enumerate(zip(theirs.shape, ours.shape, strict=True)):
            if sizes == (len(source), len(target)):
                theirs = theirs.index_select(axis, row_J.clamp_min(0))
                taken &= (row_J >= 0).view(-1, *[1] * (ours.dim() - axis - 1))
    return torch.where(taken, theirs, ours) if theirs.shape == ours.shape else None
