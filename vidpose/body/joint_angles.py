"""Joint angles of 3D skeletons in degrees, how fast they change, segment lengths, left against right.

Every angle is taken between parts of the body itself, so that where the camera stands does not matter; only the lean of
the trunk is measured against the vertical. docs/angles.md draws the conventions. Zero is standing upright with hanging
arms, flexion is positive.

Hip and shoulder follow the joint coordinate system of Grood and Suntay (1983), which the ISB recommends for the hip (Wu
et al., 2002): flexion about the axis from left to right, abduction about an axis that moves with the limb.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from vidpose.body.skeletons import Skeleton
from vidpose.body.tracks import PinholeCamera, PoseResult, Track
from vidpose.body.whole_body import observed_whole, whole_skeleton
from vidpose.common.errors import UsageError, did_you_mean

CAMERA_UP = np.array([0.0, -1.0, 0.0])
"""Upwards for a level camera."""

_UNDEFINED = np.radians(10)
"""A limb this near to the axis that it turns about has no angle about it: noise would decide."""

_SHOWN = 0.3
"""How much of a unit vector has to lie across a limb, to show how the limb is turned about itself: 17 degrees."""

_FOOT_TELLS = 0.5
"""Weight of where a foot points, beside the bend of the knee, in how a leg is turned about itself."""

_RANGE = (2.5, 97.5)
"""Percentiles that a curve's range runs between, so that a single bad frame does not count."""


def upward(camera: PinholeCamera | None) -> np.ndarray:
    """(3,) the unit vector upwards in the camera's frame: of the world where it is known, else of a level camera."""
    if camera is None or camera.to_world is None:
        return CAMERA_UP
    return _unit(camera.to_world[2, :3])


def joint_angles(joints: np.ndarray, layout: Skeleton, up: np.ndarray = CAMERA_UP) -> dict[str, np.ndarray]:
    """The angles of a body, by name.

    Args:
        joints: (N, J, 3) positions in any right-handed frame and unit; NaN where absent.
        layout: of the joints; every one in `vidpose.body.skeletons` will do.
        up: (3,) the vertical in the frame of the joints, for the lean of the trunk.

    Returns:
        (N,) float64 degrees by name, NaN where a joint is absent or the angle is not defined. For each side:

        * `knee_flexion`, `elbow_flexion`: 0 straight, 0 to 180. Three joints cannot tell overextension from flexion.
        * `hip_flexion`, `shoulder_flexion`: how far the limb is forward in the sagittal plane of the hips or shoulders,
          0 along the trunk, -90 to 270. Not defined where the limb points sideways.
        * `hip_abduction`, `shoulder_abduction`: how far it is out of that plane, -90 to 90, outwards positive.
        * `shoulder_elevation`: between upper arm and trunk in any direction, 0 to 180; always defined.
        * `hip_rotation`: how far the thigh is turned about itself, inwards positive. A bent knee shows it, and of a
          straight leg where the foot points; not defined of a straight leg without one.
        * `ankle_flexion`: dorsiflexion, 0 where the sole is at right angles to the shank; only of layouts with a foot.
        * Of layouts with knuckles: `wrist_flexion`, to the palm positive; `forearm_rotation`, pronation, 0 where the
          thumb is on the side to which the elbow bends; not defined of a straight arm.

        And `trunk_lean_forward` and `trunk_lean_right`, against the vertical, -180 to 180 and -90 to 90; forward is
        where the hips face.
    """
    positions = np.asarray(joints, np.float64)
    at = {name: positions[:, index] for index, name in enumerate(layout.joints)}
    hips, shoulders = ((at[f"left_{part}"] + at[f"right_{part}"]) / 2 for part in ("hip", "shoulder"))
    trunk, across_hips = shoulders - hips, at["right_hip"] - at["left_hip"]
    angles: dict[str, np.ndarray] = {}
    for side, outwards in (("left", -1), ("right", 1)):
        own = {name.removeprefix(f"{side}_"): points for name, points in at.items() if name.startswith(f"{side}_")}
        leg = _leg_angles(own, trunk, across_hips, outwards)
        arm = _arm_angles(own, trunk, at["right_shoulder"] - at["left_shoulder"], outwards)
        angles |= {f"{side}_{name}": curve for name, curve in (leg | arm).items()}
    # The trunk points up where a limb hangs down: turning forward about the same axis takes it the other way.
    level = across_hips - _dot(across_hips, up)[:, None] * up
    backward, right = _swing(trunk, np.broadcast_to(up, trunk.shape), level)
    angles["trunk_lean_forward"], angles["trunk_lean_right"] = _wrapped(-backward), right
    return angles


def _leg_angles(
    at: Mapping[str, np.ndarray], trunk: np.ndarray, across: np.ndarray, outwards: int
) -> dict[str, np.ndarray]:
    """Of one side's joints, by name: `across` is from the left hip to the right one, and `outwards` 1 on the right."""
    thigh, shank = at["knee"] - at["hip"], at["ankle"] - at["knee"]
    flexion, sideways = _swing(thigh, -trunk, across)
    angles = {
        "knee_flexion": _between(thigh, shank), "hip_flexion": flexion, "hip_abduction": outwards * sideways,
    }  # fmt: skip
    heel, toe = at.get("heel"), next((at[name] for name in ("toe", "foot_index", "big_toe") if name in at), None)
    sole = None if heel is None or toe is None else toe - heel
    angles["hip_rotation"] = -outwards * _hip_rotation(across, thigh, shank, sole)
    if sole is not None:
        angles["ankle_flexion"] = 90 - _between(-shank, sole)
    return angles


def _arm_angles(
    at: Mapping[str, np.ndarray], trunk: np.ndarray, across: np.ndarray, outwards: int
) -> dict[str, np.ndarray]:
    """The same of an arm: `across` is from the left shoulder to the right one."""
    upper_arm, forearm = at["elbow"] - at["shoulder"], at["wrist"] - at["elbow"]
    flexion, sideways = _swing(upper_arm, -trunk, across)
    angles = {
        "elbow_flexion": _between(upper_arm, forearm), "shoulder_flexion": flexion,
        "shoulder_abduction": outwards * sideways, "shoulder_elevation": _between(upper_arm, -trunk),
    }  # fmt: skip
    if "index" in at and "pinky" in at:
        bent, turned = _hand(upper_arm, forearm, at["index"] - at["wrist"], at["pinky"] - at["wrist"])
        angles |= {"wrist_flexion": outwards * bent, "forearm_rotation": outwards * turned}
    return angles


def track_angles(result: PoseResult, track: Track) -> dict[str, np.ndarray]:
    """The angles of one person of a result, between joints that were seen, against the vertical of its world."""
    return joint_angles(observed_whole(result, track), whole_skeleton(result), upward(result.camera))


def angle_names(layout: Skeleton) -> tuple[str, ...]:
    """What `joint_angles` calls the angles of a layout."""
    return tuple(joint_angles(np.empty((0, len(layout), 3)), layout))


def choose_angles(wanted: Iterable[str], layout: Skeleton) -> tuple[str, ...]:
    """The names that are meant: `knee` is both `left_knee_flexion` and `right_knee_flexion`, `left` all of one side.

    Raises:
        UsageError: one of the wanted is neither a name nor a part of one.
    """
    names, chosen = angle_names(layout), set()
    for request in wanted:
        meant = {name for name in names if f"_{request}_" in f"_{name}_"}
        if not meant:
            parts = dict.fromkeys(stem.split("_")[0] for stem in sides(names))
            advice = f"{did_you_mean(request, (*parts, *names))}known are {', '.join(parts)}"
            raise UsageError(f"`angles={request}`: {layout.name} has no such angle; {advice}")
        chosen |= meant
    return tuple(name for name in names if name in chosen)


def angular_velocity(angles: np.ndarray, times: np.ndarray) -> np.ndarray:
    """How fast an angle changes.

    The slope, at its middle point, of the parabola through three neighbours; at an end and beside a gap, of the line
    through two. Exact for uneven times; a step from 179 to -179 degrees is one of two degrees.

    Args:
        angles: (N,) degrees.
        times: (N,) seconds.

    Returns:
        (N,) degrees a second; NaN where the angle is, and where it has no neighbour.
    """
    steps = np.diff(times)
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.where(steps > 0, _wrapped(np.diff(angles)) / steps, np.nan)
    before, after = np.append(np.nan, slopes), np.append(slopes, np.nan)
    step_before, step_after = np.append(1.0, steps), np.append(steps, 1.0)
    both = (before * step_after + after * step_before) / (step_before + step_after)
    one = np.where(np.isnan(before), after, before)
    return np.where(np.isnan(angles), np.nan, np.where(np.isnan(both), one, both))


def segment_lengths(joints: np.ndarray, layout: Skeleton) -> dict[str, np.ndarray]:
    """How long the parts of a body are in every frame, in the unit of (N, J, 3) joints, by name; NaN where absent.

    Upper arm, forearm, thigh and shank of each side, the trunk from between the hips to between the shoulders, and the
    width of both.
    """
    at = {name: np.asarray(joints[:, index], np.float64) for index, name in enumerate(layout.joints)}
    ends = {
        "upper_arm": ("shoulder", "elbow"),
        "forearm": ("elbow", "wrist"),
        "thigh": ("hip", "knee"),
        "shank": ("knee", "ankle"),
    }
    lengths = {
        f"{side}_{segment}": np.linalg.norm(at[f"{side}_{start}"] - at[f"{side}_{end}"], axis=-1)
        for segment, (start, end) in ends.items()
        for side in ("left", "right")
    }
    middle = {part: (at[f"left_{part}"] + at[f"right_{part}"]) / 2 for part in ("hip", "shoulder")}
    lengths["trunk"] = np.linalg.norm(middle["shoulder"] - middle["hip"], axis=-1)
    for part in ("hip", "shoulder"):
        lengths[f"{part}_width"] = np.linalg.norm(at[f"left_{part}"] - at[f"right_{part}"], axis=-1)
    return lengths


@dataclass(frozen=True)
class AngleSummary:
    """A curve in three numbers, of its unit: the median, and between which values it is 95 % of the time."""

    median: float
    low: float
    high: float

    @property
    def range(self) -> float:
        """From the low to the high value: for an angle, the range of motion."""
        return self.high - self.low

    @staticmethod
    def of(curve: np.ndarray) -> AngleSummary:
        """Of (N,) values, those that are NaN left out; all NaN where there are no others."""
        known = curve[np.isfinite(curve)]
        if not len(known):
            return AngleSummary(np.nan, np.nan, np.nan)
        return AngleSummary(*(float(value) for value in np.percentile(known, (50, *_RANGE))))


def symmetry(left: float, right: float) -> float:
    """The symmetry index of Robinson et al. (1987) in per cent: the difference of two sides over their mean.

    0 where they are equal, positive where the left is more. It compares ranges of motion, or lengths of segments.
    """
    total = abs(left) + abs(right)
    return 200 * (left - right) / total if total else 0.0


def sides(names: Iterable[str]) -> dict[str, list[str]]:
    """Names gathered by what they are called on either side: `knee_flexion` has `left_...` and `right_...`."""
    gathered: dict[str, list[str]] = {}
    for name in names:
        gathered.setdefault(name.removeprefix("left_").removeprefix("right_"), []).append(name)
    return gathered


def _swing(limb: np.ndarray, rest: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far a limb is from its rest direction: forward about an axis from left to right, then to the right.

    Args:
        limb: (N, 3) its direction.
        rest: (N, 3) its direction at zero; the part at right angles to the axis counts.
        across: (N, 3) the axis.

    Returns:
        (N,) degrees forward, -90 to 270, NaN where the limb lies along the axis; and (N,) degrees to the right.
    """
    limb, axis = _unit(limb), _unit(across)
    down = _unit(rest - _dot(rest, axis)[:, None] * axis)
    forward = np.cross(axis, down)
    right = np.arcsin(np.clip(_dot(limb, axis), -1, 1))
    angle = np.degrees(np.arctan2(_dot(limb, forward), _dot(limb, down)))
    angle = np.where(angle < -90, angle + 360, angle)
    return np.where(np.abs(right) > np.pi / 2 - _UNDEFINED, np.nan, angle), np.degrees(right)


def _hip_rotation(across: np.ndarray, thigh: np.ndarray, shank: np.ndarray, sole: np.ndarray | None) -> np.ndarray:
    """(N,) degrees that a thigh is turned about itself, its front to the right; NaN where nothing shows it.

    Args:
        across: (N, 3) from the left hip to the right one.
        thigh, shank, sole: (N, 3) downwards, and from heel to toe; None: no foot is known.
    """
    upward = -_unit(thigh)
    front = -_across(_unit(shank), upward)
    if sole is not None:
        front = front + _FOOT_TELLS * np.nan_to_num(_across(_unit(sole), upward))
    zero, right = np.cross(upward, _unit(across)), _across(_unit(across), upward)
    turned = np.degrees(np.arctan2(_dot(front, _unit(right)), _dot(front, _unit(zero))))
    known = (np.linalg.norm(front, axis=-1) > _SHOWN) & (np.linalg.norm(right, axis=-1) > np.sin(_UNDEFINED))
    return np.where(known, turned, np.nan)


def _hand(
    upper_arm: np.ndarray, forearm: np.ndarray, index: np.ndarray, pinky: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) degrees of a right hand: the wrist's flexion, and the forearm's pronation. Of a left one, less them.

    Args:
        upper_arm, forearm: (N, 3) from joint to joint.
        index, pinky: (N, 3) from the wrist to the knuckles.
    """
    along, hand = _unit(forearm), _unit(index + pinky)
    thumbward = _across(index - pinky, hand)
    palm = _unit(np.cross(thumbward, hand))
    flexion = np.degrees(np.arctan2(-_dot(along, palm), _dot(along, hand)))
    bend = -_across(_unit(upper_arm), along)
    thumb = _across(thumbward, along)
    pronation = np.degrees(np.arctan2(_dot(thumb, np.cross(bend, along)), _dot(thumb, bend)))
    return flexion, np.where(np.linalg.norm(bend, axis=-1) > _SHOWN, pronation, np.nan)


def _across(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part of (N, 3) vectors that is at right angles to (N, 3) unit vectors."""
    return vectors - _dot(vectors, axis)[:, None] * axis


def _between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N,) degrees between (N, 3) directions, 0 to 180; exact also where they nearly agree."""
    one, other = _unit(one), _unit(other)
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other), axis=-1), _dot(one, other)))


def _wrapped(angles: np.ndarray) -> np.ndarray:
    """Degrees in [-180, 180)."""
    return (angles + 180) % 360 - 180


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length one; NaN where they have no direction."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.full(np.shape(vectors), np.nan), where=lengths > 1e-9)
