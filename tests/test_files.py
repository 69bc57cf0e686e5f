"""Writing: nothing half-written under a final name, nothing that is in the way, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vidpose.common import files
from vidpose.common.errors import VidposeError
from vidpose.common.files import alone_in, check_outputs, make_folder, replacing, to_json

linux = pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")


@pytest.fixture(autouse=True)
def nothing_swept(monkeypatch):
    monkeypatch.setattr(files, "_swept", set())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    with replacing(tmp_path / "new" / "folder" / "a.json") as partial:
        partial.write_text("all")
        assert not (tmp_path / "new" / "folder" / "a.json").exists()
        assert partial.suffix == ".json"
    assert (tmp_path / "new" / "folder" / "a.json").read_text() == "all"
    assert names(tmp_path / "new" / "folder") == ["a.json"]


def test_a_file_is_readable_as_others_are(tmp_path):
    with replacing(tmp_path / "a") as partial:
        partial.write_text("x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")])
def test_what_fails_leaves_the_old_file(error, tmp_path):
    (tmp_path / "a").write_text("old")

    def write() -> None:
        with replacing(tmp_path / "a") as partial:
            partial.write_text("half")
            raise error

    with pytest.raises((VidposeError, KeyboardInterrupt, ValueError)):
        write()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_what_fails_leaves_no_folder_that_was_made_for_it(tmp_path):
    for folder in ("new", "old"):
        if folder == "old":
            (tmp_path / folder).mkdir()
        with pytest.raises(VidposeError, match="the disk is full"), replacing(tmp_path / folder / "a"):
            raise OSError(28, "No space left on device")
    assert names(tmp_path) == ["old"]


@linux
@pytest.mark.parametrize("name", ["a" * 243 + "_overlay.mp4", "走" * 81 + "_overlay.mp4"])
def test_a_name_as_long_as_can_be_is_written(name, tmp_path):
    assert len(os.fsencode(name)) == 255
    with replacing(tmp_path / name) as partial:
        partial.write_text("x")
    assert names(tmp_path) == [name]


def test_a_name_that_is_too_long_is_said_before_the_work(tmp_path):
    path = tmp_path / ("走" * 86)
    with pytest.raises(VidposeError, match="the name is too long"):
        check_outputs([path], overwrite=True)
    with pytest.raises(VidposeError, match="the name is too long"), replacing(path):
        pytest.fail("the work began")


def test_a_folder_below_a_file_cannot_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    for attempt in (lambda path: check_outputs([path], False), lambda path: replacing(path).__enter__()):
        with pytest.raises(VidposeError, match=r"file.*cannot .*choose another `out`"):
            attempt(tmp_path / "file" / "a.npz")
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_in_the_way(tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(VidposeError, match="exists already; give `overwrite`"):
        check_outputs([tmp_path / "a.txt"], overwrite=False)
    check_outputs([tmp_path / "a.txt", tmp_path / "new" / "c.txt"], overwrite=True)
    with pytest.raises(VidposeError, match="a folder, where a file would be written"):
        check_outputs([tmp_path / "b.txt"], overwrite=True)


def test_an_input_is_not_replaced_by_whatever_name(tmp_path):
    mine, later = tmp_path / "a.json", tmp_path / "later.mp4"
    mine.write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for path, read in ((mine, mine), (tmp_path / "link" / "a.json", mine), (mine, tmp_path / "link" / "a.json"),
                       (tmp_path / "link" / "later.mp4", later)):  # fmt: skip
        for overwrite in (True, False):
            with pytest.raises(VidposeError, match=r"an input, which would be replaced; write to another folder"):
                check_outputs([path], overwrite, inputs=[read])
    check_outputs([tmp_path / "b.json"], overwrite=False, inputs=[mine, later, Path("no\0name"), Path("martinez")])
    assert names(tmp_path) == ["a.json", "link"]


@linux
def test_ctrl_c_as_the_partial_file_is_made_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.fcntl, "flock", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == []


@linux
def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("mine")
    planted = iter(["taken", "free"])
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(planted))
    (tmp_path / ".vidpose-taken.partial.txt").symlink_to(tmp_path / "precious")
    with replacing(tmp_path / "a.txt") as partial:
        partial.write_text("x")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a.txt").read_text() == "x"


@linux
def test_what_a_killed_program_left_is_swept_and_what_is_in_use_is_not(tmp_path, monkeypatch):
    code = "import sys,time; from pathlib import Path; from vidpose.common.files import replacing\n"
    code += "with replacing(Path(sys.argv[1])) as p: p.write_text('half'); print('on', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.npz")], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"on\n"
    with replacing(tmp_path / "b.npz") as partial:
        partial.write_text("x")
    left = [name for name in names(tmp_path) if "partial" in name]
    assert len(left) == 1  # it is being written
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setattr(files, "_swept", set())
    with replacing(tmp_path / "b.npz") as partial:
        partial.write_text("y")
    assert names(tmp_path) == ["b.npz"]


@linux
def test_a_folder_is_one_program_s_at_a_time(tmp_path):
    first = alone_in(tmp_path / "run")
    first.__enter__()
    with pytest.raises(VidposeError, match="another vidpose is writing there"), alone_in(tmp_path / "run"):
        pytest.fail("two at once")
    first.__exit__(None, None, None)
    with alone_in(tmp_path / "run"):
        assert names(tmp_path / "run") == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VidposeError, match="cannot be made"):
        make_folder(tmp_path / "file" / "folder")


@linux
def test_a_link_that_leads_nowhere_is_said_to(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    for attempt in (lambda path: make_folder(path), lambda path: replacing(path / "a.npz").__enter__()):
        with pytest.raises(VidposeError, match=r"link.*: cannot .*it is a link that leads nowhere; remove it, or"):
            attempt(tmp_path / "link")


def test_numbers_that_are_none_are_null_in_json():
    content = {"a": float("nan"), "b": [1.5, float("inf"), (float("-inf"),)], "c": "NaN", "d": True}
    assert json.loads(to_json(content), parse_constant=pytest.fail) == {
        "a": None, "b": [1.5, None, [None]], "c": "NaN", "d": True,
    }  # fmt: skip
