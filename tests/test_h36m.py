"""Human3.6M: its cameras, and its files in the forms in which they are passed around, made small.

`data/reference_cameras.npz` holds inputs and outputs of VideoPose3D's common/camera.py.
"""

import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vidpose.body.geometry import project, rotate, world_to_camera
from vidpose.body.skeletons import COCO_TO_H36M, H36M_17
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.h36m import LAYOUT, PROTOCOLS, prepare
from vidpose.datasets.h36m_cameras import CAMERAS
from vidpose.datasets.h36m_names import ACTIONS, SPLITS, canonical, from_numbers
from vidpose.datasets.store import Store, StoreWriter

DROPPED = [4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31]
CAMERA_NAMES = ("54138969", "55011271", "58860488", "60457274")
PICKLE = "h36m_sh_conf_cam_source_final.pkl"
SYMMETRY = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
COCO_SYMMETRY = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]


def file_names(subject: str) -> list[str]:
    """The thirty names in the archive of a subject: S1's spell two actions otherwise."""
    spelling = {"Photo": "TakingPhoto", "WalkDog": "WalkingDog"} if subject == "S1" else {}
    return [spelling.get(action, action) + take for action in ACTIONS for take in ("", " 1")]


def millimetres(subject: str, name: str) -> np.ndarray:
    """(F, 32, 3) in the world; what is not among the seventeen joints is absurd, so that it shows."""
    rng = np.random.default_rng(sum(map(ord, subject + canonical(name))))
    positions = rng.uniform(-400, 400, (1, 32, 3)) + rng.normal(0, 10, (3 + rng.integers(4), 32, 3)) + [0, 0, 900]
    positions[:, DROPPED] = 1e7
    return positions.astype(np.float32)


def kept(positions: np.ndarray) -> np.ndarray:
    return np.delete(positions, DROPPED, axis=1)


def seen(world: np.ndarray, subject: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Camera-frame joints and pixels, computed another way: scipy's rotations, Human3.6M's formula one by one."""
    camera = CAMERAS[subject][index]
    turn = Rotation.from_quat(np.roll(camera.orientation, -1)).as_matrix()
    joints = (world - camera.position) @ turn
    (fx, fy), (cx, cy), (k1, k2, k3), (px, py) = camera.focal, camera.centre, camera.radial, camera.tangential
    pixels = np.empty((*joints.shape[:-1], 2))
    for place in np.ndindex(joints.shape[:-1]):
        x, y = joints[place][:2] / joints[place][2]
        r2 = x * x + y * y
        factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + px * x + py * y
        pixels[place] = fx * (x * factor + px * r2) + cx, fy * (y * factor + py * r2) + cy
    return joints, pixels


def write_cdf(path: Path, pose: np.ndarray, variable: str = "Pose") -> None:
    from cdflib import cdfwrite

    writer = cdfwrite.CDF(path, cdf_spec={"Majority": "row_major"})
    spec = {"Variable": variable, "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True, "Var_Type": "zVariable"}
    writer.write_var(spec | {"Dim_Sizes": list(pose.shape[1:])}, var_data=pose.astype(np.float64))
    writer.close()


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """The official archives, unpacked."""
    source = tmp_path_factory.mktemp("extracted")
    for subject in SPLITS:
        folder = source / subject / "MyPoseFeatures" / "D3_Positions"
        folder.mkdir(parents=True)
        for name in file_names(subject):
            write_cdf(folder / f"{name}.cdf", millimetres(subject, name).reshape(1, -1, 96))
    return source


@pytest.fixture(scope="module")
def archives(extracted, tmp_path_factory):
    """The official archives."""
    source = tmp_path_factory.mktemp("archives")
    for subject in SPLITS:
        with tarfile.open(source / f"Poses_D3_Positions_{subject}.tgz", "w:gz") as archive:
            archive.add(extracted / subject, subject)
    return source


def write_mocap(source: Path, change=lambda positions: None) -> None:
    positions = {
        subject: {
            canonical(name): millimetres(subject, name) / 1000
            for name in file_names(subject)
            if (subject, name) != ("S11", "Directions")
        }
        for subject in SPLITS
    }
    change(positions)
    np.savez_compressed(source / "data_3d_h36m.npz", positions_3d=positions)


def write_detections(source: Path, name: str, symmetry=SYMMETRY, joints=17, channels=2, change=lambda d: None) -> dict:
    """Detections two frames longer than the mocap, as they may be; and those that nobody needs, of S2."""
    rng = np.random.default_rng(5)
    positions = {
        subject: {
            canonical(n): [
                rng.uniform(0, 1000, (len(millimetres(subject, n)) + 2, joints, channels)).astype(np.float32)
                for _ in range(4)
            ]
            for n in file_names(subject)
            if (subject, n) != ("S11", "Directions")
        }
        for subject in (*SPLITS, "S2")
    }
    change(positions)
    metadata = {"layout_name": "h36m", "num_joints": joints, "keypoints_symmetry": symmetry}
    np.savez_compressed(source / f"data_2d_h36m_{name}.npz", positions_2d=positions, metadata=metadata)
    return positions


def prepared(source: Path, folder: Path) -> Store:
    return prepare(source, StoreWriter(folder, "h36m", LAYOUT), lambda line: None)


def clip_of(store: Store, subject: str, sequence: str, camera: str):
    (clip,) = [c for c in store.clips if (c.subject, c.sequence, c.camera) == (subject, sequence, camera)]
    return clip


@pytest.fixture(scope="module")
def reference():
    return np.load(Path(__file__).parent / "data" / "reference_cameras.npz")


def test_cameras_as_videopose3d(reference):
    ours = world_to_camera(reference["world"], reference["cam_q_wxyz"], reference["cam_t"])
    np.testing.assert_allclose(ours, reference["world_to_camera"], atol=2e-6)
    lens = reference["cam_intrinsic9"]
    ours = project(reference["cam_points"], lens[:2], lens[2:4], lens[4:7], lens[7:])
    np.testing.assert_allclose(ours, reference["project_to_2d"], atol=1e-6)


def test_rotation_by_a_quaternion_is_scipys():
    turn = Rotation.random(random_state=2)
    points = np.random.default_rng(1).normal(size=(5, 4, 3))
    np.testing.assert_allclose(rotate(np.roll(turn.as_quat(), 1), points), points @ turn.as_matrix().T, atol=1e-12)


@pytest.mark.parametrize("subject", SPLITS)
def test_every_camera_stands_upright_and_looks_at_the_middle_of_the_room(subject):
    assert [camera.name for camera in CAMERAS[subject]] == list(CAMERA_NAMES)
    for index, camera in enumerate(CAMERAS[subject]):
        assert np.linalg.norm(camera.orientation) == pytest.approx(1, abs=1e-6)
        assert (camera.width, camera.height) == (1000, 1002 if camera.name in ("54138969", "60457274") else 1000)
        joints, pixels = seen(np.array([[0, 0, 0], [0, 0, 1.8]]), subject, index)
        assert np.abs(pixels - 500).max() < 400
        assert np.all(np.abs(joints[:, 2] - 5) < 1.5)
        # Upright: the head is above the feet in the picture, and not beside them.
        assert pixels[0, 1] - pixels[1, 1] > 250
        assert abs(pixels[0, 0] - pixels[1, 0]) < 60


@pytest.mark.parametrize("form", ["extracted", "archives"])
def test_the_official_files(form, request, tmp_path):
    store = prepared(request.getfixturevalue(form), tmp_path)
    assert len(store.clips) == 7 * 30 * 4
    assert {(c.subject, c.split, c.part) for c in store.clips} == {(s, split, s) for s, split in SPLITS.items()}
    assert {c.action for c in store.clips} == set(ACTIONS)
    assert {c.fps for c in store.clips} == {50}
    assert list(store.inputs) == ["gt"]
    for subject, name, index in (("S1", "TakingPhoto 1", 0), ("S9", "Directions", 1), ("S11", "WalkDog", 3)):
        clip = clip_of(store, subject, canonical(name), CAMERA_NAMES[index])
        joints, pixels = seen(kept(millimetres(subject, name)) / 1000, subject, index)
        assert (clip.frames, clip.action) == (len(joints), canonical(name).split()[0])
        assert (clip.width, clip.height) == (1000, 1000 if index == 1 else 1002)
        np.testing.assert_allclose(store.joints(clip), joints, atol=2e-6)
        np.testing.assert_allclose(store.keypoints(clip, "gt"), pixels, atol=1e-3)


def test_the_archives_of_videopose3d(tmp_path):
    def shorten(positions):
        positions["S9"]["Eating"][2] = positions["S9"]["Eating"][2][:2]

    write_mocap(tmp_path)
    cpn = write_detections(tmp_path, "cpn_ft_h36m_dbb", change=shorten)
    scored = write_detections(tmp_path, "hrnet", channels=3)
    coco = write_detections(tmp_path, "detectron_pt_coco", COCO_SYMMETRY)
    store = prepared(tmp_path, tmp_path / "out")
    assert set(store.inputs) == {"gt", "cpn", "hrnet", "detectron_pt_coco"}
    assert len(store.clips) == (7 * 30 - 1) * 4

    clip = clip_of(store, "S1", "Photo", "60457274")
    joints, pixels = seen(kept(millimetres("S1", "Photo")) / 1000, "S1", 3)
    assert clip.frames == len(joints)
    np.testing.assert_allclose(store.joints(clip), joints, atol=2e-6)
    np.testing.assert_allclose(store.keypoints(clip, "gt"), pixels, atol=1e-3)
    np.testing.assert_array_equal(store.keypoints(clip, "cpn"), cpn["S1"]["Photo"][3][:-2])
    np.testing.assert_array_equal(store.keypoints(clip, "hrnet"), scored["S1"]["Photo"][3][:-2])
    halfway = COCO_TO_H36M.matrix @ coco["S1"]["Photo"][3][:-2]
    np.testing.assert_allclose(store.keypoints(clip, "detectron_pt_coco"), halfway, atol=1e-3)

    clip = clip_of(store, "S9", "Eating", "58860488")
    assert clip.frames == 2 < len(millimetres("S9", "Eating"))
    np.testing.assert_array_equal(store.keypoints(clip, "hrnet"), scored["S9"]["Eating"][2][:2])


def test_official_files_beside_public_detections(archives, tmp_path):
    for archive in archives.iterdir():
        shutil.copy(archive, tmp_path)
    truth = write_detections(tmp_path, "gt")
    store = prepared(tmp_path, tmp_path / "out")
    assert not [c for c in store.clips if (c.subject, c.sequence) == ("S11", "Directions")]
    clip = clip_of(store, "S5", "Waiting 1", "55011271")
    np.testing.assert_array_equal(store.keypoints(clip, "gt"), truth["S5"]["Waiting 1"][1][:-2])


def test_protocols_leave_out_what_they_say(extracted, tmp_path):
    clips = prepared(extracted, tmp_path).clips
    test = {(c.subject, c.sequence) for c in clips if c.split == "test"}
    left_out = {
        name: test - {(c.subject, c.sequence) for c in clips if protocol.counts(c)}
        for name, protocol in PROTOCOLS.items()
    }
    assert next(iter(PROTOCOLS)) == "videopose3d"
    assert left_out == {
        "videopose3d": {("S11", "Directions")},
        "motionbert": {("S9", "Greeting"), ("S9", "SittingDown 1"), ("S9", "Waiting 1")},
        "martinez": set(),
        "hossain": set(),
    }


def test_a_preparation_goes_on_where_it_was(extracted, tmp_path):
    writer, lines = StoreWriter(tmp_path, "h36m", LAYOUT), []
    prepare(extracted, writer, lines.append)
    before = (tmp_path / "parts" / "S1" / "joints.npy").stat().st_mtime_ns
    shutil.rmtree(tmp_path / "parts" / "S9")
    lines.clear()
    store = prepare(extracted, writer, lines.append)
    assert [line for line in lines if "prepared already" not in line] == [
        f"S9: 120 clips, {4 * sum(len(millimetres('S9', n)) for n in file_names('S9'))} frames"
    ]
    assert (tmp_path / "parts" / "S1" / "joints.npy").stat().st_mtime_ns == before
    assert len(store.clips) == 840


VIDEOS = [
    "s_01_act_02_subact_01_ca_01", "s_01_act_02_subact_01_ca_03", "s_01_act_02_subact_01_ca_04",
    "s_01_act_04_subact_01_ca_04", "s_05_act_12_subact_02_ca_02",
    "s_06_act_13_subact_01_ca_03", "s_07_act_06_subact_01_ca_01", "s_08_act_16_subact_02_ca_01",
    "s_09_act_05_subact_02_ca_01", "s_09_act_10_subact_02_ca_02", "s_09_act_13_subact_01_ca_03",
    "s_11_act_02_subact_02_ca_02",
]  # fmt: skip
"""All videos of the small pickle, in its order."""


def two_and_a_half_d(source: str) -> dict[str, np.ndarray]:
    """A video as MotionBERT's file has it, from a body in the room: Sun et al.'s weak perspective, in mm a pixel."""
    subject, index = f"S{int(source[2:4])}", int(source[-1]) - 1
    camera = CAMERAS[subject][index]
    rng = np.random.default_rng(sum(map(ord, source[:-1])))
    # The same body in every video, turned about the vertical as it moves.
    body = np.random.default_rng(0).uniform(-0.4, 0.4, (17, 3))
    turns = Rotation.from_rotvec(rng.uniform(0, 6, (5, 1)) * [0, 0, 1]).as_matrix()
    world = body @ turns.transpose(0, 2, 1) + rng.uniform(-1, 1, (5, 1, 3)) * [1, 1, 0] + [0, 0, 0.9]
    joints = seen(world, subject, index)[0]
    factor = 1000 * joints[:, 0, 2] / camera.focal.mean()
    image = np.empty_like(joints)
    image[..., :2] = joints[..., :2] / joints[..., 2:] * camera.focal + camera.centre
    image[..., 2] = 1000 * (joints[..., 2] - joints[:, :1, 2]) / factor[:, None]
    return {
        "joints": joints,
        "joint_2d": rng.uniform(0, 1000, (5, 17, 2)).astype(np.float32),
        "confidence": rng.uniform(0, 1, (5, 17, 1)).astype(np.float32),
        "joint3d_image": image,
        "camera_name": np.array([camera.name] * 5),
        "source": [source] * 5,
        "2.5d_factor": factor,
        "joints_2.5d_image": image * factor[:, None, None],
        "action": np.array(["Directions"] * 5, object),
    }


def motionbert_content() -> dict[str, dict]:
    content = {}
    for split in ("train", "test"):
        videos = [two_and_a_half_d(v) for v in VIDEOS if (v[2:4] in ("09", "11")) == (split == "test")]
        keys = ["joint_2d", "confidence", "joint3d_image", "camera_name", "source"]
        keys += ["2.5d_factor", "joints_2.5d_image", "action"] if split == "test" else []
        content[split] = {key: np.concatenate([video[key] for video in videos]) for key in keys}
        content[split]["source"] = content[split]["source"].tolist()
    return content


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_pickle_of_motionbert(tmp_path, protocol):
    (tmp_path / PICKLE).write_bytes(pickle.dumps(motionbert_content(), protocol=protocol))
    store = prepared(tmp_path, tmp_path / "out")
    assert {(c.subject, c.sequence, c.camera) for c in store.clips} == {
        ("S1", "Directions 1", "54138969"), ("S1", "Directions 1", "58860488"), ("S1", "Directions 1", "60457274"),
        ("S1", "Eating 2", "60457274"), ("S5", "Photo 2", "55011271"),
        ("S6", "Waiting 3", "58860488"), ("S7", "Phoning 2", "54138969"), ("S8", "WalkTogether 2", "54138969"),
        ("S9", "Greeting", "54138969"), ("S9", "SittingDown 1", "55011271"), ("S9", "Waiting 1", "58860488"),
        ("S11", "Directions", "55011271"),
    }  # fmt: skip
    assert [c.subject for c in store.clips if PROTOCOLS["motionbert"].counts(c)] == ["S11"]
    for source in VIDEOS:
        subject, sequence = from_numbers(source)
        clip, video = clip_of(store, subject, sequence, CAMERA_NAMES[int(source[-1]) - 1]), two_and_a_half_d(source)
        joints, keypoints = store.joints(clip), store.keypoints(clip, "gt")
        np.testing.assert_allclose(keypoints, video["joint3d_image"][..., :2], rtol=1e-6)
        np.testing.assert_array_equal(store.keypoints(clip, "sh")[..., :2], video["joint_2d"])
        np.testing.assert_array_equal(store.keypoints(clip, "sh")[..., 2:], video["confidence"])
        relative, image = joints - joints[:, :1], video["joint3d_image"] - video["joint3d_image"][:, :1]
        if clip.split == "test":
            scaled = video["joints_2.5d_image"] / 1000
            np.testing.assert_allclose(relative, scaled - scaled[:, :1], atol=2e-6)
            # The two focal lengths differ by a thousandth.
            np.testing.assert_allclose(joints[:, 0], video["joints"][:, 0], atol=2e-3)
        else:
            # One factor a frame: the true one, where several views show how far away the root is.
            factor = relative[..., 2].std(axis=1) / image[..., 2].std(axis=1)
            np.testing.assert_allclose(relative, image * factor[:, None, None], atol=2e-6)
            if sequence == "Directions 1":
                np.testing.assert_allclose(factor * 1000, video["2.5d_factor"], rtol=1e-4)
            else:
                bones = [relative[:, end] - relative[:, start] for start, end in H36M_17.bones]
                np.testing.assert_allclose(np.linalg.norm(bones, axis=-1).sum(axis=0), 3.98, rtol=1e-5)


def in_cdf(source, extracted, name, pose=None, variable="Pose", size=None):
    shutil.copytree(extracted, source, dirs_exist_ok=True)
    path = source / "S6" / "MyPoseFeatures" / "D3_Positions" / name
    if pose is not None:
        path.unlink(missing_ok=True)
        write_cdf(path, pose, variable)
    elif size is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:size])


def test_nothing_there_and_too_much_there(archives, tmp_path):
    with pytest.raises(UsageError, match=r"nothing of Human3.6M here.*Poses_D3_Positions_S1.tgz.*data_3d_h36m.npz"):
        prepared(tmp_path, tmp_path / "out")
    shutil.copy(archives / "Poses_D3_Positions_S1.tgz", tmp_path)
    with pytest.raises(VidposeError, match=r"neither Poses_D3_Positions_S5.tgz nor S5/MyPoseFeatures.*download"):
        prepared(tmp_path, tmp_path / "out")
    write_mocap(tmp_path)
    with pytest.raises(UsageError, match=r"several forms of Human3.6M"):
        prepared(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"name": "Eating.cdf"}, r"D3_Positions: 29 recordings, where 30 were.*Poses_D3_Positions_S6.tgz again"),
        ({"name": "Eating.cdf", "size": 1000}, r"D3_Positions: Eating cannot be read .*Poses_D3_Positions_S6.tgz"),
        ({"name": "Eating.cdf", "pose": np.zeros((1, 4, 51))}, r"Eating is \(1, 4, 51\), where \(1, frames, 96\)"),
        ({"name": "Eating.cdf", "pose": np.zeros((1, 4, 96)), "variable": "D2"}, r"Eating cannot be read .*Pose"),
        ({"name": "Juggling.cdf", "pose": np.zeros((1, 4, 96))}, r"Juggling is no recording of Human3.6M"),
    ],
)
def test_damaged_official_files(extracted, tmp_path, damage, message):
    in_cdf(tmp_path / "source", extracted, **damage)
    with pytest.raises(VidposeError, match=message) as caught:
        prepared(tmp_path / "source", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "index.json").exists()


def test_a_truncated_archive(archives, tmp_path):
    for archive in archives.iterdir():
        shutil.copy(archive, tmp_path)
    path = tmp_path / "Poses_D3_Positions_S7.tgz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VidposeError, match=r"Poses_D3_Positions_S7.tgz: cannot be unpacked.*download .* again"):
        prepared(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("S8"), r"data_3d_h36m.npz: lacks S8; make it again"),
        (lambda p: p["S7"].update(Eating=np.zeros((4, 17, 3))), r"S7 Eating is \(4, 17, 3\), where \(frames, 32, 3\)"),
        (lambda p: p["S7"].update(Eating=np.zeros((0, 32, 3))), r"S7 Eating is \(0, 32, 3\)"),
        (lambda p: p["S7"].update(Juggling=np.zeros((4, 32, 3))), r"S7 Juggling is no recording of Human3.6M"),
        (lambda p: p.update(S7=np.zeros((4, 32, 3))), r"not by subject and action"),
    ],
)
def test_wrong_motion_capture(tmp_path, change, message):
    write_mocap(tmp_path, change)
    with pytest.raises(VidposeError, match=message):
        prepared(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda d: d["S9"].pop("Eating"), {}, r"cpn_ft_h36m_dbb.npz: S9 Eating has 0 views of 4; download it again"),
        (lambda d: d["S9"]["Eating"].pop(), {}, r"S9 Eating has 3 views of 4"),
        (lambda d: d["S9"].update(Eating=[np.zeros((9, 16, 2))] * 4), {},
         r"S9 Eating is \(9, 16, 2\), where \(frames, 17, 2\) or \(frames, 17, 3\) was expected"),
        (lambda d: None, {"joints": 16, "symmetry": [[3, 4, 5, 13, 14, 15], [2, 1, 0, 12, 11, 10]]},
         r"neither Human3.6M's 17 nor COCO's 17; move it away"),
        (lambda d: None, {"symmetry": None}, r"neither Human3.6M's 17"),
    ],
)  # fmt: skip
def test_wrong_detections(tmp_path, change, settings, message):
    write_mocap(tmp_path)
    write_detections(tmp_path, "cpn_ft_h36m_dbb", change=change, **settings)
    with pytest.raises(VidposeError, match=message):
        prepared(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("test"), r"final.pkl: has no test joint_2d; download it again as MotionBERT's docs"),
        (lambda c: c["test"].pop("2.5d_factor"), r"has no test 2.5d_factor"),
        (lambda c: c["train"].update(joint_2d=np.zeros((40, 16, 2))),
         r"train joint_2d is \(40, 16, 2\), where \(40, 17, 2\) or \(40, 17, 3\) was"),
        (lambda c: c["train"].update(confidence=np.zeros((39, 17))), r"train confidence is \(39, 17\), where \(40, 17"),
        (lambda c: c["train"]["source"].__setitem__(4, "s_01_act_17_subact_01_ca_01"),
         r"s_01_act_17_subact_01_ca_01 by camera 54138969 is no video of Human3.6M's train set"),
        (lambda c: c.update(test=c["train"] | {k: c["test"][k] for k in ("2.5d_factor", "joints_2.5d_image")}),
         r"test 2.5d_factor is \(20,\), where \(40,\)"),
        (lambda c: c["test"]["camera_name"].__setitem__(0, "123"), r"by camera 123 is no video"),
    ],
)  # fmt: skip
def test_wrong_pickles_of_motionbert(tmp_path, change, message):
    content = motionbert_content()
    change(content)
    (tmp_path / PICKLE).write_bytes(pickle.dumps(content))
    with pytest.raises(VidposeError, match=message):
        prepared(tmp_path, tmp_path / "out")
