"""A whole table of recipes: trained where it is not yet, evaluated, and set beside what the paper reports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from vidpose.common.devices import choose_device
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets import get_dataset
from vidpose.datasets.clips_to_lift import counted
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.store import Store
from vidpose.evaluation.evaluate import evaluate
from vidpose.evaluation.metrics import METRICS
from vidpose.evaluation.published import AVERAGE, Row, published_line
from vidpose.evaluation.tables import Line, Table, measure_table, write_table
from vidpose.lifters.mesh_head import read_mesh_lifter
from vidpose.lifters.zoo import load_weights
from vidpose.training.checkpoints import CHECKPOINT, WEIGHTS
from vidpose.training.loop import train
from vidpose.training.mesh_training import body_of, mesh_summary
from vidpose.training.plan import Plan
from vidpose.training.recipe import CMU17, Recipe, read_recipe, rows_of
from vidpose.weights.header import read_header

_METRICS = ("mpve", "mpjpe", "p_mpjpe", "mpjve", "pck", "auc")
"""Those of a table's columns that a row has a figure of, here or in the paper."""


@dataclass(frozen=True)
class Work:
    """How a table's rows are trained.

    Attributes:
        settings, released_code: see `read_recipe`.
        device, devices, bar, say: see `train`.
        progress: called with a label; gives what is called with the clips done and in all.
    """

    settings: Sequence[str] = ()
    released_code: bool = False
    device: str = "auto"
    devices: int = 1
    bar: Callable[[int, int], AbstractContextManager] = lambda total, start: nullcontext(lambda row: None)
    say: Callable[[str], None] = lambda line: None
    progress: Callable[[str], AbstractContextManager] = lambda label: nullcontext(lambda done, total: None)


@dataclass(frozen=True)
class _Benchmark:
    """What a row is evaluated on."""

    store: Store
    protocol: Protocol
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class _Result:
    """A row that is trained.

    Attributes:
        parameters: their number.
        summaries: of `Results`, by input; by "" if there is only one.
        reported: what the paper reports, by metric.
    """

    row: str
    parameters: int
    summaries: Mapping[str, Mapping[str, Any]]
    reported: Mapping[str, Row]


def ablate(
    table: str,
    out: Path,
    *,
    rows: Sequence[str] = (),
    data: Path | None = None,
    eval_data: Path = Path("data/cmu"),
    work: Work = Work(),
) -> Table:
    """Train the rows of a table that have no finished run, evaluate all, and tabulate them.

    Row ROW has its run in `out`/TABLE/ROW; one that was interrupted goes on. The table is also written to
    `out`/TABLE/table.md and table.json.

    Args:
        table: of recipes, a name or a file.
        rows: names of those to take; none: all.
        data: what the rows are trained on; None: data/DATASET of each.
        eval_data: the prepared benchmark `cmu`, on which rows that are trained on `CMU17` are evaluated.

    Raises:
        UsageError: no such table or row, or data and rows do not go together.
        VidposeError: a training failed, or a run is of another recipe.
    """
    names = rows_of(table)
    check_rows(table, rows, names)
    recipes = {row: read_recipe(f"{table}/{row}", work.settings, work.released_code) for row in rows or names}
    trained_on = {recipe.data.dataset for recipe in recipes.values()}
    if data and len(trained_on) > 1:
        raise UsageError(f"{table}: its rows are trained on {', '.join(sorted(trained_on))}; leave out `data`")
    folders = {dataset: data or Path("data") / dataset for dataset in trained_on}
    # All is looked at before anything is trained.
    benchmarks = {row: _benchmark(recipe, folders, eval_data) for row, recipe in recipes.items()}
    for row, recipe in recipes.items():
        _finish(f"{table}/{row}", recipe, folders[recipe.data.dataset], out / recipe.name, work)
    results = [_evaluate(row, recipe, out, benchmarks[row], work) for row, recipe in recipes.items()]
    folder = (out / next(iter(recipes.values())).name).parent
    made = _table(folder.name, results)
    for suffix in (".md", ".json"):
        write_table(made, folder / f"table{suffix}")
    return made


def check_rows(table: str, rows: Sequence[str], names: Iterable[str]) -> None:
    """See that a table has the rows that are asked for; raises UsageError where it has not."""
    if unknown := [row for row in rows if row not in names]:
        raise UsageError(f"{table}: no row {', '.join(unknown)}; there are {', '.join(names)}")


def _benchmark(recipe: Recipe, folders: Mapping[str, Path], eval_data: Path) -> _Benchmark:
    """Where a row is evaluated; raises UsageError if it cannot be."""
    filmed = recipe.data.dataset == CMU17
    name = "cmu" if filmed else recipe.data.dataset
    protocols = get_dataset(name).PROTOCOLS
    protocol = recipe.data.protocol or next(iter(protocols))
    if protocol not in protocols:
        raise UsageError(f"{recipe.name}: unknown protocol {protocol!r} of {name}; known are {', '.join(protocols)}")
    store = Store(eval_data if filmed else folders[name])
    if store.name != name:
        raise UsageError(f"{store.folder}: holds {store.name}, where {recipe.name} is evaluated on {name}")
    inputs = ("gt", "detector") if filmed else (recipe.data.input,)
    for input_name in inputs:
        counted(store, protocols[protocol], input_name)
    return _Benchmark(store, protocols[protocol], inputs)


def _finish(name: str, recipe: Recipe, data: Path, run: Path, work: Work) -> None:
    arguments = ["train", name, "--data", str(data), *["--released-code"] * work.released_code]
    finish_row(
        run, recipe, work, arguments,
        lambda resume: train(recipe, data, run, device=work.device, resume=resume, bar=work.bar, say=work.say),
        of_no_matter=("name", "reported"),
    )  # fmt: skip


def finish_row(
    run: Path,
    recipe: Plan,
    work: Work,
    arguments: Sequence[str],
    train_here: Callable[[bool], object],
    *,
    settings: Sequence[str] = (),
    of_no_matter: Sequence[str] = (),
) -> None:
    """Train a row, unless it is.

    Args:
        run: its folder.
        arguments: that tell our program to train it, but for those that every training has.
        train_here: trains it in this process, on one device; told whether to go on from a checkpoint.
        settings: of the row itself, before those of all.
        of_no_matter: keys of the recipe that a finished run may have others of.

    Raises:
        VidposeError: the training failed, or the run is of another recipe.
    """
    weights, resume = run / WEIGHTS, (run / CHECKPOINT).exists()
    if weights.exists():
        theirs, ours = read_header(weights).get("recipe", {}), recipe.to_dict()
        changed = [key for key in ours if key not in of_no_matter and ours[key] != theirs.get(key)]
        if changed:
            raise VidposeError(f"{run}: a run of another recipe ({', '.join(changed)} differ); choose another `out`")
        work.say(f"{run}: trained already")
    elif work.devices == 1:
        work.say(f"{run}: {'going on' if resume else 'training'}")
        train_here(resume)
    else:
        # Those that share the work are started as this program again; so each training is a program of its own.
        command = [sys.executable, "-m", "vidpose", *arguments, "--out", str(run)]
        command += ["--device", work.device, "--devices", str(work.devices), *["--resume"] * resume]
        command += [part for setting in (*settings, *work.settings) for part in ("--set", setting)]
        with subprocess.Popen(command) as process:  # noqa: S603 (our own program)
            if process.wait():
                raise VidposeError(f"{run}: its training failed; the same command goes on from its last checkpoint")


def _evaluate(row: str, recipe: Recipe, out: Path, benchmark: _Benchmark, work: Work) -> _Result:
    """A row's figures, evaluated as papers do."""
    path, device = out / recipe.name / WEIGHTS, choose_device(work.device)
    network: nn.Module
    summaries: dict[str, Mapping[str, Any]] = {}
    if recipe.mesh:
        network = read_mesh_lifter(path, body_of(recipe)).to(device)
        summaries[""] = mesh_summary(network, recipe, benchmark.store, benchmark.protocol.split)
    else:
        network = lifter = load_weights(path).lifter.to(device)
    for name in () if recipe.mesh else benchmark.inputs:
        with work.progress(f"{recipe.name}, {name}") as report:
            mirror = recipe.data.flip != "none"
            results = evaluate(
                benchmark.store, benchmark.protocol, lifter, name, mirror=mirror, overlap=False, report=report
            )
        summaries[name if len(benchmark.inputs) > 1 else ""] = results.summary()
    where = recipe.reported
    line = published_line(where["paper"], where["table"], where["line"], where.get("frames")) if where else {}
    return _Result(row, sum(parameter.numel() for parameter in network.parameters()), summaries, line)


def _table(name: str, results: Sequence[_Result]) -> Table:
    """Each row's parameters and figures, and under them the paper's."""
    runs = {", ".join(filter(None, (r.row, source))): run for r in results for source, run in r.summaries.items()}
    sources = dict.fromkeys(source for result in results for source in result.summaries)
    measured = {
        (metric, source) for result in results for source, run in result.summaries.items() for metric in run["units"]
    }
    columns = [(metric, source) for source in sources for metric in _METRICS if (metric, source) in measured]
    lines = []
    for result in results:
        averages = {source: run["averages"][0] for source, run in result.summaries.items()}
        ours = (averages.get(source, {}).get(metric) for metric, source in columns)
        lines.append(Line(result.row, (result.parameters, *ours)))
        if result.reported:
            first = next(iter(result.reported.values()))
            printed = {metric: row.values.get(AVERAGE) for metric, row in result.reported.items()}
            theirs = (printed.get(metric) for metric, _ in columns)
            lines.append(Line(first.method, (None, *theirs), f"{first.paper}, Table {first.table}"))
    headings = (
        f"{METRICS[metric].name} ({METRICS[metric].unit})" + (f", {source}" if source else "")
        for metric, source in columns
    )
    how = "Windows end to end; averaged with the mirror image's answer where mirror images were trained on."
    notes = measure_table(runs, (), [row for result in results for row in result.reported.values()]).notes
    return Table(name, "Row", ("Parameters", *headings), tuple(lines), (*notes, how))
