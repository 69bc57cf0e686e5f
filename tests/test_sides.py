import numpy as np
import pytest

from vidpose.body.skeletons import BLAZEPOSE_33
from vidpose.refine.sides import unswap_sides

LEFT, RIGHT = list(BLAZEPOSE_33.left), list(BLAZEPOSE_33.right)


def walker(seconds: float = 4.0, fps: float = 30.0, seen_from: str = "front") -> tuple[np.ndarray, np.ndarray]:
    """(N, 33, 2) pixels of someone 200 px tall who walks on the spot, and (N,) times."""
    times = np.arange(0, seconds, 1 / fps)
    points = np.zeros((len(times), 33, 2))
    rng = np.random.default_rng(0)
    points[..., 1] = np.linspace(0, 200, 33)
    swing = 40 * np.sin(2 * np.pi * 0.9 * times)[:, None]
    apart = 40 if seen_from == "front" else 2
    points[:, LEFT, 0], points[:, RIGHT, 0] = apart / 2, -apart / 2
    if seen_from == "side":
        points[:, LEFT, 0] += swing * np.linspace(0, 1, len(LEFT))
        points[:, RIGHT, 0] -= swing * np.linspace(0, 1, len(RIGHT))
    return points + rng.normal(0, 1.5, points.shape) + 300, times


def swap(points: np.ndarray, rows, half: slice = slice(None)) -> np.ndarray:
    swapped = points.copy()
    for row in rows:
        swapped[row, LEFT[half]], swapped[row, RIGHT[half]] = points[row, RIGHT[half]], points[row, LEFT[half]]
    return swapped


@pytest.mark.parametrize("rows", [[20], [40, 41, 42, 44, 60], range(50, 70), [118, 119]])
def test_episodes_of_swapped_sides_are_undone(rows):
    truth, times = walker()
    scores = np.tile(np.linspace(0.5, 1, 33), (len(times), 1))
    keypoints, fixed_scores = unswap_sides(
        swap(truth, rows), swap(scores[..., None], rows)[..., 0], times, BLAZEPOSE_33
    )
    assert np.array_equal(keypoints, truth)
    assert np.array_equal(fixed_scores, scores)


def test_half_a_body_is_undone_by_itself():
    truth, times = walker()
    # `left` lists the face and arms before the legs.
    first_leg = next(i for i, joint in enumerate(LEFT) if BLAZEPOSE_33.joints[joint] == "left_hip")
    keypoints, _ = unswap_sides(
        swap(truth, range(30, 40), slice(first_leg)), np.ones(truth.shape[:2]), times, BLAZEPOSE_33
    )
    assert np.array_equal(keypoints, truth)


@pytest.mark.parametrize("seen_from", ["front", "side"])
@pytest.mark.parametrize("fps", [10.0, 30.0, 60.0])
def test_legs_that_cross_are_left_alone(seen_from, fps):
    truth, times = walker(fps=fps, seen_from=seen_from)
    keypoints, _ = unswap_sides(truth, np.ones(truth.shape[:2]), times, BLAZEPOSE_33)
    assert np.array_equal(keypoints, truth)


def test_what_the_detector_says_most_of_the_time_is_believed():
    truth, times = walker(seconds=8)
    mostly = swap(truth, range(10, len(times) - 10))
    keypoints, _ = unswap_sides(mostly, np.ones(truth.shape[:2]), times, BLAZEPOSE_33)
    assert np.array_equal(keypoints[20:-20], mostly[20:-20])


def test_rows_without_the_person_stay_empty():
    truth, times = walker()
    holed = swap(truth, [50, 51])
    holed[[10, 11, 52, 53]] = np.nan
    keypoints, _ = unswap_sides(holed, np.ones(truth.shape[:2]), times, BLAZEPOSE_33)
    assert np.isnan(keypoints[[10, 11, 52, 53]]).all()
    assert np.array_equal(keypoints[[50, 51]], truth[[50, 51]])
