"""The program as a user meets it: outputs, exit codes, and one clear line for whatever is wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import clips
import numpy as np
import pytest

from vidpose.body.skeletons import BLAZEPOSE_TO_H36M
from vidpose.body.tracks import PoseResult
from vidpose.cli import COMMANDS, LazyGroup
from vidpose.cli.terminal import complain
from vidpose.lifters import create_lifter
from vidpose.lifters.zoo import save_lifter

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def tiny_lifter(tmp_path_factory) -> Path:
    """Weights of the smallest lifter, untrained: what it says is nonsense of the right shape."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    lifter = create_lifter("single-branch", width=16, depth=1, heads=2, frames=9)
    save_lifter(lifter, path, {"conversion": BLAZEPOSE_TO_H36M.name})
    return path


@pytest.fixture(scope="session")
def short_walk(walk_sample, folder) -> Path:
    """The first 12 frames of a sample."""
    from vidpose.video import VideoReader, VideoWriter

    path = folder / "Straße 走.mp4"
    with VideoReader(walk_sample, end=0.47) as video, VideoWriter(path, (video.width, video.height)) as out:
        for frame in video:
            out.write(frame.image, frame.time)
    return path


def assert_one_line(error: str, *parts: object) -> None:
    lines = [line for line in error.splitlines() if line.strip()]
    assert len(lines) == 1, error
    assert lines[0].startswith("error: ")
    for part in parts:
        assert str(part) in lines[0]


HELP = """
import sys
from vidpose.cli import COMMANDS, main
sys.argv = ["vidpose", "--help"]
try:
    main()
except SystemExit:
    print(sorted({"torch", "cv2", "av", "mediapipe", "numpy", "scipy"} & set(sys.modules)))
"""


def test_help_is_quick_and_imports_nothing_heavy():
    output = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"
    assert "infer" in output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage: vidpose" in out


def test_module_is_the_same_program():
    output = subprocess.run([sys.executable, "-m", "vidpose", "--version"], capture_output=True, text=True, check=True)
    assert output.stdout.startswith("vidpose, version")


def test_infer_writes_everything(run, short_walk, tiny_lifter, tmp_path):
    code, out, err = run("infer", short_walk, "--lifter", tiny_lifter)
    assert code == 0, err
    assert "1 person in 12 frames" in out
    name = short_walk.stem
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        f"{name}.npz", f"{name}.json", f"{name}.csv", f"{name}_overlay.mp4"
    }  # fmt: skip
    result = PoseResult.load(tmp_path / "out" / f"{name}.npz")
    (track,) = result.tracks
    assert track.frames.tolist() == list(range(12))
    assert track.lifted.all()
    assert np.abs(track.joints[:, 0]).max() < 1e-6, "joints are relative to the root"
    assert result.provenance["smoothing"] == "butterworth:6"
    assert result.provenance["conversion"] == BLAZEPOSE_TO_H36M.name

    content = json.loads((tmp_path / "out" / f"{name}.json").read_text(encoding="utf-8"))
    assert content["header"]["source"]["width"] == result.source.width
    assert content["header"]["joints"]["names"][0] == "pelvis"
    rows = content["people"][0]["frames"]
    assert [row["frame"] for row in rows] == list(range(12))
    np.testing.assert_allclose(np.array(rows[3]["joints"])[:, :3], track.joints[3], atol=6e-5)
    np.testing.assert_allclose(np.array(rows[3]["keypoints"])[:, :2], track.keypoints[3], atol=6e-3)

    with open(tmp_path / "out" / f"{name}.csv", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 12
    assert float(table[5]["left_wrist_y"]) == pytest.approx(float(track.joints[5, 13, 1]), abs=6e-5)


def test_saved_keypoints_can_be_lifted_again_and_drawn_again(run, short_walk, tiny_lifter, tmp_path):
    run("infer", short_walk, "--lifter", tiny_lifter, "--no-overlay", "--out", "first", "--smooth", "none")
    saved = tmp_path / "first" / f"{short_walk.stem}.npz"
    code, _, err = run("infer", "--from-keypoints", saved, "--lifter", tiny_lifter, "--no-overlay", "--smooth", "none")
    assert code == 0, err
    first, again = PoseResult.load(saved), PoseResult.load(tmp_path / "out" / f"{short_walk.stem}.npz")
    assert np.array_equal(first.tracks[0].joints, again.tracks[0].joints)
    code, _out, err = run("render", saved)
    assert code == 0, err
    assert (tmp_path / "first" / f"{short_walk.stem}_overlay.mp4").exists()
    code, _, err = run("render", saved)
    assert code == 1
    assert_one_line(err, "--overwrite")


def test_a_result_whose_video_is_gone(run, cfr_clip, tiny_lifter, tmp_path):
    gone = tmp_path / "gone.mp4"
    gone.write_bytes(cfr_clip.read_bytes())
    run("infer", gone, "--lifter", tiny_lifter, "--no-overlay")
    gone.unlink()
    saved = tmp_path / "out" / "gone.npz"
    code, _, err = run("render", saved)
    assert code == 1
    assert_one_line(err, "gone.mp4", "--video")
    code, _, err = run("infer", "--from-keypoints", saved, "--lifter", tiny_lifter, "--out", "again")
    assert code == 1
    assert_one_line(err, "gone.mp4", "--no-overlay")
    assert not (tmp_path / "again").exists()
    code, _, err = run("infer", "--from-keypoints", saved, "--time", "1:2")
    assert code == 2
    assert_one_line(err, "--time")


def test_time_range_keeps_the_videos_own_frame_numbers(run, short_walk, tiny_lifter, tmp_path):
    code, _, err = run("infer", short_walk, "--lifter", tiny_lifter, "--no-overlay", "--time", "0.2:0.4")
    assert code == 0, err
    (track,) = PoseResult.load(tmp_path / "out" / f"{short_walk.stem}.npz").tracks
    assert track.frames[0] == 5
    assert track.times[0] == pytest.approx(0.2, abs=1e-3)


def test_nobody_is_a_valid_empty_result(run, cfr_clip, tiny_lifter, tmp_path):
    code, out, err = run("infer", cfr_clip, "--lifter", tiny_lifter)
    assert code == 0, err
    assert "no person found in 12 frames" in out
    result = PoseResult.load(tmp_path / "out" / "cfr.npz")
    assert result.tracks == ()
    assert json.loads((tmp_path / "out" / "cfr.json").read_text())["people"] == []
    assert (tmp_path / "out" / "cfr_overlay.mp4").stat().st_size > 0


@pytest.mark.parametrize("frames", [1, 3])
def test_a_moment_of_a_person_is_enough(run, short_walk, tiny_lifter, tmp_path, frames):
    code, _out, err = run("infer", short_walk, "--lifter", tiny_lifter, "--time", f":{frames / 25 - 0.01}")
    assert code == 0, err
    (track,) = PoseResult.load(tmp_path / "out" / f"{short_walk.stem}.npz").tracks
    assert len(track) == frames
    assert track.lifted.all()


def test_an_image_folder_is_a_video(run, short_walk, tiny_lifter, tmp_path):
    import cv2

    from vidpose.video import VideoReader

    images = tmp_path / "frames"
    images.mkdir()
    with VideoReader(short_walk, end=0.19) as video:
        for frame in video:
            cv2.imwrite(str(images / f"{frame.index}.png"), frame.image[..., ::-1])
    code, out, err = run("infer", images, "--lifter", tiny_lifter)
    assert code == 0, err
    assert "1 person in 5 frames" in out
    assert (tmp_path / "out" / "frames.npz").exists()


def test_several_videos_go_on_after_one_that_fails(run, short_walk, tiny_lifter, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all")
    code, out, err = run("infer", tmp_path / "broken.mp4", short_walk, "--lifter", tiny_lifter, "--no-overlay")
    assert code == 1
    assert "1 person" in out
    assert "broken.mp4" in err
    assert "1 of 2 videos failed" in err


def broken_inputs(folder: Path) -> dict[str, Path]:
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is text\n" * 100)
    (folder / "nothing").mkdir()
    (folder / "loop.mp4").symlink_to("loop.mp4")
    return {
        "missing": folder / "missing.mp4",
        "empty": folder / "empty.mp4",
        "not a video": folder / "text.mp4",
        "no images": folder / "nothing",
        "sound": clips.write_sound(folder / "sound.m4a"),
        "a link to itself": folder / "loop.mp4",
    }


@pytest.mark.parametrize("kind", ["missing", "empty", "not a video", "no images", "sound", "a link to itself"])
def test_bad_videos(run, tiny_lifter, tmp_path, kind):
    path = broken_inputs(tmp_path)[kind]
    code, _out, err = run("infer", path, "--lifter", tiny_lifter)
    assert code == 1
    assert_one_line(err, path.name)
    assert not list(tmp_path.glob("out/*"))


def test_existing_output_is_kept_without_overwrite(run, short_walk, tiny_lifter, tmp_path):
    (tmp_path / "out").mkdir()
    old = tmp_path / "out" / f"{short_walk.stem}.json"
    old.write_text("mine")
    code, _, err = run("infer", short_walk, "--lifter", tiny_lifter, "--no-overlay")
    assert code == 1
    assert_one_line(err, old.name, "--overwrite")
    assert old.read_text() == "mine"
    code, _, err = run("infer", short_walk, "--lifter", tiny_lifter, "--no-overlay", "--overwrite")
    assert code == 0, err
    assert old.read_text() != "mine"


def test_no_command_replaces_its_input(run, short_walk, tiny_lifter, tmp_path):
    first, second = tmp_path / "x.mp4", tmp_path / "x_overlay.mp4"
    for path in (first, second):
        path.write_bytes(short_walk.read_bytes())
    how = ("--lifter", tiny_lifter, "--overwrite", "--out")
    replaced = [run("infer", first, second, *how, ".")]
    assert not (tmp_path / "x.npz").exists()
    assert run("infer", first, "--no-overlay", *how, "res")[0] == 0
    saved = tmp_path / "res" / "x.npz"
    was = saved.read_bytes()
    replaced += [
        run("infer", "--from-keypoints", saved.with_suffix(".json"), *how, "res"),
        run("render", saved, "--out", first, "--overwrite"),
    ]
    (tmp_path / "res" / "boxes_keypoints.npz").write_bytes(was)
    (tmp_path / "boxes.mp4").write_bytes(short_walk.read_bytes())
    boxes = f"boxes:{tmp_path / 'res' / 'boxes_keypoints.npz'}"
    replaced += [run("infer", tmp_path / "boxes.mp4", "--detector", boxes, "--no-overlay", *how, "res")]
    for code, _, err in replaced:
        assert code == 1
        assert_one_line(err, "an input, which would be replaced")
        assert "--overwrite" not in err
    assert first.read_bytes() == second.read_bytes() == short_walk.read_bytes()
    assert saved.read_bytes() == was


def test_output_folder_that_cannot_be(run, short_walk, tiny_lifter, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("infer", short_walk, "--lifter", tiny_lifter, "--out", tmp_path / "file" / "sub")
    assert code == 1
    assert_one_line(err, "file/sub")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_without_permission(run, short_walk, tiny_lifter, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = run("infer", short_walk, "--lifter", tiny_lifter, "--out", tmp_path / "locked")
    assert code == 1
    assert_one_line(err, "locked", "permission")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--lifter", "nothing"), ("unknown lifter 'nothing'", "single-branch")),
        (("--smooth", "fast"), ("smoothing 'fast'", "butterworth")),
        (("--time", "10:2"), ("10:2",)),
        (("--device", "gpu9"), ("--device gpu9",)),
    ],
)
def test_wrong_words_exit_2(run, cfr_clip, tiny_lifter, options, parts):
    defaults = () if "--lifter" in options else ("--lifter", tiny_lifter)
    code, _, err = run("infer", cfr_clip, *defaults, *options)
    assert code == 2
    assert_one_line(err, *parts)


def test_no_video_and_twice_the_same_one_exit_2(run, tmp_path):
    code, _, err = run("infer")
    assert code == 2
    assert_one_line(err, "give a video")
    code, _, err = run("infer", tmp_path / "walk.mp4", tmp_path / ".." / tmp_path.name / "walk.mp4")
    assert code == 2
    assert_one_line(err, "walk.mp4", "given twice")


def test_unknown_options_and_commands_exit_2(run):
    assert run("infer", "--nonsense")[0] == 2
    assert run("dance")[0] == 2


def test_a_library_that_cannot_be_loaded_is_one_line(run, cfr_clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "vidpose.pipeline.finding", None)
    code, _, err = run("infer", cfr_clip)
    assert code == 1
    assert_one_line(err, "cannot be loaded")


def test_pickled_weights_are_one_line(run, cfr_clip, tmp_path):
    import torch

    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    code, _, err = run("infer", cfr_clip, "--lifter", tmp_path / "w.pth")
    assert code == 1
    assert_one_line(err, "w.pth", "pickled")


def test_a_truncated_video_gives_what_could_be_decoded_and_says_so(run, short_walk, tiny_lifter, tmp_path):
    from vidpose.video import VideoReader

    with VideoReader(short_walk) as video:
        pictures = [frame.image for frame in video]
    whole = clips.write_clip(tmp_path / "whole.mkv", pictures * 3)
    cut = clips.cut(whole, 0.6)
    code, _out, err = run("infer", cut, "--lifter", tiny_lifter, "--no-overlay")
    assert code == 0
    assert "ends early or is damaged" in err
    result = PoseResult.load(tmp_path / "out" / f"{cut.stem}.npz")
    assert result.source.truncated
    assert 3 < result.source.num_frames < 36


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from vidpose.cli import COMMANDS, main
main()
"""


@pytest.mark.parametrize("limit", [1000, 25_000])
def test_a_disk_that_fills_up_leaves_nothing_half_written(short_walk, tiny_lifter, tmp_path, limit):
    # A limit on file sizes stops a write in the middle just as a full disk does.
    command = [sys.executable, "-c", LIMITED, str(limit), "infer", str(short_walk), "--lifter", str(tiny_lifter)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert_one_line(done.stderr, "cannot write")
    for path in (tmp_path / "out").rglob("*"):
        assert "partial" not in path.name
        if path.is_dir() or path.parent.name.endswith("_keypoints"):  # what was found, a file a segment
            assert path.is_dir() or np.load(path).files
        elif path.suffix == ".npz":
            PoseResult.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        else:
            assert path.suffix == ".csv"


def hear_interrupts() -> None:
    """Where pytest was started in the background, new processes would not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("number", "ctrl_c", "word"),
    [(signal.SIGINT, signal.SIG_DFL, "interrupted"), (signal.SIGTERM, signal.SIG_DFL, "terminated"),
     (signal.SIGTERM, signal.SIG_IGN, "terminated")],
)  # fmt: skip
def test_ctrl_c_and_sigterm_remove_what_is_unfinished_and_say_how_to_go_on(
    walk_sample, tiny_lifter, tmp_path, number, ctrl_c, word
):
    # All the samples, that the program is still at work.
    videos = [str(path) for path in walk_sample.parent.glob("*.mp4")]
    command = [sys.executable, "-m", "vidpose", "infer", *videos, "--lifter", str(tiny_lifter), "--segment", "1s"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, ctrl_c),
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out/*_keypoints/*.npz")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "what was found so far is kept: go on with the same command and --resume" in err.splitlines()
    assert err.splitlines()[-1] == word
    assert [p.name for p in (tmp_path / "out").rglob("*") if "partial" in p.name] == []


DESTRUCTOR = """
import _thread, time
from vidpose import __main__ as program
import vidpose.cli

class Held:
    def __del__(self):
        _thread.interrupt_main()
        time.sleep(0)

def work(**settings):
    Held()
    for _ in range(1000):
        time.sleep(0.01)

vidpose.cli.cli.main = work
program.main()
"""


def test_ctrl_c_is_not_lost_in_a_destructor():
    command = [sys.executable, "-c", DESTRUCTOR]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=hear_interrupts
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_ctrl_c_ends_a_program_that_is_still_starting(tmp_path):
    (tmp_path / "rich_click.py").write_text("raise KeyboardInterrupt")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "vidpose", "models"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_what_libraries_warn_of_is_one_line_for_a_terminal(run, monkeypatch):
    @click.command()
    def noisy() -> None:
        warnings.warn("a glyph is missing: \x1b[31m\nof this font", stacklevel=1)

    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: noisy)
    code, _, err = run("noisy")
    assert (code, err) == (0, "WARNING: a glyph is missing: \\x1b[31m\\nof this font\n")


def test_an_error_has_an_end(capsys):
    complain(f"map.toml: no key {'1' * 10_000}; there are joints, up and unit")
    line = capsys.readouterr().err
    assert len(line) < 2100
    assert line.startswith("error: map.toml: no key 111")
    assert line.endswith("111; there are joints, up and unit\n")
