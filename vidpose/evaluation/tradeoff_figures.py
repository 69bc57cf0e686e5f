"""What an error costs, and how much of it is the 2D's: Figure 1 of MixSTE and Figure 1 of SSR-STF.

What papers report stands beside what was measured here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from time import perf_counter

from vidpose.common.errors import UsageError
from vidpose.datasets.store import Store, StoredClip
from vidpose.evaluation.evaluate import lift_clip
from vidpose.evaluation.figures import MARKERS, SERIES, figure_file
from vidpose.evaluation.published import AVERAGE, published
from vidpose.lifters import Lifter
from vidpose.lifters.lifter_table import LIFTERS
from vidpose.lifters.summary import count_parameters

_AREA_PER_MILLION = 12


@dataclass(frozen=True)
class Tradeoff:
    """A lifter's error and what it costs.

    Attributes:
        name: of the row.
        parameters: how many numbers it learns.
        rate: frames that it lifts a second, on the device it is on.
        mpjpe: millimetres, measured.
        reported: what its paper reports on the same benchmark; None: nothing.
        on_truth: millimetres on the true 2D; None: not measured.
    """

    name: str
    parameters: int
    rate: float
    mpjpe: float
    reported: float | None = None
    on_truth: float | None = None


def tradeoff(
    name: str, lifter: Lifter, mpjpe: float, store: Store, clip: StoredClip, input_name: str, on_truth: float | None
) -> Tradeoff:
    """A lifter's row. Its rate is of one clip, without mirroring, the second time that it sees it."""
    lift_clip(store, clip, lifter, input_name, mirror=False)
    start = perf_counter()
    lift_clip(store, clip, lifter, input_name, mirror=False)
    rate = clip.frames / (perf_counter() - start)
    paper = LIFTERS[lifter.name].paper
    reported = paper.mpjpe if paper and store.name == "h36m" and input_name != "gt" else None
    return Tradeoff(name, count_parameters(lifter), rate, mpjpe, reported, on_truth)


def reported_on_both(dataset: str) -> dict[str, tuple[float, float]]:
    """(on detected 2D, on true 2D) millimetres of the methods that one paper reports on both, by their names."""
    try:
        detected, truth = (
            {(row.paper, row.name): row.values[AVERAGE] for row in published(dataset, "mpjpe", kind)}
            for kind in ("detected", "gt")
        )
    except UsageError:
        return {}
    found = {}
    for (paper, name), error in detected.items():
        # A table need not say T of a method that it has once.
        on_truth = truth.get((paper, name), truth.get((paper, name.partition(" (T=")[0])))
        if on_truth is not None:
            found[name] = error, on_truth
    return found


def draw_costs(tradeoffs: Sequence[Tradeoff], path: Path, *, title: str) -> None:
    """Error against frames a second (MixSTE, Fig. 1) and against parameters.

    Args:
        path: of a PNG file.
        title: names the data set and the input.

    Raises:
        UsageError: the file is not named as a PNG file.
        VidposeError: it cannot be written.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    with figure_file(path, 9, 4) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for row, (colour, marker) in zip(tradeoffs, cycle(zip(SERIES, MARKERS, strict=True)), strict=False):
            for axes, x in ((left, row.rate), (right, row.parameters / 1e6)):
                axes.plot(x, row.mpjpe, marker, color=colour, markersize=8, label=row.name)
                if row.reported:
                    axes.plot([x, x], [row.mpjpe, row.reported], color=colour, linewidth=0.8)
                    axes.plot(x, row.reported, marker, color=colour, markersize=8, fillstyle="none")
        for axes, label in ((left, "Frames a second"), (right, "Parameters (millions)")):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(label)
            axes.grid()
            axes.margins(0.15)
        left.set_ylabel("MPJPE (mm)")
        reported = "; hollow: as its paper reports" if any(row.reported for row in tradeoffs) else ""
        figure.suptitle(f"{title}: what an error costs{reported}", x=0.01, ha="left")
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def draw_inputs(
    tradeoffs: Sequence[Tradeoff], reported: Mapping[str, tuple[float, float]], path: Path, *, title: str
) -> None:
    """Error on detected 2D against error on true 2D, areas as the parameters (SSR-STF, Fig. 1).

    Ours are the same weights on both. Papers train another network for the true 2D; numbers stand for theirs.

    Args:
        tradeoffs: those without `on_truth` are left out.
        reported: see `reported_on_both`.

    Raises: as `draw_costs`.
    """
    with figure_file(path, 9, 5) as figure:
        axes = figure.subplots()
        for row, colour in zip(tradeoffs, cycle(SERIES), strict=False):
            if row.on_truth is not None:
                area = max(20.0, _AREA_PER_MILLION * row.parameters / 1e6)
                label = f"{row.name}, {row.parameters / 1e6:.1f} M"
                axes.scatter(row.mpjpe, row.on_truth, area, color=colour, alpha=0.6, label=label)
        for number, (name, (detected, truth)) in enumerate(sorted(reported.items(), key=lambda item: item[1]), 1):
            axes.plot(detected, truth, marker=f"${number}$", color="0.2", linestyle="", markersize=8, label=name)
        axes.set_xlabel("MPJPE on detected 2D (mm)")
        axes.set_ylabel("MPJPE on true 2D (mm)")
        told = "; numbers: as papers report" if reported else ""
        axes.set_title(f"{title}: detected and true 2D{told}", loc="left")
        axes.grid()
        axes.margins(0.12)
        figure.legend(loc="outside right upper")
