"""A table of 2D keypoint networks: trained where it is not yet, evaluated, and set beside what the paper reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpose.common.devices import choose_device
from vidpose.common.errors import UsageError
from vidpose.common.inputs import read_toml, reading
from vidpose.evaluation.keypoints.annotated_pictures import keypoint_table, reported_rows
from vidpose.evaluation.keypoints.comparing import Compared, open_compared, read_annotated
from vidpose.evaluation.tables import Table, write_table
from vidpose.training.ablation import Work, check_rows, finish_row
from vidpose.training.carrying_out import Running
from vidpose.training.checkpoints import WEIGHTS
from vidpose.training.clip_training import train_clips
from vidpose.training.keypoint_recipe import ClipRecipe, KeypointRecipe, read_keypoint_recipe
from vidpose.training.picture_training import train_keypoints
from vidpose.training.plan import checked
from vidpose.weights.shipped import shipped


@dataclass(frozen=True)
class TableRow:
    """A row of a table: `recipe`, and `settings` put over it."""

    recipe: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkTable:
    """A table file.

    Attributes:
        rows: by their names.
        reported: number of the temporal-relational paper's table, "I" or "III"; "": of none.
    """

    rows: dict[str, TableRow]
    reported: str = ""


def keypoint_table_names() -> list[str]:
    """Names of the tables that come with vidpose."""
    return sorted(path.stem for path in (shipped("recipes") / "keypoint-tables").glob("*.toml"))


def read_keypoint_table(name_or_file: str) -> NetworkTable:
    """A table by its name or file.

    Raises:
        UsageError: there is none, or it is not what it should be.
    """
    path = shipped("recipes") / "keypoint-tables" / f"{name_or_file}.toml"
    path = Path(name_or_file) if name_or_file.endswith(".toml") else path
    with reading(path, "a table of recipes", kind=UsageError):
        values = read_toml(path)
    return checked(values, NetworkTable, f"{name_or_file}: ")


def ablate_keypoints(
    name_or_file: str, data: Path, held_out: Path, out: Path, *, work: Work, rows: Sequence[str] = ()
) -> Table:
    """Train the rows of a table that have no finished run, evaluate all on the same people, and tabulate them.

    Row ROW has its run in `out`/TABLE/ROW; one that was interrupted goes on. The table is also written to
    `out`/TABLE/table.md and table.json.

    Args:
        name_or_file: of the table.
        data: clips to train on.
        held_out: clips to validate on, and to evaluate on.
        rows: names of those to take; none: all.

    Raises:
        UsageError: no such table or row.
        VidposeError: a training failed, or a run is of another recipe.
    """
    table = read_keypoint_table(name_or_file)
    folder = out / Path(name_or_file).stem
    chosen = rows or list(table.rows)
    check_rows(name_or_file, chosen, table.rows)
    recipes = {
        row: read_keypoint_recipe(table.rows[row].recipe, (*table.rows[row].settings, *work.settings)) for row in chosen
    }
    for row, recipe in recipes.items():
        _finish(table.rows[row], recipe, data, held_out, folder / row, work)
    with ExitStack() as stack:
        device = choose_device(work.device)
        networks = {
            row: open_compared(recipe.arch, [folder / row / WEIGHTS], None, device, stack)[0]
            for row, recipe in recipes.items()
        }
        figures = _compare(networks, held_out, work)
    made = keypoint_table(folder.name, figures | (reported_rows(table.reported) if table.reported else {}), ())
    for suffix in (".md", ".json"):
        write_table(made, folder / f"table{suffix}")
    return made


def _compare(networks: Mapping[str, Compared], held_out: Path, work: Work) -> dict[str, Mapping[str, Any]]:
    annotated = read_annotated(held_out, list(networks.values()))
    figures: dict[str, Mapping[str, Any]] = {}
    for row, network in networks.items():
        [together] = network.views_together((annotated.cameras,), annotated.cameras)
        with work.progress(row) as report:
            figures[row] = network.figures(annotated, together, report)
    return figures


def _finish(
    row: TableRow, recipe: KeypointRecipe | ClipRecipe, data: Path, held_out: Path, run: Path, work: Work
) -> None:
    def train_here(resume: bool) -> None:
        running: Running = {"device": work.device, "resume": resume, "bar": work.bar}
        if isinstance(recipe, ClipRecipe):
            train_clips(recipe, [data], held_out, run, say=work.say, **running)
        else:
            train_keypoints(recipe, [data], held_out, run, say=work.say, **running)

    arguments = ["train-keypoints", str(data), "--held-out", str(held_out), "--arch", row.recipe]
    finish_row(run, recipe, work, arguments, train_here, settings=row.settings)
