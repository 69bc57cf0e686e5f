"""Every option that names an output is tried with folders that do not exist."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import click
import exports
import keypoint_pictures
import numpy as np
import pytest
import training_data

from vidpose.body.skeletons import COCO_17
from vidpose.cli import cli
from vidpose.lifters.lifter import create_lifter
from vidpose.lifters.zoo import save_lifter
from vidpose.video.writing import VideoWriter

TINY = """
arch = "single-branch"
steps = 2
batch = 2
model = { width = 16, depth = 1, frames = 9, heads = 2 }
data = { dataset = "cmu17", validation = "val" }
"""
TINY_KEYPOINTS = """
arch = "hrnet-w24"
steps = 1
batch = 2
model = { layout = "coco17" }
processing = { input_size = [32, 64] }
"""
NEW = "new/deeper"

COMMANDS = {
    "angles --out": f"angles r.npz --out {NEW}",
    "data prepare --out": f"data prepare cmu --source prepared --out {NEW}",
    "data info --picture": f"data info h36m --data store --picture {NEW}/a.png",
    "eval --json": f"eval --dataset h36m --data store --weights tiny.safetensors --device cpu --json {NEW}/a.json",
    "eval --table": f"eval --dataset h36m --data store --weights tiny.safetensors --device cpu --table {NEW}/a.md",
    "eval --figures": f"eval --dataset h36m --data store --weights tiny.safetensors --device cpu --figures {NEW}",
    "export --out": f"export r.npz --format csv,bvh,openpose --out {NEW}",
    "infer --out": f"infer --from-keypoints r.npz --no-overlay --device cpu --out {NEW}",
    "render --out": f"render r.npz --video v.mp4 --out {NEW}/a.mp4",
    "synth --out": f"synth --motion shards --clips 1 --views 1 --frames 1 --size 48 --out {NEW}",
    "train --out": f"train tiny.toml --data shards --device cpu --out {NEW}",
    "train-keypoints --out": "train-keypoints coco/annotations.json --held-out coco/annotations.json --workers 0 "
    f"--arch keypoints.toml --device cpu --out {NEW}",
    "view --out": f"view r.npz --no-open --no-video --out {NEW}/a.html",
    "weights import --out": f"weights import mixste.pt --arch mixste --out {NEW}/a.safetensors",
}
ELSEWHERE = {
    "ablate --out": "it is that of `train`, a process a row",
    "batch --out": "it is tried in test_batch.py",
    "live --out": "it is tried in test_live.py",
    "mesh --out": "it is tried in test_mesh.py",
    "data clips --out": "it wants Human3.6M's videos",
    "eval-keypoints --json": "it is tried in test_eval_keypoints.py",
}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "keypoints.toml").write_text(TINY_KEYPOINTS)
    for folder in ("shards", "prepared", "coco"):
        (tmp_path / folder).mkdir()
    training_data.write_cmu17(tmp_path / "shards")
    write_named_shard(tmp_path / "prepared")
    keypoint_pictures.write_pictures(tmp_path / "coco", COCO_17, 2)
    recordings = [training_data.recording(number, 20, "test") for number in range(2)]
    for recording in recordings:
        recording.subject, recording.action = "S9", "Walking"
    training_data.write_store(tmp_path / "store", recordings)
    lifter = create_lifter("single-branch", width=16, depth=1, frames=9, heads=2)
    save_lifter(lifter, tmp_path / "tiny.safetensors", {})
    exports.result_of(exports.track_of(world())).save(tmp_path / "r.npz")
    with VideoWriter(tmp_path / "v.mp4", (640, 480), Fraction(exports.FPS)) as writer:
        for frame in range(6):
            writer.write(np.zeros((480, 640, 3), np.uint8), frame / exports.FPS)
    checkpoint = Path(__file__).parent / "data" / "lifters" / "mixste" / "ckpt.pt"
    (tmp_path / "mixste.pt").write_bytes(checkpoint.read_bytes())
    return tmp_path


def world() -> np.ndarray:
    """(6, 17, 3) someone who stands in the world, z up."""
    return np.repeat(training_data.T_POSE[None].astype(np.float64), 6, axis=0)


def write_named_shard(folder: Path) -> None:
    """A shard that tells of trials, as `data prepare` wants it."""
    positions = np.repeat(training_data.T_POSE[None] * 1000, 30, axis=0)
    np.savez(
        folder / "cmu17_test_00.npz", positions=positions.astype(np.int16), offsets=np.array([0, 30]),
        subject=np.array([2]), trial=np.array([1]), segment=np.array([0]), fps=np.float32(50),
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_new_folder_is_made(command, inputs, run):
    code, _, err = run(*command.split())
    assert code == 0, err
    assert [path for path in (inputs / "new").rglob("*") if path.is_file()]


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_folder_below_a_file_is_one_line_before_the_work(command, inputs, run):
    (inputs / "new").write_text("a file of mine")
    code, _, err = run(*command.split())
    assert code in (1, 2)
    assert [line[:6] for line in err.splitlines() if not line.startswith("WARNING")] == ["error:"]
    assert (inputs / "new").read_text() == "a file of mine"


def outputs(command: click.Command, name: str = "") -> Iterator[str]:
    """Options of a command, and of those below it, that name what is written."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            yield from outputs(command.get_command(context, below), f"{name} {below}".strip())
    for parameter in command.params:
        is_path = isinstance(parameter.type, click.Path) and not parameter.type.exists
        if is_path and {"--out", "--json", "--table", "--figures", "--picture"} & set(parameter.opts):
            yield f"{name} {parameter.opts[0]}"


def test_no_output_is_forgotten():
    assert set(outputs(cli)) == {*COMMANDS, *ELSEWHERE}


def test_json_is_strict_wherever_it_is_written(inputs, run):
    for command in ("eval --json", "train --out"):
        assert run(*COMMANDS[command].split())[0] == 0
        for path in (inputs / "new").rglob("*.json*"):
            for text in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
                json.loads(text, parse_constant=pytest.fail)
        (inputs / "new").rename(inputs / f"done {command}")
