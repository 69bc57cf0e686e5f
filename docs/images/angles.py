"""Draws angles.png, the conventions of `vidpose.body.joint_angles`: python docs/images/angles.py

Every body is a pose in 3D, and the degrees beside it are what `joint_angles` says of it.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from scipy.spatial.transform import Rotation

from vidpose.body.joint_angles import joint_angles
from vidpose.body.skeletons import BLAZEPOSE_33 as LAYOUT
from vidpose.evaluation.figures import RIGHT, figure_file

SIDE = {
    "hip": (0.12, 0, 0), "knee": (0.12, 0, -0.45), "ankle": (0.12, 0, -0.9), "heel": (0.12, -0.05, -0.97),
    "foot_index": (0.12, 0.17, -0.97), "shoulder": (0.2, 0, 0.5), "elbow": (0.2, 0, 0.2), "wrist": (0.2, 0, -0.05),
}  # fmt: skip
"""Metres to the right, forward and up of a standing body."""

LEGS = ("hip", "knee", "ankle", "heel", "foot_index")
ARMS = ("shoulder", "elbow", "wrist")
BONES = (*pairwise(LEGS), *pairwise(ARMS))

BODY = "0.74"
RADIUS = 0.27

ZERO = {"above": np.array([0, 1.0]), "below": np.array([0, -1.0]), "ahead": np.array([1.0, 0])}

RIGHTWARDS, FORWARDS = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])

# The angle; how the pose is made of the standing one: joint, joints that it moves, axis, degrees; from where it is
# seen; the joint at the middle of the arc, what it starts from (a direction, or the joint that the limb would point
# away from) and the joint that it ends at.
PANELS = (
    ("right_knee_flexion", ("knee", LEGS[2:], RIGHTWARDS, -75), "side", "knee", "hip", "ankle"),
    ("right_hip_flexion", ("hip", LEGS[1:], RIGHTWARDS, 45), "side", "hip", "below", "knee"),
    ("right_hip_abduction", ("hip", LEGS[1:], FORWARDS, -30), "front", "hip", "below", "knee"),
    ("right_ankle_flexion", ("ankle", LEGS[3:], RIGHTWARDS, 20), "side", "heel", "ahead", "foot_index"),
    ("right_elbow_flexion", ("elbow", ARMS[2:], RIGHTWARDS, 80), "side", "elbow", "shoulder", "wrist"),
    ("right_shoulder_flexion", ("shoulder", ARMS[1:], RIGHTWARDS, 70), "side", "shoulder", "below", "elbow"),
    ("right_shoulder_abduction", ("shoulder", ARMS[1:], FORWARDS, -60), "front", "shoulder", "below", "elbow"),
    ("trunk_lean_forward", ("trunk", ARMS, RIGHTWARDS, -30), "side", "hip", "above", "shoulder"),
)


def posed(joint: str, moved: tuple[str, ...], axis: np.ndarray, degrees: float) -> dict[str, np.ndarray]:
    """Joints by name; the right side is turned, and both where it is the trunk."""
    at = {f"{side}_{part}": np.array(place) * (mirror, 1, 1)
          for part, place in SIDE.items() for side, mirror in (("left", -1), ("right", 1))}  # fmt: skip
    turn = Rotation.from_rotvec(np.radians(degrees) * axis)
    sides, pivot = (("left", "right"), np.zeros(3)) if joint == "trunk" else (("right",), at[f"right_{joint}"])
    for name in (f"{side}_{part}" for side in sides for part in moved):
        at[name] = pivot + turn.apply(at[name] - pivot)
    return at


def draw(axes: Axes, name: str, turn: tuple, seen_from: str, middle: str, start: str, end: str) -> None:
    at = posed(*turn)
    joints = np.array([[at.get(joint, (np.nan,) * 3) for joint in LAYOUT.joints]])
    degrees = float(joint_angles(joints, LAYOUT, np.array([0, 0, 1.0]))[name][0])
    # From the side the body faces right; from the front it faces us, so that its right is on our left.
    plane = np.array([[0, 1, 0], [0, 0, 1]] if seen_from == "side" else [[-1, 0, 0], [0, 0, 1]])
    flat = {joint: plane @ place for joint, place in at.items()}

    hips, neck = (np.mean([flat[f"left_{part}"], flat[f"right_{part}"]], axis=0) for part in ("hip", "shoulder"))
    head = neck + 0.26 * (neck - hips) / np.linalg.norm(neck - hips)
    trunk = RIGHT if turn[0] == "trunk" else BODY
    line(axes, hips, neck, trunk, order=2)
    line(axes, neck, head, BODY)
    axes.scatter(*head, s=260, color=BODY, zorder=3)
    for part in ("hip", "shoulder"):
        line(axes, flat[f"left_{part}"], flat[f"right_{part}"], BODY)
    for one, other in BONES:
        line(axes, flat[f"left_{one}"], flat[f"left_{other}"], BODY)
        measured = turn[0] != "trunk" and other in turn[1]
        line(
            axes, flat[f"right_{one}"], flat[f"right_{other}"], RIGHT if measured else BODY, order=2 if measured else 1
        )
    draw_arc(axes, degrees, flat[f"right_{middle}"], flat[f"right_{end}"], ZERO.get(start, flat[f"right_{middle}"]
             - flat.get(f"right_{start}", 0)))  # fmt: skip
    axes.set_title(name.removeprefix("right_").replace("_", " "))
    axes.set_xlim(-0.88, 0.88)
    axes.set_ylim(-1.06, 0.98)
    axes.set_aspect("equal")
    axes.set_axis_off()


def line(axes: Axes, start: np.ndarray, end: np.ndarray, colour: str, order: int = 1) -> None:
    axes.plot(*np.array([start, end]).T, color=colour, linewidth=3.5, solid_capstyle="round", zorder=order)


def draw_arc(axes: Axes, degrees: float, pivot: np.ndarray, end: np.ndarray, zero: np.ndarray) -> None:
    """The way from where the angle is zero, dashed, to where the limb is."""
    zero, limb = zero / np.linalg.norm(zero), (end - pivot) / np.linalg.norm(end - pivot)
    axes.plot(
        *np.array([pivot, pivot + 1.3 * RADIUS * zero]).T, color="k", linestyle=(0, (3, 2)), linewidth=1.2, zorder=3
    )
    turn = np.arctan2(zero[0] * limb[1] - zero[1] * limb[0], zero @ limb)
    ways = np.arctan2(zero[1], zero[0]) + np.linspace(0, turn, 40)
    arc = pivot + RADIUS * np.stack([np.cos(ways), np.sin(ways)], axis=1)
    axes.plot(*arc[:-3].T, color="k", linewidth=1.4, zorder=4)
    axes.annotate("", arc[-1], arc[-5], arrowprops={"arrowstyle": "-|>", "color": "k", "shrinkA": 0, "shrinkB": 0})
    # A narrow angle has no room for its label, which then stands at the end of the dashes.
    beside = zero if abs(turn) < np.radians(40) else np.array([np.cos(ways[20]), np.sin(ways[20])])
    axes.text(*(pivot + 1.75 * RADIUS * beside), f"+{degrees:.0f}°", ha="center", va="center", fontsize=11)


def main() -> None:
    with figure_file(Path(__file__).with_suffix(".png"), 10, 6.6) as figure:
        for axes, panel in zip(figure.subplots(2, 4).flat, PANELS, strict=True):
            draw(axes, *panel)


if __name__ == "__main__":
    main()
