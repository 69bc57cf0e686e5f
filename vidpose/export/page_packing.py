"""Numbers as the page of a result holds them: base64 of little-endian bytes; `page/data.js` is the other end."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

_ABSENT = -32768


@dataclass(frozen=True)
class Packing:
    """How a page holds its numbers.

    Attributes:
        tight: what changes from row to row, deflated, and in coarser steps; else plain bytes, which are quicker read.
    """

    tight: bool = False

    def numbers(self, values: np.ndarray, step: float, coarse: float | None = None) -> dict[str, Any]:
        """Numbers as 16-bit multiples of a step, which grows where they would not fit.

        Args:
            values: a row for each moment; NaN where absent.
            step: what is told apart.
            coarse: what is told apart where space is short.
        """
        known = values[np.isfinite(values)]
        least = coarse if self.tight and coarse else step
        step = max(least, float(np.abs(known).max(initial=0)) / 32767)
        steps = np.where(np.isfinite(values), np.rint(np.nan_to_num(values) / step), _ABSENT).astype("<i2")
        return {"step": step} | (_tight(steps) if self.tight else {"data": plain(steps)})

    def bytes(self, values: np.ndarray) -> Any:
        """Whole numbers from 0 to 255, a row for each moment."""
        values = values.astype(np.uint8)
        return _tight(values) if self.tight else plain(values)


def plain(array: np.ndarray) -> str:
    """The bytes of an array."""
    return base64.b64encode(array.tobytes()).decode("ascii")


def _tight(values: np.ndarray) -> dict[str, Any]:
    """Bodies move little from row to row: differences that wrap around, their low bytes before their high ones."""
    rows = values.reshape(len(values), -1)
    changes = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    halves = changes.view(np.uint8).reshape(-1, values.itemsize).T
    packed = zlib.compress(halves.tobytes())
    return {"deflated": base64.b64encode(packed).decode("ascii"), "columns": rows.shape[1]}
