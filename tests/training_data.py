"""Small data sets that lifters are trained on in tests, and the program as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vidpose.body.skeletons import get_skeleton
from vidpose.datasets.store import Recording, Store, StoreWriter
from vidpose.training.recipe import Data, Recipe
from vidpose.training.run import Run

CMU17 = Data(dataset="cmu17", validation="val")
RECIPE = Recipe(
    arch="single-branch",
    model={"width": 16, "depth": 1, "frames": 9, "heads": 2},
    data=CMU17,
    steps=6,
    batch=4,
    ema=0.9,
    clip=1.0,
    schedule={"name": "warmup-linear", "warmup": 2},
    bf16=False,
)

T_POSE = np.array(
    [(0, 0, 0.95), (-0.09, 0, 0.93), (-0.09, -0.02, 0.5), (-0.09, 0, 0.08), (0.09, 0, 0.93), (0.09, -0.02, 0.5),
     (0.09, 0, 0.08), (0, 0, 1.2), (0, 0, 1.47), (0, -0.12, 1.55), (0, 0, 1.7), (0.18, 0, 1.43), (0.46, 0, 1.43),
     (0.65, 0, 1.43), (-0.18, 0, 1.43), (-0.46, 0, 1.43), (-0.65, 0, 1.43)], np.float32,
)  # fmt: skip
"""Facing -y, z up: the person's left is at +x."""


def write_cmu17(folder: Path) -> Path:
    """Shards in CMU-17's own format: a person who walks and swings the arms."""
    rng = np.random.default_rng(0)
    for split, lengths in (("train", (120, 90)), ("val", (100,))):
        sequences = []
        for length in lengths:
            t = np.arange(length)[:, None, None] / 50
            swing = 0.1 * np.sin(2 * np.pi * t + rng.uniform(0, 6, (1, 17, 1))) * rng.normal(size=(1, 17, 3))
            sequences.append(T_POSE + swing + t * [0.5, 0.2, 0])
        np.savez(
            folder / f"cmu17_{split}_00.npz",
            positions=np.round(1000 * np.concatenate(sequences)).astype(np.int16),
            offsets=np.cumsum([0, *lengths]),
            subject=np.arange(len(lengths), dtype=np.int16),
            fps=np.float32(50),
        )
    return folder


def recording(number: int, frames: int, split: str = "train", size: tuple[int, int] = (1000, 1000),
              layout: str = "h36m17", **other: object) -> Recording:  # fmt: skip
    """Someone who wanders about 4 m before a camera, seen by a pinhole of focal length 1000."""
    rng = np.random.default_rng(number)
    pose = rng.normal(0, 0.3, (len(get_skeleton(layout)), 3))
    joints = (pose + np.cumsum(rng.normal(0, 0.01, (frames, 1, 3)), axis=0) + [0, 0, 4]).astype(np.float32)
    pixels = (joints[..., :2] / joints[..., 2:] * 1000 + np.array(size) / 2).astype(np.float32)
    scores = rng.uniform(0.5, 1, (*pixels.shape[:2], 1))
    found = np.concatenate([pixels + rng.normal(0, 3, pixels.shape), scores], axis=-1).astype(np.float32)
    return Recording(joints, {"gt": pixels, "found": found}, split, f"S{number}", "Walk" if number % 2 else "Sit", "1",
                     f"take {number}", *size, 50.0, **other)  # fmt: skip


def write_store(folder: Path, recordings: Sequence[Recording], name: str = "h36m", layout: str = "h36m17") -> Store:
    """A prepared benchmark."""
    writer = StoreWriter(folder, name, layout)
    writer.write("all", recordings)
    return writer.finish({}, {"gt": {}, "found": {"detector": "a good one", "scores": True}})


def cut_short(trainer: type[Run], monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Interrupt a run after so many steps."""
    original = trainer.train_step

    def train_step(run: Run) -> None:
        original(run)
        if run.step == after:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer, "train_step", train_step)


def vidpose(*words: object, **more: object) -> subprocess.Popen:
    """Start the program."""
    command = [sys.executable, "-m", "vidpose", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=os.environ | {"OMP_NUM_THREADS": "1"}, **more)  # fmt: skip


WITHOUT = """
import sys
for missing in ("cv2", "av", "mediapipe"):
    sys.modules[missing] = None
from vidpose.cli import main
main()
"""
"""The program on a machine that lacks what trainings need not have: `python -c WITHOUT ...`."""


def curve(out) -> list[dict[str, float]]:
    """A run's metrics, without how fast it was."""
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "samples_per_s"} for row in rows]
