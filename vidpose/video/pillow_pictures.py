"""What Pillow reads: HEIC, as phones write it; and pictures of several frames that FFmpeg and OpenCV take for one,
animated WebP and AVIF and TIFF with pages.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpose.common.errors import VidposeError, one_line

if TYPE_CHECKING:
    from PIL import Image

_ANIMATED = (".webp", ".avif", ".tif", ".tiff", ".png")
_DEFAULT_FPS = Fraction(30)


def open_picture(file: Path | io.BytesIO) -> Image.Image:
    """A picture, open; raises OSError, ValueError and what else Pillow has where it is none."""
    import pi_heif
    from PIL import Image

    pi_heif.register_heif_opener()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large ones, which Pillow takes for an attack
        return Image.open(file)


def pixels(picture: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an open picture, turned as its EXIF says; raises as `open_picture`."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):  # of which Pillow would keep what is below 256
        return np.repeat((np.asarray(upright) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    return np.array(upright.convert("RGB"))


def is_animation(file: Path) -> bool:
    """Whether a file is a picture of several frames of one size; a TIFF's smaller pages are previews."""
    if file.suffix.lower() not in _ANIMATED:
        return False
    try:
        with open_picture(file) as picture:
            sizes = set()
            for number in range(count := getattr(picture, "n_frames", 1)):
                picture.seek(number)
                sizes.add(picture.size)
            return count > 1 and len(sizes) == 1
    except Exception:  # what Pillow raises at a damaged file has no common base; who reads it says so
        return False


class PictureFrames:
    """Iterates over (time, number of the frame) pairs; `image` gives that frame. As for the rest, see `VideoReader`."""

    def __init__(self, path: Path) -> None:
        try:
            self._picture = open_picture(path)
            self._picture.load()
        except Exception as error:
            raise VidposeError(f"{path}: cannot be read as an image ({one_line(error)}); copy it again") from None
        self.width, self.height = pixels(self._picture).shape[1::-1]
        self.num_frames_hint: int = getattr(self._picture, "n_frames", 1)
        self.fps: Fraction | None = 1 / self._length()
        self.truncated = False

    def close(self) -> None:
        self._picture.close()

    def __iter__(self) -> Iterator[tuple[Fraction, int]]:
        time = Fraction(0)
        for number in range(self.num_frames_hint):
            try:
                self._picture.seek(number)
                self._picture.load()
            except Exception:  # damaged from here on
                self.truncated = True
                return
            yield time, number
            time += self._length()

    def _length(self) -> Fraction:
        """Seconds that the frame is shown; pages of a TIFF follow one another as pictures in a folder do."""
        return Fraction(self._picture.info.get("duration") or 0) / 1000 or 1 / _DEFAULT_FPS

    def image(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the frame that was iterated to."""
        assert number == self._picture.tell()
        return pixels(self._picture)
