"""Options of `vidpose infer` about where people are and which files become of them, on saved keypoints."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from exports import CAMERA_IN_WORLD, CAMERA_PLACE, FPS, world_joints

import vidpose
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.common.errors import UsageError
from vidpose.refine.scale import stature

Run = Callable[..., tuple[int, str, str]]

WIDTH, HEIGHT, FOCAL = 640, 480, 700.0
ROWS = 20


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The keypoints of two people as a camera of 700 pixels sees them, without 3D."""
    camera = PinholeCamera((FOCAL, FOCAL), (WIDTH / 2, HEIGHT / 2))
    tracks = []
    for number in (1, 2):
        seen = camera.project((world_joints(ROWS, number) - CAMERA_PLACE) @ CAMERA_IN_WORLD).astype(np.float32)
        boxes = np.concatenate([seen.min(axis=1), seen.max(axis=1)], axis=1)
        frames = np.arange(ROWS)
        scores = np.ones((ROWS, len(H36M_17)), np.float32)
        tracks.append(Track.of_keypoints(number, frames, frames / FPS, boxes, seen, scores))
    source = Source("duet.mp4", WIDTH, HEIGHT, np.arange(ROWS) / FPS, Fraction(FPS))
    path = tmp_path_factory.mktemp("saved") / "duet.npz"
    PoseResult(source, tuple(tracks), H36M_17.name, "").save(path)
    return path


@pytest.fixture
def run(run: Run, saved) -> Run:
    """Run `vidpose infer`, on videos or else on the saved keypoints, in an empty folder: exit code, stdout, stderr."""

    def call(*options: object, videos: tuple[object, ...] = (), keypoints: Path | None = saved) -> tuple[int, str, str]:
        if videos:
            return run("infer", *videos, *options)
        return run("infer", "--from-keypoints", keypoints, "--no-overlay", *options)

    return call


def result(folder: Path) -> PoseResult:
    return PoseResult.load(folder / "out" / "duet.npz")


def test_people_have_a_place_under_an_assumed_lens(run, tmp_path):
    code, _, err = run()
    assert code == 0, err
    placed = result(tmp_path)
    assert placed.camera.focal[0] == pytest.approx(WIDTH / 2 / math.tan(math.radians(30)))
    assert placed.camera.to_world is None
    assert placed.placing.focal_from == "assumed"
    assert all(np.isfinite(track.roots).all() for track in placed.tracks)


def test_a_field_of_view_and_its_focal_length_are_the_same(run, tmp_path):
    assert run("--fov", 2 * math.degrees(math.atan(WIDTH / 2 / FOCAL)))[0] == 0
    by_fov = result(tmp_path)
    assert run("--focal", FOCAL, "--overwrite")[0] == 0
    by_focal = result(tmp_path)
    for one, other in zip(by_fov.tracks, by_focal.tracks, strict=True):
        np.testing.assert_allclose(one.roots, other.roots, rtol=1e-4)
    assert (by_fov.placing.focal_from, by_focal.placing.focal_from) == ("fov", "focal")


def test_a_focal_length_that_the_picture_does_not_go_with_is_refused_before_the_search(monkeypatch, walk_sample):
    monkeypatch.setattr("vidpose.pipeline.finding.find_people", None)
    with pytest.raises(UsageError, match=r"`focal=4\.2`: pixels are wanted, 86 to 36669 for a picture of 640x480"):
        vidpose.infer(walk_sample, focal=4.2)


def test_heights_by_id(run, tmp_path):
    assert run("--height", "2:1.5")[0] == 0
    scaled = result(tmp_path)
    assert stature(scaled.tracks[1].joints, H36M_17) == pytest.approx(1.5, abs=1e-3)
    assert run("--overwrite")[0] == 0
    np.testing.assert_array_equal(scaled.tracks[0].joints, result(tmp_path).tracks[0].joints)


def test_a_fitted_body_has_bones_of_one_length_and_the_height_asked_for(run, tmp_path):
    assert run("--fit", "--height", "1.8", "--format", "bvh")[0] == 0
    for track in result(tmp_path).tracks:
        bones = [track.joints[:, child] - track.joints[:, parent] for parent, child in H36M_17.bones]
        lengths = np.linalg.norm(bones, axis=-1)
        np.testing.assert_allclose(lengths, lengths[:, :1].repeat(ROWS, axis=1), rtol=1e-4)
        assert stature(track.joints, H36M_17) == pytest.approx(1.8, abs=1e-3)
        np.testing.assert_allclose(np.linalg.norm(track.rotations, axis=-1), 1, rtol=1e-5)


def test_the_ground_gives_a_world(run, tmp_path):
    assert run("--ground")[0] == 0
    turn = result(tmp_path).camera.to_world[:, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_the_formats_asked_for_and_no_others(run, tmp_path):
    code, out, err = run("--format", "bvh,gltf", "--format", "csv")
    assert code == 0, err
    names = {"duet.npz", "duet_person1.bvh", "duet_person2.bvh", "duet.glb", "duet.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert all(name in out for name in names)


def test_files_of_other_people_are_in_the_way(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "duet_person7.trc").write_text("precious")
    code, _, err = run("--format", "trc")
    assert code == 1
    assert "duet_person7.trc" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["duet_person7.trc"]


def test_lifting_again_forgets_what_was_known_of_the_earlier_lifting(run, saved, tmp_path):
    old = PoseResult.load(saved)
    tracks = tuple(replace(track, roots=np.ones((ROWS, 3), np.float32)) for track in old.tracks)
    replace(old, tracks=tracks, camera=PinholeCamera((1.0, 1.0), (0.0, 0.0), np.eye(4)[:3])).save(tmp_path / "old.npz")
    assert run(keypoints=tmp_path / "old.npz")[0] == 0
    placed = PoseResult.load(tmp_path / "out" / "duet.npz")
    assert placed.camera.focal[0] > 100
    assert (placed.tracks[0].roots != 1).all()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--format", "bhv"), ("bhv", "did you mean bvh?")),
        (("--height", "175"), ("175", "did you mean 1.75?")),
        (("--height", "0"), ("--height 0",)),
        (("--height", "tall"), ("tall", "metres")),
        (("--fov", "0"), ("--fov 0", "degrees")),
        (("--fov", "60", "--focal", "700"), ("one of them",)),
        (("--focal", "-3"), ("--focal -3", "pixels")),
        (("--focal", "4.2"), ("--focal 4.2", "millimetres")),
        (("--calibration", "c.toml"), ("--calibration c.toml", "two videos")),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(run, options, parts, tmp_path):
    code, out, err = run(*options)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("error: ")
    assert all(part in err for part in parts), err
    assert out == ""
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("videos", "options", "part"),
    [
        (("a.mp4",), (), "give two videos or more"),
        (("a.mp4", "./a.mp4"), (), "a different one a camera"),
        (("a.mp4", "b.mp4"), ("--fov", "60"), "--fov is for one camera"),
    ],
)
def test_a_calibration_wants_several_videos_and_nothing_that_it_knows_itself(run, videos, options, part):
    code, _, err = run("--calibration", "c.toml", *options, videos=videos)
    assert code == 2
    assert part in err
