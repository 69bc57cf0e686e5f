"""Many videos: what fails stops no other, what is whole is not done again, and whatever dies, nothing is lost."""

import csv
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

import vidpose
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import alone_in
from vidpose.many.manifest import list_videos
from vidpose.many.parts import VideoPart
from vidpose.many.pools import processes
from vidpose.many.records import Record, read_record, write_record
from vidpose.many.scheduling import _once, _outcomes
from vidpose.many.summary_table import write_summary
from vidpose.many.worker import Task, do
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import Writing
from vidpose.video import VideoReader, VideoWriter

FRAMES = 8


@pytest.fixture(scope="module")
def videos(walk_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two videos of one name, one of them cut off, and two that nobody can read."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "more").mkdir()
    short = folder / "walk.mp4"
    with VideoReader(walk_sample, end=0.04 * FRAMES - 0.02) as video, VideoWriter(short, (640, 480)) as writer:
        for frame in video:
            writer.write(frame.image, frame.time)
    whole = walk_sample.read_bytes()
    (folder / "more" / "walk.mp4").write_bytes(whole[: len(whole) // 8])
    (folder / "<b>noise.mkv").write_bytes(bytes(range(256)) * 40)
    (folder / "empty.mov").touch()
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def done(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    out = tmp_path_factory.mktemp("out")
    return out, vidpose.batch(videos, out, formats=["csv"], overlay="none", workers=1, device="cpu")


def test_what_can_be_done_is_done_and_the_rest_is_told(done):
    out, records = done
    by_name = {record.name: record for record in records}
    assert list(by_name) == ["<b>noise", "empty", "more_walk", "videos0_walk"]
    walk = by_name["videos0_walk"]
    assert (walk.people, walk.frames, walk.failure) == (1, FRAMES, None)
    assert walk.video_seconds == pytest.approx(0.04 * FRAMES)
    assert walk.cpu_seconds > 0
    assert sorted(path.name for path in (out / walk.name).iterdir()) == [
        "record.json", "videos0_walk.csv", "videos0_walk.npz"
    ]  # fmt: skip
    assert len(PoseResult.load(out / walk.name / "videos0_walk.npz").tracks[0]) == FRAMES
    cut_off = by_name["more_walk"]
    assert (cut_off.frames > 0, cut_off.failure) == (True, None)
    assert "ends early or is damaged" in cut_off.warnings[0]
    assert "the file is empty" in by_name["empty"].failure
    assert "not a video" in by_name["<b>noise"].failure


def test_the_summary_says_what_became_of_each(done):
    out, records = done
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], int(row["people"]), row["failure"] or None) for row in rows] == [
        (record.name, record.people, record.failure) for record in records
    ]
    page = (out / "summary.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;noise.mkv" in page
    assert "<b>" not in page
    assert 'href="videos0_walk/videos0_walk.npz"' in page
    assert page.index("empty.mov") < page.index("more/walk.mp4")  # what failed comes first
    assert "2 of 4 videos done, 2 not: 2 people in 0:00:0" in page


@pytest.mark.skipif(sys.platform != "linux", reason="of file systems whose names are bytes")
def test_names_that_are_no_text_are_in_the_summary(tmp_path):
    name = os.fsdecode(b"a\xff")
    (tmp_path / name).mkdir()
    (tmp_path / name / f"{name}.npz").touch()
    write_summary(tmp_path, [Record(f"/videos/{name}.mp4", name), Record(f"{name}.mov", "b", failure=f"{name}: gone")])
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == [r"/videos/a\udcff.mp4", r"a\udcff.mov"]
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert r'<a href="a%FF/a%FF.npz">/videos/a\udcff.mp4</a>' in page
    assert r"a\udcff: gone" in page


def test_what_is_whole_is_not_done_again(done, videos, run, monkeypatch):
    out, records = done
    result = out / "videos0_walk" / "videos0_walk.npz"
    before = result.stat()
    code, text, err = run("batch", videos, "--out", out, "--format", "csv", "--no-overlay", "--workers", "1",
                          "--device", "cpu")  # fmt: skip
    assert code == 1
    assert text.startswith("2 of 4 videos done, 2 not")
    assert err.splitlines()[-1] == "error: 2 of 4 videos failed"
    assert (result.stat().st_mtime_ns, result.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    only = videos / "list.txt"
    only.write_text("# what there is\n\nwalk.mp4\n")
    write_record(out / "walk", replace(records[-1], name="walk"))
    monkeypatch.setattr("vidpose.many.scheduling._pool", None)
    assert run("batch", only, "--out", out, "--format", "csv", "--no-overlay", "--device", "cpu")[0] == 0


def test_results_of_other_settings_are_not_mixed(done, videos):
    out, _ = done
    with pytest.raises(UsageError, match=r"holds results with `min_score=0\.3`, not 0\.5; choose another `out`"):
        vidpose.batch(videos, out, formats=["csv"], overlay="none", min_score=0.5)


@pytest.mark.parametrize(("stored", "meant"), [("true", "skeletons"), ("false", "none")])
def test_a_folder_of_before_there_were_meshes_is_gone_on_with(stored, meant, done, videos, tmp_path, monkeypatch):
    """Its settings say whether an overlay was drawn, not which."""
    out = shutil.copytree(done[0], tmp_path / "out")
    old = (out / "batch.json").read_text().replace('"overlay": "none"', f'"overlay": {stored}')
    (out / "batch.json").write_text(old)
    assert f'"overlay": {stored}' in old
    monkeypatch.setattr("vidpose.many.scheduling._outcomes", lambda left, pool: [])
    records = vidpose.batch(videos, out, formats=["csv"], overlay=meant, workers=1, device="cpu")
    assert [record.name for record in records if record.failure is None] == ["more_walk", "videos0_walk"]
    assert f'"overlay": "{meant}"' in (out / "batch.json").read_text()
    (out / "batch.json").write_text(old)
    with pytest.raises(UsageError, match=f"holds results with `overlay='{meant}'`, not 'mesh'; choose another"):
        vidpose.batch(videos, out, formats=["csv"], overlay="mesh", device="cpu")


def test_settings_that_an_older_version_did_not_know_are_as_they_were(done, videos, tmp_path):
    out, records = done
    shutil.copytree(out, tmp_path / "out")
    path = tmp_path / "out" / "batch.json"
    how = {"formats": ["csv"], "overlay": "none", "workers": 1, "device": "cpu"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"gone": None}))
    assert len(vidpose.batch(videos, tmp_path / "out", **how)) == len(records)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"a" * 5000: 1}))
    with pytest.raises(UsageError, match=r"holds results with `a+=1`, not None") as caught:
        vidpose.batch(videos, tmp_path / "out", **how)
    assert len(str(caught.value)) < 1000


def test_settings_that_came_later_were_at_their_defaults(done, videos, tmp_path):
    out, records = done
    shutil.copytree(out, tmp_path / "out")
    path = tmp_path / "out" / "batch.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({name: stored[name] for name in stored if name not in ("hwaccel", "min_score")}))
    how = {"formats": ["csv"], "overlay": "none", "workers": 1, "device": "cpu"}
    with pytest.raises(UsageError, match=r"holds results with `min_score=0\.3`, not 0\.5"):
        vidpose.batch(videos, tmp_path / "out", **how, min_score=0.5)
    assert len(vidpose.batch(videos, tmp_path / "out", **how)) == len(records)


def test_files_of_something_else_are_not_replaced(videos, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "empty.npz").write_text("mine")
    with pytest.raises(VidposeError, match=r"empty\.npz: exists already"):
        vidpose.batch(videos, tmp_path)
    assert (tmp_path / "empty" / "empty.npz").read_text() == "mine"


def test_a_batch_replaces_none_of_its_inputs(videos, tmp_path):
    (tmp_path / "a").mkdir()
    own = shutil.copy(videos / "walk.mp4", tmp_path / "a" / "a_overlay.mp4")
    shutil.copy(own, tmp_path / "a.mp4")
    table = tmp_path / "summary.csv"
    for lines in ("a.mp4\na/a_overlay.mp4\n", "a.mp4\n"):
        table.write_text(lines)
        with pytest.raises(VidposeError, match=r"an input, which would be replaced"):
            vidpose.batch(table, tmp_path, overwrite=True)
    assert Path(own).read_bytes() == (videos / "walk.mp4").read_bytes()
    assert table.read_text() == "a.mp4\n"


def test_settings_that_cannot_be_are_refused_before_any_video(videos, tmp_path, monkeypatch):
    monkeypatch.setattr("vidpose.many.scheduling._pool", None)
    for settings in ({"lifter": "nobody"}, {"fov": 0}, {"formats": ["abc"]}, {"segment": "soon"}, {"smooth": "fast"}):
        with pytest.raises(UsageError):
            vidpose.batch(videos, tmp_path / "out", **settings)


def test_a_list_s_mistakes_are_said_with_their_lines(videos, tmp_path):
    """What is not there fails alone; an address fails the list, since it can never be done."""
    one, listing = videos / "walk.mp4", tmp_path / "list.txt"
    listing.write_text(f'# mine\n{one}\n\nnone.mp4\n"{one}"\n')
    for number, split in enumerate((None, "10m")):
        out = tmp_path / f"out{number}"
        records = vidpose.batch(listing, out, overlay="none", workers=1, device="cpu", split=split)
        whys = [record.failure for record in records]
        advice = "no such file that you may read; give a local video or a folder of images"
        assert whys[:2] == [None, f"{tmp_path / 'none.mp4'}: {advice}; line 4 of {listing} names it"]
        assert whys[2].endswith(f'walk.mp4": {advice}; line 5 of {listing} names it')
        assert whys[1] in (out / "summary.csv").read_text()
    for address in ("https://a.b/c.mp4", "file:///home/me/c.mp4"):
        listing.write_text(f"{one}\n{address}\n")
        with pytest.raises(UsageError, match=rf"list\.txt, line 2: {address}: addresses are not opened; download"):
            vidpose.batch(listing, tmp_path / "out", overlay="none")


def test_videos_are_those_of_a_folder_or_of_a_list(videos, tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "out" / "a").mkdir(parents=True)
    for name in ("a_overlay.mp4", "a.npz"):
        (tmp_path / "out" / "a" / name).touch()
    assert list_videos(tmp_path, tmp_path / "out") == [(tmp_path / "a.mp4", "")]
    # What lies in the folder that is written to is a video all the same, unless the batch made it.
    mine = tmp_path / "out" / "mine.mp4"
    mine.touch()
    for source, out in ((mine.parent, mine.parent), (mine.parent, tmp_path / "out" / "." / "a" / "..")):
        assert list_videos(source, out) == [(mine, "")]
    assert (mine.parent / "a" / "a_overlay.mp4", "") in list_videos(mine.parent, tmp_path)
    mine.unlink()
    with pytest.raises(UsageError, match="no video here"):
        list_videos(tmp_path / "out", tmp_path / "out")
    with pytest.raises(VidposeError, match="not a list of videos"):
        list_videos(videos / "walk.mp4", tmp_path)
    with pytest.raises(VidposeError, match="no such file"):
        list_videos(tmp_path / "nowhere", tmp_path)


def task(folder: Path, name: str) -> Task:
    return Task(folder / f"{name}.mp4", name, Job(), Writing(folder))


def work_or_die(of: Task) -> Record:
    """A worker's work: "once" kills the first worker, "always" every one, as if the memory were full."""
    if of.name == "always" or (of.name == "once" and not (of.writing.out / "died").exists()):
        (of.writing.out / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Record(str(of.video), of.name, people=os.getpid())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills otherwise")
def test_a_worker_that_dies_is_replaced_and_its_video_is_tried_once_more(tmp_path):
    tasks = [task(tmp_path, name) for name in ("a", "once", "b", "always", "c")]
    with processes(1, threads=1, work=work_or_die) as pool:
        records = {record.name: record for _, record in _once(tasks, pool)}
    assert {name for name, record in records.items() if record.failure} == {"always"}
    assert "two workers died of it" in records["always"].failure
    assert read_record(tmp_path / "always") == records["always"]
    assert len({records[name].people for name in ("a", "once")}) == 2  # processes


@pytest.mark.parametrize(
    ("name", "value"), [("people", 10**30), ("frames", -1), ("seconds", 1e300), ("cpu_seconds", -1)]
)
def test_a_record_of_numbers_that_cannot_be_is_none(tmp_path, name, value):
    a = task(tmp_path, "a")
    write_record(a.folder, replace(Record("a.mp4", "a"), **{name: value}))
    assert a.whole is None
    write_record(a.folder, Record("a.mp4", "a", people=2))
    assert a.whole.people == 2


def test_a_result_is_taken_for_the_very_video_that_it_is_of(tmp_path, monkeypatch):
    """Size and time of change tell, and the path where they do not."""
    looked_at = []

    def look(of: Task) -> None:
        looked_at.append(of.video)

    monkeypatch.setattr("vidpose.many.worker._result", look)
    monday, tuesday, mount = (tmp_path / day / "cam.mp4" for day in ("monday", "tuesday", "mount"))
    for video, content in ((monday, b"a"), (tuesday, b"bb")):
        video.parent.mkdir()
        video.write_bytes(content)
    first, second, moved = (Task(video, "cam", Job(), Writing(tmp_path)) for video in (monday, tuesday, mount))
    assert do(first) == do(first) == first.whole
    for of in (second, replace(second, part=VideoPart(1, 0.0, 5.0))):
        assert re.search(r"cam: holds the result of another video, .*monday/cam\.mp4; choose another", do(of).failure)
    assert [path.name for path in first.folder.iterdir()] == ["record.json"]
    assert looked_at == [monday]
    monday.write_bytes(b"filmed again")
    assert do(first).failure is None
    changed = monday.stat().st_mtime_ns
    os.utime(monday, ns=(changed, changed + 60 * 10**9))
    assert do(first).failure is None
    assert looked_at == [monday] * 3
    twin, moment = b"f" * monday.stat().st_size, monday.stat().st_mtime_ns + 10**8
    tuesday.write_bytes(twin)
    os.utime(tuesday, ns=(moment, moment))
    assert "another video" in do(second).failure
    os.utime(monday, ns=(moment, moment))  # as a disk that rounds has it
    monday.parent.rename(mount.parent)
    assert do(moved) == moved.whole
    assert looked_at == [monday] * 3


def test_a_record_that_does_not_know_the_video_is_taken_for_that_of_its_path(tmp_path):
    a = task(tmp_path, "a")
    a.video.touch()
    (tmp_path / "b.mp4").touch()
    for named, is_whole in ((a.video, True), (tmp_path / "gone.mp4", True), (tmp_path / "b.mp4", False), ("\0", True)):
        write_record(a.folder, Record(str(named), "a", people=2))
        assert (a.whole is not None) == is_whole
    write_record(a.folder, replace(Record.begun(a.video, "a"), video="\0", video_bytes=5))
    assert a.whole is None


def linger(of: Task) -> Record:
    time.sleep(60)
    return Record(str(of.video), of.name)


def test_workers_that_die_as_they_start_end_in_a_line_that_says_so():
    # What the pool raises, where a program of the user's own starts a batch anew in each of its workers.
    with pytest.raises(VidposeError, match=r'die before.*if __name__ == "__main__"'), processes(1, threads=1):
        raise BrokenProcessPool("All workers expired")
    assert not multiprocessing.active_children()


def test_ctrl_c_ends_the_workers(tmp_path):
    started = time.monotonic()
    with suppress(KeyboardInterrupt), processes(1, threads=1, work=linger) as pool:
        pool.submit(task(tmp_path, "a"))
        time.sleep(0.3)
        raise KeyboardInterrupt
    assert time.monotonic() - started < 50
    assert not multiprocessing.active_children()


def is_deaf(of: Task) -> Record:
    """Whether a worker was started so that it does not hear Ctrl-C."""
    return Record(str(of.video), of.name, people=signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such masks")
def test_workers_do_not_hear_ctrl_c_while_they_are_loading(tmp_path):
    with processes(1, threads=1, work=is_deaf) as pool:
        assert pool.submit(task(tmp_path, "a")).result().people == 1
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


class Threads:
    """A pool for tests that need no processes."""

    at_once, deaths = 2, ()

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def submit(self, task: Task) -> Future[Record | None]:
        return self._pool.submit(do, task)

    def check(self) -> None:
        """They are always there."""


def test_a_video_that_another_batch_is_at_is_waited_for_and_not_done_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("vidpose.many.scheduling._PATIENCE", 0.05)
    monkeypatch.setattr("vidpose.many.worker._done", None)
    theirs, is_locked = Record("a.mp4", "a", people=7), threading.Event()

    def other_batch() -> None:
        with alone_in(tmp_path / "a"):
            is_locked.set()
            time.sleep(0.3)
            write_record(tmp_path / "a", theirs)

    other = threading.Thread(target=other_batch)
    other.start()
    is_locked.wait()
    assert do(task(tmp_path, "a")) is None
    assert list(_outcomes([task(tmp_path, "a")], Threads())) == [theirs]
    other.join()
