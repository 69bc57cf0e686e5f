"""Devices that decode and encode video, where PyAV's FFmpeg was built for them and this machine has them.

None is ever needed: where one cannot do a job, software does, and a line says so.
"""

from __future__ import annotations

import logging
from functools import cache

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from vidpose.common.errors import UsageError, did_you_mean

_log = logging.getLogger(__name__)

SOFTWARE, ANY = "none", "auto"
"""No device, and whichever can."""

_H264_ENCODERS = {
    "amf": "h264_amf", "cuda": "h264_nvenc", "qsv": "h264_qsv", "vaapi": "h264_vaapi",
    "videotoolbox": "h264_videotoolbox", "vulkan": "h264_vulkan",
}  # fmt: skip


def check_device(hwaccel: str) -> None:
    """See that a device is one of those that this FFmpeg was built for, `ANY` or `SOFTWARE`.

    Raises:
        UsageError: it is none of them.
    """
    known = [ANY, SOFTWARE, *hwdevices_available()]
    if hwaccel not in known:
        guess = did_you_mean(hwaccel, known)
        raise UsageError(f"`hwaccel={hwaccel}`: PyAV has no such device here; {guess}choose from {', '.join(known)}")


@cache
def decoding_device(hwaccel: str, codec: str) -> HWAccel | None:
    """What decodes a codec on this machine, for `av.open`; None: software, which is told where it was not asked for.

    Args:
        hwaccel: name of a device, `ANY` or `SOFTWARE`.
        codec: FFmpeg's name of the decoder.

    Raises:
        UsageError: there is no such device.
    """
    reasons = []
    for name in _devices(hwaccel):
        # Of a codec that it knows, it may not know every kind.
        device = HWAccel(name, allow_software_fallback=True)
        try:
            device.create(av.Codec(codec, "r"))
            return device
        except NotImplementedError:  # not made for this codec
            continue
        except av.FFmpegError as error:
            reasons.append(f"{name}: {error.strerror}")
    if hwaccel != SOFTWARE:
        why = "; ".join(reasons) or "its FFmpeg has none for that"
        _log.warning("`hwaccel=%s`: no device decodes %s here (%s); software does", hwaccel, codec, why)
    return None


def is_on_device(context: av.VideoCodecContext) -> bool:
    """Whether a device decoded the frames so far, and not software."""
    return context.pix_fmt in [config.format.name for config in context.codec.hardware_configs if config.format]


def device_encoders(hwaccel: str) -> list[str]:
    """FFmpeg's names of the encoders of H.264 on a device, of those that it was built with; none for `SOFTWARE`.

    Raises:
        UsageError: there is no such device.
    """
    names = [_H264_ENCODERS[name] for name in _devices(hwaccel) if name in _H264_ENCODERS]
    return [name for name in names if name in av.codecs_available]


def where_pictures_go(encoder: str) -> HWAccel | None:
    """The device that an encoder wants its pictures on; None: it takes them from memory, as most do."""
    device = next((device for device, name in _H264_ENCODERS.items() if name == encoder), None)
    takes = {kind.name for kind in av.Codec(encoder, "w").video_formats or ()}
    return HWAccel(device) if device and not takes & {"nv12", "yuv420p"} else None


def _devices(hwaccel: str) -> list[str]:
    check_device(hwaccel)
    if hwaccel == SOFTWARE:
        return []
    return hwdevices_available() if hwaccel == ANY else [hwaccel]
