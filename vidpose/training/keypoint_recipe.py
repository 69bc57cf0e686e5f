"""Recipes for 2D keypoint networks: everything that decides a training run, as TOML files say it.

read_keypoint_recipe("hrnet-w32")                       one of those that come with vidpose
read_keypoint_recipe("mine.toml", ["batch=8"])          a file, a key put over it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vidpose.common.errors import UsageError, did_you_mean
from vidpose.common.inputs import read_toml, reading
from vidpose.common.settings import Amount, Chance, Ratio, apply_settings, with_tuples
from vidpose.keypoint_data.picture_augmentation import PictureAugmentation
from vidpose.keypoints.clips.clip_network import clip_network_class, clip_network_names
from vidpose.keypoints.heatmaps import DECODINGS
from vidpose.keypoints.keypoint_network import NetworkConfig, Processing, network_class, network_names
from vidpose.training.plan import (
    PLAN_CHOICES,
    Length,
    Plan,
    check_choices,
    check_keys,
    check_schedule,
    checked,
    put_over,
)
from vidpose.weights.shipped import shipped


@dataclass(frozen=True)
class _PictureRecipe(Plan):
    """What trainings on pictures have in common.

    Attributes:
        augmentation: fields of `PictureAugmentation` that differ from the default.
        init: a file of the same network.
    """

    optimiser: str = "adam"
    weight_decay: Amount = 0.0
    keep: str = "best"
    bf16: bool = True

    @property
    def varied(self) -> PictureAugmentation:
        """How crops are varied."""
        return PictureAugmentation(**self.augmentation)


@dataclass(frozen=True)
class KeypointRecipe(_PictureRecipe):
    """For a network that sees one crop; a batch is of crops.

    Attributes:
        processing: fields of the network's `Processing` that differ from its public weights'.
        deviation: of the Gaussians that heatmaps should be, in cells.
        hardest: of the last heatmaps only so many joints of a person, those with the greatest loss, count; 0: all
            (online hard keypoint mining, CPN, section 3.3).
    """

    processing: dict[str, Any] = field(default_factory=dict)
    deviation: Ratio = 2.0
    hardest: Length = 0

    @property
    def seen(self) -> Processing:
        """What is done before and after the network."""
        return replace(network_class(self.arch).processing, **with_tuples(self.processing))


@dataclass(frozen=True)
class ClipRecipe(_PictureRecipe):
    """For a network that sees clips of several views; a batch is of clips.

    Attributes:
        missing: probability of each view of a clip that it is missing; one never is.
        pictures_at_once: how many pictures' activations are kept: those of so many at a time are computed again when
            gradients are (activation checkpointing); 0: all are kept.
        init: "imagenet", too; of a file, that part is taken which looks at pictures alone.
    """

    missing: Chance = 0.0
    pictures_at_once: Length = 0


def keypoint_recipe_names() -> list[str]:
    """Names of the recipes that come with vidpose."""
    return sorted(path.stem for path in (shipped("recipes") / "keypoints").glob("*.toml"))


def read_keypoint_recipe(name_or_file: str, settings: Sequence[str] = ()) -> KeypointRecipe | ClipRecipe:
    """A recipe by its name or file.

    Args:
        settings: `key=value` or `table.key=value`, put over the recipe.

    Raises:
        UsageError: there is no such recipe, or it or a setting is not what it should be.
    """
    path = shipped("recipes") / "keypoints" / f"{name_or_file}.toml"
    path = Path(name_or_file) if name_or_file.endswith(".toml") else path
    if not path.is_file():
        known = keypoint_recipe_names()
        advice = did_you_mean(name_or_file, known)
        raise UsageError(f"{name_or_file}: no such recipe; {advice}known are {', '.join(known)}; or give a TOML file")
    with reading(path, "a recipe", kind=UsageError):
        values = read_toml(path)
    values = put_over(values, apply_settings({}, settings), _JOINED)
    return _checked(values | {"name": path.stem}, name_or_file)


_JOINED = frozenset({"model", "processing", "augmentation"})


def _checked(values: Mapping[str, Any], where: str) -> KeypointRecipe | ClipRecipe:
    """The recipe, once its keys are known and their values found possible."""
    check_choices(values, PLAN_CHOICES | _CHOICES, where)
    arch, tables = values["arch"], {"augmentation": asdict(PictureAugmentation())}
    kind: type[KeypointRecipe] | type[ClipRecipe]
    config: type[NetworkConfig]
    if arch in clip_network_names():
        kind, config = ClipRecipe, clip_network_class(arch).Config
    else:
        kind, config = KeypointRecipe, network_class(arch).Config
        tables["processing"] = asdict(network_class(arch).processing)
    blank = asdict(kind("")) | tables | {"model": asdict(config())}
    check_keys(values, blank, where, "docs/keypoints.md")
    recipe = checked(values, kind, f"{where}: ")
    checked(recipe.model, config, f"{where}: model.")
    checked(recipe.augmentation, PictureAugmentation, f"{where}: augmentation.")
    if isinstance(recipe, KeypointRecipe):
        checked(recipe.processing, Processing, f"{where}: processing.")
    check_schedule(recipe.schedule, where)
    return recipe


_CHOICES = {"arch": (*network_names(), *clip_network_names()), "processing.decoding": DECODINGS}
