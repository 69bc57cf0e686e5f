"""Feet and hands as rigid parts: where their points are, how they turn, and how they are mostly held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A foot or a hand of the left side, in the rest pose (`vidpose.body.kinematics`).

    Attributes:
        bone: the joints at both ends of the bone that it hangs on, without their side; it turns about the second.
        points: name in `EXTREMITIES_10`, without its side -> metres from there, of somebody whose bone is 1 m long.
        axes: (3, 3) that it turns about, in this order, each carried along by those before.
        limits: degrees of each angle, from the least to the greatest.
        usual, spread: degrees, the mean of each angle and its standard deviation.
        loose: degrees that the second is more at, of a foot whose leg is straight: its roll shows nowhere else.
        grid: degrees of each angle to begin at.
    """

    bone: tuple[str, str]
    points: Mapping[str, tuple[float, float, float]]
    axes: tuple[tuple[int, int, int], ...]
    limits: tuple[tuple[float, float], ...]
    usual: tuple[float, float, float]
    spread: tuple[float, float, float]
    loose: float
    grid: tuple[tuple[float, ...], ...]


FOOT = Part(
    ("knee", "ankle"),
    {"heel": (0, -0.10, -0.12), "toe": (0, -0.115, 0.39)},
    ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
    ((-55, 35), (-35, 45), (-25, 35)),
    (0, 5, 0),
    (25, 10, 8),
    30,
    ((-45, -20, 0, 20), (-30, 0, 30), (0,)),
)
"""Dorsiflexion, toes outwards, inversion."""

HAND = Part(
    ("elbow", "wrist"),
    {"index": (0.35, 0, 0.05), "pinky": (0.32, 0, -0.045), "thumb": (0.235, -0.045, 0.085)},
    ((1, 0, 0), (0, 0, -1), (0, -1, 0)),
    ((-90, 90), (-75, 80), (-35, 25)),
    (0, 0, 0),
    (50, 25, 10),
    0,
    ((-75, -37, 0, 37, 75), (-45, 0, 45), (0,)),
)
"""Pronation, from where the thumb points to the side to which the elbow bends; flexion; deviation to the thumb."""
