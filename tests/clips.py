"""Small videos made on the spot: no binary files in the repository."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vidpose.video import VideoReader

GREYS = (20, 60, 100, 140, 180, 220)
"""Far enough apart that no lossy codec confuses two frames."""

TICK = Fraction(1, 60_000)


def grey_of(index: int) -> int:
    return GREYS[index % len(GREYS)]


def grey_picture(index: int, width: int = 96, height: int = 64) -> np.ndarray:
    """(height, width, 3) uint8, one grey that tells the frame's number."""
    return np.full((height, width, 3), grey_of(index), np.uint8)


def corner_picture(width: int = 96, height: int = 64) -> np.ndarray:
    """(height, width, 3) uint8, red in the upper left corner, green in the upper right, blue in the lower left."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:16, :16, 0] = picture[:16, -16:, 1] = picture[-16:, :16, 2] = 255
    return picture


def corners(picture: np.ndarray) -> dict[str, str]:
    """Which corner of a picture has which colour: {"red": "upper left", ...}."""
    found = {}
    for vertical, y in (("upper", 8), ("lower", -8)):
        for horizontal, x in (("left", 8), ("right", -8)):
            rgb = picture[y, x].astype(int)
            if rgb.max() > 150:
                found[("red", "green", "blue")[rgb.argmax()]] = f"{vertical} {horizontal}"
    return found


def write_clip(
    path: Path,
    pictures: Sequence[np.ndarray],
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode pictures, at 30 frames a second or at the given times.

    `rotation`, in degrees counter-clockwise, and `mirrored` only state how to show the pictures. `aspect` is the
    width of a pixel over its height.
    """
    times = times if times is not None else [i / 30 for i in range(len(pictures))]
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=30)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv444p" if stream.width % 2 or stream.height % 2 else "yuv420p"
        stream.codec_context.time_base = TICK
        stream.options = options or {}
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=mirrored)
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time / TICK), TICK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Half a second of silence, without pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        for start in range(0, 4096, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, share: float) -> Path:
    """Keep only the first part of a file's bytes, like a download that broke off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def greys(path: Path, **options) -> list[int]:
    """The grey of each frame, as the nearest that `clips` draws."""
    with VideoReader(path, **options) as video:
        levels = [int(frame.image[frame.image.shape[0] // 2, 4, 0]) for frame in video]
    return [min(GREYS, key=lambda grey: abs(grey - level)) for level in levels]


def times(path: Path, **options) -> list[float]:
    with VideoReader(path, **options) as video:
        return [frame.time for frame in video]


def noise_pictures(count: int) -> list[np.ndarray]:
    """Pictures that take many bytes, so that a cut falls among them."""
    return list(np.random.default_rng(0).integers(0, 255, (count, 64, 96, 3), dtype=np.uint8))
