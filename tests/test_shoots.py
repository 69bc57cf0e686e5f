"""Motion capture enacted and filmed: one world, exact truth, pictures that show it, and files that others can read."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from training_data import T_POSE, write_cmu17

from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.cli.synth import synth
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.cmu import load_cmu
from vidpose.keypoint_data import open_clips, read_people
from vidpose.synth.actors import POINTS, enact, points
from vidpose.synth.camera import StudioCamera
from vidpose.synth.figure import Size
from vidpose.synth.physique import Look, body
from vidpose.synth.places import random_light, random_place
from vidpose.synth.shapes import Field
from vidpose.synth.shoots import PictureFormat, Shoot, random_shoot

SMALL = ("--clips", "2", "--views", "2", "--frames", "2", "--size", "64", "--fps", "5")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_cmu17(tmp_path_factory.mktemp("cmu"))


@pytest.fixture(scope="module")
def sequences(shards):
    motion = load_cmu(shards, "train")
    return [motion.positions[start:end] for start, end in pairwise(motion.offsets)]


@pytest.fixture(scope="module")
def shoot(sequences) -> Shoot:
    return random_shoot(sequences, 50.0, PictureFormat(views=3, frames=2, fps=5, size=96), seed=3, index=1)


def render(folder, shards, *words):
    return CliRunner().invoke(
        synth, ["--motion", str(shards), "--out", str(folder), *SMALL, *words], catch_exceptions=False
    )


@pytest.fixture(scope="module")
def clips(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    render(folder, shards)
    return folder


def test_an_actor_has_bones_of_the_size_and_the_recorded_directions(sequences):
    recorded, size = sequences[0].astype(float), Size.of(1.9, 1.05)
    enacted = enact(recorded, size)
    for start, end, length in (("hip", "knee", size.thigh), ("knee", "ankle", size.shank),
                               ("shoulder", "elbow", size.upper_arm), ("elbow", "wrist", size.forearm)):  # fmt: skip
        for side in ("left", "right"):
            a, b = H36M_17.index(f"{side}_{start}"), H36M_17.index(f"{side}_{end}")
            ours, theirs = enacted[:, b] - enacted[:, a], recorded[:, b] - recorded[:, a]
            lengths = np.linalg.norm(ours, axis=-1)
            np.testing.assert_allclose(lengths, length)
            cosines = (ours * theirs).sum(-1) / lengths / np.linalg.norm(theirs, axis=-1)
            np.testing.assert_allclose(cosines, 1)
    at = dict(zip(H36M_17.joints, enacted.swapaxes(0, 1), strict=True))
    np.testing.assert_allclose(at["thorax"], (at["left_shoulder"] + at["right_shoulder"]) / 2)
    np.testing.assert_allclose(at["pelvis"], (at["left_hip"] + at["right_hip"]) / 2)
    assert abs(np.minimum(at["left_ankle"], at["right_ankle"])[:, 2].min() - size.ankle) < 0.02


def test_eyes_and_ears_lie_on_the_head_on_their_own_sides():
    joints = enact(T_POSE[None], Size())[0]
    known = dict(zip(POINTS, points(joints[None])[0], strict=True))
    head = body(joints, Look())[-2]
    field = Field(head)
    for name in ("left_eye", "right_eye", "left_ear", "right_ear", "nose"):
        distance = field((known[name] - field.middle).astype(np.float32)[:, None])[0]
        assert abs(distance) < 0.012, name
    # Facing -y, the left is at +x.
    assert known["left_ear"][0] > known["left_eye"][0] > known["nose"][0] > known["right_eye"][0]
    assert known["left_eye"][1] < known["left_ear"][1]


def test_a_shoot_follows_from_its_number(sequences, shoot):
    again = random_shoot(sequences, 50.0, PictureFormat(3, 2, 5, 96), seed=3, index=1)
    first, second = (next(one.film(2)) for one in (shoot, again))
    np.testing.assert_array_equal(first[0].image, second[0].image)
    np.testing.assert_array_equal(first[1], second[1])
    for seed, index in ((3, 2), (4, 1)):
        other = random_shoot(sequences, 50.0, PictureFormat(3, 2, 5, 96), seed=seed, index=index)
        assert other.look != shoot.look
        assert not np.array_equal(other.joints, shoot.joints)


def test_joints_lie_where_the_picture_shows_the_person(shoot):
    for view in range(3):
        for picture, known in shoot.film(view):
            column, row = np.floor(known).astype(int).T
            assert ((known > 0) & (known < 96)).all()
            assert (picture.people[row, column] == 0).mean() > 0.9
            covered = np.argwhere(picture.people == 0)[:, ::-1]
            assert (known.max(axis=0) <= covered.max(axis=0) + 1).all()
            assert np.ptp(covered, axis=0).max() > 40


def test_all_views_see_one_world(shoot):
    seen = [[known for _, known in shoot.film(view)] for view in range(3)]
    for frame in range(2):
        rows = []
        for view in range(3):
            camera = shoot.cameras[view][frame]
            intrinsic = np.array([[camera.focal, 0, 48], [0, camera.focal, 48], [0, 0, 1]])
            projection = intrinsic @ camera.world_to_camera
            x, y = seen[view][frame].T[..., None]
            rows += [x * projection[2] - projection[0], y * projection[2] - projection[1]]
        solved = np.linalg.svd(np.stack(rows, axis=1))[2][:, -1]
        np.testing.assert_allclose(solved[:, :3] / solved[:, 3:], shoot.points[frame], atol=1e-6)


def test_a_place_is_walls_and_a_floor_where_its_pixels_look():
    random = np.random.default_rng(1)
    place = replace(random_place(random, 3.0), blur=0.0)
    camera = StudioCamera(64, 48, 50.0, (2.0, -1.5, 1.4), (0.0, 0.0, 0.9))
    surface = place.seen_by(camera)
    points_N = surface.points.reshape(3, -1).T.astype(float)
    row, column = np.mgrid[:48, :64]
    np.testing.assert_allclose(camera.project(points_N), np.stack([column.ravel(), row.ravel()], -1) + 0.5, atol=1e-2)
    c, s = np.cos(place.yaw), np.sin(place.yaw)
    level = points_N[:, :2] @ np.array([[c, -s], [s, c]])
    on_floor = np.abs(points_N[:, 2]) < 1e-4
    on_wall = np.abs(np.abs(level).max(axis=1) - place.half) < 1e-4
    assert (on_floor | on_wall).all()
    assert 0.1 < on_floor.mean() < 0.9
    towards = (surface.normals.reshape(3, -1).T * (np.array(camera.position) - points_N)).sum(axis=1)
    assert (towards > 0).all()
    assert surface.albedo.min() >= 0
    assert surface.albedo.std() > 0.01
    light = random_light(random)
    np.testing.assert_allclose(np.linalg.norm(light.to_key), 1, rtol=1e-6)
    assert light.to_key[2] > 0


def test_clips_are_read_back_as_they_were_shot(clips, sequences):
    found = open_clips(clips, COCO_17)
    assert [clip.number for clip in found] == [0, 1]
    expected = random_shoot(sequences, 50.0, PictureFormat(2, 2, 5, 64), seed=1, index=1)
    rows = [POINTS.index(joint) for joint in COCO_17.joints]
    for view in found[1].views:
        assert (len(view), view.picture(0).shape) == (2, (64, 64, 3))
        np.testing.assert_allclose(view.times, [0, 0.2])
        for frame, (picture, known) in enumerate(expected.film(view.number)):
            np.testing.assert_allclose(view.keypoints[frame], known[rows], atol=0.006)
            np.testing.assert_allclose(
                view.world_to_camera[frame], expected.cameras[view.number][frame].world_to_camera
            )
            assert np.abs(view.picture(frame).astype(int) - picture.image).mean() < 8
            covered = np.argwhere(picture.people == 0)[:, ::-1]
            np.testing.assert_array_equal(view.boxes[frame], [*covered.min(axis=0), *covered.max(axis=0) + 1])
            assert view.people[frame].area == len(covered)
    people = read_people(clips, H36M_17)
    assert len(people) == 8
    assert len({person.image_id for person in people}) == 8


def test_pycocotools_reads_a_clip(clips, capsys):
    coco = pytest.importorskip("pycocotools.coco").COCO(str(clips / "clip-00000" / "annotations.json"))
    people = read_people(clips / "clip-00000", H36M_17)
    entries = coco.loadAnns(coco.getAnnIds())
    assert len(entries) == len(people) == 4
    names = coco.loadCats(1)[0]["keypoints"]
    for entry, person in zip(entries, people, strict=True):
        listed = np.array(entry["keypoints"]).reshape(-1, 3)[names.index("left_knee"), :2]
        np.testing.assert_allclose(listed, person.keypoints[H36M_17.index("left_knee")], atol=1e-3)
        # Outlines run through the middles of the outermost pixels, and a person here is some 15 pixels wide.
        assert 0.7 < coco.annToMask(entry).sum() / entry["area"] < 1.1


def test_a_set_that_was_broken_off_is_gone_on_with(clips, shards):
    first = clips / "clip-00000" / "annotations.json"
    (clips / "clip-00001" / "annotations.json").unlink()
    before = first.stat().st_mtime_ns
    assert render(clips, shards).output == f"wrote 2 clips of 2 x 2 pictures to {clips}\n"
    assert first.stat().st_mtime_ns == before
    assert len(open_clips(clips, H36M_17)) == 2
    with pytest.raises(VidposeError, match="holds clips made otherwise; give `overwrite`, or another `out`"):
        render(clips, shards, "--seed", "2")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fps", "60"), "--fps 60: the motion has 50 frames a second"),
        (("--frames", "13"), "--frames 13: the longest sequence of train has 2 s; give fewer"),
        (("--split", "exam"), "unknown CMU split 'exam'"),
        (("workout",), "workout: a scene has motion of its own"),
    ],
)
def test_what_cannot_be_shot_is_said(words, message, shards, tmp_path):
    with pytest.raises(UsageError, match=message):
        render(tmp_path, shards, *words)


def test_a_rate_that_is_no_number_is_refused(run, shards):
    for rate in ("nan", "inf"):
        code, _, err = run("synth", "--motion", shards, "--fps", rate)
        assert code == 2
        assert f"{rate!r} is not a number" in err


def test_views_out_of_step_are_refused(clips, tmp_path):
    content = json.loads((clips / "clip-00000" / "annotations.json").read_text())
    home = tmp_path / "clip-00000"
    home.mkdir()
    content["images"][0]["time"] = 9.0
    (home / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(VidposeError, match="its views are not of the same moments"):
        open_clips(tmp_path, H36M_17)
    del content["images"][1]["camera"]
    (home / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(VidposeError, match=r"not a clip .camera is missing"):
        open_clips(tmp_path, H36M_17)
    with pytest.raises(VidposeError, match="here; `vidpose synth` makes clips from motion"):
        open_clips(home, H36M_17)
