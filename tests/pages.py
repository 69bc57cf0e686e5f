"""Somebody who raises the arms, as a result, and its video: for the tests of pages."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import clips
import numpy as np
import pytest

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.export import page_length

WIDTH, HEIGHT = 160, 120

POSE = np.array(
    [(0, 0, 0), (-0.12, 0, 0), (-0.12, 0.45, 0), (-0.12, 0.9, 0), (0.12, 0, 0), (0.12, 0.45, 0), (0.12, 0.9, 0),
     (0, -0.25, 0), (0, -0.5, 0), (0, -0.62, -0.08), (0, -0.75, 0), (0.2, -0.48, 0), (0.3, -0.25, 0), (0.35, 0, 0),
     (-0.2, -0.48, 0), (-0.3, -0.25, 0), (-0.35, 0, 0)],
)  # fmt: skip
"""Metres, x right and y down, of a person who faces the camera."""


def person(id_: int, times: np.ndarray, middle: float = 80, first: int = 0) -> Track:
    """Somebody who raises the arms, in the picture about `middle`, in all frames of `times` from `first` on."""
    rows = len(times) - first
    joints = np.repeat(POSE[None], rows, axis=0)
    lift = np.linspace(0, 0.5, rows)[:, None]
    joints[:, [12, 15], 1] -= lift
    joints[:, [13, 16], 1] -= 2 * lift
    keypoints = (joints[..., :2] * 55 + (middle, 62)).astype(np.float32)
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    scores = np.ones((rows, 17), np.float32)
    track = Track.of_keypoints(id_, np.arange(first, len(times)), times[first:], boxes, keypoints, scores)
    return replace(track, joints=joints.astype(np.float32), joint_scores=scores)


def result_of(path: Path | str, times: np.ndarray, *tracks: Track) -> PoseResult:
    source = Source(str(path), WIDTH, HEIGHT, times, Fraction(30))
    return PoseResult(source, tracks, H36M_17.name, H36M_17.name, {"lifter": "none", "max_people": None})


def write_video(folder: Path, times: np.ndarray) -> Path:
    """Greys that tell the frame."""
    pictures = [clips.grey_picture(i, WIDTH, HEIGHT) for i in range(len(times))]
    return clips.write_clip(folder / "Läufer 走 & <b>.mp4", pictures, times)


def two_people_in(video: Path, times: np.ndarray) -> PoseResult:
    """Person 1 stands on the right, person 2 on the left."""
    return result_of(video, times, person(1, times, 110), person(2, times, 40))


def make_long(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """Have pages of the test's videos made as those of long ones, with no more frames than this."""
    monkeypatch.setattr(page_length, "_SHORT", 0)
    monkeypatch.setattr(page_length, "_MOST_FRAMES", frames)
