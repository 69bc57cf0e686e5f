"""The head. Its relief is what pose detectors go by: without brows, nose, jaw and ears they take front for back."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vidpose.synth.frames import LocalFrame
from vidpose.synth.shapes import Capsule, Ellipsoid, Group, Plane, Shape

HairStyle = Literal["short", "bob", "bun"]

STANDARD_CROWN = 0.33
"""Metres from the thorax to the crown of the head that is modelled here; others are scaled."""

_EYE, _EAR = (0.031, 0.074, 0.003), (0.083, -0.008, -0.006)
"""Right ones, on the surface, from the middle between the ears."""

_WHITE, _IRIS, _BLACK = np.array([0.80, 0.80, 0.78]), np.array([0.05, 0.10, 0.16]), np.array([0.01, 0.01, 0.01])


class _Modeller:
    """Places shapes given in metres of a standard head; its origin is the middle between the ears.

    Axes are the head's right, forward and up. The tip of the nose and the crown fall on the joints of that name.
    """

    _CENTRE = (0.0, 0.010, 0.210)  # from the thorax

    def __init__(self, thorax: LocalFrame, scale: float) -> None:
        self.frame, self.scale = thorax, scale

    def point(self, x: float, y: float, z: float) -> np.ndarray:
        cx, cy, cz = self._CENTRE
        return self.frame(self.scale * (x + cx), self.scale * (y + cy), self.scale * (z + cz))

    def ball(
        self,
        centre: tuple[float, float, float],
        radii: tuple[float, float, float],
        colour: np.ndarray,
        clip: Plane | None = None,
        axes: np.ndarray | None = None,
    ) -> Ellipsoid:
        rx, ry, rz = radii
        k = self.scale
        axes = self.frame.axes if axes is None else axes
        return Ellipsoid(self.point(*centre), axes, (k * rx, k * ry, k * rz), colour, clip)

    def rod(
        self,
        a: tuple[float, float, float],
        b: tuple[float, float, float],
        radii: tuple[float, float],
        colour: np.ndarray,
    ) -> Capsule:
        return Capsule(self.point(*a), self.point(*b), self.scale * radii[0], self.scale * radii[1], colour)

    def turned(self, degrees: float) -> np.ndarray:
        """The head's axes turned about its forward axis, right side up."""
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        return self.frame.axes @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def head(thorax: LocalFrame, scale: float, neck: np.ndarray, skin: np.ndarray, hair_colour: np.ndarray) -> Group:
    """Skull, face, ears and neck.

    Args:
        thorax: the head's axes, at the thorax.
        scale: 1 for a crown 0.33 m above the thorax.
        neck: (3,) the neck's lower end, world metres.
        skin, hair_colour: (3,) linear colours.
    """
    m = _Modeller(thorax, scale)
    shapes: list[Shape] = [
        m.ball((0, -0.014, 0.030), (0.070, 0.088, 0.082), skin),
        m.ball((0, 0.030, -0.022), (0.056, 0.054, 0.078), skin),
        m.ball((0, 0.036, -0.066), (0.045, 0.046, 0.036), skin),
        m.ball((0, 0.074, -0.092), (0.018, 0.013, 0.013), skin),
        m.rod((0, 0.088, 0.004), (0, 0.104, -0.024), (0.0065, 0.0095), skin),
        m.rod((-0.014, 0.0780, -0.0585), (0.014, 0.0780, -0.0585), (0.0060, 0.0060), skin),
        m.rod((-0.011, 0.0765, -0.0680), (0.011, 0.0765, -0.0680), (0.0065, 0.0065), skin),
        Capsule(m.point(0, -0.022, -0.050), neck, 0.050 * scale, 0.055 * scale, skin),
    ]
    for side in (-1, 1):
        shapes += [
            m.ball((0.036 * side, 0.052, -0.026), (0.024, 0.024, 0.026), skin),
            m.rod((0.013 * side, 0.080, 0.021), (0.042 * side, 0.066, 0.021), (0.0085, 0.0080), skin),
            m.ball((0.0115 * side, 0.094, -0.028), (0.0085, 0.010, 0.0075), skin),
            m.ball((0.073 * side, -0.008, -0.006), (0.010, 0.019, 0.031), skin),
        ]
    return Group(tuple(shapes), 0.008, tuple(_face_paint(m, skin, hair_colour)), gloss=0.06, fine=True)


def eyes_and_ears(thorax: LocalFrame, crown: float) -> np.ndarray:
    """(4, 3) world metres of left eye, right eye, left ear and right ear, on the surface.

    Args:
        thorax: the head's axes, at the thorax.
        crown: metres from there to the top of the head.
    """
    m = _Modeller(thorax, crown / STANDARD_CROWN)
    return np.array([m.point(side * x, y, z) for x, y, z in (_EYE, _EAR) for side in (-1, 1)])


def _face_paint(m: _Modeller, skin: np.ndarray, hair_colour: np.ndarray) -> list[Ellipsoid]:
    lips = skin * (0.80, 0.52, 0.50)
    paint = [
        m.ball((0, 0.09, -0.0590), (0.021, 0.03, 0.0046), lips),
        m.ball((0, 0.09, -0.0680), (0.017, 0.03, 0.0052), lips),
        m.ball((0, 0.09, -0.0632), (0.021, 0.03, 0.0011), 0.5 * lips),
    ]
    for side in (-1, 1):
        x = 0.031 * side
        paint += [
            m.ball((x, 0.08, 0.0040), (0.0165, 0.03, 0.0092), 0.45 * skin),
            m.ball((x, 0.08, 0.0030), (0.0150, 0.03, 0.0078), _WHITE),
            m.ball((x, 0.08, 0.0032), (0.0072, 0.03, 0.0078), _IRIS),
            m.ball((x, 0.08, 0.0032), (0.0036, 0.03, 0.0040), _BLACK),
            m.ball((0.0315 * side, 0.08, 0.0245), (0.018, 0.03, 0.0045), hair_colour, axes=m.turned(7.0 * side)),
            m.ball((0.0065 * side, 0.103, -0.038), (0.0035, 0.01, 0.0028), 0.5 * skin),
        ]
    return paint


def hair(thorax: LocalFrame, scale: float, style: HairStyle, colour: np.ndarray) -> Group:
    """Hair on the head of the same `thorax` and `scale`."""
    m = _Modeller(thorax, scale)
    hairline = Plane(m.point(0, 0.064, 0.072), thorax.direction(0, 0.80, -0.60))
    shapes: list[Shape] = [
        m.ball((0, -0.020, 0.036), (0.078, 0.093, 0.086), colour, hairline),
        m.ball((0, 0.030, 0.088), (0.056, 0.046, 0.030), colour, hairline),
    ]
    if style == "bob":
        face = Plane(m.point(0, 0.012, 0.0), thorax.direction(0, 1.0, -0.12))
        shapes += [
            m.ball((0, -0.026, -0.020), (0.084, 0.082, 0.100), colour, face),
            m.ball((0, -0.050, -0.070), (0.072, 0.050, 0.052), colour, face),
        ]
    elif style == "bun":
        shapes += [
            m.ball((0, -0.116, 0.062), (0.038, 0.034, 0.036), colour),
            m.ball((0, -0.088, 0.050), (0.028, 0.030, 0.028), colour),
        ]
    return Group(tuple(shapes), 0.010, gloss=0.10, fine=True)
