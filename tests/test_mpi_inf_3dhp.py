"""MPI-INF-3DHP from small files in the formats of the data set and of P-STMO, with the real numbers of valid frames."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from vidpose.common.errors import VidposeError
from vidpose.datasets import mpi_inf_3dhp
from vidpose.datasets.mpi_inf_3dhp import PROTOCOLS, TEST, TRAIN, prepare
from vidpose.datasets.store import Store, StoreWriter

# Columns of the 28 training joints (from 0) that make the 17 of the test set: head_top, neck, right shoulder, elbow,
# wrist, left shoulder, elbow, wrist, right hip, knee, ankle, left hip, knee, ankle, pelvis, spine, head.
PICK_17_OF_28 = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
# And which of these 17 each of Human3.6M's 17 is: pelvis, right leg, left leg, spine, thorax (neck), nose (head),
# head_top, left arm, right arm.
H36M_OF_17 = [14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]

SHORT_TRAIN = {"S1 Seq1": (9, 25), "S3 Seq2": (7, 50)}
CAMERAS = [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.fixture(autouse=True)
def _short_sequences(monkeypatch):
    """Training sequences of 100 MB are not for tests."""
    monkeypatch.setattr(mpi_inf_3dhp, "TRAIN", SHORT_TRAIN)


def cells(arrays: list[np.ndarray]) -> np.ndarray:
    """A Matlab column of cells."""
    column = np.empty((len(arrays), 1), object)
    for row, array in enumerate(arrays):
        column[row, 0] = array
    return column


def annotations_of_training(name: str) -> dict[str, np.ndarray]:
    """`annot.mat`, with two frames more than there are pictures, as some sequences have."""
    rng = np.random.default_rng(sum(name.encode()))
    frames = SHORT_TRAIN[name][0] + 2
    return {
        "frames": np.arange(frames, dtype=np.int32)[:, None],
        "cameras": np.arange(14, dtype=np.uint8)[None],
        "annot2": cells([rng.uniform(0, 2048, (frames, 56)).astype(np.float32) for _ in range(14)]),
        "annot3": cells([rng.normal(0, 900, (frames, 84)).astype(np.float32) for _ in range(14)]),
        "univ_annot3": cells([rng.normal(0, 900, (frames, 84)).astype(np.float32) for _ in range(14)]),
    }


def annotations_of_test(name: str) -> dict[str, np.ndarray]:
    """`annot_data.mat` with its axes as h5py sees them."""
    rng = np.random.default_rng(sum(name.encode()))
    frames = TEST[name] + 30
    valid = np.zeros((frames, 1))
    valid[rng.permutation(frames)[: TEST[name]]] = 1
    return {
        "annot2": rng.uniform(0, 1080, (frames, 1, 17, 2)),
        "annot3": rng.normal(0, 900, (frames, 1, 17, 3)),
        "univ_annot3": rng.normal(0, 900, (frames, 1, 17, 3)),
        "valid_frame": valid,
        "activity_annotation": rng.integers(1, 8, (frames, 1)).astype(float),
        "bb_crop": rng.uniform(0, 1080, (34, frames)),
    }


def write_train(folder: Path, name: str, annotations: dict[str, np.ndarray]) -> Path:
    path = folder.joinpath(*name.split()) / "annot.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, annotations, do_compression=True)
    return path


def write_test(folder: Path, name: str, annotations: dict[str, np.ndarray]) -> Path:
    path = folder / name / "annot_data.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:  # Matlab's v7.3 has a text of its own in front.
        for key, values in annotations.items():
            file[key] = values
    return path


def arrays_of_training() -> dict:
    """What P-STMO makes of the training set: per sequence a list of the cameras' arrays and the frame rate."""
    sequences = {}
    for name, (frames, fps) in SHORT_TRAIN.items():
        annotations = annotations_of_training(name)
        cameras = {
            str(camera): {
                "data_2d": annotations["annot2"][camera, 0].reshape(-1, 28, 2)[:frames, PICK_17_OF_28],
                "data_3d": annotations["univ_annot3"][camera, 0].reshape(-1, 28, 3)[:frames, PICK_17_OF_28],
            }
            for camera in CAMERAS
        }
        sequences[name] = [cameras, fps]
    return sequences


def arrays_of_test() -> dict:
    sequences = {}
    for name in TEST:
        annotations = annotations_of_test(name)
        sequences[name] = {
            "data_2d": annotations["annot2"].squeeze(),
            "data_3d": annotations["univ_annot3"].squeeze(),
            "valid": annotations["valid_frame"].squeeze(),
        }
    return sequences


@pytest.fixture(params=["annotations", "annotations, nested", "arrays"])
def source(request, tmp_path: Path) -> Path:
    """The same numbers as the data set's own files and as P-STMO's."""
    folder = tmp_path / "source"
    folder.mkdir()
    if request.param == "arrays":
        np.savez_compressed(folder / "data_train_3dhp", data=arrays_of_training())
        np.savez_compressed(folder / "data_test_3dhp", data=arrays_of_test())
        return folder
    for name in SHORT_TRAIN:
        write_train(folder, name, annotations_of_training(name))
    for name in TEST:
        above = folder / "mpi_inf_3dhp_test_set" if "nested" in request.param else folder
        write_test(above, name, annotations_of_test(name))
    return folder


def prepared(source: Path, lines: list[str] | None = None) -> Store:
    writer = StoreWriter(source / "prepared", "mpi-inf-3dhp", "h36m17")
    return prepare(source, writer, [].append if lines is None else lines.append)


def fails(source: Path, *parts: str) -> None:
    """Preparation ends with one line that has these parts."""
    with pytest.raises(VidposeError) as caught:
        prepared(source)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_training_views(source):
    store = prepared(source)
    clips = [clip for clip in store.clips if clip.split == "train"]
    assert [(clip.action, clip.camera) for clip in clips] == [(n, str(c)) for n in SHORT_TRAIN for c in CAMERAS]
    for clip in clips:
        frames, fps = SHORT_TRAIN[clip.action]
        annotations = annotations_of_training(clip.action)
        joints = annotations["univ_annot3"][int(clip.camera), 0].reshape(-1, 28, 3)[:frames]
        keypoints = annotations["annot2"][int(clip.camera), 0].reshape(-1, 28, 2)[:frames]
        np.testing.assert_allclose(store.joints(clip), joints[:, PICK_17_OF_28][:, H36M_OF_17] / 1000, rtol=1e-6)
        np.testing.assert_array_equal(store.keypoints(clip, "gt"), keypoints[:, PICK_17_OF_28][:, H36M_OF_17])
        assert store.valid(clip).all()
        assert (clip.subject, clip.sequence, clip.fps) == (clip.action.split()[0], clip.action, fps)
        assert (clip.width, clip.height) == (2048, 2048)


def test_test_sequences(source):
    store = prepared(source)
    clips = [clip for clip in store.clips if clip.split == "test"]
    assert [clip.action for clip in clips] == ["TS1", "TS2", "TS3", "TS4", "TS5", "TS6"]
    for clip in clips:
        annotations = annotations_of_test(clip.action)
        joints = annotations["univ_annot3"][:, 0, H36M_OF_17] / 1000
        keypoints = annotations["annot2"][:, 0, H36M_OF_17]
        np.testing.assert_allclose(store.joints(clip), joints, rtol=1e-6)
        np.testing.assert_allclose(store.keypoints(clip, "gt"), keypoints, rtol=1e-6)
        np.testing.assert_array_equal(store.valid(clip), annotations["valid_frame"][:, 0] == 1)
        outdoors = clip.action in ("TS5", "TS6")
        assert (clip.width, clip.height) == ((1920, 1080) if outdoors else (2048, 2048))
    assert sum(store.valid(clip).sum() for clip in clips) == 2929
    assert all(protocol.counts(clip) for protocol in PROTOCOLS.values() for clip in clips)


def test_goes_on_where_it_stopped(source):
    lines = []
    prepared(source, lines)
    assert [line.partition(":")[0] for line in lines] == [*SHORT_TRAIN, *TEST]
    part = source / "prepared" / "parts" / "TS4"
    (part / "clips.json").unlink()
    prepared(source, lines := [])
    assert [line.partition(":")[0] for line in lines] == ["TS4"]


def test_one_set_alone(tmp_path):
    (tmp_path / "source").mkdir()
    np.savez_compressed(tmp_path / "source" / "data_test_3dhp", data=arrays_of_test())
    assert {clip.split for clip in prepared(tmp_path / "source").clips} == {"test"}


def test_documented_sequences():
    assert len(TRAIN) == 16
    # "Each sequence is roughly 4 minutes", says the data set.
    assert all(240 < frames / fps < 270 for frames, fps in TRAIN.values())


def test_protocols():
    assert list(PROTOCOLS) == ["p-stmo", "d3dp"]
    # Matlab's groups are the test set's joints 0 to 13.
    groups = sorted(H36M_OF_17.index(joint) for joint in range(14))
    assert all(list(protocol.pck_joints) == groups and protocol.joints == () for protocol in PROTOCOLS.values())
    assert [protocol.average for protocol in PROTOCOLS.values()] == ["frames", "sequences"]


def test_nothing_there(tmp_path):
    fails(tmp_path, str(tmp_path), "https://vcai.mpi-inf.mpg.de/3dhp-dataset/", "data_test_3dhp.npz")


def test_missing_file(tmp_path):
    write_test(tmp_path, "TS1", annotations_of_test("TS1"))
    fails(tmp_path, str(tmp_path / "TS2" / "annot_data.mat"), "missing", "https://vcai.mpi-inf.mpg.de/3dhp-dataset/")


@pytest.mark.parametrize("kind", ["train", "test"])
def test_broken_off_download(tmp_path, kind):
    if kind == "train":
        path = write_train(tmp_path, "S1 Seq1", annotations_of_training("S1 Seq1"))
    else:
        path = write_test(tmp_path, "TS1", annotations_of_test("TS1"))
    os.truncate(path, path.stat().st_size // 2)
    fails(tmp_path, str(path), "cannot be read", "download")


def test_annotations_of_the_wrong_kind(tmp_path):
    path = write_test(tmp_path, "TS1", {"annot2": np.zeros((2, 1, 17, 2))})
    fails(tmp_path, str(path), "univ_annot3", "download")
    path = write_train(tmp_path, "S1 Seq1", {"annot2": np.zeros(3)})
    fails(tmp_path, str(path), "cameras", "download")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda poses: poses[:8], "(8, 28, 3)"),
        (lambda poses: poses[:, :51], "(11, 17, 3)"),
        (lambda poses: poses[:, :-1], "reshape"),
    ],
)
def test_training_array_of_another_shape(tmp_path, change, found):
    annotations = annotations_of_training("S1 Seq1")
    annotations["univ_annot3"][2, 0] = change(annotations["univ_annot3"][2, 0])
    path = write_train(tmp_path, "S1 Seq1", annotations)
    fails(tmp_path, str(path), found, "download")


@pytest.mark.parametrize(
    ("key", "change", "found"),
    [
        ("data_3d", lambda poses: poses[:-4], "(629, 17, 3)"),
        ("data_2d", lambda poses: poses[:, :16], "(633, 16, 2)"),
        ("data_2d", lambda poses: np.where(poses < 100, np.nan, poses), "finite"),
        ("data_3d", lambda poses: poses.astype(str), "<U"),
        ("valid", lambda valid: valid[:300], "valid frames, where the test set has 603"),
    ],
)
def test_test_array_of_another_shape(tmp_path, key, change, found):
    sequences = arrays_of_test()
    sequences["TS1"][key] = change(sequences["TS1"][key])
    np.savez_compressed(tmp_path / "data_test_3dhp", data=sequences)
    fails(tmp_path, str(tmp_path / "data_test_3dhp.npz"), "TS1", found, "again")


@pytest.mark.parametrize(
    "change",
    [
        lambda sequences: sequences.pop("S1 Seq1"),
        lambda sequences: sequences.update({"S1 Seq1": 3}),
        lambda sequences: sequences["S1 Seq1"][0].pop("7"),
        lambda sequences: sequences["S1 Seq1"][0]["7"].pop("data_3d"),
    ],
)
def test_arrays_that_lack_something(tmp_path, change):
    sequences = arrays_of_training()
    change(sequences)
    np.savez_compressed(tmp_path / "data_train_3dhp", data=sequences)
    fails(tmp_path, str(tmp_path / "data_train_3dhp.npz") + ": S1 Seq1", "again")


def test_arrays_of_something_else(tmp_path):
    path = tmp_path / "data_test_3dhp.npz"
    np.savez_compressed(path, positions_3d=np.zeros(3))
    fails(tmp_path, str(path), "data", "again")
    np.savez_compressed(path, data={"TS1": Path("foreign")})
    fails(tmp_path, str(path), "pathlib", "again")
