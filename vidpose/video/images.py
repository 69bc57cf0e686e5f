"""A folder of images, taken for a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vidpose.common.errors import UsageError, VidposeError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


class ImageFolder:
    """Iterates over (time, file) pairs; `image` reads a file. See `VideoReader` for the attributes."""

    truncated = False

    def __init__(self, folder: Path, fps: float | Fraction) -> None:
        if not fps > 0:
            raise UsageError(f"{fps} frames a second is no rate for {folder}; give a positive one")
        try:
            self._files = sorted(filter(_is_image, folder.iterdir()), key=_natural)
        except OSError as error:
            raise VidposeError(f"{folder}: cannot be listed ({error.strerror}); check its permissions") from None
        if not self._files:
            raise VidposeError(f"{folder}: no image in this folder; it takes {', '.join(SUFFIXES)}")
        # 29.97 given as a float is meant as 2997/100, not as the binary fraction next to it.
        self.fps = Fraction(fps).limit_denominator(1001)
        self.num_frames_hint = len(self._files)
        self.height, self.width = _read(self._files[0]).shape[:2]

    def close(self) -> None:
        pass

    def __iter__(self) -> Iterator[tuple[Fraction, Path]]:
        for index, file in enumerate(self._files):
            yield index / self.fps, file

    def image(self, file: Path) -> np.ndarray:
        """(H, W, 3) uint8 RGB, turned as its EXIF orientation says."""
        image = _read(file)
        height, width = image.shape[:2]
        if (width, height) != (self.width, self.height):
            raise VidposeError(
                f"{file}: {width}x{height} pixels, but {self._files[0].name} has {self.width}x{self.height}; "
                "all images of a folder must be of one size"
            )
        return image


def _is_image(file: Path) -> bool:
    # macOS leaves `._name.jpg` beside images on foreign disks.
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


def _natural(file: Path) -> list[tuple[int, str]]:
    """A sorting key that takes digits for numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _read(file: Path) -> np.ndarray:
    # OpenCV cannot open non-ASCII names everywhere; it gets bytes.
    try:
        image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise VidposeError(f"{file}: cannot be read as an image; replace it or take it out of the folder")
    return image
