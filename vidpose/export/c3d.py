"""C3D files (c3d.org): joints as points, for biomechanics programs.

Z is up, millimetres. A point that is absent or was never seen has the residual -1 that the format means by it. The
header counts frames in 16 bits: somebody who is there for longer has several files.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import whole_skeleton
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock, place_of, placed_joints

_MOST_FRAMES = 65534
"""Of a file."""


def write_c3d(result: PoseResult, track: Track, path: Path) -> None:
    """Write one person's joints, into as many files as `c3d_paths` names.

    The first frame's number is the video's, as far as the format can count. A count of seconds of our own,
    `VIDPOSE:START`, always says when the first frame was.

    Raises:
        VidposeError: a file cannot be written.
    """
    clock, names = EvenClock.of(result.source), whole_skeleton(result).joints
    joints, frames = clock.sample(track, placed_joints(result, track, "z")), clock.frames_of(track)
    for number, part_path in enumerate(c3d_paths(result, track, path)):
        rows = slice(number * _MOST_FRAMES, (number + 1) * _MOST_FRAMES)
        part = _Part(names, joints[rows], frames[rows], clock, f"person {track.id}", place_of(result).value)
        part.write(part_path)


def c3d_paths(result: PoseResult, track: Track, path: Path) -> list[Path]:
    """The files of one person: `path`, and what does not fit into it in `..._part2.c3d` and so on."""
    count = len(EvenClock.of(result.source).frames_of(track))
    more = range(2, -(-count // _MOST_FRAMES) + 1)
    return [path, *(path.with_name(f"{path.name.removesuffix('.c3d')}_part{number}.c3d") for number in more)]


@dataclass(frozen=True)
class _Part:
    """What one file holds: (M, J, 3) metres of joints by name, and (M,) moments of a clock."""

    names: tuple[str, ...]
    joints: np.ndarray
    frames: np.ndarray
    clock: EvenClock
    subject: str
    positions: str

    def write(self, path: Path) -> None:
        import ezc3d

        first = int(self.frames[0]) if self.frames[-1] <= _MOST_FRAMES else 0
        file = ezc3d.c3d()
        # ezc3d writes what is not a number as an absent point, with residual -1.
        points = np.ones((4, len(self.names), len(self.frames)))
        points[:3] = 1000 * self.joints.transpose(2, 1, 0)
        file["header"]["points"]["first_frame"] = first
        file["data"]["points"] = points
        values = file["parameters"]["POINT"]
        values["LABELS"]["value"], values["UNITS"]["value"] = self.names, ["mm"]
        values["RATE"]["value"] = [self.clock.rate]
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
        file.add_parameter("SUBJECTS", "NAMES", [self.subject])
        file.add_parameter("VIDPOSE", "START", [float(self.clock.times_of(self.frames[0]))])
        file.add_parameter("VIDPOSE", "POSITIONS", [self.positions])
        with replacing(path) as partial:
            file.write(str(partial))
            _check_whole(partial, 4 * points.size)


def _check_whole(path: Path, size: int) -> None:
    """See that the points, `size` bytes from the block that the header names, are there.

    ezc3d says nothing when the disk is full.

    Raises:
        OSError: they are not.
    """
    with path.open("rb") as file:
        start = 512 * (int.from_bytes(file.read(18)[16:], "little") - 1)
    if path.stat().st_size < start + size:
        raise OSError(errno.ENOSPC, "the file is cut off")
