"""A person's shape: trunk, limbs, hands and shoes around the 17 joints, about 100 solids in 11 groups with the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.synth.frames import Frames, Limb, LocalFrame, frames
from vidpose.synth.head import STANDARD_CROWN, HairStyle, hair, head
from vidpose.synth.shapes import Capsule, Ellipsoid, Group, Plane, Shape


def linear(colour: str) -> np.ndarray:
    """A colour written #rrggbb in sRGB, as linear light (3,)."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True)
class Look:
    """What a person looks like. Colours are sRGB, #rrggbb.

    Attributes:
        hair_style: "short", "bob" or "bun".
        sleeve, legging: share of the arm and of the leg that clothes cover, from the shoulder and from the hip.
        girth: 1 for the usual thickness of trunk and limbs; hands and feet have one size.
    """

    skin: str = "#d9a07c"
    hair: str = "#4a2f1d"
    hair_style: HairStyle = "short"
    shirt: str = "#2f6fb5"
    stripe: str = "#f2efe6"
    trousers: str = "#39404f"
    shoes: str = "#c2452d"
    sleeve: float = 0.32
    legging: float = 1.0
    girth: float = 1.0


def body(joints: np.ndarray, look: Look) -> list[Group]:
    """The groups of shapes that make up one person.

    Args:
        joints: (17, 3) of `H36M_17`, world metres; they drive every shape.
        look: colours, clothes, hair.
    """
    parts = frames(joints)
    skin = linear(look.skin)
    groups = [_shirt(parts, look)]
    for arm in parts.arms:
        groups += [_arm(arm, skin, look.girth), _hand(arm, skin)]
    for leg in parts.legs:
        groups += [_trouser(parts, leg, look), _shoe(leg, linear(look.shoes))]
        if look.legging < 1:
            groups.append(_bare_leg(leg, skin, look.girth))
    scale = float(np.linalg.norm(parts.joints["head_top"] - parts.joints["thorax"])) / STANDARD_CROWN
    hair_colour = linear(look.hair)
    groups.append(head(parts.head, scale, parts.chest(0, -0.025, 0.01), skin, hair_colour))
    groups.append(hair(parts.head, scale, look.hair_style, hair_colour))
    return groups


def _length(limb: Limb) -> tuple[float, float]:
    """Lengths of the upper and the lower segment."""
    upper = np.linalg.norm(limb.upper.origin - limb.lower.origin)
    return float(upper), float(np.linalg.norm(limb.lower.origin - limb.end.origin))


def _along(limb: Limb, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The point at a share of the whole limb from the trunk, and the direction there, away from the trunk."""
    upper, lower = _length(limb)
    at = share * (upper + lower)
    if at <= upper:
        return limb.upper(0, 0, -at), -limb.upper.up
    return limb.lower(0, 0, upper - at), -limb.lower.up


def _cut(limb: Limb, share: float) -> Plane | None:
    """The hem of a sleeve or trouser leg that ends at a share of the limb; None where it covers all of it."""
    return Plane(*_along(limb, share)) if share < 1 else None


def _cover(limb: Limb, share: float, radii: tuple[float, float, float], colour: np.ndarray) -> list[Shape]:
    """A sleeve or trouser leg: radii at the trunk, at elbow or knee, and at wrist or ankle."""
    upper, lower = _length(limb)
    knee = upper / (upper + lower)
    joint, end = limb.lower.origin, limb.lower(0, 0, -lower)
    shapes: list[Shape] = [
        Capsule(limb.upper.origin, joint, radii[0], radii[1], colour, _cut(limb, share) if share <= knee else None)
    ]
    if share > knee:
        shapes.append(Capsule(joint, end, radii[1], radii[2], colour, _cut(limb, share)))
    return shapes


def _shirt(parts: Frames, look: Look) -> Group:
    colour, stripe, g = linear(look.shirt), linear(look.stripe), look.girth
    chest, pelvis = parts.chest, parts.pelvis
    breadth = float(np.linalg.norm(parts.arms[0].upper.origin - parts.arms[1].upper.origin)) / 0.35
    waist = LocalFrame(parts.joints["spine"], chest.axes)
    hem = Plane(pelvis(0, 0, -0.055), -pelvis.up)
    shapes: list[Shape] = [
        Ellipsoid(chest(0, 0.0, -0.165), chest.axes, (0.144 * breadth * g, 0.102 * g, 0.178), colour),
        Ellipsoid(chest(0, -0.035, -0.10), chest.axes, (0.140 * breadth * g, 0.070 * g, 0.125), colour),
        Ellipsoid(chest(0, -0.055, 0.025), chest.axes, (0.075, 0.036, 0.055), colour),
        Ellipsoid(waist(0, 0.004, 0.0), waist.axes, (0.143 * g, 0.102 * g, 0.16), colour),
        Ellipsoid(pelvis(0, -0.006, -0.01), pelvis.axes, (0.180 * g, 0.132 * g, 0.21), colour, hem),
    ]
    for arm in parts.arms:
        side, joint = arm.outward, arm.upper.origin
        shapes += [
            Ellipsoid(chest(0.066 * side, 0.066 * g, -0.115), chest.axes, (0.062, 0.032, 0.052), colour),
            Capsule(
                chest(0.042 * side, -0.028, 0.062), chest(0.130 * side * breadth, -0.012, 0.006), 0.033, 0.036, colour
            ),
            Capsule(chest(0.060 * side, 0.012, -0.035), joint - 0.03 * side * chest.right, 0.052, 0.046, colour),
            Ellipsoid(arm.upper(0, 0, -0.020), chest.axes, (0.046 * g, 0.050 * g, 0.050), colour),
            *_cover(arm, look.sleeve, (0.045 * g, 0.053 * g, 0.046 * g), colour),
        ]
    inf = float("inf")
    collar = _collar(chest)
    paint = (
        Ellipsoid(chest(0, 0, -0.225), chest.axes, (inf, inf, 0.022), stripe),
        Ellipsoid(chest(0, 0, -0.280), chest.axes, (inf, inf, 0.009), stripe),
        Ellipsoid(collar.origin, collar.axes, (0.074, 0.080, 0.045), stripe),
    )
    return Group(tuple(shapes), 0.016, paint)


def _collar(chest: LocalFrame) -> LocalFrame:
    """The neck's opening, which leans forward."""
    up = chest.direction(0, 0.35, 1)
    return LocalFrame(chest(0, 0.0, 0.035), np.column_stack([chest.right, np.cross(up, chest.right), up]))


def _arm(arm: Limb, skin: np.ndarray, girth: float) -> Group:
    upper, lower = _length(arm)
    up, low = arm.upper, arm.lower
    shapes = (
        Capsule(up.origin, low.origin, 0.038 * girth, 0.033 * girth, skin),
        Ellipsoid(up(0, 0.010, -0.5 * upper), up.axes, (0.032 * girth, 0.033 * girth, 0.085), skin),
        Ellipsoid(low(0, -0.010, 0.005), low.axes, (0.030, 0.030, 0.036), skin),
        Capsule(low.origin, low(0, 0, -lower), 0.035 * girth, 0.0225, skin),
        Ellipsoid(low(0.006 * arm.outward, 0.004, -0.26 * lower), low.axes, (0.036 * girth, 0.036 * girth, 0.07), skin),
        Ellipsoid(low(0, 0, -0.96 * lower), low.axes, (0.019, 0.026, 0.030), skin),
    )
    return Group(shapes, 0.008)


def _hand(arm: Limb, skin: np.ndarray) -> Group:
    """A relaxed hand: palm, four fingers of two segments, a thumb."""
    hand, inward = arm.end, -arm.outward
    shapes: list[Shape] = [
        Capsule(hand(0, 0, 0.01), hand(0, 0, -0.03), 0.020, 0.021, skin),
        Ellipsoid(hand(0, 0.002, -0.055), hand.axes, (0.0145, 0.038, 0.046), skin),
        Ellipsoid(hand(0.006 * inward, 0.022, -0.045), hand.axes, (0.014, 0.018, 0.030), skin),
    ]
    for place, length in ((0.028, 0.068), (0.0095, 0.076), (-0.0095, 0.072), (-0.027, 0.056)):
        root = hand(0, place, -0.090)
        middle = hand(0.010 * inward, 1.12 * place, -0.090 - 0.52 * length)
        tip = hand(0.030 * inward, 1.15 * place, -0.090 - 0.94 * length)
        shapes += [Capsule(root, middle, 0.0095, 0.0088, skin), Capsule(middle, tip, 0.0088, 0.0074, skin)]
    thumb = hand(0.012 * inward, 0.052, -0.062)
    shapes += [
        Capsule(hand(0.006 * inward, 0.026, -0.03), thumb, 0.0135, 0.0105, skin),
        Capsule(thumb, hand(0.018 * inward, 0.056, -0.096), 0.0105, 0.0085, skin),
    ]
    return Group(tuple(shapes), 0.0035)


def _trouser(parts: Frames, leg: Limb, look: Look) -> Group:
    """One leg and its side of the seat."""
    colour, g = linear(look.trousers), look.girth
    pelvis, side = parts.pelvis, leg.outward
    upper, lower = _length(leg)
    shapes: list[Shape] = [
        Ellipsoid(pelvis(0, 0.0, 0.03), pelvis.axes, (0.138 * g, 0.102 * g, 0.105), colour),
        Ellipsoid(pelvis(0.068 * side, -0.048, -0.035), pelvis.axes, (0.072 * g, 0.066 * g, 0.085), colour),
        Capsule(pelvis(0.075 * side, 0, 0.02), leg.upper(0, 0, -0.10), 0.064 * g, 0.072 * g, colour),
        Ellipsoid(leg.upper(0, 0.014, -0.38 * upper), leg.upper.axes, (0.066 * g, 0.066 * g, 0.17), colour),
        *_cover(leg, look.legging, (0.070 * g, 0.056 * g, 0.050), colour),
    ]
    if look.legging == 1:
        calf = leg.lower(0, -0.018, -0.30 * lower)
        shapes += [
            Ellipsoid(calf, leg.lower.axes, (0.046 * g, 0.046 * g, 0.12), colour),
            Ellipsoid(leg.lower(0, 0.014, 0), leg.lower.axes, (0.042, 0.042, 0.055), colour),
        ]
    return Group(tuple(shapes), 0.012)


def _bare_leg(leg: Limb, skin: np.ndarray, girth: float) -> Group:
    upper, lower = _length(leg)
    up, low = leg.upper, leg.lower
    shapes = (
        Capsule(up(0, 0, -0.4 * upper), low.origin, 0.058 * girth, 0.046 * girth, skin),
        Ellipsoid(low(0, 0.018, 0.005), low.axes, (0.036, 0.034, 0.045), skin),
        Capsule(low.origin, low(0, 0, -lower), 0.044 * girth, 0.030, skin),
        Ellipsoid(low(0, -0.020, -0.30 * lower), low.axes, (0.042 * girth, 0.043 * girth, 0.115), skin),
    )
    return Group(shapes, 0.012)


def _shoe(leg: Limb, colour: np.ndarray) -> Group:
    foot, white = leg.end, linear("#f4f1ea")
    sole = -0.062
    shapes = (
        Capsule(foot(0, -0.005, 0.045), foot(0, -0.012, -0.02), 0.040, 0.040, colour),
        Ellipsoid(foot(0, -0.030, -0.040), foot.axes, (0.036, 0.046, 0.042), colour),
        Capsule(foot(0, 0.0, -0.032), foot(0, 0.105, -0.048), 0.040, 0.032, colour),
        Ellipsoid(foot(0, 0.115, -0.052), foot.axes, (0.045, 0.075, 0.030), colour),
        Capsule(foot(0, -0.035, sole), foot(0, 0.15, sole), 0.022, 0.024, white),
    )
    inf = float("inf")
    paint = [Ellipsoid(foot(0, 0, -0.083), foot.axes, (inf, inf, 0.022), white)]
    for forward in (0.045, 0.065, 0.085):
        paint.append(Ellipsoid(foot(0, forward, 0.0), foot.axes, (0.022, 0.0042, 0.05), white))
    return Group(shapes, 0.010, tuple(paint), gloss=0.12, fine=True)
