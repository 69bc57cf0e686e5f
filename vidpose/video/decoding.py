"""The video stream of one file, decoded with PyAV.

PyAV discards FFmpeg's own log lines, which is what we want on stderr; what FFmpeg says is wrong with a file is in the
exceptions.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition

from vidpose.common.errors import VidposeError

MAX_SIDE = 16384
"""Pixels of the longer side that are decoded; a damaged header can claim anything."""

_ASSUMED_FPS = Fraction(30)

# A text is no video: a list of other files to open (FFmpeg waits forever for a live one), or a terminal's picture.
_TEXT_FORMATS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp", "tty", "webm_dash_manifest"})
_ONLY_LOCAL_VIDEO = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(av.formats_available - _TEXT_FORMATS)),
}


class VideoFile:
    """Iterates over (time, frame) pairs; `image` turns a frame into pixels. See `VideoReader` for the attributes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.truncated = False
        self._reason = "no data"
        self._container = open_container(path)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._container.close()

    def _prepare(self) -> None:
        """Decode as far as the first frame: only frames know the rotation."""
        self._stream = _first_video(self._container, self._path)
        self._stream.thread_type = "AUTO"
        # Many decoders learn the size only now; what the header claims must not make them allocate.
        _check_size(self._path, self._stream.codec_context.width, self._stream.codec_context.height)
        self._decoded = self._decode()
        self._first = next(self._decoded, None)
        if self._first is None:
            raise VidposeError(f"{self._path}: no frame can be decoded ({self._reason}); copy or download it again")

        self.fps = self._stream.average_rate or self._stream.guessed_rate or None
        self.num_frames_hint = self._stream.frames or None
        self._interval = 1 / (self.fps or _ASSUMED_FPS)
        self._matrix = _display_matrix(self._first)
        # Pixels that are not square would make a person wide or thin. Ratios near one are rounding in the container.
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        width = self._first.width if abs(aspect - 1) < Fraction(1, 100) else round(self._first.width * aspect)
        _check_size(self._path, width, self._first.height)
        self._square_size = width, self._first.height
        turned = abs(self._matrix[0, 1]) > abs(self._matrix[0, 0])
        self.width, self.height = self._square_size[::-1] if turned else self._square_size

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that can be decoded; damage marks the file truncated and is passed over."""
        try:
            for packet in self._container.demux(self._stream):
                self.truncated |= packet.is_corrupt
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    self._note(error)
                    continue
                yield from frames
        except av.FFmpegError as error:
            self._note(error)

    def _note(self, error: av.FFmpegError) -> None:
        self.truncated = True
        self._reason = error.strerror or str(error)

    def __iter__(self) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Seconds since the start of the stream, strictly increasing, and the frame as it was decoded.

        A frame without a timestamp follows its predecessor by the frame interval. So does one whose timestamp does not
        increase, and the frames after it move along: stamps that start anew stay in order that way.
        """
        zero = self._zero()
        last, due = None, Fraction(0)
        for frame in chain([self._first], self._decoded):
            time = due if frame.pts is None else frame.pts * frame.time_base - zero
            if last is not None and time <= last:
                zero -= due - time
                time = due
            yield time, frame
            last, due = time, time + self._interval
        length = frame.duration * frame.time_base if frame.duration else self._interval
        self.truncated |= self._ends_early(last + length)

    def _zero(self) -> Fraction:
        """The timestamp, in seconds, that counts as time 0."""
        if self._stream.start_time is not None:
            return self._stream.start_time * self._stream.time_base
        return self._first.pts * self._first.time_base if self._first.pts is not None else Fraction(0)

    def _ends_early(self, end: Fraction) -> bool:
        """Whether the frames stop clearly before the container says they do.

        The duration of the whole container also covers sound, which may outlast the pictures a little, and in some
        formats it counts from zero where the stamps start later.
        """
        if self._stream.duration:
            stated, slack = self._stream.duration * self._stream.time_base, 2 * self._interval
        else:
            stated = Fraction((self._container.duration or 0) - (self._container.start_time or 0), av.time_base)
            slack = Fraction(1, 2)
        return stated - end > stated / 20 + slack

    def image(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright."""
        if (frame.width, frame.height) != (self._first.width, self._first.height):
            raise VidposeError(
                f"{self._path}: the picture changes from {self._first.width}x{self._first.height} to "
                f"{frame.width}x{frame.height} in the middle; convert it to one size first"
            )
        width, height = self._square_size
        return _upright(frame.to_ndarray(format="rgb24", width=width, height=height), self._matrix)


def open_container(path: Path) -> av.container.InputContainer:
    """Open a local file, and nothing that it may refer to elsewhere."""
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise VidposeError(f"{path}: the file is empty; copy or download it again")
        return av.open(f"file:{path}", options=_ONLY_LOCAL_VIDEO, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise VidposeError(f"{path}: {_complaint(error)}") from None


def _complaint(error: av.FFmpegError | OSError) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return f"not a video, or cut off or damaged ({error.strerror}); copy it again, or convert it to mp4"
    if error.errno == errno.EINVAL:  # what FFmpeg calls a format that is not on its list
        return "not a video but a text or a playlist; give the video file itself"
    return f"cannot be opened ({error.strerror}); check the file and its permissions"


def _first_video(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first stream of moving pictures; the cover of a music album is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise VidposeError(f"{path}: there is no video in this file, only {_stream_kinds(container)}; give a video")


def _stream_kinds(container: av.container.InputContainer) -> str:
    return " and ".join(sorted({"a still" if s.type == "video" else s.type for s in container.streams})) or "nothing"


def _check_size(path: Path, width: int, height: int) -> None:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise VidposeError(
            f"{path}: the picture is {width}x{height} pixels, and up to {MAX_SIDE}x{MAX_SIDE} can be read; "
            "scale the video, or copy it again if it is damaged"
        )


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """(2, 2) int32: row i is where the picture's axis i (x right, y down) points on the screen, up to scale."""
    data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return np.eye(2, dtype=np.int32)
    return np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2]


def _upright(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror a picture as its display matrix says, to the nearest quarter turn."""
    (xx, xy), (yx, yy) = matrix.tolist()
    if abs(xy) > abs(xx):
        image, right, down = image.transpose(1, 0, 2), yx, xy
    else:
        right, down = xx, yy
    return np.ascontiguousarray(image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
