"""Clips of a person before several cameras in step, as `vidpose synth` and `vidpose data clips` write them.

    FOLDER/clips.json                       how they were made
    FOLDER/clip-00012/annotations.json      one COCO keypoint file a clip, with the fields below besides
    FOLDER/clip-00012/view-1/0003.jpg       view 1, frame 3

Each entry of `images` has, besides COCO's fields, `clip`, `view`, `frame`, `time` (seconds) and `camera`: `focal`
(pixels), `centre` (pixels) and `world_to_camera` (3 x 4, metres). A camera belongs to a frame: cameras may turn.
Pixels: (0, 0) is the top left corner of a picture, the middle of its first pixel is (0.5, 0.5). World: metres, z up,
the floor at 0. A view that is missing in a clip is missing in its file.

    for clip in open_clips(Path("clips"), H36M_17):
        for view in clip.views:                 # view.number tells which of the cameras
            view.keypoints                      # (F, J, 2), NaN outside the picture
            view.picture(0)                     # (H, W, 3), the first frame
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from vidpose.body.skeletons import Skeleton
from vidpose.common import inputs
from vidpose.common.errors import VidposeError
from vidpose.common.files import make_folder, replacing, to_json
from vidpose.common.inputs import convert, reading
from vidpose.keypoint_data.coco_annotations import (
    ANNOTATIONS,
    AnnotatedPerson,
    annotation,
    category,
    person_of,
    read_json,
    read_picture,
    rows_of,
    write_json,
)

_QUALITY = 90

COVERED = 0.53
"""The part of a person's box that the person covers, on average over COCO."""


@dataclass(frozen=True)
class ClipView:
    """What one camera saw in a clip of F frames.

    Attributes:
        number: of the camera, from 0.
        people: the person in each frame, in order.
        times: (F,) float64 seconds.
        focals: (F,) float64 pixels.
        centres: (F, 2) float64 pixels.
        world_to_camera: (F, 3, 4) float64, metres.
    """

    number: int
    people: tuple[AnnotatedPerson, ...]
    times: np.ndarray
    focals: np.ndarray
    centres: np.ndarray
    world_to_camera: np.ndarray

    def __len__(self) -> int:
        return len(self.people)

    @property
    def keypoints(self) -> np.ndarray:
        """(F, J, 2) float32 pixels, NaN outside the picture."""
        return np.stack([person.keypoints for person in self.people])

    @property
    def boxes(self) -> np.ndarray:
        """(F, 4) float32 pixels around the person, x0 y0 x1 y1."""
        return np.stack([person.box for person in self.people])

    def picture(self, frame: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB; raises VidposeError where it cannot be read."""
        return read_picture(self.people[frame].picture)


@dataclass(frozen=True)
class FilmedClip:
    """A person before one or more cameras.

    Attributes:
        number: in its set.
        views: in the order of the cameras' numbers, all of the same moments.
    """

    number: int
    views: tuple[ClipView, ...]

    def __len__(self) -> int:
        """Frames."""
        return len(self.views[0])


def open_clips(folder: Path, layout: Skeleton) -> list[FilmedClip]:
    """Every clip that is there, in order; pictures are read when asked for.

    Raises:
        VidposeError: there are no clips, a file is not what it should be, or the views of a clip are not in step.
    """
    files = sorted(folder.glob(f"clip-*/{ANNOTATIONS}"))
    if not files:
        raise VidposeError(f"{folder}: no clip-*/{ANNOTATIONS} here; `vidpose synth` makes clips from motion")
    return [_clip(file, layout) for file in files]


_Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
_Row = tuple[_Number, _Number, _Number, _Number]


class _ClipCamera(Struct):
    """What is read of a picture's camera."""

    focal: Annotated[float, Meta(gt=0, le=1e9)]
    centre: tuple[_Number, _Number]
    world_to_camera: tuple[_Row, _Row, _Row]


class _ClipPicture(Struct):
    """What is read of a picture besides COCO's fields."""

    clip: Annotated[int, Meta(ge=0)]
    view: Annotated[int, Meta(ge=0, le=1000)]
    frame: Annotated[int, Meta(ge=0)]
    time: _Number
    camera: _ClipCamera


def _clip(file: Path, layout: Skeleton) -> FilmedClip:
    content = read_json(file)
    views: dict[int, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    with reading(file, "a clip", "an entry lacks or spoils that"):
        rows = rows_of(content, layout)
        people = {entry["image_id"]: entry for entry in content["annotations"]}
        for image in content["images"]:
            views[image["view"]].append((image["frame"], image))
        number = content["images"][0]["clip"]
        found = []
        for view, frames in sorted(views.items()):
            images = [image for _, image in sorted(frames, key=lambda pair: pair[0])]
            seen = [convert(image, _ClipPicture) for image in images]
            found.append(
                ClipView(
                    view,
                    tuple(person_of(people[image["id"]], image, rows, file.parent) for image in images),
                    np.array([picture.time for picture in seen]),
                    np.array([picture.camera.focal for picture in seen]),
                    np.array([picture.camera.centre for picture in seen]),
                    np.array([picture.camera.world_to_camera for picture in seen]),
                )
            )
    if any(not np.array_equal(view.times, found[0].times) for view in found):
        raise VidposeError(f"{file}: its views are not of the same moments; take the clip away, or make it again")
    return FilmedClip(number, tuple(found))


@dataclass(frozen=True)
class Shot:
    """A frame to be written.

    Attributes:
        view, frame, time: which it is, and its second.
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, the pixels of the person; None: only the box is known.
        keypoints: (J, 2) pixels; those outside the picture are unlabelled.
        camera: focal, centre and world_to_camera, as in the file.
        box: (4,) pixels around the person, x0 y0 x1 y1, where there is no mask.
    """

    view: int
    frame: int
    time: float
    image: np.ndarray
    mask: np.ndarray | None
    keypoints: np.ndarray
    camera: dict[str, Any]
    box: np.ndarray | None = None


def clip_folder(folder: Path, number: int) -> Path:
    """Where a clip lies."""
    return folder / f"clip-{number:05d}"


def has_clip(folder: Path, number: int) -> bool:
    """Whether a clip was written, to its end."""
    return (clip_folder(folder, number) / ANNOTATIONS).exists()


def note_clips(folder: Path, facts: Mapping[str, Any], overwrite: bool) -> None:
    """Write down how the clips of a set are made, in `clips.json`.

    Args:
        overwrite: take clips away that are there; otherwise they stay, if they are made the same way.

    Raises:
        VidposeError: there are clips made otherwise; or nothing can be written.
    """
    path = folder / "clips.json"
    noted = {"format": "vidpose-clips", **facts}
    if path.exists() and not overwrite:
        with reading(path, "what clips are made of", "give `overwrite`, or another `out`"):
            there = inputs.read_json(path)
        if there != noted:
            raise VidposeError(f"{folder}: holds clips made otherwise; give `overwrite`, or another `out`")
        return
    with replacing(path) as partial:
        for annotations in folder.glob(f"clip-*/{ANNOTATIONS}"):
            annotations.unlink()  # first, so that what is broken off here is no clip
            shutil.rmtree(annotations.parent)
        partial.write_text(to_json(noted, indent=2))


def write_clip(
    folder: Path, number: int, joints: Sequence[str], shots: Iterable[Shot], info: Mapping[str, Any] | None = None
) -> None:
    """Write a clip; its annotations come last, so that a clip that was broken off is none.

    Args:
        folder: of the set.
        joints: names of the keypoints.
        info: what else is known of the clip: where it is from.

    Raises:
        VidposeError: it cannot be written.
    """
    import cv2  # training reads clips and has no use for it

    home = clip_folder(folder, number)
    images, annotations = [], []
    for shot in shots:
        name = f"view-{shot.view}/{shot.frame:04d}.jpg"
        make_folder((home / name).parent)
        _, encoded = cv2.imencode(".jpg", shot.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        with replacing(home / name) as partial:
            partial.write_bytes(encoded.tobytes())
        height, width = shot.image.shape[:2]
        # A number of its own in the whole set, for programs that put files together.
        image_id = (number * 100 + shot.view) * 10_000 + shot.frame
        images.append({
            "id": image_id, "file_name": name, "width": width, "height": height, "clip": number, "view": shot.view,
            "frame": shot.frame, "time": shot.time, "camera": shot.camera,
        })  # fmt: skip
        annotations.append(_entry(image_id, shot))
    content = {"images": images, "annotations": annotations, "categories": [category(joints)]}
    write_json(home / ANNOTATIONS, {"info": dict(info or {}), "licenses": [], **content})


def _entry(number: int, shot: Shot) -> dict[str, Any]:
    """The annotation of a shot: its person by mask or, without an outline then, by box."""
    if shot.mask is not None:
        return annotation(number, number, shot.keypoints, shot.mask)
    assert shot.box is not None
    height, width = shot.image.shape[:2]
    (left, top), (right, bottom) = np.clip(np.round(shot.box.reshape(2, 2)), 0, (width, height)).astype(int)
    filled = np.zeros((height, width), bool)
    filled[top:bottom, left:right] = True
    entry = annotation(number, number, shot.keypoints, filled)
    return entry | {"area": round(COVERED * entry["area"]), "segmentation": []}
