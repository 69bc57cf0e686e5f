"""A folder for OpenSim: one person's markers and joint angles, and the set-up files that bring them into a model.

Beside the user's `Rajagopal2016.osim`, which belongs to others, `scale.xml` makes the model as large as the person, and
`ik.xml` has it follow the markers. The files are described in the OpenSim documentation, "Scaling" and "Inverse
Kinematics".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from vidpose.body.tracks import PoseResult, Track
from vidpose.body.whole_body import known_whole, whole_skeleton
from vidpose.common.errors import UsageError
from vidpose.common.files import make_folder, replacing
from vidpose.export.mot import write_mot
from vidpose.export.placing import EvenClock, placed_joints
from vidpose.export.rajagopal import CALCN, HEEL, HIP, MARKERS, SHOULDER, TOE, ModelSizes
from vidpose.export.trc import write_trc

MODEL = "Rajagopal2016.osim"

_WRIST = ("radius", (-0.0088, -0.23584, 0.01361))
"""The body whose end the right wrist is, and where on it."""

_FOOT = ("_heel", "_toe")
"""How joints end that only some bodies have."""

_BODIES: Mapping[str, tuple[str, ...]] = {
    "thigh": ("femur", "patella"), "shank": ("tibia",), "foot": ("talus", "calcn", "toes"),
    "upper_arm": ("humerus",), "forearm": ("ulna", "radius", "hand"),
}  # fmt: skip
"""The bodies of one side that a part's size is for."""


def write_opensim(result: PoseResult, track: Track, folder: Path, heading: float | None = None) -> None:
    """Write `markers.trc`, `angles.mot`, `marker_set.xml`, `scale.xml` and `ik.xml` of one person.

    Args:
        heading: as `vidpose.export.placing.facing_x` has it.

    Raises:
        UsageError: no rest pose is known for the result's layout.
        VidposeError: a file cannot be written.
    """
    layout = whole_skeleton(result)
    if not {joint for joint in _places() if not joint.endswith(_FOOT)} <= set(layout.joints):
        raise UsageError(f"joint layout {layout.name!r} lacks joints of {MODEL}; use a lifter for h36m17")
    clock = EvenClock.of(result.source)
    times = clock.times_of(clock.frames_of(track))
    seen = known_whole(result, track)[track.lifted].any(axis=0)
    sizes = ModelSizes.of(placed_joints(result, track, "y", guessed=True), layout)
    known = {joint for joint, there in zip(layout.joints, seen, strict=True) if there}
    make_folder(folder)
    write_trc(result, track, folder / "markers.trc", heading)
    write_mot(result, track, folder / "angles.mot", heading)
    _write(folder / "marker_set.xml", _marker_set())
    _write(folder / "scale.xml", _scaling(sizes))
    _write(folder / "ik.xml", _inverse_kinematics(times, known))


def _places() -> dict[str, tuple[str, np.ndarray]]:
    """Joint -> the model's body that its marker is on, and where on it, in the unscaled model's metres."""
    places = {
        "pelvis": ("pelvis", HIP * (1, 1, 0)),
        "thorax": ("torso", SHOULDER * (1, 1, 0)),
    }
    for side, mark, mirror in (("right", "r", (1, 1, 1)), ("left", "l", (1, 1, -1))):
        places |= {
            f"{side}_hip": ("pelvis", HIP * mirror),
            f"{side}_knee": (f"tibia_{mark}", np.zeros(3)),
            f"{side}_ankle": (f"talus_{mark}", np.zeros(3)),
            f"{side}_shoulder": ("torso", SHOULDER * mirror),
            f"{side}_elbow": (f"ulna_{mark}", np.zeros(3)),
            f"{side}_wrist": (f"{_WRIST[0]}_{mark}", np.array(_WRIST[1]) * mirror),
            f"{side}_heel": (f"calcn_{mark}", (HEEL - CALCN) * mirror),
            f"{side}_toe": (f"calcn_{mark}", (TOE - CALCN) * mirror),
        }
    return places


def _marker_set() -> Element:
    document = _document()
    markers = SubElement(SubElement(document, "MarkerSet", name="vidpose"), "objects")
    for joint, (body, place) in _places().items():
        marker = SubElement(markers, "Marker", name=MARKERS[joint])
        _fill(marker, socket_parent_frame=f"/bodyset/{body}", location=_numbers(place), fixed="true")
    return document


def _scaling(sizes: ModelSizes) -> Element:
    """The sizes themselves, for a frame in which a limb was hidden would spoil what OpenSim measures from markers."""
    document = _document()
    tool = SubElement(document, "ScaleTool", name="person")
    maker = SubElement(tool, "GenericModelMaker")
    _fill(maker, model_file=MODEL, marker_set_file="marker_set.xml")
    scaler = SubElement(tool, "ModelScaler")
    _fill(scaler, apply="true", scaling_order="manualScale", preserve_mass_distribution="true")
    _fill(scaler, output_model_file="scaled.osim")
    scales = SubElement(SubElement(scaler, "ScaleSet"), "objects")
    for body, factors in _factors(sizes).items():
        _fill(SubElement(scales, "Scale"), scales=_numbers(factors), segment=body, apply="true")
    return document


def _factors(sizes: ModelSizes) -> dict[str, np.ndarray]:
    factors = {"pelvis": np.full(3, sizes.pelvis), "torso": np.array([sizes.torso, sizes.torso, sizes.torso_across])}
    for part, bodies in _BODIES.items():
        for body in bodies:
            factors |= {f"{body}_{mark}": np.full(3, getattr(sizes, part)) for mark in "rl"}
    return factors


def _inverse_kinematics(times: np.ndarray, known: set[str]) -> Element:
    document = _document()
    tool = SubElement(document, "InverseKinematicsTool", name="person")
    _fill(tool, model_file="scaled.osim", marker_file="markers.trc", output_motion_file="ik.mot", report_errors="true")
    _fill(tool, time_range=f"{times[0]:.6f} {times[-1]:.6f}", constraint_weight="Inf", accuracy="1e-5")
    tasks = SubElement(SubElement(tool, "IKTaskSet"), "objects")
    for joint in _places():
        if joint in known:
            _fill(SubElement(tasks, "IKMarkerTask", name=MARKERS[joint]), apply="true", weight="1")
    return document


def _document() -> Element:
    return Element("OpenSimDocument", Version="40000")


def _fill(parent: Element, **values: str) -> None:
    for name, value in values.items():
        SubElement(parent, name).text = value


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values)


def _write(path: Path, document: Element) -> None:
    indent(document)
    with replacing(path) as partial:
        ElementTree(document).write(partial, encoding="UTF-8", xml_declaration=True)
