"""Pictures taken for a video: a folder of them, or one."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import mode

import cv2
import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.common.inputs import read_bytes
from vidpose.video.fitting import fitted
from vidpose.video.pillow_pictures import open_picture, pixels

log = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".hif", ".avif")

_DEFAULT_FPS = Fraction(30)


def is_picture(file: Path) -> bool:
    """Its name says that it is a picture. macOS leaves `._name.jpg` beside pictures on foreign disks."""
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


class Pictures:
    """Iterates over (time, file) pairs; `image` reads a file. See `VideoReader` for the attributes.

    Pictures with numbers in their names are those frames of a video: where numbers are missing, so is time.
    """

    truncated = False

    def __init__(self, path: Path, fps: Fraction | None = None) -> None:
        try:
            files = filter(is_picture, path.iterdir()) if path.is_dir() else [path]
            self._files = sorted(files, key=_natural)
        except OSError as error:
            raise VidposeError(f"{path}: cannot be listed ({error.strerror}); check its permissions") from None
        if not self._files:
            raise VidposeError(f"{path}: no image in this folder; it takes {', '.join(SUFFIXES)}")
        self.fps: Fraction = fps or _DEFAULT_FPS
        self.num_frames_hint = len(self._files)
        self.height, self.width = _read(self._files[0]).shape[:2]
        self._places = _places(self._files)
        self._warned_of_size = False
        if missing := self._places[-1] + 1 - len(self._files):
            log.warning(
                "%s: the numbers of its pictures leave out %d between %s and %s; those are taken for pauses",
                path, missing, self._files[0].name, self._files[-1].name,
            )  # fmt: skip

    def close(self) -> None:
        pass

    def __iter__(self) -> Iterator[tuple[Fraction, Path]]:
        for place, file in zip(self._places, self._files, strict=True):
            yield place / self.fps, file

    def image(self, file: Path) -> np.ndarray:
        """(H, W, 3) uint8 RGB, turned as its EXIF orientation says, of the first picture's size."""
        image = _read(file)
        height, width = image.shape[:2]
        if (width, height) != (self.width, self.height) and not self._warned_of_size:
            self._warned_of_size = True
            log.warning(
                "%s: %dx%d pixels, but %s has %dx%d; such pictures are scaled to the first one's size",
                file, width, height, self._files[0].name, self.width, self.height,
            )  # fmt: skip
        return fitted(image, self.width, self.height)


def _natural(file: Path) -> list[tuple[int, str]]:
    """A sorting key that takes digits for numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name)]


def _places(files: Sequence[Path]) -> list[int]:
    """How many pictures each comes after the first one, by the numbers in their names.

    The numbers count pictures where all but the last number in each name is alike, and where they rise by multiples of
    what is between most of them: every fifth frame of a video is a video too. Else, the files are simply consecutive.
    """
    consecutive = list(range(len(files)))
    found = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.name, re.DOTALL) for file in files]
    parts = [part for part in found if part]
    if len(files) < 3 or len(parts) < len(files) or len({(part[1], part[3].lower()) for part in parts}) > 1:
        return consecutive
    numbers = min(_readings([part[2] for part in parts]), key=_unevenness)
    steps = [after - before for before, after in pairwise(numbers)]
    usual = mode(steps)
    if usual < 1 or any(step % usual for step in steps) or steps.count(usual) * 2 < len(steps):
        return consecutive
    return [(number - numbers[0]) // usual for number in numbers]


def _readings(digits: Sequence[str]) -> Iterator[list[int]]:
    """What numbers in names may be: numbers; and where all could be from a camera's clock, as HHMMSS, seconds."""
    yield list(map(int, digits))
    clocks = [re.fullmatch(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)", number) for number in digits]
    times = [3600 * int(clock[1]) + 60 * int(clock[2]) + int(clock[3]) for clock in clocks if clock]
    if len(times) == len(digits):
        yield times


def _unevenness(numbers: Sequence[int]) -> int:
    """How many steps between numbers are not the usual one."""
    steps = [after - before for before, after in pairwise(numbers)]
    return len(steps) - steps.count(mode(steps))


def _read(file: Path) -> np.ndarray:
    try:
        # OpenCV cannot open non-ASCII names everywhere; it gets bytes.
        content = read_bytes(file)
        # Nor does it turn AVIF and HEIC upright.
        if content[4:8] != b"ftyp":
            with suppress(cv2.error):
                image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
                if image is not None:
                    return image
        with open_picture(io.BytesIO(content)) as picture:
            return pixels(picture)
    except Exception:  # what Pillow raises at a damaged file has no common base
        raise VidposeError(f"{file}: cannot be read as an image; replace it or take it out of the folder") from None
