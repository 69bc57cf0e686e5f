"""A moving avatar over VMC, the Virtual Motion Capture Protocol: what VRM viewers, Blender and Unreal listen to.

"Virtual Motion Capture Protocol", Performer to Marionette: OSC messages with a position and a rotation for each bone of
Unity's humanoid, against the bone above it. The T pose that bones are turned from is that of a VRM model, and ours
(`vidpose.body.kinematics`); Unity's x points the other way, and so turns about y and z do.

A port has one avatar: whoever has been there longest moves it, until they have been gone for half a second. The place
where they were first seen becomes the origin, under which the floor is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vidpose.body.bone_names import bone_names
from vidpose.body.geometry import CAMERA_TO_Y_UP
from vidpose.body.kinematics import matrices_of, orientations, quaternions_of, relative, rest_offsets
from vidpose.body.skeletons import H36M_17
from vidpose.body.stretches import MAX_GAP
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import UsageError
from vidpose.live.osc import Message, OscLink
from vidpose.live.outlet import LiveFrame

_TO_UNITY = np.array([-1.0, 1, 1])
_STILL = (0.0, 0.0, 0.0, 1.0)

_BETWEEN = {"head": "Neck", "leftUpperArm": "LeftShoulder", "rightUpperArm": "RightShoulder"}
"""Bones of a humanoid between two of ours: they stay as they are, with no length of their own."""


class VmcOutlet:
    """Moves one avatar, at an address HOST:PORT or PORT. Raises as `OscLink`.

    Args:
        joint_layout: of the results to come.

    Raises:
        UsageError: it is not the one whose bones have a rest pose.
    """

    def __init__(self, address: str, joint_layout: str) -> None:
        if joint_layout != H36M_17.name:
            raise UsageError(
                f"`vmc={address}`: avatars want joints in {H36M_17.name}, not {joint_layout}; choose another lifter"
            )
        self._link = OscLink("vmc", address)
        self._avatar = Avatar()

    def send(self, frame: LiveFrame) -> None:
        self._link.send(list(self._avatar.messages(frame)))

    def close(self) -> None:
        self._link.close()


class Avatar:
    """Who moves it, and from where they are counted."""

    def __init__(self) -> None:
        self._id, self._seen = 0, -np.inf
        self._origin = np.zeros(3)

    def messages(self, frame: LiveFrame) -> Iterator[Message]:
        """A frame's; those of nobody say that there is nothing to show."""
        time = float(frame.captured.frame.time)
        track = self._actor(frame.result, time)
        yield "/VMC/Ext/OK", (int(track is not None),)
        yield "/VMC/Ext/T", (time,)
        if track is None:
            return
        self._seen = time
        root = CAMERA_TO_Y_UP @ track.roots[0].astype(np.float64)
        if track.id != self._id:
            self._id, self._origin = track.id, root * (1, 0, 1)
        yield "/VMC/Ext/Root/Pos", ("root", 0.0, 0.0, 0.0, *_STILL)
        yield from _bones(track, root - self._origin - (0, frame.floor, 0))

    def _actor(self, result: PoseResult, time: float) -> Track | None:
        there = {track.id: track for track in result.tracks if np.isfinite(track.roots).all()}
        if self._id in there or time - self._seen <= MAX_GAP:
            return there.get(self._id)
        return there.get(min(there, default=0))


def _bones(track: Track, hips: np.ndarray) -> Iterator[Message]:
    joints = track.joints.astype(np.float64) @ CAMERA_TO_Y_UP.T
    fitted = matrices_of(track.rotations) if track.rotations.shape[1] else orientations(track.joints, H36M_17)
    turned = CAMERA_TO_Y_UP @ fitted
    offsets = rest_offsets(joints, H36M_17, turned)
    offsets[H36M_17.parents.index(-1)] = hips
    real, x, y, z = np.moveaxis(quaternions_of(relative(turned, H36M_17))[0], -1, 0)
    rotations = np.stack([x, -y, -z, real], axis=-1)
    for name, place, rotation in zip(bone_names("vrm", H36M_17), offsets * _TO_UNITY, rotations, strict=True):
        if name == "head_end":
            continue
        if name in _BETWEEN:
            yield "/VMC/Ext/Bone/Pos", (_BETWEEN[name], 0.0, 0.0, 0.0, *_STILL)
        yield "/VMC/Ext/Bone/Pos", (_humanoid(name), *place.tolist(), *rotation.tolist())


def _humanoid(name: str) -> str:
    """A VRM bone as Unity calls it. Many models have no upper chest, and what it does the chest can do."""
    return "Chest" if name == "upperChest" else name[0].upper() + name[1:]
