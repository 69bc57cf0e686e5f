"""The video stream of one file, decoded with PyAV.

PyAV discards FFmpeg's own log lines, which is what we want on stderr; what FFmpeg says is wrong with a file is in the
exceptions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.sidedata.sidedata import Type as SideDataType

from vidpose.common.errors import VidposeError
from vidpose.video.acceleration import SOFTWARE, decoding_device, is_on_device
from vidpose.video.container import choose_stream, open_container
from vidpose.video.filters import Deinterlacer, ToneMap, is_hdr
from vidpose.video.fitting import fitted

log = logging.getLogger(__name__)

MAX_SIDE = 16384
"""Pixels of the longer side that are decoded; a damaged header can claim anything."""

_ASSUMED_FPS = Fraction(30)

_EARLY = 6
"""Frames that are looked at before any is given: wrong stamps show in a few of the first."""


def _unnamed(cls: type, value: int) -> object:
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


# FFmpeg attaches kinds of side data to frames that PyAV has no name for, EXIF above all, and PyAV then refuses to give
# any of it.
setattr(SideDataType, "_missing_", classmethod(_unnamed))  # noqa: B010 (mypy knows it as a method)


class VideoFile:
    """Iterates over (time, frame) pairs; `image` turns a frame into pixels.

    See `VideoReader` for `hwaccel` and the attributes.
    """

    _threads = "AUTO"

    def __init__(self, path: Path | str, hwaccel: str = SOFTWARE) -> None:
        self._path = path
        self._hwaccel = hwaccel
        self._device: HWAccel | None = None
        self.truncated = False
        self._reason = "no data"
        self._end = Fraction(0)
        self._by_order = False
        self._warned_of_size = False
        self._aspects: list[tuple[int, Fraction]] = []
        self._tone_map: ToneMap | None = None
        self._container = self._open()
        try:
            self._prepare()
            if self._by_order:
                self.close()
                self._container = self._open(whole=True)
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _open(self, *, whole: bool = False) -> av.container.InputContainer:
        container = open_container(Path(self._path), whole=whole)
        if self._hwaccel == SOFTWARE:
            return container
        with container:
            codec = choose_stream(container, self._path).codec_context.codec
            self._device = decoding_device(self._hwaccel, codec.name)
        return open_container(Path(self._path), whole=whole, device=self._device)

    def close(self) -> None:
        self._container.close()

    def _prepare(self) -> None:
        """Decode as far as the first frame: only frames know the rotation."""
        self._stream = choose_stream(self._container, self._path)
        self._stream.thread_type = self._threads
        # What the header claims must not make decoders allocate; many learn the size only from the pictures.
        if self._stream.codec_context.width or self._stream.codec_context.height:
            _check_size(self._path, self._stream.codec_context.width, self._stream.codec_context.height)
        self._decoded = self._decode()
        early = list(islice(self._decoded, _EARLY))
        if not early:
            raise VidposeError(f"{self._path}: no frame can be decoded ({self._reason}); copy or download it again")
        self._first = early[0]
        context = self._stream.codec_context
        if self._device and not is_on_device(context):
            log.warning("%s: no device decodes this kind of %s; software does", self._path, context.codec.name)
        self._by_order |= any(_are_disordered(*pair) for pair in pairwise(early))
        self._decoded = chain(early, self._decoded)

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
        if is_hdr(self._first):
            self._tone_map = ToneMap(self._first)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that can be decoded, whole; damage marks the file truncated and is passed over."""
        whole = Deinterlacer()
        try:
            for packet in self._container.demux():
                if packet.stream is not self._stream:
                    self._note_end(packet)
                    continue
                self.truncated |= packet.is_corrupt
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:
                    self._note(error)
                    continue
                for frame in frames:
                    assert isinstance(frame, av.VideoFrame)
                    self._note_aspect(frame)
                    yield from whole(frame)
        except av.FFmpegError as error:
            self._note(error)
        yield from whole.finish()

    def _note_aspect(self, frame: av.VideoFrame) -> None:
        """Remember from which moment on pixels have another shape, as where broadcasts go from wide to narrow.

        The decoder knows it some frames before it shows the first such frame, which is a key frame.
        """
        aspect = self._stream.codec_context.sample_aspect_ratio or Fraction(1)
        if frame.pts is not None and (not self._aspects or (self._aspects[-1][1] != aspect and frame.key_frame)):
            self._aspects.append((frame.pts, aspect))

    def _wider(self, frame: av.VideoFrame) -> Fraction:
        """How much wider a frame's pixels are than the first one's."""
        if len(self._aspects) < 2 or frame.pts is None:
            return Fraction(1)
        own = next((aspect for since, aspect in reversed(self._aspects) if since <= frame.pts), self._aspects[0][1])
        return own / self._aspects[0][1]

    def _note(self, error: av.FFmpegError) -> None:
        self.truncated = True
        self._reason = error.strerror or str(error)

    def _note_end(self, packet: av.Packet) -> None:
        """Remember how far sound and the like reach: they are in the duration of the whole file."""
        if packet.pts is not None:
            self._end = max(self._end, _seconds(packet.pts + (packet.duration or 0), packet.time_base))

    def __iter__(self) -> Iterator[tuple[Fraction, av.VideoFrame]]:
        """Seconds since the start of the stream, strictly increasing, and the frame as it was decoded.

        A frame without a timestamp follows its predecessor by the frame interval. So does one whose timestamp goes
        back, and the frames after it move along: stamps that start anew stay in order that way. One whose timestamp
        comes again follows at once, and those after it stay where they are.
        """
        zero = self._zero()
        last: Fraction | None = None
        due = Fraction(0)
        for frame in self._decoded:
            stamp = self._stamp(frame)
            time = due if stamp is None else stamp - zero
            if last is not None and last - self._interval < time <= last and not self._counts:
                time = last + self._interval / 100
            elif last is not None and time <= last:
                zero -= due - time
                time = due
            yield time, frame
            last, due = time, time + self._interval
        assert last is not None  # `_prepare` saw a frame
        length = _seconds(frame.duration, frame.time_base) if frame.duration else self._interval
        self.truncated |= self._ends_early(last + length)

    def _zero(self) -> Fraction:
        """The timestamp, in seconds, that counts as time 0."""
        if self._stream.start_time is not None and not self._by_order and not self._counts:
            return _seconds(self._stream.start_time, self._stream.time_base)
        return self._stamp(self._first) or Fraction(0)

    @property
    def _counts(self) -> bool:
        """Whether stamps count frames: AVI has no times, and B-frames make its first frame come late."""
        return self._container.format.name == "avi"

    def _stamp(self, frame: av.VideoFrame) -> Fraction | None:
        """When to show a frame, in seconds of the stream."""
        stamp = frame.dts if self._by_order else frame.pts
        return None if stamp is None else _seconds(stamp, frame.time_base)

    def _ends_early(self, end: Fraction) -> bool:
        """Whether the frames stop clearly before the container says they do.

        The duration of the whole container also covers sound, which may outlast the pictures, and in some formats it
        counts from zero where the stamps start later.
        """
        if self._stream.duration:
            stated, slack = _seconds(self._stream.duration, self._stream.time_base), 2 * self._interval
        else:
            start = Fraction(self._container.start_time or 0, av.time_base)
            stated = Fraction(self._container.duration or 0, av.time_base) - start
            end, slack = max(end, self._end - start), Fraction(1, 2)
        return stated - end > stated / 20 + slack

    def image(self, frame: av.VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright, of the first frame's size."""
        if self._tone_map and is_hdr(frame):
            frame = self._tone_map(frame)
        wider, (width, height) = self._wider(frame), self._square_size
        if wider == 1 and (frame.width, frame.height) == (self._first.width, self._first.height):
            return _upright(frame.to_ndarray(format="rgb24", width=width, height=height), self._matrix)
        own_width = round(frame.width * wider * Fraction(width, self._first.width))
        if not self._warned_of_size:
            self._warned_of_size = True
            log.warning(
                "%s: the picture changes from %dx%d to %dx%d in the middle; it is scaled to the first size",
                self._path, width, height, own_width, frame.height,
            )  # fmt: skip
        _check_size(self._path, own_width, frame.height)
        pixels = frame.to_ndarray(format="rgb24", width=own_width, height=frame.height)
        return fitted(_upright(pixels, self._matrix), self.width, self.height)


def _seconds(ticks: int, time_base: Fraction | None) -> Fraction:
    assert time_base is not None  # whatever comes from a container has one
    return ticks * time_base


def _are_disordered(first: av.VideoFrame, second: av.VideoFrame) -> bool:
    """Decoders give frames in the order of showing, so that these stamps are wrong, but those of decoding are not.

    They are made up where a raw stream was put into a container: each packet then has the next moment, whatever it
    shows. The first ones lie before the container's beginning, which would cut them off.
    """
    if first.pts is None or second.pts is None or first.dts is None or second.dts is None:
        return False
    return second.pts < first.pts and second.dts > first.dts


def _check_size(path: Path | str, width: int, height: int) -> None:
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise VidposeError(
            f"{path}: the picture is {width}x{height} pixels, and up to {MAX_SIDE}x{MAX_SIDE} can be read; "
            "scale the video, or copy it again if it is damaged"
        )


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """(2, 2) int32: row i is where the picture's axis i (x right, y down) points on the screen, up to scale."""
    side_data: Any = frame.side_data  # whose stubs know but one kind
    data = side_data.get(SideDataType.DISPLAYMATRIX)
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
