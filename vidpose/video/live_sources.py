"""Pictures as they come: from a camera, from a stream, or from a file that is played at its own speed."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import av
import cv2

from vidpose.common.errors import VidposeError
from vidpose.video.container import open_address, shown
from vidpose.video.decoding import VideoFile
from vidpose.video.reading import VideoFrame, VideoReader

_log = logging.getLogger(__name__)


class LiveSource(Protocol):
    """What frames come from; iterated over once, in one thread.

    Attributes:
        name: for people.
        width, height: pixels of the upright picture.
        is_recorded: frames are there before their time, and whoever plays them waits for it.
    """

    name: str
    width: int
    height: int
    is_recorded: bool

    def __iter__(self) -> Iterator[VideoFrame]: ...

    def close(self) -> None: ...


def open_source(source: str) -> LiveSource:
    """Open what the user names: the number of a camera, the address of a stream, or a video as `VideoReader` reads it.

    Raises:
        UsageError: an address of a kind that is not known.
        VidposeError: there is no such camera, stream or file, or it gives no picture.
    """
    camera = re.fullmatch(r"(?:/dev/video)?(\d{1,4})", source)
    if camera and not os.path.isfile(source):
        return Camera(int(camera[1]))
    if "://" in source and not os.path.exists(source):
        return Stream(source)
    return PlayedFile(source)


class Camera:
    """A camera of this machine, by its number, from 0."""

    is_recorded = False

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        with _quiet():
            self._capture = cv2.VideoCapture(number)
        given, image = self._capture.read() if self._capture.isOpened() else (False, None)
        if not given or image is None:
            self._capture.release()
            raise VidposeError(
                f"camera {number}: there is none, or another program uses it; give the number of another camera, a "
                "video or the address of a stream"
            )
        # What waits in the driver is old when it is read.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.height, self.width = image.shape[:2]

    def __iter__(self) -> Iterator[VideoFrame]:
        started, index = time.monotonic(), 0
        while True:
            given, image = self._capture.read()
            if not given or image is None:
                raise VidposeError(f"{self.name}: gives no pictures any more; see whether it is still plugged in")
            yield VideoFrame(index, time.monotonic() - started, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            index += 1

    def close(self) -> None:
        self._capture.release()


class Stream:
    """A stream by its address. One that knows how long it is, is a recording."""

    def __init__(self, url: str) -> None:
        # The page shows it to whoever looks, and a saved result has it in it.
        self.name = shown(url)
        self._file = _AddressedFile(url)
        self.width, self.height = self._file.width, self._file.height
        self.is_recorded = self._file.knows_its_length

    def __iter__(self) -> Iterator[VideoFrame]:
        for index, (seconds, frame) in enumerate(self._file):
            yield VideoFrame(index, float(seconds), self._file.image(frame))

    def close(self) -> None:
        self._file.close()


class _AddressedFile(VideoFile):
    # Frames that are decoded side by side come late by as many.
    _threads = "SLICE"

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__(shown(url))

    def _open(self, *, whole: bool = False) -> av.container.InputContainer:
        return open_address(self._url)

    @property
    def knows_its_length(self) -> bool:
        return bool(self._container.duration)


class PlayedFile:
    """A local video, or a folder of pictures."""

    is_recorded = True

    def __init__(self, path: str) -> None:
        self.name = path
        self._reader = VideoReader(path)
        self.width, self.height = self._reader.width, self._reader.height

    def __iter__(self) -> Iterator[VideoFrame]:
        yield from self._reader
        if self._reader.truncated:
            _log.warning("%s: ends early or is damaged; played what could be decoded", self.name)

    def close(self) -> None:
        self._reader.__exit__(None, None, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV says on stderr what cannot be opened; our own error says it in one line."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
