"""Which format a file of keypoints is of: its content says."""

from __future__ import annotations

from pathlib import Path

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import read_json, read_text, reading
from vidpose.keypoint_files.coco_results import is_coco, read_coco
from vidpose.keypoint_files.deeplabcut import is_deeplabcut, read_deeplabcut_csv, read_deeplabcut_h5
from vidpose.keypoint_files.keypoint_table import KeypointTable
from vidpose.keypoint_files.markers import read_c3d, read_trc
from vidpose.keypoint_files.mediapipe_landmarks import is_mediapipe, read_landmark_array, read_mediapipe
from vidpose.keypoint_files.mmpose_predictions import is_mmpose, read_mmpose
from vidpose.keypoint_files.openpose_folder import is_openpose, read_openpose
from vidpose.keypoint_files.own_files import is_own_csv, is_own_json, read_own_csv, read_own_json

FORMATS = (
    "a folder of OpenPose's JSON", "AlphaPose's and COCO's results", "predictions of MMPose and rtmlib",
    "MediaPipe's landmarks", "DeepLabCut's CSV and HDF5", "TRC", "C3D", "what vidpose writes",
)  # fmt: skip
"""In words, for messages."""

_HEAD = 4096

_JSON = (
    (is_own_json, read_own_json), (is_coco, read_coco), (is_mmpose, read_mmpose), (is_mediapipe, read_mediapipe),
)  # fmt: skip


def read_keypoints(path: Path) -> KeypointTable:
    """Everybody in a file, or a folder, of keypoints that another program found.

    Raises:
        VidposeError: it is missing, damaged, or of no known format; says what is wrong.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        if not is_openpose(path):
            raise _unknown(path)
        return read_openpose(path)
    if suffix == ".trc":
        return read_trc(path)
    if suffix == ".c3d":
        return read_c3d(path)
    if suffix in (".h5", ".hdf5"):
        return read_deeplabcut_h5(path)
    if suffix == ".npy":
        return read_landmark_array(path)
    if suffix == ".csv":
        with reading(path, "a table of keypoints"):
            head = read_text(path)[:_HEAD]
        if is_own_csv(head):
            return read_own_csv(path)
        if is_deeplabcut(head):
            return read_deeplabcut_csv(path)
        raise _unknown(path)
    if suffix == ".json":
        with reading(path, "JSON of keypoints"):
            content = read_json(path)
        for belongs, read in _JSON:
            if belongs(content):
                return read(path, content)
        if isinstance(content, dict) and "people" in content:
            raise VidposeError(f"{path}: one frame of OpenPose's; give the folder of all of them")
    raise _unknown(path)


def _unknown(path: Path) -> VidposeError:
    if not path.exists():
        return VidposeError(f"{path}: no such file")
    return VidposeError(f"{path}: no keypoints of a known format; read are {', '.join(FORMATS)}")
