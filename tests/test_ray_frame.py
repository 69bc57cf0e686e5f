"""Lifters that are not told where a person stands: the frame they answer in, and the person turned upright for them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from training_data import T_POSE, write_cmu17

from vidpose.body.geometry import ray_turns
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.datasets.cmu import load_cmu
from vidpose.lifters import create_lifter
from vidpose.lifters.lifter import Lifter, LifterConfig
from vidpose.lifters.normalisation import quarter_turns
from vidpose.lifters.resampling import cubic, resampled, times_at
from vidpose.lifters.running import lift
from vidpose.refine.focal import Lens
from vidpose.refine.place import place
from vidpose.training import invented_poses
from vidpose.training.motion_augmentation import MotionAugmentation, MotionSampler

FOCAL = 1000.0
UPRIGHT = T_POSE.astype(float) @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]).T  # y down, seen from the front
PELVIS, THORAX = H36M_17.index("pelvis"), H36M_17.index("thorax")


def shortest(ray):
    """The rotation from the optical axis to a ray, by scipy."""
    ray = ray / np.linalg.norm(ray)
    axis = np.cross([0, 0, 1], ray)
    return Rotation.from_rotvec(np.arccos(ray[2]) * axis / max(np.linalg.norm(axis), 1e-12))


def test_the_turn_to_a_ray_is_the_shortest():
    points = np.random.default_rng(0).normal((0, 0, 3), 1, (50, 3))
    points[:, 2] = np.abs(points[:, 2])
    points[0] = [0, 0, 2]
    expected = np.stack([shortest(point).as_matrix() for point in points])
    np.testing.assert_allclose(ray_turns(points), expected, atol=1e-12)
    found = invented_poses.ray_turns(torch.from_numpy(points)[None])
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


def seen_off_axis(frames=40):
    """Someone who walks through the picture, as a lifter lifts who does not know where; and the truth."""
    times = np.arange(frames) / 25
    roots = np.stack([-2 + 0.1 * np.arange(frames), 0 * times + 0.5, 4 + 0.2 * np.sin(times)], axis=-1)
    truth = np.repeat((UPRIGHT - UPRIGHT[:1])[None], frames, axis=0)
    lifted = np.stack([shortest(root).inv().apply(pose) for root, pose in zip(roots, truth, strict=True)])
    points = truth + roots[:, None]
    pixels = (points[..., :2] / points[..., 2:] * FOCAL + [960, 540]).astype(np.float32)
    scores = np.ones((frames, 17), np.float32)
    track = Track.of_keypoints(1, np.arange(frames), times, np.zeros((frames, 4), np.float32), pixels, scores)
    track = replace(track, joints=lifted.astype(np.float32), joint_scores=scores)
    source = Source("walk.mp4", 1920, 1080, times, Fraction(25))
    return PoseResult(source, (track,), "h36m17", "h36m17", {}, in_ray_frame=True), truth, roots


def test_placing_turns_joints_into_the_cameras_frame():
    lifted, truth, roots = seen_off_axis()
    assert np.abs(lifted.tracks[0].joints - truth).max() > 0.3
    placed = place(lifted, Lens(focal=FOCAL))
    np.testing.assert_allclose(placed.tracks[0].joints, truth, atol=1e-5)
    np.testing.assert_allclose(placed.tracks[0].roots, roots, atol=2e-3)
    assert not placed.in_ray_frame
    np.testing.assert_array_equal(place(placed, Lens(focal=FOCAL)).tracks[0].joints, placed.tracks[0].joints)
    unturned = place(replace(lifted, in_ray_frame=False), Lens(focal=FOCAL))
    assert np.abs(unturned.tracks[0].joints - truth).max() > 0.3


def test_a_root_that_is_not_seen_is_between_its_neighbours():
    lifted, truth, _ = seen_off_axis()
    track = lifted.tracks[0]
    keypoints, scores = track.keypoints.copy(), track.scores.copy()
    keypoints[10:13, PELVIS], scores[10:13, PELVIS] = np.nan, 0
    placed = place(replace(lifted, tracks=(replace(track, keypoints=keypoints, scores=scores),)), Lens(focal=FOCAL))
    np.testing.assert_allclose(placed.tracks[0].joints, truth, atol=2e-3)


def test_a_saved_result_knows_its_frame(tmp_path):
    lifted, _, _ = seen_off_axis()
    for result in (lifted, place(lifted, Lens(focal=FOCAL))):
        result.save(tmp_path / "result.npz")
        assert PoseResult.load(tmp_path / "result.npz").in_ray_frame == result.in_ray_frame


def test_training_answers_in_the_frame_of_the_ray(tmp_path):
    # Two lenses see a person at one place in the world, so that only where in the picture he is differs.
    motion = load_cmu(write_cmu17(tmp_path), "train")
    exact = MotionAugmentation(
        landmark_bias=0.0, jitter=0.0, white=0.0, occluded=0.0, dropped=0.0, unscored=1.0, recombine=0.0, perturb=0.0,
        bone_scale=0.0, limb_scale=0.0, body_scale=0.0, steep=0.0, pitch=(0.0, 0.0), roll=0.0, distance=(4.0, 4.001),
    )  # fmt: skip
    answers = []
    for lens in (24.0, 2000.0):
        sampler = MotionSampler(motion, 1, replace(exact, lens=(lens, lens + 0.001)), torch.Generator().manual_seed(1))
        keypoints, joints = sampler.batch(64)
        assert (joints[:, :, 0] == 0).all()
        answers.append((keypoints, joints))
    (wide, in_wide), (_, in_tele) = answers
    # With the wide lens they stand up to 37 degrees beside the axis: that much the answers are turned.
    away = wide[:, 0, THORAX, :2].norm(dim=-1)
    assert away.max() > 2
    assert (in_wide - in_tele).norm(dim=-1).amax() > 0.3
    for thorax, tele, place_ in zip(in_wide[:, 0, THORAX], in_tele[:, 0, THORAX], wide[:, 0, PELVIS], strict=True):
        root = np.array([*place_[:2].tolist(), 4.0])
        np.testing.assert_allclose(shortest(root).apply(thorax.numpy()), tele.numpy(), atol=0.02)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_turned_person_is_turned_upright_and_back(quarters):
    rng = np.random.default_rng(3)
    moving = UPRIGHT + 0.05 * rng.normal(size=(20, 17, 3))
    pixels = 100 * moving[..., :2]
    turn = Rotation.from_euler("z", 90 * quarters, degrees=True).as_matrix()
    turned = np.concatenate([pixels, 0 * pixels[..., :1]], axis=-1) @ turn.T
    keypoints = torch.from_numpy(np.concatenate([turned[..., :2], np.ones((20, 17, 1))], axis=-1)).float()[None]
    # Clockwise in the picture is from x to y, whose axis points down.
    assert quarter_turns(keypoints, PELVIS, THORAX).tolist() == [quarters]
    torch.manual_seed(0)
    lifter = create_lifter("martinez", width=32, channels=3, normalisation="person").eval()
    scores = np.ones((20, 17), np.float32)
    upright = lift(lifter, pixels.astype(np.float32), scores, (400, 400))
    found = lift(lifter, turned[..., :2].astype(np.float32), scores, (400, 400))
    np.testing.assert_allclose(found, upright @ turn.T, atol=1e-5)


class Curve(Lifter):
    """Answers with its input, a frame at a time, and keeps how many there were."""

    Config = LifterConfig

    def forward(self, keypoints_BTJC):
        self.seen = keypoints_BTJC.shape[1]
        return torch.cat([keypoints_BTJC[..., :2], keypoints_BTJC[..., 2:]], dim=-1)


def test_a_lifter_sees_the_rate_it_knows_and_answers_at_the_videos():
    times = np.sort(np.random.default_rng(0).uniform(-0.005, 0.005, 61) + np.arange(61) / 60)
    wave = np.sin(2 * np.pi * 1.5 * times)[:, None, None] * np.array([30.0, 20.0]) + np.arange(17)[:, None] * 5
    scores = np.ones((61, 17), np.float32)
    lifter = Curve(LifterConfig(frames=200, normalisation="screen", fps=25.0))
    joints = lift(lifter, wave.astype(np.float32), scores, (2, 2), mirror=False, times=times)
    assert len(times_at(times, 25.0)) == 26
    expected = (wave - wave[:, :1]).astype(np.float32)
    assert joints.shape == (61, 17, 3)
    np.testing.assert_allclose(joints[..., :2], expected, atol=0.05)
    assert times_at(np.arange(30) / 25, 25.0) is None
    assert times_at(times, 0.0) is None


def test_gaps_are_not_filled_by_resampling():
    times = np.arange(50) / 50
    keypoints = np.repeat((100 * times)[:, None, None], 17, axis=1).repeat(2, axis=2)
    scores = np.full((50, 17), 0.5)
    keypoints[20:30, 3], scores[20:30, 3] = np.nan, 0
    own = times_at(times, 30.0)
    found, found_scores = resampled(keypoints, scores, times, own)
    absent = np.isnan(found[:, 3]).all(axis=-1)
    inside = (own > times[19]) & (own < times[30])
    np.testing.assert_array_equal(absent, inside)
    np.testing.assert_array_equal(found_scores[:, 3] == 0, inside)
    np.testing.assert_allclose(found[~absent, 3, 0], 100 * own[~absent], atol=1e-9)
    np.testing.assert_allclose(found[:, 4, 0], 100 * own, atol=1e-9)


def test_a_frame_a_tick_after_another_makes_no_keypoint_swing():
    rng = np.random.default_rng(3)
    times, scores = np.arange(60) / 30, np.ones((60, 2))
    keypoints = 500 + 100 * np.sin(2 * times)[:, None, None] + rng.normal(0, 2, (60, 2, 2))
    own = np.arange(0, 59 / 30, 1 / 50)
    plain, _ = resampled(keypoints, scores, times, own)
    twice, moments = np.insert(keypoints, 21, keypoints[20] + 4, axis=0), np.insert(times, 21, times[20] + 1 / 90_000)
    found, known = resampled(twice, np.ones((61, 2)), moments, own)
    assert (known == 1).all()
    np.testing.assert_allclose(found, plain, atol=0.01)
    # The last one, too: nothing is said beyond the frame before it.
    twice, moments = np.append(keypoints, keypoints[-1:] + 4, axis=0), np.append(times, times[-1] + 1 / 90_000)
    np.testing.assert_allclose(cubic(moments, twice, moments[-1:])[0], keypoints[-1])


def test_a_time_lapse_costs_a_lifter_no_more_than_the_frames_it_looks_at():
    keypoints = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 17, 2)).astype(np.float32)
    lifter, shares = Curve(LifterConfig(frames=200, normalisation="screen", fps=25.0)), []
    answers = [
        lift(lifter, keypoints, np.ones((20, 17), np.float32), (2, 2), mirror=False, times=step * np.arange(20.0),
             advance=shares.append)
        for step in (5.0, 9000.0)
    ]  # fmt: skip
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)
    assert len(shares) < 100
