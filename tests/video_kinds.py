"""What a kind of video is: how it is made, and what is right for it; and the table that the kinds are put into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np

FPS = 25
WIDTH, HEIGHT = 96, 64


@dataclass(frozen=True)
class Right:
    """What a reader must give.

    Attributes:
        size: (width, height) pixels.
        frames: how many.
        first, last: seconds of the first and of the last frame; None does not matter.
        greys: of each frame as `clips.GREYS` has them; None: does not matter.
        corners: colours of the first frame's corners, as `clips.corners` names them.
        truncated: the file is told to be damaged.
        warning: a part of what is logged; None: nothing is.
        tolerance: grey levels by which pictures may be off.
    """

    size: tuple[int, int] = (WIDTH, HEIGHT)
    frames: int = 12
    first: float = 0.0
    last: float | None = 11 / FPS
    greys: bool = True
    corners: dict[str, str] | None = None
    truncated: bool = False
    warning: str | None = None
    tolerance: int = 15


@dataclass(frozen=True)
class Refused:
    """What is no video that can be read: a part of the one line that says so."""

    message: str


@dataclass(frozen=True)
class Kind:
    """A row of the table."""

    section: str
    name: str
    answer: str
    make: Callable[[Path], Path]
    right: Right | Refused


KINDS: list[Kind] = []

UPRIGHT = {"red": "upper left", "green": "upper right", "blue": "lower left"}


def kind(section: str, name: str, answer: str, right: Right | Refused) -> Callable[..., Callable[[Path], Path]]:
    """Puts a row into the table; the function makes the file in a folder."""

    def add(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        KINDS.append(Kind(section, name, answer, make, right))
        return make

    return add


def pictures(count: int = 12, width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    return [clips.grey_picture(index, width, height) for index in range(count)]


def encode(
    path: Path,
    images: Sequence[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
    layout: str = "rgb24",
    rate: int = FPS,
    **tags: int,
) -> Path:
    """A video with one stream, at 25 frames a second or at the given times."""
    base = Fraction(1, rate) if times is None else Fraction(1, 1000)
    with av.open(str(path), "w", format=container_format, container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.options = pix_fmt, options or {}
        stream.codec_context.time_base = base
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format=layout)
            frame.pts = index if times is None else round(1000 * times[index])
            frame.time_base = base
            for name, value in tags.items():
                if hasattr(frame, name):
                    setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
