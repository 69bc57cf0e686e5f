"""Recipes: everything that decides a training run, as TOML files say it.

    read_recipe("mixste")                                   one of those that come with vidpose
    read_recipe("mixste-table6/mpjpe", ["batch=8"])         a row of a table of them, a key put over it
    read_recipe("mine.toml", released_code=True)            a file

A file is a recipe, or a table of them: `[rows.NAME]` are recipes then, and what stands before them is common to all.
`base` names the recipe that a file, or a row, departs from. `[released_code]` holds keys once more, where the code that
a paper's authors released does not do what the paper says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from vidpose.common.errors import UsageError, did_you_mean
from vidpose.common.inputs import read_toml, reading, short
from vidpose.common.settings import Amount, Count, apply_settings
from vidpose.datasets import DATASETS
from vidpose.lifters import lifter_class, lifter_names
from vidpose.training.losses import JOINT_WEIGHTS, LOSSES
from vidpose.training.motion_augmentation import MotionAugmentation
from vidpose.training.plan import (
    PLAN_CHOICES,
    Batch,
    Length,
    Plan,
    check_choices,
    check_keys,
    check_schedule,
    checked,
    flat,
    put_over,
)
from vidpose.weights.shipped import shipped

Weight = Annotated[float, Meta(ge=0, le=1e6)]
"""Of a loss."""

CMU17 = "cmu17"
"""The data set of motion capture that random cameras film, without an end; all others are benchmarks."""


@dataclass(frozen=True)
class Data:
    """What a lifter is trained on.

    Attributes:
        dataset: a benchmark, or `CMU17`.
        input: which of a benchmark's 2D keypoints the lifter gets.
        window: frames of a window; 0: the lifter's own length. A convolutional lifter learns from all frames that it
            answers in a longer one.
        stride: frames from the start of a window to that of the next; 0: the window's length.
        flip: "duplicate": every epoch has each window and its mirror image; "random": the one or the other; or "none".
        noise: standard deviation of Gaussian noise on the keypoints, in pixels.
        actions: of a benchmark's clips; none: all.
        validation: split that the run is validated on.
        protocol: what the weights are evaluated by; "": the benchmark's first.
    """

    dataset: str = "h36m"
    input: str = "cpn"
    window: Length = 0
    stride: Length = 0
    flip: str = "duplicate"
    noise: Amount = 0.0
    actions: Sequence[str] = ()
    validation: str = "test"
    protocol: str = ""


@dataclass(frozen=True)
class Mesh:
    """What a mesh head learns (SSR-STF, section IV.G).

    Attributes:
        body: "anny", or a file of SMPL, SMPL-H or SMPL-X.
        hidden: width of the head's hidden layers.
        joints, velocity, pose, shape, norm: weights of the losses (`vidpose.training.mesh_losses`), of metres.
    """

    body: str = "anny"
    hidden: Count = 1024
    joints: Weight = 500.0
    velocity: Weight = 10_000.0
    pose: Weight = 1000.0
    shape: Weight = 1.0
    norm: Weight = 20.0


@dataclass(frozen=True)
class Recipe(Plan):
    """Everything that decides a lifter's training.

    Attributes:
        data: see `Data`.
        augmentation: fields of `MotionAugmentation` that differ from the default; only for `CMU17`.
        init: a zoo name, a file, or another recipe's name, whose run lies in the same folder.
        steps_per_epoch: what an epoch is of data without an end.
        batch: of windows.
        loss: names of `LOSSES`, and their weights in the sum.
        joint_weights: a name of `JOINT_WEIGHTS`, for the losses that weigh joints.
        masking: for p-stmo alone, its stage I: `frames`, the share of them that are hidden, and `joints`, how many in
            each frame; the run then learns to restore them, without a loss of the recipe's. {}: the lifter's training.
        spreads: for pot alone, its stage II: lambda, the weight of its spreads' loss beside the recipe's of the refined
            pose; the first stage stays as `init` has it. 0: all of the lifter learns.
        mesh: train a mesh head behind the lifter, and the lifter with it; the recipe's `loss` is not for it. None: no.
        refiner: train no lifter, but the refinement of one (`pose_refiner`): of the one that `init` names.
        reported: where the figure that this recipe is for was printed: `paper` (name of a file in
            evaluation/published), `table`, `line` (the method as printed), and `frames` where lines differ by T alone.
    """

    data: Data = field(default_factory=Data)
    steps_per_epoch: Batch = 1000
    loss: dict[str, Amount] = field(default_factory=lambda: {"mpjpe": 1.0})
    joint_weights: str = "uniform"
    masking: dict[str, float] = field(default_factory=dict)
    spreads: Amount = 0.0
    refiner: bool = False
    mesh: Mesh | None = None
    reported: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def from_dict(values: Mapping[str, Any], where: str) -> Recipe:
        """A recipe from its keys.

        Args:
            where: what errors call it: its name or file.

        Raises:
            UsageError: a key is unknown, missing or impossible.
        """
        # A file of weights has null for a table that the recipe does without.
        values = {key: value for key, value in values.items() if value is not None}
        _check_keys(values, where)
        recipe = checked(values, Recipe, f"{where}: ")
        checked(recipe.model, lifter_class(recipe.arch).Config, f"{where}: model.")
        checked(recipe.augmentation, MotionAugmentation, f"{where}: augmentation.")
        checked(recipe.reported, dict[str, str | int], f"{where}: reported.")
        check_schedule(recipe.schedule, where)
        return recipe


_CHOICES: dict[str, Iterable[str]] = PLAN_CHOICES | {
    "arch": lifter_names(),
    "joint_weights": JOINT_WEIGHTS,
    "data.dataset": (*DATASETS, CMU17),
    "data.flip": ("duplicate", "random", "none"),
}

_JOINED = frozenset({"model", "data", "augmentation", "masking", "mesh", "reported"})
"""Tables whose keys are put over a base's one by one; others are replaced as a whole."""


def recipe_names() -> list[str]:
    """Names of all recipes that come with vidpose, rows as "table/row"."""
    return [
        _name(path, row)
        for path in sorted(shipped("recipes").resolve().glob("*.toml"))
        for row in _load(path).get("rows", {}) or [""]
    ]


def rows_of(table: str) -> list[str]:
    """Names of a table's rows, in order.

    Args:
        table: a shipped one's name, or a file.

    Raises:
        UsageError: there is no such table, or it is a single recipe.
    """
    path, _ = _locate(table, Path())
    rows = _load(path).get("rows", {})
    if not rows:
        raise UsageError(f"{table}: a single recipe, not a table of them; train it with `vidpose train {table}`")
    return list(rows)


def read_recipe(name_or_file: str, settings: Sequence[str] = (), released_code: bool = False) -> Recipe:
    """A recipe by its name or file.

    Args:
        name_or_file: "mixste", "mixste-table6/mpjpe", "FILE.toml" or "FILE.toml/ROW".
        settings: `key=value` or `table.key=value`, put over the recipe.
        released_code: as the released code has it, where it differs from the paper.

    Raises:
        UsageError: there is no such recipe, or it or a setting is not what it should be.
    """
    path, row = _locate(name_or_file, Path())
    values = _resolved(path, row, released_code)
    if released_code and values == _resolved(path, row, False):
        raise UsageError(f"{name_or_file}: says of no released code that it differs; leave out `released_code`")
    if "line" not in values.get("reported", {}):
        # What a table's rows have in common, in one that the paper does not have.
        values.pop("reported", None)
    values = put_over(values, apply_settings({}, settings), _JOINED | {"loss"})
    return Recipe.from_dict(values | {"name": f"{path.stem}/{row}" if row else path.stem}, name_or_file)


def _locate(name: str, folder: Path) -> tuple[Path, str]:
    """A recipe's file, and its row there or ""; a file that is named is relative to `folder`."""
    head, suffix, row = name.rpartition(".toml")
    if suffix:
        path, row = folder / f"{head}.toml", row.removeprefix("/")
    else:
        head, _, row = name.partition("/")
        path = shipped("recipes") / f"{head}.toml"
    if not path.is_file():
        raise UsageError(f"{name}: no such recipe; {did_you_mean(name, recipe_names())}or give a TOML file")
    return path, row


def _name(path: Path, row: str) -> str:
    """What `read_recipe` takes for a recipe."""
    name = path.stem if path.parent == shipped("recipes").resolve() else str(path)
    return f"{name}/{row}" if row else name


def _load(path: Path) -> dict[str, Any]:
    with reading(path, "a recipe", kind=UsageError):
        content = read_toml(path)
    rows = content.get("rows", {})
    if not (isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values())):
        raise UsageError(f"{path}: its rows are no tables; write [rows.NAME] above the keys of each")
    for row in rows:
        if not re.fullmatch(r"\w[\w.+-]*", row):  # a folder of the row's runs gets that name
            raise UsageError(f"{path}: a row named {short(row)}; name it with letters, digits, - and .")
    for layer in (content, *rows.values()):
        if not (isinstance(layer.get("base", ""), str) and isinstance(layer.get("released_code", {}), dict)):
            raise UsageError(f"{path}: base must name a recipe, and released_code be a table of keys")
    return content


def _resolved(path: Path, row: str, released_code: bool, above: tuple[tuple[Path, str], ...] = ()) -> dict[str, Any]:
    """A recipe's keys over its base's.

    Args:
        above: recipes that depart from this one.
    """
    path = path.resolve()
    if (path, row) in above:
        raise UsageError(f"{path}: its base goes in a circle: {' -> '.join(_name(*r) for r in (*above, (path, row)))}")
    common = _load(path)
    rows = common.pop("rows", {})
    if rows and not row:
        raise UsageError(f"{path}: a table of recipes; choose from {', '.join(_name(path, row) for row in rows)}")
    if row and row not in rows:
        raise UsageError(f"{path}: no row {row!r}; {did_you_mean(row, rows)}there are {', '.join(rows) or 'none'}")
    layers = [common, rows[row]] if row else [common]
    base = next((layer["base"] for layer in reversed(layers) if "base" in layer), None)
    values: dict[str, Any] = {}
    if base:
        values = _resolved(*_locate(base, path.parent), released_code, (*above, (path, row)))
        # Where a figure was printed is not handed down: it is another's.
        values.pop("reported", None)
    for layer in layers:
        changes = {key: value for key, value in layer.items() if key not in ("base", "released_code")}
        values = put_over(values, changes, _JOINED)
        if released_code:
            values = put_over(values, layer.get("released_code", {}), _JOINED)
    return values


def _check_keys(values: Mapping[str, Any], where: str) -> None:
    """See that a recipe's keys are known, and those possible that have one of a few values."""
    check_choices(values, _CHOICES, where)
    blank = asdict(Recipe("")) | {
        "model": asdict(lifter_class(values["arch"]).Config()),
        "augmentation": asdict(MotionAugmentation()),
        "loss": dict.fromkeys(LOSSES, 1.0),
        "masking": {"frames": 0.8, "joints": 2},
        "mesh": asdict(Mesh()),
        "reported": {"paper": "", "table": "", "line": "", "frames": 0},
    }
    check_keys(values, blank, where, "docs/training.md")
    if not values.get("loss", blank["loss"]):
        raise UsageError(f"{where}: no loss; choose from {', '.join(LOSSES)}")
    if values.get("augmentation") and flat(values).get("data.dataset") != CMU17:
        raise UsageError(f"{where}: augmentation is only for data.dataset {CMU17!r}; leave it out")
