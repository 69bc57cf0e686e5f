"""Memory of long results: they are written some rows at a time, and the same files as at once."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import ezc3d
import numpy as np
import pytest
from exports import result_of, track_of, world_joints

from vidpose.body import pieces
from vidpose.body.kinematics import orientations, quaternions_of
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult
from vidpose.common.memory import give_back
from vidpose.export import FORMATS, c3d

FORMATS_OF_JOINTS = ("bvh", "c3d", "gltf", "mot", "trc")


def bytes_of(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(path.iterdir())
    return {file.name: file.read_bytes() for file in files}


def late_and_early() -> PoseResult:
    """Two people, one with gaps, at times that keep to no clock and jump once."""
    rng = np.random.default_rng(1)
    early, late = (track_of(world_joints(rows, seed), seed, first) for seed, rows, first in ((1, 53, 0), (2, 41, 9)))
    early.joints[20:29] = np.nan
    times = np.cumsum(rng.uniform(0.02, 0.05, 60))
    times[37:] += 3
    people = (replace(track, times=times[track.frames]) for track in (early, late))
    result = result_of(*people)
    return replace(result, source=replace(result.source, times=times, fps=None))


@pytest.mark.parametrize("name", [*FORMATS_OF_JOINTS, "coco", "csv", "json", "openpose", "opensim"])
@pytest.mark.parametrize("even", [True, False])
def test_a_result_is_written_in_pieces_as_at_once(name: str, even: bool, tmp_path: Path, monkeypatch):
    result = result_of(track_of(world_joints(53), 1), track_of(world_joints(41, 2), 2, 9)) if even else late_and_early()
    at_once = FORMATS[name].write(result, tmp_path / "at_once" / "walk")
    monkeypatch.setattr(pieces, "_AT_ONCE", 16)
    in_pieces = FORMATS[name].write(result, tmp_path / "in_pieces" / "walk")
    assert at_once
    assert [bytes_of(path) for path in in_pieces] == [bytes_of(path) for path in at_once]


@pytest.mark.parametrize("name", ["coco", "json", "openpose", *FORMATS_OF_JOINTS])
def test_writing_takes_little_memory_beside_the_result(name: str, tmp_path: Path, monkeypatch):
    """Of one person's joints in double precision, half of a track's bytes, there is one copy."""
    track = track_of(np.tile(world_joints(50), (40, 1, 1)))
    fitted = replace(track, rotations=quaternions_of(orientations(track.joints, H36M_17)).astype(np.float32))
    result, size = result_of(fitted), sum(part.nbytes for part in vars(fitted).values() if isinstance(part, np.ndarray))
    monkeypatch.setattr(pieces, "_AT_ONCE", 64)
    FORMATS[name].write(result_of(track_of(world_joints(3))), tmp_path / "warm")
    tracemalloc.start()
    try:
        FORMATS[name].write(result, tmp_path / "walk")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 2 * size, f"{most / size:.2f} of the track"


@pytest.mark.parametrize("rows", [2, 32, 33])
def test_c3d_is_as_ezc3d_writes_it(rows: int, tmp_path: Path, monkeypatch):
    """32 frames of 17 joints fill whole blocks of the file."""
    begun, of_one_frame = [], c3d._Part._of_one_frame

    def begin(part: c3d._Part, first: int) -> ezc3d.c3d:
        begun.append((part.joints, of_one_frame(part, first)))
        return of_one_frame(part, first)

    monkeypatch.setattr(c3d._Part, "_of_one_frame", begin)
    track = track_of(world_joints(rows), first=4)
    (path,) = FORMATS["c3d"].write(result_of(track), tmp_path / "walk")
    ((joints, file),) = begun
    points = np.ones((4, 17, rows))
    points[:3] = 1000 * joints.transpose(2, 1, 0)
    file["data"]["points"] = points
    file.write(str(tmp_path / "again.c3d"))
    assert path.read_bytes() == (tmp_path / "again.c3d").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for its memory")
def test_memory_between_live_blocks_goes_back():
    def held() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096

    blocks = [bytes(8000) for _ in range(20_000)]
    alive, full = blocks[::400], held()
    del blocks
    give_back()
    assert len(alive) == 50
    assert full - held() > 100e6
