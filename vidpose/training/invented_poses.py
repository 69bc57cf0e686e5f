"""Poses that nobody recorded: limbs of others, limbs as joints allow, bodies bent and turned over.

Everything is a function of a batch of windows and a random generator, on the generator's device.

Shape suffixes: B batch, T frames, J joints (H36M-17), D the 3 of a position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vidpose.body.skeletons import H36M_17
from vidpose.datasets.imitated_detector import ARMS, LEFT_HIP, LEGS, RIGHT_HIP, THORAX, body_frame, chance, normal

SPINE = H36M_17.index("spine")
_R_SHOULDER, _L_SHOULDER = H36M_17.index("right_shoulder"), H36M_17.index("left_shoulder")
_ALL = tuple(range(len(H36M_17)))

# What a bend turns about its own root, and the standard deviation of the rotation in degrees.
_BENDS: tuple[tuple[tuple[int, ...], float], ...] = (
    (_ALL, 8.0),
    (tuple(i for i in _ALL if i >= SPINE), 12.0),
    (ARMS[:2], 25.0),
    (ARMS[2:], 25.0),
    (LEGS[:2], 15.0),
    (LEGS[2:], 15.0),
)


@dataclass(frozen=True)
class _Limits:
    """Degrees that the joints of a limb reach: forward, outward, turned about itself, and the bend of its middle.

    The American Academy of Orthopaedic Surgeons' ranges, "Joint motion: method of measuring and recording" (1965), a
    little narrower where they only go together with movement of the trunk.
    """

    forward: tuple[float, float]
    outward: tuple[float, float]
    turned: tuple[float, float]
    bend: tuple[float, float]


_LEG = _Limits((-25, 115), (-15, 45), (-40, 40), (0, 140))
_ARM = _Limits((-50, 170), (-20, 120), (-80, 80), (0, 145))


def pelvis_frame(bones_BTJD: torch.Tensor) -> torch.Tensor:
    """(B, T, 3, 3) whose columns point to the left, up and to the front."""
    return body_frame(bones_BTJD[:, :, LEFT_HIP] - bones_BTJD[:, :, RIGHT_HIP], bones_BTJD[:, :, SPINE])


def chest_frame(bones_BTJD: torch.Tensor) -> torch.Tensor:
    """As `pelvis_frame`, of the chest."""
    return body_frame(bones_BTJD[:, :, _L_SHOULDER] - bones_BTJD[:, :, _R_SHOULDER], bones_BTJD[:, :, THORAX])


def borrow_limbs(bones_BTJD: torch.Tensor, together: float, alone: float, g: torch.Generator) -> torch.Tensor:
    """Limbs of other windows of the batch, as they lie to the body there.

    Args:
        bones_BTJD: from each joint's parent to it.
        together: probability that both legs, and that both arms, are another's.
        alone: probability of each limb for itself.
    """
    bones_BTJD = bones_BTJD.clone()
    apart = 0
    for limbs, frame_BTDD in ((LEGS, pelvis_frame(bones_BTJD)), (ARMS, chest_frame(bones_BTJD))):
        for part, probability in ((limbs, together), (limbs[:2], alone), (limbs[2:], alone)):
            apart += 1
            turn = frame_BTDD @ frame_BTDD.roll(apart, dims=0).transpose(-1, -2)
            borrowed = torch.einsum("btij,btlj->btli", turn, bones_BTJD[:, :, part].roll(apart, dims=0))
            taken_B = chance((len(bones_BTJD),), probability, g)
            bones_BTJD[:, :, part] = torch.where(taken_B[:, None, None, None], borrowed, bones_BTJD[:, :, part])
    return bones_BTJD


def invent_limbs(bones_BTJD: torch.Tensor, probability: float, g: torch.Generator) -> torch.Tensor:
    """Each limb, with some probability, as it could be held: angles drawn within limits, that change a little.

    Args:
        bones_BTJD: from each joint's parent to it.
    """
    bones_BTJD = bones_BTJD.clone()
    for limbs, limits, frame_BTDD, folds in (
        (LEGS, _LEG, pelvis_frame(bones_BTJD), 1.0), (ARMS, _ARM, chest_frame(bones_BTJD), -1.0),
    ):  # fmt: skip
        for (upper, lower), left in ((limbs[:2], -1.0), (limbs[2:], 1.0)):
            directions = _limb(bones_BTJD.shape[:2], limits, left, folds, g)
            taken_B11 = chance((len(bones_BTJD), 1, 1), probability, g)
            for bone, direction_BTD in zip((upper, lower), directions, strict=True):
                old_BTD = bones_BTJD[:, :, bone]
                new_BTD = torch.einsum("btij,btj->bti", frame_BTDD, direction_BTD)
                bones_BTJD[:, :, bone] = torch.where(taken_B11, new_BTD * old_BTD.norm(dim=-1, keepdim=True), old_BTD)
    return bones_BTJD


def _limb(
    shape: torch.Size, limits: _Limits, left: float, folds: float, g: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T, 3) directions of a limb's two bones in the frame of the body.

    Args:
        left: 1 of a left limb, -1 of a right one.
        folds: 1 where the lower bone folds to the back, as the shin does, -1 where to the front.
    """
    batch, frames = shape
    passed_T = torch.linspace(-0.5, 0.5, frames, device=g.device) if frames > 1 else torch.zeros(1, device=g.device)

    def angle(low: float, high: float) -> torch.Tensor:
        """(B, T) radians: anywhere between, turning by some 30 degrees in the window, back from the limit."""
        middle_B1 = torch.empty((batch, 1), device=g.device).uniform_(low, high, generator=g)
        degrees_BT = middle_B1 + 30 * normal((batch, 1), g) * passed_T
        span = high - low
        folded_BT = (degrees_BT - low).remainder(2 * span)
        return torch.deg2rad(low + torch.minimum(folded_BT, 2 * span - folded_BT))

    forward, outward, turned, bend = (
        angle(*range_) for range_ in (limits.forward, limits.outward, limits.turned, limits.bend)
    )
    outward = left * outward
    zero = torch.zeros_like(forward)
    upper = torch.stack(
        [forward.cos() * outward.sin(), -forward.cos() * outward.cos(), forward.sin()], dim=-1
    )  # hangs down at zero
    hinge = torch.stack([outward.cos(), outward.sin(), zero], dim=-1)
    turned = (left * turned)[..., None]
    hinge = hinge * turned.cos() + torch.linalg.cross(upper, hinge) * turned.sin()
    bend = (folds * bend)[..., None]
    return upper, upper * bend.cos() + torch.linalg.cross(hinge, upper) * bend.sin()


def fold_legs(bones_BTJD: torch.Tensor, together: float, alone: float, g: torch.Generator) -> torch.Tensor:
    """Hips and knees that bend further: both about as far, as in balancing, landing or a squat; or one leg's.

    Without such bodies a lifter takes short legs for a steep look down on straight ones. Of both legs, the ankles stay
    about below the hips. Bends are the same throughout a window, and come on top of what it has.

    Args:
        bones_BTJD: from each joint's parent to it.
        together, alone: probability of both legs, and of each leg for itself.
    """
    if not together and not alone:
        return bones_BTJD
    batch, device = len(bones_BTJD), bones_BTJD.device

    def anywhere(low: float, high: float) -> torch.Tensor:
        return torch.empty(batch, device=device).uniform_(low, high, generator=g)

    to_left_BT3 = pelvis_frame(bones_BTJD)[..., 0]

    def turned(bones_BTLD: torch.Tensor, radians_BT: torch.Tensor) -> torch.Tensor:
        turns = rotation_of((to_left_BT3 * radians_BT[..., None]).flatten(0, 1)).unflatten(0, to_left_BT3.shape[:2])
        return torch.einsum("btij,btlj->btli", turns, bones_BTLD)

    folded = bones_BTJD.clone()

    def fold(leg: list[int], degrees_B: torch.Tensor, of_hip_B: torch.Tensor) -> None:
        thigh_BTD, shin_BTD = torch.nn.functional.normalize(folded[:, :, leg], dim=-1).unbind(2)
        room_BT = math.radians(_LEG.bend[1]) - (thigh_BTD * shin_BTD).sum(-1).clamp(-1, 1).acos()
        bend_BT = torch.minimum(torch.deg2rad(degrees_B)[:, None], room_BT).clamp_min(0)
        folded[:, :, leg[:1]] = turned(folded[:, :, leg[:1]], -bend_BT * of_hip_B[:, None])
        folded[:, :, leg[1:]] = turned(folded[:, :, leg[1:]], bend_BT * (1 - of_hip_B[:, None]))

    crouches_B, bend_B, of_hips_B = chance((batch,), together, g), anywhere(0, _CROUCHED), anywhere(0.35, 0.65)
    for leg in (list(LEGS[:2]), list(LEGS[2:])):
        fold(leg, (bend_B + 10 * normal((batch,), g)) * crouches_B, of_hips_B)
        fold(leg, anywhere(0, _FOLDED) * chance((batch,), alone, g), anywhere(0.2, 0.8))
    lean_B = torch.deg2rad(anywhere(0, _LEANT)) * (crouches_B & chance((batch,), 0.6, g))
    folded[:, :, SPINE:] = turned(bones_BTJD[:, :, SPINE:], lean_B[:, None].expand(bones_BTJD.shape[:2]))
    return folded


_CROUCHED, _FOLDED, _LEANT = 85.0, 100.0, 25.0
"""Degrees, at most: what crouching adds to both knees, what one leg adds to its own, and how far the trunk then leans
forward."""


def bend_bodies(bones_BTJD: torch.Tensor, probability: float, factor: float, spread: float, g: torch.Generator):
    """Bodies, trunks and limbs turned by random rotations, each with some probability, the same throughout a window."""
    bones_BTJD, batch = bones_BTJD.clone(), len(bones_BTJD)
    for limbs, degrees in _BENDS:
        chosen_B1 = chance((batch, 1), probability, g)
        size_B1 = degrees * factor * torch.exp(spread * normal((batch, 1), g))
        turn_BDD = rotation_of(torch.deg2rad(size_B1 * normal((batch, 3), g)) * chosen_B1)
        bones_BTJD[:, :, limbs] = torch.einsum("bij,btlj->btli", turn_BDD, bones_BTJD[:, :, limbs])
    return bones_BTJD


def turn_over(bones_BTJD: torch.Tensor, probability: float, g: torch.Generator) -> torch.Tensor:
    """Some bodies turned any way, the same throughout a window: lying, crawling, upside down."""
    batch = len(bones_BTJD)
    # The direction of a normal vector is uniform, and so is a quaternion's.
    quaternion_B4 = torch.nn.functional.normalize(normal((batch, 4), g), dim=-1)
    axis_B3 = torch.nn.functional.normalize(quaternion_B4[:, 1:], dim=-1)
    angle_B1 = 2 * torch.atan2(quaternion_B4[:, 1:].norm(dim=-1, keepdim=True), quaternion_B4[:, :1])
    chosen_B1 = chance((batch, 1), probability, g)
    return torch.einsum("bij,btlj->btli", rotation_of(axis_B3 * angle_B1 * chosen_B1), bones_BTJD)


def rotation_of(vector_B3: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) rotations about the vectors, by their lengths in radians (Rodrigues)."""
    angle_B11 = vector_B3.norm(dim=-1)[:, None, None].clamp_min(1e-9)
    x, y, z = (vector_B3 / angle_B11[..., 0]).unbind(-1)
    zero = torch.zeros_like(x)
    cross_BDD = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    identity = torch.eye(3, device=vector_B3.device)
    return identity + angle_B11.sin() * cross_BDD + (1 - angle_B11.cos()) * cross_BDD @ cross_BDD


def ray_turns(points_BTD: torch.Tensor) -> torch.Tensor:
    """(B, T, 3, 3) the shortest rotations from the optical axis to the rays through points in front of the camera."""
    ray = torch.nn.functional.normalize(points_BTD, dim=-1)
    x, y, z = ray.unbind(-1)
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
