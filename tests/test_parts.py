"""A long video in parts: whoever is seen on both sides of a seam is one person, and all is as if nobody had cut."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest

import vidpose
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import VidposeError
from vidpose.common.files import alone_in
from vidpose.many.parts import OVERLAP, VideoPart, join_parts, parts_of
from vidpose.many.records import Record, read_record, write_record
from vidpose.many.scheduling import _outcomes
from vidpose.many.worker import Task, _joined, do
from vidpose.pipeline.choices import Filming
from vidpose.pipeline.job import Job
from vidpose.pipeline.keeping import Keeping
from vidpose.pipeline.outputs import Outputs, Writing
from vidpose.video import VideoReader, VideoWriter
from vidpose.weights.shipped import shipped

FPS, FRAMES = 10, 300
TIMES = np.arange(FRAMES) / FPS
PARTS = (VideoPart(1, 0.0, 10.0), VideoPart(2, 10.0, 20.0), VideoPart(3, 20.0, None))


def walker(number: int, first: int, end: int, pace: float) -> Track:
    """Somebody who crosses the picture, and whom nobody sees in every seventh frame."""
    frames = np.arange(first, end)
    rng = np.random.default_rng(number)
    body = rng.uniform([100, 100], [160, 300], (1, 17, 2)) + np.array([400.0 * (number % 2), 0.0])
    keypoints = (body + (pace * TIMES[frames])[:, None, None] * [1, 0]).astype(np.float32)
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    scores = np.full((len(frames), 17), 0.9, np.float32)
    unseen = (frames % 7 == 3) & (frames != first) & (frames != end - 1)
    keypoints[unseen], boxes[unseen], scores[unseen] = np.nan, np.nan, 0
    return Track.of_keypoints(number, frames, TIMES[frames], boxes, keypoints, scores)


def whole() -> PoseResult:
    """Two who meet at the first seam, one who leaves there, one who comes just before the second, one after a cut."""
    tracks = (
        walker(1, 0, 300, 20.0), walker(2, 0, 300, -20.0), walker(3, 20, 97, 0.0), walker(4, 192, 230, 5.0),
        walker(5, 250, 300, 0.0),
    )  # fmt: skip
    return PoseResult(Source("a.mp4", 640, 480, TIMES, Fraction(FPS), cuts=(97, 250)), tracks, H36M_17.name, "")


def seen_in(part: VideoPart, rng: np.random.Generator) -> PoseResult:
    """What a search of a part finds: nobody who was there for less than a second, in another order, a little beside."""
    first = round(FPS * (part.start or 0))
    end = FRAMES if part.ends is None else round(FPS * part.ends)
    tracks = []
    for track in whole().tracks:
        inside = (track.frames >= first) & (track.frames < end)
        if inside.sum() < 10:
            continue
        columns = [column[inside] for column in (track.frames, track.times, track.boxes, track.keypoints, track.scores)]
        columns[3] = columns[3] + rng.normal(0, 1, columns[3].shape).astype(np.float32)
        tracks.append(Track.of_keypoints(0, *columns))
    order = rng.permutation(len(tracks))
    own = tuple(replace(tracks[row], id=number) for number, row in enumerate(order, start=1))
    cuts = tuple(cut for cut in whole().source.cuts if first < cut < end)
    return replace(whole(), source=replace(whole().source, times=TIMES[:end], cuts=cuts), tracks=own)


@pytest.mark.parametrize("seed", range(3))
def test_people_are_as_if_nobody_had_cut(seed):
    rng = np.random.default_rng(seed)
    joined = join_parts([seen_in(part, rng) for part in PARTS], PARTS)
    assert joined.source.cuts == (97, 250)
    np.testing.assert_array_equal(joined.source.times, TIMES)
    assert [track.id for track in joined.tracks] == [1, 2, 3, 4, 5]
    found = {
        (track.frames[0], track.frames[-1], round(float(track.keypoints[0, 0, 0]) / 50)): track
        for track in joined.tracks
    }
    for known in whole().tracks:
        track = found[known.frames[0], known.frames[-1], round(float(known.keypoints[0, 0, 0]) / 50)]
        np.testing.assert_array_equal(track.frames, known.frames)
        np.testing.assert_array_equal(track.times, known.times)
        np.testing.assert_array_equal(np.isfinite(track.boxes), np.isfinite(known.boxes))
        np.testing.assert_array_equal(track.scores, known.scores)
        assert np.nanmax(np.abs(track.keypoints - known.keypoints)) < 6


def test_somebody_else_at_the_seam_is_somebody_else():
    """One leaves as the other comes, at another place."""
    one, other = walker(1, 0, 96, 0.0), walker(2, 90, 200, 0.0)
    source = whole().source
    parts = [
        replace(whole(), source=replace(source, times=TIMES[:100], cuts=()), tracks=(one,)),
        replace(whole(), source=replace(source, times=TIMES[:200], cuts=()), tracks=(other,)),
    ]
    joined = join_parts(parts, PARTS[:2])
    assert [(track.frames[0], track.frames[-1]) for track in joined.tracks] == [(0, 95), (90, 199)]


def test_parts_are_as_long_as_asked_and_cover_the_video(walk_sample):
    with VideoReader(walk_sample) as video:
        length = video.num_frames_hint / float(video.fps)
    parts = parts_of(walk_sample, Filming(), 1.0)
    assert [part.begins for part in parts] == list(range(round(length)))
    assert [part.ends for part in parts] == [*range(1, round(length)), None]
    assert parts[0].start is None
    assert parts[-1].start == parts[-1].begins - OVERLAP
    assert parts_of(walk_sample, Filming(), length) == ()
    assert len(parts_of(walk_sample, Filming(fps=2 * float(video.fps)), 1.0)) == round(length / 2)


def test_parts_lie_in_the_time_that_is_asked_for(walk_sample):
    parts = parts_of(walk_sample, Filming(), 1.0, start=0.5, end=2.5)
    assert parts == (VideoPart(1, 0.5, 1.5), VideoPart(2, 1.5, None))
    assert parts_of(walk_sample, Filming(), 1.0, start=0.5, end=1.5) == ()
    assert parts_of(walk_sample, Filming(), 1.0, start=1000.0) == ()
    task = Task(walk_sample, "walk", Job.of((), start=0.5, end=2.5), Writing(Path("out")), parts=parts)
    assert [(step.finding.start, step.finding.end) for step in task.steps] == [(0.5, 1.5), (0.5, 2.5)]


class Threads:
    """A pool that counts what it does."""

    at_once, deaths = 2, ()

    def __init__(self) -> None:
        self._pool, self.done = ThreadPoolExecutor(1), []

    def submit(self, task: Task) -> Future[Record | None]:
        self.done.append(task.part and task.part.number)
        return self._pool.submit(do, task)

    def check(self) -> None:
        """They are always there."""


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, three seconds."""
    path = tmp_path_factory.mktemp("split") / "two.mp4"
    with VideoReader(shipped("samples") / "two-people.mp4", end=3.0) as video:
        frames = list(video)
        with VideoWriter(path, (video.width, video.height), video.fps) as writer:
            for frame in frames:
                writer.write(frame.image, frame.time)
    return path


QUICK = {"detector": "blazepose", "keypoints": "blazepose-lite", "device": "cpu", "threads": 1}


def test_a_video_in_parts_is_as_one_that_is_not(short, tmp_path, monkeypatch):
    monkeypatch.setattr("vidpose.many.parts.OVERLAP", 0.5)
    expected = vidpose.infer(short, **QUICK)
    writing = Writing(tmp_path, ("csv",), "none")
    task = Task(short, "two", Job.of((), hwaccel="auto", **QUICK), writing, split=1.0).in_parts()
    write, written_by = Outputs.write, []

    def watched(files: Outputs, result: PoseResult, video: Path, job: Job) -> list[Path]:
        written_by.append((job.finding.threads, job.finding.hwaccel))
        return write(files, result, video, job)

    monkeypatch.setattr(Outputs, "write", watched)
    assert [(part.start, part.ends) for part in task.parts] == [(None, 1.0), (0.5, 2.0), (1.5, None)]
    pool = Threads()
    [record] = _outcomes([task], pool)
    assert pool.done == [1, 2, 3, None]
    assert (record.failure, record.people, record.frames) == (None, 2, expected.source.num_frames)
    assert read_record(tmp_path / "two") == record
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"record.json", "two.csv", "two.npz"}
    assert written_by == [(1, "auto")]
    result = PoseResult.load(tmp_path / "two" / "two.npz")
    assert result.provenance["parts"] == 3
    for track, whole_track in zip(result.tracks, expected.tracks, strict=True):
        np.testing.assert_array_equal(track.frames, whole_track.frames)
        apart = np.linalg.norm(track.keypoints - whole_track.keypoints, axis=-1)
        assert np.nanmedian(apart) < 1.0
        assert np.nanpercentile(apart, 98) < 10
        assert np.nanmedian(np.linalg.norm(track.joints - whole_track.joints, axis=-1)) < 0.01


def test_parts_of_a_time_make_the_frames_and_the_overlay_of_that_time(short, tmp_path):
    job = Job.of((), start=0.5, end=2.5, **QUICK)
    task = Task(short, "two", job, Writing(tmp_path, ("csv",), "skeletons"), split=1.0).in_parts()
    [record] = _outcomes([task], Threads())
    assert record.failure is None
    with VideoReader(short, start=0.5, end=2.5) as video:
        due = [frame.index for frame in video]
    result = PoseResult.load(tmp_path / "two" / "two.npz")
    assert min(track.frames[0] for track in result.tracks) == due[0]
    assert max(track.frames[-1] for track in result.tracks) == due[-1]
    assert record.frames == due[-1] + 1  # as of a video that is not in parts
    with VideoReader(tmp_path / "two" / "two_overlay.mp4") as overlay:
        assert sum(1 for _ in overlay) == len(due)


def test_parts_that_another_batch_has_joined_meanwhile_are_left_alone(short, tmp_path, monkeypatch):
    task = Task(short, "two", Job.of((), **QUICK), Writing(tmp_path, ("csv",), "none"), split=1.0).in_parts()
    monkeypatch.setattr("vidpose.many.worker._found", None)
    theirs = Record(str(short), "two", people=2)

    def other_batch(seconds: float) -> None:
        lock.close()
        write_record(task.folder, theirs)
        task.steps[0].folder.rmdir()

    with ExitStack() as lock:
        lock.enter_context(alone_in(task.steps[0].folder))
        for step in task.steps[1:]:
            write_record(step.folder, Record(str(short), "two"))
            lock.callback(rmtree, step.folder)
        monkeypatch.setattr("vidpose.many.scheduling.time.sleep", other_batch)
        assert list(_outcomes([task], Threads())) == [theirs]
    assert [path.name for path in task.folder.iterdir()] == ["record.json"]


def test_a_part_that_fails_fails_the_video_and_the_others_are_kept(short, tmp_path, monkeypatch):
    task = Task(short, "two", Job.of((), **QUICK), Writing(tmp_path, ("csv",), "none"), split=1.0).in_parts()

    def fail(of: Task) -> None:
        if of.part.number == 2:
            raise VidposeError("nothing to be done")

    monkeypatch.setattr("vidpose.many.worker._found", fail)
    pool = Threads()
    [record] = _outcomes([task], pool)
    assert record.failure == "part 2: nothing to be done"
    assert None not in pool.done
    assert read_record(task.steps[0].folder).failure is None


def test_a_part_without_a_frame_moves_no_seam_of_those_behind_it(tmp_path, monkeypatch):
    """A cut in the moments that two parts have in common is found in both, and counts once."""
    video = tmp_path / "a.mp4"
    video.touch()
    parts = (*PARTS[:2], VideoPart(3, 20.0, 25.0), VideoPart(4, 25.0, None))
    task = replace(Task(video, "a", Job(), Writing(tmp_path)), parts=parts)
    rng, cut = np.random.default_rng(0), 245
    for part, step in zip(parts, task.steps, strict=True):
        if part.number == 2:
            write_record(step.folder, Record(str(video), "a"))
            continue
        found = seen_in(part, rng)
        cuts = (cut,) if part.number > 2 else ()
        step.outputs.keeping.keep(replace(found, source=replace(found.source, cuts=cuts)))

    def found_in(keeping: Keeping, search: dict[str, Any]) -> PoseResult | None:
        return PoseResult.load(keeping.file) if keeping.file.exists() else None

    monkeypatch.setattr(Keeping, "found", found_in)
    assert _joined(task).saved[0].source.cuts == (cut,)
