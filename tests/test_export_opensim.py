"""OpenSim's files: their angles, put back into a model of rigid bodies, give the joints they came from.

And what OpenSim itself makes of them, where it is installed.
"""

import dataclasses
import importlib.util
import shutil
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from exports import AT, FPS, expected, read_mot, read_trc, result_of, track_of, world_joints
from scipy.spatial.transform import Rotation

from vidpose.body.kinematics import orientations, quaternions_of, rest_directions
from vidpose.body.skeletons import EXTREMITIES_10, H36M_17
from vidpose.body.tracks import Track
from vidpose.common.errors import UsageError
from vidpose.export import FORMATS
from vidpose.export.mot import coordinates
from vidpose.export.rajagopal import HEEL, LEG, TOE
from vidpose.export.rigid_figure import Figure
from vidpose.refine.extremities import FOOT, HAND

THIGH, SHANK = np.array([0.0015, -0.406, -0.002]), np.array([-0.01, -0.4, 0])
UPPER_ARM, FOREARM = np.array([0.01314, -0.28627, -0.00959]), np.array([-0.01552, -0.24885, 0.03969])
ELBOW = np.array([0.22605, 0.02227, 0.97386])
"""Of the model's right side, as `Rajagopal2016.osim` has them: x forward, y up, z to the right."""

PELVIS_TO_MIDDLE_OF_HIPS = np.array([-0.05628, -0.07849, 0])


def written(world: np.ndarray, place: str, folder: Path) -> dict[str, np.ndarray]:
    (path,) = FORMATS["mot"].write(result_of(track_of(world), place=place), folder / "walk", heading=0)
    return read_mot(path)


def ball(angles: dict[str, np.ndarray], *names: str, sign: int = 1) -> Rotation:
    """A joint of three angles as the model has it: about z, x and y, mirrored on the left."""
    return Rotation.from_euler("ZXY", np.stack([angles[n] for n in names], axis=1) * (1, sign, sign), degrees=True)


@pytest.mark.parametrize("place", ["world", "root"])
def test_a_model_that_takes_the_angles_points_its_limbs_where_they_were(place: str, tmp_path: Path):
    world = world_joints()
    angles, joints = written(world, place, tmp_path), expected(world, place)
    np.testing.assert_allclose(angles["time"], np.arange(len(world)) / FPS, atol=1e-6)
    pelvis = ball(angles, "pelvis_tilt", "pelvis_list", "pelvis_rotation")
    origin = np.stack([angles[f"pelvis_t{axis}"] for axis in "xyz"], axis=1)
    wide = np.linalg.norm(joints[0, AT("left_hip")] - joints[0, AT("right_hip")]) / (2 * 0.07726)
    np.testing.assert_allclose(origin + pelvis.apply(wide * PELVIS_TO_MIDDLE_OF_HIPS), joints[:, 0], atol=1e-4)
    torso = pelvis * ball(angles, "lumbar_extension", "lumbar_bending", "lumbar_rotation")
    for side, mark, sign in (("right", "r", 1), ("left", "l", -1)):
        femur = pelvis * ball(
            angles, *(f"hip_{kind}_{mark}" for kind in ("flexion", "adduction", "rotation")), sign=sign
        )
        humerus = torso * ball(angles, *(f"arm_{kind}_{mark}" for kind in ("flex", "add", "rot")), sign=sign)
        mirror = np.array([1, 1, sign])
        knee, elbow = (np.radians(angles[f"{hinge}_{mark}"])[:, None] for hinge in ("knee_angle", "elbow_flex"))
        tibia = femur * Rotation.from_rotvec(-knee * [0, 0, 1])
        ulna = humerus * Rotation.from_rotvec(elbow * ELBOW * (sign, sign, 1))
        for upper, lower, lengths, names in (
            (femur, tibia, (THIGH, SHANK), ("hip", "knee", "ankle")),
            (humerus, ulna, (UPPER_ARM, FOREARM), ("shoulder", "elbow", "wrist")),
        ):
            above, below = (bone(joints, f"{side}_{start}", f"{side}_{end}") for start, end in pairwise(names))
            assert off(upper.apply(lengths[0] * mirror), above).max() < 1, (side, names[0])
            # A nearly straight limb has no plane for its hinge to keep to, and the model's does not straighten wholly.
            bend = np.degrees(np.arccos((above * below).sum(axis=1).clip(-1, 1)))
            wrong = off(lower.apply(lengths[1] * mirror), below)
            assert wrong[bend > 45].max() < 0.7
            assert wrong.max() < 8


def off(found: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(N,) degrees between vectors (N, 3) and unit vectors."""
    cosines = (found * direction).sum(axis=1) / np.linalg.norm(found, axis=1)
    return np.degrees(np.arccos(cosines.clip(-1, 1)))


def bone(joints: np.ndarray, start: str, end: str) -> np.ndarray:
    """(N, 3) unit vectors from one joint to another."""
    along = joints[:, AT(end)] - joints[:, AT(start)]
    return along / np.linalg.norm(along, axis=1, keepdims=True)


def posed(**bent: tuple[str, float]) -> dict[str, float]:
    """Coordinates of someone who faces x with hanging arms, after the bones from a joint on are turned."""
    turns = np.tile(np.eye(3), (17, 1, 1))
    hang = {"left": -90, "right": 90}
    for side, angle in hang.items():
        for joint in ("shoulder", "elbow", "wrist"):
            turns[AT(f"{side}_{joint}")] = Rotation.from_euler("z", angle, degrees=True).as_matrix()
    for joint, (axis, angle) in bent.items():
        turn = Rotation.from_euler(axis, angle, degrees=True).as_matrix()
        below = {AT(joint)}
        for child, parent in enumerate(H36M_17.parents):
            below |= {child} if parent in below else set()
        turns[list(below)] = turn @ turns[list(below)]
    to_x = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    figure = Figure(H36M_17, rest_directions(H36M_17), np.zeros(1), (to_x @ turns)[None], np.zeros((1, 3)))
    return {name: values.item() for name, values in coordinates(figure).items()}


# The model's bones are not quite along its axes: a straight arm has its elbow at 8.5 degrees.


def test_standing_upright_is_almost_zero_in_every_coordinate():
    for name, value in posed().items():
        if not name.startswith("pelvis_t") or name == "pelvis_tilt":
            assert value == pytest.approx(8.5 if name.startswith("elbow") else 0, abs=3), name


@pytest.mark.parametrize(
    ("bent", "coordinate", "degrees"),
    [
        # Axes of the rest pose: x to the person's left, y up, z to where they look.
        ({"right_hip": ("x", -30)}, "hip_flexion_r", 30),
        ({"left_hip": ("x", -30)}, "hip_flexion_l", 30),
        ({"right_hip": ("z", 20)}, "hip_adduction_r", 20),
        ({"left_hip": ("z", -20)}, "hip_adduction_l", 20),
        ({"right_knee": ("x", 70)}, "knee_angle_r", 70),
        ({"left_knee": ("x", 110)}, "knee_angle_l", 110),
        ({"right_shoulder": ("x", -80)}, "arm_flex_r", 80),
        ({"left_shoulder": ("z", 40)}, "arm_add_l", -40),
        ({"right_shoulder": ("z", -40)}, "arm_add_r", -40),
        ({"left_elbow": ("x", -120)}, "elbow_flex_l", 120),
        ({"right_elbow": ("x", -60)}, "elbow_flex_r", 60),
        ({"thorax": ("x", 25)}, "lumbar_extension", -25),
        ({"pelvis": ("x", 15)}, "pelvis_tilt", -15),
        ({"pelvis": ("y", 35)}, "pelvis_rotation", 35),
    ],
)
def test_each_coordinate_has_the_models_sign(bent: dict[str, tuple[str, float]], coordinate: str, degrees: float):
    found = posed(**bent)
    rest = 8.5 if coordinate.startswith("elbow") else 0
    assert found.pop(coordinate) == pytest.approx(degrees + rest, abs=3.5)
    for other, value in found.items():
        if not other.startswith(("pelvis_tx", "pelvis_ty", "pelvis_tz")):
            assert value == pytest.approx(8.5 if other.startswith("elbow") else 0, abs=7), other


# Where people stand in files for OpenSim


@pytest.mark.parametrize("place", ["world", "camera", "root"])
def test_each_person_looks_along_x_with_their_path_around_the_origin(place: str, tmp_path: Path):
    turned = world_joints(40) * 1.0
    turned[..., :2] = turned[..., :2] @ Rotation.from_euler("z", 130, degrees=True).as_matrix()[:2, :2].T + [7, -3]
    result = result_of(track_of(turned), place=place)
    (path,) = FORMATS["trc"].write(result, tmp_path / "a")
    joints = read_trc(path)[2]
    right = joints[:, AT("right_hip")] - joints[:, AT("left_hip")]
    # Whose right is along z looks along x.
    mean = right.mean(axis=0)
    assert mean[2] > 0
    assert abs(mean[0]) < 1e-4
    middle = (joints[:, 0].min(axis=0) + joints[:, 0].max(axis=0)) / 2
    assert middle[[0, 2]] == pytest.approx([0, 0], abs=1e-4)
    np.testing.assert_allclose(joints[..., 1], expected(turned, place)[..., 1], atol=1e-4)
    angles = read_mot(FORMATS["mot"].write(result, tmp_path / "a")[0])
    assert np.abs([angles["pelvis_tx"], angles["pelvis_tz"]]).max() < 3


def test_a_heading_turns_everybody_and_moves_nobody(tmp_path: Path):
    world = world_joints(10)
    (path,) = FORMATS["trc"].write(result_of(track_of(world)), tmp_path / "a", heading=90)
    x, y, z = np.moveaxis(expected(world, "world"), -1, 0)
    np.testing.assert_allclose(read_trc(path)[2], np.stack([z, y, -x], axis=-1), atol=1e-5)


def test_a_heading_for_a_format_without_one_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match=r"`heading=90`: not about bvh; it is about mot, opensim, trc"):
        result_of(track_of(world_joints(3))).export("bvh", tmp_path / "a", heading=90)


def test_the_folder_names_no_marker_that_was_never_seen(tmp_path: Path):
    track = track_of(world_joints(5))
    track.joint_scores[:, AT("left_wrist")] = 0
    track.scores[:] = 0.01
    (folder,) = FORMATS["opensim"].write(result_of(track), tmp_path / "a")
    tasks = tasks_in(folder)
    markers = {marker.get("name") for marker in ElementTree.parse(folder / "marker_set.xml").iter("Marker")}
    assert "LWJC" in markers - tasks


def with_feet(track: Track, flexions: np.ndarray) -> Track:
    """The track with feet that are bent upwards by (N,) degrees against their shanks, and straight hands."""
    turned = orientations(track.joints, H36M_17)
    upwards = Rotation.from_rotvec(np.radians(flexions)[:, None] * [-1.0, 0, 0]).as_matrix()
    extremities = np.zeros((len(track), len(EXTREMITIES_10), 3), np.float32)
    for side, mirror in (("left", 1), ("right", -1)):
        for part, bent in ((FOOT, upwards), (HAND, np.eye(3))):
            above, end = (AT(f"{side}_{joint}") for joint in part.bone)
            lengths = np.linalg.norm(track.joints[:, end] - track.joints[:, above], axis=1)
            turned[:, end] = turned[:, above] @ bent
            for point, place in part.points.items():
                way = lengths[:, None] * (turned[:, end] @ (np.array(place) * (mirror, 1, 1)))
                extremities[:, EXTREMITIES_10.index(f"{side}_{point}")] = track.joints[:, end] + way
    rotations = quaternions_of(turned).astype(np.float32)
    return dataclasses.replace(track, extremities=extremities, rotations=rotations)


def tasks_in(folder: Path) -> set[str | None]:
    return {task.get("name") for task in ElementTree.parse(folder / "ik.xml").iter("IKMarkerTask")}


def test_feet_have_tasks_where_there_are_feet(tmp_path: Path):
    track = track_of(world_joints(4))
    for name, one in (("bare", track), ("feet", with_feet(track, np.full(4, 10.0)))):
        (folder,) = FORMATS["opensim"].write(result_of(one), tmp_path / name)
        feet = {"RCAL", "RTOE", "LCAL", "LTOE"} if name == "feet" else set()
        assert {marker for marker in tasks_in(folder) if marker and marker.endswith(("CAL", "TOE"))} == feet
    scales = {scale.findtext("segment"): scale.findtext("scales") for scale in
              ElementTree.parse(folder / "scale.xml").iter("Scale")}  # fmt: skip
    # Shanks of 0.40 and 0.39 m, where the model's has 0.4001.
    assert float(scales["calcn_r"].split()[0]) == pytest.approx(float(scales["tibia_r"].split()[0]), abs=2e-3)


def test_markers_of_feet_lie_as_fitted_feet_do():
    for point, place in (("heel", HEEL), ("toe", TOE)):
        left, up, ahead = FOOT.points[point]
        np.testing.assert_allclose(place, np.array([ahead, up, left]) * np.hypot(*LEG.lower[:2]), atol=1e-3)


# OpenSim itself


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The model with the ranges of `Rajagopal2016.osim`, of which the package nimblephysics has the earlier edition."""
    opensim = pytest.importorskip("opensim")
    found = importlib.util.find_spec("nimblephysics")
    if found is None or not found.submodule_search_locations:
        pytest.skip("nimblephysics, which has the model, is not installed")
    path = Path(found.submodule_search_locations[0]) / "models" / "rajagopal_data" / "Rajagopal2015.osim"
    opensim.Logger.setLevelString("off")
    model = opensim.Model(str(path))
    model.updForceSet().clearAndDestroy()
    model.updMarkerSet().clearAndDestroy()
    model.finalizeConnections()
    turn = model.updCoordinateSet().get("pelvis_rotation")
    turn.setRangeMin(-np.pi / 2)
    turn.setRangeMax(np.pi / 2)
    model.printToXML(str(tmp_path / "Rajagopal2016.osim"))
    return tmp_path / "Rajagopal2016.osim"


def test_opensim_follows_the_markers_and_takes_the_angles(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import opensim

    flexions = 10 + 15 * np.sin(np.arange(20))
    track = with_feet(track_of(world_joints(20)), flexions)
    # A wrist that is hidden at the end leaves the last cells of lines empty.
    track.joint_scores[15:, AT("right_wrist")] = 0
    (folder,) = FORMATS["opensim"].write(result_of(track, place="camera"), tmp_path / "a")
    shutil.copy(model, folder)
    monkeypatch.chdir(folder)
    assert opensim.ScaleTool("scale.xml").run()
    assert opensim.InverseKinematicsTool("ik.xml").run()
    errors = read_storage(next(folder.glob("*marker_errors.sto")))["marker_error_RMS"]
    assert len(errors) == 20
    assert errors.mean() < 0.02
    ankles = read_storage(folder / "ik.mot")
    for mark in "rl":
        np.testing.assert_allclose(ankles[f"ankle_angle_{mark}"], flexions, atol=4)
    joints, angles = read_trc(folder / "markers.trc"), read_mot(folder / "angles.mot")
    scaled = opensim.Model("scaled.osim")
    state = scaled.initSystem()
    coordinates, markers = scaled.getCoordinateSet(), scaled.getMarkerSet()
    for row in range(20):
        for name, values in angles.items():
            if name != "time":
                metres = name.startswith("pelvis_t") and name != "pelvis_tilt"
                coordinates.get(name).setValue(state, float(values[row] if metres else np.radians(values[row])), False)
        scaled.realizePosition(state)
        at = {
            name: np.array([markers.get(name).getLocationInGround(state).get(axis) for axis in range(3)])
            for name in ("MidHip", "RHJC", "RKJC", "RSJC", "REJC")
        }
        real = dict(zip(joints[0]["markers"], joints[2][row], strict=True))
        np.testing.assert_allclose(at["MidHip"], real["MidHip"], atol=1e-3)
        for start, end in (("RHJC", "RKJC"), ("RSJC", "REJC")):
            along = real[end] - real[start]
            assert off((at[end] - at[start])[None], along[None] / np.linalg.norm(along)).item() < 2


def read_storage(path: Path) -> dict[str, np.ndarray]:
    """Columns by name of a file that OpenSim wrote."""
    names, *rows = (line.split() for line in path.read_text().partition("endheader")[2].strip().splitlines())
    return dict(zip(names, np.array(rows, float).T, strict=True))
