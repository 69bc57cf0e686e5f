"""Which foot rests: told by the keypoints of heel, toe and ankle alone."""

import numpy as np
import pytest

from vidpose.body.skeletons import BLAZEPOSE_33, EXTREMITIES_10, H36M_17
from vidpose.body.tracks import PinholeCamera, Track
from vidpose.refine.contacts import foot_speeds, resting
from vidpose.synth.frames import extremities
from vidpose.synth.motion import ProceduralMotion, Stand, Walk

CAMERA = PinholeCamera((1100.0, 1100.0), (500.0, 500.0))
TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
TIMES = np.arange(100) / 25
ANKLES = [H36M_17.index(f"{side}_ankle") for side in ("left", "right")]


def seen(motion: ProceduralMotion, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Which feet rest (N, 2), as they look with pixels of noise; and (N, 2) how fast ankles are, metres a second."""
    world = motion.joints(TIMES)
    whole = np.concatenate([world, [extremities(joints) for joints in world]], axis=1) @ TO_CAMERA.T + (0, 1.0, 0)
    keypoints = np.zeros((len(TIMES), len(BLAZEPOSE_33), 2), np.float32)
    for side, ankle in zip(("left", "right"), ANKLES, strict=True):
        for name, at in (("ankle", ankle), ("heel", f"{side}_heel"), ("foot_index", f"{side}_toe")):
            row = at if isinstance(at, int) else len(H36M_17) + EXTREMITIES_10.index(at)
            keypoints[:, BLAZEPOSE_33.index(f"{side}_{name}")] = CAMERA.project(whole[:, row])
    keypoints += np.random.default_rng(1).normal(0, noise, keypoints.shape)
    boxes, scores = np.zeros((len(TIMES), 4), np.float32), np.ones(keypoints.shape[:2], np.float32)
    track = Track.of_keypoints(1, np.arange(len(TIMES)), TIMES, boxes, keypoints, scores)
    rests = resting(foot_speeds(track, BLAZEPOSE_33.name, CAMERA), whole[:, 0, 2], TIMES)
    return rests, np.linalg.norm(np.gradient(world[:, ANKLES], TIMES, axis=0), axis=-1)


@pytest.mark.parametrize("heading", [0.0, 0.5 * np.pi], ids=["across the picture", "away from the camera"])
def test_of_somebody_who_walks_feet_rest_where_they_do(heading: float):
    rests, speeds = seen(ProceduralMotion(Walk((-1.0, 5.0), 3.0, heading)), noise=2.0)
    assert rests.sum() > 0.4 * (speeds < 0.05).sum() > 0
    assert (speeds[rests] < 0.3).mean() > 0.97


def test_somebody_who_stands_does_not_walk():
    rests, _ = seen(ProceduralMotion(Stand((0.0, 5.0), 0.0)), noise=1.0)
    assert not rests.any()
