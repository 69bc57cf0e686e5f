"""`vidpose data detect --in-step`: a clip network sees all cameras of a recording at once."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from clip_networks import stirred
from spots import path
from test_clips_in_views import everywhere, film, keypoints_of
from wanderers import recording

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets import cmu, detecting
from vidpose.datasets.store import Store, StoreWriter
from vidpose.keypoints.clips.clip_finder import ClipFinder
from vidpose.pipeline import clip_stage
from vidpose.pipeline.clip_stage import find_in_step, look_again, one_in_each


@dataclass(frozen=True)
class OnlyClips:
    """Of all networks, the one that sees clips."""

    clips: ClipFinder | None


def recordings():
    """Two recordings, each by two cameras."""
    return [replace(recording(number), camera=camera) for number in range(2) for camera in ("a", "b")]


@pytest.fixture
def store(tmp_path) -> Store:
    writer = StoreWriter(tmp_path / "cmu", "cmu", "h36m17")
    writer.write("test", recordings())
    return writer.finish({}, {"gt": {}, "detector": {}})


def result(video: Path, value: float) -> PoseResult:
    """Somebody whose keypoints all have one coordinate."""
    times = np.arange(30) / 50
    points = np.full((30, 17, 2), value, np.float32)
    boxes = np.tile(np.float32([0, 0, 9, 9]), (30, 1))
    track = Track.of_keypoints(1, np.arange(30), times, boxes, points, np.ones((30, 17), np.float32))
    return PoseResult(Source(str(video), 100, 100, times, None), (track,), "h36m17", "", {})


@pytest.mark.parametrize("in_step", [False, True])
def test_cameras_of_a_recording_are_asked_for_together(in_step, store, tmp_path):
    def names(clip):
        return [f"{clip.sequence}-{clip.camera}.mp4"]

    for clip in store.clips:
        (tmp_path / names(clip)[0]).touch()
    asked = []

    def find(videos):
        asked.append([video.name for video in videos])
        return [result(video, 100 * len(asked) + number) for number, video in enumerate(videos)]

    detecting.detect(store, tmp_path, names, lambda line: None, find=find, in_step=in_step, layout=H36M_17,
                     found_by={"detector": "d", "keypoints": "k"}, name="k")  # fmt: skip
    order = [names(clip)[0] for clip in store.clips]
    assert asked == ([order[:2], order[2:]] if in_step else [[name] for name in order])
    found = Store(store.folder)
    values = [found.keypoints(clip, "k")[3, 5, 0] for clip in found.clips]
    # Every clip got what its own camera saw.
    assert values == ([100, 101, 200, 201] if in_step else [100, 200, 300, 400])


def test_views_in_step_are_seen_together(tmp_path, monkeypatch):
    videos = [film(tmp_path / "front.mp4", path(12)), film(tmp_path / "side.mp4", path(12, start=30))]
    monkeypatch.setattr(clip_stage, "find_people", lambda video, finding, networks: everywhere(video, 12))
    finder = ClipFinder(stirred(views=2))
    networks = OnlyClips(finder)
    together = find_in_step(videos, networks)
    views = [everywhere(video, 12) for video in videos]
    expected = look_again(views, finder, one_in_each(views))
    for ours, theirs in zip(together, expected, strict=True):
        np.testing.assert_array_equal(keypoints_of(ours), keypoints_of(theirs))
    alone = look_again(views[:1], finder)
    assert np.abs(keypoints_of(together[0]) - keypoints_of(alone[0])).max() > 0.1
    with pytest.raises(VidposeError, match="3 views"):
        find_in_step([*videos, videos[0]], networks)


def test_networks_of_single_pictures_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(cmu, "video_names", lambda clip: ["x.mp4"], raising=False)
    words = ["data", "detect", "cmu", "--data", str(store.folder), "--videos", str(tmp_path), "--in-step"]
    with pytest.raises(UsageError, match=r"--in-step: .* looks at every picture alone"):
        cli.main([*words, "--device", "cpu"], standalone_mode=False)
