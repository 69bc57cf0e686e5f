"""HumanEva-I, from the arrays that VideoPose3D makes of it: 15 joints, three cameras, chunks of valid motion capture.

Sigal, Balan and Black, "HumanEva: synchronized video and motion capture dataset and baseline algorithm for evaluation
of articulated human motion", IJCV 2010.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.geometry import world_to_camera
from vidpose.body.skeletons import COCO_TO_HUMANEVA, HUMANEVA_15, Conversion, Skeleton
from vidpose.common.errors import VidposeError
from vidpose.datasets.protocol import Protocol
from vidpose.datasets.restricted_pickle import load_object_npz
from vidpose.datasets.store import Recording, Store, StoreWriter

SPLITS: Mapping[str, str] = {"Train": "train", "Validate": "test"}
"""VideoPose3D's prefix of a subject -> split. The data set's own test set has no public motion capture."""

SUBJECTS = ("S1", "S2", "S3")

CAMERAS = ("C1", "C2", "C3")
"""The colour cameras."""

WIDTH, HEIGHT, FPS = 640, 480, 60

_S1_CAMERAS = (
    ((0.424207, -0.4983646, -0.5802981, 0.4847012), (4062.2271, 663.2477, 1528.3970)),
    ((0.6503354, -0.7481602, -0.0919284, 0.0941766), (844.8131, -3805.2092, 1504.9929)),
    ((0.0664734, -0.0690535, 0.7416416, -0.6639132), (-797.6738, 3916.3174, 1433.6602)),
)
EXTRINSICS: Mapping[str, tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]] = {
    "S1": _S1_CAMERAS,
    "S2": (
        ((0.4214752, -0.4961493, -0.5838273, 0.4851187), (4112.9121, 626.4929, 1545.2988)),
        ((0.6501393, -0.7476588, -0.0954617, 0.0959808), (923.5740, -3877.9243, 1504.5518)),
        ((0.0699353, -0.0712403, 0.7421637, -0.662742), (-781.4915, 3838.8853, 1444.9929)),
    ),
    "S3": _S1_CAMERAS,
}
"""By subject and camera: the camera's orientation in the world, a quaternion (w, x, y, z), and place, millimetres."""

LAYOUT = "humaneva15"

_KEYPOINT_LAYOUTS: Mapping[str, Conversion | None] = {"humaneva15": None, "coco": COCO_TO_HUMANEVA}

PROTOCOLS: Mapping[str, Protocol] = {
    "videopose3d": Protocol(
        "videopose3d",
        "Walk and Jog of S1, S2 and S3, validation halves, three cameras: mean of the six means by subject and action; "
        "15 joints (S3's head in Walk is wrong in the ground truth, and counts)",
        actions=tuple(f"{action} {subject}" for action in ("Walk", "Jog") for subject in SUBJECTS),
    )
}
"""Actions have their subject in their name, since the papers average over the six columns of their tables."""

_ADVICE = "make it with VideoPose3D's data/prepare_data_humaneva.py from http://humaneva.is.tue.mpg.de, put it there"


def prepare(source: Path, writer: StoreWriter, report: Callable[[str], None]) -> Store:
    """Bring HumanEva-I into the layout humaneva15; a part is a subject of a split.

    The name of an input is what follows `data_2d_humaneva15_` in its file's name. A clip's action is "Walk S1" (Walk,
    Jog, Box, ThrowCatch, Gestures), its sequence a chunk, "Walking 1 chunk0".

    Args:
        source: the folder of `data_3d_humaneva15.npz` and one or more `data_2d_humaneva15_*.npz`.
        report: is told of each subject that was written.

    Raises:
        VidposeError: a file is missing or lacks a subject, chunk or camera, is truncated or has other joints.
    """
    path = source / "data_3d_humaneva15.npz"
    positions = load_object_npz(path, ["positions_3d"], _ADVICE)["positions_3d"]
    files = sorted(source.glob("data_2d_humaneva15_*.npz"))
    if not files:
        raise VidposeError(f"{source / 'data_2d_humaneva15_gt.npz'}: missing, and no other 2D; {_ADVICE}")
    inputs = {file.stem.removeprefix("data_2d_humaneva15_"): _Keypoints(file) for file in files}
    # Parts that are there are written again: it takes seconds, and an input may have been added since.
    for prefix, split in SPLITS.items():
        for subject in SUBJECTS:
            recordings = list(_recordings(path, positions, inputs, prefix, subject))
            writer.write(f"{split}-{subject}", recordings)
            report(f"{prefix}/{subject}: {len(recordings)} clips")
    return writer.finish(
        {"source": [str(file) for file in (path, *files)], "splits": dict(SPLITS)},
        {name: keypoints.description for name, keypoints in inputs.items()},
    )


class _Keypoints:
    """A file of 2D keypoints.

    Raises:
        VidposeError: it cannot be read, or has a joint layout other than HumanEva's 15 or COCO's 17.
    """

    def __init__(self, path: Path):
        arrays = load_object_npz(path, ["positions_2d", "metadata"], _ADVICE)
        try:
            self._conversion = _KEYPOINT_LAYOUTS[arrays["metadata"]["layout_name"]]
        except (LookupError, TypeError) as error:
            layouts = " or ".join(_KEYPOINT_LAYOUTS)
            raise VidposeError(f"{path}: not of layout {layouts} ({error!r} in its metadata); {_ADVICE}") from None
        self._path, self._sequences = path, arrays["positions_2d"]

    @property
    def description(self) -> dict[str, Any]:
        """What the index says of the input."""
        conversion = {} if self._conversion is None else {"conversion": self._conversion.name}
        return {"detector": self._path.stem, "scores": False, **conversion}

    def __call__(self, subject: str, sequence: str, camera: int, frames: int) -> np.ndarray:
        """(frames, 15, 2) pixels; a detector's frames after the end of the motion capture are left out."""
        where = f"{self._path}: {subject} {sequence} {CAMERAS[camera]}"
        try:
            values = self._sequences[subject][sequence][camera]
        except (LookupError, TypeError) as error:
            raise _lacks(where, error) from None
        if self._conversion is None:
            return _checked(where, values, frames, HUMANEVA_15, 2)[:frames]
        values = _checked(where, values, frames, self._conversion.source, 2)[:frames]
        return self._conversion(values, np.ones(values.shape[:2]))[0]


def _recordings(
    path: Path, positions: Any, inputs: Mapping[str, _Keypoints], prefix: str, subject: str
) -> Iterator[Recording]:
    """Every chunk of one subject in one split, by each camera."""
    where = f"{path}: {prefix}/{subject}"
    try:
        chunks = list(positions[f"{prefix}/{subject}"].items())
    except (LookupError, TypeError, AttributeError) as error:
        raise _lacks(where, error) from None
    for sequence, world in chunks:
        world = _checked(f"{where} {sequence}", world, 1, HUMANEVA_15, 3)
        action = "Walk" if sequence.startswith("Walk") else sequence.partition(" ")[0]
        for camera, (orientation, position) in enumerate(EXTRINSICS[subject]):
            yield Recording(
                world_to_camera(world, np.array(orientation), np.array(position) / 1000),
                {name: read(f"{prefix}/{subject}", sequence, camera, len(world)) for name, read in inputs.items()},
                split=SPLITS[prefix],
                subject=subject,
                action=f"{action} {subject}",
                camera=CAMERAS[camera],
                sequence=sequence,
                width=WIDTH,
                height=HEIGHT,
                fps=FPS,
            )


def _checked(where: str, values: Any, frames: int, layout: Skeleton, axes: int) -> np.ndarray:
    """An array, once it is known to hold `frames` poses or more."""
    values, due = np.asarray(values), (len(layout), axes)
    if values.dtype.kind != "f" or values.ndim != 3 or values.shape[1:] != due or len(values) < frames:
        raise VidposeError(
            f"{where}: an array {values.shape} of {values.dtype}, where {(frames, *due)} of numbers was expected; "
            f"{_ADVICE}"
        )
    if not np.isfinite(values).all():
        raise VidposeError(f"{where}: not all numbers are finite; {_ADVICE}")
    return values


def _lacks(where: str, error: Exception) -> VidposeError:
    return VidposeError(f"{where}: not in the file ({error!r}); {_ADVICE}")
