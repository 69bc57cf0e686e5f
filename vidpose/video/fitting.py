"""Pictures of other sizes among those of one: fitted into the first one's."""

from __future__ import annotations

import cv2
import numpy as np

_SAME_SHAPE = 0.02
"""Of the ratio of the sides: what scaling to whole pixels rounds."""


def fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture scaled into a size, with black beside it where its shape is another: bodies keep their proportions.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (height, width, 3) uint8.
    """
    rows, columns = image.shape[:2]
    if (columns, rows) == (width, height):
        return image
    scale = min(width / columns, height / rows)
    inner = (max(round(scale * columns), 1), max(round(scale * rows), 1))
    if abs(columns / rows / (width / height) - 1) < _SAME_SHAPE:
        inner = width, height
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, inner, interpolation=method)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    return cv2.copyMakeBorder(
        small, top, height - inner[1] - top, left, width - inner[0] - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )
