"""Cuts and long pauses: where a video begins anew."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidpose.common.errors import VidposeError
from vidpose.video.reading import VideoFrame
from vidpose.video.shots import GivenCuts, ShotFinder, load_cuts


def scene(number: int) -> np.ndarray:
    """(120, 160, 3) a picture of something: blobs of all sizes."""
    random = np.random.default_rng(number)
    noise = sum(
        cv2.resize(random.normal(size=(side * 3, side * 4, 3)), (200, 160), interpolation=cv2.INTER_CUBIC)
        for side in (1, 2, 4, 8)
    )
    return np.clip(128 + 40 * noise, 0, 255).astype(np.uint8)


def shot(number: int, frames: int, pan: float = 0.0) -> list[np.ndarray]:
    """A scene that a camera moves over, with somebody (a dark ellipse) who walks through."""
    pictures = []
    for frame in range(frames):
        x = 20 + 18 * np.sin(pan * frame / 18)
        picture = cv2.warpAffine(scene(number), np.float32([[1, 0, -x], [0, 1, -20]]), (160, 120))
        cv2.ellipse(picture, (30 + 2 * frame, 70), (12, 40), 0, 0, 360, (20, 20, 60), -1)
        pictures.append(picture)
    return pictures


def cuts_of(pictures: Sequence[np.ndarray], times: Sequence[float] | None = None, **options: object) -> list[int]:
    times = np.arange(len(pictures)) / 25 if times is None else times
    shots = ShotFinder(**options)
    frames = [VideoFrame(i, float(time), image) for i, (time, image) in enumerate(zip(times, pictures, strict=True))]
    begins = [frame.index for frame, begins in shots(frames) if begins]
    assert set(shots.cuts) <= set(begins)
    return begins


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(range(4), 2)))
def test_a_hard_cut_is_found_at_its_frame(first: int, second: int):
    assert cuts_of(shot(first, 12) + shot(second, 12)) == [12]


def test_several_cuts_and_short_shots():
    assert cuts_of(shot(0, 9) + shot(1, 5) + shot(2, 7) + shot(0, 9)) == [9, 14, 21]


@pytest.mark.parametrize("pan", [0, 1, 3, 8])
def test_a_moving_camera_is_no_cut(pan: float):
    assert cuts_of(shot(0, 40, pan)) == []


@pytest.mark.parametrize("pan", [0, 1, 3])
def test_a_moving_camera_hides_no_cut(pan: float):
    assert cuts_of(shot(0, 15, pan) + shot(1, 15, pan)) == [15]


def test_a_flash_and_a_change_of_light_are_no_cuts():
    pictures = shot(0, 20)
    pictures[8] = np.full_like(pictures[8], 255)
    assert cuts_of(pictures) == []
    darker = [(picture * 0.4).astype(np.uint8) for picture in shot(0, 10)]
    assert cuts_of(shot(0, 10) + darker) == []


def test_out_of_the_dark_into_another_shot_is_a_cut():
    ramp = np.linspace(1, 0, 8)
    out = [(picture * share).astype(np.uint8) for picture, share in zip(shot(0, 8), ramp, strict=True)]
    back, other = (
        [(p * share).astype(np.uint8) for p, share in zip(shot(n, 8), ramp[::-1], strict=True)] for n in (0, 1)
    )
    assert cuts_of(shot(0, 5) + out + back + shot(0, 5)) == []
    [cut] = cuts_of(shot(0, 5) + out + other + shot(1, 5))
    assert 13 <= cut <= 16


def test_noise_in_the_dark_is_no_cut():
    random = np.random.default_rng(0)
    assert cuts_of([random.integers(0, 6, (120, 160, 3), dtype=np.uint8) for _ in range(20)]) == []


def test_a_long_pause_begins_anew_but_is_no_cut():
    times = np.concatenate([np.arange(6) / 25, 3600 + np.arange(6) / 25])
    shots = ShotFinder()
    frames = [VideoFrame(i, float(time), image) for i, (time, image) in enumerate(zip(times, shot(0, 12), strict=True))]
    assert [frame.index for frame, begins in shots(frames) if begins] == [6]
    assert shots.cuts == []
    assert cuts_of(shot(0, 12), np.arange(12) * 3600.0) == []
    assert cuts_of(shot(0, 12), [*np.arange(6) / 25, *(10 + np.arange(6) / 25)]) == []


def test_given_cuts_are_taken_and_no_others_looked_for(tmp_path: Path):
    file = tmp_path / "cuts.txt"
    file.write_text("# by hand\n4\n\n0.32   # seconds\n0:00.6\n", encoding="utf-8")
    given = load_cuts(file)
    assert given == GivenCuts(frozenset({4}), (0.32, 0.6))
    assert cuts_of(shot(0, 12) + shot(1, 12), given=given) == [4, 8, 15]
    assert cuts_of(shot(0, 12) + shot(1, 12), given=GivenCuts()) == []


@pytest.mark.parametrize("line", ["soon", "-4", "1:2:3:4", "12,5", "7" * 5000, "7" * 5000 + ":01"])
def test_a_file_of_cuts_that_is_none(tmp_path: Path, line: str):
    file = tmp_path / "cuts.txt"
    file.write_text(f"4\n{line}\n", encoding="utf-8")
    with pytest.raises(VidposeError, match=r"cuts\.txt, line 2: .* is no cut") as error:
        load_cuts(file)
    assert "\n" not in str(error.value)
    with pytest.raises(VidposeError, match=r"none\.txt: no such file"):
        load_cuts(tmp_path / "none.txt")
