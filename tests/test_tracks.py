import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidpose.body.result_file import FORMAT_VERSION
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.common.errors import VidposeError


def make_track(number: int, frames: np.ndarray, seed: int = 0) -> Track:
    rng = np.random.default_rng(seed)
    n = len(frames)
    keypoints = rng.normal(size=(n, 33, 2)).astype(np.float32)
    scores = rng.uniform(0.01, 1, size=(n, 33)).astype(np.float32)
    keypoints[n // 2], scores[n // 2] = np.nan, 0
    rotations = rng.normal(size=(n, 17, 4))
    return Track(
        number, frames, frames / 29.97, np.sort(rng.normal(size=(n, 2, 2)), axis=1).reshape(n, 4).astype(np.float32),
        keypoints, scores, rng.normal(size=(n, 17, 3)).astype(np.float32),
        rng.uniform(size=(n, 17)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32),
        (rotations / np.linalg.norm(rotations, axis=-1, keepdims=True)).astype(np.float32),
        rng.normal(size=(n, 10, 3)).astype(np.float32), rng.uniform(size=(n, 17, 2)).astype(np.float32),
    )  # fmt: skip


TO_WORLD = np.array([[1.0, 0.0, 0.0, 1 / 7], [0.0, 0.0, 1.0, -3.0], [0.0, -1.0, 0.0, 2.5]])


@pytest.fixture
def result() -> PoseResult:
    source = Source("Straße 走.mp4", 640, 480, np.arange(20) / 29.97, Fraction(30000, 1001), truncated=True)
    tracks = (make_track(1, np.arange(0, 12)), make_track(2, np.arange(8, 20), seed=1))
    return PoseResult(source, tracks, "blazepose33", "h36m17", {"lifter": "x", "max_people": None},
                      PinholeCamera((800.5, 801.0), (320.0, 240.0), TO_WORLD))  # fmt: skip


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


@pytest.mark.parametrize("number", [0, -1, 10**9 + 1])
def test_an_id_that_could_not_be_read_is_not_saved(number, result, tmp_path):
    strange = result.with_tracks((replace(result.tracks[0], id=number),))
    with pytest.raises(VidposeError, match=rf"a\.npz: a person has id {number}, where ids from 1 to 1000000000 can be"):
        strange.save(tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())


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


def damaged(path: Path, arrays: dict[str, object], header: Callable[[dict], object] | None = None) -> None:
    """Put other arrays, None for none, and what a function makes of the header, into a saved result."""
    with np.load(path) as file:
        content = dict(file)
    if header:
        written = json.loads(str(content["header"]))
        changed = header(written)
        content["header"] = np.array(json.dumps(written if changed is None else changed))
    content |= arrays
    np.savez(path, **{name: array for name, array in content.items() if array is not None})


def at(array: np.ndarray, index: object, value: object) -> np.ndarray:
    changed = array.copy()
    changed[index] = value
    return changed


TRACK = make_track(1, np.arange(0, 12))
SEEN_BOX = 2

ARRAYS = {
    "times": [
        at(np.arange(20) / 29.97, 7, np.nan), at(np.arange(20) / 29.97, 19, np.inf), np.arange(20)[::-1] / 29.97,
        np.zeros(20), np.zeros((20, 1)), np.arange(20).astype("<U8"), np.arange(20).astype("M8[s]"), np.arange(20) * 1j,
        np.arange(20) / 29.97 > 0, np.arange(5) / 29.97, None,
    ],
    "track1_frames": [
        np.arange(12.0), np.arange(12) - 1, np.arange(12) + 9, np.arange(12)[::-1], np.arange(12) * 2, np.arange(11),
        np.arange(0), np.arange(12).reshape(12, 1), np.array(3), None,
    ],
    "track1_times": [at(TRACK.times, 3, np.nan), at(TRACK.times, 3, 0.0), TRACK.times[:-1], None],
    "track1_boxes": [
        at(TRACK.boxes, SEEN_BOX, np.nan), at(TRACK.boxes, (SEEN_BOX, 2), -1e5), at(TRACK.boxes, 0, np.inf),
        TRACK.boxes[:, :3], np.array(1.0), TRACK.boxes.astype("M8[s]"), None,
    ],
    "track1_keypoints": [
        at(TRACK.keypoints, (0, 0), np.nan), at(TRACK.keypoints, (0, 0), np.inf), at(TRACK.keypoints, (0, 0), 1e30),
        TRACK.keypoints[:, :17], TRACK.keypoints[..., :1], TRACK.keypoints.astype("<U8"), None,
    ],
    "track1_scores": [at(TRACK.scores, 0, np.nan), at(TRACK.scores, 0, 1.5), at(TRACK.scores, 0, -1),
                      TRACK.scores[None], None],
    "track1_joints": [at(TRACK.joints, 0, np.inf), TRACK.joints[:, :16], np.concatenate([TRACK.joints] * 2), None],
    "track1_joint_scores": [at(TRACK.joint_scores, 0, 2), at(TRACK.joint_scores, 0, np.nan), None],
    "track1_roots": [at(TRACK.roots, 0, -np.inf), TRACK.roots[None], TRACK.roots[:, :2], None],
    "track1_rotations": [TRACK.rotations * 2, at(TRACK.rotations, 0, np.inf), TRACK.rotations[:6], None],
}  # fmt: skip


@pytest.mark.parametrize(("name", "array"), [(name, array) for name, arrays in ARRAYS.items() for array in arrays])
def test_an_array_that_cannot_be_is_refused(name, array, result, tmp_path):
    result.save(tmp_path / "r.npz")
    damaged(tmp_path / "r.npz", {name: array})
    with pytest.raises(VidposeError, match=r"r\.npz: not a vidpose result \(.*(times|track1|person 1)") as caught:
        PoseResult.load(tmp_path / "r.npz")
    assert "\n" not in str(caught.value)


def put(*keys: object, to: object) -> Callable[[dict], None]:
    def change(header: dict) -> None:
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = to

    return change


HEADERS = [
    *(put("ids", to=ids) for ids in ([1, 1], ["1"], [1.5], [0], [-1], 1, None, [[1]], [10**30], ["../../x"])),
    *(put("source", "fps", to=fps) for fps in ("1/0", "0", "-30", "1e999999", "x", 30, "9" * 5000, [30])),
    *(put("source", "width", to=width) for width in (0, -1, 1.5, "640", None, 10**20, True)),
    *(put("source", "cuts", to=cuts) for cuts in ([5000], [2, 1], [1, 1], ["1"], 1)),
    put("source", "path", to=7), put("source", "truncated", to="no"), put("source", "more", to=1), put("source", to=[]),
    *(put("provenance", to=facts) for facts in (1, [], "x", {"a": [1]}, {"a": {}})),
    *(put("keypoint_layout", to=name) for name in ("", "h37m", 1, None)),
    *(put("joint_layout", to=name) for name in ("h37m", 1, None)),
    *(put("camera", to=camera) for camera in ([], {}, {"focal": [1, 1]})),
    *(put("camera", "focal", to=focal) for focal in ([0, 1], [-1, 1], [1], ["1", 1], [1e300, 1], 800)),
    put("camera", "to_world", to=[[1, 2, 3, 4]] * 3), put("camera", "to_world", to=(-np.eye(3, 4)).tolist()),
    put("camera", "to_world", to=[[1, 2], [3]]),
    put("format", to="vidpose-lifter"), put("format_version", to="2"), put("format_version", to=0),
    lambda header: header.pop("source") and None, lambda header: header.pop("ids") and None,
    lambda header: [header], lambda header: "header"
]  # fmt: skip


@pytest.mark.parametrize("change", HEADERS)
def test_a_header_that_cannot_be_is_refused(change, result, tmp_path):
    result.save(tmp_path / "r.npz")
    damaged(tmp_path / "r.npz", {}, change)
    with pytest.raises(VidposeError, match=r"r\.npz: not a vidpose result") as caught:
        PoseResult.load(tmp_path / "r.npz")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("written", ["[" * 100_000, '{"a": NaN}', '{"a": 1e999}', "", "{", "1" * 5000, "\0"])
def test_a_header_that_is_no_json_is_refused(written, result, tmp_path):
    result.save(tmp_path / "r.npz")
    damaged(tmp_path / "r.npz", {"header": np.array(written)})
    with pytest.raises(VidposeError, match="not a vidpose result"):
        PoseResult.load(tmp_path / "r.npz")


def test_a_result_of_a_later_format_says_so(result, tmp_path):
    result.save(tmp_path / "r.npz")
    damaged(tmp_path / "r.npz", {}, put("format_version", to=FORMAT_VERSION + 1))
    with pytest.raises(VidposeError, match="newer vidpose"):
        PoseResult.load(tmp_path / "r.npz")


def test_what_an_array_claims_is_never_allocated(result, tmp_path):
    result.save(tmp_path / "r.npz")
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 33, 2)})
    with zipfile.ZipFile(tmp_path / "r.npz") as old, zipfile.ZipFile(tmp_path / "b.npz", "w") as new:
        for name in old.namelist():
            new.writestr(name, huge.getvalue() if name == "track1_keypoints.npy" else old.read(name))
    with pytest.raises(VidposeError, match=r"track1_keypoints of shape .* has"):
        PoseResult.load(tmp_path / "b.npz")


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_are_refused_or_harmless(seed, result, tmp_path):
    path, rng = tmp_path / "r.npz", np.random.default_rng(seed)
    result.save(path)
    content = bytearray(path.read_bytes())
    for place in rng.integers(len(content), size=rng.integers(1, 9)):
        content[place] = rng.integers(256)
    path.write_bytes(content[: rng.choice([len(content), rng.integers(len(content))])])
    try:
        PoseResult.load(path)
    except VidposeError as error:
        assert str(path) in str(error) and "\n" not in str(error)  # noqa: PT018, PT017


def test_a_folder_or_a_pipe_is_no_result(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VidposeError, match="a pipe or a device"):
        PoseResult.load(tmp_path / "pipe")
    with pytest.raises(VidposeError, match="a folder"):
        PoseResult.load(tmp_path)
    with pytest.raises(VidposeError, match="no such file"):
        PoseResult.load(tmp_path / "missing.npz")
