"""MotionBERT's form of Human3.6M: one pickle with detections of a stacked hourglass and 2.5D truth.

Zhu et al., ICCV 2023; the target is that of Sun et al., "Integral Human Pose Regression", ECCV 2018: x and y in the
picture, and the depth beyond the root in pixels of the root's distance. For the test set the file tells how many
millimetres such a pixel is (`2.5d_factor`), and the product (`joints_2.5d_image`). For the training set it does not;
there the views of a recording tell where the root was, and so how far away. Nothing of the test set comes in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.geometry import world_to_camera
from vidpose.body.kinematics import matrices_of
from vidpose.body.skeletons import H36M_17, METRES_OF_BONES
from vidpose.common.errors import VidposeError
from vidpose.datasets.h36m_cameras import CAMERAS, H36mCamera
from vidpose.datasets.h36m_names import FPS, SPLITS, action_of, from_numbers
from vidpose.datasets.restricted_pickle import load_pickle
from vidpose.datasets.store import Recording

FILE = "h36m_sh_conf_cam_source_final.pkl"

_ADVICE = "download it again as MotionBERT's docs/pose3d.md says"

_FACTS = {
    "joints, test": "2.5D: x and y from the picture by the file's millimetres a pixel, the root at the depth that this "
    "implies; relative to the root they are the file's joints_2.5d_image",
    "joints, train": "2.5D as in test; the file has no millimetres a pixel, so they follow from the root's depth, "
    "which the views of a recording tell together; where there is one view, poses are as large as an average adult",
}
_INPUTS = {
    "gt": {"detector": "none: the file's joint3d_image", "file": FILE},
    "sh": {"detector": "stacked hourglass, fine-tuned on Human3.6M; with confidence", "file": FILE},
}


@dataclass(frozen=True)
class _Run:
    """Consecutive frames of one video: `rows` of the arrays of its split."""

    rows: slice
    sequence: str
    camera: H36mCamera


def open_pickle(path: Path) -> tuple[Callable[[str], Iterable[Recording]], dict[str, Any], dict[str, Any]]:
    """Recordings by subject, facts, inputs.

    Raises:
        VidposeError: the pickle is damaged, of something else, or holds foreign names.
    """
    content = load_pickle(path, _ADVICE)
    splits = {split: _arrays(path, content, split) for split in ("train", "test")}
    runs: dict[str, list[_Run]] = defaultdict(list)
    for split, arrays in splits.items():
        for subject, run in _runs(path, arrays, split):
            runs[subject].append(run)
    if missing := SPLITS.keys() - runs.keys():
        raise VidposeError(f"{path}: lacks {', '.join(sorted(missing))}; {_ADVICE}")
    return lambda subject: _recordings(subject, runs[subject], splits[SPLITS[subject]]), _FACTS, _INPUTS


def _arrays(path: Path, content: Any, split: str) -> dict[str, np.ndarray]:
    """Arrays of a split, each of N frames, shapes checked; the names of the videos become `source`."""
    shapes: dict[str, list[tuple[int, ...]]] = {
        "joint_2d": [(17, 2), (17, 3)],
        "confidence": [(17,), (17, 1)],
        "joint3d_image": [(17, 3)],
        "camera_name": [()],
        "source": [()],
    }
    if split == "test":
        shapes |= {"2.5d_factor": [()], "joints_2.5d_image": [(17, 3)]}
    found = content.get(split) if isinstance(content, Mapping) else None
    arrays = {}
    for key, tails in shapes.items():
        if not isinstance(found, Mapping) or key not in found:
            raise VidposeError(f"{path}: has no {split} {key}; {_ADVICE}")
        arrays[key] = np.asarray(found[key])
        frames = len(arrays["joint_2d"]) if arrays["joint_2d"].ndim else 0
        if not frames or arrays[key].shape not in [(frames, *tail) for tail in tails]:
            expected = " or ".join(str((frames or "frames", *tail)) for tail in tails)
            raise VidposeError(
                f"{path}: {split} {key} is {arrays[key].shape}, where {expected} was expected; {_ADVICE}"
            )
    return arrays


def _runs(path: Path, arrays: Mapping[str, np.ndarray], split: str) -> Iterator[tuple[str, _Run]]:
    """Subject and run of each video."""
    sources, cameras = arrays["source"], arrays["camera_name"]
    borders = np.flatnonzero(sources[1:] != sources[:-1]) + 1
    for start, end in zip([0, *borders], [*borders, len(sources)], strict=True):
        subject, sequence = from_numbers(str(sources[start])) or ("", "")
        camera = next((c for c in CAMERAS.get(subject, ()) if c.name == str(cameras[start])), None)
        if camera is None or SPLITS[subject] != split:
            raise VidposeError(
                f"{path}: {sources[start]!s} by camera {cameras[start]!s} is no video of Human3.6M's {split} set; "
                f"{_ADVICE}"
            )
        yield subject, _Run(slice(int(start), int(end)), sequence, camera)


def _recordings(subject: str, runs: Sequence[_Run], arrays: Mapping[str, np.ndarray]) -> Iterator[Recording]:
    for run in runs:
        image = arrays["joint3d_image"][run.rows]
        if "2.5d_factor" in arrays:
            factor, scaled = arrays["2.5d_factor"][run.rows], arrays["joints_2.5d_image"][run.rows]
        else:
            views = [view for view in runs if view.sequence == run.sequence]
            factor = _millimetres_a_pixel(run, views, arrays["joint3d_image"])
            scaled = image * factor[:, None, None]
        confidence = arrays["confidence"][run.rows].reshape(-1, 17, 1)
        yield Recording(
            joints=_in_camera(scaled, factor, run.camera),
            keypoints={
                "gt": image[..., :2],
                "sh": np.concatenate([arrays["joint_2d"][run.rows, :, :2], confidence], axis=-1),
            },
            split=SPLITS[subject],
            subject=subject,
            action=action_of(run.sequence),
            camera=run.camera.name,
            sequence=run.sequence,
            width=run.camera.width,
            height=run.camera.height,
            fps=FPS,
        )


def _millimetres_a_pixel(run: _Run, views: Sequence[_Run], image: np.ndarray) -> np.ndarray:
    """(F,) at the root's distance, of a video.

    Args:
        views: the videos of its recording, itself included.
        image: (N, 17, 3) joints of the split, x and y in pixels.
    """
    frames = min(view.rows.stop - view.rows.start for view in views)
    if len(views) < 2:
        return 1000 * METRES_OF_BONES / _bones(image[run.rows])
    # The point nearest to the rays of all views, in least squares.
    across_FDD, due_FD = np.zeros((frames, 3, 3)), np.zeros((frames, 3))
    for view in views:
        camera = view.camera
        pixels_F2 = image[view.rows][:frames, 0, :2]
        rays_FD = np.column_stack([(pixels_F2 - camera.centre) / camera.focal, np.ones(frames)])
        rays_FD = rays_FD @ matrices_of(camera.orientation).T
        rays_FD /= np.linalg.norm(rays_FD, axis=1, keepdims=True)
        beside_FDD = np.eye(3) - rays_FD[:, :, None] * rays_FD[:, None]
        across_FDD += beside_FDD
        due_FD += beside_FDD @ camera.position
    roots_FD = np.linalg.solve(across_FDD, due_FD[..., None])[..., 0]
    depth_F = world_to_camera(roots_FD, run.camera.orientation, run.camera.position)[:, 2]
    # A view may be a few frames longer than another.
    depth_F = np.pad(depth_F, (0, run.rows.stop - run.rows.start - frames), mode="edge")
    return 1000 * depth_F / run.camera.focal.mean()


def _bones(joints: np.ndarray) -> np.ndarray:
    """(F,) lengths of all bones together, of (F, 17, 3) joints."""
    parents, children = map(list, zip(*H36M_17.bones, strict=True))
    return np.linalg.norm(joints[:, children] - joints[:, parents], axis=-1).sum(axis=-1)


def _in_camera(scaled: np.ndarray, factor: np.ndarray, camera: H36mCamera) -> np.ndarray:
    """Metres in the camera frame.

    Args:
        scaled: (F, 17, 3) 2.5D joints in millimetres, x and y from the picture's corner.
        factor: (F,) millimetres a pixel at the root: its depth over the focal length.
    """
    corner = factor[:, None] * [*camera.centre, 0]
    corner[:, 2] = scaled[:, 0, 2] - factor * camera.focal.mean()
    return (scaled - corner[:, None]) / 1000
