"""Track Row Column files (`.trc`): joints as the markers that OpenSim and biomechanics programs read.

The format is described in the OpenSim documentation, "Marker (.trc) Files". Y is up, metres. A joint that is absent, or
was never seen, has empty cells. Markers of Human3.6M's joints have the names that OpenSim's models give them.
"""

from __future__ import annotations

import re
from math import isnan
from pathlib import Path

import numpy as np

from vidpose.body.pieces import pieces
from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import known_whole, whole_skeleton
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock, facing_x, placed_joints
from vidpose.export.rajagopal import MARKERS


def write_trc(result: PoseResult, track: Track, path: Path, heading: float | None = None) -> None:
    """Write one person's joints. Frames count from 1 at the video's first; times are the video's.

    Args:
        heading: as `vidpose.export.placing.facing_x` has it.

    Raises:
        VidposeError: the file cannot be written.
    """
    clock = EvenClock.of(result.source)
    names = [MARKERS.get(joint, joint) for joint in whole_skeleton(result).joints]
    joints, frames = placed_joints(result, track, "y", guessed=True), clock.frames_of(track)
    turn, shift = facing_x(result, joints, heading)
    joints[~known_whole(result, track)] = np.nan
    for part in pieces(len(joints)):
        joints[part] = joints[part] @ turn.T + shift
    rate = f"{clock.rate:.6g}"
    head: list[tuple[str, ...]] = [
        # A line's end or a tab in the name would move all that comes after it.
        ("PathFileType", "4", "(X/Y/Z)", re.sub(r"\s", " ", path.name)),
        ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame",
         "OrigNumFrames"),
        (rate, rate, str(len(frames)), str(len(names)), "m", rate, str(frames[0] + 1), str(len(frames))),
        ("Frame#", "Time", *(cell for name in names for cell in (name, "", ""))),
        ("", "", *(f"{axis}{number + 1}" for number in range(len(names)) for axis in "XYZ")),
        (),
    ]  # fmt: skip
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines("\t".join(line) + "\n" for line in head)
        rows = (row for part in clock.sample(track, joints) for row in part.reshape(len(part), -1).tolist())
        for frame, time, row in zip(frames, clock.times_of(frames), rows, strict=True):
            cells = ["" if isnan(value) else f"{value:.6f}" for value in row]
            # OpenSim counts no empty cell at the end of a line, unless a tab follows.
            file.write("\t".join((str(frame + 1), f"{time:.6f}", *cells, *(() if cells[-1] else ("",)))) + "\n")
