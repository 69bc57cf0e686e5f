"""The camera that a video was taken with, as far as somebody says; else a common one.

No picture of a person tells the focal length, and the root's depth grows with it in proportion. What counts is the
angle of view along the picture's longer side: it does not change where a picture is scaled, or held upright.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vidpose.body.tracks import FocalFrom, PinholeCamera
from vidpose.common.errors import UsageError

ASSUMED_FOV = 60.0
"""Degrees along the longer side: of most phones' main lens, which is like 26 mm on film (69 degrees) less what filming
cuts off for 16:9 and against shaking. Wide-angle lenses have 90 and more, camcorders zoomed in 20 and less."""

_NARROWEST, _WIDEST = 1.0, 150.0
"""Degrees. A wider lens is no pinhole any more."""

_LARGEST = 32768
"""Pixels that a side of a picture has at most."""


@dataclass(frozen=True)
class Lens:
    """What the user says of the lens: nothing, the field of view, or the focal length.

    Attributes:
        fov: degrees that the longer side of the picture spans.
        focal: pixels.
    """

    fov: float | None = None
    focal: float | None = None

    def check(self) -> None:
        """See, before any picture is there, that a lens can be so.

        Raises:
            UsageError: both are given, or one of them is absurd.
        """
        fov, focal = self.fov, self.focal
        if fov is not None and focal is not None:
            raise UsageError(f"`fov={fov:g}` and `focal={focal:g}` say the same thing; give one of them")
        if fov is not None and not _NARROWEST <= fov <= _WIDEST:
            raise UsageError(
                f"`fov={fov:g}`: degrees along the longer side of the picture are wanted, {_NARROWEST:g} to "
                f"{_WIDEST:g}, as in `fov=60`"
            )
        least, most = focal_of(_WIDEST, 1), focal_of(_NARROWEST, _LARGEST)
        if focal is not None and not least <= focal <= most:
            raise UsageError(
                f"`focal={focal:g}`: pixels are wanted, as in `focal=1100`; no picture is taken with so many"
            )

    def camera(self, width: int, height: int, stated_fov: float | None = None) -> tuple[PinholeCamera, FocalFrom]:
        """The camera from what the user says, else from what the video says, else an assumed one.

        Args:
            width, height: pixels of the upright picture, whose middle is the principal point.
            stated_fov: degrees that the longer side spans by the video's metadata (`vidpose.video.lens.stated_fov`).

        Returns:
            The camera, and where its focal length is from.

        Raises:
            UsageError: as by `check`, or no such picture is taken with `focal`.
        """
        self.check()
        longer = max(width, height)
        if self.focal is not None:
            nearest, farthest = (math.ceil(focal_of(degrees, longer)) for degrees in (_WIDEST, _NARROWEST))
            if not nearest <= self.focal <= farthest:
                raise UsageError(
                    f"`focal={self.focal:g}`: pixels are wanted, {nearest} to {farthest} for a picture of "
                    f"{width}x{height}; a focal length in millimetres is no use without the sensor, give `fov` instead"
                )
            return _camera(self.focal, width, height), "focal"
        if self.fov is not None:
            return _camera(focal_of(self.fov, longer), width, height), "fov"
        if stated_fov is not None:
            return _camera(focal_of(stated_fov, longer), width, height), "video"
        return _camera(focal_of(ASSUMED_FOV, longer), width, height), "assumed"


def focal_of(fov: float, longer: int) -> float:
    """The focal length, in pixels, with which so many pixels span so many degrees."""
    return longer / 2 / math.tan(math.radians(fov) / 2)


def _camera(focal: float, width: int, height: int) -> PinholeCamera:
    return PinholeCamera((focal, focal), (width / 2, height / 2))
