"""What the recipes of all trainings have in common: how long a run is, and the learning rate of each of its steps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, TypeVar, get_type_hints

from msgspec import Meta

from vidpose.common.errors import UsageError, did_you_mean
from vidpose.common.files import to_json
from vidpose.common.inputs import convert, short
from vidpose.common.settings import Amount, Probability, Ratio
from vidpose.training.schedules import SCHEDULES

T = TypeVar("T")

OPTIMISERS = ("adam", "adam-amsgrad", "adamw")

PLAN_CHOICES: dict[str, Iterable[str]] = {
    "optimiser": OPTIMISERS,
    "schedule.name": SCHEDULES,
    "keep": ("best", "last"),
}
"""Keys of every recipe that have one of a few values."""

Length = Annotated[int, Meta(ge=0, le=10**9)]
"""Of a run; 0: not said."""

Batch = Annotated[int, Meta(ge=1, le=1 << 20)]

Seed = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


@dataclass(frozen=True)
class Plan:
    """What every recipe says.

    Attributes:
        arch, model: name of the network, and the fields of its config that differ from the default.
        name: of the recipe; of a row, "table/row".
        augmentation: fields of the kind's augmentation that differ from the default.
        init: weights to start from; "": none.
        epochs, steps: length of the run; one of them is 0.
        batch: samples a step, over all devices.
        accumulate: parts in which a device computes its share of the batch, one after the other, to save memory: the
            same run, up to rounding, dropout and batch normalisation.
        optimiser: one of `OPTIMISERS`. Adam has weight decay as part of the loss, AdamW apart from it.
        lr, weight_decay: of the optimiser; `lr` is the largest of the run.
        schedule: `name`, one of `SCHEDULES`, of the factor on the learning rate, and its settings.
        clip: limit to the norm of the gradient; 0: none.
        ema: decay of the moving average of weights that is validated and exported; 0: none is taken.
        keep: what is exported: "best" by validation, or "last".
        seed: of weights and data.
        bf16: matrix products in bfloat16; the papers' were in float32.
    """

    arch: str
    name: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    init: str = ""
    epochs: Length = 0
    steps: Length = 0
    batch: Batch = 32
    accumulate: Batch = 1
    optimiser: str = "adamw"
    lr: Ratio = 1e-3
    weight_decay: Amount = 0.01
    schedule: dict[str, Any] = field(default_factory=lambda: {"name": "linear"})
    clip: Amount = 0.0
    ema: Probability = 0.0
    keep: str = "last"
    seed: Seed = 1
    bf16: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Its keys with values as JSON has them."""
        return json.loads(to_json(asdict(self)))

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps of the run, with so many an epoch."""
        return self.steps or self.epochs * steps_per_epoch

    def rate(self, step: int, steps_per_epoch: int, steps: int) -> float:
        """Learning rate of a step, of so many."""
        settings = {key: value for key, value in self.schedule.items() if key != "name"}
        return self.lr * SCHEDULES[self.schedule["name"]](step, steps_per_epoch, steps, **settings)


def check_choices(values: Mapping[str, Any], choices: Mapping[str, Iterable[str]], where: str) -> None:
    """See that keys have one of the values that they can have; `arch` and `schedule.name` must.

    Args:
        values: a recipe's.
        choices: by key, that of a table's as "table.key".
        where: what errors call the recipe: its name or file.

    Raises:
        UsageError: one has not.
    """
    given = flat({"schedule": {"name": next(iter(SCHEDULES))}, **values})
    for key, known in choices.items():
        if (key in given or key in ("arch", "schedule.name")) and given.get(key) not in tuple(known):
            raise UsageError(f"{where}: {key} is {short(given.get(key))}; choose from {', '.join(known)}")


def check_keys(values: Mapping[str, Any], blank: Mapping[str, Any], where: str, page: str) -> None:
    """See that a recipe's keys are known.

    Args:
        values: a recipe's.
        blank: all keys; settings of the schedule need not be there.
        where: as of `check_choices`.
        page: that lists the keys.

    Raises:
        UsageError: a key is unknown, or the run's length not said once.
    """
    schedule = values.get("schedule", blank["schedule"])
    known = flat({**blank, "schedule": {"name": "", **(SCHEDULES[schedule["name"]].__kwdefaults__ or {})}})
    for key in flat(values):
        if key not in known:
            raise UsageError(f"{where}: no key {short(key)}; {did_you_mean(key, known)}{page} lists them")
    if bool(values.get("epochs")) == bool(values.get("steps")):
        raise UsageError(f"{where}: epochs or steps say how long a run is; give one of them")


def checked(values: Any, kind: type[T], where: str) -> T:
    """A recipe, or a table of one, once its values are found possible.

    Args:
        kind: a dataclass whose types say which values can be.
        where: what the error begins with: "mine.toml: ", or "mine.toml: model." for a table.

    Raises:
        UsageError: one cannot be; says which.
    """
    try:
        return convert(values, kind)
    except ValueError as error:
        raise UsageError(f"{where}{error}") from None


def check_schedule(schedule: Mapping[str, Any], where: str) -> None:
    """See that the settings of a schedule are possible; raises as `checked`."""
    hints = get_type_hints(SCHEDULES[schedule["name"]], include_extras=True)
    for key, value in schedule.items():
        if key != "name":
            checked(value, hints[key], f"{where}: schedule.{key} is ")


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of tables as "table.key"."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
    return found


def put_over(values: Mapping[str, Any], changes: Mapping[str, Any], joined: Set[str] = frozenset()) -> dict[str, Any]:
    """`changes` put over a recipe's keys.

    Args:
        joined: tables whose keys are put over one by one; others are replaced as a whole.
    """
    result = dict(values)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            # Without a name, they are settings of the schedule that there is.
            joins = key in joined or (key == "schedule" and "name" not in value)
            value = old | value if joins else value
        result[key] = value
    for one, other in (("steps", "epochs"), ("epochs", "steps")):
        if one in changes and other not in changes:
            result.pop(other, None)
    return result
