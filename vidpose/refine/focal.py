"""The camera that a video was taken with, as far as somebody says; else a common one.

No picture of a person tells the focal length, and the root's depth grows with it in proportion. What counts is the
angle of view along the picture's longer side: it does not change where a picture is scaled, or held upright.
"""

from __future__ import annotations

import math

from vidpose.body.tracks import PinholeCamera
from vidpose.common.errors import UsageError

ASSUMED_FOV = 60.0
"""Degrees along the longer side: of most phones' main lens, which is like 26 mm on film (69 degrees) less what filming
cuts off for 16:9 and against shaking. Wide-angle lenses have 90 and more, camcorders zoomed in 20 and less."""

_NARROWEST, _WIDEST = 1.0, 150.0
"""Degrees. A wider lens is no pinhole any more."""


def choose_camera(
    width: int, height: int, *, fov: float | None = None, focal: float | None = None, stated_fov: float | None = None
) -> tuple[PinholeCamera, str]:
    """The camera from what the user says, else from what the video says, else an assumed one.

    Args:
        width, height: pixels of the upright picture, whose middle is the principal point.
        fov: degrees that the longer side spans.
        focal: pixels, instead of `fov`.
        stated_fov: degrees that the longer side spans by the video's metadata (`vidpose.video.stated_fov`).

    Returns:
        The camera, and in words where its focal length is from.

    Raises:
        UsageError: as by `check_lens`, or no such picture is taken with `focal`.
    """
    check_lens(fov, focal)
    longer = max(width, height)
    if focal is not None:
        nearest, farthest = (math.ceil(focal_of(degrees, longer)) for degrees in (_WIDEST, _NARROWEST))
        if not nearest <= focal <= farthest:
            raise UsageError(
                f"--focal {focal:g}: pixels are wanted, {nearest} to {farthest} for a picture of {width}x{height}; "
                "a focal length in millimetres is no use without the sensor, give --fov DEGREES instead"
            )
        return _camera(focal, width, height), f"--focal {focal:g}"
    if fov is not None:
        return _camera(focal_of(fov, longer), width, height), f"--fov {fov:g}"
    if stated_fov is not None:
        return _camera(focal_of(stated_fov, longer), width, height), f"metadata: {stated_fov:.1f} degrees"
    return _camera(focal_of(ASSUMED_FOV, longer), width, height), f"assumed: {ASSUMED_FOV:g} degrees"


def check_lens(fov: float | None, focal: float | None) -> None:
    """See, before any picture is there, that a lens can be so.

    Raises:
        UsageError: both are given, or one of them is absurd.
    """
    if fov is not None and focal is not None:
        raise UsageError(f"--fov {fov:g} and --focal {focal:g} say the same thing; give one of them")
    if fov is not None and not _NARROWEST <= fov <= _WIDEST:
        raise UsageError(
            f"--fov {fov:g}: degrees along the longer side of the picture are wanted, {_NARROWEST:g} to {_WIDEST:g}, "
            "as in --fov 60"
        )
    if focal is not None and not 0 < focal < math.inf:
        raise UsageError(f"--focal {focal:g}: pixels above 0 are wanted, as in --focal 1100")


def focal_of(fov: float, longer: int) -> float:
    """The focal length, in pixels, with which so many pixels span so many degrees."""
    return longer / 2 / math.tan(math.radians(fov) / 2)


def _camera(focal: float, width: int, height: int) -> PinholeCamera:
    return PinholeCamera((focal, focal), (width / 2, height / 2))
