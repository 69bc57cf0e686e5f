import numpy as np
import pytest
import torch

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.lifters import Lifter, LifterConfig, create_lifter, lifter_class
from vidpose.lifters.resampling import cubic
from vidpose.lifters.running import lift
from vidpose.lifters.zoo import Weights
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.smoothing import Smoothing


class Depth(Lifter):
    """A stand-in whose answer is known: x and y as they came, z = x, all relative to the root."""

    name = "depth"

    def forward(self, keypoints):
        return keypoints[..., [0, 1, 0]]


class Marker(Lifter):
    """Tells apart windows: z is the number of the frame within its window."""

    name = "marker"

    def forward(self, keypoints):
        frame = torch.arange(keypoints.shape[1], dtype=torch.float32)[None, :, None, None]
        joints = torch.zeros(*keypoints.shape[:3], 3)
        joints[:, :, 1:] += frame * torch.tensor([0, 0, 1.0])
        return joints


class Average(Lifter):
    """Answers for one frame of its window by the mean of all: a window's frames and their weights show in it."""

    name = "average"

    def __init__(self, config, predicts="centre", convolutional=False):
        super().__init__(config)
        self.predicts, self.convolutional = predicts, convolutional

    @property
    def frame_range(self):
        return self.config.frames, None

    def forward(self, keypoints):
        weights = torch.arange(1.0, self.config.frames + 1)
        windows = (keypoints[..., :2].unfold(1, self.config.frames, 1) * weights).sum(-1) / weights.sum()
        return torch.nn.functional.pad(windows, (0, 1))


class Numbered(Lifter):
    """Gives every frame of its window the number of the window's first frame, which it reads from the keypoints."""

    name = "numbered"
    predicts = "last"

    def forward(self, keypoints):
        joints = torch.zeros(*keypoints.shape[:3], 3)
        joints[:, :, 1:, 2] = keypoints[:, :1, 1:, 0]
        return joints


def points(length: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(length)
    return rng.uniform(0, 400, (length, 17, 2)).astype(np.float32), np.ones((length, 17), np.float32)


@pytest.mark.parametrize("length", [1, 2, 8, 9, 10, 13, 14, 31, 400])
def test_every_frame_is_lifted_whatever_the_length(length):
    keypoints, scores = points(length)
    joints = lift(Depth(LifterConfig(frames=9, normalisation="screen")), keypoints, scores, (400, 400), mirror=False)
    expected = keypoints / 200
    expected = expected - expected[:, :1]
    np.testing.assert_allclose(joints, expected[..., [0, 1, 0]], atol=1e-5)


def test_mirror_averages_the_two_sides():
    keypoints, scores = points(20)
    joints = lift(Depth(LifterConfig(frames=9, normalisation="screen")), keypoints, scores, (400, 400))
    # z = x of the mirrored input is -x: the average forgets it, while x and y survive.
    assert np.abs(joints[..., 2]).max() < 1e-5
    assert np.abs(joints[..., 0]).max() > 0.1


def test_seams_are_blended():
    keypoints, scores = points(60)
    joints = lift(Marker(LifterConfig(frames=16)), keypoints, scores, (400, 400), mirror=False)
    # Cut into windows end to end, the frame number would fall by 15 at each seam.
    assert np.abs(np.diff(joints[:, 5, 2])).max() < 3


def test_all_answers_of_a_lifter_that_learns_from_all_are_used():
    keypoints, scores = points(60)
    centre = create_lifter("stcformer", **lifter_class("stcformer").tiny).eval()
    windows = []
    centre.register_forward_hook(lambda _, given, answer: windows.append(len(answer)))
    used = lift(centre, keypoints, scores, (400, 400), mirror=False, whole=True)
    # Of every third frame, four windows of 9 that overlap; three times.
    assert sum(windows) == 12
    windows.clear()
    alone = lift(centre, keypoints, scores, (400, 400), mirror=False)
    assert sum(windows) == 60
    # What a sequence lifter's windows would give.
    centre.predicts = "sequence"
    np.testing.assert_array_equal(used, lift(centre, keypoints, scores, (400, 400), mirror=False))
    assert np.abs(used - alone).max() > 1e-3


@pytest.mark.parametrize("length", [10, 16, 32, 39])
def test_windows_end_to_end(length):
    keypoints, scores = points(length)
    config = LifterConfig(frames=16)
    joints = lift(Marker(config), keypoints, scores, (400, 400), mirror=False, overlap=False)
    frames = np.arange(length)
    expected = (frames % 16).astype(float)
    if length > 16 and length % 16:
        last = frames - (length - 16)
        doubled = (last >= 0) & (frames < length // 16 * 16)
        expected = np.where(doubled, (expected + last) / 2, np.where(last >= 0, last, expected))
    np.testing.assert_allclose(joints[:, 5, 2], expected, atol=1e-5)


@pytest.mark.parametrize("convolutional", [False, True])
@pytest.mark.parametrize("predicts", ["centre", "last"])
@pytest.mark.parametrize("length", [1, 3, 9, 40, 2500])
def test_one_frame_lifters_see_a_window_about_each_frame(length, predicts, convolutional):
    if length == 2500 and not convolutional:
        length = 60
    keypoints, scores = points(length)
    config = LifterConfig(frames=9, normalisation="screen")
    joints = lift(Average(config, predicts, convolutional), keypoints, scores, (400, 400), mirror=False)
    before = 4 if predicts == "centre" else 8
    padded = np.pad(keypoints, ((before, 8 - before), (0, 0), (0, 0)), mode="edge") / 200
    weights = np.arange(1.0, 10) / 45
    expected = sum(w * padded[k : k + length] for k, w in enumerate(weights))
    np.testing.assert_allclose(joints[..., :2], expected - expected[:, :1], atol=1e-5)


def test_windows_of_strided_lifters_skip_frames():
    keypoints, scores = points(50)
    config = LifterConfig(frames=5, normalisation="screen", frame_stride=3)
    joints = lift(Average(config), keypoints, scores, (400, 400), mirror=False)
    weights = np.arange(1.0, 6) / 15
    expected = sum(w * keypoints[20 + 3 * (k - 2)] / 200 for k, w in enumerate(weights))
    np.testing.assert_allclose(joints[20, :, :2], expected - expected[0], atol=1e-5)
    sequence = lift(Depth(config), keypoints, scores, (400, 400), mirror=False)
    np.testing.assert_allclose(sequence[..., 0], (keypoints - keypoints[:, :1])[..., 0] / 200, atol=1e-5)


@pytest.mark.parametrize("length", [2, 5, 12])
def test_the_first_window_of_a_causal_lifter_answers_for_its_frames(length):
    frames = np.arange(length, dtype=np.float32)
    keypoints = np.repeat(frames[:, None, None], 17, axis=1).repeat(2, axis=2)
    config = LifterConfig(frames=5, normalisation="screen")
    joints = lift(Numbered(config), keypoints, np.ones((length, 17), np.float32), (2, 2), mirror=False)
    # Frame 4 is the last of the window that begins with frame 0, frame 5 of the one that begins with frame 1.
    np.testing.assert_allclose(joints[:, 5, 2] + 1, np.maximum(frames - 4, 0), atol=1e-6)


@pytest.mark.parametrize(
    ("lifter", "options"),
    [
        (Depth(LifterConfig(frames=9, normalisation="screen")), {}),
        (Depth(LifterConfig(frames=9, normalisation="screen", frame_stride=3)), {}),
        (Depth(LifterConfig(frames=9, normalisation="screen", fps=50)), {"times": np.arange(2500) / 30}),
        (Average(LifterConfig(frames=9, normalisation="screen")), {}),
        (Average(LifterConfig(frames=9, normalisation="screen"), convolutional=True), {}),
    ],
)
def test_shares_of_the_work_add_up(lifter, options):
    shares = []
    lift(lifter, *points(2500), (400, 400), mirror=False, advance=shares.append, **options)
    assert len(shares) > 1
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1)


def test_splines_of_long_clips_are_those_of_short_ones(monkeypatch):
    rng = np.random.default_rng(0)
    values, times, others = rng.uniform(size=(90, 17, 3)), np.arange(90) / 30, np.arange(140) / 50
    at_once = cubic(times, values, others)
    monkeypatch.setattr("vidpose.lifters.resampling._AT_ONCE", 400)
    np.testing.assert_allclose(cubic(times, values, others), at_once, rtol=0, atol=1e-12)


def test_image_units_become_metres_of_an_average_adult():
    keypoints, scores = points(30)
    config = LifterConfig(frames=9, normalisation="screen", units="image")
    joints = lift(Depth(config), keypoints, scores, (400, 400))
    parents = H36M_17.parents
    bones = sum(np.linalg.norm(joints[:, j] - joints[:, parents[j]], axis=-1) for j in range(1, 17))
    # Sixteen bones of an adult, end to end: 3.9 to 4.1 m for the people of the motion capture data.
    assert 3.9 < np.median(bones) < 4.1


@pytest.mark.parametrize(
    ("fps", "frames", "rate", "warned"),
    [
        (0, 9, 10, "10 frames a second, and tiny learned from 50"),
        (0, 9, 25, None),
        (0, 9, 60, None),
        (0, 9, 240, "240 frames a second, and tiny learned from 50"),
        (50, 9, 240, None),  # brought to 50
        (25, 9, 12, None),
        (25, 9, 9, "9 frames a second, and tiny learned from 25"),
        (0, 1, 10, None),  # sees each frame on its own
    ],
)
def test_a_frame_rate_far_from_what_the_weights_know_is_said(caplog, fps, frames, rate, warned):
    lifter = Depth(LifterConfig(frames=frames, normalisation="screen", fps=fps))
    times, (keypoints, scores) = np.arange(12) / rate, points(12)
    track = Track.of_keypoints(1, np.arange(12), times, np.zeros((12, 4), np.float32), keypoints, scores)
    found = PoseResult(Source("walk.mp4", 400, 400, times, None), (track,), "h36m17", "")
    lift_people(found, Weights("tiny", lifter, {}, ""), Smoothing("none", 0))
    said = [record.getMessage() for record in caplog.records if "frames a second" in record.getMessage()]
    assert [warned in message for message in said] == ([True] if warned else [])
