"""What is in a prepared benchmark: counts, and measures that show at once where a reader went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import VidposeError
from vidpose.datasets.store import Store, StoredClip
from vidpose.evaluation.figures import (
    body_reach,
    draw_body,
    draw_floor,
    draw_keypoints,
    draw_legend,
    figure_file,
    part_name,
)

_SAMPLES = 200
"""Frames of a clip that are measured."""

_POSES = 4
"""Poses of a picture."""

_PROJECTION = "gt"
"""The input that is the true joints as the camera sees them."""


@dataclass
class _Mean:
    """The mean of what comes a piece at a time, with its extremes."""

    total: np.ndarray | float = 0.0
    count: int = 0
    least: float = np.inf
    most: float = -np.inf

    def add(self, values: np.ndarray) -> None:
        """Take in (N,) or (N, K) values; a mean has K."""
        if len(values):
            self.total = self.total + values.sum(axis=0, dtype=np.float64)
            self.count += len(values)
            self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))

    @property
    def mean(self) -> np.ndarray | float:
        return self.total / self.count


@dataclass
class _Measures:
    """What the sampled frames of all clips show.

    Attributes:
        bones: metres, a column a bone, in the order of `_bones`.
        distance: metres from the camera to the root.
        errors: pixels between each input and the projection, by the input's name.
        missing: whether a keypoint is absent, by the input's name.
    """

    bones: _Mean = field(default_factory=_Mean)
    distance: _Mean = field(default_factory=_Mean)
    errors: dict[str, _Mean] = field(default_factory=dict)
    missing: dict[str, _Mean] = field(default_factory=dict)
    valid_frames: int = 0

    def add(self, store: Store, clip: StoredClip) -> None:
        """Take in a clip."""
        valid = np.flatnonzero(store.valid(clip))
        self.valid_frames += len(valid)
        rows = valid[np.linspace(0, len(valid) - 1, min(len(valid), _SAMPLES)).astype(np.int64)]
        joints = store.joints(clip)[rows].astype(np.float64)
        starts, ends = np.array(_bones(store.layout)).T
        self.bones.add(np.linalg.norm(joints[:, ends] - joints[:, starts], axis=-1))
        self.distance.add(np.linalg.norm(joints[:, store.layout.parents.index(-1)], axis=-1))
        points = {name: store.keypoints(clip, name)[rows, :, :2].astype(np.float64) for name in store.inputs}
        for name, pixels in points.items():
            present = np.isfinite(pixels).all(axis=-1)
            self.missing.setdefault(name, _Mean()).add(~present.ravel())
            if name != _PROJECTION and _PROJECTION in points:
                errors = np.linalg.norm(pixels - points[_PROJECTION], axis=-1)
                self.errors.setdefault(name, _Mean()).add(errors[np.isfinite(errors)])


def describe_store(store: Store) -> list[str]:
    """What is in a prepared benchmark, line by line.

    Clips are read one after the other, and measured at no more than 200 of their valid frames.

    Raises:
        VidposeError: there are no clips in it, or its arrays cannot be read.
    """
    clips = store.clips
    if not clips:
        raise VidposeError(f"{store.folder}: no clips in it; prepare the benchmark again from all of its files")
    measures = _Measures()
    for clip in clips:
        measures.add(store, clip)
    frames = sum(clip.frames for clip in clips)
    splits = [split for split in ("train", "val", "test") if any(clip.split == split for clip in clips)]
    return [
        f"{store.name}: joints {store.layout.name}, {_amount(clips)}",
        *(_split(split, [clip for clip in clips if clip.split == split]) for split in splits),
        f"actions: {_listed(clip.action for clip in clips)}",
        f"cameras: {_listed(clip.camera for clip in clips)}",
        f"pictures: {_listed(f'{clip.width}x{clip.height}' if clip.width else 'none' for clip in clips)}",
        f"frames a second: {_listed(f'{clip.fps:g}' for clip in clips)}",
        f"valid frames: {measures.valid_frames:,} ({100 * measures.valid_frames / frames:.1f} %)",
        *(_measured(store, measures) if measures.valid_frames else []),
    ]


def draw_store(store: Store, path: Path) -> None:
    """A picture of some poses: every input's 2D, and the 3D beside it, seen from the camera's right.

    Behind the 2D stands the projection of the true joints in grey, where the benchmark has it.

    Args:
        path: of a PNG file.

    Raises:
        UsageError: the file is not named as a PNG file.
        VidposeError: there is no valid frame, or the file cannot be written.
    """
    chosen = _chosen(store)
    if not chosen:
        raise VidposeError(f"{store.folder}: no valid frame to draw; prepare the benchmark again")
    columns = len(store.inputs) + 1
    bodies = [np.array(store.joints(clip)[row]) for clip, row in chosen]
    reach = max(body_reach([body]) for body in bodies)
    with figure_file(path, 2.9 * columns + 0.3, 2.7 * len(chosen) + 0.9) as figure:
        grid = figure.subplots(len(chosen), columns, squeeze=False)
        for axes, heading in zip(grid[0], [*store.inputs, "3D"], strict=True):
            axes.set_title(heading)
        for (*flats, solid), (clip, row), body in zip(grid, chosen, bodies, strict=True):
            pixels = {name: store.keypoints(clip, name)[row, :, :2] for name in store.inputs}
            for axes, points in zip(flats, pixels.values(), strict=True):
                draw_keypoints(axes, points, store.layout, pixels.get(_PROJECTION))
            flats[0].set_ylabel(_label(clip, row))
            draw_floor(solid, body, reach)
            draw_body(solid, body, store.layout)
        draw_legend(figure, truth=_PROJECTION in store.inputs)
        figure.suptitle(f"{store.name}, joints {store.layout.name}")


def _chosen(store: Store) -> list[tuple[StoredClip, int]]:
    """A frame in the middle of clips from all over the benchmark."""
    clips = [clip for clip in store.clips if store.valid(clip).any()]
    places = np.linspace(0, len(clips) - 1, min(len(clips), _POSES)).astype(np.int64)
    middles = []
    for clip in (clips[place] for place in places):
        valid = np.flatnonzero(store.valid(clip))
        middles.append((clip, int(valid[len(valid) // 2])))
    return middles


def _amount(clips: Sequence[StoredClip]) -> str:
    frames, hours = sum(clip.frames for clip in clips), sum(clip.frames / clip.fps for clip in clips) / 3600
    return f"{len(clips):,} clips, {frames:,} frames, {hours:.2f} hours"


def _split(name: str, clips: Sequence[StoredClip]) -> str:
    return f"{name}: {_amount(clips)}; subjects: {_listed(clip.subject for clip in clips)}"


def _listed(values: Iterable[str]) -> str:
    """How many there are, and each once, in order of appearance."""
    different = dict.fromkeys(values)
    return f"{len(different)} ({', '.join(different)})"


def _measured(store: Store, measures: _Measures) -> list[str]:
    distance = measures.distance
    return [
        *(_input(name, measures) for name in store.inputs),
        _lengths(store.layout, measures.bones),
        f"root to camera: mean {distance.mean:.2f} m, {distance.least:.2f} to {distance.most:.2f} m",
    ]


def _input(name: str, measures: _Measures) -> str:
    text = f"input {name}: {100 * measures.missing[name].mean:.1f} % of the keypoints missing"
    if name in measures.errors and measures.errors[name].count:
        text += f", mean error {measures.errors[name].mean:.1f} px against {_PROJECTION}"
    return text


def _bones(skeleton: Skeleton) -> list[tuple[int, int]]:
    """(parent, child) pairs."""
    return [(parent, child) for child, parent in enumerate(skeleton.parents) if parent >= 0]


def _lengths(skeleton: Skeleton, bones: _Mean) -> str:
    """The mean length of every bone; of one that there are two of, the left one's and the right one's."""
    lengths: dict[str, dict[str, str]] = {}
    for (parent, child), metres in zip(_bones(skeleton), np.atleast_1d(bones.mean), strict=True):
        start, end = skeleton.joints[parent], skeleton.joints[child]
        side = end.split("_")[0]
        lengths.setdefault(f"{part_name(start)} to {part_name(end)}", {})[side] = f"{100 * metres:.1f}"
    listed = (
        f"{bone} {of['left']}/{of['right']}" if "left" in of else f"{bone} {', '.join(of.values())}"
        for bone, of in lengths.items()
    )
    return f"mean bone lengths in cm, left/right: {'; '.join(listed)}"


def _label(clip: StoredClip, row: int) -> str:
    sequence = clip.sequence or clip.action
    recording = sequence if sequence.startswith(clip.subject) else f"{clip.subject} {sequence}"
    return f"{recording}, camera {clip.camera}\nframe {row}"
