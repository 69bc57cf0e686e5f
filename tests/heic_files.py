"""A photo as phones write HEIC: HEVC tiles in a grid, and a note of how to turn it (ISO/IEC 23008-12)."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TILE = 64


def write_heic(path: Path, picture: np.ndarray) -> Path:
    """Write a picture, a quarter turn from upright, in tiles of 64 pixels; the last ones reach beyond it."""
    stored = np.rot90(picture, -1)
    height, width = stored.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.pad(stored, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), mode="edge")
    tiles = [padded[TILE * r :][:TILE, TILE * c :][:, :TILE] for r in range(rows) for c in range(columns)]
    coded = [_intra(np.ascontiguousarray(tile), path.with_suffix(".mkv")) for tile in tiles]
    path.write_bytes(_heif(coded, rows, columns, width, height))
    return path


def _intra(tile: np.ndarray, place: Path) -> tuple[bytes, bytes]:
    """A picture in HEVC: its decoder configuration, and its one sample."""
    with av.open(str(place), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        stream.height, stream.width = tile.shape[:2]
        # With B-frames, x265 takes the decoding time of a picture that stays the only one from memory nobody has set.
        stream.pix_fmt, stream.options = "yuv420p", {"x265-params": "log-level=none:qp=10:bframes=0"}
        frame = av.VideoFrame.from_ndarray(tile, format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(place)) as container:
        return bytes(container.streams.video[0].codec_context.extradata), bytes(next(container.demux(video=0)))


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, version: int, *content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24), *content)


def _heif(coded: list[tuple[bytes, bytes]], rows: int, columns: int, width: int, height: int) -> bytes:
    """Item 1 is the grid, whose description is in `idat`; the tiles follow it."""
    samples = [sample for _, sample in coded]
    tiles = range(2, 2 + len(samples))
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    names = [_full(b"infe", 2, struct.pack(">HH", item, 0), b"grid" if item == 1 else b"hvc1", b"\0")
             for item in (1, *tiles)]  # fmt: skip
    # The decoder's configuration, the sizes of a tile and of all, and a quarter turn counterclockwise.
    properties = _box(
        b"ipco", _box(b"hvcC", coded[0][0]), _full(b"ispe", 0, struct.pack(">II", TILE, TILE)),
        _full(b"ispe", 0, struct.pack(">II", width, height)), _box(b"irot", b"\1"),
    )  # fmt: skip
    owned = [struct.pack(">HBBB", 1, 2, 3, 0x80 | 4), *(struct.pack(">HBBB", item, 2, 0x80 | 1, 2) for item in tiles)]
    start = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")

    def meta(first: int) -> bytes:
        places = [struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(grid))]
        for item, sample in zip(tiles, samples, strict=True):
            places.append(struct.pack(">HHHHII", item, 0, 0, 1, first, len(sample)))
            first += len(sample)
        return _full(
            b"meta", 0,
            _full(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            _full(b"pitm", 0, struct.pack(">H", 1)),
            _full(b"iloc", 1, struct.pack(">BBH", 0x44, 0, len(places)), *places),
            _full(b"iinf", 0, struct.pack(">H", len(names)), *names),
            _full(b"iref", 0, _box(b"dimg", struct.pack(f">HH{len(samples)}H", 1, len(samples), *tiles))),
            _box(b"iprp", properties, _full(b"ipma", 0, struct.pack(">I", len(owned)), *owned)),
            _box(b"idat", grid),
        )  # fmt: skip

    return start + meta(len(start) + len(meta(0)) + 8) + _box(b"mdat", *samples)
