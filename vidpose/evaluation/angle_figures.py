"""Joint angles over time, left and right in one panel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vidpose.body.joint_angles import sides
from vidpose.evaluation.figures import LEFT, MIDDLE, RIGHT, figure_file

_COLOURS = {"left": LEFT, "right": RIGHT}

_LEAST = 20.0
"""Degrees that a panel shows at least, or the noise of a still joint would look like motion."""


def draw_angles(angles: Mapping[str, np.ndarray], times: np.ndarray, path: Path, *, title: str = "") -> None:
    """A panel for each angle; where a curve breaks off, the joint was not seen or the angle is not defined.

    Args:
        angles: (N,) degrees by name, as `vidpose.body.joint_angles.joint_angles` gives them.
        times: (N,) seconds.
        path: of a PNG file.
        title: names the person.

    Raises:
        UsageError: the file is not named as a PNG file.
        VidposeError: it cannot be written.
    """
    from matplotlib.lines import Line2D

    panels = sides(angles)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with figure_file(path, 5 * columns, 1.7 * rows + 1) as figure:
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
        for axes, (stem, names) in zip(grid.flat, panels.items(), strict=False):
            for name in names:
                colour = MIDDLE if name == stem else _COLOURS[name.split("_")[0]]
                axes.plot(times, angles[name], color=colour, linewidth=1.6)
            axes.set_title(stem.replace("_", " "), loc="left")
            axes.set_ylabel("degrees")
            low, high = axes.get_ylim()
            middle, half = (low + high) / 2, max((high - low) / 2, _LEAST / 2)
            axes.set_ylim(middle - half, middle + half)
            axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
            axes.grid()
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:
            axes.set_xlabel("time (s)")
            axes.tick_params(labelbottom=True)
        drawn = [side for side in _COLOURS if any(name.startswith(side) for name in angles)]
        handles = [Line2D([], [], color=_COLOURS[side], linewidth=2.2, label=side) for side in drawn]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        if title:
            figure.suptitle(title)
