"""Anyone's motion capture as 17 joints: BVH, ASF and AMC, C3D, TRC, and results of our own.

Shape suffixes: F frames, N points of a file, J joints, D the 3 of a position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from vidpose.body.geometry import CAMERA_TO_Z_UP
from vidpose.body.moments import Between
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import check_file, read_bytes, reading
from vidpose.datasets.mocap.asf_amc import read_amc, read_asf
from vidpose.datasets.mocap.skeleton_names import NEEDED, UNITS, SkeletonMap, find_joints
from vidpose.keypoint_files.animation import check_size
from vidpose.keypoint_files.bvh_reader import read_bvh
from vidpose.keypoint_files.c3d_reader import read_c3d_points, without_unseen

SUFFIXES = (".bvh", ".amc", ".c3d", ".trc", ".npz")

_LEG = 0.83
"""Metres from hip over knee to ankle: mean of the people of the CMU-17 shards."""

_SHORTEST_LEG, _LONGEST_LEG = 0.15, 2.0
"""Metres, of a body of this world, child or giant."""

_UNIT_NAMES = {metres: name for name, metres in UNITS.items()}

_UNITS = (1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45)
"""Metres: of what files may have as their unit; the last is CMU's own."""

_ASF_ENDS = {
    "left_hip": "lhipjoint", "left_knee": "lfemur", "left_ankle": "ltibia", "right_hip": "rhipjoint",
    "right_knee": "rfemur", "right_ankle": "rtibia", "thorax": "lowerneck", "head": "upperneck", "head_top": "head",
    "left_shoulder": "lclavicle", "left_elbow": "lhumerus", "left_wrist": "lradius", "right_shoulder": "rclavicle",
    "right_elbow": "rhumerus", "right_wrist": "rradius",
}  # fmt: skip
"""CMU's bones that end at a joint; their own names say less about where they begin."""


_SLOWEST, _FASTEST = 1, 10_000
"""Frames a second, of motion capture."""


@dataclass(frozen=True)
class MotionPoints:
    """What a file has of one recording.

    Attributes:
        names: of the N points.
        positions: (F, N, 3) in the file's axes and unit, NaN where absent.
        fps: frames a second.
        known: which joints they are, where the format says so; what it does not say, a map or their names tell.
        metres: of the unit, where the format says so.
        up: "y" or "z", where the format says so.
    """

    names: tuple[str, ...]
    positions: np.ndarray
    fps: float
    known: SkeletonMap | None = None
    metres: float | None = None
    up: str = ""


@dataclass(frozen=True)
class AnyMotion:
    """One recording as 17 joints.

    Attributes:
        joints: (F, 17, 3) metres, z up; NaN in frames where one is absent.
        fps: frames a second.
        made_up: joints that the file does not have, which were made from the others.
    """

    joints: np.ndarray
    fps: float
    made_up: tuple[str, ...]


def read_motion(path: Path, given: SkeletonMap | None = None) -> list[AnyMotion]:
    """The people of a file.

    Args:
        given: which points are which joints, where their names do not tell.

    Raises:
        UsageError: joints are not found among the names; says which, and what names there are.
        VidposeError: the file cannot be read.
    """
    if path.suffix.lower() == ".npz":
        people = _of_result(path)
    else:
        read, what = _READERS[path.suffix.lower()]
        with reading(path, what):
            check_file(path)
            points = read(path)
            check_size(path, *points.positions.shape[:2])
        people = [as_joints(path, points, given)]
    for person in people:
        if not _SLOWEST <= person.fps <= _FASTEST:
            raise VidposeError(f"{path}: {person.fps:g} frames a second, where {_SLOWEST} to {_FASTEST:,} can be")
    return people


def as_joints(path: Path, points: MotionPoints, given: SkeletonMap | None = None) -> AnyMotion:
    """17 joints of a file's points; raises as `read_motion`."""
    try:
        found = find_joints(points.names, given.over(points.known) if given else points.known)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if found.missing:
        raise UsageError(
            f"{path}: found no {', '.join(found.missing)} among {_listed(points.names)}; name them in a map "
            "of the skeleton"
        )
    at = _seen_joints(path, points, found.joints)
    at.setdefault("pelvis", (at["left_hip"] + at["right_hip"]) / 2)
    neckless = "thorax" not in at
    at.setdefault("thorax", (at["left_shoulder"] + at["right_shoulder"]) / 2)
    metres = found.metres or points.metres or _unit(at)
    if (leg := metres * _leg(at)) < _SHORTEST_LEG or leg > _LONGEST_LEG:
        unit = _UNIT_NAMES.get(metres, f"units of {metres:g} m")
        raise VidposeError(
            f"{path}: a leg {float(f'{leg:.2g}'):g} m long, its lengths taken as {unit}; correct the file's unit, or "
            "say it in a map of the skeleton"
        )
    up = found.up or points.up or _up(at)
    if "spine" not in at and (name := _nearest_to_the_middle(points, found.spine, at)):
        at["spine"] = _mean(points, (name,))
    made_up = tuple(joint for joint in H36M_17.joints if joint not in at and joint != "pelvis")
    made_up = ("thorax", *made_up) if neckless else made_up
    at.setdefault("spine", (at["pelvis"] + at["thorax"]) / 2)
    _add_head(at)
    joints = metres * np.stack([at[joint] for joint in H36M_17.joints], axis=1)
    if up == "y":
        joints = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)
    joints[~np.isfinite(joints).all(axis=(1, 2))] = np.nan
    if not np.isfinite(joints).any():
        raise VidposeError(f"{path}: no frame has all joints")
    lowest = np.nanpercentile(joints[..., 2].min(axis=1), 1)
    if abs(lowest) > 0.3:
        joints[..., 2] -= lowest
    return AnyMotion(joints.astype(np.float32), points.fps, made_up)


def _seen_joints(path: Path, points: MotionPoints, named: Mapping[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """(F, 3) of each joint that is there in some frame.

    Raises:
        VidposeError: no frame has all that are needed; says which is seen least.
    """
    at = {joint: _mean(points, names) for joint, names in named.items()}
    seen = {joint: np.isfinite(place).all(axis=-1) for joint, place in at.items()}
    needed = {joint: seen[joint] for joint in NEEDED}
    count = len(points.positions)
    if absent := [joint for joint, there in needed.items() if not there.any()]:
        raise VidposeError(
            f"{path}: {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} in none of {count} frames; name other "
            "points in a map of the skeleton"
        )
    kept = {joint: place for joint, place in at.items() if seen[joint].any()}
    if not np.all([seen[joint] for joint in kept], axis=0).any():
        rarest = min(kept, key=lambda joint: seen[joint].sum())
        raise VidposeError(
            f"{path}: no frame has all joints; {rarest} is in {seen[rarest].sum()} of {count}, the fewest; fill the "
            "gaps"
        )
    return kept


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:40])
    return shown + (f" and {len(names) - 40} more" if len(names) > 40 else "")


def _mean(points: MotionPoints, names: tuple[str, ...]) -> np.ndarray:
    return points.positions[:, [points.names.index(name) for name in names]].mean(axis=1)


def _leg(at: dict[str, np.ndarray]) -> float:
    chain = [at[f"left_{joint}"] for joint in ("hip", "knee", "ankle")]
    return float(sum(np.nanmedian(np.linalg.norm(a - b, axis=-1)) for a, b in pairwise(chain)))


def _unit(at: dict[str, np.ndarray]) -> float:
    """Metres of the unit with which a leg is nearest to a person's."""
    return min(_UNITS, key=lambda metres: abs(np.log(max(metres * _leg(at), 1e-9) / _LEG)))


def _up(at: dict[str, np.ndarray]) -> str:
    """The axis along which the neck is above the ankles, most of the time."""
    trunk = at["thorax"] - (at["left_ankle"] + at["right_ankle"]) / 2
    y, z = (np.nanmedian(trunk[:, axis]) for axis in (1, 2))
    return "z" if z > y else "y"


def _nearest_to_the_middle(points: MotionPoints, names: tuple[str, ...], at: dict[str, np.ndarray]) -> str | None:
    """The point of the spine that is about halfway from pelvis to neck; None where there is none."""
    names = tuple(name for name in names if np.isfinite(_mean(points, (name,))).all(axis=-1).any())
    middle = (at["pelvis"] + at["thorax"]) / 2
    trunk = np.nanmedian(np.linalg.norm(at["thorax"] - at["pelvis"], axis=-1))
    off = {name: np.nanmedian(np.linalg.norm(_mean(points, (name,)) - middle, axis=-1)) for name in names}
    nearest = min(off, key=off.__getitem__, default=None)
    return nearest if nearest and off[nearest] < 0.25 * trunk else None


def _add_head(at: dict[str, np.ndarray]) -> None:
    """Nose and top of the head, from the joint of the head, or from the trunk where there is none.

    A head is half as long as the trunk from the neck to its top, and the nose a third of that ahead of it: means of the
    CMU-17 shards.
    """
    trunk = at["thorax"] - at["pelvis"]
    length = np.nanmedian(np.linalg.norm(trunk, axis=-1))
    base = at["thorax"]
    towards = next((at[joint] - base for joint in ("head_top", "head") if joint in at), trunk)
    up = towards / np.maximum(np.linalg.norm(towards, axis=-1, keepdims=True), 1e-9)
    across = at["left_shoulder"] - at["right_shoulder"]
    ahead = np.cross(across, up)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    at.setdefault("head_top", base + 0.5 * length * up)
    at.setdefault("nose", base + 0.22 * length * up + 0.17 * length * ahead)


def _read_bvh(path: Path) -> MotionPoints:
    animation, fps = read_bvh(path)
    return MotionPoints(animation.names, animation.positions, fps)


def _read_amc(path: Path) -> MotionPoints:
    """Where bones begin, under their names, and where they end, under "NAME_end".

    An AMC says no frame rate; CMU's are 120 a second.
    """
    asf = path.with_name(path.name.partition("_")[0] + ".asf")
    asf = asf if asf.is_file() else path.with_suffix(".asf")
    others = sorted(path.parent.glob("*.asf"))
    if not asf.is_file() and len(others) == 1:
        asf = others[0]
    if not asf.is_file():
        raise VidposeError(f"{path}: its skeleton is missing; put {path.stem}.asf, or one .asf alone, beside it")
    skeleton = read_asf(asf)
    animation = read_amc(path, skeleton)
    bones, ends = animation.names, animation.positions
    starts = ends[:, [bones.index(bone.parent or name) for name, bone in skeleton.bones.items()]]
    names = (*bones, *(f"{name}_end" for name in bones))
    known = {joint: (f"{bone}_end",) for joint, bone in _ASF_ENDS.items() if bone in bones}
    return MotionPoints(names, np.concatenate([starts, ends], axis=1), 120.0, SkeletonMap(known), up="y")


def _read_c3d(path: Path) -> MotionPoints:
    file = read_c3d_points(path)
    metres = {"mm": 0.001, "cm": 0.01, "m": 1.0}.get(file.unit.lower())
    return MotionPoints(file.names, file.positions, file.fps, metres=metres, up=file.up)


def _read_trc(path: Path) -> MotionPoints:
    """Track Row Column, as OpenSim has it."""
    lines = read_bytes(path).decode("utf-8-sig", errors="replace").splitlines()
    heads = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    fps, unit = float(heads["DataRate"]), heads.get("Units", "").strip().lower()
    names = tuple(name.strip() for name in lines[3].split("\t")[2:] if name.strip())
    rows = [line.split("\t") for line in lines[5:] if line.strip()]
    values = np.full((len(rows), 3 * len(names)), np.nan)
    for row, cells in zip(values, rows, strict=True):
        cells = cells[2 : 2 + len(row)]
        row[: len(cells)] = [float(cell) if cell.strip() else np.nan for cell in cells]
    if not names or not rows:
        raise VidposeError(f"{path}: no markers over time")
    metres = {"mm": 0.001, "cm": 0.01, "m": 1.0}.get(unit)
    return MotionPoints(names, without_unseen(values.reshape(len(rows), len(names), 3)), fps, metres=metres)


_READERS: Mapping[str, tuple[Callable[[Path], MotionPoints], str]] = {
    ".bvh": (_read_bvh, "a BVH movement"), ".amc": (_read_amc, "an AMC movement"), ".c3d": (_read_c3d, "a C3D file"),
    ".trc": (_read_trc, "a TRC file"),
}  # fmt: skip
"""By suffix; and what a file of it is."""


def _of_result(path: Path) -> list[AnyMotion]:
    """The people of a result of ours; where a floor was found, in its world, else on their feet."""
    result = PoseResult.load(path)
    if result.joint_layout != H36M_17.name:
        raise UsageError(f"{path}: joints in layout {result.joint_layout or 'none'}, where {H36M_17.name} is due")
    to_world = result.camera.to_world if result.camera else None
    people = []
    for track in result.tracks:
        if not track.lifted.any():
            continue
        points = track.joints.astype(np.float64)
        placed = np.isfinite(track.roots[track.lifted]).all(axis=1).any()
        if placed:  # frames in which nobody knows where they are go: they would be at the camera
            points += track.roots[:, None]
        points = points @ (CAMERA_TO_Z_UP if to_world is None else to_world[:, :3]).T
        if placed and to_world is not None:
            points += to_world[:, 3]
        else:
            points[..., 2] -= np.nanpercentile(points[..., 2].min(axis=1), 1)
        people.append(_even(path, points.astype(np.float32), track.times))
    return people


def _even(path: Path, joints: np.ndarray, times: np.ndarray) -> AnyMotion:
    """Joints (F, 17, 3) at (F,) seconds, as often as frames mostly came but evenly: phones film slower in the dark.

    Between two frames they move along a line. They are NaN where either is, and where time jumps.
    """
    steps = np.diff(times)
    if not len(steps):
        return AnyMotion(joints, 50.0, ())
    median = np.sort(steps)[(len(steps) - 1) // 2]
    # Intervals in whole milliseconds are right on average.
    interval = float(steps[np.abs(steps - median) < median / 2].mean())
    count = int((times[-1] - times[0]) / interval + 1e-6) + 1
    check_size(path, count, len(H36M_17))
    moments = times[0] + np.arange(count) * interval
    return AnyMotion(Between.of(times, moments).sample(joints).astype(np.float32), 1 / interval, ())
