"""C3D files (c3d.org): joints as points, for biomechanics programs.

Z is up, millimetres. A point that is absent or was never seen has the residual -1 that the format means by it. The
header counts frames in 16 bits: somebody who is there for longer has several files.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpose.body.pieces import pieces
from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import whole_skeleton
from vidpose.common.files import replacing
from vidpose.export.placing import EvenClock, place_of, placed_joints

if TYPE_CHECKING:
    import ezc3d

_MOST_FRAMES = 65534
"""Of a file."""

_BLOCK, _POINT_BYTES = 512, 16

_ABSENT = -1
"""The residual of a point that is not there, whose coordinates are 0."""


def write_c3d(result: PoseResult, track: Track, path: Path) -> None:
    """Write one person's joints, into as many files as `c3d_paths` names.

    The first frame's number is the video's, as far as the format can count. A count of seconds of our own,
    `VIDPOSE:START`, always says when the first frame was.

    Raises:
        VidposeError: a file cannot be written.
    """
    clock, names = EvenClock.of(result.source), whole_skeleton(result).joints
    frames = clock.frames_of(track)
    joints = np.concatenate(list(clock.sample(track, placed_joints(result, track, "z"))))
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
        first = int(self.frames[0]) if self.frames[-1] <= _MOST_FRAMES else 0
        with replacing(path) as partial:
            self._of_one_frame(first).write(str(partial))
            head = _for_frames(_head_of(partial), first, len(self.frames), len(self.names))
            with partial.open("wb") as file:
                file.write(head)
                for rows in pieces(len(self.frames)):
                    points = np.zeros((rows.stop - rows.start, len(self.names), 4), "<f4")
                    there = np.isfinite(self.joints[rows]).all(axis=-1)
                    points[there, :3] = 1000 * self.joints[rows][there]
                    points[~there, 3] = _ABSENT
                    file.write(points.tobytes())
                file.write(bytes(_BLOCK - file.tell() % _BLOCK))

    def _of_one_frame(self, first: int) -> ezc3d.c3d:
        """The file with its first frame alone: ezc3d needs fourteen times as much memory as the file is large."""
        import ezc3d

        file = ezc3d.c3d()
        file["header"]["points"]["first_frame"] = first
        file["data"]["points"] = np.ones((4, len(self.names), 1))
        values = file["parameters"]["POINT"]
        values["LABELS"]["value"], values["UNITS"]["value"] = self.names, ["mm"]
        values["RATE"]["value"] = [self.clock.rate]
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
        file.add_parameter("SUBJECTS", "NAMES", [self.subject])
        file.add_parameter("VIDPOSE", "START", [float(self.clock.times_of(self.frames[0]))])
        file.add_parameter("VIDPOSE", "POSITIONS", [self.positions])
        return file


def _head_of(path: Path) -> bytes:
    """What comes before the points of a file, from the block on that its header names.

    Raises:
        OSError: it is not all there: ezc3d says nothing when the disk is full.
    """
    content = path.read_bytes()
    start = _BLOCK * (int.from_bytes(content[16:18], "little") - 1)
    if not 0 < start < len(content):
        raise OSError(errno.ENOSPC, "the file is cut off")
    return content[:start]


def _for_frames(head: bytes, first: int, frames: int, joints: int) -> bytes:
    """What comes before the points of one frame, as it is before so many: the three counts that depend on them."""
    changed = bytearray(head)
    changed[8:10] = (first + frames).to_bytes(2, "little")
    # Blocks count from 1, and ezc3d puts one more behind points that fill theirs.
    behind = len(head) // _BLOCK + _POINT_BYTES * frames * joints // _BLOCK + 2
    for name, value in ((b"FRAMES", frames), (b"DATA_START", behind)):
        # A parameter is its name, the way to the next one, its kind of two bytes, no dimensions, and the value. The
        # second place to start from, after the points', is that of rotations, of which there are none.
        at = head.rindex(name + b"\7\0\2\0") + len(name) + 4
        changed[at : at + 2] = (value % 65536).to_bytes(2, "little")
    return bytes(changed)
