"""Several views of scenes whose truth is known: nothing is rendered, keypoints are projected."""

import logging
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import clips
import cv2
import numpy as np
import pytest

from vidpose.body.kinematics import matrices_of, pose, rest_offsets
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import UsageError, VidposeError
from vidpose.pipeline.view_stage import cameras_of, describe_agreement, merge_views, who_is_who
from vidpose.refine.smoothing import Smoothing
from vidpose.synth.camera import StudioCamera as SynthCamera
from vidpose.synth.scenes import SCENES
from vidpose.views import ViewCamera
from vidpose.views.clock import sample, synchronise
from vidpose.views.triangulation import triangulate, triangulate_robustly

AROUND = [(0.0, -4.9, 1.45), (3.6, -3.4, 1.2), (-4.0, 1.5, 2.0), (2.5, 4.2, 1.6)]
UNSMOOTHED = Smoothing.parse("none")
RIGHT_ARM = [H36M_17.index("right_elbow"), H36M_17.index("right_wrist")]


def camera_at(place: tuple[float, float, float], lens: tuple[float, ...] = (0.0,) * 4) -> ViewCamera:
    seen = SynthCamera(848, 480, 790.0, place, (0.0, 0.0, 0.97))
    return ViewCamera(str(place), (848, 480), (790.0, 791.0), (424.0, 240.0), lens, False, seen.rotation,
                      seen.world_to_camera[:, 3], True)  # fmt: skip


def project(camera: ViewCamera, points: np.ndarray) -> np.ndarray:
    """World points (..., 3) to pixels, by OpenCV."""
    rotation = cv2.Rodrigues(camera.rotation)[0]
    lens = np.array(camera.distortion)
    return cv2.projectPoints(points.reshape(-1, 3), rotation, camera.translation, camera.matrix, lens)[0].reshape(
        *points.shape[:-1], 2
    )


def view_of(
    camera: ViewCamera, world: np.ndarray, times: np.ndarray, *, noise: float = 0.0, lifter_error: float = 0.06
) -> PoseResult:
    """What one view knows of people (P, T, 17, 3): keypoints, and lifted poses, `lifter_error` metres wrong."""
    rng = np.random.default_rng(zlib.crc32(camera.name.encode()))
    tracks = []
    for i, joints in enumerate(world):
        keypoints = (project(camera, joints) + rng.normal(size=(*joints.shape[:2], 2)) * noise).astype(np.float32)
        boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
        track = Track.of_keypoints(
            i + 1, np.arange(len(times)), times, boxes, keypoints, np.full(keypoints.shape[:2], 0.9, np.float32)
        )
        wrong = rng.normal(size=joints.shape) * lifter_error / np.sqrt(3)
        wrong[:, 0] = 0
        lifted = (joints - joints[:, :1]) @ camera.rotation.T + wrong
        tracks.append(replace(track, joints=lifted.astype(np.float32), joint_scores=track.scores))
    step = Fraction(float(times[1] - times[0])).limit_denominator(1000)
    source = Source(f"{camera.name}.mp4", 848, 480, times, 1 / step)
    return PoseResult(source, tuple(tracks), "h36m17", "h36m17", {"lifter": "none"})


def world_of(result: PoseResult, track: Track) -> np.ndarray:
    """(N, 17, 3) joints of a track in the world."""
    turn = result.camera.to_world
    return (track.joints + track.roots[:, None]) @ turn[:, :3].T + turn[:, 3]


def millimetres(found: np.ndarray, truth: np.ndarray) -> float:
    return 1000 * float(np.linalg.norm(found - truth, axis=-1).max())


@pytest.fixture(scope="module")
def walk() -> tuple[np.ndarray, np.ndarray]:
    scene = SCENES["walk-wave"]
    return scene.joints()[:, :60], scene.times[:60]


@pytest.fixture(scope="module")
def two_people() -> tuple[np.ndarray, np.ndarray]:
    scene = SCENES["two-people"]
    return scene.joints(), scene.times


# Points


def test_points_are_where_opencv_triangulates_them():
    cameras = [camera_at(place) for place in AROUND[:2]]
    points = np.random.default_rng(0).uniform(-1, 1, (30, 3))
    pixels = [project(camera, points) for camera in cameras]
    ideal = np.stack([camera.ideal(some) for camera, some in zip(cameras, pixels, strict=True)])
    matrices = np.stack([camera.world_to_camera for camera in cameras])
    found = triangulate(ideal, np.ones((2, 30)), matrices)
    homogeneous = cv2.triangulatePoints(*matrices, *(rays.T for rays in ideal))
    np.testing.assert_allclose(found, (homogeneous[:3] / homogeneous[3]).T, atol=1e-8)
    np.testing.assert_allclose(found, points, atol=1e-8)


def test_a_surer_view_has_more_say():
    cameras = [camera_at(place) for place in AROUND[:3]]
    point = np.array([[0.1, 0.2, 1.0]])
    ideal = np.stack([camera.ideal(project(camera, point)) for camera in cameras])
    ideal[2, 0, 1] += 0.005
    errors = [
        np.linalg.norm(triangulate_robustly(ideal, np.array([[0.9], [0.9], [score]]), cameras).positions - point)
        for score in (0.9, 0.5, 0.1)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


@pytest.mark.parametrize("wrong", range(4))
def test_one_view_that_is_wrong_is_left_out(wrong):
    cameras = [camera_at(place) for place in AROUND]
    points = np.random.default_rng(1).uniform((-0.5, -0.5, 0), (0.5, 0.5, 1.8), (40, 3))
    ideal = np.stack([camera.ideal(project(camera, points)) for camera in cameras])
    ideal[wrong] += np.random.default_rng(2).choice([-1, 1], (40, 2)) * 0.1
    found = triangulate_robustly(ideal, np.ones((4, 40)), cameras)
    assert millimetres(found.positions, points) < 1e-3
    assert not found.agreeing[wrong].any()
    assert np.delete(found.agreeing, wrong, axis=0).all()


def test_two_views_that_contradict_each_other_give_nothing():
    cameras = [camera_at(place) for place in AROUND[:2]]
    point = np.array([[0.0, 0.0, 1.0]])
    ideal = np.stack([camera.ideal(project(camera, point)) for camera in cameras])
    ideal[1, 0, 1] += 0.1
    found = triangulate_robustly(ideal, np.ones((2, 1)), cameras)
    assert np.isnan(found.positions).all()
    assert not found.agreeing.any()


def test_rays_that_run_side_by_side_give_nothing():
    cameras = [camera_at((0.0, -4.9, 1.45)), camera_at((0.1, -4.9, 1.45))]
    point = np.array([[0.0, 0.0, 1.0]])
    ideal = np.stack([camera.ideal(project(camera, point)) for camera in cameras])
    assert np.isnan(triangulate_robustly(ideal, np.ones((2, 1)), cameras).positions).all()


def test_a_point_behind_a_camera_is_none():
    cameras = [camera_at(place) for place in AROUND[:2]]
    behind = np.array([[2.0, -9.0, 1.0]])
    seen = [behind @ camera.rotation.T + camera.translation for camera in cameras]
    assert all(some[0, 2] < 0 for some in seen)
    ideal = np.stack([some[:, :2] / some[:, 2:] for some in seen])
    assert np.isnan(triangulate_robustly(ideal, np.ones((2, 1)), cameras).positions).all()


# People


@pytest.mark.parametrize("lens", [(0.0,) * 4, (-0.2, 0.05, 0.002, -0.001)])
def test_exact_keypoints_give_exact_joints_in_every_camera(lens, walk):
    world, times = walk
    cameras = [camera_at(place, lens) for place in AROUND[:2]]
    merged = merge_views([view_of(camera, world, times) for camera in cameras], cameras, UNSMOOTHED)
    for camera, result in zip(cameras, merged, strict=True):
        (track,) = result.tracks
        assert track.lifted.all()
        assert millimetres(world_of(result, track), world[0]) < 1
        in_camera = world[0] @ camera.rotation.T + camera.translation
        assert millimetres(track.joints + track.roots[:, None], in_camera) < 1
        assert np.abs(track.joints[:, 0]).max() == 0
        assert result.camera.focal == camera.focal
        assert result.agreement.reprojection_px < 0.01
        assert result.agreement.triangulated == 1
        assert result.provenance["lifter"] == "none"
        assert "100% of the keypoints agree with other views, to 0.0 px" in describe_agreement(result.agreement)
    assert merged[0].tracks[0].joints.dtype == merged[0].tracks[0].roots.dtype == np.float32


def test_four_views_average_their_noise(walk):
    world, times = walk
    errors, pixels = [], []
    for count in (2, 4):
        cameras = [camera_at(place) for place in AROUND[:count]]
        merged = merge_views([view_of(c, world, times, noise=3.0) for c in cameras], cameras, UNSMOOTHED)
        found = world_of(merged[0], merged[0].tracks[0])
        errors.append(1000 * np.linalg.norm(found - world[0], axis=-1).mean())
        pixels.append(merged[0].agreement.reprojection_px)
    assert errors[1] < 0.75 * errors[0] < 40
    # Of 2V noisy coordinates the point takes 3, so these are about the medians of what normal noise leaves over.
    np.testing.assert_allclose(pixels, [3 * 0.674 / np.sqrt(2), 3 * 1.177 * np.sqrt(5 / 8)], rtol=0.15)


def test_smoothing_takes_out_noise_and_keeps_the_root_smooth_too(walk):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, world, times, noise=3.0) for camera in cameras]
    rough, smooth = (merge_views(views, cameras, Smoothing.parse(how))[0] for how in ("none", "butterworth:3"))
    for get in (lambda track: track.joints, lambda track: track.roots):
        jitter = [np.abs(np.diff(get(result.tracks[0]), n=2, axis=0)).mean() for result in (rough, smooth)]
        assert jitter[1] < 0.4 * jitter[0]
    assert smooth.provenance["smoothing"] == "butterworth:3"


def test_an_arm_that_one_view_sees_hangs_on_the_body_and_lies_on_its_ray(walk):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, world, times, lifter_error=0.08) for camera in cameras]
    hidden = views[1].tracks[0]
    hidden.scores[:, RIGHT_ARM] = hidden.joint_scores[:, RIGHT_ARM] = 0
    merged = merge_views(views, cameras, UNSMOOTHED)
    found = world_of(merged[0], merged[0].tracks[0])
    rest = [joint for joint in range(17) if joint not in RIGHT_ARM]
    assert millimetres(found[:, rest], world[0][:, rest]) < 1
    pixels = project(cameras[0], found[:, RIGHT_ARM].astype(np.float64))
    assert np.abs(pixels - views[0].tracks[0].keypoints[:, RIGHT_ARM]).max() < 0.1
    off = np.linalg.norm(found - world[0], axis=-1)[:, RIGHT_ARM].mean()
    lifted = views[0].tracks[0].joints @ cameras[0].rotation - (world[0] - world[0][:, :1])
    assert 0.005 < off < np.linalg.norm(lifted, axis=-1)[:, RIGHT_ARM].mean()
    assert merged[0].agreement.triangulated < 1


def test_an_arm_that_nobody_sees_is_the_lifters(walk):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, world, times, lifter_error=0.08) for camera in cameras]
    for view in views:
        view.tracks[0].scores[:, RIGHT_ARM] = view.tracks[0].joint_scores[:, RIGHT_ARM] = 0
    (track,) = merge_views(views, cameras, UNSMOOTHED)[0].tracks
    assert track.lifted.all()
    assert (track.joint_scores[:, RIGHT_ARM] == 0).all()
    bodies = [view.tracks[0].joints @ camera.rotation for view, camera in zip(views, cameras, strict=True)]
    forearm = (track.joints @ cameras[0].rotation)[:, RIGHT_ARM]
    expected = np.mean(bodies, axis=0)[:, RIGHT_ARM]
    np.testing.assert_allclose(forearm[:, 1] - forearm[:, 0], expected[:, 1] - expected[:, 0], atol=1e-5)


def test_a_moment_that_one_view_misses_is_bridged_and_a_long_one_keeps_the_lifters_pose(walk):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, world, times) for camera in cameras]
    lost = views[1].tracks[0]
    for gone in (slice(5, 8), slice(20, 50)):
        lost.keypoints[gone], lost.scores[gone], lost.joints[gone], lost.joint_scores[gone] = np.nan, 0, np.nan, 0
    (track,) = merge_views(views, cameras, UNSMOOTHED, max_gap=0.5)[0].tracks
    assert track.lifted.all()
    assert np.isfinite(track.roots[:20]).all()
    assert np.isnan(track.roots[20:50]).all()
    in_camera = world[0] @ cameras[0].rotation.T + cameras[0].translation
    assert millimetres(track.roots[5:8], in_camera[5:8, 0]) < 20
    np.testing.assert_allclose(track.joints[30], views[0].tracks[0].joints[30], atol=1e-5)


# Who is who


def test_two_people_whose_boxes_cross_keep_their_ids_in_every_view(two_people):
    world, times = two_people
    cameras = [camera_at(place) for place in [(6.0, -1.5, 1.5), *AROUND[:2]]]
    views = [view_of(camera, world, times, noise=3.0) for camera in cameras]
    boxes = [track.boxes for track in views[0].tracks]
    low, high = np.maximum(boxes[0][:, :2], boxes[1][:, :2]), np.minimum(boxes[0][:, 2:], boxes[1][:, 2:])
    assert (low < high).all(axis=1).any()
    # The second view happens to have met them in the other order.
    first, second = views[1].tracks
    views[1] = replace(views[1], tracks=(replace(second, id=1), replace(first, id=2)))
    assert sorted(map(sorted, who_is_who(views, cameras))) == [[(0, 1), (1, 2), (2, 1)], [(0, 2), (1, 1), (2, 2)]]
    merged = merge_views(views, cameras, UNSMOOTHED)
    for result in merged:
        assert sorted(track.id for track in result.tracks) == [1, 2]
        for track in result.tracks:
            off = np.linalg.norm(world_of(result, track) - world[track.id - 1], axis=-1)
            assert off.mean() < 0.04


@pytest.mark.parametrize("places", [AROUND[:2], [(-2.0, -4.5, 1.0), (2.0, -4.5, 1.0)], [(0, -4.9, 1.0), (0, 4.9, 1.0)]])
def test_people_whom_different_views_see_are_not_taken_for_one(places, two_people):
    world, times = two_people
    cameras = [camera_at(place) for place in places]
    views = [view_of(camera, world[[i]], times, noise=3.0) for i, camera in enumerate(cameras)]
    merged = merge_views(views, cameras, UNSMOOTHED)
    assert {track.id for result in merged for track in result.tracks} == {1, 2}
    for view, result in zip(views, merged, strict=True):
        np.testing.assert_array_equal(result.tracks[0].joints, view.tracks[0].joints)
        camera = cameras[0 if result is merged[0] else 1]
        truth = world[result.tracks[0].id - 1, :, 0] @ camera.rotation.T + camera.translation
        assert np.linalg.norm(result.tracks[0].roots - truth, axis=-1).mean() < 0.25


def test_someone_whom_one_view_lost_and_found_again_is_one_person(walk):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, world, times) for camera in cameras]
    (whole,) = views[0].tracks

    def part(rows: slice, id_: int) -> Track:
        names = ("frames", "times", "boxes", "keypoints", "scores", "joints", "joint_scores", "roots", "rotations")
        return replace(whole, id=id_, **{name: getattr(whole, name)[rows] for name in names})

    views[0] = replace(views[0], tracks=(part(slice(0, 20), 1), part(slice(30, 60), 2)))
    merged = merge_views(views, cameras, UNSMOOTHED)
    (track,) = merged[0].tracks
    assert track.id == merged[1].tracks[0].id == 1
    np.testing.assert_array_equal(track.frames, np.arange(60))
    np.testing.assert_array_equal(track.seen, (track.frames < 20) | (track.frames >= 30))
    np.testing.assert_array_equal(track.keypoints[30:], whole.keypoints[30:])


def test_a_view_without_anybody_leaves_the_lifters_poses_and_says_so(walk, caplog):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(cameras[0], world, times), view_of(cameras[1], world[:0], times)]
    with caplog.at_level(logging.WARNING):
        merged = merge_views(views, cameras, UNSMOOTHED)
    assert "nobody is seen by two views" in caplog.text
    np.testing.assert_array_equal(merged[0].tracks[0].joints, views[0].tracks[0].joints)
    assert merged[1].tracks == ()
    assert "poses are the lifter's" in describe_agreement(merged[0].agreement)


def test_the_calibration_of_another_place_matches_nobody(walk, caplog):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, world, times) for camera in cameras]
    with caplog.at_level(logging.WARNING):
        merged = merge_views(views, [camera_at(place) for place in AROUND[2:]], UNSMOOTHED)
    assert "is this these videos' calibration?" in caplog.text
    assert [track.id for result in merged for track in result.tracks] == [1, 2]


def test_a_saved_result_has_the_camera_and_its_world(walk, tmp_path):
    world, times = walk
    cameras = [camera_at(AROUND[0]), replace(camera_at(AROUND[1]), z_up=False)]
    merged = merge_views([view_of(camera, world, times) for camera in cameras], cameras, UNSMOOTHED)
    merged[0].save(tmp_path / "r.npz")
    loaded = PoseResult.load(tmp_path / "r.npz")
    assert millimetres(world_of(loaded, loaded.tracks[0]), world[0]) < 1
    assert merged[1].camera.to_world is None


# Time


def test_views_of_different_rates_are_put_together_by_their_timestamps():
    motion = SCENES["walk-wave"].people[0].motion
    slow, fast = np.arange(50) / 25, np.arange(120) / 60 + 0.004
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, motion.joints(times)[None], times)
             for camera, times in zip(cameras, (slow, fast), strict=True)]  # fmt: skip
    for result, times in zip(merge_views(views, cameras, UNSMOOTHED), (slow, fast), strict=True):
        (track,) = result.tracks
        inner = slice(1, -3)
        np.testing.assert_array_equal(track.times[inner], times[inner])
        # Straight lines between the true joints at 25 frames/s are 23 mm off where a wrist turns; half a frame of delay
        # would be 60.
        assert millimetres(world_of(result, track)[inner], motion.joints(times)[inner]) < 25


def test_a_fitted_body_is_the_same_in_all_views_and_its_bones_keep_their_lengths():
    motion = SCENES["walk-wave"].people[0].motion
    slow, fast = np.arange(50) / 25, np.arange(120) / 60 + 0.004
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(camera, motion.joints(times)[None], times, noise=3.0)
             for camera, times in zip(cameras, (slow, fast), strict=True)]  # fmt: skip
    fitted = merge_views(views, cameras, Smoothing.parse("butterworth:6"), fit=True)
    parents = [max(parent, 0) for parent in H36M_17.parents]
    lengths = []
    for result, times in zip(fitted, (slow, fast), strict=True):
        (track,) = result.tracks
        rows = track.lifted
        bones = np.linalg.norm(track.joints - track.joints[:, parents], axis=-1)[rows]
        np.testing.assert_allclose(bones, np.broadcast_to(bones[0], bones.shape), atol=1e-5)
        lengths.append(bones[0])
        # The body of this motion is not a rigid one about the thorax, and keypoints are off by 3 px.
        inner = slice(1, -3)
        assert 1000 * np.linalg.norm(world_of(result, track) - motion.joints(times), axis=-1)[inner].mean() < 40
        turned = matrices_of(track.rotations[rows])
        offsets = rest_offsets(track.joints[rows], H36M_17, turned)
        again = pose(offsets, turned, np.zeros((rows.sum(), 3)), H36M_17)
        np.testing.assert_allclose(again, track.joints[rows], atol=1e-4)
        assert result.provenance["fit"] == "body"
        # These keypoints have neither heels nor toes.
        assert track.extremities.shape == (len(track), 0, 3)
    np.testing.assert_allclose(*lengths, atol=1e-5)


def test_frames_go_together_by_number_when_rates_and_lengths_agree():
    late = np.arange(60) / 30 + 0.4
    sources = [Source("a.mp4", 8, 8, np.arange(61) / 30, None), Source("b.mp4", 8, 8, late, None)]
    clock = synchronise(sources)
    np.testing.assert_array_equal(clock.positions[0], np.arange(61))
    np.testing.assert_array_equal(clock.positions[1][:60], np.arange(60))
    assert np.isnan(clock.positions[1][60])


@pytest.mark.parametrize("late", [0.0, 0.4])
@pytest.mark.parametrize(
    "times",
    [
        np.arange(0, 60, 1 / 29.98),
        np.delete(np.arange(1800) / 30, 600),
        np.delete(np.arange(1800) / 30, slice(600, 602)),
        np.delete(np.arange(18000) / 30, slice(6000, 6010)),
    ],
    ids=["another rate", "one frame missing", "two", "ten"],
)
def test_frames_go_together_by_their_times_where_numbers_would_drift(times, late):
    steady = np.arange(18000 if times[-1] > 60 else 1800) / 30
    clock = synchronise([Source("a.mp4", 8, 8, steady, None), Source("b.mp4", 8, 8, times + late, None)])
    positions = clock.positions[1]
    known = np.isfinite(positions)
    assert known.sum() > len(steady) - 20
    np.testing.assert_allclose(np.interp(positions[known], np.arange(len(times)), times), steady[known], atol=1e-6)


def test_as_many_frames_go_together_by_number_though_a_container_states_another_rate():
    sources = [Source("a.mp4", 8, 8, np.arange(900) / rate, None) for rate in (30, 30000 / 1001)]
    np.testing.assert_array_equal(synchronise(sources).positions[1], np.arange(900))


def test_values_between_frames_lie_on_the_line_between_them():
    values = np.array([[0.0], [2.0], [np.nan], [6.0]])
    found = sample(values, np.array([0.0, 0.5, 1.01, 1.5, 3.0, np.nan]))
    np.testing.assert_allclose(found[:, 0], [0, 1, 2, np.nan, 6, np.nan])


def test_views_of_unequal_length_are_refused(walk):
    world, times = walk
    cameras = [camera_at(place) for place in AROUND[:2]]
    views = [view_of(cameras[0], world, times), view_of(cameras[1], world[:, :50], times[:50])]
    with pytest.raises(VidposeError, match=r"50 frames \(2.00 s\) and .* 60 \(2.40 s\); views must be synchronised"):
        merge_views(views, cameras, UNSMOOTHED)


# Opening


def write_toml(path: Path, *names: str) -> Path:
    camera = """[{name}]\nname = "{name}"\nsize = [96, 64]\nmatrix = [[90.0, 0, 48], [0, 90.0, 32], [0, 0, 1]]
distortions = [0.0, 0.0, 0.0, 0.0]\nrotation = [0.1, 0.2, 0.3]\ntranslation = [0.0, 0.0, 3.0]\n"""
    path.write_text("".join(camera.format(name=name) for name in names))
    return path


def test_cameras_are_given_to_videos_before_anybody_is_looked_for(tmp_path, cfr_clip, odd_clip):
    calibration = write_toml(tmp_path / "c.toml", "cfr", "odd", "third")
    cameras, told_by = cameras_of(calibration, [odd_clip, cfr_clip])
    assert [camera.name for camera in cameras] == ["odd", "cfr"]
    assert told_by == "name"


def test_cameras_that_names_do_not_tell_are_taken_in_order_which_is_said(tmp_path, cfr_clip, odd_clip, caplog):
    with caplog.at_level(logging.WARNING):
        cameras, told_by = cameras_of(write_toml(tmp_path / "c.toml", "left", "right"), [odd_clip, cfr_clip])
    assert [camera.name for camera in cameras] == ["left", "right"]
    assert told_by == "order"
    assert "odd.mp4 is 'left', cfr.mp4 is 'right'" in caplog.text


def test_a_video_given_twice_and_one_of_another_shape_are_refused(tmp_path, cfr_clip):
    calibration = write_toml(tmp_path / "c.toml", "cfr", "tall")
    with pytest.raises(UsageError, match="given twice"):
        cameras_of(calibration, [cfr_clip, cfr_clip])
    tall = clips.write_clip(tmp_path / "tall.mp4", [clips.grey_picture(0, 64, 96)])
    with pytest.raises(VidposeError, match=r"tall.mp4: its pictures are 64x96, but camera 'tall' was .* 96x64"):
        cameras_of(calibration, [cfr_clip, tall])
