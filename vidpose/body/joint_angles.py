"""Joint angles of 3D skeletons in degrees, how fast they change, segment lengths, left against right.

Every angle is taken between parts of the body itself, so that where the camera stands does not matter; only the lean of
the trunk is measured against the vertical. docs/angles.md draws the conventions. Zero is standing upright with hanging
arms, flexion is positive.

Hip and shoulder follow the joint coordinate system of Grood and Suntay (1983), which the ISB recommends for the hip (Wu
et al., 2002): flexion about the axis from left to right, abduction about an axis that moves with the limb.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vidpose.body.seen import observed_joints
from vidpose.body.skeletons import Skeleton, get_skeleton
from vidpose.body.tracks import PinholeCamera, PoseResult, Track
from vidpose.common.errors import UsageError, did_you_mean

CAMERA_UP = np.array([0.0, -1.0, 0.0])
"""Upwards for a level camera."""

_UNDEFINED = np.radians(10)
"""A limb this near to the axis that it turns about has no angle about it: noise would decide."""

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
        * `ankle_flexion`: dorsiflexion, 0 where the sole is at right angles to the shank; only of layouts with a foot.

        And `trunk_lean_forward` and `trunk_lean_right`, against the vertical, -180 to 180 and -90 to 90; forward is
        where the hips face.
    """
    positions = np.asarray(joints, np.float64)
    at = {name: positions[:, index] for index, name in enumerate(layout.joints)}
    hips, shoulders = ((at[f"left_{part}"] + at[f"right_{part}"]) / 2 for part in ("hip", "shoulder"))
    trunk = shoulders - hips
    angles = {}
    for side, outwards in (("left", -1), ("right", 1)):
        hip, knee, ankle = (at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        shoulder, elbow, wrist = (at[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
        across_hips = at["right_hip"] - at["left_hip"]
        across_shoulders = at["right_shoulder"] - at["left_shoulder"]
        angles[f"{side}_knee_flexion"] = _between(knee - hip, ankle - knee)
        flexion, sideways = _swing(knee - hip, -trunk, across_hips)
        angles[f"{side}_hip_flexion"], angles[f"{side}_hip_abduction"] = flexion, outwards * sideways
        angles[f"{side}_elbow_flexion"] = _between(elbow - shoulder, wrist - elbow)
        flexion, sideways = _swing(elbow - shoulder, -trunk, across_shoulders)
        angles[f"{side}_shoulder_flexion"], angles[f"{side}_shoulder_abduction"] = flexion, outwards * sideways
        angles[f"{side}_shoulder_elevation"] = _between(elbow - shoulder, -trunk)
        toe = at.get(f"{side}_foot_index", at.get(f"{side}_big_toe"))
        if f"{side}_heel" in at and toe is not None:
            sole = toe - at[f"{side}_heel"]
            angles[f"{side}_ankle_flexion"] = 90 - _between(knee - ankle, sole)
    # The trunk points up where a limb hangs down: turning forward about the same axis takes it the other way.
    level = across_hips - _dot(across_hips, up)[:, None] * up
    backward, right = _swing(trunk, np.broadcast_to(up, trunk.shape), level)
    angles["trunk_lean_forward"], angles["trunk_lean_right"] = _wrapped(-backward), right
    return angles


def track_angles(result: PoseResult, track: Track) -> dict[str, np.ndarray]:
    """The angles of one person of a result, between joints that were seen, against the vertical of its world."""
    return joint_angles(observed_joints(result, track), get_skeleton(result.joint_layout), upward(result.camera))


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
