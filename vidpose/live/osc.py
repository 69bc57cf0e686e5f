"""Joints over OSC (Open Sound Control 1.0), for TouchDesigner, Max, Pure Data and whoever else listens.

A frame is a few bundles over UDP; docs/live.md lists the messages. What gets lost is not sent again: the next frame is
on its way.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence

import numpy as np
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import extremity_keypoints, known_whole, whole_joints, whole_skeleton
from vidpose.common.errors import VidposeError
from vidpose.live.outlet import LiveFrame
from vidpose.live.streaming import parse_address

log = logging.getLogger(__name__)

Message = tuple[str, Sequence[str | float | int]]
"""An address and its arguments. A float goes out in 32 bits, as does an int."""

_TOGETHER = 14
"""Messages of a bundle: more would not fit one packet of a network."""


class OscLink:
    """Where messages are sent.

    Raises:
        UsageError: the address is none.
        VidposeError: there is no such host.
    """

    def __init__(self, name: str, address: str) -> None:
        host, port = parse_address(name, address)
        try:
            family, kind, protocol, _, to = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError):
            raise VidposeError(f"`{name}={address}`: no such host; check the name") from None
        self._socket.setblocking(False)
        self._to, self._name = to, f"{host}:{port}"
        self._failed = False

    def send(self, messages: Sequence[Message]) -> None:
        """Send them in bundles; what the network does not take at once is dropped."""
        for start in range(0, len(messages), _TOGETHER):
            try:
                self._socket.sendto(_bundle(messages[start : start + _TOGETHER]), self._to)
            except OSError as error:
                if not self._failed:
                    log.warning("%s: cannot be sent to (%s)", self._name, error.strerror)
                self._failed = True

    def close(self) -> None:
        self._socket.close()


def _bundle(messages: Sequence[Message]) -> bytes:
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, arguments in messages:
        message = OscMessageBuilder(address)
        for argument in arguments:
            message.add_arg(argument, {str: "s", int: "i", float: "f"}[type(argument)])
        bundle.add_content(message.build())
    return bundle.build().dgram


class OscOutlet:
    """Sends everybody's joints to an address, HOST:PORT or PORT. Raises as `OscLink`."""

    def __init__(self, address: str) -> None:
        self._link = OscLink("osc", address)

    def send(self, frame: LiveFrame) -> None:
        self._link.send(list(joint_messages(frame)))

    def close(self) -> None:
        self._link.close()


def joint_messages(frame: LiveFrame) -> Iterator[Message]:
    """A frame: its number and times, who is there, and of each the place and the joints that are known."""
    captured, result = frame.captured, frame.result
    at = captured.frame
    yield "/vidpose/frame", (at.index, float(at.time), frame.latency(), captured.dropped)
    yield "/vidpose/people", [track.id for track in result.tracks]
    for track in result.tracks:
        yield from _of_person(result, track)


def _of_person(result: PoseResult, track: Track) -> Iterator[Message]:
    if np.isfinite(track.roots[0]).all():
        yield f"/vidpose/{track.id}/root", track.roots[0].tolist()
    skeleton = whole_skeleton(result)
    scores = track.joint_scores[0]
    if len(skeleton) > len(scores):
        scores = np.concatenate([scores, extremity_keypoints(track, result.keypoint_layout)[1][0]])
    values = np.column_stack([whole_joints(track, skeleton)[0], scores])
    there = known_whole(result, track)[0] & np.isfinite(values).all(axis=1)
    for joint in np.flatnonzero(there):
        yield f"/vidpose/{track.id}/{skeleton.joints[joint]}", values[joint].tolist()
