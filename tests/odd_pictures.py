"""Photos and folders of pictures, as people have them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import clips
import cv2
import heic_files
import numpy as np
from PIL import Image
from video_kinds import HEIGHT, UPRIGHT, WIDTH, Right, kind


def exif(orientation: int | None, byte_order: str = "<") -> bytes:
    """A JPEG's APP1 segment: the camera's make, and how to turn the picture."""
    entries = [struct.pack(byte_order + "HHI4s", 0x010F, 2, 4, b"Cam\0")]
    if orientation:
        entries.append(struct.pack(byte_order + "HHIHH", 0x0112, 3, 1, orientation, 0))
    tiff = (b"II" if byte_order == "<" else b"MM") + struct.pack(byte_order + "HI", 42, 8)
    tiff += struct.pack(byte_order + "H", len(entries)) + b"".join(entries) + bytes(4)
    body = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def with_exif(jpeg: bytes, orientation: int | None, byte_order: str = "<") -> bytes:
    return jpeg[:2] + exif(orientation, byte_order) + jpeg[2:]


def jpeg_of(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


STORED = {
    1: lambda p: p, 2: lambda p: p[:, ::-1], 3: lambda p: p[::-1, ::-1], 4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p), 7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}  # fmt: skip
"""How an upright picture lies in a file of each EXIF orientation (CIPA DC-008, table 4.6.4)."""

PHONES = "Photos"


def _photo(orientation: int | None, byte_order: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        stored = STORED[orientation or 1](clips.corner_picture())
        path = folder / "photo.JPG"
        path.write_bytes(with_exif(jpeg_of(np.ascontiguousarray(stored)), orientation, byte_order))
        return path

    return make


ONE = {"frames": 1, "last": 0.0, "greys": False}

for _orientation, _order in ((None, "<"), *((number, "<>"[number % 2]) for number in range(1, 9))):
    _name = "a photo with EXIF, of any orientation" if _orientation else "a photo with EXIF that states no orientation"
    _answer = "turned upright" if _orientation else "read"
    kind(PHONES, _name, _answer, Right(corners=UPRIGHT, **ONE))(_photo(_orientation, _order))


@kind(PHONES, "a PNG with EXIF", "turned upright", Right(corners=UPRIGHT, **ONE))
def png_with_exif(folder: Path) -> Path:
    stored = np.ascontiguousarray(STORED[6](clips.corner_picture()))
    png = cv2.imencode(".png", stored[..., ::-1])[1].tobytes()
    body = b"eXIf" + exif(6)[10:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (folder / "a.png").write_bytes(png[:33] + chunk + png[33:])
    return folder / "a.png"


@kind(PHONES, "a picture in 16 bits, in grey, or with transparency", "read", Right(**ONE))
def deep_picture(folder: Path) -> Path:
    cv2.imwrite(str(folder / "deep.png"), np.full((HEIGHT, WIDTH, 4), 20 * 257, np.uint16))
    return folder / "deep.png"


@kind(PHONES, "HEIC, in tiles as phones write it", "turned upright", Right(corners=UPRIGHT, tolerance=20, **ONE))
def heic(folder: Path) -> Path:
    return heic_files.write_heic(folder / "IMG_0001.HEIC", clips.corner_picture())


@kind(PHONES, "HEIC whose name says JPEG", "read", Right(corners=UPRIGHT, **ONE))
def heic_named_jpeg(folder: Path) -> Path:
    return heic_files.write_heic(folder / "a.heic", clips.corner_picture()).rename(folder / "a.jpg")


@kind(PHONES, "a photo of two lenses (MPO)", "the first picture", Right(corners=UPRIGHT, **ONE))
def stereo(folder: Path) -> Path:
    upright = Image.fromarray(clips.corner_picture())
    upright.save(folder / "a.jpg", format="MPO", save_all=True, append_images=[upright.rotate(180)])
    return folder / "a.jpg"


@kind(PHONES, "a TIFF with a preview in it", "the picture", Right(corners=UPRIGHT, **ONE))
def with_preview(folder: Path) -> Path:
    upright = Image.fromarray(clips.corner_picture())
    upright.save(folder / "a.tif", save_all=True, append_images=[upright.resize((24, 16))])
    return folder / "a.tif"


@kind(PHONES, "a picture whose name has a pattern in it, `a%d.png`", "a file like any other", Right(**ONE))
def pattern_name(folder: Path) -> Path:
    path = folder / "a%d.png"
    path.write_bytes(cv2.imencode(".png", clips.grey_picture(0))[1].tobytes())
    for number in range(3):
        cv2.imwrite(str(folder / f"a{number}.png"), clips.grey_picture(4))
    return path


FOLDERS = "Folders of pictures"


def _folder(folder: Path, numbers: Sequence[int], name: str = "frame_{:04d}.png") -> Path:
    for place, number in enumerate(numbers):
        cv2.imwrite(str(folder / name.format(number)), clips.grey_picture(place))
    return folder


@kind(FOLDERS, "a folder of numbered pictures", "30 a second, or as `--fps` says", Right(last=11 / 30))
def numbered(folder: Path) -> Path:
    return _folder(folder, range(7, 19), "IMG_{}.PNG")


@kind(FOLDERS, "every fifth frame of a video", "consecutive: the numbers rise evenly", Right(last=11 / 30))
def every_fifth(folder: Path) -> Path:
    return _folder(folder, range(0, 60, 5))


@kind(
    FOLDERS, "numbers that are left out", "a gap in time, with a warning",
    Right(last=15 / 30, warning="the numbers of its pictures leave out 4 between frame_0001.png and frame_0016.png"),
)  # fmt: skip
def missing_numbers(folder: Path) -> Path:
    return _folder(folder, [number for number in range(1, 17) if number not in (4, 5, 6, 11)])


@kind(FOLDERS, "times for names", "consecutive", Right(frames=4, last=3 / 30))
def times_for_names(folder: Path) -> Path:
    return _folder(folder, [1700000000123, 1700000000156, 1700000000190, 1700000000257], "{}.png")


@kind(
    FOLDERS, "pictures of several sizes", "scaled into the first one's size, in proportion, with a warning",
    Right(frames=3, last=2 / 30, greys=False, warning="such pictures are scaled to the first one's size"),
)  # fmt: skip
def mixed_sizes(folder: Path) -> Path:
    for number, (width, height) in enumerate(((WIDTH, HEIGHT), (48, 32), (64, 96))):
        cv2.imwrite(str(folder / f"{number}.png"), clips.grey_picture(number, width, height))
    return folder
