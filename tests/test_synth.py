"""The rendered person: constant bones, joints that bend the right way, a picture that agrees with its truth."""

from __future__ import annotations

from math import pi

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vidpose.body.skeletons import H36M_17
from vidpose.cli.synth import synth
from vidpose.common.errors import UsageError, VidposeError
from vidpose.synth.camera import StudioCamera
from vidpose.synth.film import film, save_truth, truth
from vidpose.synth.motion import Kick, ProceduralMotion, Punch, SideStep, Squat, Stand, Walk
from vidpose.synth.physique import Look
from vidpose.synth.scenes import SCENES, Scene
from vidpose.synth.studio import Picture, Studio
from vidpose.video import VideoReader
from vidpose.weights.shipped import shipped

CAMERA = StudioCamera(96, 128, 180.0, (0.0, -4.3, 1.35), (0.0, 0.0, 0.93))
TO_CAMERA = -pi / 2
SAMPLES = [name for name in SCENES if (shipped("samples") / f"{name}.mp4").exists()]

every_scene = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
every_sample = pytest.mark.parametrize("name", SAMPLES)


def joint(joints: np.ndarray, name: str) -> np.ndarray:
    return joints[..., H36M_17.index(name), :]


def shoot(joints: np.ndarray) -> Picture:
    return Studio(CAMERA).shoot([(joints, Look())])


@every_scene
def test_bones_keep_their_length(scene: Scene) -> None:
    joints = scene.joints()
    for parent, child in H36M_17.bones:
        lengths = np.linalg.norm(joints[:, :, child] - joints[:, :, parent], axis=-1)
        assert np.ptp(lengths, axis=1).max() < 1e-9
        assert lengths.min() > 0.08


@every_scene
def test_both_sides_of_a_body_are_alike(scene: Scene) -> None:
    joints = scene.joints()
    lengths = {(a, b): np.linalg.norm(joints[:, 0, a] - joints[:, 0, b], axis=-1) for a, b in H36M_17.bones}
    for (a, b), length in lengths.items():
        np.testing.assert_allclose(length, lengths[H36M_17.mirror[a], H36M_17.mirror[b]])


@every_scene
def test_knees_bend_forward_and_ankles_stay_above_the_floor(scene: Scene) -> None:
    for joints in scene.joints():
        across = joint(joints, "right_hip") - joint(joints, "left_hip")
        forward = np.cross((0, 0, 1), across)
        for side in ("left", "right"):
            hip, knee, ankle = (joint(joints, f"{side}_{name}") for name in ("hip", "knee", "ankle"))
            assert ((2 * knee - hip - ankle) * forward).sum(-1).min() > 0
            assert ankle[:, 2].min() > 0.06


@every_scene
def test_elbows_bend_between_straight_and_folded(scene: Scene) -> None:
    joints = scene.joints()
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joint(joints, f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
        upper, lower = elbow - shoulder, wrist - elbow
        cosine = (upper * lower).sum(-1) / np.linalg.norm(upper, axis=-1) / np.linalg.norm(lower, axis=-1)
        bend = np.degrees(np.arccos(cosine))
        assert bend.min() > 1
        assert bend.max() < 155


def test_a_hanging_arm_bends_forward() -> None:
    joints = ProceduralMotion(Stand((0, 0), TO_CAMERA)).joints(np.arange(0, 2, 0.1))
    for side in ("left", "right"):
        shoulder, elbow, wrist = (joint(joints, f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
        # The person faces the camera, at negative y.
        assert (wrist[:, 1] - elbow[:, 1] < elbow[:, 1] - shoulder[:, 1] - 0.02).all()


def test_standing_feet_do_not_slide_while_walking() -> None:
    times = np.arange(0, 4, 0.02)
    ankle = joint(ProceduralMotion(Walk((0, 0), 1.5, 0.3)).joints(times), "left_ankle")
    speed = np.linalg.norm(np.diff(ankle, axis=0), axis=-1) / 0.02
    flat = (ankle[1:, 2] < 0.0851) & (ankle[:-1, 2] < 0.0851)
    assert 0.3 < flat.mean() < 0.6
    assert speed[flat].max() < 0.02


def test_arms_swing_against_the_legs() -> None:
    joints = ProceduralMotion(Walk((0, -50), 50, pi / 2)).joints(np.arange(0, 4, 0.05))
    along = [joint(joints, f"left_{name}")[:, 0] - joint(joints, f"right_{name}")[:, 0] for name in ("wrist", "ankle")]
    assert np.corrcoef(along)[0, 1] < -0.7


@pytest.mark.parametrize(
    "motion",
    [
        ProceduralMotion(Stand((0, 0), TO_CAMERA)),
        ProceduralMotion(Stand((0, 0), TO_CAMERA), (Squat(0.0, 2.0),)),
        ProceduralMotion(Stand((0, 0), TO_CAMERA), (Punch(0.0, 2.0),)),
        ProceduralMotion(Stand((0, 0), 0.2), (Kick(0.0, 2.0),)),
        ProceduralMotion(SideStep((0, 0), pi / 2)),
        ProceduralMotion(Walk((0, 0), 0.6, 0.0)),
    ],
    ids=["stand", "squat", "punch", "kick from the side", "step from behind", "walk"],
)
def test_joints_lie_on_the_figure(motion: ProceduralMotion) -> None:
    joints = motion.joints(np.array([1.0]))[0]
    figure = (shoot(joints).people >= 0).astype(np.uint8)
    # The tip of the nose and the crown are on the outline.
    figure = cv2.dilate(figure, np.ones((3, 3), np.uint8))
    column, row = CAMERA.project(joints).astype(int).T
    assert figure[row, column].all()
    assert 0.02 < figure.mean() < 0.15


def test_left_is_left() -> None:
    joints = ProceduralMotion(Stand((0, 0), TO_CAMERA)).joints(np.zeros(1))[0]
    pixels = CAMERA.project(joints)
    # Who faces the camera has the left hand on the right of the picture.
    assert joint(pixels, "left_wrist")[0] > CAMERA.width / 2 > joint(pixels, "right_wrist")[0]
    assert CAMERA.to_camera(joint(joints, "nose"))[2] < CAMERA.to_camera(joint(joints, "thorax"))[2]


def test_rendering_is_deterministic() -> None:
    joints = ProceduralMotion(Walk((0, 0), 0.6, 0.0)).joints(np.array([0.4]))[0]
    np.testing.assert_array_equal(shoot(joints).image, shoot(joints).image)


def test_nearer_people_hide_others_and_nobody_is_a_picture_too() -> None:
    near = ProceduralMotion(Stand((0, -0.6), TO_CAMERA)).joints(np.zeros(1))[0]
    far = ProceduralMotion(Stand((0.05, 0.6), TO_CAMERA)).joints(np.zeros(1))[0]
    studio = Studio(CAMERA)
    people = studio.shoot([(far, Look()), (near, Look(hair_style="bun", legging=0.4))]).people
    alone = studio.shoot([(near, Look(hair_style="bun", legging=0.4))]).people
    np.testing.assert_array_equal(people == 1, alone == 0)
    assert (people == 0).any()
    assert (studio.shoot([]).people == -1).all()
    outside = far + np.array([5, 0, 0])
    assert (studio.shoot([(outside, Look())]).people == -1).all()


@every_scene
def test_truth_is_one_world_seen_by_one_camera(scene: Scene, tmp_path) -> None:
    save_truth(scene, tmp_path / "truth.npz")
    with np.load(tmp_path / "truth.npz", allow_pickle=False) as file:
        facts = dict(file)
    people, frames = len(scene.people), len(scene.times)
    assert facts["joints"].shape == (people, frames, 17, 3)
    assert facts["visible"].shape == (people, frames)
    assert (facts["layout"], facts["fps"]) == ("h36m17", "25")
    focal, cx, cy, *_ = facts["camera"]
    seen = facts["joints"].astype(np.float64)
    np.testing.assert_allclose(focal * seen[..., :2] / seen[..., 2:] + (cx, cy), facts["keypoints"], atol=1e-3)
    world = (seen - facts["world_to_camera"][:, 3]) @ facts["world_to_camera"][:, :3]
    np.testing.assert_allclose(world, scene.joints(), atol=1e-5)


@every_sample
def test_sample_agrees_with_its_truth(name: str) -> None:
    folder, scene = shipped("samples"), SCENES[name]
    with VideoReader(folder / f"{name}.mp4") as video:
        frames = list(video)
        assert (video.width, video.height, video.fps) == (scene.camera.width, scene.camera.height, scene.fps)
    with np.load(folder / f"{name}.truth.npz", allow_pickle=False) as file:
        for key, value in truth(scene).items():
            if value.dtype.kind == "f":
                np.testing.assert_allclose(file[key], value, rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(file[key], value)
        np.testing.assert_allclose([frame.time for frame in frames], file["times"], atol=1e-6)
    again = next(iter(film(scene)))
    assert np.abs(frames[0].image.astype(int) - again).mean() < 3


def test_command_lists_scenes() -> None:
    result = CliRunner().invoke(synth, ["--list"])
    assert [line.split()[0] for line in result.output.splitlines()] == list(SCENES)


def test_command_refuses_unknown_scenes_and_existing_files(tmp_path) -> None:
    unknown = CliRunner().invoke(synth, ["waltz"])
    assert isinstance(unknown.exception, UsageError)
    (tmp_path / "workout.mp4").touch()
    existing = CliRunner().invoke(synth, ["workout", "--out", str(tmp_path)])
    assert isinstance(existing.exception, VidposeError)
    assert "`overwrite`" in str(existing.exception)
