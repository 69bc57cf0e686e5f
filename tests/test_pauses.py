"""Pauses and jumps of time: nothing is computed across them, and no export makes up what was not recorded."""

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from exports import bvh_joints, expected, gltf_joints, read_c3d, read_trc, result_of, track_of, world_joints

from vidpose.body.skeletons import H36M_17
from vidpose.body.stretches import jumps, unbroken
from vidpose.export import FORMATS
from vidpose.export.placing import EvenClock
from vidpose.refine.fit import fit
from vidpose.refine.ground import find_ground
from vidpose.refine.roots import root_path
from vidpose.refine.smoothing import Smoothing

PAUSE = np.concatenate([np.arange(25) / 25, 10.96 + np.arange(25) / 25])
"""Fifty frames at 25 a second, with ten seconds between the two halves."""


def paused(seconds: float, frames: int = 30) -> np.ndarray:
    times = np.arange(frames) / 25
    times[frames // 2 :] += seconds
    return times


def test_a_stretch_ends_where_time_jumps():
    there = np.full(50, True)
    assert unbroken(there, PAUSE) == [slice(0, 25), slice(25, 50)]
    there[10:12] = False
    assert unbroken(there, PAUSE) == [slice(0, 10), slice(12, 25), slice(25, 50)]
    assert unbroken(there, PAUSE, 20) == [slice(0, 10), slice(12, 50)]


def test_few_frames_a_second_are_no_jumps():
    assert not jumps(np.arange(20) * 60.0).any()
    assert jumps(np.append(np.arange(20) * 60.0, 2000.0)).tolist() == [False] * 19 + [True]


@pytest.mark.parametrize("method", ["butterworth", "savgol", "one-euro"])
@pytest.mark.parametrize("seconds", [15.0, 3 * 3600.0])
def test_smoothing_takes_the_memory_of_the_frames(method: str, seconds: float):
    curves = np.random.default_rng(0).normal(size=(30, 17, 3))
    smooth = Smoothing.parse(method)
    tracemalloc.start()
    smoothed = smooth(curves, paused(seconds))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e7
    if method != "one-euro":
        for half in (slice(0, 15), slice(15, 30)):
            np.testing.assert_allclose(smoothed[half], smooth(curves[half], paused(seconds)[half]), atol=1e-9)


def test_a_body_is_fitted_on_either_side_of_a_pause_as_without_it():
    """Two stretches apart in time are fitted as they are in two files, but for the bones, which they share."""
    world = world_joints(30)
    result = result_of(track_of(world), place="camera", times=paused(15))
    track = result.tracks[0]
    pixels = result.camera.project(track.joints + track.roots[:, None]).astype(np.float32)
    seen = dataclasses.replace(track, keypoints=pixels, scores=np.ones((30, 17), np.float32))
    result = dataclasses.replace(result, tracks=(seen,), keypoint_layout=H36M_17.name)
    fitted = fit(result).tracks[0]
    assert np.isfinite(fitted.joints).all()
    assert np.linalg.norm(fitted.joints - track.joints, axis=-1).mean() < 0.02
    path = root_path(seen.joints, pixels, seen.scores, result.camera, seen.times)
    for half in (slice(0, 15), slice(15, 30)):
        alone = root_path(seen.joints[half], pixels[half], seen.scores[half], result.camera, np.arange(15) / 25)
        np.testing.assert_allclose(path[half], alone, atol=1e-6)


def test_feet_do_not_stand_through_a_pause():
    """A foot in the air before and after a pause of hours is no floor."""
    world = world_joints(60)
    times = np.arange(60) / 25
    body = ((world - world[:, :1])[..., [0, 2, 1]] * (1, -1, 1), world[:, 0][..., [0, 2, 1]] * (1, -1, 1) + (0, 0, 5))
    plain = find_ground([(*body, times)], H36M_17)
    paused_times = times.copy()
    paused_times[30:] += 3 * 3600
    np.testing.assert_allclose(find_ground([(*body, paused_times)], H36M_17), plain, atol=0.05)


# Exports


def test_a_pause_keeps_the_rate_and_its_rows_are_empty(tmp_path: Path):
    world = world_joints(50)
    result = result_of(track_of(world), times=PAUSE)
    header, times, joints = read_trc(FORMATS["trc"].write(result, tmp_path / "a", heading=0)[0])
    assert float(header["DataRate"]) == 25
    assert len(times) == 299
    np.testing.assert_allclose(np.diff(times), 0.04, atol=2e-6)
    rows = np.rint(PAUSE * 25).astype(int)
    np.testing.assert_allclose(joints[rows], expected(world, "world"), atol=1e-5)
    assert np.isnan(np.delete(joints, rows, axis=0)).all()

    reader, _, residuals = read_c3d(FORMATS["c3d"].write(result, tmp_path / "a")[0])
    assert reader.point_rate == 25
    assert (residuals[rows] >= 0).all()
    assert (np.delete(residuals, rows, axis=0) == -1).all()


def test_whole_bodies_are_held_through_a_pause(tmp_path: Path):
    world = world_joints(50)
    result = result_of(track_of(world), times=PAUSE)
    bvh = FORMATS["bvh"].write(result, tmp_path / "a")[0]
    assert "Frame Time: 0.040000000" in bvh.read_text()
    joints = bvh_joints(bvh)
    np.testing.assert_allclose(joints[25:274], np.broadcast_to(joints[24], (249, 17, 3)), atol=1e-4)
    np.testing.assert_allclose(joints[274:], expected(world, "world")[25:], atol=2e-3)
    times, shown = gltf_joints(FORMATS["gltf"].write(result, tmp_path / "a")[0])
    assert len(times) == 51
    assert times[25] == pytest.approx(10.95, abs=1e-5)
    np.testing.assert_allclose(shown[25], shown[24], atol=1e-5)


def test_a_pause_that_is_no_number_of_frames(tmp_path: Path):
    """The frames after it lie between the even moments, and only there are they blended."""
    times = PAUSE.copy()
    times[25:] += 0.013
    world = world_joints(1) + times[:, None, None] * [0.01, 0, 0]
    header, read_times, joints = read_trc(
        FORMATS["trc"].write(result_of(track_of(world), times=times), tmp_path / "a", heading=0)[0]
    )
    assert float(header["DataRate"]) == pytest.approx(25)
    inside = (read_times > times[24]) & (read_times < times[25])
    assert np.isnan(joints[inside]).all()
    right = expected(world_joints(1) + read_times[~inside, None, None] * [0.01, 0, 0], "world")
    np.testing.assert_allclose(joints[~inside], right, atol=1e-5)


def test_a_frame_that_was_dropped_is_bridged(tmp_path: Path):
    times = np.delete(np.arange(30) / 25, [7, 8])
    world = world_joints(1) + times[:, None, None] * [0.5, 0, 0]
    _, read_times, joints = read_trc(
        FORMATS["trc"].write(result_of(track_of(world), times=times), tmp_path / "a", heading=0)[0]
    )
    assert len(read_times) == 30
    right = expected(world_joints(1) + read_times[:, None, None] * [0.5, 0, 0], "world")
    np.testing.assert_allclose(joints, right, atol=1e-5)


def test_milliseconds_and_a_pause_are_an_even_rate_with_a_hole():
    times = np.round(np.concatenate([np.arange(40) / 30, 10 + np.arange(40) / 30]), 3)
    source = dataclasses.replace(result_of().source, times=times, fps=None)
    clock = EvenClock.of(source)
    assert clock.rate == pytest.approx(30, rel=1e-3)
    assert np.abs(clock.times_of(clock.places) - times).max() < 1e-3
