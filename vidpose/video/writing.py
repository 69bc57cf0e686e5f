"""Writing H.264 that every player and browser opens."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from vidpose.common.errors import VidposeError
from vidpose.common.files import check_suffix, replacing
from vidpose.video.acceleration import SOFTWARE, device_encoders, where_pictures_go

_log = logging.getLogger(__name__)

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")

# Fine enough for every frame rate in use, and coarse enough for MPEG-4, which counts in 16 bits.
_TIME_BASE = Fraction(1, 60_000)

_LONGEST = 30_000 * 60_000
"""Units between two frames, in MP4 and MOV: eight hours and twenty minutes."""

# libx264 is missing from FFmpeg builds without GPL parts. MPEG-4 part 2 is in all, and plays in no browser.
_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")

# An overlay should cost little beside the detection. Constant quantisers need no look at what is to come; quality that
# is constant over the pictures does, and takes half as long again. Arithmetic coding takes as much again, and saves a
# tenth of the file; so do B-frames and weighted prediction.
_X264_OPTIONS: dict[str, object] = {
    "preset": "superfast", "qp": "23", "coder": "0", "sc_threshold": "0", "bf": "0", "weightp": "0", "subq": "0"
}  # fmt: skip
# Where a file may not become large, quality that is constant over the pictures is worth its time.
_X264_WITHIN: dict[str, object] = {"preset": "veryfast", "crf": "23", "bf": "0"}
_RATE_OVER = 10
"""Seconds over which a largest rate holds: a picture that is hard to encode may borrow from those around it."""
_MOST_RATE = 10**8
"""Bits a second; FFmpeg counts in 31 bits."""

_BITS_PER_PIXEL = 0.15
"""For the encoders that take a bit rate instead of a quality."""


class VideoWriter:
    """A context manager that writes frames with their times, so that variable frame rates survive.

    The file appears under its name when the block ends well; on an exception, Ctrl-C included, nothing is left.
    Sizes that are odd, which H.264 with 4:2:0 colours cannot have, grow by a row or a column; nothing is resized.

    Args:
        path: the video to write; its suffix is one of `SUFFIXES`.
        size: (width, height) of the images in pixels.
        fps: the nominal frame rate to state; the frames' own times hold.
        most_bits: that a second may take on average, whatever it does to the quality; None: what the quality takes.
        hwaccel: device that encodes, where it can: as FFmpeg names it, "auto" or "none".

    Raises:
        UsageError: the suffix is none that can be written; there is no such device.
        VidposeError: the file cannot be written: no space, no permission, no folder.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: Fraction | None = None,
        *,
        most_bits: float | None = None,
        hwaccel: str = SOFTWARE,
    ) -> None:
        check_suffix(path, "a video", SUFFIXES)
        self.path = path
        self._size = size
        self._fps = fps or Fraction(30)
        self._most_bits = most_bits
        self._hwaccel = hwaccel
        self._first_time: float | None = None
        self._last: int | None = None
        self._left_out = 0.0

    def __enter__(self) -> VideoWriter:
        self._opened = self._open()
        self._opened.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, traceback)

    def write(self, image: np.ndarray, time: float) -> None:
        """Append a frame.

        Args:
            image: (height, width, 3) uint8 RGB.
            time: seconds, later than the frame before; the first frame's time becomes the start of the video.
        """
        width, height = self._size
        assert image.shape == (height, width, 3), f"{image.shape} is not {height}x{width}"
        if width % 2 or height % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._first_time is None:
            self._first_time = time
        # OpenCV converts four times as fast as PyAV, to the colours of BT.601.
        planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._place_of(time - self._first_time)
        frame.time_base = _TIME_BASE
        self._mux(self._stream.encode(frame))

    def _place_of(self, seconds: float) -> int:
        """When a frame is shown, in units of the time base, later than the one before.

        MP4 counts what lies between two frames in 31 bits, and falls silently to nothing after half a day.
        """
        place = round((seconds - self._left_out) / _TIME_BASE)
        if self._last is not None:
            place = max(place, self._last + 1)
            if place - self._last > _LONGEST and self.path.suffix.lower() != ".mkv":
                _log.warning(
                    "%s: %.1f hours without a picture are shown as %.1f, the most that such a file holds; name it .mkv",
                    self.path, (place - self._last) * _TIME_BASE / 3600, _LONGEST * _TIME_BASE / 3600,
                )  # fmt: skip
                self._left_out += float((place - self._last - _LONGEST) * _TIME_BASE)
                place = self._last + _LONGEST
        self._last = place
        return place

    @contextmanager
    def _open(self) -> Iterator[None]:
        even = self._size[0] + self._size[0] % 2, self._size[1] + self._size[1] % 2
        encoder = _find_device_encoder(self._hwaccel, even, self._fps) or _find_encoder()
        with replacing(self.path) as partial, _clear_errors(self.path):
            options: dict[str, str] = {} if partial.suffix.lower() == ".mkv" else {"movflags": "faststart"}
            with av.open(f"file:{partial}", "w", options=options) as self._container:
                self._stream = _add_stream(self._container, encoder, even, self._fps, self._most_bits)
                yield
                self._mux(self._stream.encode(None))

    def _mux(self, packets: Iterable[av.Packet]) -> None:
        for packet in packets:
            self._container.mux(packet)


def _add_stream(
    container: av.container.OutputContainer,
    encoder: str,
    size: tuple[int, int],
    fps: Fraction,
    most_bits: float | None = None,
) -> av.VideoStream:
    device = where_pictures_go(encoder)
    # Not every PyAV that is supported knows the word.
    placed: dict[str, Any] = {"hwaccel": device} if device else {}
    stream = container.add_stream(encoder, rate=fps, **placed)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height = size
    # What a device's encoders have in common.
    stream.pix_fmt = "yuv420p" if encoder in _ENCODERS else "nv12"
    stream.codec_context.time_base = _TIME_BASE
    stream.codec_context.colorspace = Colorspace.ITU601
    stream.codec_context.color_range = ColorRange.MPEG
    if encoder != "libx264":
        bits = size[0] * size[1] * fps * _BITS_PER_PIXEL
        stream.bit_rate = int(bits if most_bits is None else min(bits, most_bits))
    elif most_bits is None:
        stream.options = _X264_OPTIONS
    else:
        rate = min(int(most_bits), _MOST_RATE)
        stream.options = _X264_WITHIN | {"maxrate": str(rate), "bufsize": str(_RATE_OVER * rate)}
        # Within a largest rate, what several threads make depends on which is first.
        stream.codec_context.thread_count = 1
    return stream


def _find_device_encoder(hwaccel: str, size: tuple[int, int], fps: Fraction) -> str | None:
    """The first encoder of a device that encodes a picture here; None: none does, which is told if one was asked for.

    Raises:
        UsageError: there is no such device.
    """
    names = device_encoders(hwaccel)
    for name in names:
        # A device that is there may not encode, or not pictures of this size, and each driver says so in its own way.
        with suppress(Exception):
            with av.open(io.BytesIO(), "w", format="mp4") as container:
                stream = _add_stream(container, name, size, fps)
                black = av.VideoFrame.from_ndarray(np.zeros((size[1] * 3 // 2, size[0]), np.uint8), format="yuv420p")
                black.pts, black.time_base = 0, _TIME_BASE
                container.mux([*stream.encode(black), *stream.encode(None)])
            return name
    if hwaccel != SOFTWARE:
        tried = f" ({', '.join(names)})" if names else ""
        _log.warning("`hwaccel=%s`: no device encodes H.264 here%s; software does", hwaccel, tried)
    return None


def _find_encoder() -> str:
    """The first encoder that this FFmpeg has; says so when it is not the one of choice."""
    for name in _ENCODERS:
        try:
            av.Codec(name, "w")
        except ValueError:
            continue
        if name != _ENCODERS[0]:
            _log.warning("this FFmpeg has no %s; writing videos with %s instead", _ENCODERS[0], name)
        return name
    raise VidposeError("this FFmpeg can encode neither H.264 nor MPEG-4; reinstall PyAV with `pip install av`")


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    """Say in our words what FFmpeg objects to; `replacing` does it for the operating system's errors."""
    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise VidposeError(f"{path}: cannot be encoded ({error.strerror}); try another size or file type") from error
