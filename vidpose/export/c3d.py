"""C3D files (c3d.org): joints as points, for biomechanics programs.

Z is up, millimetres. A point that is absent or was never seen has the residual -1 that the format means by it.
"""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import VidposeError
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock, place_of, placed_joints

_MOST_FRAMES = 65535
"""The header counts frames in 16 bits."""


def write_c3d(result: PoseResult, track: Track, path: Path) -> None:
    """Write one person's joints. The first frame's number is the video's, as far as the format can count.

    Its own count of seconds, `VIDPOSE:START`, always says when the first frame was.

    Raises:
        VidposeError: the file cannot be written, or the format cannot count that many frames.
    """
    import ezc3d

    clock, names = EvenClock.of(result.source), get_skeleton(result.joint_layout).joints
    joints, frames = clock.sample(track, placed_joints(result, track, "z")), clock.frames_of(track)
    if len(frames) >= _MOST_FRAMES:
        raise VidposeError(
            f"{path}: C3D counts {_MOST_FRAMES} frames, but person {track.id} is there for {len(frames)}; "
            "write TRC, or split the video"
        )
    first = int(frames[0]) if frames[-1] < _MOST_FRAMES else 0
    file = ezc3d.c3d()
    # ezc3d writes what is not a number as an absent point, with residual -1.
    points = np.ones((4, len(names), len(frames)))
    points[:3] = 1000 * joints.transpose(2, 1, 0)
    file["header"]["points"]["first_frame"] = first
    file["data"]["points"] = points
    values = file["parameters"]["POINT"]
    values["LABELS"]["value"], values["UNITS"]["value"], values["RATE"]["value"] = names, ["mm"], [clock.rate]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.add_parameter("SUBJECTS", "NAMES", [f"person {track.id}"])
    file.add_parameter("VIDPOSE", "START", [float(clock.times_of(frames[0]))])
    file.add_parameter("VIDPOSE", "POSITIONS", [place_of(result).value])
    with replacing(path) as partial:
        file.write(str(partial))
        _check_whole(partial, 4 * points.size)


def _check_whole(path: Path, size: int) -> None:
    """See that the points, `size` bytes from the block that the header names, are there.

    ezc3d says nothing when the disk is full.

    Raises:
        OSError: they are not.
    """
    content = path.read_bytes()
    start = 512 * (int.from_bytes(content[16:18], "little") - 1)
    if len(content) < start + size:
        raise OSError(errno.ENOSPC, "the file is cut off")
