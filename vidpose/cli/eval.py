"""`vidpose eval`: lifters' figures on a benchmark, as the papers tabulate them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from vidpose.files import check_free

_NOISE_LEVELS = (0.0, 5.0, 10.0, 15.0, 20.0)
"""Pixels: Hossain and Little's, Table 3."""


@click.command("eval")
@click.option("--dataset", required=True, help="h36m, mpi-inf-3dhp, humaneva or cmu.")
@click.option("--data", "folder", type=click.Path(file_okay=False, path_type=Path),
              help="Folder that `vidpose data prepare` wrote.  [default: data/DATASET]")  # fmt: skip
@click.option("--weights", "lifters", required=True, multiple=True, metavar="NAME|FILE",
              help="A lifter's name, or a .safetensors file. Several stand in one table.")  # fmt: skip
@click.option(
    "--input", "input_name", help="The 2D keypoints they get: gt, cpn, sh, ...  [default: the first there is]"
)
@click.option("--protocol", "protocol_name", help="How it is counted.  [default: the benchmark's first]")
@click.option("--tta", type=click.Choice(["flip", "none"]), default="flip", show_default=True,
              help="Average with the mirrored prediction of the mirrored input, or not.")  # fmt: skip
@click.option("--filter", "filter_name", type=click.Choice(["none", "mean", "median"]), default="none",
              show_default=True, help="Over five frames of the lifted joints.")  # fmt: skip
@click.option("--noise", default=0.0, show_default=True, help="Pixels of Gaussian noise added to the keypoints.")
@click.option("--metric", default="mpjpe", show_default=True, help="What the table by action shows.")
@click.option("--by", multiple=True, help="Print all measures by that, too.",
              type=click.Choice(["actions", "subjects", "sequences", "subject_actions", "joints"]))  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures to it.")
@click.option("--table", "table_files", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
              help="Write the table to it: .md, .csv, .tex or .json.")  # fmt: skip
@click.option("--figures", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to draw to: distribution of errors, joints, poses, noise, attention.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace what is there already.")
def eval(
    dataset: str, folder: Path | None, lifters: tuple[str, ...], input_name: str | None, protocol_name: str | None,
    tta: str, filter_name: str, noise: float, metric: str, by: tuple[str, ...], device: str,
    json_file: Path | None, table_files: tuple[Path, ...], figures: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Evaluate lifters on a benchmark; the rows that papers report stand beside theirs."""
    import json

    from rich.console import Console

    from vidpose.cli.progress import progress_of
    from vidpose.datasets import get_dataset
    from vidpose.datasets.store import Store
    from vidpose.devices import choose_device
    from vidpose.errors import UsageError
    from vidpose.evaluation.evaluate import FILTERS, evaluate
    from vidpose.evaluation.tables import breakdown_table, print_table, write_table
    from vidpose.files import make_folder, replacing
    from vidpose.zoo import load_weights

    if not overwrite:
        check_free([path for path in (json_file, *table_files) if path])
    protocols = get_dataset(dataset).PROTOCOLS
    protocol_name = protocol_name or next(iter(protocols))
    if protocol_name not in protocols:
        raise UsageError(f"unknown protocol {protocol_name!r} of {dataset}; known are {', '.join(protocols)}")
    store, device = Store(folder or Path("data") / dataset), choose_device(device)
    input_name = input_name or next(iter(store.inputs))
    if figures:
        make_folder(figures)

    def run(weights: Any, noise: float) -> dict[str, Any]:
        label = f"{weights.name}, {input_name}" + (f" + N(0, {noise:g})" if noise else "")
        with progress_of(label, unit="clips") as report:
            return evaluate(
                store, protocols[protocol_name], weights.lifter.to(device), input_name, device=device,
                mirror=tta == "flip", post_filter=FILTERS[filter_name], noise=noise, report=report,
            ).summary()  # fmt: skip

    loaded = {Path(name).stem if Path(name).suffix else name: load_weights(name) for name in lifters}
    summaries = {name: run(weights, noise) for name, weights in loaded.items()}
    tables = _tables(dataset, summaries, metric, input_name)
    tables += [breakdown_table(name, summary, part) for name, summary in summaries.items() for part in by]
    console = Console()
    for table in tables:
        print_table(table, console)
    for path in table_files:
        write_table(tables[0], path)
    if json_file:
        described = {
            name: {"weights_sha256": loaded[name].sha256, "arch": loaded[name].lifter.name, "tta": tta,
                   "filter": filter_name, "noise": noise} | summary
            for name, summary in summaries.items()
        }  # fmt: skip
        with replacing(json_file) as partial:
            partial.write_text(json.dumps(described, indent=2))
    if figures:
        from vidpose.evaluation.gallery import draw_all

        def sweep(name: str) -> dict[float, float]:
            return {level: run(loaded[name], level)["averages"][0]["mpjpe"] for level in _NOISE_LEVELS}

        for path in draw_all(figures, store, protocols[protocol_name], loaded, summaries, input_name, sweep):
            click.echo(f"wrote {path}")


def _tables(dataset: str, summaries: dict[str, Any], metric: str, input_name: str) -> list[Any]:
    """By action, where there are several, and the averages of all measures; with the papers' rows."""
    from vidpose.errors import UsageError
    from vidpose.evaluation.published import published
    from vidpose.evaluation.tables import action_table, measure_table

    def reported(measures: list[str]) -> list[Any]:
        rows = []
        for measure in measures:
            try:
                rows += published(dataset, measure, "gt" if input_name == "gt" else "detected")
            except UsageError:
                # No paper reports it, which is no fault of the user's.
                continue
        return rows

    first = next(iter(summaries.values()))
    measures = [name for name in first["units"] if name in first["averages"][0]]
    tables = [measure_table(summaries, measures, reported(measures))]
    if len(first["actions"]) > 1:
        tables.insert(0, action_table(summaries, metric, reported([metric])))
    return tables
