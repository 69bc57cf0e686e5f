"""Opening a video file, and choosing what to decode of it."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.stream import Disposition

from vidpose.common.errors import UsageError, VidposeError

# A text is no video: a list of other files to open (FFmpeg waits forever for a live one), or a terminal's picture.
_TEXT_FORMATS = frozenset({"concat", "dash", "hls", "imf", "rtsp", "sdp", "tty", "webm_dash_manifest"})
_ONLY_LOCAL_VIDEO = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(sorted(av.formats_available - _TEXT_FORMATS)),
}

_STILL = Disposition.attached_pic | Disposition.timed_thumbnails
"""The cover of an album, and the pictures of a scroll bar."""


def open_container(path: Path, *, whole: bool = False, device: HWAccel | None = None) -> av.container.InputContainer:
    """Open a local file, and nothing that it may refer to elsewhere.

    Args:
        whole: of a QuickTime or MP4 file, take also what its edit list leaves out.
        device: that decodes it; None: software.

    Raises:
        VidposeError: it is no video, damaged, empty, or may not be read.
    """
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise VidposeError(f"{path}: the file is empty; copy or download it again")
        options = _ONLY_LOCAL_VIDEO | ({"advanced_editlist": "0"} if whole else {}) | {"correct_ts_overflow": "0"}
        return av.open(f"file:{path}", options=options, metadata_errors="replace", hwaccel=device)
    except (av.FFmpegError, OSError) as error:
        raise VidposeError(f"{path}: {_complaint(error)}") from None


_STREAMED = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
_BELOW = ("crypto", "httpproxy", "rtmpt", "srtp", "tls")
_OVER_THE_NETWORK = {
    # A playlist from a network names no local file.
    "protocol_whitelist": ",".join((*_STREAMED, *_BELOW)),
    "rtsp_transport": "tcp",
}
_PATIENCE = (10.0, 5.0)
"""Seconds for which a stream may say nothing: when it is opened, and later."""


def shown(url: str) -> str:
    """An address as others may see it: without user and password, and without a query, which may have keys in it."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url).partition("?")[0]


def open_address(url: str) -> av.container.InputContainer:
    """Open a stream from the network, and no file of this machine.

    Raises:
        UsageError: an address of a kind that is not known.
        VidposeError: nobody answers there, or with something that is no video.
    """
    kind = url.partition("://")[0].lower()
    if kind not in _STREAMED:
        raise UsageError(f"{shown(url)}: no address of a stream; it begins with one of {', '.join(_STREAMED)}, and ://")
    try:
        return av.open(url, options=_OVER_THE_NETWORK, timeout=_PATIENCE, metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise VidposeError(
            f"{shown(url)}: this is no video ({error.strerror}); give the address of the stream itself"
        ) from None
    except (av.FFmpegError, OSError) as error:
        raise VidposeError(
            f"{shown(url)}: cannot be opened ({error.strerror}); check the address, and that it sends"
        ) from None


def _complaint(error: av.FFmpegError | OSError) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return f"not a video, or cut off or damaged ({error.strerror}); copy it again, or convert it to mp4"
    if error.errno == errno.EINVAL:  # what FFmpeg calls a format that is not on its list
        return "not a video but a text or a playlist; give the video file itself"
    return f"cannot be opened ({error.strerror}); check the file and its permissions"


def choose_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    """The stream of moving pictures to look at: of several, the default one, and then the one with most pixels.

    That the first one is the default says nothing: whoever writes a file without a choice marks it so.

    Raises:
        VidposeError: there is none, or nothing here can decode it.
    """
    moving = [stream for stream in container.streams.video if not stream.disposition & _STILL]
    if not moving:
        raise VidposeError(f"{path}: there is no video in this file, only {_stream_kinds(container)}; give a video")
    if all(stream.disposition & Disposition.dependent for stream in moving):
        raise VidposeError(f"{path}: a picture in tiles, as phones write HEIC; name it .heic")
    known = [stream for stream in moving if stream.codec_context is not None]
    if not known:
        raise VidposeError(
            f"{path}: this video's codec ({_codec_name(path) or 'unknown'}) cannot be decoded; "
            "convert it to H.264 with the program that it came from"
        )
    default = [stream for stream in known if stream.disposition & Disposition.default]
    was_chosen = default and default != known[:1]
    return max(
        default if was_chosen else known,
        key=lambda one: (one.codec_context.width or 0) * (one.codec_context.height or 0),
    )


def _stream_kinds(container: av.container.InputContainer) -> str:
    return " and ".join(sorted({"a still" if s.type == "video" else s.type for s in container.streams})) or "nothing"


def _codec_name(path: Path | str) -> str | None:
    """What FFmpeg calls the codec of a file whose pictures it cannot decode; only its log says so."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as lines, open_container(Path(path)):
            said = " ".join(text for _, _, text in lines)
    finally:
        av.logging.set_level(level)
    found = re.search(r"Video: (?:none \()?([\w.\[\]-]+)", said)
    return found[1] if found else None
