"""A run that was interrupted goes on: it finds what it would have found without a break, and nothing is done twice."""

import errno
import json
import os
import shutil
from dataclasses import fields, replace
from pathlib import Path

import clips
import cv2
import numpy as np
import pytest

from vidpose.body.skeletons import BLAZEPOSE_33
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import VidposeError
from vidpose.common.files import write_npz
from vidpose.keypoints.poses import KeypointFinder, Poses
from vidpose.people.detections import Detections, PersonDetector
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.keeping import Keeping
from vidpose.pipeline.networks import Networks, open_networks
from vidpose.weights.shipped import shipped

TWO_PEOPLE = shipped("samples") / "two-people.mp4"
SHORT = Finding(end=0.72)
SEGMENT = 0.21
"""Seconds: seven frames."""


class PowerCutError(Exception):
    """What ends a run between two frames."""


def cut_off_at(frame: int):
    """A progress that ends the run there."""

    def progress(done: int, total: int | None) -> None:
        if done == frame:
            raise PowerCutError

    return progress


def same(one: PoseResult, other: PoseResult) -> bool:
    """Whether two results have the same people, to the last bit, and the same cuts."""
    assert one.source.cuts == other.source.cuts
    return len(one.tracks) == len(other.tracks) > 0 and all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name), equal_nan=f.name != "id")
        for a, b in zip(one.tracks, other.tracks, strict=True)
        for f in fields(Track)
    )


@pytest.fixture(scope="module")
def networks():
    with open_networks() as opened:
        yield opened


@pytest.fixture(scope="module")
def uninterrupted(networks: Networks) -> PoseResult:
    return find_people(TWO_PEOPLE, SHORT, networks=networks)


@pytest.fixture(scope="module")
def left(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a search leaves that is cut off in its third segment."""
    keeping = Keeping(tmp_path_factory.mktemp("left") / "a.b_keypoints.npz", seconds=SEGMENT)
    with pytest.raises(PowerCutError):
        find_people(TWO_PEOPLE, SHORT, networks=networks, keeping=keeping, progress=cut_off_at(16))
    assert sorted(path.name for path in keeping.folder.iterdir()) == ["0001.npz", "0002.npz"]
    return keeping.folder


@pytest.fixture
def interrupted(left: Path, tmp_path: Path) -> Keeping:
    """A copy of what was left, to go on with."""
    keeping = Keeping(tmp_path / "a.b_keypoints.npz", seconds=SEGMENT, resume=True)
    shutil.copytree(left, keeping.folder)
    return keeping


def test_an_interrupted_search_goes_on_as_if_nothing_had_been(interrupted, networks, uninterrupted):
    seen = []
    found = find_people(
        TWO_PEOPLE, SHORT, networks=networks, keeping=interrupted, progress=lambda *done: seen.append(done[0])
    )
    assert same(found, uninterrupted)
    assert seen == [15, 16, 17, 18]  # the 14 frames of two whole segments are not looked at again
    # The whole search is there now: it is read, and nobody looks at a frame.
    assert same(
        find_people(TWO_PEOPLE, SHORT, networks=networks, keeping=interrupted, progress=cut_off_at(18)), uninterrupted
    )


def test_a_cut_is_found_where_one_segment_ends_and_the_next_begins(networks, uninterrupted, tmp_path):
    (tmp_path / "cuts.txt").write_text("7\n10\n")
    finding = replace(SHORT, cuts=tmp_path / "cuts.txt")
    keeping = Keeping(tmp_path / "k_keypoints.npz", seconds=SEGMENT)
    with pytest.raises(PowerCutError):
        find_people(TWO_PEOPLE, finding, networks=networks, keeping=keeping, progress=cut_off_at(9))
    assert [path.name for path in keeping.folder.iterdir()] == ["0001.npz"]
    found = find_people(TWO_PEOPLE, finding, networks=networks, keeping=replace(keeping, resume=True))
    assert found.source.cuts == (7, 10)
    assert len(found.tracks) > len(uninterrupted.tracks)
    assert same(found, find_people(TWO_PEOPLE, finding, networks=networks))


class Nobody(PersonDetector, KeypointFinder):
    """Finds nobody: what is left of a search is its cuts."""

    layout, takes_boxes = BLAZEPOSE_33, False

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32))

    def regions(self, boxes: np.ndarray) -> np.ndarray:
        return np.empty((len(boxes), 2, 2))

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        none = np.empty((0, 33), np.float32)
        return Poses(np.empty((0, 33, 2), np.float32), none, np.empty(0, np.float32), np.empty((0, 2, 2)))


@pytest.mark.parametrize(
    ("shown", "cuts"),
    [
        (lambda frame: 1 if frame == 46 else 0, ()),
        (lambda frame: 0 if frame < 40 else None if frame < 230 else 1, (230,)),
    ],
    ids=["an odd picture", "six seconds of darkness"],
)
def test_cuts_are_the_same_after_an_interruption(shown, cuts, tmp_path):
    """The segment ends 104 frames, as many as a new search looks back, behind the odd one; or in the dark."""
    pictures = {None: np.zeros((120, 160, 3), np.uint8)}
    for number in (0, 1):
        noise = np.random.default_rng(number).integers(0, 255, (24, 32, 3), np.uint8)
        pictures[number] = cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)
    video = clips.write_clip(tmp_path / "a.mp4", [pictures[shown(frame)] for frame in range(300)])
    keeping, nobody = Keeping(tmp_path / "a_keypoints.npz", seconds=5.0), Networks(Nobody(), Nobody(), {})
    assert find_people(video, Finding(), networks=nobody).source.cuts == cuts
    with pytest.raises(PowerCutError):
        find_people(video, Finding(), networks=nobody, keeping=keeping, progress=cut_off_at(200))
    assert find_people(video, Finding(), networks=nobody, keeping=replace(keeping, resume=True)).source.cuts == cuts


@pytest.mark.parametrize("has_ids", [True, False])
def test_boxes_of_a_file_are_gone_on_with(has_ids, uninterrupted, tmp_path):
    lines = ["frame,x0,y0,x1,y1,score" + ",id" * has_ids]
    for track in uninterrupted.tracks:
        for frame, box in zip(track.frames, track.boxes, strict=True):
            lines.append(",".join(map(str, [frame, *box, 0.9] + [track.id + 6] * has_ids)))
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    finding = replace(SHORT, end=0.48, max_people=1, detect_every=None if has_ids else 2)
    keeping = Keeping(tmp_path / "k_keypoints.npz", seconds=SEGMENT)
    with open_networks(f"boxes:{tmp_path / 'boxes.csv'}", "blazepose-lite") as networks:
        whole = find_people(TWO_PEOPLE, finding, networks=networks)
        with pytest.raises(PowerCutError):
            find_people(TWO_PEOPLE, finding, networks=networks, keeping=keeping, progress=cut_off_at(10))
        assert same(find_people(TWO_PEOPLE, finding, networks=networks, keeping=replace(keeping, resume=True)), whole)


def test_a_search_of_something_else_is_not_gone_on_with(interrupted, networks):
    with pytest.raises(VidposeError, match=r"0001\.npz: of a search with `min_score=0\.3`, not 0\.5; leave out"):
        find_people(TWO_PEOPLE, replace(SHORT, min_score=0.5), networks=networks, keeping=interrupted)
    with pytest.raises(VidposeError, match="in another video, or in one that was changed since"):
        find_people(shipped("samples") / "walk-wave.mp4", SHORT, networks=networks, keeping=interrupted)


def test_boxes_that_were_changed_since_are_another_search(networks, tmp_path):
    (tmp_path / "cuts.txt").write_text("7\n")
    finding, keeping = replace(SHORT, cuts=tmp_path / "cuts.txt"), Keeping(tmp_path / "k_keypoints.npz", SEGMENT)
    with pytest.raises(PowerCutError):
        find_people(TWO_PEOPLE, finding, networks=networks, keeping=keeping, progress=cut_off_at(9))
    (tmp_path / "cuts.txt").write_text("7\n10\n")
    with pytest.raises(
        VidposeError, match="of a search with boxes, cuts or weights that were changed since; leave out"
    ):
        find_people(TWO_PEOPLE, finding, networks=networks, keeping=replace(keeping, resume=True))


def test_settings_that_came_later_were_at_their_defaults(interrupted, networks, uninterrupted):
    for path in interrupted.folder.iterdir():
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(str(arrays.pop("header")))
        del header["search"]["hwaccel"], header["search"]["min_score"]
        write_npz(path, header=np.array(json.dumps(header)), **arrays)
    with pytest.raises(VidposeError, match=r"0001\.npz: of a search with `min_score=0\.3`, not 0\.5; leave out"):
        find_people(TWO_PEOPLE, replace(SHORT, min_score=0.5), networks=networks, keeping=interrupted)
    assert same(find_people(TWO_PEOPLE, SHORT, networks=networks, keeping=interrupted), uninterrupted)


@pytest.mark.parametrize("stored", [None, [1], {}])
def test_a_segment_that_does_not_say_of_what_search_it_is_is_one_line(stored, interrupted, networks):
    path = interrupted.folder / "0001.npz"
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header"))) | {"search": stored}
    write_npz(path, header=np.array(json.dumps(header)), **arrays)
    with pytest.raises(VidposeError, match=r"0001\.npz: .*; leave out `resume`"):
        find_people(TWO_PEOPLE, SHORT, networks=networks, keeping=interrupted)


def test_a_damaged_segment_is_one_line(interrupted, networks):
    path = interrupted.folder / "0002.npz"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(VidposeError, match=r"0002\.npz: not a segment of a search .*; leave out `resume`"):
        find_people(TWO_PEOPLE, SHORT, networks=networks, keeping=interrupted)


@pytest.mark.parametrize("name", ["state_tracker_keypoints", "state_tracker_alive", "rows_boxes", "rows_ids"])
def test_a_number_that_is_another_is_one_line(name, interrupted, networks):
    """Nobody could tell of a state whether it can be; its checksum does."""
    path = interrupted.folder / "0002.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = arrays[name] * 3
    np.savez(path, **arrays)
    with pytest.raises(VidposeError, match=r"0002\.npz: not a segment .*its checksum is another.*; leave out `resume`"):
        find_people(TWO_PEOPLE, SHORT, networks=networks, keeping=interrupted)


def test_infer_goes_on_with_what_is_kept_and_does_nothing_twice(run, walk_sample, tmp_path, monkeypatch):
    command = ("infer", walk_sample, "--end", "0.48", "--no-overlay", "--segment", "0.21s")
    kept = Keeping.add

    def breaks_off(self: Keeping, number: int, *segment: object) -> None:
        kept(self, number, *segment)
        raise VidposeError("no more power")

    with monkeypatch.context() as patched:
        patched.setattr(Keeping, "add", breaks_off)
        code, _, err = run(*command)
    assert code == 1
    assert "no more power; what was found so far is kept: go on with the same command and --resume" in err
    first = tmp_path / "out" / "walk-wave_keypoints" / "0001.npz"
    whole = first.read_bytes()
    first.write_bytes(whole[:-100])
    code, _, err = run(*command, "--resume")
    assert code == 1
    assert err.splitlines()[-1].endswith("leave out --resume, and the search begins anew")
    first.write_bytes(whole)
    code, out, err = run(*command, "--resume")
    assert (code, "1 person in 12 frames" in out) == (0, True), err
    written = [f"walk-wave.{suffix}" for suffix in ("csv", "json", "npz")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == written
    assert run(*command, "--resume")[:2] == (0, f"{walk_sample}: done before\n")
    (tmp_path / "out" / "walk-wave.json").unlink()
    assert run(*command, "--resume")[0] == 0
    assert (tmp_path / "out" / "walk-wave.json").exists()


@pytest.mark.parametrize("other", [("--height", "1.7"), ("--lifter", "martinez"), ("--end", "0.36"), "the video"])
def test_what_was_done_otherwise_is_not_done_before(run, walk_sample, tmp_path, other):
    video = tmp_path / "walk.mp4"
    shutil.copy(walk_sample, video)
    command = ["infer", video, "--end", "0.4", "--no-overlay"]
    assert run(*command)[0] == 0
    if other == "the video":
        os.utime(video, ns=(1, 1))
    else:
        command += other
    code, out, err = run(*command, "--resume")
    assert (code, "done before" in out) == (1, False)
    assert "walk.npz: exists already; give --overwrite" in err
    assert run(*command, "--resume", "--overwrite")[0] == 0
    assert run(*command, "--resume")[:2] == (0, f"{video}: done before\n")
    (tmp_path / "out" / "walk.npz").write_bytes(b"PK")
    assert "walk.npz: exists already; give --overwrite" in run(*command, "--resume")[2]


def test_a_disk_that_is_full_at_the_first_segment_leaves_nothing(run, walk_sample, tmp_path, monkeypatch):
    def is_full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", is_full)
    code, _, err = run("infer", walk_sample, "--end", "0.2", "--no-overlay", "--segment", "0.1s")
    assert code == 1
    assert "the disk is full" in err
    assert "kept" not in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_that_ended_while_it_lifted_finds_nothing_anew(run, walk_sample, tmp_path, monkeypatch):
    command = ("infer", walk_sample, "--end", "0.4", "--no-overlay")

    def fails(*_: object, **__: object) -> None:
        raise VidposeError("no more memory")

    with monkeypatch.context() as patched:
        patched.setattr("vidpose.pipeline.lifting.lift_people", fails)
        assert run(*command)[0] == 1
    with monkeypatch.context() as patched:
        patched.setattr("vidpose.pipeline.finding.find_people", None)
        assert run(*command, "--resume")[0] == 0
    assert not (tmp_path / "out" / "walk-wave_keypoints.npz").exists()


def test_a_run_that_ended_while_it_drew_says_where_its_result_is(run, walk_sample, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise VidposeError("no more power")

    command = ("infer", walk_sample, "--end", "0.4", "--no-fit")
    with monkeypatch.context() as patched:
        patched.setattr("vidpose.render.render_overlay", fails)
        code, _, err = run(*command)
    assert code == 1
    assert "no more power; what is missing, vidpose render and vidpose export make of out/walk-wave.npz" in err
    assert run("render", "out/walk-wave.npz")[0] == 0
    with monkeypatch.context() as patched:
        patched.setattr("vidpose.render.render_overlay", fails)
        _, _, err = run("infer", "--from-keypoints", "out/walk-wave.npz", "--no-fit", "--out", "again")
    assert "what is missing, vidpose render and vidpose export make of again/walk-wave.npz" in err
    # A result of before, as a clock that was put back since has it, is not this run's.
    os.utime("out/walk-wave.npz", (4e9, 4e9))
    with monkeypatch.context() as patched:
        patched.setattr("vidpose.pipeline.lifting.lift_people", fails)
        _, _, err = run(*command, "--overwrite")
    assert "the 2D keypoints are kept: go on with --from-keypoints out/walk-wave_keypoints.npz" in err


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--segment", "soon"), "'soon' is no time"),
        (("--segment", "0m"), "is no time at all"),
        (("--from-keypoints", "r.npz", "--resume"), "--resume says how people are looked for"),
    ],
)
def test_what_cannot_be_gone_on_with_is_said_at_once(run, walk_sample, options, part):
    code, _, err = run("infer", *((walk_sample,) if "--segment" in options else ()), *options)
    assert code == 2
    assert part in err


def test_a_result_is_replaced_by_one_that_was_lifted_again(run, walk_sample, tmp_path):
    assert run("infer", walk_sample, "--end", "0.4", "--no-overlay")[0] == 0
    saved = tmp_path / "out" / "walk-wave.npz"
    again = ("infer", "--from-keypoints", saved, "--lifter", "martinez", "--no-overlay")
    assert run(*again)[0] == 1
    assert run(*again, "--overwrite")[0] == 0
    assert PoseResult.load(saved).provenance["lifter"] == "martinez"
