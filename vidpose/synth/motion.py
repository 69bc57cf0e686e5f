"""Procedural motion: ways to stand and go, and actions laid over them, as functions of time.

A gait (`Stand`, `Walk`, `SideStep`) gives the controls of a whole figure; actions (`Wave`, `Squat`, ...) change some of
them for a while. Nothing is random: unrest comes from slow sines whose phases differ with `seed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vidpose.synth.figure import LEFT, OUTWARD, RIGHT, Controls, Size, pose


class Gait(Protocol):
    """Where a person is and how the feet move."""

    def __call__(self, times: np.ndarray, size: Size) -> Controls: ...


class Action(Protocol):
    """Something done while standing or going; changes the controls it is given."""

    def __call__(self, controls: Controls, times: np.ndarray, size: Size) -> None: ...


@dataclass(frozen=True)
class ProceduralMotion:
    """What one person does.

    Attributes:
        gait: where the person is and how the feet move.
        actions: what is done meanwhile, applied in this order.
        size: lengths of the bones.
        seed: two people with different seeds sway differently.
    """

    gait: Gait
    actions: tuple[Action, ...] = ()
    size: Size = field(default_factory=Size)
    seed: int = 0

    def joints(self, times: np.ndarray) -> np.ndarray:
        """Joints (N, 17, 3) float64 of `H36M_17`, world metres, at N times in seconds."""
        controls = self.gait(times, self.size)
        for action in self.actions:
            action(controls, times, self.size)
        _sway(controls, times, self.seed)
        return pose(controls, self.size)


def _smooth(x: np.ndarray) -> np.ndarray:
    """From 0 at x = 0 to 1 at x = 1 with no speed and no acceleration at either end; constant outside."""
    x = np.clip(x, 0.0, 1.0)
    return x**3 * (10 - 15 * x + 6 * x**2)


def _during(times: np.ndarray, start: float, length: float, ramp: float) -> np.ndarray:
    """(N,) 1 from `start` to `start + length`, 0 outside, with ramps of `ramp` seconds inside both ends."""
    return _smooth((times - start) / ramp) * _smooth((start + length - times) / ramp)


def _blend(values: np.ndarray, goal: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N, D) values moved towards a goal (D,) or (N, D) by a weight (N,)."""
    return values + weight[:, None] * (goal - values)


def _sway(controls: Controls, times: np.ndarray, seed: int) -> None:
    """The small unrest of a living body: breath, balance, and arms that are never quite still."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 12)

    def unrest(i: int, hertz: float, size: float) -> np.ndarray:
        return size * np.sin(2 * np.pi * hertz * times + phases[i])

    controls.trunk[:, 0] += unrest(0, 0.27, 0.012) + unrest(1, 0.71, 0.006)
    controls.trunk[:, 1] += unrest(2, 0.23, 0.012)
    controls.head[:, 0] += unrest(3, 0.31, 0.03)
    controls.head[:, 1] += unrest(4, 0.19, 0.025)
    controls.head[:, 2] += unrest(5, 0.37, 0.06) + unrest(6, 0.83, 0.02)
    for side in (LEFT, RIGHT):
        controls.arms[:, side, 0] += unrest(7 + side, 0.43, 0.025)
        controls.arms[:, side, 3] += unrest(9 + side, 0.53, 0.03)
    controls.pelvis[:, :2] += unrest(11, 0.29, 0.004)[:, None]


@dataclass(frozen=True)
class Stand(Gait):
    """On one spot, feet apart by `width` metres."""

    place: tuple[float, float]
    facing: float
    width: float = 0.24

    def __call__(self, times: np.ndarray, size: Size) -> Controls:
        controls = Controls.neutral(len(times))
        controls.facing[:] = self.facing
        # The knees bend by six degrees, as people's do who stand at ease.
        controls.pelvis[:] = (*self.place, size.ankle + 0.9983 * size.leg)
        for side in (LEFT, RIGHT):
            controls.ankles[:, side] = (*self.place, size.ankle)
            controls.ankles[:, side] += OUTWARD[side] * self.width / 2 * controls.rightward
        return controls


@dataclass(frozen=True)
class SideStep(Gait):
    """Steps of `width` metres to the right and back to the left again, every `period` seconds, for `length` seconds."""

    place: tuple[float, float]
    facing: float
    width: float = 0.42
    period: float = 2.4
    length: float = float("inf")

    def __call__(self, times: np.ndarray, size: Size) -> Controls:
        controls = Stand(self.place, self.facing)(times, size)
        cycle = np.where(times < self.length, times / self.period % 1, 0.0)
        # The right foot leads to the right and follows to the left.
        leaves, returns = {RIGHT: 0.0, LEFT: 0.27}, {RIGHT: 0.77, LEFT: 0.5}
        for side in (LEFT, RIGHT):
            out, back = (cycle - leaves[side]) / 0.23, (cycle - returns[side]) / 0.23
            controls.ankles[:, side] += (self.width * (_smooth(out) - _smooth(back)))[:, None] * controls.rightward
            controls.ankles[:, side, 2] += 0.07 * (_bump(out) + _bump(back))
            controls.arms[:, side, 1] += 0.3 * _bump(cycle) + 0.15 * _bump(out)
            controls.arms[:, side, 3] += 0.5 * _bump(cycle)
        swing = 2 * np.pi * cycle
        controls.pelvis += (self.width * (1 - np.cos(swing)) / 2)[:, None] * controls.rightward
        controls.pelvis[:, 2] -= 0.02 * (1 - np.cos(2 * swing))
        controls.tilt[:, 1] += 0.05 * np.sin(swing)
        controls.trunk[:, 1] -= 0.09 * np.sin(swing)
        return controls


def _bump(x: np.ndarray) -> np.ndarray:
    """0 at x = 0 and x = 1, 1 halfway, smooth; 0 outside."""
    return np.sin(np.pi * np.clip(x, 0.0, 1.0)) ** 2


@dataclass(frozen=True)
class Walk(Gait):
    """Along an arc of a circle; a large radius is nearly a straight line.

    Attributes:
        centre, radius: of the circle, metres.
        start: angle of the place at time 0 as seen from the centre, anticlockwise from the world's x axis.
        turn: +1 to go round anticlockwise, -1 clockwise.
        speed: metres a second.
        cycle: seconds of two steps.
        phase: share of a cycle by which this walk is ahead.
    """

    centre: tuple[float, float]
    radius: float
    start: float
    turn: int = 1
    speed: float = 0.9
    cycle: float = 1.12
    phase: float = 0.0

    _STANCE = 0.60  # share of a cycle in which a foot stands

    def _at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places on the path (N, 3) with z = 0, and headings (N,)."""
        angle = self.start + self.turn * self.speed * times / self.radius
        x, y = self.radius * np.cos(angle) + self.centre[0], self.radius * np.sin(angle) + self.centre[1]
        return np.stack([x, y, np.zeros_like(x)], axis=-1), angle + self.turn * np.pi / 2

    def _foothold(self, step: np.ndarray, side: int, size: Size) -> np.ndarray:
        """(N, 3) where the ankle of a side stands in its nth step: beside the body's place at the middle of it."""
        middle = (step + self._STANCE / 2 - self.phase - 0.5 * side) * self.cycle
        place, heading = self._at(middle)
        rightward = np.stack([np.sin(heading), -np.cos(heading), np.zeros_like(heading)], axis=-1)
        return place + OUTWARD[side] * 0.9 * size.hip * rightward + (0, 0, size.ankle)

    def _ankle(self, cycles: np.ndarray, side: int, size: Size) -> np.ndarray:
        """(N, 3) ankle of a side; `cycles` counts its steps since the first one touched the floor."""
        step, share = np.floor(cycles), cycles % 1
        swing = _smooth((share - 0.52) / 0.48)[:, None]
        ankle = (1 - swing) * self._foothold(step, side, size) + swing * self._foothold(step + 1, side, size)
        # The heel rises while the toes still push, highest just after they leave the floor.
        ankle[:, 2] += 0.12 * _bump((share - 0.40) / 0.52) ** 0.8 + 0.025 * _bump((share - 0.78) / 0.22)
        return ankle

    def __call__(self, times: np.ndarray, size: Size) -> Controls:
        controls = Controls.neutral(len(times))
        place, controls.facing = self._at(times)
        cycles = times / self.cycle + self.phase
        # Both legs pass each other, and the body is highest, in the middle of each stance.
        wave = 2 * np.pi * (cycles - self._STANCE / 2)
        right_stance = -np.cos(wave)
        controls.pelvis = place + (0.02 * right_stance)[:, None] * controls.rightward
        # Of a stride of usual length the knees bend by some ten degrees where the heel lands and in mid-stance.
        controls.pelvis[:, 2] = size.ankle + 0.982 * size.leg + 0.012 * np.cos(2 * wave)
        for side in (LEFT, RIGHT):
            controls.ankles[:, side] = self._ankle(cycles + 0.5 * side, side, size)
        # A foot is foremost a fifth of a cycle before the middle of its stance; the arm of its side is then hindmost.
        right_leads = -np.cos(wave + 0.42 * np.pi)
        stride = min(self.speed * self.cycle / 1.3, 1.0)
        controls.tilt += np.stack([0 * wave + 0.03, 0.04 * right_stance, 0.09 * stride * right_leads], axis=-1)
        controls.trunk += np.stack([0.02 + 0.015 * np.cos(2 * wave), -0.05 * right_stance,
                                    -0.17 * stride * right_leads], axis=-1)  # fmt: skip
        controls.head[:, 2] = 0.07 * stride * right_leads
        for side in (LEFT, RIGHT):
            forward = right_leads * (1 if side == LEFT else -1)
            controls.arms[:, side, 0] = 0.02 + 0.42 * stride * forward
            controls.arms[:, side, 3] = 0.42 + 0.24 * stride * forward
        return controls


@dataclass(frozen=True)
class Wave(Action):
    """A raised hand that waves."""

    start: float
    length: float
    side: int = RIGHT
    hertz: float = 1.5

    def __call__(self, controls: Controls, times: np.ndarray, size: Size) -> None:
        weight = _during(times, self.start, self.length, 0.7)
        beat = np.sin(2 * np.pi * self.hertz * (times - self.start))
        still = np.ones_like(times)
        raised = np.stack([0.25 * still, 1.35 + 0.06 * beat, -1.45 * still, 1.45 + 0.42 * beat], axis=-1)
        controls.arms[:, self.side] = _blend(controls.arms[:, self.side], raised, weight)
        lean = weight * OUTWARD[self.side]
        controls.trunk[:, 1] -= lean * (0.07 + 0.02 * beat)
        controls.head[:, 1] -= 0.06 * lean


@dataclass(frozen=True)
class Squat(Action):
    """Squats, one after another, arms stretched to the front."""

    start: float
    length: float
    count: int = 1
    depth: float = 0.36

    def __call__(self, controls: Controls, times: np.ndarray, size: Size) -> None:
        low = _bump(((times - self.start) / self.length % (1 / self.count)) * self.count)
        low = np.where((times > self.start) & (times < self.start + self.length), low, 0.0)
        controls.pelvis[:, 2] -= self.depth * size.leg / 0.85 * low
        controls.pelvis -= (0.13 * low)[:, None] * controls.forward
        controls.tilt[:, 0] += 0.38 * low
        controls.trunk[:, 0] += 0.25 * low
        controls.head[:, 0] -= 0.42 * low
        controls.knees += (0.25 * low)[:, None]
        for side in (LEFT, RIGHT):
            controls.arms[:, side] = _blend(controls.arms[:, side], np.array([1.75, 0.12, 0.1, 0.15]), low)


@dataclass(frozen=True)
class Bend(Action):
    """A bend to one side, the other arm over the head."""

    start: float
    length: float
    side: int = RIGHT

    def __call__(self, controls: Controls, times: np.ndarray, size: Size) -> None:
        weight = _during(times, self.start, self.length, 0.45 * self.length)
        sideways = OUTWARD[self.side] * weight
        controls.pelvis -= (0.06 * sideways)[:, None] * controls.rightward
        # The hip that the pelvis' tilt lifts stays over its foot.
        controls.pelvis[:, 2] -= 0.008 * weight
        controls.tilt[:, 1] += 0.10 * sideways
        controls.trunk[:, 1] += 0.52 * sideways
        controls.head[:, 1] += 0.15 * sideways
        over, down = 1 - self.side, self.side
        controls.arms[:, over] = _blend(controls.arms[:, over], np.array([0.15, 2.55, -0.8, 0.75]), weight)
        controls.arms[:, down] = _blend(controls.arms[:, down], np.array([0.0, 0.25, 0.3, 0.25]), weight)


@dataclass(frozen=True)
class Punch(Action):
    """Both fists up, and straight punches in turn, the given side first."""

    start: float
    length: float
    side: int = LEFT
    count: int = 3

    def __call__(self, controls: Controls, times: np.ndarray, size: Size) -> None:
        weight = _during(times, self.start, self.length, 0.5)
        controls.pelvis[:, 2] -= 0.02 * weight
        guard, straight = np.array([0.55, 0.22, 0.35, 2.15]), np.array([1.5, 0.05, 0.25, 0.12])
        beat = (self.length - 0.9) / self.count
        reach = {LEFT: np.zeros_like(times), RIGHT: np.zeros_like(times)}
        for i in range(self.count):
            reach[(self.side + i) % 2] += _bump((times - self.start - 0.45 - i * beat) / beat)
        for side in (LEFT, RIGHT):
            goal = guard + reach[side][:, None] * (straight - guard)
            controls.arms[:, side] = _blend(controls.arms[:, side], goal, weight)
            # The shoulder follows the fist: a right punch turns the chest to the left.
            controls.trunk[:, 2] += OUTWARD[side] * 0.42 * weight * reach[side]
            controls.tilt[:, 2] += OUTWARD[side] * 0.15 * weight * reach[side]
            controls.head[:, 2] -= OUTWARD[side] * 0.45 * weight * reach[side]


@dataclass(frozen=True)
class Kick(Action):
    """A kick to the front, the weight on the other leg."""

    start: float
    length: float
    side: int = RIGHT

    def __call__(self, controls: Controls, times: np.ndarray, size: Size) -> None:
        shift = _during(times, self.start, self.length, 0.3 * self.length)
        share = (times - self.start) / self.length
        chamber, snap = _bump((share - 0.15) / 0.70), _bump((share - 0.30) / 0.40)
        other, outward = 1 - self.side, OUTWARD[self.side]
        stand = controls.ankles[:, other]
        across = ((stand - controls.pelvis) * controls.rightward).sum(-1)
        controls.pelvis += (0.85 * shift * across)[:, None] * controls.rightward
        controls.pelvis[:, 2] -= 0.02 * shift
        foot = controls.ankles[:, self.side]
        foot += (0.62 * snap - 0.10 * chamber * (1 - snap))[:, None] * controls.forward
        foot[:, 2] += 0.30 * chamber + 0.32 * snap
        controls.tilt[:, 0] -= 0.22 * snap
        controls.trunk[:, 0] += 0.12 * snap
        controls.trunk[:, 2] += outward * 0.12 * snap
        controls.arms[:, other] = _blend(controls.arms[:, other], np.array([0.7, 0.3, 0.3, 1.3]), shift)
        controls.arms[:, self.side] = _blend(controls.arms[:, self.side], np.array([-0.25, 0.55, 0.0, 0.8]), shift)
