"""Which format a file of keypoints is of: its content says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vidpose.common.cells import read_cells
from vidpose.common.errors import VidposeError
from vidpose.common.inputs import check_file, read_json, reading
from vidpose.keypoint_files.coco_results import is_coco, read_coco
from vidpose.keypoint_files.deeplabcut import is_deeplabcut, read_deeplabcut_csv, read_deeplabcut_h5
from vidpose.keypoint_files.keypoint_table import KeypointTable
from vidpose.keypoint_files.landmark_csv import is_landmark_csv, read_landmark_csv
from vidpose.keypoint_files.markers import read_c3d, read_trc
from vidpose.keypoint_files.mediapipe_landmarks import is_mediapipe, read_landmark_array, read_mediapipe
from vidpose.keypoint_files.mmpose_predictions import is_mmpose, read_mmpose
from vidpose.keypoint_files.openpose_folder import is_openpose, read_openpose
from vidpose.keypoint_files.own_files import is_own_csv, is_own_json, read_own_csv, read_own_json
from vidpose.keypoint_files.skeletons_in_motion import read_bvh_joints, read_gltf

FORMATS = (
    "a folder of OpenPose's JSON", "AlphaPose's and COCO's results", "predictions of MMPose and rtmlib",
    "MediaPipe's landmarks", "DeepLabCut's CSV and HDF5", "TRC", "C3D", "BVH", "binary glTF", "what vidpose writes",
)  # fmt: skip
"""In words, for messages."""

_JSON = (
    ("vidpose", is_own_json, read_own_json),
    ("coco", is_coco, read_coco),
    ("mmpose", is_mmpose, read_mmpose),
    ("mediapipe", is_mediapipe, read_mediapipe),
)

_TABLES = (".csv", ".tsv")
_TABLE_KINDS = (
    ("vidpose", is_own_csv, read_own_csv),
    ("deeplabcut", is_deeplabcut, read_deeplabcut_csv),
    ("mediapipe", is_landmark_csv, read_landmark_csv),
)

_OF_SUFFIX = {
    ".trc": ("trc", read_trc),
    ".c3d": ("c3d", read_c3d),
    ".bvh": ("bvh", read_bvh_joints),
    ".glb": ("gltf", read_gltf),
    ".h5": ("deeplabcut", read_deeplabcut_h5),
    ".hdf5": ("deeplabcut", read_deeplabcut_h5),
    ".npy": ("mediapipe", read_landmark_array),
}

_NO_JOINTS = {
    ".mot": "the angles of joints, but not where they are",
    ".html": "a page to look at",
    ".rrd": "a scene to look at",
    ".gltf": "a glTF whose numbers are elsewhere; save it as .glb",
}
"""Suffixes of files about bodies that do not hold joints, and what they hold."""

_SAME = {"alphapose": "coco"}
"""Kinds that nothing tells apart."""


def read_keypoints(path: Path) -> KeypointTable:
    """Everybody in a file, or a folder, of keypoints that another program found.

    Raises:
        VidposeError: it is missing, damaged, or of no known format; says what is wrong.
    """
    return _reader(path)[1]()


def check_kind(path: Path, kind: str) -> None:
    """See that a file is of a kind: "openpose", "alphapose", "coco", "mmpose", "mediapipe" and so on.

    Raises:
        VidposeError: it is of another one, or none.
    """
    found, _ = _reader(path)
    if found != _SAME.get(kind, kind):
        raise VidposeError(f"{path}: a file of another kind, {found}; read it with `PoseResult.from_keypoints`")


def _reader(path: Path) -> tuple[str, Callable[[], KeypointTable]]:
    """The kind of a file, and what reads it.

    Raises:
        VidposeError: as `read_keypoints`.
    """
    suffix = path.suffix.lower()
    if path.is_dir() and is_openpose(path):
        return "openpose", partial(read_openpose, path)
    if suffix in _OF_SUFFIX and not path.is_dir():
        with reading(path, "a file of keypoints"):
            check_file(path)
        kind, read = _OF_SUFFIX[suffix]
        return kind, partial(read, path)
    if suffix in _NO_JOINTS and path.exists():
        raise VidposeError(
            f"{path}: {_NO_JOINTS[suffix]}; give the .npz of the same run, or its JSON, CSV, TRC, C3D, BVH or .glb"
        )
    if suffix in _TABLES:
        with reading(path, "a table of keypoints"):
            _, names = next(read_cells(path), (0, []))
        for kind, is_one, read_table in _TABLE_KINDS:
            if is_one(names):
                return kind, partial(read_table, path)
    if suffix == ".json":
        with reading(path, "JSON of keypoints"):
            content = read_json(path, nan=True)
        for kind, belongs, read_content in _JSON:
            if belongs(content):
                return kind, partial(read_content, path, content)
        if isinstance(content, dict) and "people" in content:
            raise VidposeError(f"{path}: one frame of OpenPose's; give the folder of all of them")
    if not path.exists():
        raise VidposeError(f"{path}: no such file")
    raise VidposeError(f"{path}: no keypoints of a known format; read are {', '.join(FORMATS)}")
