import numpy as np
import pytest
import torch

from vidpose.lifters import Lifter, LifterConfig
from vidpose.lifting import lift


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
