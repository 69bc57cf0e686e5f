"""Figures as the papers draw them: error distributions, errors by joint, curves, poses, attention.

Colours are those of Okabe and Ito, which every kind of colour-blindness tells apart. Pictures do not depend on the
user's own settings of matplotlib, and matplotlib's global state is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError
from vidpose.common.files import replacing
from vidpose.evaluation.metrics import mpjpe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "0.88",
    "legend.frameon": False,
}

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*"

# Left and right as `vidpose.render` has them, blue and orange, but dark enough for paper; the torso as in SSR-STF,
# Fig. 5.
LEFT, RIGHT, MIDDLE, TRUTH = "#0072B2", "#D55E00", "#009E73", "0.72"

_TAIL = 1.0
"""Per cent of the poses that a distribution may gather in its last step."""

_AZIMUTH, _ELEVATION = np.radians((40, 14))
_GRID = 0.5
"""Metres between the lines of the floor."""


@dataclass(frozen=True)
class PoseRow:
    """One frame, for `draw_poses`.

    Attributes:
        label: what it is of, "S11 SittingDown, frame 120" say.
        keypoints: (J, 2) pixels that the lifters were given, NaN where absent.
        truth: (J, 3) metres in the camera frame, wherever the root.
        predictions: (J, 3) metres in the camera frame by the name of the lifter, wherever the root.
    """

    label: str
    keypoints: np.ndarray
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]


def draw_distribution(summaries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """The share of poses by their MPJPE, in steps of 5 mm (MixSTE, Fig. 3; SSR-STF, Fig. 4).

    Args:
        summaries: of `Results`, by the name of the lifter.
        path: of a PNG file.

    Raises:
        UsageError: the file is not named as a PNG file.
        VidposeError: it cannot be written.
    """
    histograms = [summary["histogram"] for summary in summaries.values()]
    step, longest = histograms[0]["bin_width"], max(len(histogram["poses"]) for histogram in histograms)
    counts_SB = np.array([np.pad(h["poses"], (0, longest - len(h["poses"]))) for h in histograms])
    shares_SB = 100 * counts_SB / counts_SB.sum(axis=1, keepdims=True)
    needed = step * (1 + int((shares_SB.cumsum(axis=1) < 100 - _TAIL).sum(axis=1).max()))
    spacing = 20 if needed <= 240 else 50
    limit = spacing * -(-needed // spacing)
    shown = limit // step
    with figure_file(path, 7, 4) as figure:
        axes = figure.subplots()
        for (name, summary), shares_B, colour in zip(summaries.items(), shares_SB, cycle(SERIES), strict=False):
            steps = np.append(np.pad(shares_B, (0, shown))[:shown], shares_B[shown:].sum())
            edges = step * np.arange(len(steps) + 1)
            label = f"{name} (mean {summary['averages'][0]['mpjpe']:.1f} mm)"
            if len(summaries) == 1:
                axes.stairs(steps, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(steps, edges, color=colour, linewidth=1.8, label=label)
        ticks = [*range(0, limit, spacing), limit + step / 2]
        axes.set_xticks(ticks, [*map(str, ticks[:-1]), f"≥{limit}"])
        axes.set_xlim(0, limit + step)
        axes.set_xlabel(f"MPJPE of a pose (mm), steps of {step} mm")
        axes.set_ylabel("poses (%)")
        axes.set_title(f"Distribution of errors\n{_subject(summaries)}", loc="left")
        axes.grid(axis="y")
        axes.legend()


def draw_joints(summaries: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """The MPJPE of each joint, left and right of one merged (MixSTE, Fig. 4).

    Beside the name of a lifter stands its VAR., as that figure has it: the variance over joints divided by ten.

    Args, raises: as `draw_distribution`.
    """
    parts = list(dict.fromkeys(part_name(row["joint"]) for summary in summaries.values() for row in summary["joints"]))
    width = 0.8 / len(summaries)
    with figure_file(path, max(7, 0.8 * len(parts)), 4) as figure:
        axes = figure.subplots()
        for i, ((name, summary), colour) in enumerate(zip(summaries.items(), cycle(SERIES), strict=False)):
            errors: dict[str, list[float]] = {part: [] for part in parts}
            for row in summary["joints"]:
                errors[part_name(row["joint"])].append(row["mpjpe"])
            heights = [sum(values) / len(values) if values else np.nan for values in errors.values()]
            places = np.arange(len(parts)) + width * (i - (len(summaries) - 1) / 2)
            label = f"{name} (VAR. {summary['variance']['joints']['mpjpe'] / 10:.1f})"
            bars = axes.bar(places, heights, 0.92 * width, color=colour, label=label)
            if len(summaries) <= 2:
                axes.bar_label(bars, fmt="%.0f", fontsize=8, padding=1)
        axes.set_xticks(range(len(parts)), parts, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_ylabel("MPJPE (mm)")
        axes.set_title(f"Error by joint\n{_subject(summaries)}", loc="left")
        axes.grid(axis="y")
        axes.margins(x=0.02, y=0.1)
        figure.legend(title="VAR.: variance over joints / 10", loc="outside lower center", ncols=3)


def draw_curve(points: Mapping[str, Mapping[float, float]], path: Path, *, x_label: str, title: str) -> None:
    """Error against something: the length of the sequence (Hossain and Little, Fig. 3), or noise (their Table 3).

    Args:
        points: MPJPE in millimetres by what `x_label` says, by the name of the lifter.
        path: of a PNG file.
        x_label: with its unit.
        title: names the data set, the protocol and the input.

    Raises: as `draw_distribution`.
    """
    with figure_file(path, 6, 4) as figure:
        axes = figure.subplots()
        looks = cycle(zip(SERIES, MARKERS, strict=True))
        for (name, curve), (colour, marker) in zip(points.items(), looks, strict=False):
            places = sorted(curve)
            axes.plot(places, [curve[x] for x in places], color=colour, marker=marker, linewidth=1.8, label=name)
        places = sorted({x for curve in points.values() for x in curve})
        if len(places) <= 12:
            axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.set_xlabel(x_label)
        axes.set_ylabel("MPJPE (mm)")
        axes.set_title(title, loc="left")
        axes.grid()
        axes.margins(y=0.15)
        axes.legend()


def draw_poses(rows: Sequence[PoseRow], path: Path, skeleton: Skeleton, *, title: str = "") -> None:
    """Poses side by side: the 2D input, the true pose, and each lifter's before the true one in grey.

    All bodies are drawn to one scale and seen from the same side, the camera's right and a little above. Under each
    prediction stands its MPJPE (MixSTE, Fig. 6; SSR-STF, Fig. 5).

    Args:
        rows: that have the same lifters.
        path: of a PNG file.
        title: names the data set, the protocol and the input.

    Raises: as `draw_distribution`.
    """
    root = skeleton.parents.index(-1)
    headings = ["2D input", "ground truth", *rows[0].predictions]
    bodies = [[joints - joints[root] for joints in (row.truth, *row.predictions.values())] for row in rows]
    with figure_file(path, 2.1 * len(headings) + 0.3, 2.35 * len(rows) + (0.9 if title else 0.6)) as figure:
        grid = figure.subplots(len(rows), len(headings), squeeze=False)
        for axes, heading in zip(grid[0], headings, strict=True):
            axes.set_title(heading)
        reach = max(body_reach(body) for body in bodies)
        for (flat, *solid), row, body in zip(grid, rows, bodies, strict=True):
            draw_keypoints(flat, row.keypoints, skeleton)
            flat.set_ylabel(row.label)
            truth, *predictions = body
            for axes in solid:
                draw_floor(axes, truth, reach)
            draw_body(solid[0], truth, skeleton)
            for axes, predicted in zip(solid[1:], predictions, strict=True):
                draw_body(axes, truth, skeleton, TRUTH)
                draw_body(axes, predicted, skeleton)
                axes.set_xlabel(f"{1000 * mpjpe(predicted, truth).mean():.1f} mm")
        draw_legend(figure, truth=True)
        if title:
            figure.suptitle(title)


def draw_attention(maps: Mapping[str, np.ndarray], path: Path, skeleton: Skeleton, *, title: str = "") -> None:
    """Attention between joints and between frames, each scaled to [0, 1] (MixSTE, Fig. 5).

    Args:
        maps: "spatial" (J, J), "temporal" (T, T) or both, as `attention_maps` gives them: row i is what i attends to.
        path: of a PNG file.
        title: names the lifter and what it saw.

    Raises: as `draw_distribution`.
    """
    with figure_file(path, 5.2 * len(maps) + 0.8, 5.4) as figure:
        for axes, (kind, weights) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps.items(), strict=True):
            weights = weights - weights.min()
            picture = axes.imshow(weights / max(weights.max(), np.finfo(weights.dtype).tiny), "viridis", vmin=0, vmax=1)
            what = "joint" if kind == "spatial" else "frame"
            if kind == "spatial":
                names = [joint.replace("_", " ") for joint in skeleton.joints]
                axes.set_xticks(range(len(names)), names, rotation=90)
                axes.set_yticks(range(len(names)), names)
            axes.set_title(f"{kind} attention")
            axes.set_xlabel(f"{what} attended to")
            axes.set_ylabel(f"{what} that attends")
            axes.spines[:].set_visible(False)
        figure.colorbar(picture, ax=figure.axes, label="attention, scaled to [0, 1]", shrink=0.7)
        if title:
            figure.suptitle(title)


def draw_keypoints(axes: Axes, keypoints: np.ndarray, skeleton: Skeleton, truth: np.ndarray | None = None) -> None:
    """(J, 2) pixels, absent joints left out, before the true ones in grey, with a margin about them."""
    _draw_skeleton(axes, keypoints, skeleton)
    points = keypoints
    if truth is not None:
        _draw_skeleton(axes, truth, skeleton, TRUTH)
        points = np.concatenate([keypoints, truth])
    present = points[np.isfinite(points).all(axis=-1)]
    if len(present):
        low, high = present.min(axis=0), present.max(axis=0)
        middle, half = (low + high) / 2, 0.58 * max((high - low).max(), 1)
        axes.set_xlim(middle[0] - half, middle[0] + half)
        axes.set_ylim(middle[1] + half, middle[1] - half)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    axes.spines[:].set(visible=True, color="0.8")


def draw_body(axes: Axes, joints: np.ndarray, skeleton: Skeleton, colour: str | None = None) -> None:
    """(J, 3) metres in the camera frame from `_VIEW`, far bones first; `colour` instead of those of the sides."""
    _draw_skeleton(axes, joints @ _VIEW.T, skeleton, colour)


def body_reach(bodies: Sequence[np.ndarray]) -> float:
    """Metres from the middle of the first of (J, 3) bodies to the border of axes that show all of them."""
    seen = np.stack(bodies) @ _VIEW[:2].T
    middle = (seen[0].min(axis=0) + seen[0].max(axis=0)) / 2
    return 1.12 * float(np.abs(seen - middle).max())


def draw_floor(axes: Axes, joints: np.ndarray, reach: float) -> None:
    """Lines half a metre apart under a (J, 3) body, in axes that `reach` so far from its middle."""
    middle, level = joints.mean(axis=0), joints[:, 1].max()
    ticks = _GRID * np.arange(-2, 3)
    for along in (0, 2):
        for tick in ticks:
            ends = np.full((2, 3), level)
            ends[:, along] = middle[along] + ticks[[0, -1]]
            ends[:, 2 - along] = middle[2 - along] + tick
            axes.plot(*(ends @ _VIEW[:2].T).T, color="0.9", linewidth=0.8, zorder=0)
    seen = joints @ _VIEW[:2].T
    x, y = (seen.min(axis=0) + seen.max(axis=0)) / 2
    axes.set_xlim(x - reach, x + reach)
    axes.set_ylim(y - reach, y + reach)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal")
    axes.spines[:].set_visible(False)


def draw_legend(figure: Figure, *, truth: bool = False) -> None:
    """What the colours of bodies mean, at the foot of a figure; with `truth`, grey too."""
    from matplotlib.lines import Line2D

    meanings = {"left": LEFT, "right": RIGHT, "middle": MIDDLE} | ({"ground truth": TRUTH} if truth else {})
    handles = [Line2D([], [], color=colour, linewidth=2.2, label=name) for name, colour in meanings.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def part_name(joint: str) -> str:
    """What a joint is called on either side."""
    return joint.removeprefix("left_").removeprefix("right_").replace("_", " ")


@contextmanager
def figure_file(path: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches, written when the block ends well.

    Raises: as `draw_distribution`.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: figures are PNG files; give a name that ends in .png")
    with matplotlib.style.context(["default", _STYLE]), replacing(path) as partial:
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(partial, dpi=_DPI)


def _draw_skeleton(axes: Axes, points: np.ndarray, skeleton: Skeleton, colour: str | None = None) -> None:
    """(J, 2) points, or (J, 3) with how far away they are, in the colours of the sides or in one."""
    depth = points[:, 2] if points.shape[1] == 3 else np.zeros(len(points))
    sides = [_side_colour(skeleton, {joint}) for joint in range(len(skeleton))]
    order = 1.0 if colour else 2.0
    for start, end in sorted(skeleton.bones, key=lambda bone: -depth[list(bone)].sum()):
        order += 0.01
        axes.plot(
            *points[[start, end], :2].T, color=colour or _side_colour(skeleton, {start, end}), linewidth=2.2,
            solid_capstyle="round", zorder=order,
        )  # fmt: skip
    axes.scatter(points[:, 0], points[:, 1], s=9, color=colour or sides, linewidths=0, zorder=order)


def _side_colour(skeleton: Skeleton, joints: set[int]) -> str:
    """Of a joint, or of a bone; one that connects left and right belongs to the middle."""
    left, right = not joints.isdisjoint(skeleton.left), not joints.isdisjoint(skeleton.right)
    return MIDDLE if left == right else LEFT if left else RIGHT


def _view() -> np.ndarray:
    """(3, 3) rotation from the camera's axes to rightwards, upwards and away from one to its right and above it."""
    ca, sa, ce, se = np.cos(_AZIMUTH), np.sin(_AZIMUTH), np.cos(_ELEVATION), np.sin(_ELEVATION)
    around = np.array([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]])
    above = np.array([[1, 0, 0], [0, -ce, se], [0, se, ce]])
    return above @ around


_VIEW = _view()


def _subject(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """Data set, protocol and input of the runs."""
    fields = zip(*((run["dataset"], run["protocol"]["name"], run["input"]) for run in summaries.values()), strict=True)
    dataset, protocol, input_name = (", ".join(dict.fromkeys(values)) for values in fields)
    return f"{dataset}, protocol {protocol}, input {input_name}"
