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

from vidpose.errors import UsageError, did_you_mean
from vidpose.keypoint_data.augmentation import Augmentation
from vidpose.keypoints.base import Processing
from vidpose.keypoints.heatmaps import DECODINGS
from vidpose.keypoints.networks import network_class, network_names
from vidpose.settings import apply_settings, with_tuples
from vidpose.shipped import shipped
from vidpose.training.plan import OPTIMISERS, Plan
from vidpose.training.schedules import SCHEDULES


@dataclass(frozen=True)
class KeypointRecipe(Plan):
    """Everything that decides a training run.

    Attributes:
        arch, model: registered network, and the fields of its config that differ from the default.
        name: of the recipe.
        processing: fields of the network's `Processing` that differ from its public weights'.
        augmentation: fields of `Augmentation` that differ from the default.
        deviation: of the Gaussians that heatmaps should be, in cells.
        hardest: of the last heatmaps only so many joints of a person, those with the greatest loss, count; 0: all
            (online hard keypoint mining, CPN, section 3.3).
        epochs, steps, batch, ...: as of `Recipe`; a batch is of crops.
    """

    arch: str
    name: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    processing: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    deviation: float = 2.0
    hardest: int = 0
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
    def seen(self) -> Processing:
        """What is done before and after the network."""
        return replace(network_class(self.arch).processing, **with_tuples(self.processing))

    @property
    def varied(self) -> Augmentation:
        """How crops are varied."""
        return Augmentation(**self.augmentation)


def keypoint_recipe_names() -> list[str]:
    """Names of the recipes that come with vidpose."""
    return sorted(path.stem for path in (shipped("recipes") / "keypoints").glob("*.toml"))


def read_keypoint_recipe(name_or_file: str, settings: Sequence[str] = ()) -> KeypointRecipe:
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
    given = apply_settings({}, settings)
    for one, other in (("steps", "epochs"), ("epochs", "steps")):
        if one in given and other not in given:
            values.pop(other, None)
    for key, value in given.items():
        old = values.get(key)
        values[key] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    _check(values, name_or_file)
    return KeypointRecipe(**{**values, "name": path.stem})


def _check(values: Mapping[str, Any], where: str) -> None:
    """See that a recipe's keys are known and their values possible."""
    if values.get("arch") not in network_names():
        raise UsageError(f"{where}: arch is {values.get('arch')!r}; choose from {', '.join(network_names())}")
    schedule = values.get("schedule", {"name": "linear"})
    name = schedule.get("name") if isinstance(schedule, dict) else schedule
    if name not in SCHEDULES:
        raise UsageError(f"{where}: schedule.name is {name!r}; choose from {', '.join(SCHEDULES)}")
    network = network_class(values["arch"])
    tables = {
        "model": asdict(network.Config()),
        "processing": asdict(network.processing),
        "augmentation": asdict(Augmentation()),
        "schedule": {"name": "", **(SCHEDULES[name].__kwdefaults__ or {})},
    }
    blank = {**asdict(KeypointRecipe("")), **tables}
    for key, value in values.items():
        _check_like(key, value, blank, where)
        for inner, part in value.items() if key in tables else ():
            _check_like(f"{key}.{inner}", part, {f"{key}.{k}": v for k, v in tables[key].items()}, where)
    choices = {"optimiser": OPTIMISERS, "keep": ("best", "last")}
    for key, known in choices.items():
        if values.get(key, known[0]) not in known:
            raise UsageError(f"{where}: {key} is {values[key]!r}; choose from {', '.join(known)}")
    decoding = values.get("processing", {}).get("decoding", "dark")
    if decoding not in DECODINGS:
        raise UsageError(f"{where}: processing.decoding is {decoding!r}; choose from {', '.join(DECODINGS)}")
    if bool(values.get("epochs")) == bool(values.get("steps")):
        raise UsageError(f"{where}: epochs or steps say how long a run is; give one of them")
    for key in ("batch", "lr", "deviation"):
        if values.get(key, 1) <= 0:
            raise UsageError(f"{where}: {key} is {values[key]}; give more")


def _check_like(key: str, value: Any, known: Mapping[str, Any], where: str) -> None:
    if key not in known:
        raise UsageError(f"{where}: no key {key!r}; {did_you_mean(key, known)}docs/keypoints.md lists them")
    default = known[key]
    if isinstance(default, bool) or isinstance(value, bool):
        fits = isinstance(value, bool) and isinstance(default, bool)
    elif isinstance(default, tuple | list):
        fits = isinstance(value, tuple | list) and len(value) > 0
    else:
        fits = isinstance(value, int | float if isinstance(default, float) else type(default))
    if not fits:
        raise UsageError(f"{where}: {key} is {value!r}, which is nothing like its default {default!r}")
