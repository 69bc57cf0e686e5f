import numpy as np
import pytest
from scipy.optimize import least_squares
from walkers import CAMERA, seen_by, walk, world_to_camera

from vidpose.refine import roots as roots_module
from vidpose.refine.roots import frame_roots, reprojection_error, root_path, smooth_path

EVEN = np.arange(0, 6, 1 / 30)
UNEVEN = np.sort(np.delete(np.arange(0, 6, 1 / 60), np.random.default_rng(0).choice(np.arange(1, 359), 200, False)))


def scene(times: np.ndarray = EVEN) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Root-relative joints, keypoints, scores and the true roots of a walk."""
    joints = seen_by(world_to_camera(12, 4), walk(times))
    keypoints = CAMERA.project(joints)
    return joints - joints[:, :1], keypoints, np.ones(joints.shape[:2]), joints[:, 0]


def noisy(keypoints: np.ndarray, pixels: float, seed: int = 0) -> np.ndarray:
    return keypoints + np.random.default_rng(seed).normal(0, pixels, keypoints.shape)


@pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_joints_give_the_exact_path(times, dtype):
    joints, keypoints, scores, truth = scene(times)
    path = root_path(*(a.astype(dtype) for a in (joints, keypoints, scores)), CAMERA, times)
    assert np.linalg.norm(path - truth, axis=1).max() < 1e-3


def test_a_frame_has_the_least_reprojection_error_that_an_optimiser_finds():
    joints, keypoints, scores, _ = scene(EVEN[:5])
    rng = np.random.default_rng(1)
    joints = joints + rng.normal(0, 0.02, joints.shape)
    roots, _ = frame_roots(joints, keypoints, scores, CAMERA)

    def off(root: np.ndarray, row: int) -> np.ndarray:
        return (CAMERA.project(joints[row] + root) - keypoints[row]).ravel()

    for row in range(5):
        best = least_squares(off, [0, 0, 5.0], args=(row,)).x
        assert np.linalg.norm(off(roots[row], row)) < 1.03 * np.linalg.norm(off(best, row))


def test_wrong_keypoints_hardly_pull():
    joints, keypoints, scores, truth = scene()
    rng = np.random.default_rng(2)
    keypoints = noisy(keypoints, 1.5)
    for row in range(len(keypoints)):
        keypoints[row, rng.choice(17, 2, replace=False)] += rng.normal(0, 150, (2, 2))
    plain = root_path(joints, noisy(scene()[1], 1.5), scores, CAMERA, EVEN)
    path = root_path(joints, keypoints, scores, CAMERA, EVEN)
    clean, spoilt = (np.linalg.norm(p - truth, axis=1).mean() for p in (plain, path))
    assert clean < 0.02
    assert spoilt < 0.04


def test_a_low_score_counts_little():
    joints, keypoints, scores, truth = scene()
    keypoints[:, 10:] += 40
    scores[:, 10:] = 0.001
    assert np.linalg.norm(root_path(joints, keypoints, scores, CAMERA, EVEN) - truth, axis=1).max() < 0.01


def test_frames_of_somebody_else_are_passed_over():
    joints, keypoints, scores, truth = scene()
    keypoints = noisy(keypoints, 1.0)
    keypoints[60:63] += [300, 40]
    path = root_path(joints, keypoints, scores, CAMERA, EVEN)
    assert np.linalg.norm(path - truth, axis=1)[55:68].max() < 0.15
    assert np.linalg.norm(path - truth, axis=1).mean() < 0.02


def test_the_depth_is_smoothed_most():
    joints, keypoints, scores, truth = scene()
    raw, known = frame_roots(joints, noisy(keypoints, 3.0), scores, CAMERA)
    path = smooth_path(raw, known, EVEN)
    raw_error, error = np.abs(raw - truth).mean(axis=0), np.abs(path - truth).mean(axis=0)
    assert raw_error[2] > 3 * raw_error[0]
    assert error[2] < 0.45 * raw_error[2]
    assert error[0] < 1.1 * raw_error[0]


def test_the_frame_rate_does_not_change_the_path():
    def path(rate: int) -> np.ndarray:
        times = np.arange(6 * rate + 1) / rate
        joints, keypoints, scores, _ = scene(times)
        # Disturbed alike at the same moments.
        keypoints = keypoints + 6 * np.sin(np.arange(17) + 9 * times[:, None])[..., None]
        return root_path(joints, keypoints, scores, CAMERA, times)

    at_25, at_100 = path(25), path(100)
    assert np.linalg.norm(at_25 - at_100[::4], axis=1)[5:-5].max() < 5e-3


def test_the_banded_solution_is_the_dense_one():
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.01, 0.1, 12))
    roots = rng.normal(0, 1, (12, 3))
    factors = rng.normal(0, 20, (12, 5, 3))
    known = np.einsum("nai,naj->nij", factors, factors)
    rows, right = [], []
    for frame in range(12):
        for factor in factors[frame]:
            rows.append(np.kron(np.eye(12)[frame], factor))
            right.append(factor @ roots[frame])
    for first in range(10):
        span = times[first : first + 3]
        # Twice the leading coefficient of the parabola through three values is their second derivative.
        bend = np.array([2 * np.polyfit(span - span[1], unit, 2)[0] for unit in np.eye(3)])
        weight = np.sqrt(roots_module.STIFFNESS * (span[2] - span[0]) / 2)
        for axis in range(3):
            row = np.zeros((12, 3))
            row[first : first + 3, axis] = weight * bend
            rows.append(row.ravel())
            right.append(0.0)
    dense = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0].reshape(12, 3)
    np.testing.assert_allclose(roots_module._stiff_path(roots, known, times), dense, atol=1e-8)


def test_gaps_in_the_keypoints_are_bridged_and_gaps_in_the_poses_stay():
    joints, keypoints, scores, truth = scene()
    keypoints[40:45], scores[40:45] = np.nan, 0
    joints[100:130] = np.nan
    path = root_path(joints, keypoints, scores, CAMERA, EVEN)
    assert np.linalg.norm(path - truth, axis=1)[:100].max() < 0.02
    assert np.isnan(path[100:130]).all()
    assert np.isfinite(path[130:]).all()
    # The two stretches know nothing of each other.
    alone = root_path(*(array[130:] for array in (joints, keypoints, scores)), CAMERA, EVEN[130:])
    np.testing.assert_array_equal(path[130:], alone)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_short_tracks_have_a_place(length):
    joints, keypoints, scores, truth = scene(EVEN[:length])
    path = root_path(joints, keypoints, scores, CAMERA, EVEN[:length])
    assert np.linalg.norm(path - truth, axis=1).max() < 0.05


def test_what_tells_no_place_gives_none():
    joints, keypoints, scores, _ = scene()
    for k, s in [
        (np.full_like(keypoints, np.nan), scores),
        (keypoints, np.zeros_like(scores)),
        (np.full_like(keypoints, 300.0), scores),
        (-keypoints, scores),  # upside down
    ]:
        assert np.isnan(root_path(joints, k, s, CAMERA, EVEN)).all()
    assert np.isnan(root_path(np.full_like(joints, np.nan), keypoints, scores, CAMERA, EVEN)).all()
    assert root_path(joints[:0], keypoints[:0], scores[:0], CAMERA, EVEN[:0]).shape == (0, 3)


def test_the_reprojection_error_is_in_pixels():
    joints, keypoints, scores, truth = scene()
    keypoints[:, 3] += [3, 4]
    keypoints[5, 2], scores[5, 2] = np.nan, 0
    truth[9, 2] = -3
    pixels = reprojection_error(joints, truth, keypoints, scores, CAMERA)
    assert pixels.shape == scores.shape
    np.testing.assert_allclose(pixels[0, :5], [0, 0, 0, 5, 0], atol=1e-9)
    assert np.isnan(pixels[5, 2])
    assert np.isnan(pixels[9]).all()
