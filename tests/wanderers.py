"""A small benchmark of people who wander, and the program run on it."""

import numpy as np

from vidpose.cli import cli
from vidpose.datasets.store import Recording

FRAMES, SIZE = 30, 1000


def recording(number: int, split: str = "test") -> Recording:
    """Someone who wanders about 4 m before a camera, seen by a pinhole of focal length 1000."""
    rng = np.random.default_rng(number)
    pose = rng.normal(0, 0.3, (17, 3))
    joints = pose + np.cumsum(rng.normal(0, 0.01, (FRAMES, 1, 3)), axis=0) + [0, 0, 4]
    pixels = joints[..., :2] / joints[..., 2:] * 1000 + SIZE / 2
    detected = np.concatenate([pixels + rng.normal(0, 3, pixels.shape), np.ones((FRAMES, 17, 1))], axis=-1)
    return Recording(joints, {"gt": pixels, "detector": detected}, split, f"S{number % 2}", "all", "1",
                     f"take {number}", SIZE, SIZE, 50.0)  # fmt: skip


def run(*arguments: str) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)
