"""Sound small inputs of every kind, that the campaign damages."""

from __future__ import annotations

from contextlib import chdir
from fractions import Fraction
from pathlib import Path

import exports
import keypoint_pictures
import mocap_files
import numpy as np
import torch
import training_data

from campaign import foreign
from vidpose.body.skeletons import COCO_17, get_skeleton
from vidpose.body.tracks import PoseResult
from vidpose.datasets.h36m_cameras import CAMERAS
from vidpose.export import FORMATS
from vidpose.keypoints.clips.clip_network import create_clip_network
from vidpose.keypoints.clips.clip_weights import save_clip_network
from vidpose.keypoints.clips.temporal_relational import TemporalRelational
from vidpose.keypoints.hrnet import HRNetW24
from vidpose.keypoints.keypoint_network import create_network
from vidpose.keypoints.trained_networks import save_network
from vidpose.lifters.lifter import create_lifter
from vidpose.lifters.zoo import save_lifter
from vidpose.many.records import Record, write_record, write_settings
from vidpose.many.scheduling import settings_of
from vidpose.many.worker import Task
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import Writing
from vidpose.training.loop import train
from vidpose.training.recipe import read_recipe
from vidpose.video.writing import VideoWriter
from vidpose.weights.untrusted import read_checkpoint

TINY = """arch = "single-branch"
steps = 4
batch = 4
ema = 0.9
clip = 1.0
model = { width = 16, depth = 1, frames = 9, heads = 2 }
schedule = { name = "warmup-linear", warmup = 2 }
data = { dataset = "cmu17", validation = "val" }
augmentation = { fps = [24.0, 62.0], bend = 1.0 }
"""
TABLE = """arch = "single-branch"
steps = 2
batch = 2
model = { width = 16, depth = 1, frames = 9, heads = 2 }
data = { dataset = "h36m", input = "gt", validation = "test", flip = "none" }

[rows.one]
loss = { mpjpe = 1.0 }
"""
KEYPOINTS = """arch = "hrnet-w24"
steps = 1
batch = 2
model = { layout = "coco17" }
processing = { input_size = [32, 64] }
augmentation = { turn = 10.0, mirror = 0.5 }
"""
CALIBRATION = """[{name}]
name = "{name}"
size = [128.0, 96.0]
matrix = [[120.0, 0.0, 64.0], [0.0, 120.0, 48.0], [0.0, 0.0, 1.0]]
distortions = [0.0, 0.0, 0.0, 0.0]
rotation = [1.5, {turn}, 0.0]
translation = [{turn}, 1.0, 4.0]
fisheye = false
"""
OPENCV = """%YAML:1.0
---
z_up: 1
{cameras}
"""
CAMERA = """{name}:
   image_width: 128
   image_height: 96
   camera_matrix: !!opencv-matrix
      rows: 3
      cols: 3
      dt: d
      data: [ 120., 0., 64., 0., 120., 48., 0., 0., 1. ]
   distortion_coefficients: !!opencv-matrix
      rows: 1
      cols: 5
      dt: d
      data: [ 0., 0., 0., 0., 0. ]
   rvec: !!opencv-matrix
      rows: 3
      cols: 1
      dt: d
      data: [ 1.5, {turn}, 0. ]
   T: !!opencv-matrix
      rows: 3
      cols: 1
      dt: d
      data: [ {turn}, 1., 4. ]
"""
FRAMES = 8
FILMED = 10


def result() -> PoseResult:
    """Two people who stand, with angles that can be."""
    standing = np.repeat(training_data.T_POSE[None].astype(np.float64), FRAMES, axis=0)
    standing += np.linspace(0, 0.1, FRAMES)[:, None, None]
    return exports.result_of(exports.track_of(standing), exports.track_of(standing[2:], 2, 2))


def write(folder: Path) -> None:
    """All of them, into a folder."""
    _write_recipes(folder)
    _write_benchmarks(folder)
    _write_networks(folder)
    _write_results(folder)
    _write_films(folder)
    _write_cameras(folder)
    _write_boxes(folder)
    _write_mocap(folder)
    _begin_training(folder)
    _begin_batch(folder)
    foreign.write(folder)


def _write_recipes(folder: Path) -> None:
    (folder / "tiny.toml").write_text(TINY)
    data = 'data = { dataset = "h36m", input = "gt", validation = "test", flip = "none" }'
    (folder / "store.toml").write_text("\n".join([*TINY.splitlines()[:7], data]))
    (folder / "keypoints.toml").write_text(KEYPOINTS)
    (folder / "table.toml").write_text(TABLE)


def _write_benchmarks(folder: Path) -> None:
    for name in ("shards", "prepared", "coco"):
        (folder / name).mkdir()
    training_data.write_cmu17(folder / "shards")
    positions = np.repeat(training_data.T_POSE[None] * 1000, 30, axis=0)
    np.savez(
        folder / "prepared" / "cmu17_test_00.npz", positions=positions.astype(np.int16), offsets=np.array([0, 30]),
        subject=np.array([2]), trial=np.array([1]), segment=np.array([0]), fps=np.float32(50),
    )  # fmt: skip
    keypoint_pictures.write_pictures(folder / "coco", COCO_17, 2)
    keypoint_pictures.write_clips(folder / "clips", get_skeleton("h36m17"), 1, frames=4)
    recordings = [training_data.recording(number, FILMED, "test" if number > 1 else "train") for number in range(4)]
    for recording, camera in zip(recordings, CAMERAS["S9"], strict=True):
        recording.subject, recording.action, recording.sequence = "S9", "Walking", "Walking"
        recording.camera = camera.name
    training_data.write_store(folder / "store", recordings)


def _write_networks(folder: Path) -> None:
    lifter = create_lifter("single-branch", width=16, depth=1, frames=9, heads=2)
    save_lifter(lifter, folder / "w.safetensors", {})
    network = create_network("hrnet-w24", **HRNetW24.tiny)
    save_network(network, network.processing, folder / "k.safetensors", {})
    clip_network = create_clip_network("temporal-relational", **TemporalRelational.tiny)
    save_clip_network(clip_network, folder / "q.safetensors", {})
    checkpoint = Path(__file__).parents[1] / "data" / "lifters" / "mixste" / "ckpt.pt"
    torch.save({"model_pos": read_checkpoint(checkpoint)}, folder / "p.pt")


def _write_results(folder: Path) -> None:
    result().save(folder / "r.npz")
    for path in FORMATS["json"].write(result(), folder / "r") + FORMATS["csv"].write(result(), folder / "r"):
        assert path.exists(), path


def _write_films(folder: Path) -> None:
    films = folder / "films" / "S9" / "Videos"
    films.mkdir(parents=True)
    videos = [("v.mp4", 128, 96, FRAMES), ("v2.mp4", 128, 96, FRAMES), ("big.mp4", 640, 480, FRAMES)]
    videos += [(films / f"Walking.{camera.name}.mp4", camera.width, camera.height, FILMED) for camera in CAMERAS["S9"]]
    for name, width, height, frames in videos:
        with VideoWriter(folder / name, (width, height), Fraction(25)) as writer:
            for frame in range(frames):
                writer.write(np.full((height, width, 3), 8 * frame, np.uint8), frame / 25)
    (folder / "list.txt").write_text("v.mp4\nv2.mp4\n")


def _write_cameras(folder: Path) -> None:
    turns = {"a": 0.1, "b": -0.4}
    (folder / "c.toml").write_text("".join(CALIBRATION.format(name=name, turn=turn) for name, turn in turns.items()))
    cameras = "".join(CAMERA.format(name=name, turn=turn) for name, turn in turns.items())
    (folder / "c.yml").write_text(OPENCV.format(cameras=cameras))


def _write_boxes(folder: Path) -> None:
    (folder / "b.csv").write_text(
        "frame,x0,y0,x1,y1,score,id\n" + "".join(f"{i},20,10,80,90,0.9,1\n" for i in range(8))
    )
    boxes = [{"frame": i, "x0": 20, "y0": 10, "x1": 80, "y1": 90, "score": 0.9} for i in range(8)]
    (folder / "b.json").write_text(str(boxes).replace("'", '"'))


def _write_mocap(folder: Path) -> None:
    for name in ("amc", "bvh"):
        (folder / name).mkdir()
    moves = mocap_files.movement(12)
    mocap_files.write_asf(folder / "amc" / "02.asf")
    mocap_files.write_amc(folder / "amc" / "02_01.amc", moves)
    mocap_files.write_bvh(folder / "bvh" / "02_01.bvh", moves)
    (folder / "bvh" / "splits.json").write_text('{"train": [], "val": [], "test": [2]}')


def _begin_training(folder: Path) -> None:
    """A run that was broken off; after the recipe and the motion that it is of."""
    with chdir(folder):
        train(read_recipe("tiny.toml"), Path("shards"), Path("run"), device="cpu")
    (folder / "run" / "weights.safetensors").unlink()
    state = torch.load(folder / "run" / "checkpoint.pt", weights_only=True)
    torch.save(state | {"step": 2}, folder / "run" / "checkpoint.pt")


def _begin_batch(folder: Path) -> None:
    """A batch of whose two videos one is done, with nobody in it."""
    job, writing = Job.of((), device="cpu", fit=False), Writing(folder / "many", overlay="none")
    for name in ("v", "v2"):
        (writing.out / name).mkdir(parents=True)
    write_settings(writing.out, settings_of(Task(folder / "v.mp4", "v", job, writing)))
    write_record(writing.out / "v", Record(str(folder / "v.mp4"), "v", frames=FRAMES))
