"""What the program says, where it can be said and where it cannot."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vidpose.cli.progress import progress_of
from vidpose.cli.terminal import PatientStream, printable

ROOT = Path(__file__).parents[1]
linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")


def vidpose(*arguments: str | bytes, cwd: Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    command = [sys.executable, "-m", "vidpose", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, timeout=120, check=False, **options)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31mred\x1b[0m.mp4", r"a\x1b[31mred\x1b[0m.mp4"),
        ("two\nlines\r.mp4", r"two\nlines\r.mp4"),
        ("a\u202e4pm.exe", r"a\u202e4pm.exe"),
        ("caf\udce9.mp4", r"caf\udce9.mp4"),
        ("Straße 走\u3000👩‍👧.mp4", "Straße 走\u3000👩‍👧.mp4"),
    ],
)
def test_names_are_shown_and_not_obeyed(name, shown):
    assert printable(name) == shown


@pytest.mark.parametrize("name", ["a\x1b[31mred.npz", "two\nlines.npz"])
def test_an_error_is_one_line_whatever_the_name(name, tmp_path, run):
    (tmp_path / name).write_bytes(b"no result")
    code, _, err = run("view", name, "--no-open")
    assert code == 1
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert err.startswith("error: ")


def test_of_several_files_none_has_its_name_obeyed(run, tmp_path):
    names = ["a\x1b[31mred.npz", "b\x1b]0;title\x07.npz"]
    for name in names:
        (tmp_path / name).write_bytes(b"no result")
    code, out, err = run("infer", *(word for name in names for word in ("--from-keypoints", name)), "--no-overlay")
    assert code == 1
    assert "\x1b" not in out + err
    assert r"error: a\x1b[31mred.npz: " in err
    assert r"error: b\x1b]0;title\x07.npz: " in err


def test_a_file_that_weights_are_imported_to_does_not_have_its_name_obeyed(run, monkeypatch):
    monkeypatch.setattr("vidpose.lifters.pose_refiner.import_refiner", lambda path: SimpleNamespace(joints=17))
    monkeypatch.setattr("vidpose.lifters.pose_refiner.save_refiner", lambda refiner, path, facts: None)
    code, out, _ = run("weights", "import", "w.pth", "--arch", "pose-refiner", "--out", "a\x1b[31mred.safetensors")
    assert code == 0
    assert out.startswith(r"wrote a\x1b[31mred.safetensors: ")


def test_progress_does_not_obey_a_name(monkeypatch, capsys):
    monkeypatch.setattr("vidpose.cli.progress._PLAIN_SECONDS", 0.0)
    with progress_of("a\x1b[31mred.mp4 overlay") as report:
        report(1, 2)
    assert capsys.readouterr().err.startswith(r"a\x1b[31mred.mp4 overlay: 1 of 2 frames")


def test_no_command_is_an_error_after_the_help(run):
    code, out, err = run()
    assert code == 2
    assert "infer" in out + err
    assert err.splitlines()[-1] == "error: no command; choose one of those above"


@linux
@pytest.mark.parametrize("words", [("models",), ("weights", "list")])
def test_a_closed_stdout_is_no_error(words, tmp_path):
    done = vidpose(*words, cwd=tmp_path, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")


@linux
def test_a_full_stdout_is_said_once_and_loses_nothing(tmp_path):
    with open("/dev/full", "wb") as full:
        done = vidpose("models", "--json", cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("error: standard output cannot be written (No space left on device)")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")
@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_names_that_are_no_utf_8_in_a_locale_of_ascii(locale, tmp_path):
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = vidpose("view", b"caf\xe9 \xe8\xb5\xb0.npz", cwd=tmp_path, env=env, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: caf\\udce9")
    assert done.stderr.endswith(b"no such file\n")


def test_a_stream_that_fails_is_remembered():
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "full")

        def flush(self) -> None:
            raise OSError(28, "full")

    stream = PatientStream(Full())
    assert stream.write("lost") == 4
    stream.flush()
    assert stream.failure.errno == 28
