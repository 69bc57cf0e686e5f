"""HumanEva-I from small files in VideoPose3D's format; its cameras against the data set's own calibration."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vidpose.body.geometry import world_to_camera
from vidpose.body.skeletons import HUMANEVA_15
from vidpose.common.errors import VidposeError
from vidpose.datasets.humaneva import EXTRINSICS, PROTOCOLS, prepare
from vidpose.datasets.store import Store, StoreWriter

SUBJECTS = ["Train/S1", "Train/S2", "Train/S3", "Validate/S1", "Validate/S2", "Validate/S3"]
CHUNKS = {"Walking 1 chunk0": 7, "Walking 1 chunk2": 4, "Jog 1 chunk0": 5, "Box 1 chunk1": 3, "ThrowCatch 1 chunk0": 2}

METADATA = {
    "gt": {
        "layout_name": "humaneva15",
        "num_joints": 15,
        "keypoints_symmetry": [[2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]],
    },
    "detectron_pt_coco": {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
    },
}

# HumanEva-I's calibration of C1 (millimetres): what takes a world point X to R X + t in the camera's frame.
CALIBRATION_OF_C1 = {
    "S1": (
        [[-0.143362, 0.989627, 0.009217], [0.167173, 0.033395, -0.985362], [-0.975449, -0.139723, -0.170226]],
        [-88.085494, 804.781346, 4315.339452],
    ),
    "S2": (
        [[-0.152389, 0.988262, 0.010755], [0.170400, 0.036991, -0.984680], [-0.973520, -0.148222, -0.174037]],
        [-8.996069, 797.610556, 4365.802204],
    ),
}
CALIBRATION_OF_C1["S3"] = CALIBRATION_OF_C1["S1"]


def arrays() -> dict[str, dict]:
    """The contents of the files: metric joints, and keypoints by input; all with each other's chunks."""
    rng = np.random.default_rng(0)
    positions = {
        subject: {chunk: rng.normal(0, 1, (frames, 15, 3)).astype(np.float32) for chunk, frames in CHUNKS.items()}
        for subject in SUBJECTS
    }
    keypoints = {}
    for name, metadata in METADATA.items():
        # Chunks without motion capture are in a detector's file, under names of their own.
        unlabeled = {"Unlabeled/Train/S1": {"Walking 1 chunk1": 6}, "Unlabeled/S4": {"Walking 1": 9}}
        chunks = {**dict.fromkeys(SUBJECTS, CHUNKS), **(unlabeled if name != "gt" else {})}
        keypoints[name] = {
            subject: {
                chunk: [rng.uniform(0, 480, (n, metadata["num_joints"], 2)).astype(np.float32) for _ in range(3)]
                for chunk, n in of_subject.items()
            }
            for subject, of_subject in chunks.items()
        }
    return {"positions": positions, **keypoints}


def write(folder: Path, contents: dict[str, dict]) -> Path:
    np.savez_compressed(folder / "data_3d_humaneva15", positions_3d=contents["positions"])
    for name, metadata in METADATA.items():
        if name in contents:
            path = folder / f"data_2d_humaneva15_{name}"
            np.savez_compressed(path, positions_2d=contents[name], metadata=metadata)
    return folder


def prepared(source: Path, lines: list[str] | None = None) -> Store:
    writer = StoreWriter(source / "prepared", "humaneva", "humaneva15")
    return prepare(source, writer, [].append if lines is None else lines.append)


def fails(source: Path, *parts: str) -> None:
    """Preparation ends with one line that has these parts and says what to do."""
    with pytest.raises(VidposeError) as caught:
        prepared(source)
    message = str(caught.value)
    assert "\n" not in message
    for part in (*parts, "prepare_data_humaneva.py"):
        assert part in message


@pytest.mark.parametrize("subject", ["S1", "S2", "S3"])
def test_cameras_are_those_of_the_calibration(subject):
    world = np.random.default_rng(1).normal(0, 1, (20, 3))
    rotation, translation = (np.array(values) for values in CALIBRATION_OF_C1[subject])
    orientation, position = (np.array(values) for values in EXTRINSICS[subject][0])
    ours = world_to_camera(world, orientation, position / 1000)
    np.testing.assert_allclose(ours, world @ rotation.T + translation / 1000, atol=1e-5)


def test_every_camera_looks_at_the_scene():
    # A person of 1.8 m in the middle of the room, seen with the focal length of C1's calibration.
    for subject in EXTRINSICS.values():
        for orientation, position in subject:
            feet, head = world_to_camera(
                np.array([[0, 0, 0], [0, 0, 1.8]]), np.array(orientation), np.array(position) / 1000
            )
            assert feet[2] > 2
            assert head[2] > 2
            for x, y in (765 * feet[:2] / feet[2], 765 * head[:2] / head[2]):
                assert abs(x) < 320
                assert abs(y) < 240
            assert head[1] < feet[1] - 1.7 * np.cos(np.radians(20))


def test_joints_and_keypoints(tmp_path):
    contents, lines = arrays(), []
    store = prepared(write(tmp_path, contents), lines)
    assert [line.partition(":")[0] for line in lines] == SUBJECTS
    assert len(store.clips) == len(SUBJECTS) * len(CHUNKS) * 3
    assert set(store.inputs) == {"gt", "detectron_pt_coco"}
    assert store.inputs["detectron_pt_coco"]["conversion"] == "coco17-humaneva15-mid"
    for clip in store.clips:
        subject = f"{'Train' if clip.split == 'train' else 'Validate'}/{clip.subject}"
        camera = ["C1", "C2", "C3"].index(clip.camera)
        (w, x, y, z), position = EXTRINSICS[clip.subject][camera]
        world = contents["positions"][subject][clip.sequence]
        expected = Rotation.from_quat([x, y, z, w]).inv().apply(world.reshape(-1, 3) - np.array(position) / 1000)
        np.testing.assert_allclose(store.joints(clip), expected.reshape(world.shape), atol=2e-6)
        given = contents["gt"][subject][clip.sequence][camera]
        np.testing.assert_array_equal(store.keypoints(clip, "gt"), given)
        assert (clip.width, clip.height, clip.fps, clip.frames) == (640, 480, 60, CHUNKS[clip.sequence])


def test_coco_detections_become_fifteen_joints(tmp_path):
    contents = arrays()
    store = prepared(write(tmp_path, contents))
    clip = next(c for c in store.clips if (c.split, c.sequence, c.camera) == ("train", "Jog 1 chunk0", "C2"))
    coco = contents["detectron_pt_coco"][f"Train/{clip.subject}"][clip.sequence][1]
    ours = dict(zip(HUMANEVA_15.joints, store.keypoints(clip, "detectron_pt_coco").swapaxes(0, 1), strict=True))
    np.testing.assert_allclose(ours["pelvis"], (coco[:, 11] + coco[:, 12]) / 2, rtol=1e-6)
    np.testing.assert_allclose(ours["thorax"], (coco[:, 5] + coco[:, 6]) / 2, rtol=1e-6)
    np.testing.assert_allclose(ours["head"], (coco[:, 3] + coco[:, 4]) / 2, rtol=1e-6)
    copied = {
        "left_shoulder": 5,
        "right_elbow": 8,
        "left_wrist": 9,
        "right_hip": 12,
        "left_knee": 13,
        "right_ankle": 16,
    }
    for joint, index in copied.items():
        np.testing.assert_array_equal(ours[joint], coco[:, index])


def test_what_the_protocol_counts(tmp_path):
    protocol = PROTOCOLS["videopose3d"]
    assert protocol.actions == ("Walk S1", "Walk S2", "Walk S3", "Jog S1", "Jog S2", "Jog S3")
    assert protocol.average == "actions"
    store = prepared(write(tmp_path, arrays()))
    counted = {(clip.split, clip.action, clip.sequence) for clip in store.clips if protocol.counts(clip)}
    assert counted == {
        ("test", f"{action} S{subject}", chunk)
        for subject in (1, 2, 3)
        for action, chunk in (("Walk", "Walking 1 chunk0"), ("Walk", "Walking 1 chunk2"), ("Jog", "Jog 1 chunk0"))
    }
    assert {clip.action for clip in store.clips if clip.subject == "S2"} == {
        "Walk S2", "Jog S2", "Box S2", "ThrowCatch S2"
    }  # fmt: skip


def test_longer_detections_are_cut(tmp_path):
    contents = arrays()
    views = contents["gt"]["Validate/S2"]["Walking 1 chunk0"]
    given = views[1]
    views[1] = np.concatenate([given, np.zeros((3, 15, 2), np.float32)])
    store = prepared(write(tmp_path, contents))
    (clip,) = (
        c for c in store.clips if (c.split, c.subject, c.sequence, c.camera) == ("test", "S2", "Walking 1 chunk0", "C2")
    )
    np.testing.assert_array_equal(store.keypoints(clip, "gt"), given)


def test_an_input_can_be_added(tmp_path):
    contents = arrays()
    detected = contents.pop("detectron_pt_coco")
    assert set(prepared(write(tmp_path, contents)).inputs) == {"gt"}
    store = prepared(write(tmp_path, {**contents, "detectron_pt_coco": detected}))
    assert store.keypoints(store.clips[0], "detectron_pt_coco").shape == (store.clips[0].frames, 15, 2)


def test_missing_files(tmp_path):
    fails(tmp_path, str(tmp_path / "data_3d_humaneva15.npz"))
    write(tmp_path, {"positions": arrays()["positions"]})
    fails(tmp_path, str(tmp_path / "data_2d_humaneva15_gt.npz"), "missing")


def remove(contents: dict, *keys: str) -> None:
    for key in keys[:-1]:
        contents = contents[key]
    del contents[keys[-1]]


def change_view(contents: dict, view: np.ndarray | None) -> None:
    contents["gt"]["Train/S2"]["Jog 1 chunk0"][2] = view


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda c: remove(c, "positions", "Train/S3"), ["data_3d_humaneva15.npz: Train/S3"]),
        (
            lambda c: c["positions"]["Train/S3"].update({"Jog 1 chunk0": np.zeros((5, 20, 3))}),
            ["data_3d_humaneva15.npz: Train/S3 Jog 1 chunk0", "(5, 20, 3)", "(1, 15, 3)"],
        ),
        (lambda c: c["positions"].update({"Train/S3": np.zeros(3)}), ["data_3d_humaneva15.npz: Train/S3"]),
        (
            lambda c: c["positions"]["Validate/S1"]["Box 1 chunk1"].fill(np.nan),
            ["data_3d_humaneva15.npz: Validate/S1 Box 1 chunk1", "finite"],
        ),
        (lambda c: remove(c, "gt", "Validate/S1"), ["_gt.npz: Validate/S1", "KeyError"]),
        (lambda c: remove(c, "gt", "Validate/S1", "Jog 1 chunk0"), ["_gt.npz: Validate/S1 Jog 1 chunk0"]),
        (lambda c: c["gt"]["Train/S2"]["Jog 1 chunk0"].pop(), ["_gt.npz: Train/S2 Jog 1 chunk0 C3", "IndexError"]),
        (lambda c: change_view(c, None), ["_gt.npz: Train/S2 Jog 1 chunk0 C3", "()"]),
        (lambda c: change_view(c, np.zeros((4, 15, 2))), ["_gt.npz: Train/S2 Jog 1 chunk0 C3", "(4, 15, 2)"]),
        (lambda c: change_view(c, np.zeros((5, 14, 2))), ["_gt.npz: Train/S2 Jog 1 chunk0 C3", "(5, 14, 2)"]),
    ],
)
def test_contents_that_do_not_fit(tmp_path, change, parts):
    contents = arrays()
    change(contents)
    fails(write(tmp_path, contents), *parts)


def test_another_joint_layout(tmp_path):
    contents = arrays()
    write(tmp_path, contents)
    path = tmp_path / "data_2d_humaneva15_gt.npz"
    for metadata in ({**METADATA["gt"], "layout_name": "humaneva20"}, {}):
        np.savez_compressed(path, positions_2d=contents["gt"], metadata=metadata)
        fails(tmp_path, str(path), "humaneva15 or coco")
    np.savez_compressed(path, positions_2d=contents["gt"])
    fails(tmp_path, str(path), "metadata")
    np.savez_compressed(path, positions_2d=Path("foreign"), metadata=METADATA["gt"])
    fails(tmp_path, str(path), "pathlib")
