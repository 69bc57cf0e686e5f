"""Strokes, dots and labels with OpenCV, antialiased and placed to a sixteenth of a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vidpose.body.colours import OUTLINE, Colour

Point = Sequence[float]
"""x and y in pixels. Plain numbers: with those of numpy, a stroke takes three times as long."""

_SHIFT = 4
_FONT = cv2.FONT_HERSHEY_DUPLEX
_CAPITAL_HEIGHT = 22
"""Pixels of a capital letter at font scale 1."""

_ANGLES = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def stroke(image: np.ndarray, start: Point, end: Point, colour: Colour, width: float) -> None:
    """A line with round ends from (x, y) to (x, y); `width` in pixels."""
    cv2.line(image, _fixed(start), _fixed(end), colour, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def dot(image: np.ndarray, centre: Point, colour: Colour, radius: float) -> None:
    """A disc; OpenCV's own circles of less than three pixels are squares."""
    outline = np.rint((radius * _CIRCLE + centre) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(image, outline, colour, cv2.LINE_AA, _SHIFT)


def text(image: np.ndarray, left: float, middle: float, words: str, colour: Colour, height: float) -> float:
    """Words from `left`, centred on the line `middle`, with capitals of `height` pixels; returns their width."""
    scale = height / _CAPITAL_HEIGHT
    cv2.putText(image, words, (round(left), round(middle + height / 2)), _FONT, scale, colour, 1, cv2.LINE_AA)
    return text_width(words, height)


def text_width(words: str, height: float) -> float:
    """Pixels that words are wide, whose capitals are so many pixels high."""
    return cv2.getTextSize(words, _FONT, height / _CAPITAL_HEIGHT, 1)[0][0]


def chip(image: np.ndarray, centre: tuple[float, float], words: str, colour: Colour, height: float) -> None:
    """Dark words on a pill of a colour; `height` is that of the capitals."""
    x, y = centre
    width = text_width(words, height)
    half = max(0.0, width / 2 - height / 4)
    stroke(image, (x - half, y), (x + half, y), colour, 2.1 * height)
    text(image, x - width / 2, y, words, OUTLINE, height)


def _fixed(point: Point) -> tuple[int, int]:
    """A point in OpenCV's fixed-point coordinates."""
    x, y = point
    return round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT))
