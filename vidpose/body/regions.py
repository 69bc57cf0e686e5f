"""Where bodies are in a picture: each by its middle, and by a point on the circle that encloses it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Regions:
    """Regions of P people.

    Attributes:
        points: (P, 2, 2) pixels: of each the middle, then the point on the circle. For networks that turn what they
            look at upright, that point lies in the direction of the head.
    """

    points: np.ndarray

    def __len__(self) -> int:
        return len(self.points)

    @property
    def middles(self) -> np.ndarray:
        """(P, 2) pixels."""
        return self.points[:, 0]

    @property
    def radii(self) -> np.ndarray:
        """(P,) pixels."""
        return np.linalg.norm(self.points[:, 1] - self.points[:, 0], axis=1)

    def distances(self, others: Regions) -> np.ndarray:
        """(P, Q) how far middles are apart, as parts of the larger radius of the two."""
        apart = np.linalg.norm(self.middles[:, None] - others.middles, axis=-1)
        return apart / np.maximum(np.maximum(self.radii[:, None], others.radii), 1e-9)

    def away_from(self, others: Regions, distance: float) -> np.ndarray:
        """(P,) bool: those that are farther than that from all the others; see `distances`."""
        return np.all(self.distances(others) >= distance, axis=1)
