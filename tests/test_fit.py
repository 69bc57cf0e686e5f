import dataclasses
import itertools
import logging
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_info, threadpool_limits

from vidpose.body.joint_angles import joint_angles
from vidpose.body.kinematics import HINGES, bone_lengths, matrices_of, orientations, pose, relative, rest_offsets
from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.common.errors import UsageError
from vidpose.refine import block_band
from vidpose.refine import fit as fit_module
from vidpose.refine.agreement import SPREAD, Agreement, Evidence, Spread, best_body
from vidpose.refine.fit import fit, fit_in_space, fit_track
from vidpose.refine.hinged_body import BENDS, UNKNOWNS, Body
from vidpose.refine.roots import reprojection_by_id
from vidpose.refine.scale import stature
from vidpose.refine.smoothing import Smoothing
from vidpose.synth.motion import Bend, ProceduralMotion, Squat, Stand, Walk, Wave

CAMERA = PinholeCamera((1100.0, 1100.0), (500.0, 500.0))
TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""From the world, z up, to a camera that looks along y; det +1."""

AT = H36M_17.index


@dataclasses.dataclass(frozen=True)
class Scene:
    """A body whose joints and keypoints are exactly known: joints against the root, and the root, in the camera."""

    times: np.ndarray
    joints: np.ndarray
    roots: np.ndarray

    @property
    def keypoints(self) -> np.ndarray:
        return CAMERA.project(self.joints + self.roots[:, None])

    def track(self, joints: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> Track:
        rows = np.arange(len(self.times))
        seen = [keypoints.astype(np.float32), scores.astype(np.float32)]
        track = Track.of_keypoints(1, rows, self.times, np.zeros((len(rows), 4), np.float32), *seen)
        return dataclasses.replace(track, joints=joints.astype(np.float32), joint_scores=seen[1])

    def fitted(
        self, *, joints: np.ndarray | None = None, keypoints: np.ndarray | None = None,
        scores: np.ndarray | None = None, **options: Any,
    ) -> Track:  # fmt: skip
        """A body fitted to this scene, of which something else was lifted or seen."""
        joints, keypoints = (
            own if given is None else given for given, own in ((joints, self.joints), (keypoints, self.keypoints))
        )
        scores = np.ones(self.joints.shape[:2]) if scores is None else scores
        return fit_track(self.track(joints, keypoints, scores), keypoints, scores, CAMERA, **options)


def scene_at(times: np.ndarray, motion: ProceduralMotion | None = None) -> Scene:
    """Someone who walks, waves and squats, with the shape of bones that a fitted body has."""
    motion = motion or ProceduralMotion(Walk((0, 5), 1.5, 0.0), (Wave(0.2, 1.8), Squat(2.0, 1.5)))
    world = motion.joints(times) @ TO_CAMERA.T + (0, 1.0, 0)
    offsets = fit_module._symmetric_offsets(world)
    body = Body.of_joints(offsets, world, world[:, 0])
    body = dataclasses.replace(body, bends=np.clip(body.bends, *BENDS))
    return Scene(times, body.joints(), body.roots)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return scene_at(np.arange(90) / 30)


def rest_of(scene: Scene) -> np.ndarray:
    """The offsets that the scene's body was made with."""
    return fit_module._symmetric_offsets(scene.joints)


def misjudged(scene: Scene, degrees: float, seed: int) -> np.ndarray:
    """(N, 17, 3) the joints as a lifter errs: it turns bones, slowly to and fro, and keeps their lengths."""
    rng = np.random.default_rng(seed)
    joints = np.zeros_like(scene.joints)
    for joint, parent in enumerate(H36M_17.parents):
        if parent >= 0:
            sway = np.sin(3 * scene.times + rng.uniform(0, 6))[:, None] * np.radians(degrees) * rng.normal(0, 1, 3)
            bone = Rotation.from_rotvec(sway).apply(scene.joints[:, joint] - scene.joints[:, parent])
            joints[:, joint] = joints[:, parent] + bone
    return joints


def evidence_of(scene: Scene, joints: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> Evidence:
    return Evidence.of(
        joints, np.empty((90, 0, 2)), keypoints, scores, scene.roots, scene.times, np.zeros((90, 2), bool), CAMERA
    )


def error(track: Track, scene: Scene) -> np.ndarray:
    """(N, J) metres that joints are off, against the root."""
    return np.linalg.norm(track.joints - scene.joints, axis=-1)


def test_exact_joints_and_keypoints_are_found_exactly_from_elsewhere(scene: Scene):
    rng = np.random.default_rng(7)
    start = Body.of_joints(rest_of(scene), scene.joints, scene.roots)
    start = start.moved(rng.normal(0, 0.1, (90, UNKNOWNS)))
    assert np.linalg.norm(start.joints() - scene.joints, axis=-1).max() > 0.1
    evidence = evidence_of(scene, scene.joints, scene.keypoints, np.ones((90, 17)))
    anything_goes = Spread(acceleration=1e4, root_acceleration=1e4, roll=1e4, twist=1e3)
    body = best_body(start, evidence, anything_goes)
    assert np.linalg.norm(body.joints() - scene.joints, axis=-1).max() < 1e-3
    assert np.linalg.norm(body.roots - scene.roots, axis=-1).max() < 5e-3


def test_slow_movements_are_kept():
    slow = scene_at(np.arange(60) / 30, ProceduralMotion(Stand((0, 5), -1.0), (Bend(0.0, 2.5),)))
    track = slow.fitted()
    assert error(track, slow).mean() < 0.003
    assert np.linalg.norm(track.roots - slow.roots, axis=-1).max() < 0.02


def test_quick_movements_are_kept_too(scene: Scene):
    track = scene.fitted()
    assert error(track, scene).mean() < 0.006
    assert np.linalg.norm(track.roots - scene.roots, axis=-1).mean() < 0.02


def test_the_knees_of_a_quick_squat_are_kept():
    squat = scene_at(np.arange(75) / 50, ProceduralMotion(Stand((0, 5), -1.0), (Squat(0.3, 0.6),)))
    bends = [joint_angles(joints, H36M_17)["left_knee_flexion"] for joints in (squat.fitted().joints, squat.joints)]
    assert np.ptp(bends[1]) > 100
    assert np.abs(bends[0] - bends[1]).mean() < 1.3


def test_bones_never_change_their_lengths_and_are_alike_on_both_sides(scene: Scene):
    rng = np.random.default_rng(1)
    track = scene.fitted(joints=misjudged(scene, 10, seed=1) + rng.normal(0, 0.01, scene.joints.shape))
    parents = [max(parent, 0) for parent in H36M_17.parents]
    lengths = np.linalg.norm(track.joints - track.joints[:, parents], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-6)
    np.testing.assert_allclose(lengths[:, H36M_17.left], lengths[:, H36M_17.right], atol=1e-6)
    assert lengths[0, 1:].min() > 0.05


def test_rotations_and_joints_are_of_one_body(scene: Scene):
    track = scene.fitted()
    turned = matrices_of(track.rotations)
    offsets = rest_offsets(track.joints, H36M_17, turned)
    np.testing.assert_allclose(pose(offsets, turned, 0 * track.roots, H36M_17), track.joints, atol=1e-5)
    # And they turn as the joints say by themselves, but for the rolls of nearly straight limbs.
    apart = np.swapaxes(turned, -1, -2) @ orientations(scene.joints, H36M_17)
    angles = np.degrees(Rotation.from_matrix(apart.reshape(-1, 3, 3)).magnitude()).reshape(90, 17)
    assert np.median(angles[:, [AT("pelvis"), AT("thorax")]]) < 2


def test_keypoints_mend_what_the_lifter_got_wrong(scene: Scene):
    lifted = misjudged(scene, 15, seed=2)
    track = scene.fitted(joints=lifted)
    assert error(track, scene).mean() < 0.6 * np.linalg.norm(lifted - scene.joints, axis=-1).mean()


def test_a_stretch_that_the_detector_saw_badly_is_repaired(scene: Scene):
    rng = np.random.default_rng(3)
    bad = slice(40, 46)
    joints, keypoints, scores = scene.joints.copy(), scene.keypoints.copy(), np.ones((90, 17))
    joints[bad, 1:] += rng.normal(0, 0.12, (6, 16, 3))
    keypoints[bad] += rng.normal(0, 60, (6, 17, 2))
    scores[bad] = 0.05
    track = scene.fitted(joints=joints, keypoints=keypoints, scores=scores)
    before = np.linalg.norm(joints - scene.joints, axis=-1)[bad].mean()
    assert error(track, scene)[bad].mean() < 0.3 * before


def test_a_keypoint_that_is_plainly_wrong_is_not_believed(scene: Scene):
    keypoints = scene.keypoints.copy()
    keypoints[30:40, AT("left_wrist")] += (150, -90)
    wrong, right = scene.fitted(keypoints=keypoints), scene.fitted()
    assert np.linalg.norm(wrong.joints - right.joints, axis=-1).max() < 0.03


def test_knees_and_elbows_bend_no_further_than_they_can(scene: Scene):
    lifted = scene.joints.copy()
    turned = orientations(lifted, H36M_17)
    for side in ("left", "right"):
        forward = turned[:, AT("pelvis"), :, 2]
        lifted[20:60, AT(f"{side}_ankle")] += 0.35 * forward[20:60]
        lifted[20:60, AT(f"{side}_wrist")] -= 0.25 * forward[20:60]
    track = scene.fitted(joints=lifted)
    bends = relative(matrices_of(track.rotations), H36M_17)
    for joint, axis in HINGES.items():
        turn = Rotation.from_matrix(bends[:, AT(joint)]).as_rotvec(degrees=True)
        assert (turn @ axis > -5.01).all()
        assert (turn @ axis < 155.01).all()
        np.testing.assert_allclose(np.cross(turn, axis), 0, atol=1e-3)


def test_the_windows_leave_no_seam(monkeypatch: pytest.MonkeyPatch):
    scene = scene_at(np.arange(150) / 25)
    lifted = misjudged(scene, 10, seed=4)
    monkeypatch.setattr(fit_module, "_WINDOW_SECONDS", 2.5)
    assert len(fit_module._windows(scene.times)) == 3
    pieces = scene.fitted(joints=lifted)
    monkeypatch.setattr(fit_module, "_WINDOW_SECONDS", 100.0)
    whole = scene.fitted(joints=lifted)
    np.testing.assert_allclose(pieces.joints, whole.joints, atol=0.008)
    np.testing.assert_allclose(pieces.roots, whole.roots, atol=0.02)
    jolts = [np.linalg.norm(np.diff(track.joints, n=2, axis=0), axis=-1).max() for track in (pieces, whole)]
    assert jolts[0] < 1.2 * jolts[1]


def test_every_row_lies_in_a_window_whatever_the_frame_rate():
    for rate in (0.2, 1, 7, 240):
        times = np.arange(int(30 * rate) + 2) / rate
        windows = fit_module._windows(times)
        assert windows[0][0] == 0
        assert windows[-1][1] == len(times)
        for (_, stop), (start, _) in itertools.pairwise(windows):
            assert start <= stop


def test_the_frame_rate_changes_little():
    fast, slow = scene_at(np.arange(120) / 60), scene_at(np.arange(60) / 30)
    np.testing.assert_allclose(fast.fitted().joints[::2], slow.fitted().joints, atol=0.012)


def test_the_step_goes_down_the_slope_of_the_cost(scene: Scene):
    rng = np.random.default_rng(5)
    lifted = scene.joints + rng.normal(0, 0.05, scene.joints.shape)
    keypoints = scene.keypoints + rng.normal(0, 8, scene.keypoints.shape)
    scores = rng.uniform(0, 1, (90, 17))
    body = Body.of_joints(fit_module._symmetric_offsets(lifted), lifted, scene.roots)
    seen = (lifted, np.empty((90, 0, 2)), keypoints, scores, scene.roots, scene.times, rng.uniform(size=(90, 2)) < 0.7)
    agreement = Agreement(Evidence.of(*(array[:12] for array in seen), CAMERA), SPREAD)
    body = dataclasses.replace(body[:12], bends=body.bends[:12] - 0.3)
    _, downhill = agreement.normal_equations(body)
    for _ in range(3):
        change = rng.normal(0, 1e-6, downhill.shape)
        slope = (agreement.cost(body.moved(change)) - agreement.cost(body.moved(-change))) / 2
        # The matrix of the twists' weights is held fixed, which is a few thousandths of it all.
        assert slope == pytest.approx(-2 * (downhill * change).sum(), rel=0.02, abs=1e-3 * abs(downhill).max() * 1e-6)


def test_a_foot_that_rests_slides_less_and_the_pose_is_no_worse(scene: Scene):
    lifted, ankles = misjudged(scene, 8, seed=2), [AT("left_ankle"), AT("right_ankle")]
    true = (scene.joints + scene.roots[:, None])[:, ankles]
    speeds = np.linalg.norm(np.gradient(true, scene.times, axis=0), axis=-1)
    rests = (speeds[1:] < 0.05) & (speeds[:-1] < 0.05)
    assert rests.sum() > 20
    slid, off = [], []
    for known in (None, np.where(speeds < 0.05, 0.0, np.inf)):
        track = scene.fitted(joints=lifted, speeds=known)
        ankle = (track.joints + track.roots[:, None])[:, ankles]
        slid.append(np.linalg.norm(np.diff(ankle, axis=0), axis=-1)[rests].mean())
        off.append(np.linalg.norm(track.joints - scene.joints, axis=-1).mean())
    assert slid[1] < 0.6 * slid[0]
    assert off[1] < off[0] + 0.0005


def test_rows_without_a_pose_stay_empty(scene: Scene):
    joints, scores = scene.joints.copy(), np.ones((90, 17))
    joints[30:60], scores[30:60] = np.nan, 0
    track = scene.fitted(joints=joints, scores=scores)
    empty = np.isnan(track.joints).all(axis=(1, 2))
    np.testing.assert_array_equal(np.flatnonzero(empty), np.arange(30, 60))
    assert np.isnan(track.rotations[30:60]).all()
    assert np.isnan(track.roots[30:60]).all()
    np.testing.assert_allclose(
        bone_lengths(track.joints[:30], H36M_17), bone_lengths(track.joints[60:], H36M_17), atol=1e-6
    )


def test_a_body_is_exactly_as_tall_as_it_is_said_to_be(scene: Scene):
    as_lifted, tall = scene.fitted(), scene.fitted(height=1.93)
    assert stature(tall.joints, H36M_17) == pytest.approx(1.93, abs=1e-4)
    seen = CAMERA.project(tall.joints + tall.roots[:, None])
    np.testing.assert_allclose(seen, CAMERA.project(as_lifted.joints + as_lifted.roots[:, None]), atol=0.05)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_frames_are_enough(scene: Scene, rows: int):
    short = Scene(scene.times[:rows], scene.joints[:rows], scene.roots[:rows])
    track = short.fitted()
    assert error(track, short).max() < 0.02
    assert np.isfinite(track.rotations).all()


def test_without_keypoints_the_lifter_is_believed_and_the_place_unknown(scene: Scene):
    track = scene.fitted(keypoints=np.full((90, 17, 2), np.nan), scores=np.zeros((90, 17)))
    assert error(track, scene).mean() < 0.02
    assert np.isnan(track.roots).all()


def test_nobody_lifted_is_left_alone(scene: Scene, caplog: pytest.LogCaptureFixture):
    nobody = scene.track(np.full((90, 17, 3), np.nan), scene.keypoints, np.ones((90, 17)))
    with caplog.at_level(logging.WARNING):
        assert fit_track(nobody, scene.keypoints, np.ones((90, 17)), CAMERA) is nobody
    assert "person 1 has no 3D joints" in caplog.text


def result_of(scene: Scene, camera: PinholeCamera | None, joint_layout: str = H36M_17.name) -> PoseResult:
    source = Source("walk.mp4", 1000, 1000, scene.times, Fraction(30))
    track = scene.track(scene.joints, scene.keypoints, np.ones((90, 17)))
    return PoseResult(source, (track,), H36M_17.name, joint_layout, {}, camera)


def test_a_result_says_that_it_was_fitted_and_how_well(scene: Scene):
    result = fit(result_of(scene, CAMERA), height={1: 1.8})
    assert result.provenance["fit"] == "body"
    assert reprojection_by_id(result)[1] < 3
    assert stature(result.tracks[0].joints, H36M_17) == pytest.approx(1.8, abs=1e-4)


def test_a_result_without_a_camera_or_a_rest_pose_is_refused(scene: Scene):
    with pytest.raises(UsageError, match="place the people first"):
        fit(result_of(scene, None))
    with pytest.raises(UsageError, match=r"coco17.*no rest pose"):
        fit(dataclasses.replace(result_of(scene, CAMERA, COCO_17.name), keypoint_layout=COCO_17.name))


def test_the_solver_keeps_to_one_thread(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """Threads of BLAS that wait in a loop took 50 times the processor time of the fit."""
    threads = []
    solve = block_band.solveh_banded

    def solving(*args, **options):
        threads.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return solve(*args, **options)

    monkeypatch.setattr(block_band, "solveh_banded", solving)
    with threadpool_limits(limits=2, user_api="blas"):
        if not any(library["user_api"] == "blas" for library in threadpool_info()):
            pytest.skip("this BLAS has no threads that can be set")
        scene.fitted()
        fit_in_space(scene.joints, scene.roots, scene.times)
    assert set(threads) == {1}


def test_time_grows_with_the_length():
    def seconds(length: int) -> float:
        scene = scene_at(np.arange(25 * length) / 25)
        lifted = scene.joints + np.random.default_rng(6).normal(0, 0.03, scene.joints.shape)
        started = time.process_time()
        scene.fitted(joints=lifted)
        return time.process_time() - started

    seconds(10)
    assert seconds(80) < 4 * 1.6 * seconds(20)


@pytest.mark.parametrize("seed", range(3))
def test_straight_arms_hang_where_they_were_lifted(seed: int):
    """Which way they bend is noise, and a fit that begins with elbows turned round would bend them to no end."""
    standing = scene_at(np.arange(90) / 30, ProceduralMotion(Stand((0, 5), 0.3)))
    joints = standing.joints.copy()
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joints[:, AT(f"{side}_{part}")] for part in ("shoulder", "elbow", "wrist"))
        lengths = [np.linalg.norm(bone, axis=-1, keepdims=True) for bone in (wrist - elbow, elbow - shoulder)]
        wrist[:] = elbow + (elbow - shoulder) * lengths[0] / lengths[1]
    noise = Smoothing.parse("butterworth:6")(np.random.default_rng(seed).normal(size=joints.shape), standing.times)
    noise *= 0.03 / noise.std()
    noise[:, 0] = 0
    straight = dataclasses.replace(standing, joints=joints)
    wrists = [AT("left_wrist"), AT("right_wrist")]
    off = error(straight.fitted(joints=joints + noise), straight)[:, wrists]
    lifted = np.linalg.norm(noise, axis=-1)[:, wrists]
    assert off.mean() < lifted.mean()
    assert off.max() < lifted.max() + 0.1
