"""MPI-INF-3DHP, from its own annotation files or from the arrays that P-STMO makes of them.

Mehta et al., "Monocular 3D human pose estimation in the wild using improved CNN supervision", 3DV 2017. Trained on and
evaluated are its poses scaled to one height, `univ_annot3`, as by P-STMO and those who follow it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.skeletons import H36M_17, MPI_INF_3DHP_17, MPI_INF_3DHP_28, Conversion
from vidpose.common.errors import VidposeError
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.restricted_pickle import load_object_npz
from vidpose.datasets.store import Recording, Store, StoredClip, StoreWriter

TRAIN: Mapping[str, tuple[int, float]] = {
    "S1 Seq1": (6416, 25), "S1 Seq2": (12430, 50), "S2 Seq1": (6502, 25), "S2 Seq2": (6081, 25),
    "S3 Seq1": (12488, 50), "S3 Seq2": (12283, 50), "S4 Seq1": (6171, 25), "S4 Seq2": (6675, 25),
    "S5 Seq1": (12820, 50), "S5 Seq2": (12312, 50), "S6 Seq1": (6188, 25), "S6 Seq2": (6145, 25),
    "S7 Seq1": (6239, 25), "S7 Seq2": (6320, 25), "S8 Seq1": (6468, 25), "S8 Seq2": (6054, 25),
}  # fmt: skip
"""Frames that have a picture (annotations can go on after them), and frames a second: `mpii_get_sequence_info.m`."""

CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""Those of the 14 that P-STMO trains on."""

TEST: Mapping[str, int] = {"TS1": 603, "TS2": 540, "TS3": 505, "TS4": 553, "TS5": 276, "TS6": 452}
"""Valid frames, the ones that count."""

# Not documented. TS1 to TS4 have as many frames as the training sequences of 25 a second.
_TEST_FPS = 25

_STUDIO_SIZE = (2048, 2048)
_TEST_SIZES = {"TS5": (1920, 1080), "TS6": (1920, 1080)}

LAYOUT = "h36m17"

TEST_TO_H36M = Conversion("mpi-inf-3dhp17-h36m17", MPI_INF_3DHP_17, H36M_17, {})
"""A permutation: `MPI_INF_3DHP_17` calls neck and head by the names of the H36M joints they take the place of."""

TRAIN_TO_H36M = Conversion(
    "mpi-inf-3dhp28-h36m17", MPI_INF_3DHP_28, H36M_17, {"thorax": {"neck": 1.0}, "nose": {"head": 1.0}}
)
"""Those 17 of the 28 joints that the test set has."""

_PCK_JOINTS = tuple(i for i, joint in enumerate(H36M_17.joints) if joint not in ("pelvis", "spine", "nose"))
_COUNTED = "univ_annot3; MPJPE over 17 joints, PCK and AUC over 14 (pelvis, spine and head left out)"

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "p-stmo",
            f"TS1 to TS6, mean over all {sum(TEST.values())} valid frames; {_COUNTED}",
            actions=tuple(TEST),
            average="frames",
            pck_joints=_PCK_JOINTS,
        ),
        Protocol(
            "d3dp",
            f"TS1 to TS6, valid frames, mean of the six sequences' means; {_COUNTED}; D3DP itself reports on annot3",
            actions=tuple(TEST),
            average="sequences",
            pck_joints=_PCK_JOINTS,
        ),
    )
}

_SITE = "https://vcai.mpi-inf.mpg.de/3dhp-dataset/"
_ADVICE = "download or make the file again"

_Sequences = Iterator[tuple[str, list[Recording]]]


def prepare(source: Path, writer: StoreWriter, report: Callable[[str], None]) -> Store:
    """Bring MPI-INF-3DHP into the layout h36m17; a part is a sequence. The training or the test set alone will do.

    Args:
        source: the folder of `data_train_3dhp.npz` and `data_test_3dhp.npz`, as P-STMO makes them, or of
            `S1/Seq1/annot.mat` to `S8/Seq2/annot.mat` and `TS1/annot_data.mat` to `TS6/annot_data.mat`. TS1 to TS6 may
            lie in a folder `mpi_inf_3dhp_test_set`.
        report: is told of each sequence that was written.

    Raises:
        VidposeError: there is neither set, or one that lacks a sequence, is truncated or has other joints.
    """
    train = _find(source / "data_train_3dhp.npz", [source], TRAIN)
    test = _find(source / "data_test_3dhp.npz", [source, source / "mpi_inf_3dhp_test_set"], TEST)
    if train is None and test is None:
        raise VidposeError(
            f"{source}: no MPI-INF-3DHP here; put S1 to S8 and mpi_inf_3dhp_test_set of {_SITE} into it, or "
            "data_train_3dhp.npz and data_test_3dhp.npz as P-STMO makes them"
        )
    sequences = chain(
        _read(train, _missing(TRAIN, writer), _train_arrays, _train_annotations),
        _read(test, _missing(TEST, writer), _test_arrays, _test_annotations),
    )
    for name, recordings in sequences:
        writer.write(_part(name), recordings)
        report(f"{name}: {len(recordings)} x {len(recordings[0].joints)} frames")
    return writer.finish(
        {
            "source": [str(path) for path in (train, test) if path is not None],
            "joints": f"univ_annot3 by {TRAIN_TO_H36M.name} and {TEST_TO_H36M.name}",
            "fps": f"not documented for the test set, {_TEST_FPS} was taken",
        },
        {"gt": {"detector": "ground truth, annot2", "scores": False}},
    )


def _find(arrays: Path, folders: Sequence[Path], names: Iterable[str]) -> Path | None:
    """Where a set is: the file of arrays, or the folder that the sequences' folders are in."""
    if arrays.is_file():
        return arrays
    return next((folder for folder in folders if any(_folder(folder, name).is_dir() for name in names)), None)


def _folder(parent: Path, name: str) -> Path:
    return parent.joinpath(*name.split())


def _part(name: str) -> str:
    return name.replace(" ", "-")


def _missing(names: Iterable[str], writer: StoreWriter) -> list[str]:
    return [name for name in names if not writer.has(_part(name))]


def _read(
    found: Path | None,
    names: Sequence[str],
    from_arrays: Callable[[Path, Sequence[str]], _Sequences],
    from_folder: Callable[[Path, Sequence[str]], _Sequences],
) -> _Sequences:
    if found is None or not names:
        return iter(())
    return from_arrays(found, names) if found.is_file() else from_folder(found, names)


def _train_arrays(path: Path, names: Sequence[str]) -> _Sequences:
    sequences = load_object_npz(path, ["data"], _ADVICE)["data"]
    for name in names:
        try:
            cameras = [sequences[name][0][str(camera)] for camera in CAMERAS]
            views = [(arrays["data_2d"], arrays["data_3d"]) for arrays in cameras]
        except (LookupError, TypeError) as error:
            raise _incomplete(f"{path}: {name}", error) from None
        yield name, _train_recordings(f"{path}: {name}", name, views, TEST_TO_H36M)


def _train_annotations(folder: Path, names: Sequence[str]) -> _Sequences:
    for name in names:
        path = _folder(folder, name) / "annot.mat"
        annotations = _load_mat(path, ["cameras", "annot2", "univ_annot3"])
        try:
            rows = [annotations["cameras"].ravel().tolist().index(camera) for camera in CAMERAS]
            views = [
                (_poses(annotations["annot2"][row, 0], 2), _poses(annotations["univ_annot3"][row, 0], 3))
                for row in rows
            ]
        except (LookupError, TypeError, ValueError) as error:
            raise _incomplete(str(path), error) from None
        yield name, _train_recordings(str(path), name, views, TRAIN_TO_H36M)


def _test_arrays(path: Path, names: Sequence[str]) -> _Sequences:
    sequences = load_object_npz(path, ["data"], _ADVICE)["data"]
    for name in names:
        try:
            keypoints, joints, valid = (sequences[name][key] for key in ("data_2d", "data_3d", "valid"))
        except (LookupError, TypeError) as error:
            raise _incomplete(f"{path}: {name}", error) from None
        yield name, [_test_recording(f"{path}: {name}", name, keypoints, joints, valid)]


def _test_annotations(folder: Path, names: Sequence[str]) -> _Sequences:
    import h5py

    for name in names:
        path = folder / name / "annot_data.mat"
        _check_is_there(path)
        try:
            # Matlab's axes in reverse: joints (T, 1, 17, 3).
            with h5py.File(path, "r") as file:
                keypoints, joints = _poses(file["annot2"][()], 2), _poses(file["univ_annot3"][()], 3)
                valid = file["valid_frame"][()]
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise _incomplete(str(path), error) from None
        yield name, [_test_recording(str(path), name, keypoints, joints, valid)]


def _load_mat(path: Path, keys: Sequence[str]) -> Mapping[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    _check_is_there(path)
    try:
        return loadmat(path, variable_names=keys)
    except (OSError, LookupError, TypeError, ValueError, NotImplementedError, MatReadError, zlib.error) as error:
        raise _incomplete(str(path), error) from None


def _poses(rows: np.ndarray, axes: int) -> np.ndarray:
    """(T, joints, axes) of rows that have all coordinates of a frame in them."""
    return rows.reshape(len(rows), -1, axes)


def _check_is_there(path: Path) -> None:
    if not path.is_file():
        raise VidposeError(
            f"{path}: missing; a set is prepared as a whole: download the file from {_SITE}, put it there"
        )


def _incomplete(where: str, error: Exception) -> VidposeError:
    return VidposeError(f"{where}: cannot be read ({error!r}); {_ADVICE}")


def _train_recordings(
    where: str, name: str, views: Iterable[tuple[np.ndarray, np.ndarray]], conversion: Conversion
) -> list[Recording]:
    """The sequence as seen by each of `CAMERAS`: (keypoints, joints in millimetres) in the source of `conversion`."""
    frames, fps = TRAIN[name]
    return [
        Recording(
            _h36m(f"{where}: 3D of camera {camera}", joints, frames, 3, conversion) / 1000,
            {"gt": _h36m(f"{where}: 2D of camera {camera}", keypoints, frames, 2, conversion)},
            split="train",
            subject=name.split()[0],
            action=name,
            camera=str(camera),
            sequence=name,
            width=_STUDIO_SIZE[0],
            height=_STUDIO_SIZE[1],
            fps=fps,
        )
        for camera, (keypoints, joints) in zip(CAMERAS, views, strict=True)
    ]


def _test_recording(where: str, name: str, keypoints: np.ndarray, joints: np.ndarray, valid: np.ndarray) -> Recording:
    """A test sequence: all its frames, since windows reach into those that do not count."""
    valid = np.asarray(valid).ravel() == 1
    if valid.sum() != TEST[name]:
        raise VidposeError(f"{where}: {valid.sum()} valid frames, where the test set has {TEST[name]}; {_ADVICE}")
    width, height = _TEST_SIZES.get(name, _STUDIO_SIZE)
    return Recording(
        _h36m(f"{where}: 3D", joints, len(valid), 3, TEST_TO_H36M) / 1000,
        {"gt": _h36m(f"{where}: 2D", keypoints, len(valid), 2, TEST_TO_H36M)},
        split="test",
        subject=name,
        action=name,
        camera="0",
        sequence=name,
        width=width,
        height=height,
        fps=_TEST_FPS,
        valid=valid,
    )


def _h36m(where: str, values: np.ndarray, frames: int, axes: int, conversion: Conversion) -> np.ndarray:
    """The first `frames` poses in H36M's order."""
    values, due = np.asarray(values), (len(conversion.source), axes)
    if values.dtype.kind not in "fiu" or values.ndim != 3 or values.shape[1:] != due or len(values) < frames:
        raise VidposeError(
            f"{where}: an array {values.shape} of {values.dtype}, where {(frames, *due)} of numbers was expected; "
            f"{_ADVICE}"
        )
    if not np.isfinite(values[:frames]).all():
        raise VidposeError(f"{where}: not all numbers are finite; {_ADVICE}")
    return values[:frames, conversion.matrix.argmax(axis=1)]


def video_names(clip: StoredClip) -> list[str]:
    """Where a clip's video, or its folder of pictures, may be, below the folder of the benchmark."""
    if clip.split == "train":
        return [f"{clip.sequence.replace(' ', '/')}/imageSequence/video_{clip.camera}.avi"]
    return [f"{folder}{clip.sequence}/imageSequence" for folder in ("", "mpi_inf_3dhp_test_set/")]
