"""People annotated as in COCO's keypoint files (cocodataset.org/#format-data, "Keypoint Detection").

`categories` name the joints, in our words too, so that a file may have any layout: joints are taken by their names, and
those that it does not have are unlabelled. Of COCO's fields we read `images` (id, file_name, width, height) and
`annotations` (image_id, bbox, keypoints, area, iscrowd).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from PIL import Image, ImageOps

from vidpose.body.skeletons import Skeleton
from vidpose.common import inputs
from vidpose.common.errors import VidposeError
from vidpose.common.files import replacing
from vidpose.common.inputs import convert, open_input, reading

ANNOTATIONS = "annotations.json"
"""The name of such a file in a folder of our own."""


@dataclass(frozen=True)
class AnnotatedPerson:
    """One annotated person of a picture.

    Attributes:
        picture: the file.
        image_id: of the picture in its annotations' file.
        size: (width, height) of the picture in pixels.
        box: (4,) float32 pixels, x0 y0 x1 y1.
        keypoints: (J, 2) float32 pixels, NaN where unlabelled.
        area: pixels squared that the person covers.
    """

    picture: Path
    image_id: int
    size: tuple[int, int]
    box: np.ndarray
    keypoints: np.ndarray
    area: float

    @property
    def labelled(self) -> np.ndarray:
        """(J,) bool."""
        return np.isfinite(self.keypoints).all(axis=-1)


def read_people(path: Path, layout: Skeleton, images: Path | None = None) -> tuple[AnnotatedPerson, ...]:
    """Everyone with at least one labelled joint.

    Args:
        path: an annotations' file; or a folder with `annotations.json`, or with folders that have one each.
        layout: joints to take, by their names.
        images: folder that file names are relative to; None: that of the file.

    Raises:
        VidposeError: a file is missing, is no such file, or names none of the joints.
    """
    people = [person for file in annotation_files(path) for person in _people(file, layout, images or file.parent)]
    if not people:
        raise VidposeError(f"{path}: nobody in it has a labelled joint of layout {layout.name}")
    return tuple(people)


def annotation_files(path: Path) -> list[Path]:
    """The annotations' files that a path stands for; raises VidposeError where there is none."""
    if path.is_file():
        return [path]
    files = [path / ANNOTATIONS] if (path / ANNOTATIONS).is_file() else sorted(path.glob(f"*/{ANNOTATIONS}"))
    if not files:
        raise VidposeError(f"{path}: no {ANNOTATIONS} here; give a COCO keypoint file, or clips of `vidpose synth`")
    return files


def read_json(path: Path) -> dict[str, Any]:
    """The content of an annotations' file.

    Raises:
        VidposeError: it is no such file.
    """
    with reading(path, "a COCO keypoint file"):
        content = inputs.read_json(path)
        if not all(isinstance(content[key], list) for key in ("images", "annotations", "categories")):
            raise ValueError("images, annotations and categories are no lists")
    return content


def _people(path: Path, layout: Skeleton, images: Path) -> list[AnnotatedPerson]:
    content = read_json(path)
    with reading(path, "a COCO keypoint file", "an entry lacks or spoils that"):
        rows = rows_of(content, layout)
        pictures = {image["id"]: image for image in content["images"]}
        people = [
            person_of(annotation, pictures[annotation["image_id"]], rows, images)
            for annotation in content["annotations"]
            if "keypoints" in annotation and not annotation.get("iscrowd")
        ]
    return [person for person in people if person.labelled.any()]


def rows_of(content: dict[str, Any], layout: Skeleton) -> list[int]:
    """Of each joint of a layout, its row in the file's keypoints, -1 for none."""
    names = next((list(category["keypoints"]) for category in content["categories"] if "keypoints" in category), [])
    return [names.index(joint) if joint in names else -1 for joint in layout.joints]


_Number = Annotated[float, Meta(ge=-1e7, le=1e7)]
_Length = Annotated[float, Meta(ge=0, le=1e7)]


class _Entry(Struct):
    """What is read of an annotation."""

    keypoints: list[_Number]
    bbox: tuple[_Number, _Number, _Length, _Length]
    area: Annotated[float, Meta(ge=0, le=1e14)] | None = None


class _Picture(Struct):
    """What is read of an image's entry."""

    id: int
    file_name: str
    width: inputs.Pixels
    height: inputs.Pixels


def person_of(annotation: dict[str, Any], image: dict[str, Any], rows: list[int], images: Path) -> AnnotatedPerson:
    """A person of the file; KeyError and the like where an entry is not what it should be."""
    facts = convert(annotation, _Entry)
    picture = convert(image, _Picture)
    listed = np.array(facts.keypoints, np.float32).reshape(-1, 3)
    # A row of nothing, for joints that the file does not have.
    taken = np.concatenate([listed, np.zeros((1, 3), np.float32)])[rows]
    x, y, width, height = facts.bbox
    return AnnotatedPerson(
        images / picture.file_name,
        picture.id,
        (picture.width, picture.height),
        np.array([x, y, x + width, y + height], np.float32),
        np.where(taken[:, 2:] > 0, taken[:, :2], np.float32(np.nan)),
        width * height if facts.area is None else facts.area,
    )


def category(joints: Sequence[str]) -> dict[str, Any]:
    """The one category of a file: a person, with joints of these names."""
    return {"id": 1, "name": "person", "keypoints": list(joints), "skeleton": []}


def annotation(number: int, image_id: int, keypoints: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """An entry for a person who covers some of a picture.

    Args:
        number: of the entry.
        keypoints: (J, 2) pixels; those outside the picture are unlabelled.
        mask: (H, W) bool.
    """
    import cv2  # training reads annotations and has no use for it

    height, width = mask.shape
    inside = np.all((keypoints >= 0) & (keypoints <= (width, height)), axis=-1)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    polygons = [contour.ravel().tolist() for contour in contours if len(contour) >= 3]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [0, 0, 0, 0]
    if len(rows):
        box = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
    listed = np.concatenate([np.round(keypoints, 2), np.full((len(keypoints), 1), 2)], axis=1) * inside[:, None]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int(inside.sum()),
        "keypoints": listed.ravel().tolist(),
        "bbox": [int(side) for side in box],
        "area": int(mask.sum()),
        "segmentation": polygons,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an annotations' file; raises VidposeError where that cannot be done."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False))


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises:
        VidposeError: it cannot be read.
    """
    try:
        with open_input(path) as file, Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise VidposeError(f"{path}: cannot be read as an image; the annotations name it") from None
