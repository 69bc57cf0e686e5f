"""Levenberg and Marquardt's method where a frame's unknowns meet only those of two frames before and after.

They meet in accelerations: each step's equations are a band (`vidpose.refine.block_band`).

Shape suffixes: N frames, U unknowns, R what moves, M = N - 2 accelerations.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from vidpose.refine.block_band import solve_block_band

_STEPS = 12
_ENOUGH = 1e-3
"""Relative decrease of the cost from which on further steps change nothing one sees."""

State = TypeVar("State")


class Problem(Protocol[State]):
    """A sum of squares over a stretch of time."""

    def cost(self, state: State) -> float:
        """What shall become least."""
        ...

    def normal_equations(self, state: State) -> tuple[list[np.ndarray], np.ndarray]:
        """The (N, U, U) blocks of each frame with itself, the next and the next but one; and (N, U) downhill."""
        ...

    def moved(self, state: State, change_NU: np.ndarray) -> State:
        """The state after a change of its unknowns."""
        ...


def descend(problem: Problem[State], state: State) -> State:
    """The state of least cost that lies downhill from one that is near."""
    cost, damping = problem.cost(state), 1e-4
    for _ in range(_STEPS):
        before, (blocks, downhill_NU) = cost, problem.normal_equations(state)
        while damping < 1e3:
            trial = problem.moved(state, _damped(blocks, downhill_NU, damping))
            trial_cost = problem.cost(trial)
            if trial_cost < cost:
                state, cost, damping = trial, trial_cost, damping / 10
                break
            damping *= 10
        if before - cost <= _ENOUGH * before:
            break
    return state


def _damped(blocks: list[np.ndarray], downhill_NU: np.ndarray, damping: float) -> np.ndarray:
    """(N, U) the damped step, by the normal equations' blocks on the diagonal and beside it."""
    own, diagonal = range(downhill_NU.shape[1]), blocks[0].copy()
    # What nothing is known about, such as the place of someone without keypoints, stays.
    diagonal[:, own, own] = diagonal[:, own, own] * (1 + damping) + 1e-6
    return solve_block_band([diagonal, *blocks[1:]], downhill_NU)


class Accelerations:
    """Second derivatives in time, as a part of such a sum.

    Attributes:
        seconds_N: that each frame stands for.
    """

    def __init__(self, times: np.ndarray):
        steps = np.diff(times)
        self.seconds_N = np.gradient(times) if len(steps) else np.ones(1)
        before, after = steps[:-1], steps[1:]
        self._span_M = (before + after) / 2
        # A second derivative is the divided difference of three neighbours.
        self._differences_3M = 2 * np.stack([1 / (before * (before + after)), -1 / (before * after),
                                             1 / (after * (before + after))])  # fmt: skip

    def of(self, moving_NR: np.ndarray) -> np.ndarray:
        """(M, R) second derivatives."""
        last = max(len(moving_NR) - 2, 0)
        return sum(self._differences_3M[i, :, None] * moving_NR[i : last + i] for i in range(3))

    def cost(self, moving_NR: np.ndarray) -> float:
        """The integral of their squares."""
        return float(self._span_M @ np.square(self.of(moving_NR)).sum(axis=1))

    def add(self, moving_NR: np.ndarray, by_NRU: np.ndarray, blocks: list[np.ndarray], downhill_NU: np.ndarray) -> None:
        """Add what they ask for to the normal equations.

        Args:
            moving_NR: what should accelerate little.
            by_NRU: its derivatives by the unknowns.
        """
        frames, last = len(moving_NR), max(len(moving_NR) - 2, 0)
        for apart in range(3):
            products = np.swapaxes(by_NRU[: frames - apart], 1, 2) @ by_NRU[apart:]
            for i in range(3 - apart):
                factor_M = self._span_M * self._differences_3M[i] * self._differences_3M[i + apart]
                blocks[apart][i : last + i] += factor_M[:, None, None] * products[i : last + i]
        pull_MR = self.of(moving_NR) * self._span_M[:, None]
        for i in range(3):
            pulled_M1U = (self._differences_3M[i, :, None] * pull_MR)[:, None] @ by_NRU[i : last + i]
            downhill_NU[i : last + i] -= pulled_M1U[:, 0]
