"""Feet and hands of a fitted body, against bodies whose own are exactly known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exports import gltf_bones, read_mot, read_trc
from scipy.spatial.transform import Rotation

from vidpose.body.joint_angles import joint_angles, track_angles
from vidpose.body.kinematics import quaternions_of
from vidpose.body.skeletons import BLAZEPOSE_33, COCO_17, EXTREMITIES_10, H36M_17, H36M_27, HALPE_26, Skeleton
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.body.whole_body import known_whole, whole_joints
from vidpose.keypoint_files.bvh_reader import read_bvh
from vidpose.refine import extremities
from vidpose.refine import fit as fit_module
from vidpose.refine.extremities import Sight, extremities_in_space, with_extremities
from vidpose.refine.hinged_body import BENDS, Body
from vidpose.synth.motion import ProceduralMotion, Squat, Walk, Wave

CAMERA = PinholeCamera((1100.0, 1100.0), (500.0, 500.0))
TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""From the world, z up, to a camera that looks along y; det +1."""

TIMES = np.arange(90) / 30
FOOT = {"toe": (0.0, -0.05, 0.165), "heel": (0.0, -0.045, -0.05)}
HAND = {"index": (0.087, 0.0, 0.013), "pinky": (0.08, 0.0, -0.012), "thumb": (0.06, -0.011, 0.021)}
"""Metres from ankle and wrist in the rest pose of the left side."""


def swaying(seed: int, *amplitudes: float) -> np.ndarray:
    """(N, 3) degrees that come and go within three seconds."""
    phases = np.random.default_rng(seed).uniform(0, 6, 3)
    return np.stack(
        [size * np.sin(2.5 * TIMES + phase) for size, phase in zip(amplitudes, phases, strict=True)], axis=1
    )


@pytest.fixture(scope="module")
def truth() -> tuple[Track, np.ndarray]:
    """Somebody who walks, waves and squats, and moves feet and hands: a track with 17 exact joints; all 27 in space."""
    motion = ProceduralMotion(Walk((0, 5), 1.5, 0.0), (Wave(0.2, 1.8), Squat(2.0, 1.5)))
    world = motion.joints(TIMES) @ TO_CAMERA.T + (0, 1.0, 0)
    body = Body.of_joints(fit_module._symmetric_offsets(world), world, world[:, 0])
    body = replace(body, bends=np.clip(body.bends, *BENDS))
    turns, joints = body.orientations(), body.joints()
    points = np.zeros((len(TIMES), len(EXTREMITIES_10), 3))
    for mirror, side in ((1, "left"), (-1, "right")):
        for bone, end, own, order, signs, angles in (
            ("knee", "ankle", FOOT, "XYZ", (-1, mirror, -mirror), swaying(1 + mirror, 20, 5, 6)),
            ("elbow", "wrist", HAND, "XZY", (1, -mirror, -mirror), swaying(5 + mirror, 40, 25, 8)),
        ):
            held = turns[:, H36M_17.index(f"{side}_{bone}")]
            held = held @ Rotation.from_euler(order, angles * signs, degrees=True).as_matrix()
            for point, place in own.items():
                at = EXTREMITIES_10.index(f"{side}_{point}")
                points[:, at] = joints[:, H36M_17.index(f"{side}_{end}")] + held @ (np.array(place) * (mirror, 1, 1))
    whole = np.concatenate([joints, points], axis=1) + body.roots[:, None]
    track = seen(whole, np.zeros((1, 1, 1)))
    return replace(
        track, joints=joints.astype(np.float32), joint_scores=np.ones((len(TIMES), 17), np.float32),
        roots=body.roots.astype(np.float32), rotations=quaternions_of(turns).astype(np.float32),
    ), whole  # fmt: skip


def seen(whole: np.ndarray, noise: np.ndarray) -> Track:
    """A track of BlazePose's keypoints of a body (N, 27, 3), off by pixels (N, 33, 2); the face is at the nose."""
    names = {"foot_index": "toe"}
    at = []
    for name in BLAZEPOSE_33.joints:
        side, _, part = name.partition("_")
        joint = f"{side}_{names.get(part, part)}"
        at.append(H36M_27.index(joint) if joint in H36M_27.joints else H36M_27.index("nose"))
    keypoints = (CAMERA.project(whole[:, at]) + noise).astype(np.float32)
    rows = np.arange(len(whole))
    boxes = np.tile(np.array([0, 0, 1000, 1000], np.float32), (len(rows), 1))
    return Track.of_keypoints(1, rows, TIMES, boxes, keypoints, np.ones(keypoints.shape[:2], np.float32))


@pytest.fixture(scope="module")
def result(truth: tuple[Track, np.ndarray]) -> PoseResult:
    """What comes out of exact keypoints. The left toe is never seen, and in the first frame no foot."""
    track, _ = truth
    scores = track.scores.copy()
    scores[:, BLAZEPOSE_33.index("left_foot_index")] = 0
    scores[0, BLAZEPOSE_33.index("right_foot_index")] = 0
    source = Source("walk.mp4", 1000, 1000, TIMES, None)
    found = with_extremities(replace(track, scores=scores), BLAZEPOSE_33.name, CAMERA)
    return PoseResult(source, (found,), BLAZEPOSE_33.name, H36M_17.name, camera=CAMERA)


def off(track: Track, whole: np.ndarray) -> dict[str, float]:
    """Degrees, means over both sides and all frames, by angle."""
    found = joint_angles(whole_joints(track, H36M_27), H36M_27)
    true = joint_angles(whole, H36M_27)
    return {
        name: float(
            np.nanmean([np.abs(found[f"{side}_{name}"] - true[f"{side}_{name}"]) for side in ("left", "right")])
        )
        for name in ("ankle_flexion", "wrist_flexion", "forearm_rotation")
    }


@pytest.mark.parametrize(
    ("pixels", "most"), [(0.0, (2, 8, 16)), (3.0, (3.5, 12, 22))], ids=["exact keypoints", "three pixels of noise"]
)
def test_angles_of_feet_and_hands_come_out(truth: tuple[Track, np.ndarray], pixels: float, most: tuple[float, ...]):
    track, whole = truth
    noise = np.random.default_rng(3).normal(0, pixels, track.keypoints.shape).astype(np.float32)
    found = with_extremities(replace(track, keypoints=track.keypoints + noise), BLAZEPOSE_33.name, CAMERA)
    for degrees, bound in zip(off(found, whole).values(), most, strict=True):
        assert degrees < bound


def test_long_tracks_are_held_in_windows_that_do_not_show(truth: tuple[Track, np.ndarray], monkeypatch):
    track, _ = truth
    noise = np.random.default_rng(3).normal(0, 3, track.keypoints.shape).astype(np.float32)
    track = replace(track, keypoints=track.keypoints + noise)
    whole = with_extremities(track, BLAZEPOSE_33.name, CAMERA)
    monkeypatch.setattr("vidpose.refine.extremities._TOGETHER", 30)
    monkeypatch.setattr("vidpose.refine.extremities._SHARED", 12)
    rows = [(window.start, window.stop, shared) for window, shared in extremities._windows(slice(5, 95))]
    assert rows == [(5, 47, 0), (35, 95, 12)]
    windowed = with_extremities(track, BLAZEPOSE_33.name, CAMERA)
    apart = np.linalg.norm(windowed.extremities - whole.extremities, axis=-1)
    assert np.median(apart) < 1e-3
    assert apart.max() < 0.02

    def wild(one: Track) -> float:
        return float(np.abs(np.diff(one.extremities, 2, axis=0)).max())

    assert wild(windowed) < 1.2 * wild(whole)


def test_a_second_camera_helps(truth: tuple[Track, np.ndarray]):
    """From the side, it sees the depth that the first one guesses. Both have the same noise in pixels."""
    track, whole = truth
    centre = whole.mean(axis=(0, 1))
    turn = Rotation.from_euler("y", 80, degrees=True).as_matrix()
    rng = np.random.default_rng(4)
    sights = []
    for rotation, translation in ((np.eye(3), np.zeros(3)), (turn, (0, 0, 5) - turn @ centre)):
        noise = rng.normal(0, 3, track.keypoints.shape).astype(np.float32)
        sights.append(Sight(seen(whole @ rotation.T + translation, noise), CAMERA, rotation, translation))
    errors = []
    for some in (sights[:1], sights):
        points, rotations = extremities_in_space(track, some, BLAZEPOSE_33.name)
        errors.append(np.linalg.norm(points + track.roots[:, None] - whole[:, 17:], axis=-1).mean())
        assert rotations.shape == track.rotations.shape
    assert errors[1] < 0.75 * errors[0]
    assert errors[1] < 0.02


def test_parts_are_rigid_and_the_17_joints_stay(truth: tuple[Track, np.ndarray], result: PoseResult):
    before, (after,) = truth[0], result.tracks
    np.testing.assert_array_equal(after.joints, before.joints)
    np.testing.assert_array_equal(after.roots, before.roots)
    whole = whole_joints(after, H36M_27)
    for ends in (("ankle", "toe"), ("heel", "toe"), ("wrist", "index"), ("index", "pinky"), ("wrist", "thumb")):
        lengths = [
            np.linalg.norm(whole[:, at(f"{side}_{ends[0]}")] - whole[:, at(f"{side}_{ends[1]}")], axis=1)
            for side in ("left", "right")
        ]
        assert np.ptp(lengths) < 1e-5
    turned = after.rotations.copy()
    for side, bone, end in (("left", "knee", "ankle"), ("right", "elbow", "wrist")):
        assert (
            np.abs(turned[:, H36M_17.index(f"{side}_{end}")] - turned[:, H36M_17.index(f"{side}_{bone}")]).max() > 0.1
        )


def test_what_nobody_saw_is_left_empty(result: PoseResult):
    (track,) = result.tracks
    known = known_whole(result, track)
    assert not known[:, at("left_toe")].any()
    assert not known[0, at("right_toe")]
    assert known[1:, at("right_toe")].all()
    angles = track_angles(result, track)
    assert np.isnan(angles["left_ankle_flexion"]).all()
    assert np.isnan(angles["right_ankle_flexion"][0])
    assert np.isfinite(angles["right_ankle_flexion"][1:]).all()


@pytest.mark.filterwarnings("error")
def test_rows_without_a_body_are_empty_and_raise_no_warning(truth: tuple[Track, np.ndarray]):
    track, _ = truth
    away = np.where((np.arange(len(TIMES)) // 10 == 4)[:, None, None], np.float32(np.nan), np.float32(1))
    gone = replace(track, joints=track.joints * away, roots=track.roots * away[:, 0], rotations=track.rotations * away)
    found = with_extremities(gone, BLAZEPOSE_33.name, CAMERA)
    empty = np.isnan(found.extremities).all(axis=(1, 2))
    np.testing.assert_array_equal(empty, np.isnan(away[:, 0, 0]))


@pytest.mark.parametrize("layout", [COCO_17, HALPE_26], ids=lambda one: one.name)
def test_other_detectors_show_no_foot_or_no_hand(truth: tuple[Track, np.ndarray], layout: Skeleton):
    track, whole = truth
    names = {"big_toe": "foot_index", "small_toe": "foot_index"}
    columns = [BLAZEPOSE_33.joints.index("nose")] * len(layout)
    for place, name in enumerate(layout.joints):
        side, _, part = name.partition("_")
        joint = f"{side}_{names.get(part, part)}" if part else name
        columns[place] = BLAZEPOSE_33.joints.index(joint) if joint in BLAZEPOSE_33.joints else columns[0]
    seen_as = replace(track, keypoints=track.keypoints[:, columns], scores=track.scores[:, columns])
    found = with_extremities(seen_as, layout.name, CAMERA)
    if layout is COCO_17:
        assert found is seen_as
        return
    assert np.isfinite(found.extremities).all()
    assert off(found, whole)["ankle_flexion"] < 2
    drawn = PoseResult(Source("walk.mp4", 1000, 1000, TIMES, None), (found,), layout.name, H36M_17.name, camera=CAMERA)
    assert known_whole(drawn, found)[:, at("left_toe")].all()
    assert not known_whole(drawn, found)[:, at("left_index")].any()


def test_files_hold_the_points_of_feet_and_hands(result: PoseResult, tmp_path: Path):
    (track,) = result.tracks
    true = whole_joints(track, H36M_27) + track.roots[:, None]
    result.save(tmp_path / "walk.npz")
    np.testing.assert_array_equal(PoseResult.load(tmp_path / "walk.npz").tracks[0].extremities, track.extremities)

    def away(points: np.ndarray, joint: str) -> float:
        """Metres that points, wherever the file has its axes and its floor, are from the joint, against the pelvis."""
        wanted = (true[:, at(joint)] - true[:, 0]) * (1, -1, -1)
        return float(np.abs(points - wanted).max())

    (path,) = result.export("gltf", tmp_path / "walk")
    _, bones = gltf_bones(path)
    for joint, bone in (("left_toe", "toe_l"), ("right_heel", "heel_r"), ("left_index", "index_l")):
        assert away(bones[bone] - bones["pelvis"], joint) < 1e-4
    (path,) = result.export("bvh", tmp_path / "walk")
    animation, _ = read_bvh(path)
    pelvis = animation.positions[:, animation.names.index("pelvis")]
    assert away(animation.positions[:, animation.names.index("foot_r end")] - pelvis, "right_toe") < 1e-4
    (path,) = result.export("trc", tmp_path / "walk", heading=0)
    header, _, points = read_trc(path)
    markers = header["markers"]
    assert away(points[:, markers.index("RCAL")] - points[:, markers.index("MidHip")], "right_heel") < 1e-4
    assert np.isnan(points[:, markers.index("LTOE")]).all()
    written = json.loads(result.export("json", tmp_path / "walk")[0].read_text(encoding="utf-8"))
    names = written["header"]["extremities"]["names"]
    row = written["people"][0]["frames"][5]["extremities"]
    assert row[names.index("left_toe")] is None
    np.testing.assert_allclose(row[names.index("right_toe")], track.extremities[5, names.index("right_toe")], atol=1e-4)
    (path,) = result.export("mot", tmp_path / "walk")
    angles, columns = joint_angles(whole_joints(track, H36M_27), H36M_27), read_mot(path)
    for side in ("left", "right"):
        # The angle of the sole is not quite that of the foot, which also turns outwards.
        written_as = columns[f"ankle_angle_{side[0]}"]
        assert np.abs(written_as - np.clip(angles[f"{side}_ankle_flexion"], -40, 30)).max() < 6
        assert np.abs(columns[f"wrist_flex_{side[0]}"] - angles[f"{side}_wrist_flexion"]).max() < 6


def at(joint: str) -> int:
    return H36M_27.index(joint)
