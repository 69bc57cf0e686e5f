"""Videos of old and rare formats, and what is no video."""

from __future__ import annotations

from pathlib import Path

import clips
import numpy as np
from video_kinds import Refused, Right, encode, kind, pictures

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
