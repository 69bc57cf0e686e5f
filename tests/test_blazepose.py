"""The embedded detector and its keypoints, with the real networks."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidpose.body.skeletons import BLAZEPOSE_TO_H36M
from vidpose.keypoints.blazepose_keypoints import BlazePoseKeypoints
from vidpose.people.blazepose_detector import BlazePoseDetector, views
from vidpose.pipeline.people_finder import PeopleFinder
from vidpose.video import VideoReader
from vidpose.weights.shipped import shipped

ODD_SIZES = [(1, 1), (1, 2000), (900, 2), (7, 5), (64, 48)]
LIMBS = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]  # of h36m17: joints that detector and truth mean alike


def sample(name: str, num_frames: int) -> tuple[list[np.ndarray], np.ndarray, np.lib.npyio.NpzFile]:
    """The first frames of a shipped video, their times, and the truth."""
    with VideoReader(shipped("samples") / f"{name}.mp4") as reader:
        frames = [frame for frame, _ in zip(reader, range(num_frames), strict=False)]
    truth = np.load(shipped("samples") / f"{name}.truth.npz", allow_pickle=False)
    return [frame.image for frame in frames], np.array([frame.time for frame in frames]), truth


@pytest.fixture(scope="module")
def detector() -> BlazePoseDetector:
    with BlazePoseDetector() as opened:
        yield opened


@pytest.fixture(scope="module")
def keypoints() -> BlazePoseKeypoints:
    with BlazePoseKeypoints() as opened:
        yield opened


def test_someone_is_found_where_the_truth_says(detector: BlazePoseDetector, keypoints: BlazePoseKeypoints) -> None:
    (image,), _, truth = sample("walk-wave", 1)
    found = detector.detect(image)
    assert len(found) == 1
    assert found.boxes.dtype == found.scores.dtype == np.float32
    poses = keypoints.locate(image, found.regions)
    assert poses.presence[0] > 0.9
    joints, scores = BLAZEPOSE_TO_H36M(poses.keypoints[0], poses.scores[0])
    error = np.linalg.norm(joints - truth["keypoints"][0, 0], axis=-1)[LIMBS]
    torso = np.linalg.norm(truth["keypoints"][0, 0, 8] - truth["keypoints"][0, 0, 0])
    assert np.median(error) < 0.1 * torso
    assert scores.min() >= 0
    assert scores.max() <= 1
    x0, y0, x1, y1 = found.boxes[0]
    assert x0 < joints[:, 0].min() < joints[:, 0].max() < x1
    assert y0 < joints[:, 1].min() < joints[:, 1].max() < y1


def test_someone_small_in_a_wide_picture_is_found(detector: BlazePoseDetector) -> None:
    (image,), _, _ = sample("walk-wave", 1)
    wide = np.full((720, 1920, 3), 128, np.uint8)
    wide[200:560, 100:580] = cv2.resize(image, (480, 360), interpolation=cv2.INTER_AREA)
    found = detector.detect(wide)
    assert len(found) == 1
    assert 100 < found.regions[0, 0, 0] < 580


def test_joints_outside_the_picture_score_nothing(keypoints: BlazePoseKeypoints, detector: BlazePoseDetector) -> None:
    (image,), _, _ = sample("walk-wave", 1)
    region = detector.detect(image).regions
    cut = image[: int(region[0, 0, 1])]  # at the hips
    poses = keypoints.locate(cut, region)
    legs = slice(25, 33)
    assert poses.scores[0, legs].max() == 0
    assert poses.scores[0, 11:13].min() > 0.5


def test_nobody_in_a_blank_picture(detector: BlazePoseDetector, keypoints: BlazePoseKeypoints) -> None:
    image = np.full((240, 320, 3), 128, np.uint8)
    found = detector.detect(image)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.regions.shape == (0, 2, 2)
    assert keypoints.locate(image, found.regions).keypoints.shape == (0, 33, 2)


def test_no_picture_is_too_odd() -> None:
    with PeopleFinder() as finder:
        for time, shape in enumerate(ODD_SIZES):
            assert finder.step(np.zeros((*shape, 3), np.uint8), float(time)) == []
        assert finder.confirmed == set()


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (640, 480), (500, 500), *ODD_SIZES])
def test_views_lie_in_the_picture_and_cover_it(size: tuple[int, int]) -> None:
    width, height = size
    covered = np.zeros((height, width), bool)
    squares = views(width, height, thorough=True)[1:]
    for x, y, w, h in squares:
        assert x >= 0 <= y
        assert x + w <= width
        assert y + h <= height
        covered[y : y + h, x : x + w] = True
    assert covered.all()
    assert len(squares) <= 30


def test_two_people_keep_their_ids_and_come_out_the_same_twice() -> None:
    images, times, truth = sample("two-people", 30)
    runs = []
    for _ in range(2):
        with PeopleFinder() as finder:
            runs.append([finder.step(image, time) for image, time in zip(images, times, strict=True)])
            assert finder.confirmed == {1, 2}
    for first, second in zip(*runs, strict=True):
        assert [s.id for s in first] == [s.id for s in second]
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.keypoints, b.keypoints)
    for frame in (0, 29):
        for sighting in runs[0][frame]:
            joints, _ = BLAZEPOSE_TO_H36M(sighting.keypoints, sighting.scores)
            error = np.linalg.norm(joints - truth["keypoints"][:, frame], axis=-1)[:, LIMBS]
            assert np.median(error[sighting.id - 1]) < 15
    assert len(runs[0][0]) == 1
    assert len(runs[0][29]) == 2


def test_a_still_picture_has_people() -> None:
    (image,), _, _ = sample("walk-wave", 1)
    with PeopleFinder(max_people=1) as finder:
        (sighting,) = finder.step(image, 0.0)
        assert finder.confirmed == {sighting.id} == {1}
    assert (sighting.box[2:] > sighting.box[:2]).all()


def test_finding_people_on_a_cpu_does_not_import_the_networks_of_torch() -> None:
    code = (
        "import sys; from vidpose.people.blazepose_detector import BlazePoseDetector as D;"
        "from vidpose.keypoints.blazepose_keypoints import BlazePoseKeypoints as K; D(), K('lite');"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_only_what_python_says_reaches_stderr(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from vidpose.pipeline.people_finder import PeopleFinder
with PeopleFinder() as finder:
    finder.step(np.zeros((48, 64, 3), np.uint8), 0.0)
print('after', file=sys.stderr)
raise ValueError('told')
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert lines[0] == "after"
    assert lines[-1] == "ValueError: told"
    assert all(line.startswith(("Traceback", "  ", "ValueError")) for line in lines[1:])
