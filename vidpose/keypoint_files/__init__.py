"""Other programs' keypoints: one file a format, each of which gives a `KeypointTable`."""

from vidpose.keypoint_files.formats import FORMATS, check_kind, read_keypoints
from vidpose.keypoint_files.keypoint_table import KeypointTable

__all__ = ["FORMATS", "KeypointTable", "check_kind", "read_keypoints"]
