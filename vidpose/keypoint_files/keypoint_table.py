"""What a file of keypoints says, whichever program wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from vidpose.body.result_file import MAX_ID
from vidpose.body.skeletons import COCO_17, COCO_FEET_23, HALPE_26, Skeleton
from vidpose.common.inputs import short

MAX_FRAMES = 10_000_000
"""A number in a file can be anything."""

_FAR = 1e6
"""Pixels, or metres, that no keypoint is away."""

_MOST_SHARE = 2.0
"""Of the picture's sides, that keypoints are usually away: some lie outside. Pixels are numbers far above."""

LAYOUTS = {17: COCO_17, 26: HALPE_26, 136: HALPE_26, 133: COCO_FEET_23}
"""How many keypoints there are -> the layout that they begin with. Of faces and hands nothing is used."""


@dataclass(frozen=True)
class KeypointTable:
    """M sightings of people, K keypoints each.

    Attributes:
        layout: of the keypoints.
        frames: (M,) int64 numbers of frames, as the file counts them.
        ids: (M,) int64, from 1: who it is; None where the file does not say.
        keypoints: (M, K, 2) pixels, or (M, K, 3) metres in the world, Z up; NaN where absent.
        scores: (M, K), 0 to 1, 0 where absent.
        boxes: (M, 4) pixels, x0 y0 x1 y1; None where the file has none.
        first: the number of the video's first frame.
        num_frames: of the video, as far as the file says; people may be in fewer.
        times: (num_frames,) seconds of the frames, by the file's own clock; None where the file does not say.
        by_time: its times say which frames of a video are meant; its numbers only count what is in the file.
        fps: frames a second, where the file says.
        size: (width, height) of the picture in pixels, where the file says.
        share: keypoints are shares of the picture's sides, not pixels.
    """

    layout: Skeleton
    frames: np.ndarray
    ids: np.ndarray | None
    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray | None = None
    first: int = 0
    num_frames: int | None = None
    times: np.ndarray | None = None
    by_time: bool = False
    fps: Fraction | None = None
    size: tuple[int, int] | None = None
    share: bool = False

    @property
    def is_3d(self) -> bool:
        return self.keypoints.shape[-1] == 3

    def at(self, rows: np.ndarray, frames: np.ndarray) -> KeypointTable:
        """Some of the sightings, with other numbers of frames, which count from 0."""
        return replace(
            self, frames=frames, first=0, keypoints=self.keypoints[rows], scores=self.scores[rows],
            ids=None if self.ids is None else self.ids[rows], boxes=None if self.boxes is None else self.boxes[rows],
        )  # fmt: skip

    def in_pixels(self, size: tuple[int, int]) -> KeypointTable:
        """The table with pixels of a picture of this size. Its boxes, which may be either, are left out."""
        if not self.share:
            return self
        return replace(self, keypoints=self.keypoints * size, boxes=None, size=size, share=False)


def table_of(
    layout: Skeleton,
    rows: Sequence[tuple[int, int | None, np.ndarray]],
    *,
    boxes: Sequence[Sequence[float] | None] = (),
    **facts: Any,
) -> KeypointTable:
    """A table of rows, in pixels or as shares of the picture's sides, with what is wrong with them said.

    Args:
        rows: frame, id or None, and (K, 3) x, y, score, or (K, 4) x, y, z, score; a keypoint of score 0 is absent.
        boxes: x0 y0 x1 y1 of each row, if any; where one is None, none is used.
        facts: more of the table's attributes.

    Raises:
        ValueError: a number that cannot be; or there is nobody.
    """
    if not rows:
        raise ValueError("nobody is in it")
    frames = np.array([frame for frame, _, _ in rows], np.int64)
    if frames.min() < 0 or frames.max() >= MAX_FRAMES:
        wrong = frames[(frames < 0) | (frames >= MAX_FRAMES)][0]
        raise ValueError(f"frame {wrong}, where a number from 0 to {MAX_FRAMES - 1} is due")
    values = np.stack([row for _, _, row in rows]).astype(np.float64)
    if values.shape[1] < len(layout):
        raise ValueError(f"{values.shape[1]} keypoints, where {layout.name} has {len(layout)}")
    values = values[:, : len(layout)]
    points, scores = values[..., :-1].copy(), values[..., -1]
    absent = ~np.isfinite(values).all(axis=-1) | (scores <= 0)
    points[absent] = np.nan
    if np.nanmax(np.abs(points), initial=0) > _FAR:
        raise ValueError(f"a keypoint at {np.nanmax(np.abs(points)):.3g}, which is nowhere")
    scores = np.where(absent, 0, scores).clip(0, 1)
    there = ~absent.all(axis=1)
    if not there.any():
        raise ValueError("nobody has a keypoint in it")
    own_boxes = None
    if boxes and all(box is not None for box in boxes):
        own_boxes = np.array(boxes, np.float64).reshape(-1, 4)[there]
    ids = _ids(frames, [id_ for _, id_, _ in rows])
    ids = None if ids is None else ids[there]
    share = points.shape[-1] == 2 and bool(np.nanmedian(np.abs(points)) <= _MOST_SHARE)
    return KeypointTable(layout, frames[there], ids, points[there], scores[there], own_boxes, share=share, **facts)


def _ids(frames: np.ndarray, ids: Sequence[int | None]) -> np.ndarray | None:
    """The ids from 1, if they are some: everybody has one, and no two in a frame the same."""
    if any(id_ is None or id_ < 0 for id_ in ids):
        return None
    pairs = set(zip(frames.tolist(), ids, strict=True))
    if len(pairs) < len(frames):
        return None
    return from_one([id_ for id_ in ids if id_ is not None])


def from_one(ids: Sequence[int]) -> np.ndarray:
    """(M,) the ids as they are, if a result can have them; one more, if they begin with 0; else 1, 2, 3 in order."""
    shift = 1 if min(ids, default=1) == 0 else 0
    if min(ids, default=1) < 0 or max(ids, default=1) + shift > MAX_ID:
        number = {id_: place for place, id_ in enumerate(sorted(set(ids)), start=1)}
        return np.array([number[id_] for id_ in ids], np.int64)
    return np.array(ids, np.int64) + shift


def whose(value: object) -> int | None:
    """Who somebody is, by a number of a file, or the first of a list of them; None where it is no whole number."""
    value = value[0] if isinstance(value, list) and value else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def corners(box: object, *, sized: bool = False) -> list[float] | None:
    """x0 y0 x1 y1 of a box of a file, or of the first of a list of them; None where it is none of any area.

    Args:
        sized: the file says x, y, width and height.
    """
    box = box[0] if isinstance(box, list) and box and isinstance(box[0], list) else box
    try:
        sides = floats(box, "the box")
    except ValueError:
        return None
    if sides.shape != (4,):
        return None
    left, top, right, bottom = sides.tolist()
    if sized:
        right, bottom = left + right, top + bottom
    usable = -_FAR <= left < right <= _FAR and -_FAR <= top < bottom <= _FAR
    return [left, top, right, bottom] if usable else None


def triples(numbers: object, what: str) -> np.ndarray:
    """(K, 3) of a list of x, y, score, flat or with a list for each keypoint.

    Raises:
        ValueError: it is none.
    """
    values = floats(numbers, what) if isinstance(numbers, list) else np.empty(0)
    if not values.size or values.size % 3 or (values.ndim > 1 and values.shape[1:] != (3,)):
        raise ValueError(f"{what} is {short(numbers)}, where x, y, score of every keypoint are due")
    return values.reshape(-1, 3)


def floats(numbers: object, what: str) -> np.ndarray:
    """An array of a list, of lists, of numbers; null is NaN, which is no number either.

    Raises:
        ValueError: it is none, or of uneven lists.
    """
    try:
        array = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{what} is {short(numbers)}, where numbers are due") from None
    return array


def layout_of(count: int, layouts: dict[int, Skeleton]) -> Skeleton:
    """The layout of so many keypoints.

    Raises:
        ValueError: there is none.
    """
    if count not in layouts:
        raise ValueError(f"{count} keypoints a person, where {', '.join(map(str, sorted(layouts)))} are known")
    return layouts[count]


def frame_number(name: object, what: str = "the picture", place: int = -1) -> int:
    """The number of a frame: itself, or a number in a file's name.

    Args:
        place: which of the numbers in a name it is.

    Raises:
        ValueError: there is none.
    """
    if isinstance(name, int) and not isinstance(name, bool):
        return name
    if isinstance(name, float) and name.is_integer():
        return int(name)
    found = _numbers(name) if isinstance(name, str) else []
    if not found:
        raise ValueError(f"{what} is {short(name)}, without a number that would tell its frame")
    return int(found[place])


def counting_place(names: Iterable[object]) -> int:
    """Which number in files' names counts frames, from the end: the last that is not the same in all of them."""
    found = {tuple(reversed(_numbers(name))) for name in names if isinstance(name, str)}
    columns = list(zip(*found, strict=False))
    return -1 - next((place for place, column in enumerate(columns) if len(set(column)) > 1), 0)


def _numbers(name: str) -> list[str]:
    """The numbers in a file's name, without its suffix."""
    return re.findall(r"\d{1,18}", re.sub(r"\.\w+$", "", name))


def first_of(frames: Iterable[int]) -> int:
    """What the first frame is called: who counts from 1 has a frame 1 and no frame 0."""
    return 1 if min(frames, default=0) == 1 else 0
