"""`vidpose eval`: lifters' figures on a benchmark, as the papers tabulate them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rich_click as click

from vidpose.cli.bundles import Number
from vidpose.cli.listed import ListedOption, filter_names
from vidpose.cli.terminal import say
from vidpose.common.files import check_outputs, write_json
from vidpose.datasets import DATASETS
from vidpose.lifters.lifter_config import PRECISIONS

_NOISE_LEVELS = (0.0, 5.0, 10.0, 15.0, 20.0)
"""Pixels: Hossain and Little's, Table 3."""


@click.command("eval")
@click.option("--dataset", required=True, metavar="|".join(DATASETS), help="The benchmark.")
@click.option("--data", "folder", type=click.Path(file_okay=False, path_type=Path),
              help="Folder that `vidpose data prepare` wrote.  [default: data/DATASET]")  # fmt: skip
@click.option("--weights", "lifters", multiple=True, metavar="NAME|FILE[+...]",
              help="A lifter's name, or a .safetensors file; with + between, several are averaged. Give it again for "
                   "more rows in the table.")  # fmt: skip
@click.option("--keypoints", is_flag=True, help="Evaluate the 2D keypoints, not a lifter: AP, AR, PCK, MSE.")
@click.option("--input", "input_name", metavar="NAME",
              help="The 2D keypoints that lifters get: gt, cpn, sh, ...  [default: the first there is]")  # fmt: skip
@click.option("--protocol", "protocol_name", metavar="NAME",
              help="What counts, and how it is averaged.  [default: the benchmark's first]")  # fmt: skip
@click.option("--tta", type=click.Choice(["flip", "none"]), default="flip", show_default=True,
              help="flip: average with the mirrored answer for the mirrored input.")  # fmt: skip
@click.option("--windows", type=click.Choice(["blended", "end-to-end"]), default="blended", show_default=True,
              help="How windows lie on a clip: they overlap, as in `vidpose infer`, or not, as in papers.")  # fmt: skip
@click.option("--smooth", metavar="METHOD[:VALUE]", default="none", show_default=True, cls=ListedOption,
              listing=filter_names, help="Smooth as `vidpose infer` does: {}. Papers do not.")  # fmt: skip
@click.option("--filter", "filter_name", type=click.Choice(["none", "mean", "median"]), default="none",
              show_default=True, help="Filter over five frames, as Hossain and Little's baselines.")  # fmt: skip
@click.option("--noise", "noises", multiple=True, default=(0.0,), type=Number(min=0), metavar="PIXELS",
              help="Add Gaussian noise of this standard deviation to the keypoints. Give it again for another row: "
                   "Hossain and Little's Table 3.  [default: 0]")  # fmt: skip
@click.option("--hypotheses", type=click.IntRange(min=1), metavar="N",
              help="How many poses to draw, for a lifter that draws them.")  # fmt: skip
@click.option("--draw-steps", type=click.IntRange(min=1), metavar="N", help="In how many steps it draws each.")
@click.option("--aggregate", type=click.Choice(["p-agg", "j-agg", "p-best", "j-best"]), default="p-agg",
              show_default=True,
              help="One answer of them: their mean, by reprojection, or the best one by the truth.")  # fmt: skip
@click.option("--refine", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Correct lifted poses by the keypoints, with the weights of a pose-refiner.")  # fmt: skip
@click.option("--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True,
              help="How exactly lifters compute. bfloat16 is faster, on processors that have it.")  # fmt: skip
@click.option("--metric", default="mpjpe", show_default=True, metavar="NAME", help="What the table by action shows.")
@click.option("--by", multiple=True, help="Also print all measures by this.",
              type=click.Choice(["actions", "subjects", "sequences", "subject_actions", "joints"]))  # fmt: skip
@click.option("--reported", type=click.Choice(["own", "all", "none"]), default="own", show_default=True,
              help="Which rows of papers to show: of their own methods, of all in their tables, or none.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path),
              help="Write all figures to this file.")  # fmt: skip
@click.option("--table", "table_files", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
              help="Write the table to this file: .md, .csv, .tex or .json.")  # fmt: skip
@click.option("--figures", type=click.Path(file_okay=False, path_type=Path),
              help="Draw to this folder: errors, joints, poses, noise, costs, attention.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def eval(
    dataset: str, folder: Path | None, lifters: tuple[str, ...], keypoints: bool, input_name: str | None,
    protocol_name: str | None, tta: str, windows: str, smooth: str, filter_name: str, noises: tuple[float, ...],
    hypotheses: int | None, draw_steps: int | None, aggregate: str, refine: Path | None, precision: str,
    metric: str, by: tuple[str, ...], reported: str, device: str, json_file: Path | None,
    table_files: tuple[Path, ...], figures: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Evaluate lifters on a benchmark. Figures that papers report stand in the same table."""
    from vidpose.cli.console import table_console
    from vidpose.common.devices import choose_device
    from vidpose.common.errors import UsageError
    from vidpose.common.files import make_folder
    from vidpose.datasets import get_dataset
    from vidpose.datasets.store import open_store
    from vidpose.evaluation.evaluate import evaluate_keypoints
    from vidpose.evaluation.tables import breakdown_table, print_table, write_table
    from vidpose.lifters.bfloat16 import use_bfloat16
    from vidpose.lifters.pose_refiner import read_refiner
    from vidpose.lifters.zoo import load_weights
    from vidpose.refine.smoothing import Smoothing

    smoothing = Smoothing.parse(smooth)
    read = [Path(part) for name in lifters for part in name.split("+")] + ([refine] if refine else [])
    check_outputs([path for path in (json_file, *table_files) if path], overwrite, inputs=read)
    protocols = get_dataset(dataset).PROTOCOLS
    protocol_name = protocol_name or next(iter(protocols))
    if protocol_name not in protocols:
        raise UsageError(f"unknown protocol {protocol_name!r} of {dataset}; known are {', '.join(protocols)}")
    store, protocol = open_store(dataset, folder), protocols[protocol_name]
    input_name = input_name or next(iter(store.inputs))
    if keypoints:
        _print_keypoints(evaluate_keypoints(store, protocol, input_name), dataset, input_name)
        return
    if not lifters:
        raise UsageError("no lifter to evaluate: give --weights, or --keypoints for the 2D keypoints themselves")
    computing_on = choose_device(device)
    loaded = {_label(name, lifters): load_weights(name, averages=True) for name in lifters}
    if figures and any(weights.averaged for weights in loaded.values()):
        raise UsageError(f"`figures={figures}`: shows lifters one by one; give each its own --weights")
    if figures:
        make_folder(figures)
    for weights in loaded.values():
        weights.draw(hypotheses, draw_steps)
        if precision == "bfloat16":
            for one in weights.each:
                use_bfloat16(one.lifter, computing_on)
    refiner = read_refiner(refine) if refine else None
    job = _Job(
        store, protocol, input_name, computing_on, tta, windows, smoothing, filter_name, aggregate, refiner, precision
    )  # fmt: skip
    levels = dict.fromkeys(noises)
    rows = {
        f"{name}, N(0, {noise:g})" if len(levels) > 1 else name: (name, noise) for name in loaded for noise in levels
    }
    summaries = {row: job.run(loaded[name], noise) for row, (name, noise) in rows.items()}
    tables = _tables(dataset, summaries, metric, input_name, reported)
    tables += [breakdown_table(name, summary, part) for name, summary in summaries.items() for part in by]
    console = table_console()
    for table in tables:
        print_table(table, console)
        console.print()
    for path in table_files:
        write_table(tables[0], path)
    if json_file:
        job.write(json_file, loaded, summaries, rows)
    if figures:
        first = next(iter(levels))
        of_first = {name: summaries[row] for row, (name, noise) in rows.items() if noise == first}
        for path in job.draw(figures, loaded, of_first, first):
            say(f"wrote {path}")


@dataclass(frozen=True)
class _Job:
    """What all lifters of a call are evaluated on, and how."""

    store: Any
    protocol: Any
    input_name: str
    device: str
    tta: str
    windows: str
    smoothing: Any
    filter_name: str
    aggregate: str
    refiner: Any
    precision: str

    def run(self, weights: Any, noise: float) -> dict[str, Any]:
        """The summary of a lifter's results."""
        from vidpose.cli.progress import progress_of
        from vidpose.evaluation.evaluate import FILTERS, evaluate

        lifter, *beside = (one.lifter.to(self.device) for one in weights.each)
        label = f"{weights.name}, {self.input_name}" + (f" + N(0, {noise:g})" if noise else "")
        with progress_of(label, unit="clips") as report:
            return evaluate(
                self.store, self.protocol, lifter, self.input_name, beside=beside,
                mirror=self.tta == "flip", overlap=self.windows == "blended", noise=noise,
                aggregate=self.aggregate, refiner=self.refiner, post_filter=FILTERS[self.filter_name],
                smoothing=None if self.smoothing.method == "none" else self.smoothing, report=report,
            ).summary()  # fmt: skip

    def write(
        self, path: Path, loaded: dict[str, Any], summaries: dict[str, Any], rows: dict[str, tuple[str, float]]
    ) -> None:
        """All figures as JSON, with what they were measured on; `rows` has each row's lifter and noise."""
        how = {
            "aggregate": self.aggregate,
            "refined": self.refiner is not None,
            "tta": self.tta,
            "windows": self.windows,
            "smooth": str(self.smoothing),
            "filter": self.filter_name,
            "precision": self.precision,
        }
        described = {}
        for row, (name, noise) in rows.items():
            weights = {
                "weights_sha256": loaded[name].sha256,
                "arch": "+".join(one.lifter.name for one in loaded[name].each),
            }
            described[row] = weights | how | {"noise": noise} | summaries[row]
        write_json(path, described)

    def draw(self, folder: Path, loaded: dict[str, Any], summaries: dict[str, Any], noise: float) -> Iterator[Path]:
        """All figures as pictures; gives their files."""
        from vidpose.evaluation.gallery import draw_all

        def sweep(name: str) -> dict[float, float]:
            by_level = {level: self.run(loaded[name], level) for level in _NOISE_LEVELS if level != noise}
            by_level[noise] = summaries[name]
            return {level: by_level[level]["averages"][0]["mpjpe"] for level in sorted(by_level)}

        def on_truth(name: str) -> float:
            return replace(self, input_name="gt").run(loaded[name], noise)["averages"][0]["mpjpe"]

        built = {name: weights.lifter for name, weights in loaded.items()}
        return draw_all(folder, self.store, self.protocol, built, summaries, self.input_name, sweep, on_truth)


def _label(name: str, names: tuple[str, ...]) -> str:
    """What a table calls a lifter: a file by its name or its folder's, as long as that tells it from the others."""
    path = Path(name)
    if not path.suffix:
        return name
    short = path.parent.name if path.stem == "weights" and path.parent.name else path.stem
    return short if sum(short in (other, Path(other).stem, Path(other).parent.name) for other in names) == 1 else name


def _print_keypoints(scores: dict[str, float], dataset: str, input_name: str) -> None:
    shares = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "AR": "ar", "PCK@0.05": "pck_2d"}
    figures = [f"{heading} {100 * scores[key]:.1f} %" for heading, key in shares.items()]
    say(f"{dataset}, input {input_name}, every 10th frame that counts, {scores['pictures']:,} pictures: "
               f"{', '.join(figures)}, MSE {scores['mse']:.1f} px²")  # fmt: skip


def _tables(dataset: str, summaries: dict[str, Any], metric: str, input_name: str, which: str) -> list[Any]:
    """By action, where there are several, with the papers' rows; and the averages of all measures."""
    from vidpose.common.errors import UsageError
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
        return [row for row in rows if which == "all" or (which == "own" and row.own)]

    first = next(iter(summaries.values()))
    measures = list(first["units"])
    if len(first["actions"]) == 1:
        return [measure_table(summaries, measures, reported(measures))]
    return [action_table(summaries, metric, reported([metric])), measure_table(summaries, measures)]
