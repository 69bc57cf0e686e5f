import csv
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vidpose.body.joint_angles import (
    AngleSummary,
    angle_names,
    angular_velocity,
    choose_angles,
    joint_angles,
    segment_lengths,
    symmetry,
    upward,
)
from vidpose.body.skeletons import BLAZEPOSE_33, H36M_17, SKELETONS, Skeleton
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.cli.angles import angles as angles_command
from vidpose.common.errors import UsageError, VidposeError
from vidpose.evaluation.figures import LEFT, RIGHT

UPRIGHT = {
    "pelvis": (0, 0, 0), "spine": (0, 0, 0.25), "thorax": (0, 0, 0.5), "nose": (0, 0.1, 0.65), "head_top": (0, 0, 0.8),
    "hip": (0.12, 0, 0), "knee": (0.12, 0, -0.45), "ankle": (0.12, 0, -0.9), "heel": (0.12, -0.05, -0.97),
    "foot_index": (0.12, 0.15, -0.97), "shoulder": (0.2, 0, 0.5), "elbow": (0.2, 0, 0.2), "wrist": (0.2, 0, -0.05),
    "index": (0.2, 0.02, -0.14), "pinky": (0.2, -0.02, -0.13),
}  # fmt: skip
"""Metres to the right, forward and up of a standing body, right side; the left one is its mirror image."""

UP = np.array([0.0, 0.0, 1.0])

BELOW = {
    "hip": ("knee", "ankle", "heel", "foot_index"), "knee": ("ankle", "heel", "foot_index"),
    "ankle": ("heel", "foot_index"), "shoulder": ("elbow", "wrist", "index", "pinky"),
    "elbow": ("wrist", "index", "pinky"), "wrist": ("index", "pinky"),
}  # fmt: skip

ENDS = ("heel", "foot_index", "index", "pinky")

FORWARD = {"hip": 1, "knee": -1, "ankle": 1, "shoulder": 1, "elbow": 1}
"""Which way a joint flexes: a positive turn about the axis to the right lifts what hangs down to the front."""


def body(layout: Skeleton = H36M_17, **turns: tuple[float, float]) -> np.ndarray:
    """(1, J, 3) of a standing body with joints turned: `left_knee=(60, 0)` by degrees forward, then outwards.

    A turn moves everything below the joint rigidly; the joints nearest to the hands and feet turn first.
    """
    at = {}
    for side, mirror in (("left", np.array([-1, 1, 1])), ("right", np.array([1, 1, 1]))):
        at |= {f"{side}_{part}": mirror * UPRIGHT[part] for part in UPRIGHT if part in BELOW or part in ENDS}
    at |= {part: np.array(UPRIGHT[part]) for part in ("pelvis", "spine", "thorax", "nose", "head_top")}
    for part in ("elbow", "shoulder", "ankle", "knee", "hip"):
        for side, outwards in (("left", 1), ("right", -1)):
            forward, abduction = turns.get(f"{side}_{part}", (0, 0))
            # Intrinsic: about the body's axis to the right, then about the forward axis that was carried along.
            turn = Rotation.from_euler("XY", [FORWARD[part] * forward, outwards * abduction], degrees=True)
            pivot = at[f"{side}_{part}"]
            for name in BELOW[part]:
                at[f"{side}_{name}"] = pivot + turn.apply(at[f"{side}_{name}"] - pivot)
    return np.array([[at.get(joint, (np.nan,) * 3) for joint in layout.joints]])


def angles_of(layout: Skeleton = H36M_17, **turns: tuple[float, float]) -> dict[str, float]:
    return {name: float(curve[0]) for name, curve in joint_angles(body(layout, **turns), layout, UP).items()}


def zeros(layout: Skeleton, *unknown: str) -> dict[str, float]:
    return {name: np.nan if name.endswith(unknown) else 0.0 for name in angle_names(layout)}


def test_every_angle_of_a_standing_body_is_zero_but_for_what_straight_limbs_do_not_show():
    wanted = zeros(BLAZEPOSE_33, "forearm_rotation")
    assert angles_of(BLAZEPOSE_33) == pytest.approx(wanted, abs=1e-9, nan_ok=True)
    assert angles_of() == pytest.approx(zeros(H36M_17, "hip_rotation"), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("joint", "turn", "expected"),
    [
        ("knee", (60, 0), {"knee_flexion": 60}),
        ("elbow", (135, 0), {"elbow_flexion": 135, "forearm_rotation": 0}),
        ("hip", (95, 0), {"hip_flexion": 95}),
        ("hip", (-25, 0), {"hip_flexion": -25}),
        ("hip", (0, 30), {"hip_abduction": 30}),
        ("hip", (40, -15), {"hip_flexion": 40, "hip_abduction": -15}),
        ("shoulder", (80, 0), {"shoulder_flexion": 80, "shoulder_elevation": 80}),
        ("shoulder", (-50, 0), {"shoulder_flexion": -50, "shoulder_elevation": 50}),
        ("shoulder", (170, 0), {"shoulder_flexion": 170, "shoulder_elevation": 170}),
        ("shoulder", (185, 0), {"shoulder_flexion": 185, "shoulder_elevation": 175}),
        ("shoulder", (0, 70), {"shoulder_abduction": 70, "shoulder_elevation": 70}),
        ("ankle", (20, 0), {"ankle_flexion": 20}),
        ("ankle", (-35, 0), {"ankle_flexion": -35}),
    ],
)
def test_a_joint_that_is_turned_has_that_angle_and_no_other_has(side, joint, turn, expected):
    angles = angles_of(BLAZEPOSE_33, **{f"{side}_{joint}": turn})
    wanted = zeros(BLAZEPOSE_33, "forearm_rotation") | {f"{side}_{name}": value for name, value in expected.items()}
    assert angles == pytest.approx(wanted, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(("side", "outwards"), [("left", -1), ("right", 1)])
def test_limbs_turn_about_themselves_and_hands_bend(side: str, outwards: int):
    def turned(joint: str, axis: tuple[float, float, float], degrees: float, **turns: tuple[float, float]):
        """The side's angles after all below a joint has turned about an axis, right-handed, in right, forward, up."""
        joints = body(BLAZEPOSE_33, **turns)
        rows = [BLAZEPOSE_33.index(f"{side}_{name}") for name in BELOW[joint]]
        pivot = joints[0, BLAZEPOSE_33.index(f"{side}_{joint}")]
        joints[0, rows] = pivot + Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).apply(
            joints[0, rows] - pivot
        )
        found = joint_angles(joints, BLAZEPOSE_33, UP)
        return {name.removeprefix(f"{side}_"): curve[0] for name, curve in found.items() if name.startswith(side)}

    # Toes inwards: of the right foot, to the left, which is anticlockwise from above.
    for bend in (0, 60):
        assert turned("hip", (0, 0, 1), 25 * outwards, **{f"{side}_knee": (bend, 0)})["hip_rotation"] == pytest.approx(
            25
        )
    # The palm faces the thigh, so the hand bends about the forward axis: of the right one, to the left.
    bent = turned("wrist", (0, 1, 0), 40 * outwards)
    assert (bent["wrist_flexion"], bent["elbow_flexion"]) == (pytest.approx(40), pytest.approx(0, abs=1e-6))
    # The elbow is bent to a right angle, the forearm points forward and the thumb up. Pronation takes it inwards.
    flat = turned("wrist", (0, 1, 0), -90 * outwards, **{f"{side}_elbow": (90, 0)})
    assert flat["forearm_rotation"] == pytest.approx(90)
    assert flat["wrist_flexion"] == pytest.approx(0, abs=1e-6)


@settings(deadline=None)  # on a busy machine, one example may take as long as all
@given(
    st.floats(-30, 110), st.floats(-20, 40), st.floats(0, 140), st.floats(-60, 170), st.floats(-10, 70),
    st.integers(0, 1000),
)  # fmt: skip
def test_angles_do_not_depend_on_where_the_body_is_and_how_it_is_turned(flexion, abduction, knee, arm, spread, seed):
    turns = {"left_hip": (flexion, abduction), "left_knee": (knee, 0), "left_shoulder": (arm, spread)}
    joints = body(**turns)
    angles = joint_angles(joints, H36M_17, UP)
    assert angles["left_hip_flexion"][0] == pytest.approx(flexion, abs=1e-6)
    assert angles["left_hip_abduction"][0] == pytest.approx(abduction, abs=1e-6)
    assert angles["left_shoulder_flexion"][0] == pytest.approx(arm, abs=1e-6)
    assert angles["left_shoulder_abduction"][0] == pytest.approx(spread, abs=1e-6)
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed)
    moved = joint_angles(
        rng.uniform(0.1, 9) * turn.apply(joints[0])[None] + rng.normal(size=3), H36M_17, turn.apply(UP)
    )
    for name, curve in moved.items():
        assert curve == pytest.approx(angles[name], abs=1e-6, nan_ok=True), name

    mirrored = joint_angles((joints * [-1, 1, 1])[:, H36M_17.mirror], H36M_17, UP)
    for name, curve in mirrored.items():
        if name.startswith("trunk"):
            continue
        side, what = name.split("_", 1)
        assert curve == pytest.approx(
            angles[f"{'right' if side == 'left' else 'left'}_{what}"], abs=1e-6, nan_ok=True
        ), name


@pytest.mark.parametrize(("forward", "right"), [(25, 0), (-10, 0), (0, 15), (90, 0), (120, 0), (30, -20)])
def test_the_trunk_leans_against_the_vertical(forward, right):
    # Forward about the axis to the right, which stays level; then to the right in the trunk's own plane.
    turn = Rotation.from_euler("XY", [-forward, right], degrees=True)
    leaning = turn.apply(body()[0])
    hips = [H36M_17.index(f"{side}_hip") for side in ("left", "right")]
    leaning[hips] = body()[0][hips]
    angles = joint_angles(leaning[None], H36M_17, UP)
    assert angles["trunk_lean_forward"][0] == pytest.approx(forward)
    assert angles["trunk_lean_right"][0] == pytest.approx(right)


def test_the_vertical_is_the_worlds_where_it_is_known():
    np.testing.assert_allclose(upward(None), [0, -1, 0])
    np.testing.assert_allclose(upward(PinholeCamera((1.0, 1.0), (0.0, 0.0))), [0, -1, 0])
    # A camera that looks down by 30 degrees: upwards of the world is up and a little backwards for it.
    down = np.radians(30)
    to_world = np.array([[1, 0, 0, 0], [0, -np.sin(down), np.cos(down), 0], [0, -np.cos(down), -np.sin(down), 2.0]])
    up = upward(PinholeCamera((1.0, 1.0), (0.0, 0.0), to_world))
    np.testing.assert_allclose(up, [0, -np.cos(down), -np.sin(down)])
    upright = (body()[0]) @ to_world[:, :3]
    assert joint_angles(upright[None], H36M_17, up)["trunk_lean_forward"] == pytest.approx([0], abs=1e-9)
    assert joint_angles(upright[None], H36M_17)["trunk_lean_forward"] == pytest.approx([-30])


def test_an_arm_that_points_sideways_has_no_flexion_but_an_elevation():
    angles = angles_of(left_shoulder=(0, 85))
    assert np.isnan(angles["left_shoulder_flexion"])
    assert angles["left_shoulder_abduction"] == pytest.approx(85)
    assert angles["left_shoulder_elevation"] == pytest.approx(85)
    assert angles["right_shoulder_flexion"] == pytest.approx(0, abs=1e-9)


def test_what_is_absent_or_has_no_direction_gives_no_angle():
    joints = np.repeat(body(left_knee=(50, 0)), 3, axis=0)
    joints[1, H36M_17.index("left_ankle")] = np.nan
    joints[2, H36M_17.index("left_ankle")] = joints[2, H36M_17.index("left_knee")]
    angles = joint_angles(joints, H36M_17, UP)
    assert np.isnan(angles["left_knee_flexion"]).tolist() == [False, True, True]
    assert not np.isnan(angles["left_hip_flexion"]).any()
    for curve in joint_angles(np.full((4, 17, 3), np.nan), H36M_17).values():
        assert curve.shape == (4,)
        assert np.isnan(curve).all()


@pytest.mark.parametrize("layout", SKELETONS.values(), ids=SKELETONS)
def test_every_layout_has_angles_and_segments(layout):
    names = angle_names(layout)
    assert {"left_knee_flexion", "right_hip_flexion", "left_elbow_flexion", "trunk_lean_forward"} <= set(names)
    assert ("left_ankle_flexion" in names) == ("left_heel" in layout.joints)
    lengths = segment_lengths(np.full((2, len(layout), 3), np.nan), layout)
    assert len(lengths) == 11
    assert all(length.shape == (2,) for length in lengths.values())


def test_segments_are_as_long_as_they_were_made():
    lengths = segment_lengths(body(left_knee=(70, 0), right_shoulder=(40, 20)), H36M_17)
    expected = {"thigh": 0.45, "shank": 0.45, "upper_arm": 0.3, "forearm": 0.25}
    for segment, metres in expected.items():
        for side in ("left", "right"):
            assert lengths[f"{side}_{segment}"] == pytest.approx([metres])
    assert lengths["trunk"] == pytest.approx([0.5])
    assert lengths["hip_width"] == pytest.approx([0.24])
    assert lengths["shoulder_width"] == pytest.approx([0.4])


def test_velocity_is_exact_for_a_parabola_at_uneven_times():
    times = np.cumsum([0, 0.01, 0.05, 0.02, 0.4, 0.033, 0.033])
    velocity = angular_velocity(30 + 80 * times - 100 * times**2, times)
    np.testing.assert_allclose(velocity[1:-1], (80 - 200 * times)[1:-1])
    np.testing.assert_allclose(velocity, np.gradient(30 + 80 * times - 100 * times**2, times))


def test_velocity_goes_through_the_full_turn_and_stops_at_gaps():
    times = np.arange(9) / 10
    turning = (175 + 20 * np.arange(9.0) + 180) % 360 - 180
    np.testing.assert_allclose(angular_velocity(turning, times), 200)
    turning[[3, 5]] = np.nan
    velocity = angular_velocity(turning, times)
    # Row 4 is alone between two gaps, so that it has no velocity.
    assert np.isnan(velocity).tolist() == [i in (3, 4, 5) for i in range(9)]
    np.testing.assert_allclose(velocity[[0, 1, 2, 6, 7, 8]], 200)
    assert np.isnan(angular_velocity(np.array([5.0]), np.array([0.0]))).all()
    assert np.isnan(angular_velocity(np.array([5.0, 6.0]), np.array([1.0, 1.0]))).all()


def test_a_summary_leaves_out_the_rare_and_the_absent():
    curve = np.append(np.linspace(0, 100, 999), [4000.0])
    summary = AngleSummary.of(np.append(curve, [np.nan] * 50))
    assert summary.median == pytest.approx(50, abs=0.2)
    assert (summary.low, summary.high) == pytest.approx(tuple(np.percentile(curve, [2.5, 97.5])))
    assert summary.range == summary.high - summary.low < 101
    assert np.isnan(AngleSummary.of(np.full(3, np.nan)).median)


def test_the_symmetry_index_is_that_of_robinson():
    assert symmetry(50, 50) == 0
    assert symmetry(55, 45) == pytest.approx(100 * (55 - 45) / (0.5 * (55 + 45)))
    assert symmetry(45, 55) == -symmetry(55, 45)
    assert symmetry(0, 0) == 0


def test_angles_are_chosen_by_parts_of_their_names():
    assert choose_angles(["knee"], H36M_17) == ("left_knee_flexion", "right_knee_flexion")
    assert choose_angles(["trunk", "left_hip"], H36M_17) == (
        "left_hip_flexion", "left_hip_abduction", "left_hip_rotation", "trunk_lean_forward", "trunk_lean_right",
    )  # fmt: skip
    assert choose_angles(["right_elbow_flexion"], H36M_17) == ("right_elbow_flexion",)
    assert choose_angles(["left", "right", "trunk"], H36M_17) == angle_names(H36M_17)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("kneee", "did you mean knee"), ("ankle", "h36m17 has no such angle"), ("", "known are knee, hip, elbow")],
)
def test_an_angle_that_is_not_known_is_one_line(wanted, message):
    with pytest.raises(UsageError, match=message):
        choose_angles([wanted], H36M_17)


# vidpose angles RESULT


def walking_result(rows: int = 40) -> PoseResult:
    """Person 3 bends the left knee by a degree a frame at 50 frames a second; person 5 was never lifted."""
    joints = np.concatenate([body(left_knee=(float(row), 0)) for row in range(rows)]) @ TO_CAMERA
    frames = np.arange(7, 7 + rows)
    blank = np.full((rows, 17, 2), np.nan, np.float32)
    track = Track.of_keypoints(3, frames, frames / 50, blank.reshape(rows, -1)[:, :4], blank, np.zeros((rows, 17)))
    joints[10:11] = np.nan
    walker = replace(track, joints=joints.astype(np.float32), joint_scores=np.ones((rows, 17), np.float32))
    nobody = replace(walker, id=5, joints=np.full((rows, 17, 3), np.nan, np.float32))
    source = Source("Läufe/走.mp4", 64, 48, np.arange(7 + rows) / 50, Fraction(50))
    return PoseResult(source, (walker, nobody), "coco17", "h36m17")


TO_CAMERA = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Right, forward, up, as rows, in a level camera's axes."""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    walking_result().save(tmp_path / "走.npz")
    return tmp_path / "走.npz"


def run_angles(*arguments: object) -> Result:
    return CliRunner().invoke(angles_command, [str(argument) for argument in arguments])


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_a_frame_with_angles_and_velocities(saved):
    done = run_angles(saved, "--angles", "knee,trunk")
    assert done.exit_code == 0, done.output
    table = rows_of(saved.with_name("走_angles.csv"))
    assert [int(row["frame"]) for row in table] == list(range(7, 47))
    assert {row["id"] for row in table} == {"3"}
    assert [row["left_knee_flexion"] for row in table[9:12]] == ["9.00", "", "11.00"]
    assert table[10]["left_knee_flexion_velocity"] == ""
    assert float(table[20]["left_knee_flexion_velocity"]) == pytest.approx(50, abs=0.05)
    assert (
        float(table[20]["right_knee_flexion"]) == float(table[20]["trunk_lean_forward"]) == pytest.approx(0, abs=0.01)
    )
    assert table[1]["time"] == "0.160000"
    assert "left_hip_flexion" not in table[0]


def test_the_summary_sets_left_against_right(saved):
    assert run_angles(saved).exit_code == 0
    lines = {(row["quantity"], row["side"]): row for row in rows_of(saved.with_name("走_angles_summary.csv"))}
    known = np.delete(np.arange(40.0), 10)
    left = lines["knee_flexion", "left"]
    low, high = np.percentile(known, [2.5, 97.5])
    assert float(left["median"]) == pytest.approx(np.median(known), abs=0.01)
    assert (float(left["low"]), float(left["range"])) == pytest.approx((low, high - low), abs=0.01)
    assert float(left["symmetry_percent"]) == pytest.approx(200, abs=0.1)
    assert lines["thigh", "right"]["median"] == "0.4500"
    assert lines["thigh", "right"]["symmetry_percent"] in {"0.0", "-0.0"}
    assert lines["trunk", ""]["unit"] == "metres"
    assert lines["trunk", ""]["symmetry_percent"] == ""
    # The page of the angles says where these were measured.
    page = (Path(__file__).parents[1] / "docs" / "angles.md").read_text(encoding="utf-8")
    assert f"knee flexion | {left['typical_error']} |" in page
    assert lines["thigh", "left"]["typical_error"] == ""


def test_sides_of_a_fitted_body_are_not_compared_by_their_lengths(saved):
    result = PoseResult.load(saved)
    rotations = np.tile(np.array([1, 0, 0, 0], np.float32), (1, 17, 1))
    fitted = tuple(replace(track, rotations=np.repeat(rotations, len(track), axis=0)) for track in result.tracks)
    result.with_tracks(fitted).save(saved)
    assert run_angles(saved).exit_code == 0
    lines = {(row["quantity"], row["side"]): row for row in rows_of(saved.with_name("走_angles_summary.csv"))}
    assert lines["thigh", "right"]["symmetry_percent"] == ""
    assert lines["knee_flexion", "right"]["symmetry_percent"] != ""


def test_the_figure_shows_both_sides_in_their_colours(saved):
    assert run_angles(saved, "--angles", "knee").exit_code == 0
    picture = cv2.imdecode(np.fromfile(saved.with_name("走_angles_3.png"), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    for colour in (LEFT, RIGHT):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture.astype(int) - wanted).max(axis=2) < 20).sum() > 200, colour
    assert not saved.with_name("走_angles_5.png").exists()


def test_files_are_kept_unless_told_otherwise(saved, tmp_path):
    kept = saved.with_name("走_angles_3.png")
    kept.write_text("mine")
    refused = run_angles(saved)
    assert "exists already; give `overwrite`" in str(refused.exception)
    assert kept.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["走.npz", "走_angles_3.png"]
    assert run_angles(saved, "--out", tmp_path / "new" / "folder").exit_code == 0
    assert run_angles(saved, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message", "exit_code"),
    [
        (["--person", "4"], "--person 4: .* has 3, 5", 2),
        (["--person", "5"], "no 3D joints of these people", 1),
        (["--angles", "hipp"], "did you mean hip", 2),
    ],
)
def test_what_cannot_be_is_one_line(saved, arguments, message, exit_code):
    error = run_angles(saved, *arguments).exception
    assert isinstance(error, VidposeError)
    assert re.search(message, str(error))
    assert error.exit_code == exit_code
    assert "\n" not in str(error)


def test_nobody_one_frame_and_no_result(tmp_path):
    walking_result().with_tracks(()).save(tmp_path / "nobody.npz")
    assert "no 3D joints of anybody" in str(run_angles(tmp_path / "nobody.npz").exception)
    (tmp_path / "text.npz").write_text("not a result")
    assert "not a vidpose result" in str(run_angles(tmp_path / "text.npz").exception)
    walking_result(rows=1).save(tmp_path / "one.npz")
    assert run_angles(tmp_path / "one.npz").exit_code == 0
    [row] = rows_of(tmp_path / "one_angles.csv")
    assert (row["left_knee_flexion"], row["left_knee_flexion_velocity"]) == ("0.00", "")
