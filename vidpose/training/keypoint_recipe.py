"""Recipes for 2D keypoint networks: everything that decides a training run, as TOML files say it.

read_keypoint_recipe("hrnet-w32")                       one of those that come with vidpose
read_keypoint_recipe("mine.toml", ["batch=8"])          a file, a key put over it
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vidpose.common.errors import UsageError, did_you_mean
from vidpose.common.settings import apply_settings, with_tuples
from vidpose.keypoint_data.picture_augmentation import PictureAugmentation
from vidpose.keypoints.clips.clip_network import clip_network_class, clip_network_names
from vidpose.keypoints.heatmaps import DECODINGS
from vidpose.keypoints.keypoint_network import Processing
from vidpose.keypoints.native_networks import network_class, network_names
from vidpose.training.plan import NEVER_NEGATIVE, NEVER_ZERO, PLAN_CHOICES, Plan, check_choices, check_keys, put_over
from vidpose.weights.shipped import shipped


@dataclass(frozen=True)
class _PictureRecipe(Plan):
    """What trainings on pictures have in common.

    Attributes:
        arch, model: registered network, and the fields of its config that differ from the default.
        name: of the recipe.
        augmentation: fields of `PictureAugmentation` that differ from the default.
        init: weights to start from: a file of the same network; "": none.
        epochs, steps, batch, ...: as of `Recipe`.
    """

    arch: str
    name: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    epochs: int = 0
    steps: int = 0
    batch: int = 32
    optimiser: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: dict[str, Any] = field(default_factory=lambda: {"name": "linear"})
    clip: float = 0.0
    ema: float = 0.0
    keep: str = "best"
    seed: int = 1
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
    deviation: float = 2.0
    hardest: int = 0

    @property
    def seen(self) -> Processing:
        """What is done before and after the network."""
        return replace(network_class(self.arch).processing, **with_tuples(self.processing))


@dataclass(frozen=True)
class ClipRecipe(_PictureRecipe):
    """For a network that sees clips of several views; a batch is of clips.

    Attributes:
        missing: probability of each view of a clip that it is missing; one never is.
        init: "imagenet", too; of a file, that part is taken which looks at pictures alone.
    """

    missing: float = 0.0


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
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a recipe ({error})") from None
    values = put_over(values, apply_settings({}, settings), _JOINED)
    kind = _check(values, name_or_file)
    return kind(**{**values, "name": path.stem})


_JOINED = frozenset({"model", "processing", "augmentation"})
_NEVER_ZERO = NEVER_ZERO | {"deviation"}
_NEVER_NEGATIVE = NEVER_NEGATIVE | _NEVER_ZERO | {"hardest", "missing"}


def _check(values: Mapping[str, Any], where: str) -> type[KeypointRecipe | ClipRecipe]:
    """See that a recipe's keys are known and their values possible; gives its class."""
    check_choices(values, PLAN_CHOICES | _CHOICES, where)
    tables = {"augmentation": asdict(PictureAugmentation())}
    if values["arch"] in clip_network_names():
        kind, network = ClipRecipe, clip_network_class(values["arch"])
    else:
        kind, network = KeypointRecipe, network_class(values["arch"])
        tables["processing"] = asdict(network.processing)
    blank = asdict(kind("")) | tables | {"model": asdict(network.Config())}
    check_keys(values, blank, where, "docs/keypoints.md", _NEVER_NEGATIVE, _NEVER_ZERO)
    return kind


_CHOICES = {"arch": (*network_names(), *clip_network_names()), "processing.decoding": DECODINGS}
