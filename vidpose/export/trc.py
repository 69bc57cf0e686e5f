"""Track Row Column files (`.trc`): joints as the markers that OpenSim and biomechanics programs read.

The format is described in the OpenSim documentation, "Marker (.trc) Files". Y is up, metres. A joint that is absent, or
was never seen, has empty cells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock, placed_joints


def write_trc(result: PoseResult, track: Track, path: Path) -> None:
    """Write one person's joints. Frames count from 1 at the video's first; times are the video's.

    Raises:
        VidposeError: the file cannot be written.
    """
    clock, names = EvenClock.of(result.source), get_skeleton(result.joint_layout).joints
    joints, frames = clock.sample(track, placed_joints(result, track, "y")), clock.frames_of(track)
    rate = f"{clock.rate:.6g}"
    lines = [
        ("PathFileType", "4", "(X/Y/Z)", path.name),
        ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame",
         "OrigNumFrames"),
        (rate, rate, str(len(frames)), str(len(names)), "m", rate, str(frames[0] + 1), str(len(frames))),
        ("Frame#", "Time", *(cell for name in names for cell in (name, "", ""))),
        ("", "", *(f"{axis}{number + 1}" for number in range(len(names)) for axis in "XYZ")),
        (),
    ]  # fmt: skip
    for frame, time, row in zip(frames, clock.times_of(frames), joints.reshape(len(frames), -1), strict=True):
        lines.append((str(frame + 1), f"{time:.6f}", *("" if np.isnan(value) else f"{value:.6f}" for value in row)))
    with replacing(path) as partial:
        partial.write_text(
            "".join("\t".join(line) + "\n" for line in lines), encoding="utf-8", errors="backslashreplace", newline="\n"
        )
