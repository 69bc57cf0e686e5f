"""Error measures and normalisation against recorded outputs of the public reference implementations.

`data/reference_functions.npz` holds inputs and outputs of VideoPose3D's common/loss.py and common/camera.py and of
MotionBERT's lib/model/loss.py; `data/reference_metrics.npz` those of VideoPose3D's n_mpjpe, of MotionAGFormer's
acceleration error, and of MPI-INF-3DHP's Matlab evaluation.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vidpose.body.geometry import similarity_align
from vidpose.body.skeletons import BLAZEPOSE_33, COCO_17, H36M_17
from vidpose.common.errors import UsageError
from vidpose.evaluation.keypoints.keypoint_metrics import SIGMAS, keypoint_scores, mse, pck_2d
from vidpose.evaluation.metrics import acceleration_error, auc, mpjpe, mpjve, n_mpjpe, p_mpjpe, pck
from vidpose.lifters.normalisation import screen


@pytest.fixture(scope="module")
def reference():
    folder = Path(__file__).parent / "data"
    return {**np.load(folder / "reference_functions.npz"), **np.load(folder / "reference_metrics.npz")}


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


def test_p_mpjpe_is_kabschs():
    """The best rotation by scipy, the best scale and translation by their normal equations."""
    rng = np.random.default_rng(7)
    predicted, target = rng.normal(size=(2, 17, 3)), rng.normal(size=(2, 17, 3))
    for frame in range(2):
        moving, fixed = (x[frame] - x[frame].mean(axis=0) for x in (predicted, target))
        turned = Rotation.align_vectors(fixed, moving)[0].apply(moving)
        scale = (turned * fixed).sum() / (turned * turned).sum()
        expected = np.sqrt(((scale * turned - fixed) ** 2).sum(axis=-1))
        np.testing.assert_allclose(p_mpjpe(predicted, target)[frame], expected, rtol=1e-9)


def test_n_mpjpe_as_videopose3d(reference):
    assert n_mpjpe(reference["pred"], reference["gt"]).mean() == pytest.approx(float(reference["n_mpjpe"]), rel=1e-5)


def test_n_mpjpe_undoes_a_scale_of_each_frame_only():
    target = np.random.default_rng(1).normal(size=(3, 17, 3))
    scales = np.array([0.5, 2, 3])[:, None, None]
    np.testing.assert_allclose(n_mpjpe(scales * target, target), 0, atol=1e-12)
    assert n_mpjpe(scales * target + 0.1, target).mean() > 0.01
    np.testing.assert_allclose(n_mpjpe(np.zeros_like(target), target), np.linalg.norm(target, axis=-1))


def test_acceleration_error_as_motionagformer(reference):
    errors = acceleration_error(reference["pred"], reference["gt"])
    np.testing.assert_allclose(errors.mean(axis=-1), reference["mag_acc_error"], rtol=1e-5)


def test_acceleration_error_of_a_parabola():
    """x = 2 t^2 has second differences of 4; a constant velocity has none."""
    time = np.arange(6.0)[:, None, None]
    parabola = time**2 * np.array([2.0, 0, 0])
    np.testing.assert_allclose(acceleration_error(parabola, 5 * time * np.ones(3)), 4)


def test_pck_and_auc_as_mpi_inf_3dhp(reference):
    metres = reference["dhp_pred_mm"].astype(np.float64) / 1000, reference["dhp_gt_mm"].astype(np.float64) / 1000
    assert 1000 * mpjpe(*metres).mean() == pytest.approx(float(reference["dhp_mpjpe17"]), rel=1e-5)
    assert 100 * pck(*metres)[:, :14].mean() == pytest.approx(float(reference["dhp_pck150_14"]), abs=1e-9)
    assert 100 * auc(*metres)[:, :14].mean() == pytest.approx(float(reference["dhp_auc_14"]), abs=1e-9)


def test_pck_and_auc_count_strictly():
    """An error of 75 mm is below the thresholds 80 to 150 mm, fifteen of the 31; one of 150 mm is below none."""
    errors = np.array([0, 0.075, 0.1499, 0.150, 0.2])
    predicted, target = errors[:, None] * np.array([1.0, 0, 0]), np.zeros((5, 3))
    np.testing.assert_array_equal(pck(predicted, target), [True, True, True, False, False])
    np.testing.assert_allclose(auc(predicted, target), np.array([30, 15, 1, 0, 0]) / 31)


def test_pck_in_the_picture_is_relative_to_the_box():
    target = np.array([[[0, 0], [100, 0], [0, 200], [np.nan, np.nan]]], np.float64)
    predicted = target + np.array([[9.9, 0], [0, 10], [np.nan, 0], [0, 0]])
    np.testing.assert_array_equal(pck_2d(predicted, target), [[1, 0, 0, np.nan]])
    assert mse(predicted[:, :2], target[:, :2]) == pytest.approx((9.9**2 + 10**2) / 4)


def average_precision(similarity: np.ndarray, scores: np.ndarray, threshold: float) -> float:
    """One person and one detection a picture: precision at 101 recalls, each the best at that recall or above."""
    hits = similarity[np.argsort(-scores)] >= threshold
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    recall = np.cumsum(hits) / len(hits)
    reached = [precision[recall >= level] for level in np.linspace(0, 1, 101)]
    return float(np.mean([found.max() if len(found) else 0 for found in reached]))


@pytest.mark.parametrize("layout", [COCO_17, H36M_17])
def test_average_precision_and_recall_over_oks(layout):
    pytest.importorskip("pycocotools")
    rng = np.random.default_rng(2)
    target = rng.uniform(100, 300, (40, 17, 2))
    predicted = target + rng.normal(size=target.shape) * rng.uniform(2, 20, (40, 1, 1))
    predicted[0, 3] = np.nan
    target[1, 5] = np.nan
    scores = rng.uniform(size=(40, 17))
    areas = rng.uniform(8000, 20000, 40)
    found = keypoint_scores(predicted, target, scores, layout, areas)
    similarity = np.zeros(40)
    for n in range(40):
        parts = []
        for j, joint in enumerate(layout.joints):
            if not np.isnan(target[n, j, 0]):
                sigma = SIGMAS[joint.replace("left_", "").replace("right_", "")]
                distance = np.hypot(*(predicted[n, j] - target[n, j]))
                parts.append(0 if np.isnan(distance) else np.exp(-(distance**2) / (2 * areas[n] * (2 * sigma) ** 2)))
        similarity[n] = np.mean(parts)
    thresholds = np.arange(0.5, 0.96, 0.05)
    ranks = scores.mean(axis=1)
    assert found["ap"] == pytest.approx(np.mean([average_precision(similarity, ranks, t) for t in thresholds]))
    assert found["ap50"] == pytest.approx(average_precision(similarity, ranks, 0.5))
    assert found["ap75"] == pytest.approx(average_precision(similarity, ranks, 0.75))
    assert found["ar"] == pytest.approx(np.mean([(similarity >= t).mean() for t in thresholds]))
    assert 0.05 < found["ap"] < 0.95


def test_layouts_without_sigmas_are_refused():
    pytest.importorskip("pycocotools")
    joints = np.random.default_rng(0).uniform(0, 9, (1, 33, 2))
    with pytest.raises(UsageError, match=r"no OKS sigma for joint 'eye_inner' of layout 'blazepose33'"):
        keypoint_scores(joints, joints, np.ones((1, 33)), BLAZEPOSE_33)


def test_average_precision_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    joints = np.random.default_rng(0).uniform(0, 9, (1, 17, 2))
    with pytest.raises(UsageError, match="pip install pycocotools"):
        keypoint_scores(joints, joints, np.ones((1, 17)), COCO_17)
