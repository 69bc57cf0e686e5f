"""Solids as signed distances: tapered capsules and ellipsoids, blended within a group.

Distances to capsules and to ellipsoids are made of quadratic polynomials in x, y and z, so one matrix product gives
them for all shapes of a group at once. Points are taken relative to the group's middle to keep float32 exact enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Vector = np.ndarray
"""(3,) float64, world metres."""


@dataclass(frozen=True)
class Plane:
    """Cuts off what lies in front of it: where (p - point) . normal > 0."""

    point: Vector
    normal: Vector


@dataclass(frozen=True)
class Capsule:
    """All points around the segment from `a` to `b`, within a radius that runs from one end's to the other's."""

    a: Vector
    b: Vector
    radius_a: float
    radius_b: float
    colour: Vector
    clip: Plane | None = None

    @property
    def bounds(self) -> tuple[Vector, Vector, float]:
        """Ends and radius of an even capsule around this shape."""
        return self.a, self.b, max(self.radius_a, self.radius_b)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid. Paint may have infinite radii, which make it a cylinder or a slab.

    Attributes:
        axes: (3, 3), the columns are the directions of the radii.
    """

    centre: Vector
    axes: np.ndarray
    radii: tuple[float, float, float]
    colour: Vector
    clip: Plane | None = None

    @property
    def bounds(self) -> tuple[Vector, Vector, float]:
        """Ends and radius of an even capsule around this shape."""
        longest = int(np.argmax(self.radii))
        radius = max(r for i, r in enumerate(self.radii) if i != longest)
        reach = (self.radii[longest] - radius) * self.axes[:, longest]
        return self.centre - reach, self.centre + reach, radius


Shape = Capsule | Ellipsoid


@dataclass(frozen=True)
class Group:
    """Shapes that melt into one another.

    Attributes:
        blend: over how many metres. The surface swells by up to 0.7 of it where two shapes meet.
        paint: ellipsoids that only colour the surface inside them, the last one on top.
        gloss: strength of the highlight.
        fine: worth antialiasing all over, not only at the outline.
    """

    shapes: tuple[Shape, ...]
    blend: float
    paint: tuple[Ellipsoid, ...] = ()
    gloss: float = 0.05
    fine: bool = False


def _quadratic(points: np.ndarray) -> np.ndarray:
    """(3, N) points to (10, N) monomials: squares, products, coordinates, one."""
    x, y, z = points
    return np.stack([x * x, y * y, z * z, x * y, x * z, y * z, x, y, z, np.ones_like(x)])


def _form(matrix: np.ndarray, centre: Vector) -> np.ndarray:
    """(10,) coefficients of (p - c)^T M (p - c)."""
    linear = -2 * matrix @ centre
    m = matrix
    products = [2 * m[0, 1], 2 * m[0, 2], 2 * m[1, 2]]
    return np.array([m[0, 0], m[1, 1], m[2, 2], *products, *linear, centre @ m @ centre])


def _ellipsoid_forms(shapes: Sequence[Ellipsoid], middle: Vector) -> np.ndarray:
    """(2K, 10): the sums of (q / r)^2 of each ellipsoid, then those of (q / r^2)^2, q its own coordinates."""
    forms = []
    for power in (2, 4):
        for shape in shapes:
            weights = 1 / np.asarray(shape.radii) ** power
            forms.append(_form((shape.axes * weights) @ shape.axes.T, shape.centre - middle))
    return np.array(forms, np.float32).reshape(-1, 10)


def _column(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


class Field:
    """The signed distance to a group, ready to be evaluated at many points.

    Attributes:
        group: what it was made of.
        middle: (3,) float32, the world point that `points` below are relative to.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.capsules = [s for s in group.shapes if isinstance(s, Capsule)]
        self.ellipsoids = [s for s in group.shapes if isinstance(s, Ellipsoid)]
        ordered: list[Shape] = [*self.capsules, *self.ellipsoids]
        ends = np.array([end for shape in ordered for end in shape.bounds[:2]])
        middle = (ends.min(axis=0) + ends.max(axis=0)) / 2
        self.middle = middle.astype(np.float32)
        self.colours = np.array([shape.colour for shape in ordered], np.float32)
        self._compile_capsules(middle)
        self._ellipsoid_forms = _ellipsoid_forms(self.ellipsoids, middle)
        self._paint_forms = _ellipsoid_forms(group.paint, middle)
        clipped = [(i, shape.clip) for i, shape in enumerate(ordered) if shape.clip]
        self._clipped = np.array([i for i, _ in clipped], int)
        self._clips = np.array([[*c.normal, -c.normal @ (c.point - middle)] for _, c in clipped], np.float32)

    def _compile_capsules(self, middle: Vector) -> None:
        """Per capsule: (p - a)^2 as a form, (p - a) . (b - a) / |b - a|^2 as another, and |b - a|^2."""
        forms, along, squares = [], [], []
        for c in self.capsules:
            axis = c.b - c.a
            square = float(axis @ axis) + 1e-12
            forms.append(_form(np.eye(3), c.a - middle))
            along.append([0, 0, 0, 0, 0, 0, *(axis / square), -axis @ (c.a - middle) / square])
            squares.append(square)
        self._capsule_forms = np.array([*forms, *along], np.float32).reshape(-1, 10)
        self._squares = _column(squares)
        self._radius = _column([c.radius_a for c in self.capsules])
        self._taper = _column([c.radius_b - c.radius_a for c in self.capsules])

    def each(self, points: np.ndarray) -> np.ndarray:
        """(3, N) points relative to `middle` to (shapes, N) signed distances, capsules first."""
        monomials = _quadratic(points)
        distances = np.empty((len(self.colours), points.shape[1]), np.float32)
        k = len(self.capsules)
        if k:
            forms = self._capsule_forms @ monomials
            apart, along = forms[:k], forms[k:]
            share = np.clip(along, 0, 1)
            # |p - a - s (b - a)|^2, expanded.
            apart += self._squares * share * (share - 2 * along)
            np.sqrt(np.maximum(apart, 0), out=distances[:k])
            distances[:k] -= self._radius + self._taper * share
        if self.ellipsoids:
            # Inigo Quilez's bound |q/r| (|q/r| - 1) / |q/r^2|: right in sign, and to first order near the surface.
            forms = np.maximum(self._ellipsoid_forms @ monomials, 1e-9)
            level, slope = forms[: len(self.ellipsoids)], forms[len(self.ellipsoids) :]
            np.sqrt(level, out=level)
            distances[k:] = level * (level - 1) / np.sqrt(slope)
        if len(self._clipped):
            cut = self._clips[:, :3] @ points + self._clips[:, 3:]
            distances[self._clipped] = np.maximum(distances[self._clipped], cut)
        return distances

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(3, N) points relative to `middle` to (N,) signed distances of the blended group."""
        distances = self.each(points)
        nearest = distances.min(axis=0)
        distances -= nearest
        distances *= -1 / self.group.blend
        np.exp(distances, out=distances)
        return nearest - self.group.blend * np.log(distances.sum(axis=0))

    def normals(self, points: np.ndarray) -> np.ndarray:
        """(3, N) unit outward normals at points relative to `middle`."""
        step = 4e-4
        corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
        gradient = sum(corner[:, None] * self(points + step * corner[:, None]) for corner in corners)
        return gradient / (np.linalg.norm(gradient, axis=0) + 1e-12)

    def albedo(self, points: np.ndarray) -> np.ndarray:
        """(3, N) linear colours of surface points relative to `middle`."""
        albedo = self.colours[self.each(points).argmin(axis=0)].T
        if not self.group.paint:
            return albedo
        levels, slopes = np.split(self._paint_forms @ _quadratic(points), 2)
        levels = np.sqrt(np.maximum(levels, 0))
        # Distance to the edge of the paint, over the 0.8 mm across which it fades.
        covers = np.clip((1 - levels) * levels / np.sqrt(np.maximum(slopes, 1e-9)) / 8e-4 + 0.5, 0, 1)
        for cover, paint in zip(covers, self.group.paint, strict=True):
            albedo = albedo + cover * (np.asarray(paint.colour, np.float32)[:, None] - albedo)
        return albedo
