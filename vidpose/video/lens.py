"""What a container says of the lens.

Videos have no EXIF. One statement can be read from a file by name: QuickTime's key for the focal length, which Apple's
phones write, as if on film 36 mm wide, for a still picture. Filming may cut off some more of the picture.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import av

from vidpose.common.errors import VidposeError
from vidpose.video.container import open_container

_KEY = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
_FILM_MM = 36.0
_SHORTEST_MM, _LONGEST_MM = 8.0, 2000.0


def stated_fov(path: str | Path) -> float | None:
    """Degrees that the longer side of the picture spans, by a video's metadata.

    Args:
        path: of a video. A folder of images, or a file that is not there or cannot be opened, states nothing.

    Returns:
        The angle, or None where nothing sensible is stated.
    """
    path = Path(path)
    if not path.is_file():
        return None
    try:
        with open_container(path) as container:
            stated = [container.metadata.get(_KEY), *(s.metadata.get(_KEY) for s in container.streams.video)]
    except (VidposeError, av.FFmpegError):
        return None
    # "26", or "26.00mm" as Apple documents it.
    for text in filter(None, stated):
        number = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:mm)?", text.strip())
        if number and _SHORTEST_MM <= float(number[1]) <= _LONGEST_MM:
            return 2 * math.degrees(math.atan(_FILM_MM / 2 / float(number[1])))
    return None
