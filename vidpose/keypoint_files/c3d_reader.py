"""Points of a C3D file (c3d.org), read in Python: what reads it in C++ ends the whole program at some damaged ones."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidpose.common.inputs import open_input
from vidpose.keypoint_files.animation import check_size


@dataclass(frozen=True)
class C3dPoints:
    """What is seen of N points in F frames.

    Attributes:
        names: of the points.
        positions: (F, N, 3) in the file's axes and unit, NaN where a point was not seen.
        fps: frames a second.
        unit: of length, as the file has it; "" where it says none.
        up: "y" or "z", where POINT's Y_SCREEN says so; else "".
        start: seconds from the video's start to the first frame, which only our own files say.
    """

    names: tuple[str, ...]
    positions: np.ndarray
    fps: float
    unit: str
    up: str
    start: float | None = None


def read_c3d_points(path: Path) -> C3dPoints:
    """The named points of a file.

    Raises:
        VidposeError: it is no file, or too large.
        Exception: the file is damaged; put `reading` around it.
    """
    import c3d

    class _Reader(c3d.Reader):
        """Whose frames count from where the file says: the package takes the upper half as 65,535s."""

        @property
        def first_frame(self) -> int:
            stated = self.get("TRIAL:ACTUAL_START_FIELD")
            if stated is None:
                return int(self.header.first_frame)
            low, high = stated.uint16_array[:2].tolist()
            return low + high * 65536

    with open_input(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if file.read(2)[1:] != b"\x50":
            raise ValueError("it does not begin as one")
        file.seek(0)
        try:
            reader = _Reader(file)
        except (AssertionError, NameError) as error:  # its header and its parameters disagree, or are of no computer
            raise ValueError(str(error)) from None
        names = tuple(str(name).strip() for name in reader.point_labels)[: reader.point_used]
        claimed = reader.last_frame - reader.first_frame + 1
        check_size(path, claimed, reader.point_used)
        frames = [points for _, points, _ in reader.read_frames(analog_transform=False)]
        if len(frames) != claimed or not frames or not names:
            raise ValueError(f"{len(names)} points in {len(frames)} frames, where {claimed} frames are announced")
        points = np.stack(frames).astype(np.float64)[:, : len(names)]
        positions = without_unseen(np.where(points[..., 3:4] < 0, np.nan, points[..., :3]))
        unit, screen = (_text(reader, f"POINT:{name}") for name in ("UNITS", "Y_SCREEN"))
        up = {"+Y": "y", "+Z": "z"}.get(screen, "")
        return C3dPoints(names, positions, float(reader.point_rate), unit, up, _start(reader))


def without_unseen(positions: np.ndarray) -> np.ndarray:
    """Markers (..., 3), NaN where all three are 0: many programs write that for one that was not seen."""
    return np.where((positions == 0).all(axis=-1, keepdims=True), np.nan, positions)


def _text(reader: object, name: str) -> str:
    """A text among the parameters; "" where it is not there."""
    parameter = reader.get(name)  # type: ignore[attr-defined]
    return parameter.bytes.decode("ascii", errors="replace").strip("\0 ") if parameter is not None else ""


def _start(reader: object) -> float | None:
    """What `vidpose.export.c3d` says of the first frame; None where it is not there, or no time."""
    parameter = reader.get("VIDPOSE:START")  # type: ignore[attr-defined]
    if parameter is None or len(parameter.bytes) != 4:
        return None
    start = float(np.frombuffer(parameter.bytes, "<f4")[0])
    return start if np.isfinite(start) else None
