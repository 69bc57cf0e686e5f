"""Videos and pictures as people have them: a table of kinds, each made on the spot, with what is right for it.

`docs/videos.md` is this table in words (`python tests/odd_videos.py`), and tests/test_odd_videos.py tries every row.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import clips
import cv2
import heic_files
import numpy as np
from av.stream import Disposition
from PIL import Image

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


OLD = "Old and rare"


@kind(OLD, "AVI, MPEG-4 (DivX, Xvid)", "read", Right())
def divx(folder: Path) -> Path:
    return encode(folder / "a.avi", pictures(), "mpeg4", options={"q": "2"})


@kind(OLD, "Windows Media", "read", Right(last=None))
def windows_media(folder: Path) -> Path:
    return encode(folder / "a.wmv", pictures(), "wmv2", options={"q": "2"})


@kind(OLD, "MXF", "read", Right(greys=True, last=None))
def mxf(folder: Path) -> Path:
    return encode(folder / "a.mxf", pictures(), "mpeg2video", options={"q": "2"}, container_format="mxf")


@kind(OLD, "raw, uncompressed video", "read", Right())
def uncompressed(folder: Path) -> Path:
    return encode(folder / "a.avi", pictures(), "rawvideo", "yuyv422")


@kind(OLD, "1000 frames a second", "read; `--fps` and `--slow-motion` say how fast it was", Right(last=11 / 1000))
def high_speed(folder: Path) -> Path:
    return encode(folder / "a.mp4", pictures(), rate=1000)


REFUSED = "Not read, and said so in one line"


@kind(
    REFUSED,
    "a codec that only its maker's program decodes (Blackmagic RAW)",
    "names the codec",
    Refused("this video's codec (braw) cannot be decoded"),
)
def no_decoder(folder: Path) -> Path:
    data = encode(folder / "whole.mov", pictures()).read_bytes()
    (folder / "a.mov").write_bytes(data.replace(b"avc1", b"braw"))
    return folder / "a.mov"


@kind(
    REFUSED,
    "sound alone, or a cover and sound",
    "there is no video in it",
    Refused("there is no video in this file, only audio"),
)
def sound(folder: Path) -> Path:
    return clips.write_sound(folder / "a.mp4")


@kind(REFUSED, "a playlist", "the video itself is asked for", Refused("not a video but a text or a playlist"))
def playlist(folder: Path) -> Path:
    encode(folder / "a.mp4", pictures())
    (folder / "a.ffconcat").write_text("ffconcat version 1.0\nfile a.mp4\n")
    return folder / "a.ffconcat"


@kind(
    REFUSED,
    "an address, `https://...`",
    "download it first",
    Refused("https://example.org/a.mp4: addresses are not opened"),
)
def address(folder: Path) -> Path:
    return Path("https://example.org/a.mp4")


@kind(REFUSED, "standard input, `-`", "save it to a file first", Refused("-: standard input is not read"))
def standard_input(folder: Path) -> Path:
    return Path("-")


@kind(REFUSED, "a pipe or a device", "save it to a file first", Refused("a pipe or a device"))
def device(folder: Path) -> Path:
    return Path("/dev/zero")


@kind(REFUSED, "a file that was cut off before its index", "damage is told", Refused("cut off or damaged"))
def cut_off(folder: Path) -> Path:
    path = encode(folder / "a.mp4", [np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)] * 12)
    return clips.cut(path, 0.6)


PAGE = Path(__file__).parents[1] / "docs" / "videos.md"

_HEAD = """# What videos work

Whatever FFmpeg decodes is read: the tests make each of these and look at what comes out. This page is written from
their table (`python tests/odd_videos.py`).
"""

_TAIL = """
## Time

- Every frame has its own time, from the file. A constant rate is never assumed; exports that need one take the median
  interval, and rows in a pause are empty (TRC, C3D) or hold the last pose (BVH, MOT).
- Where time jumps by more than `--max-gap`, a stretch ends: nothing is lifted, smoothed or fitted across.
- After a pause of more than a minute, whoever is there is somebody new.
- `--fps` says how many pictures a second there are, for folders, and for videos whose own times are wrong.
  `--slow-motion 8` says that a video shows things eight times slower than they were; times, filters, speeds and exports
  are then those of life.

## Cuts

Cuts are looked for by how the picture changes, people end there, and the result says where they are (`--cuts none` does
not look; `--cuts FILE` takes them from a text file with a frame's number, or seconds as in 12.5 or 1:02, a line). Found
are hard cuts and those through black. Slow dissolves, and cuts between two views that look alike, are not.

## Several videos

Videos of one name get their folders' names in front: `cam1/video.mp4` and `cam2/video.mp4` become `cam1_video` and
`cam2_video`. One that cannot be read stops no other: the rest are done, and the exit code and the last line say so.
"""


def page() -> str:
    """The table as Markdown."""
    lines = [_HEAD]
    for section in dict.fromkeys(one.section for one in KINDS):
        lines += [f"## {section}", "", "| what | what vidpose does |", "|---|---|"]
        rows = dict.fromkeys((one.name, one.answer) for one in KINDS if one.section == section)
        lines += [f"| {name} | {answer} |" for name, answer in rows]
        lines.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip("\n") + "\n" + _TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
