import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.common.errors import VidposeError


def make_track(number: int, frames: np.ndarray, seed: int = 0) -> Track:
    rng = np.random.default_rng(seed)
    n = len(frames)
    keypoints = rng.normal(size=(n, 33, 2)).astype(np.float32)
    keypoints[n // 2] = np.nan
    return Track(
        number, frames, frames / 29.97, rng.normal(size=(n, 4)).astype(np.float32), keypoints,
        rng.uniform(size=(n, 33)).astype(np.float32), rng.normal(size=(n, 17, 3)).astype(np.float32),
        rng.uniform(size=(n, 17)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32),
        rng.normal(size=(n, 17, 4)).astype(np.float32),
    )  # fmt: skip


@pytest.fixture
def result() -> PoseResult:
    source = Source("Straße 走.mp4", 640, 480, np.arange(20) / 29.97, Fraction(30000, 1001), truncated=True)
    tracks = (make_track(1, np.arange(0, 12)), make_track(2, np.arange(8, 20), seed=1))
    return PoseResult(source, tracks, "blazepose33", "h36m17", {"lifter": "x", "max_people": None},
                      PinholeCamera((800.5, 801.0), (320.0, 240.0), np.arange(12).reshape(3, 4) / 7))  # fmt: skip


def test_saving_loses_nothing(result, tmp_path):
    result.save(tmp_path / "r.npz")
    loaded = PoseResult.load(tmp_path / "r.npz")
    assert replace(loaded.source, times=None) == replace(result.source, times=None)
    assert loaded.source.times.tobytes() == result.source.times.tobytes()
    assert (loaded.keypoint_layout, loaded.joint_layout) == ("blazepose33", "h36m17")
    assert loaded.provenance == result.provenance
    for ours, theirs in zip(result.tracks, loaded.tracks, strict=True):
        assert ours.id == theirs.id
        for name in ("frames", "times", "boxes", "keypoints", "scores", "joints", "joint_scores", "roots",
                     "rotations"):  # fmt: skip
            assert getattr(ours, name).dtype == getattr(theirs, name).dtype
            assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes()
    assert (loaded.camera.focal, loaded.camera.centre) == (result.camera.focal, result.camera.centre)
    assert loaded.camera.to_world.tobytes() == result.camera.to_world.tobytes()


@pytest.mark.parametrize("camera", [None, PinholeCamera((800.0, 800.0), (320.0, 240.0))])
def test_a_camera_may_be_missing_or_know_no_floor(camera, result, tmp_path):
    replace(result, camera=camera).save(tmp_path / "r.npz")
    assert PoseResult.load(tmp_path / "r.npz").camera == camera


def test_a_result_of_the_first_format_is_read(result, tmp_path):
    result.save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as file:
        old = {name: file[name] for name in file if not name.endswith(("_roots", "_rotations"))}
    header = json.loads(str(old["header"])) | {"format_version": 1}
    del header["camera"]
    np.savez(tmp_path / "r.npz", **(old | {"header": np.array(json.dumps(header))}))
    loaded = PoseResult.load(tmp_path / "r.npz")
    assert loaded.camera is None
    for ours, theirs in zip(result.tracks, loaded.tracks, strict=True):
        assert ours.joints.tobytes() == theirs.joints.tobytes()
        assert np.isnan(theirs.roots).all()
        assert theirs.roots.shape == (len(ours), 3)
        assert theirs.rotations.shape == (len(ours), 0, 4)


def test_a_camera_sees_points_where_a_pinhole_does():
    camera = PinholeCamera((800.0, 400.0), (320.0, 240.0))
    np.testing.assert_allclose(camera.project(np.array([[0.5, -1.0, 4.0]])), [[420.0, 140.0]])


def test_a_result_without_people_is_a_result(result, tmp_path):
    replace(result, tracks=()).save(tmp_path / "r.npz")
    assert PoseResult.load(tmp_path / "r.npz").tracks == ()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(result, tmp_path, monkeypatch):
    path = tmp_path / "r.npz"
    path.write_bytes(b"old")

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(VidposeError, match="disk is full"):
        result.save(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x04K\x01.", b"text"])
def test_other_files_are_refused_in_one_line(content, tmp_path):
    path = tmp_path / "r.npz"
    path.write_bytes(content)
    with pytest.raises(VidposeError, match="not a vidpose result") as caught:
        PoseResult.load(path)
    assert "\n" not in str(caught.value)


def test_an_npz_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "r.npz", positions=np.zeros(3))
    with pytest.raises(VidposeError, match="not a vidpose result"):
        PoseResult.load(tmp_path / "r.npz")


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.savez(tmp_path / "r.npz", header=np.array({"format": "vidpose-result"}, dtype=object))
    with pytest.raises(VidposeError, match="not a vidpose result"):
        PoseResult.load(tmp_path / "r.npz")
