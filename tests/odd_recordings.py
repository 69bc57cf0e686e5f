"""Videos as cameras, phones, screens, recorders and editors write them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import clips
import numpy as np
from av.stream import Disposition
from odd_pictures import STORED, jpeg_of, with_exif
from PIL import Image
from video_kinds import FPS, HEIGHT, UPRIGHT, WIDTH, Right, encode, kind, pictures

CAMERAS = "From cameras and phones"


@kind(CAMERAS, "a phone's video in HDR10 (PQ, 10 bits, BT.2020)", "tone-mapped to ordinary video", Right(tolerance=20))
def hdr_pq(folder: Path) -> Path:
    return _hdr(folder / "hdr.mkv", 16)


@kind(CAMERAS, "a phone's video in HLG", "tone-mapped to ordinary video", Right(tolerance=20))
def hdr_hlg(folder: Path) -> Path:
    return _hdr(folder / "hlg.mkv", 18)


def _hdr(path: Path, transfer: int) -> Path:
    """Ordinary greys as a screen of 100 candela shows them, coded for HDR (ITU-R BT.2100)."""
    images = []
    for picture in pictures():
        # A white corner says where white is.
        picture[:24, :24] = 255
        light = (picture / 255.0) ** 2.2
        if transfer == 16:
            power = (light * 100 / 10_000) ** 0.1593017578125
            signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
        else:
            scene = (light * 100 / 1000) ** (1 / 1.2)
            signal = np.where(
                scene <= 1 / 12,
                np.sqrt(3 * scene),
                0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
            )
        images.append(np.rint(65535 * signal).astype(np.uint16))
    return encode(
        path, images, "ffv1", "yuv420p10le", layout="rgb48le", color_trc=transfer, color_primaries=9, colorspace=9
    )


@kind(CAMERAS, "HEVC in 10 bits", "read", Right())
def hevc(folder: Path) -> Path:
    options = {"x265-params": "log-level=none"}
    return encode(folder / "a.mp4", pictures(), "libx265", "yuv420p10le", options=options)


@kind(CAMERAS, "interlaced video (DV, broadcast)", "deinterlaced, at its own frame rate", Right(greys=False))
def interlaced(folder: Path) -> Path:
    """Every other line is of the next moment: a grey that moves combs."""
    woven = []
    for index in range(12):
        picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
        picture[0::2, 8 * (index % 6) : 8 * (index % 6) + 24] = 20
        picture[1::2, 8 * (index % 6) + 4 : 8 * (index % 6) + 28] = 20
        woven.append(picture)
    return encode(folder / "dv.mpg", woven, "mpeg2video", options={"flags": "+ildct+ilme", "top": "1", "q": "2"})


@kind(
    CAMERAS, "a video that says how to turn it, mirrored or not", "turned upright", Right((HEIGHT, WIDTH), greys=False)
)
def rotated(folder: Path) -> Path:
    return clips.write_clip(folder / "turned.mp4", pictures(), [i / FPS for i in range(12)], rotation=90)


@kind(
    CAMERAS, "Motion JPEG with EXIF in every picture", "turned upright, mirrored ones too",
    Right((HEIGHT, WIDTH), frames=3, last=None, greys=False, corners=UPRIGHT),
)  # fmt: skip
def motion_jpeg(folder: Path) -> Path:
    upright = clips.corner_picture(HEIGHT, WIDTH)
    jpeg = with_exif(jpeg_of(np.ascontiguousarray(STORED[5](upright))), 5)
    (folder / "a.mjpeg").write_bytes(jpeg * 3)
    return folder / "a.mjpeg"


@kind(
    CAMERAS, "pixels that are not square", "the picture is brought to its true shape", Right((WIDTH * 4 // 3, HEIGHT))
)
def anamorphic(folder: Path) -> Path:
    return clips.write_clip(folder / "wide.mp4", pictures(), [i / FPS for i in range(12)], aspect=Fraction(4, 3))


@kind(CAMERAS, "ProRes, 10 bits, 4:2:2", "read", Right())
def prores(folder: Path) -> Path:
    return encode(folder / "a.mov", pictures(), "prores_ks", "yuv422p10le")


@kind(CAMERAS, "a thermal camera's 16-bit grey", "read", Right(greys=False))
def thermal(folder: Path) -> Path:
    images = [np.full((HEIGHT, WIDTH), 257 * clips.grey_of(i), np.uint16) for i in range(12)]
    return encode(folder / "a.mkv", images, "ffv1", "gray16le", layout="gray16le")


SCREENS = "From screens, recorders and editors"


@kind(SCREENS, "an animated GIF", "a video at its own times", Right())
def gif(folder: Path) -> Path:
    return encode(folder / "a.gif", pictures(), "gif", "gray")


@kind(SCREENS, "an animated PNG (`.apng`)", "a video", Right())
def apng(folder: Path) -> Path:
    return encode(folder / "a.apng", pictures(), "apng", "rgb24")


@kind(SCREENS, "an animated WebP or AVIF", "a video at its own times", Right())
def animated(folder: Path) -> Path:
    first, *rest = map(Image.fromarray, pictures())
    first.save(folder / "a.webp", save_all=True, append_images=rest, duration=1000 // FPS, lossless=True)
    return folder / "a.webp"


@kind(SCREENS, "a TIFF of several pages", "30 a second, or as `--fps` says", Right(last=11 / 30))
def pages(folder: Path) -> Path:
    first, *rest = (Image.fromarray(np.uint16(257) * picture[..., 0]) for picture in pictures())
    first.save(folder / "a.tif", save_all=True, append_images=rest)
    return folder / "a.tif"


@kind(SCREENS, "WebM, VP9", "read", Right())
def webm(folder: Path) -> Path:
    return encode(folder / "a.webm", pictures(), "libvpx-vp9", options={"lossless": "1"})


@kind(SCREENS, "a fragmented MP4 (OBS, streams that were saved)", "read", Right())
def fragmented(folder: Path) -> Path:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return encode(folder / "a.mp4", pictures(), options={"g": "4"}, container_options=flags)


@kind(
    SCREENS,
    "pauses in the timestamps (screen recorders, surveillance)",
    "times as they are; see below",
    Right(last=10 + 11 / FPS),
)
def paused(folder: Path) -> Path:
    return encode(folder / "a.mkv", pictures(), times=[i / FPS + (10 if i > 5 else 0) for i in range(12)])


@kind(SCREENS, "a raw H.264 stream, which has no times", "its own frame rate", Right(last=None))
def raw(folder: Path) -> Path:
    return encode(folder / "a.h264", pictures())


@kind(
    SCREENS,
    "a raw stream put into MP4, with times in the wrong order",
    "in the order of showing, none left out",
    Right(),
)
def made_up_times(folder: Path) -> Path:
    """Each packet gets the next moment, whatever it shows, as `ffmpeg -c copy` does; B-frames make that wrong."""
    source = encode(folder / "whole.mp4", pictures(), options={"bf": "2", "b_strategy": "0", "g": "12"})
    with av.open(str(source)) as raw_stream, av.open(str(folder / "a.mp4"), "w") as out:
        stream = out.add_stream_from_template(raw_stream.streams.video[0])
        packets = [packet for packet in raw_stream.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            packet.stream, packet.time_base = stream, Fraction(1, FPS)
            packet.pts = packet.dts = number - 2
            packet.duration = 1
            out.mux(packet)
    return folder / "a.mp4"


@kind(
    SCREENS, "a picture that changes its size half-way", "scaled to the first size, in proportion, with a warning",
    Right(last=None, warning="the picture changes from 96x64 to 48x32 in the middle; it is scaled to the first size"),
)  # fmt: skip
def changing_size(folder: Path) -> Path:
    halves = [
        encode(folder / f"{w}.h264", pictures(12, w, h)[6 * n : 6 * n + 6], options={"bf": "0"})
        for n, (w, h) in enumerate(((WIDTH, HEIGHT), (48, 32)))
    ]
    (folder / "a.h264").write_bytes(b"".join(half.read_bytes() for half in halves))
    return folder / "a.h264"


def _two_streams(path: Path, sizes: Sequence[tuple[int, int]], default: int | None) -> Path:
    with av.open(str(path), "w") as container:
        streams = []
        for number, (width, height) in enumerate(sizes):
            stream = container.add_stream("libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            if default is not None:
                stream.disposition = Disposition.default if number == default else Disposition(0)
            streams.append(stream)
        for index in range(12):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(
                    clips.grey_picture(index, stream.width, stream.height), format="rgb24"
                )
                frame.pts, frame.time_base = index, Fraction(1, FPS)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@kind(SCREENS, "several video streams, a small preview first", "the one with most pixels", Right())
def preview_first(folder: Path) -> Path:
    return _two_streams(folder / "a.mp4", [(48, 32), (WIDTH, HEIGHT)], None)


@kind(SCREENS, "several video streams, a later one marked as the default", "the default", Right())
def marked_default(folder: Path) -> Path:
    return _two_streams(folder / "a.mkv", [(192, 128), (WIDTH, HEIGHT)], 1)


@kind(SCREENS, "sound that is longer than the picture", "no damage", Right())
def long_sound(folder: Path) -> Path:
    with av.open(str(folder / "a.mkv"), "w") as container:
        video, sound = container.add_stream("libx264", rate=FPS), container.add_stream("aac", rate=8000)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, picture in enumerate(pictures()):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for start in range(0, 8000 * 5, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return folder / "a.mkv"


@kind(
    SCREENS,
    "a transport stream that begins in the middle of a recording",
    "from the first whole picture on",
    Right(frames=8, first=7 / FPS, last=None, greys=False),
)
def cut_stream(folder: Path) -> Path:
    whole = encode(
        folder / "whole.ts", pictures(16), options={"g": "8", "bf": "0", "sc_threshold": "0"}, container_format="mpegts"
    )
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    (folder / "a.ts").write_bytes(data[places[1] // 188 * 188 :])
    return folder / "a.ts"


def _transport_stream(path: Path, first: int) -> Path:
    """Twelve frames whose stamps begin so many ticks of 1/90000 s late, and anew at 2 ** 33."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, "yuv420p", {"bf": "0", "g": "4"}
        stream.codec_context.time_base = Fraction(1, 90_000)
        for index, picture in enumerate([*pictures(), None]):
            frame = None if picture is None else av.VideoFrame.from_ndarray(picture, format="rgb24")
            if frame is not None:
                frame.pts, frame.time_base = index * 90_000 // FPS, Fraction(1, 90_000)
            for packet in stream.encode(frame):
                packet.pts, packet.dts = packet.pts + first, packet.dts + first
                container.mux(packet)
    return path


@kind(SCREENS, "a transport stream whose stamps begin anew, as after 26.5 hours", "times go on", Right())
def wrapped(folder: Path) -> Path:
    return _transport_stream(folder / "a.ts", 2**33 - 5 * 90_000 // FPS)


@kind(
    SCREENS,
    "transport streams put one behind the other, in any order",
    "all frames, and times go on; the joint is told as damage",
    Right(frames=24, last=23 / FPS, truncated=True),
)
def joined(folder: Path) -> Path:
    late, early = _transport_stream(folder / "late.ts", 90_000 * 500), _transport_stream(folder / "early.ts", 0)
    (folder / "a.ts").write_bytes(late.read_bytes() + early.read_bytes())
    return folder / "a.ts"
