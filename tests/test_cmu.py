"""CMU motion capture: the 17 joints of raw recordings, the published cameras, and the prepared benchmark."""

import json

import mocap_files
import numpy as np
import pytest
from mocap_files import MOTIONBUILDER, UNIT, write_amc, write_asf, write_bvh
from scipy.spatial.transform import Rotation

from vidpose.body.skeletons import H36M_17
from vidpose.common.errors import VidposeError
from vidpose.datasets.cmu import LAYOUT, PROTOCOLS, load_cmu, prepare
from vidpose.datasets.cmu_cameras import PUBLISHED, published_cameras
from vidpose.datasets.mocap.asf_amc import read_amc, read_asf
from vidpose.datasets.mocap.cmu_skeleton import CMU_TO_H36M, h36m_of_asf, h36m_of_bvh
from vidpose.datasets.store import StoreWriter
from vidpose.keypoint_files.bvh_reader import read_bvh

PELVIS, NOSE, HEAD_TOP = (H36M_17.index(joint) for joint in ("pelvis", "nose", "head_top"))


def of_asf(folder, moves):
    amc = write_amc(folder / "02_01.amc", moves)
    return h36m_of_asf(read_amc(amc, read_asf(write_asf(folder / "02.asf"))))


def of_bvh(folder, moves, **how):
    return h36m_of_bvh(read_bvh(write_bvh(folder / "02_01.bvh", moves, **how))[0])


def joint(positions, name):
    return positions[:, H36M_17.index(name)]


def test_joints_are_made_as_defined(tmp_path):
    moves = mocap_files.movement(5, swing=50)
    found = of_asf(tmp_path, moves)
    ends, turns = mocap_files.pose(moves)
    up = ends["head"] - ends["upperneck"]
    size = np.linalg.norm(up, axis=-1, keepdims=True)
    ahead = turns["head"].apply([0, 0, 1])
    ahead -= (ahead * up).sum(axis=-1, keepdims=True) * up / size**2
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    expected = {
        "pelvis": (ends["lhipjoint"] + ends["rhipjoint"]) / 2,
        "right_hip": ends["rhipjoint"], "right_knee": ends["rfemur"], "right_ankle": ends["rtibia"],
        "left_hip": ends["lhipjoint"], "left_knee": ends["lfemur"], "left_ankle": ends["ltibia"],
        "spine": (ends["lowerback"] + ends["upperback"]) / 2, "thorax": ends["lowerneck"],
        "nose": ends["upperneck"] + 0.45 * up + 0.5 * size * ahead, "head_top": ends["head"] + 0.75 * up,
        "left_shoulder": ends["lclavicle"], "left_elbow": ends["lhumerus"], "left_wrist": ends["lradius"],
        "right_shoulder": ends["rclavicle"], "right_elbow": ends["rhumerus"], "right_wrist": ends["rradius"],
    }  # fmt: skip
    for name, (x, y, z) in ((name, ends.T) for name, ends in expected.items()):
        np.testing.assert_allclose(joint(found, name), np.stack([x, -z, y], axis=-1), atol=1e-8, err_msg=name)


def test_a_standing_body_has_human_measures(tmp_path):
    joints = of_asf(tmp_path, {name: 0 * values for name, values in mocap_files.movement(1).items()})
    np.testing.assert_allclose(CMU_TO_H36M.matrix.sum(axis=1), 1)
    mirrored = joints[:, list(H36M_17.mirror)] * [-1, 1, 1]
    np.testing.assert_allclose(mirrored, joints, atol=1e-8)
    left, up = joint(joints, "left_hip") - joint(joints, "right_hip"), joint(joints, "thorax") - joints[:, PELVIS]
    assert left[0, 0] > 0.1
    assert np.argmax(up[0]) == 2
    assert np.cross(left, up)[0] @ (joints[:, NOSE] - joint(joints, "thorax"))[0] > 0
    # Legs are spread by 20 degrees at rest; 8 cm from ankle to floor.
    legs = sum(np.linalg.norm(joint(joints, f"left_{a}") - joint(joints, f"left_{b}"))
               for a, b in (("hip", "knee"), ("knee", "ankle")))  # fmt: skip
    assert 1.5 < 0.08 + legs + (joints[:, HEAD_TOP] - joints[:, PELVIS])[0, 2] < 1.9


@pytest.mark.parametrize("names", [None, MOTIONBUILDER])
def test_bvh_conversions_agree_with_the_amc(tmp_path, names):
    moves = mocap_files.movement(6, swing=40)
    np.testing.assert_allclose(of_bvh(tmp_path, moves, names=names), of_asf(tmp_path, moves), atol=1e-7)


@pytest.mark.parametrize("names", [None, MOTIONBUILDER])
def test_a_lost_thorax_is_put_back(tmp_path, names):
    moves = mocap_files.movement(6, swing=40)
    found = of_bvh(tmp_path, moves, names=names, whole=False)
    # The body's thorax is as long, and bent as far, as CMU's are on average: to the digits it is written with.
    np.testing.assert_allclose(found, of_asf(tmp_path, moves), atol=2e-5)


@pytest.mark.parametrize("metres", [0.01, 0.0254, 1.0])
def test_the_unit_of_a_bvh_is_found(tmp_path, metres):
    moves = mocap_files.movement(4)
    found = of_bvh(tmp_path, moves, names=MOTIONBUILDER, scale=UNIT / metres)
    np.testing.assert_allclose(found, of_asf(tmp_path, moves), atol=1e-6)


def test_the_t_pose_before_a_bvh_is_removed(tmp_path):
    moves = mocap_files.movement(4)
    with_pose = of_bvh(tmp_path, moves, names=MOTIONBUILDER, t_pose=True)
    np.testing.assert_allclose(with_pose, of_bvh(tmp_path, moves, names=MOTIONBUILDER), atol=1e-9)


def test_a_foreign_skeleton_is_one_line(tmp_path):
    path = write_bvh(tmp_path / "02_01.bvh", mocap_files.movement(2), names=MOTIONBUILDER | {"lfemur": "LThigh"})
    with pytest.raises(VidposeError, match=r"02_01\.bvh: the skeleton has no 'LeftUpLeg'"):
        h36m_of_bvh(read_bvh(path)[0])
    path = write_bvh(tmp_path / "02_01.bvh", mocap_files.movement(2), names=MOTIONBUILDER)
    path.write_text(path.read_text().replace("OFFSET 0 1.7955 -0.12708", "OFFSET 0 0 0"))
    with pytest.raises(VidposeError, match=r"02_01\.bvh: the head has no length"):
        h36m_of_bvh(read_bvh(path)[0])


def test_cameras_are_as_published():
    published = json.loads(PUBLISHED.read_text())
    cameras = published_cameras()
    assert [camera.name for camera in cameras] == ["1", "2", "3", "4"]
    for camera, numbers in zip(cameras, published["cameras"], strict=True):
        # A camera that looks along x, its picture upright; tilted down about its right, turned about the world's z.
        level = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])
        turned = Rotation.from_euler("ZY", [numbers["yaw"], numbers["pitch"]], degrees=True).as_matrix()
        np.testing.assert_allclose(camera.rotation, level @ turned.T, atol=1e-12)
        assert np.linalg.det(camera.rotation) == pytest.approx(1)
        seen = camera.see(np.array([[[1.0, 2, 3], [1, 2, 5]]]))
        assert seen[0].mean(axis=0) == pytest.approx([0, 0, numbers["distance"]])
        assert seen[0, 1, 1] < seen[0, 0, 1]  # up in the world is up in the picture
        np.testing.assert_allclose(camera.project(np.array([0.0, 0, 2])), [500, 500])
        np.testing.assert_allclose(camera.project(np.array([0.2, -0.4, 2])), [500 + 114.5, 500 - 229])


def test_a_camera_steps_back_until_all_is_seen():
    rng = np.random.default_rng(0)
    for spread in ([8, 8, 1], [1, 1, 1], [0.2, 9, 0.2], [0.2, 0.2, 9]):
        world = rng.uniform(-1, 1, (30, 17, 3)) * spread + [40, -7, 3]
        for camera in published_cameras():
            seen = camera.see(world)
            pixels = camera.project(seen)
            assert seen[..., 2].min() > 0.8 - 1e-9
            assert pixels.min() > 50 - 1e-6
            assert pixels.max() < 950 + 1e-6
            distances = np.linalg.norm(seen[1:] - seen[:-1], axis=-1)
            np.testing.assert_allclose(distances, np.linalg.norm(world[1:] - world[:-1], axis=-1), atol=1e-9)
    assert pixels[..., 1].max() - pixels[..., 1].min() > 600  # and no farther than needed


LENGTHS = {"train": {(5, 1, 0): 40}, "val": {(7, 2, 0): 35}, "test": {(2, 1, 0): 60, (2, 1, 1): 25, (17, 3, 0): 30}}


@pytest.fixture
def shards(tmp_path):
    """A shard a split, in the shards' own format: bodies that swing and walk."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for split, lengths in LENGTHS.items():
        walks = [of_asf(tmp_path, mocap_files.movement(count, seed=count)) for count in lengths.values()]
        subject, trial, segment = (np.array(column, np.int16) for column in zip(*lengths, strict=True))
        np.savez(
            folder / f"cmu17_{split}_00.npz",
            positions=np.round(1000 * np.concatenate(walks)).astype(np.int16),
            offsets=np.cumsum([0, *lengths.values()]),
            subject=subject, trial=trial, segment=segment, fps=np.float32(50),
            native_fps=np.full(len(walks), 120, np.float32), description=np.array(["walk"] * len(walks)),
            source=np.array(["asf/amc"] * len(walks)), joints=np.array(H36M_17.joints),
        )  # fmt: skip
    return folder


def prepared(source, folder, lines=None):
    return prepare(source, StoreWriter(folder, "cmu", LAYOUT), [].append if lines is None else lines.append)


def clip_of(store, sequence, camera):
    return next(clip for clip in store.clips if (clip.sequence, clip.camera) == (sequence, camera))


def test_every_sequence_through_every_camera(shards, tmp_path):
    lines = []
    store = prepared(shards, tmp_path / "store", lines)
    assert lines[0] == "test-02: 2 sequences through 4 cameras"
    assert [clip.split for clip in store.clips].count("test") == 12
    found = {(clip.split, clip.subject, clip.sequence, clip.frames) for clip in store.clips}
    assert found == {
        ("train", "05", "05_01", 40), ("val", "07", "07_02", 35), ("test", "02", "02_01", 60),
        ("test", "02", "02_01_1", 25), ("test", "17", "17_03", 30),
    }  # fmt: skip
    motion = load_cmu(shards, "test")
    clip = clip_of(store, "02_01_1", "3")
    assert (clip.width, clip.height, clip.fps, clip.action) == (1000, 1000, 50, "all")
    joints, world = store.joints(clip), motion.positions[60:85]
    assert joints.dtype == np.float32
    camera = published_cameras()[2]
    offset = joints[0, 0] - world[0, 0] @ camera.rotation.T
    np.testing.assert_allclose(joints, world @ camera.rotation.T + offset, atol=1e-5)
    expected = 1145 * joints[..., :2] / joints[..., 2:] + 500
    np.testing.assert_allclose(store.keypoints(clip, "gt"), expected, atol=1e-3)


def test_the_imitated_detector_is_near_scored_and_seeded(shards, tmp_path):
    store = prepared(shards, tmp_path / "store")
    clip = clip_of(store, "02_01", "1")
    found, exact = store.keypoints(clip, "detector"), store.keypoints(clip, "gt")
    away = np.linalg.norm(found[..., :2] - exact, axis=-1)
    assert 2 < np.nanmedian(away) < 30
    errors = np.array([
        np.nanmedian(np.linalg.norm(store.keypoints(c, "detector")[..., :2] - store.keypoints(c, "gt"), axis=-1))
        for c in store.clips
    ])  # fmt: skip
    assert len(set(errors.tolist())) == len(errors)
    scores = np.concatenate([store.keypoints(c, "detector")[..., 2].ravel() for c in store.clips])
    absent = np.concatenate([np.isnan(store.keypoints(c, "detector")[..., 0]).ravel() for c in store.clips])
    np.testing.assert_array_equal(scores == 0, absent)
    assert 0 < absent.mean() < 0.2
    assert 0.05 <= scores[~absent].min() < 0.9 < scores.max() <= 1

    for shard in ("cmu17_train_00.npz", "cmu17_val_00.npz"):
        (shards / shard).unlink()
    alone = prepared(shards, tmp_path / "alone")
    np.testing.assert_array_equal(alone.keypoints(clip_of(alone, "02_01", "1"), "detector"), found)


def test_an_interrupted_preparation_goes_on(shards, tmp_path):
    prepared(shards, tmp_path / "store")
    kept = tmp_path / "store" / "parts" / "test-17" / "joints.npy"
    before = kept.stat().st_mtime_ns
    (tmp_path / "store" / "parts" / "test-02" / "clips.json").unlink()
    lines = []
    prepared(shards, tmp_path / "store", lines)
    assert lines[:2] == ["test-02: 2 sequences through 4 cameras", "test-17: there already"]
    assert kept.stat().st_mtime_ns == before


def raw(folder, subject, trial, frames=40):
    """A trial as in the folders of the database; gives its movement."""
    place = folder / "subjects" / f"{subject:02d}"
    place.mkdir(parents=True, exist_ok=True)
    moves = mocap_files.movement(frames, seed=subject)
    write_asf(place / f"{subject:02d}.asf")
    write_amc(place / f"{subject:02d}_{trial:02d}.amc", moves)
    return moves


def test_raw_trials_at_fifty_frames_a_second(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    moves = raw(source, 2, 1, frames=41)
    raw(source, 60, 3, frames=41)  # 60 frames a second
    raw(source, 35, 1)
    write_bvh(source / "2_01_ignoreFirstFrame.bvh", mocap_files.movement(5))  # the AMC is taken
    write_bvh(source / "08_05.bvh", mocap_files.movement(41), names=MOTIONBUILDER, whole=False)
    store = prepared(source, tmp_path / "store")
    frames = {(clip.split, clip.sequence): clip.frames for clip in store.clips}
    # 40 steps of 1/120 s are 16 of 1/50 s and a bit; of 1/60 s, 33 and a bit.
    assert frames == {("test", "02_01"): 17, ("train", "60_03"): 34, ("val", "35_01"): 17, ("test", "08_05"): 17}
    joints = store.joints(clip_of(store, "02_01", "2"))
    native = of_asf(tmp_path, moves)
    back = (joints - joints[0, 0]) @ published_cameras()[1].rotation
    expected = native - native[0, 0]
    np.testing.assert_allclose(back[::5], expected[::12], atol=1e-5)
    between = (np.arange(17) / 50)[:, None] * 120
    low = np.floor(between).astype(int)[:, 0]
    linear = expected[low] + (between - low[:, None])[..., None] * (expected[low + 1] - expected[low])
    np.testing.assert_allclose(back, linear, atol=5e-4)  # a chord of so smooth a path is this near


def test_splits_of_the_source_decide(tmp_path):
    raw(tmp_path / "source", 2, 1)
    raw(tmp_path / "source", 35, 1)
    (tmp_path / "source" / "splits.json").write_text(json.dumps({"train": [2], "val": [], "test": [35], "note": ""}))
    store = prepared(tmp_path / "source", tmp_path / "store")
    assert {(clip.split, clip.subject) for clip in store.clips} == {("train", "02"), ("test", "35")}


def test_what_is_missing_is_one_line(shards, tmp_path):
    def fails(match):
        with pytest.raises(VidposeError, match=match) as caught:
            prepared(source, tmp_path / "store")
        assert "\n" not in str(caught.value)

    source = tmp_path / "source"
    source.mkdir()
    fails(r"source: no CMU motion capture here; put the shards .* from http://mocap\.cs\.cmu\.edu")
    raw(source, 2, 1)
    amc = source / "subjects" / "02" / "02_01.amc"
    (amc.parent / "02.asf").unlink()
    fails(r"02_01\.amc: its skeleton 02\.asf is missing; download it from mocap\.cs\.cmu\.edu")
    raw(source, 2, 1, frames=1)
    fails(r"02_01\.amc: 1 frame, which is no movement")
    (source / "02_01.amc").write_bytes(amc.read_bytes())
    fails(r"02_01\.amc: the same trial as .*02_01\.amc; take one of them away")
    (source / "02_01.amc").rename(source / "walk.amc")
    fails(r"walk\.amc: its name gives no subject and trial, like 02_01\.amc")
    (source / "walk.amc").unlink()
    (source / "splits.json").write_text('{"train": [2]}')
    fails(r"splits\.json: not a list of subjects")
    source = shards
    with np.load(shards / "cmu17_test_00.npz") as shard:
        np.savez(shards / "cmu17_test_00.npz", **{key: shard[key] for key in shard if key != "trial"})
    fails(r"cmu17_test_00\.npz: not a CMU-17 shard \(.*trial")


def test_the_protocol_counts_all_test_frames(shards, tmp_path):
    protocol = PROTOCOLS["vidpose"]
    store = prepared(shards, tmp_path / "store")
    assert sum(clip.frames for clip in store.clips if protocol.counts(clip)) == 4 * (60 + 25 + 30)
    assert protocol.average == "frames"
    assert "four published cameras" in protocol.description
