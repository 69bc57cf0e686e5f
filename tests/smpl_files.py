"""The arrays of a made-up body of SMPL's kind: the real ones have a licence of their own."""

import numpy as np

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

LEFT = {
    0: (0, 0, 0), 3: (0, 0.1, 0), 6: (0, 0.23, 0), 9: (0, 0.29, 0.02), 12: (0, 0.5, -0.02), 15: (0, 0.58, 0.03),
    1: (0.09, -0.08, 0), 4: (0.1, -0.46, 0), 7: (0.1, -0.87, -0.03), 10: (0.1, -0.92, 0.1), 13: (0.08, 0.4, -0.02),
    16: (0.18, 0.42, -0.02), 18: (0.44, 0.41, -0.04), 20: (0.69, 0.41, -0.04), 22: (0.77, 0.41, -0.04),
}  # fmt: skip
"""Metres of heads in the middle and on the left; each on the right has the next number."""


def arrays() -> dict[str, np.ndarray]:
    """A body whose vertices are small octahedra around 24 heads, and whose first beta makes it taller."""
    heads = np.zeros((24, 3))
    for bone, place in LEFT.items():
        heads[bone] = place
        if place[0]:
            heads[bone + 1] = np.multiply(place, (-1, 1, 1))
    corners = np.concatenate([np.eye(3), -np.eye(3)]) * 0.04
    faces = np.array([[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]])
    vertices = (heads[:, None] + corners).reshape(-1, 3)
    directions = np.random.default_rng(3).normal(0, 0.003, (len(vertices), 3, 12))
    directions[..., 0] = 0.04 * vertices
    owners = np.repeat(np.eye(24), 6, axis=0)
    return {
        "v_template": vertices, "shapedirs": directions, "weights": owners, "J_regressor": owners.T / 6,
        "kintree_table": np.array([(2**32 - 1, *PARENTS[1:]), range(24)], np.uint32),
        "f": (np.arange(24)[:, None, None] * 6 + faces).reshape(-1, 3).astype(np.uint32),
    }  # fmt: skip
