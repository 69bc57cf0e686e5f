"""OpenSim motion files: their angles, put back into a model of rigid bodies, give the joints they came from."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from exports import AT, FPS, expected, read_mot, result_of, track_of, world_joints
from scipy.spatial.transform import Rotation

from vidpose.body.kinematics import rest_directions
from vidpose.body.skeletons import H36M_17
from vidpose.export import FORMATS
from vidpose.export.mot import coordinates
from vidpose.export.rigid_figure import Figure

DOWN = np.array([0.0, -1, 0])


def written(world: np.ndarray, place: str, folder: Path) -> dict[str, np.ndarray]:
    (path,) = FORMATS["mot"].write(result_of(track_of(world), place=place), folder / "walk")
    return read_mot(path)


def ball(angles: dict[str, np.ndarray], *names: str, sign: int = 1) -> Rotation:
    """A joint of three angles as the model has it: about z, x and y, mirrored on the left."""
    return Rotation.from_euler("ZXY", np.stack([angles[n] for n in names], axis=1) * (1, sign, sign), degrees=True)


@pytest.mark.parametrize("place", ["world", "root"])
def test_a_model_that_takes_the_angles_points_its_limbs_where_they_were(place: str, tmp_path: Path):
    world = world_joints()
    angles, joints = written(world, place, tmp_path), expected(world, place)
    np.testing.assert_allclose(angles["time"], np.arange(len(world)) / FPS, atol=1e-6)
    np.testing.assert_allclose(np.stack([angles[f"pelvis_t{axis}"] for axis in "xyz"], axis=1), joints[:, 0], atol=1e-5)
    pelvis = ball(angles, "pelvis_tilt", "pelvis_list", "pelvis_rotation")
    torso = pelvis * ball(angles, "lumbar_extension", "lumbar_bending", "lumbar_rotation")
    for side, mark, sign in (("right", "r", 1), ("left", "l", -1)):
        femur = pelvis * ball(
            angles, *(f"hip_{kind}_{mark}" for kind in ("flexion", "adduction", "rotation")), sign=sign
        )
        tibia = femur * Rotation.from_euler("Z", -angles[f"knee_angle_{mark}"][:, None], degrees=True)
        humerus = torso * ball(angles, *(f"arm_{kind}_{mark}" for kind in ("flex", "add", "rot")), sign=sign)
        ulna = humerus * Rotation.from_euler("Z", angles[f"elbow_flex_{mark}"][:, None], degrees=True)
        for upper, lower, bend, names in (
            (femur, tibia, angles[f"knee_angle_{mark}"], ("hip", "knee", "ankle")),
            (humerus, ulna, angles[f"elbow_flex_{mark}"], ("shoulder", "elbow", "wrist")),
        ):
            above, below = (bone(joints, f"{side}_{start}", f"{side}_{end}") for start, end in pairwise(names))
            np.testing.assert_allclose(upper.apply(DOWN), above, atol=1e-4, err_msg=f"{side} {names[0]}")
            np.testing.assert_allclose(bend, np.degrees(np.arccos((above * below).sum(axis=1))), atol=1e-2)
            # A nearly straight limb has no plane for its hinge to keep to.
            off = np.degrees(np.arccos((lower.apply(DOWN) * below).sum(axis=1)))
            assert off.max() < 2
            assert off[bend > 45].max() < 0.2


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


def test_standing_upright_is_zero_in_every_coordinate():
    assert list(posed().values()) == pytest.approx([0] * len(posed()), abs=1e-9)


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
    assert found.pop(coordinate) == pytest.approx(degrees)
    assert list(found.values()) == pytest.approx([0] * len(found), abs=1e-9)
