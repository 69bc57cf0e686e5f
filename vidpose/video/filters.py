"""What is done to decoded pictures before they are looked at: fields become frames, and HDR becomes ordinary video.

FFmpeg's own filters do the work, on its threads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph

_PQ, _HLG = 16, 18
"""Transfer characteristics of ITU-T H.273: SMPTE ST 2084, and ARIB STD-B67."""

_BT_2020 = 9
_UNKNOWN = (0, 2)
"""Primaries of ITU-T H.273."""

_TO_BT_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""(3, 3) linear light of BT.2020's primaries as BT.709's: ITU-R BT.2407, 2.2."""

_LEAST_WHITE, _MOST_WHITE = 100.0, 1000.0
"""Candela a square metre: ordinary video's white, and that of a usual HDR master."""

_WHITE_PERCENT = 99
_KNEE = 0.85
"""Of white; light above it is squeezed rather than cut off."""

_GAMMA = 2.2
_STEPS = 33
"""Of the table, along each axis."""

_LEAST_LINES = 4
"""Fewer cannot be deinterlaced."""


class Deinterlacer:
    """Gives every interlaced picture as one whole one (BBC's filter, `bwdif`), and others as they are.

    Which pictures are interlaced, they say themselves. Moments stay what they were.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._shape: tuple[str, int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """Those frames that are ready once this one is known: the filter looks one ahead."""
        shape = frame.format.name, frame.width, frame.height
        if self._graph and shape != self._shape:
            yield from self.finish()
        if self._graph is None:
            if not frame.interlaced_frame or frame.height < _LEAST_LINES or frame.width < _LEAST_LINES:
                yield frame
                return
            self._graph, self._shape = _graph_of(frame, ("bwdif", "mode=send_frame:deint=interlaced")), shape
        self._graph.vpush(frame)
        yield from _ready(self._graph)

    def finish(self) -> Iterator[av.VideoFrame]:
        """The frames that still wait."""
        if self._graph:
            self._graph.vpush(None)
            yield from _ready(self._graph)
            self._graph = None


def _ready(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _graph_of(frame: av.VideoFrame, *filters: tuple[str, str]) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
    )
    graph.link_nodes(source, *(graph.add(*one) for one in filters), graph.add("buffersink")).configure()
    return graph


def is_hdr(frame: av.VideoFrame) -> bool:
    """It is coded for a bright screen: PQ (HDR10, Dolby Vision) or HLG."""
    return frame.color_trc in (_PQ, _HLG)


class ToneMap:
    """Makes ordinary pictures of HDR ones, as a camera would that exposes for the brightest part of the first one.

    White is what 99 of 100 pixels of that picture stay below, from 100 to 1000 candela a square metre. Up to near
    white, light stays in proportion; what is brighter is squeezed, all of a colour alike.

    Args:
        frame: the first one, which says how the others are coded.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        is_wide = frame.color_primaries == _BT_2020 or frame.color_primaries in _UNKNOWN
        light = _light_of(frame.to_ndarray(format="rgb24")[::4, ::4] / 255.0, frame.color_trc)
        white = float(np.clip(np.percentile(light.max(axis=-1), _WHITE_PERCENT), _LEAST_WHITE, _MOST_WHITE))
        axis = np.linspace(0, 1, _STEPS)
        # A cube file lists red fastest.
        blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
        colours = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
        self._table = _displayed(_light_of(colours, frame.color_trc) / white, is_wide)
        self._graph: Graph | None = None
        self._size: tuple[int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame in ordinary 8-bit RGB."""
        wide = frame.reformat(format="gbrp16le")
        wide.pts = None
        if self._graph is None or (wide.width, wide.height) != self._size:
            self._size = wide.width, wide.height
            with tempfile.TemporaryDirectory() as folder:
                cube = Path(folder) / "tones.cube"
                lines = (" ".join(f"{value:.5f}" for value in row) for row in self._table)
                cube.write_text(f"LUT_3D_SIZE {_STEPS}\n" + "\n".join(lines) + "\n")
                self._graph = _graph_of(wide, ("lut3d", f"file='{_escaped(cube)}':interp=tetrahedral"))
        self._graph.vpush(wide)
        return self._graph.vpull()


def _escaped(path: Path) -> str:
    """A path inside the quotes of a filter's option."""
    return path.as_posix().replace("\\", "\\\\").replace("'", r"'\\\''").replace(":", r"\:")


def _light_of(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Candela a square metre of each primary, (..., 3), of a signal from 0 to 1 (ITU-R BT.2100, tables 4 and 5).

    HLG's are those of a screen of 1000.
    """
    if transfer == _PQ:
        power = signal ** (1 / 78.84375)
        return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ (0.2627, 0.678, 0.0593)
    return 1000 * luminance[..., None] ** 0.2 * scene


def _displayed(light: np.ndarray, is_wide: bool) -> np.ndarray:
    """The signal of ordinary video, 0 to 1, for light where 1 is white."""
    if is_wide:
        light = np.maximum(light @ _TO_BT_709.T, 0)
    brightest = light.max(axis=-1, keepdims=True)
    above = (brightest - _KNEE) / (1 - _KNEE)
    squeezed = np.where(above > 0, _KNEE + (1 - _KNEE) * (1 - np.exp(-np.maximum(above, 0))), brightest)
    light = light * (squeezed / np.maximum(brightest, 1e-9))
    return light.clip(0, 1) ** (1 / _GAMMA)
