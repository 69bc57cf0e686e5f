"""Error measures and normalisation against recorded outputs of the public reference implementations.

`data/reference_functions.npz` holds inputs and outputs of VideoPose3D's common/loss.py and common/camera.py and of
MotionBERT's lib/model/loss.py.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vidpose.evaluation.metrics import mpjpe, mpjve, p_mpjpe
from vidpose.geometry import similarity_align
from vidpose.lifters.normalisation import screen


@pytest.fixture(scope="module")
def reference():
    return np.load(Path(__file__).parent / "data" / "reference_functions.npz")


def test_mpjpe_and_velocity_as_videopose3d(reference):
    predicted, target = reference["pred"], reference["gt"]
    assert mpjpe(predicted, target).mean() == pytest.approx(float(reference["mpjpe"]), rel=1e-5)
    assert mpjve(predicted, target).mean() == pytest.approx(float(reference["mpjve"]), rel=1e-5)


def test_p_mpjpe_as_videopose3d_and_motionbert(reference):
    errors = p_mpjpe(reference["pred"].astype(np.float64), reference["gt"].astype(np.float64))
    assert errors.mean() == pytest.approx(float(reference["p_mpjpe"]), rel=1e-5)
    np.testing.assert_allclose(errors.mean(axis=-1), reference["mb_p_mpjpe_per_frame"], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("size", [(1000, 1002), (1920, 1080)])
def test_screen_normalisation_as_videopose3d(reference, size):
    ours = screen(torch.from_numpy(reference["px"])[None], size)[0]
    np.testing.assert_allclose(ours.numpy(), reference[f"norm_{size[0]}x{size[1]}"], atol=1e-5)


def test_alignment_undoes_a_similarity_but_no_reflection():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(4, 17, 3))
    turn = Rotation.random(4, random_state=5).as_matrix()
    moved = 1.7 * points @ turn.transpose(0, 2, 1) + rng.normal(size=(4, 1, 3))
    np.testing.assert_allclose(similarity_align(moved, points), points, atol=1e-9)
    mirrored = points * [-1, 1, 1]
    assert p_mpjpe(mirrored, points).mean() > 0.2
