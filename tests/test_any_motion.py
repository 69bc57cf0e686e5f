"""Motion capture to train on: anyone's files under anyone's names, and CMU's own."""

import json
import re

import mocap_files
import numpy as np
import pytest
from click.testing import CliRunner
from exports import expected, result_of, track_of, world_joints
from mocap_files import MOTIONBUILDER, UNIT, write_amc, write_asf, write_bvh

from vidpose.body.skeletons import H36M_17
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.cmu import load_cmu
from vidpose.datasets.mocap.any_motion import read_motion
from vidpose.datasets.mocap.cleaning import clean
from vidpose.datasets.mocap.skeleton_names import NEEDED, find_joints, plain, read_map
from vidpose.export import FORMATS

XSENS = {
    "root": "Hips", "lfemur": "LeftHip", "ltibia": "LeftKnee", "lfoot": "LeftAnkle", "rfemur": "RightHip",
    "rtibia": "RightKnee", "rfoot": "RightAnkle", "lowerback": "Chest", "upperback": "Chest2", "thorax": "Chest3",
    "upperneck": "Neck", "head": "Head", "lclavicle": "LeftCollar", "lhumerus": "LeftShoulder", "lradius": "LeftElbow",
    "lwrist": "LeftWrist", "rclavicle": "RightCollar", "rhumerus": "RightShoulder", "rradius": "RightElbow",
    "rwrist": "RightWrist",
}  # fmt: skip
MIXAMO = {bone: f"mixamorig:{name}" for bone, name in (MOTIONBUILDER | {"upperneck": "Neck"}).items()} | {
    "lowerneck": "mixamorig:Spine2"
}
OPTITRACK = {
    "root": "Skeleton_001_Hip", "lfemur": "Skeleton_001_LThigh", "ltibia": "Skeleton_001_LShin",
    "lfoot": "Skeleton_001_LFoot", "rfemur": "Skeleton_001_RThigh", "rtibia": "Skeleton_001_RShin",
    "rfoot": "Skeleton_001_RFoot", "upperneck": "Skeleton_001_Neck", "head": "Skeleton_001_Head",
    "lhumerus": "Skeleton_001_LUArm", "lradius": "Skeleton_001_LFArm", "lwrist": "Skeleton_001_LHand",
    "rhumerus": "Skeleton_001_RUArm", "rradius": "Skeleton_001_RFArm", "rwrist": "Skeleton_001_RHand",
}  # fmt: skip
ROKOKO = {
    "root": "Hips", "lfemur": "LeftThigh", "ltibia": "LeftShin", "lfoot": "LeftFoot", "rfemur": "RightThigh",
    "rtibia": "RightShin", "rfoot": "RightFoot", "upperneck": "Neck", "head": "Head", "lclavicle": "LeftShoulder",
    "lhumerus": "LeftArm", "lradius": "LeftForeArm", "lwrist": "LeftHand", "rclavicle": "RightShoulder",
    "rhumerus": "RightArm", "rradius": "RightForeArm", "rwrist": "RightHand",
}  # fmt: skip
RIGIFY = {
    "root": "DEF-spine", "lfemur": "DEF-thigh.L", "ltibia": "DEF-shin.L", "lfoot": "DEF-foot.L",
    "rfemur": "DEF-thigh.R", "rtibia": "DEF-shin.R", "rfoot": "DEF-foot.R", "upperneck": "DEF-spine.004",
    "head": "DEF-spine.006", "lclavicle": "DEF-shoulder.L", "lhumerus": "DEF-upper_arm.L",
    "lradius": "DEF-forearm.L", "lwrist": "DEF-hand.L", "rclavicle": "DEF-shoulder.R", "rhumerus": "DEF-upper_arm.R",
    "rradius": "DEF-forearm.R", "rwrist": "DEF-hand.R",
}  # fmt: skip
SMPL = {
    "root": "pelvis", "lfemur": "left_hip", "ltibia": "left_knee", "lfoot": "left_ankle", "ltoes": "left_foot",
    "rfemur": "right_hip", "rtibia": "right_knee", "rfoot": "right_ankle", "rtoes": "right_foot",
    "lowerback": "spine1", "upperback": "spine2", "thorax": "spine3", "upperneck": "neck", "head": "head",
    "lclavicle": "left_collar", "lhumerus": "left_shoulder", "lradius": "left_elbow", "lwrist": "left_wrist",
    "rclavicle": "right_collar", "rhumerus": "right_shoulder", "rradius": "right_elbow", "rwrist": "right_wrist",
}  # fmt: skip
SCHEMES = {"motionbuilder": MOTIONBUILDER, "xsens": XSENS, "mixamo": MIXAMO, "optitrack": OPTITRACK,
           "rokoko": ROKOKO, "rigify": RIGIFY, "smpl": SMPL, "cmu": None}  # fmt: skip
NEEDED_ROWS = [H36M_17.index(joint) for joint in NEEDED]
ENDS = {"left_hip": "lhipjoint", "left_knee": "lfemur", "left_ankle": "ltibia", "left_shoulder": "lclavicle",
        "left_elbow": "lhumerus", "left_wrist": "lradius"}  # fmt: skip


def truth(moves):
    """The limbs' joints by scipy, z up."""
    ends, _ = mocap_files.pose(moves)
    bones = ENDS | {joint.replace("left", "right"): "r" + bone[1:] for joint, bone in ENDS.items()}
    points = np.stack([ends[bones[joint]] for joint in NEEDED], axis=1)
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def named(scheme):
    """Of every bone, a name that no scheme knows, and the scheme's."""
    return {bone: f"x {bone}" for bone in (*mocap_files.PARENTS, "root")} | scheme


@pytest.mark.parametrize("scheme", SCHEMES)
def test_joints_are_known_by_the_names_that_programs_give_them(tmp_path, scheme):
    moves = mocap_files.movement(30, swing=20)
    names = SCHEMES[scheme]
    path = write_bvh(tmp_path / "walk.bvh", moves, names=names and named(names), scale=UNIT / 0.01)
    [motion] = read_motion(path)
    assert motion.fps == 120
    found = motion.joints[:, NEEDED_ROWS]
    # People are put onto the floor.
    offset = found[0, 0] - truth(moves)[0, 0]
    assert np.abs(offset[:2]).max() < 1e-5
    np.testing.assert_allclose(found - offset, truth(moves), atol=1e-5)
    at = dict(zip(H36M_17.joints, motion.joints.transpose(1, 0, 2), strict=True))
    np.testing.assert_allclose(at["pelvis"], (at["left_hip"] + at["right_hip"]) / 2, atol=1e-6)
    trunk = np.linalg.norm(at["thorax"] - at["pelvis"], axis=-1)
    assert (np.linalg.norm(at["spine"] - (at["pelvis"] + at["thorax"]) / 2, axis=-1) < 0.3 * trunk).all()
    facing = np.cross(at["left_shoulder"] - at["right_shoulder"], at["head_top"] - at["thorax"])
    assert ((facing * (at["nose"] - at["thorax"])).sum(axis=-1) > 0).all()


def test_names_lose_prefixes_case_and_separators():
    for name in ("mixamorig:LeftUpLeg", "Skeleton_001_LeftUpLeg", "left_up.leg", "Group|Character1_LeftUpLeg"):
        assert plain(name) == "leftupleg"
    assert plain("Bip01 L Thigh") == "lthigh"
    assert find_joints(["Bip01 L Thigh"]).joints["left_hip"] == ("Bip01 L Thigh",)


@pytest.mark.parametrize("spelt", ["left_{}", "{}Left", "L_{}"])
def test_a_wrist_is_no_hand_and_an_ankle_no_foot(spelt):
    """SMPL and Kinect have all four; most programs call the wrist a hand and the ankle a foot."""
    limb = {f"left_{joint}": spelt.format(joint.title()) for joint in ("ankle", "foot", "wrist", "hand")}
    for order in (list(limb.values()), list(limb.values())[::-1]):
        found = find_joints(order).joints
        assert (found["left_ankle"], found["left_wrist"]) == ((limb["left_ankle"],), (limb["left_wrist"],))
    found = find_joints([limb["left_hand"], limb["left_foot"]]).joints
    assert (found["left_ankle"], found["left_wrist"]) == ((limb["left_foot"],), (limb["left_hand"],))


def test_what_is_not_found_is_said_and_a_map_names_it(tmp_path):
    moves = mocap_files.movement(12)
    own = MOTIONBUILDER | {"lfemur": "Bein links", "lfoot": "Fessel"}
    path = write_bvh(tmp_path / "gang.bvh", moves, names=named(own), scale=UNIT / 0.01)
    with pytest.raises(UsageError, match=r"gang\.bvh: found no left_hip, left_ankle among Hips, .*links.*in a map"):
        read_motion(path)
    map_ = tmp_path / "map.toml"
    map_.write_text('up = "y"\nunit = "cm"\n[joints]\nleft_hip = "Bein links"\nleft_ankle = ["Fessel"]\n')
    [motion] = read_motion(path, read_map(map_))
    found = motion.joints[:, NEEDED_ROWS]
    np.testing.assert_allclose(found - found[:, :1], truth(moves) - truth(moves)[:, :1], atol=1e-5)
    map_.write_text('[joints]\nleft_hip = "Bein"\n')
    with pytest.raises(UsageError, match=r"gang\.bvh: the map names Bein, which the recording does not have"):
        read_motion(path, read_map(map_))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[joints", "not a map of a skeleton"),
        ('units = "cm"', "no key 'units'; there are joints, up and unit"),
        ('unit = ["cm"]', r"unit is \['cm'\]; choose from"),
        ('[joints]\nhip = "Hip"', "no joint 'hip'; there are pelvis"),
        ("[joints]\nleft_hip = 3", "left_hip is 3, where a name, or a list of them, is due"),
        ('up = "x"', "up is 'x'; choose y or z"),
        ('unit = "feet"', "unit is 'feet'; choose from m, cm, mm, inch"),
    ],
)
def test_a_map_that_is_none_is_one_line(tmp_path, text, problem):
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(UsageError, match=rf"map\.toml: {problem}"):
        read_map(tmp_path / "map.toml")


def trc_of(path, joints, names):
    lines = [f"PathFileType\t4\t(X/Y/Z)\t{path.name}", "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits",
             f"100\t100\t{len(joints)}\t{len(names)}\tmm", "Frame#\tTime\t" + "\t\t\t".join(names), "", ""]  # fmt: skip
    for i, row in enumerate(1000 * joints):
        lines.append("\t".join([str(i + 1), f"{i / 100:.3f}", *(f"{value:.4f}" for value in row.ravel())]))
    path.write_text("\n".join(lines) + "\n")
    return path


def c3d_of(path, joints, names, screen=""):
    import ezc3d

    file = ezc3d.c3d()
    points = np.ones((4, len(names), len(joints)))
    points[:3] = 1000 * joints.transpose(2, 1, 0)
    file["data"]["points"] = points
    file["parameters"]["POINT"]["LABELS"]["value"] = list(names)
    file["parameters"]["POINT"]["UNITS"]["value"], file["parameters"]["POINT"]["RATE"]["value"] = ["mm"], [100.0]
    if screen:
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", [screen])
    file.write(str(path))
    return path


@pytest.mark.parametrize(("write", "suffix"), [(trc_of, ".trc"), (c3d_of, ".c3d")])
def test_points_of_biomechanics_programs(tmp_path, write, suffix):
    moves = mocap_files.movement(20)
    joints = truth(moves)
    names = [joint.replace("left_", "L").replace("right_", "R").title() for joint in NEEDED]
    if suffix == ".trc":  # y up, as OpenSim has it
        joints = np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], axis=-1)
    [motion] = read_motion(write(tmp_path / f"walk{suffix}", joints, names))
    found = motion.joints[:, NEEDED_ROWS]
    np.testing.assert_allclose(found - found[:, :1], truth(moves) - truth(moves)[:, :1], atol=2e-4)
    assert motion.fps == 100
    assert set(motion.made_up) == {"spine", "thorax", "nose", "head_top"}


@pytest.mark.parametrize(("unit", "leg"), [("mm", r"0\.00\d+"), ("m", r"\d\d0")])
def test_a_unit_that_makes_no_body_is_said(tmp_path, unit, leg):
    """Metres that are called mm, and millimetres that are called m."""
    joints = truth(mocap_files.movement(20)) / (1000 if unit == "mm" else 1)
    path = trc_of(tmp_path / "walk.trc", joints, [joint.title() for joint in NEEDED])
    path.write_text(path.read_text().replace("\tmm\n", f"\t{unit}\n"))
    with pytest.raises(VidposeError, match=rf"walk\.trc: a leg {leg} m long, its lengths taken as {unit}; correct the"):
        read_motion(path)


@pytest.mark.filterwarnings("error")
def test_joints_that_are_never_seen_are_named(tmp_path):
    joints = truth(mocap_files.movement(20))
    names = [joint.title() for joint in NEEDED]
    hip = NEEDED.index("left_hip")
    joints[:, hip] = np.nan
    with pytest.raises(VidposeError, match=r"walk\.trc: left_hip is in none of 20 frames"):
        read_motion(trc_of(tmp_path / "walk.trc", joints, names))
    joints = truth(mocap_files.movement(20))
    joints[:17, hip], joints[17:, hip + 1] = np.nan, np.nan
    with pytest.raises(
        VidposeError, match=r"no frame has all joints; left_hip is in 3 of 20, the fewest; fill the gaps"
    ):
        read_motion(trc_of(tmp_path / "walk.trc", joints, names))


@pytest.mark.filterwarnings("error")
def test_a_joint_that_is_never_seen_and_not_needed_is_made_up(tmp_path):
    joints = np.concatenate([truth(mocap_files.movement(20)), np.full((20, 2, 3), np.nan)], axis=1)
    [motion] = read_motion(
        trc_of(tmp_path / "walk.trc", joints, [*(joint.title() for joint in NEEDED), "Nose", "Spine1"])
    )
    assert np.isfinite(motion.joints).all()
    assert {"nose", "spine"} <= set(motion.made_up)


@pytest.mark.parametrize(("write", "suffix"), [(trc_of, ".trc"), (c3d_of, ".c3d")])
def test_a_marker_at_zero_was_not_seen(tmp_path, write, suffix):
    joints = truth(mocap_files.movement(20))
    joints = np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], axis=-1)
    joints[7:11, NEEDED.index("left_wrist")] = 0
    joints[15, NEEDED.index("right_knee"), 0] = 0
    [motion] = read_motion(write(tmp_path / f"walk{suffix}", joints, [joint.title() for joint in NEEDED]))
    assert np.flatnonzero(~np.isfinite(motion.joints).all(axis=(1, 2))).tolist() == [7, 8, 9, 10]


@pytest.mark.parametrize("screen", ["+Y", "+Z", ""])
def test_somebody_who_lies_lies_where_the_c3d_says_what_is_up(tmp_path, screen):
    """Whoever lies along an axis seems to stand on it, as people are taken to where nothing is said."""
    from training_data import T_POSE

    standing = np.repeat(T_POSE[None].astype(np.float64), 3, axis=0)
    # On their back, the head towards the axis that a body would be taken to stand along.
    along_y = np.stack([standing[..., 0], standing[..., 2], 0.2 - standing[..., 1]], axis=-1)
    along_z = np.stack([standing[..., 0], 0.2 - standing[..., 1], standing[..., 2]], axis=-1)
    joints = along_z if screen == "+Y" else along_y
    [motion] = read_motion(c3d_of(tmp_path / "lies.c3d", joints, H36M_17.joints, screen))
    found = motion.joints[..., 2].max() - motion.joints[..., 2].min()
    length, thickness = np.ptp(T_POSE[:, 2]), np.ptp(T_POSE[:, 1])
    assert length > 2 * thickness
    assert found == pytest.approx(thickness if screen else length, abs=1e-4)


@pytest.mark.parametrize("name", ["bvh", "trc", "c3d"])
def test_what_vidpose_exports_is_motion(tmp_path, name):
    [path] = FORMATS[name].write(result_of(track_of(world_joints(20))), tmp_path / "walk")
    [motion] = read_motion(path)
    joints = [H36M_17.index(joint) for joint in NEEDED]
    found, due = motion.joints[:, joints], expected(world_joints(20), "world")[:, joints]
    np.testing.assert_allclose(np.linalg.norm(found[:, :-1] - found[:, 1:], axis=-1),
                               np.linalg.norm(due[:, :-1] - due[:, 1:], axis=-1), atol=2e-3)  # fmt: skip


def saved(path, times, roots=None, place="world"):
    """A result of somebody who walks along x at 1 m/s and is seen at some times; where `roots` is False, unplaced."""
    from training_data import T_POSE

    track = track_of(T_POSE + times[:, None, None] * np.array([1.0, 0, 0]))
    if roots is not None:
        track.roots[~roots] = np.nan
    result_of(track, times=times, place=place).save(path)
    return path


def test_a_result_of_an_uneven_rate_keeps_its_times(tmp_path):
    """A phone films 30 a second, then in the dark 15, and stops for two seconds."""
    times = np.concatenate([np.arange(120) / 30, 4 + np.arange(60) / 15, 10 + np.arange(90) / 30])
    [motion] = read_motion(saved(tmp_path / "walk.npz", times))
    assert motion.fps == pytest.approx(30)
    clock = np.arange(round(30 * times[-1]) + 1) / 30
    assert len(motion.joints) == len(clock)
    there = np.isfinite(motion.joints).all(axis=(1, 2))
    paused = (clock > 4 + 59 / 15 + 1e-3) & (clock < 10 - 1e-3)
    np.testing.assert_array_equal(there, ~paused)
    np.testing.assert_allclose(motion.joints[there, 0], np.stack([clock, 0 * clock, 0 * clock + 0.95], 1)[there],
                               atol=2e-6)  # fmt: skip


def test_a_result_of_an_even_rate_keeps_its_frames(tmp_path):
    """Containers round to milliseconds, and a frame may be missing."""
    times = np.delete(np.round(np.arange(300) / 29.97, 3), 100)
    [motion] = read_motion(saved(tmp_path / "walk.npz", times))
    assert motion.fps == pytest.approx(29.97, abs=2e-3)
    assert len(motion.joints) == 300
    np.testing.assert_allclose(motion.joints[:, 0, 0], np.arange(300) / 29.97, atol=1e-3)
    [motion] = read_motion(saved(tmp_path / "three.npz", np.array([0, 0.01, 1.01])))
    assert motion.fps == pytest.approx(100)
    assert np.flatnonzero(np.isfinite(motion.joints[:, 0, 0])).tolist() == [0, 1, 101]


@pytest.mark.parametrize("place", ["world", "camera"])
def test_who_is_nowhere_for_a_while_is_not_at_the_camera(tmp_path, place):
    times = np.arange(90) / 30
    known = (times < 1) | (times >= 2)
    [motion] = read_motion(saved(tmp_path / "walk.npz", times, known, place))
    np.testing.assert_array_equal(np.isfinite(motion.joints).all(axis=(1, 2)), known)
    pelvis = motion.joints[known, 0].astype(np.float64)
    # In the camera's axes they walk along the world's x, which lies across it.
    np.testing.assert_allclose(np.linalg.norm(pelvis - pelvis[0], axis=-1), times[known], atol=1e-5)
    if place == "world":
        np.testing.assert_allclose(pelvis[:, 2], 0.95, atol=1e-5)


def test_who_is_nowhere_stands_upright_on_the_floor(tmp_path):
    """A camera on a stand, which looks down, is no reason to float or to lean."""
    from training_data import T_POSE

    times = np.arange(60) / 30
    [motion] = read_motion(saved(tmp_path / "walk.npz", times, times < 0))
    due = T_POSE - T_POSE[0] + [0, 0, 0.95 - T_POSE[:, 2].min()]
    np.testing.assert_allclose(motion.joints, np.repeat(due[None], 60, axis=0), atol=1e-5)


@pytest.mark.parametrize("rate", ["nan", "0", "1e-30", "-25", "1e300", "25 a second"])
def test_a_rate_that_cannot_be_is_refused(tmp_path, rate):
    path = trc_of(tmp_path / "walk.trc", truth(mocap_files.movement(4)), [joint.title() for joint in NEEDED])
    path.write_text(path.read_text().replace("100\t100\t", f"{rate}\t100\t"))
    with pytest.raises(VidposeError, match=r"walk\.trc: (.* frames a second, where 1 to 10,000 can be|not a TRC file)"):
        read_motion(path)


def test_a_file_that_is_something_else_is_one_line(tmp_path):
    for suffix, named_ in ((".trc", "TRC"), (".c3d", "C3D"), (".npz", "result")):
        path = tmp_path / f"broken{suffix}"
        path.write_bytes(b"nothing of the kind")
        with pytest.raises(VidposeError, match=rf"broken\{suffix}: .*{named_}") as caught:
            read_motion(path)
        assert "\n" not in str(caught.value)
    amc = write_amc(tmp_path / "01_01.amc", mocap_files.movement(3))
    with pytest.raises(VidposeError, match=r"01_01\.amc: its skeleton is missing"):
        read_motion(amc)


def test_asf_and_amc(tmp_path):
    moves = mocap_files.movement(8)
    write_asf(tmp_path / "02.asf")
    [motion] = read_motion(write_amc(tmp_path / "02_01.amc", moves))
    found = motion.joints[:, NEEDED_ROWS]
    np.testing.assert_allclose(found - found[:, :1], truth(moves) - truth(moves)[:, :1], atol=1e-5)


@pytest.mark.parametrize("text", ['up = "y"', 'unit = "m"', '[joints]\nnose = "head"'])
def test_a_map_leaves_alone_what_an_amc_says_by_itself(tmp_path, text):
    """One map is for a whole folder; what it does not name stays where it was."""
    moves = mocap_files.movement(8)
    write_asf(tmp_path / "02.asf")
    (tmp_path / "map.toml").write_text(text)
    [motion] = read_motion(write_amc(tmp_path / "02_01.amc", moves), read_map(tmp_path / "map.toml"))
    found = motion.joints[:, NEEDED_ROWS]
    np.testing.assert_allclose(found - found[:, :1], truth(moves) - truth(moves)[:, :1], atol=1e-5)


def renamed(text, names):
    return re.sub(rf"\b({'|'.join(names)})\b", lambda bone: names[bone[1]], text)


@pytest.mark.parametrize("feet", [True, False])
def test_bones_of_an_asf_under_other_programs_names_begin_at_their_joints(tmp_path, feet):
    """CMU's end there. A shin that nothing follows ends at the ankle all the same."""
    moves = mocap_files.movement(8)
    names = {bone: name for bone, name in MOTIONBUILDER.items() if bone != "root"}
    if not feet:
        names |= {"ltibia": "calf_l", "rtibia": "calf_r", "lfoot": "xl", "rfoot": "xr"}
    for path in (write_asf(tmp_path / "02.asf"), write_amc(tmp_path / "02_01.amc", moves)):
        path.write_text(renamed(path.read_text(), names))
    [motion] = read_motion(tmp_path / "02_01.amc")
    found = motion.joints[:, NEEDED_ROWS]
    np.testing.assert_allclose(found - found[:, :1], truth(moves) - truth(moves)[:, :1], atol=1e-5)


def test_a_map_names_bones_of_an_amc_where_they_begin_or_end(tmp_path):
    moves = mocap_files.movement(8)
    write_asf(tmp_path / "02.asf")
    path = write_amc(tmp_path / "02_01.amc", moves)
    (tmp_path / "map.toml").write_text('[joints]\nleft_knee = "ltibia"\nright_knee = "rfemur_end"\n')
    [motion] = read_motion(path, read_map(tmp_path / "map.toml"))
    found = motion.joints[:, NEEDED_ROWS]
    np.testing.assert_allclose(found - found[:, :1], truth(moves) - truth(moves)[:, :1], atol=1e-5)


def run(*words):
    result = CliRunner().invoke(cli, [str(word) for word in words])
    return result.exit_code, result.output + str(result.exception or "")


@pytest.fixture
def recordings(tmp_path):
    """Three people in folders of their own."""
    for number, person in enumerate(("ada", "bea", "cem")):
        (tmp_path / "source" / person).mkdir(parents=True)
        for trial in range(2):
            moves = mocap_files.movement(240, seed=2 * number + trial, swing=15)
            write_bvh(tmp_path / "source" / person / f"take{trial}.bvh", moves, names=named(XSENS), scale=UNIT / 0.01)
    return tmp_path / "source"


def test_a_folder_of_recordings_becomes_shards_that_train(recordings, tmp_path):
    code, output = run("data", "prepare", "motion", "--source", recordings, "--out", tmp_path / "mine")
    assert code == 0, output
    assert "ada: 2 files, 2 sequences, 4 s, train" in output
    assert "take0.bvh: no nose; made from the other joints" in output
    people = {}
    for split in ("train", "val", "test"):
        motion = load_cmu(tmp_path / "mine", split)
        people[split] = set(motion.subjects.tolist())
        assert motion.fps == 50
        assert len(motion.positions) == 2 * 100
    assert sorted(len(own) for own in people.values()) == [1, 1, 1]
    assert len(set.union(*people.values())) == 3
    assert "prepared already" in run("data", "prepare", "motion", "--source", recordings, "--out", tmp_path / "mine")[1]
    code, output = run("data", "info", "motion", "--data", tmp_path / "mine")
    assert code == 0
    assert "train: 2 sequences, 0.1 min, 1 people" in output
    code, output = run(
        "train", "cmu17/martinez", "--data", tmp_path / "mine", "--out", tmp_path / "run", "--set", "steps=2",
        "--set", "batch=4", "--set", "model.width=16", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, output
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_a_file_that_cannot_be_read_is_left_out(recordings, tmp_path):
    text = (recordings / "cem" / "take1.bvh").read_text()
    (recordings / "ada" / "take0.bvh").write_text(text[: text.index("Frames:")] + "Frames: 0\nFrame Time: 0.01\n")
    (recordings / "dan").mkdir()
    (recordings / "dan" / "broken.bvh").write_text("HIERARCHY\n")
    code, output = run("data", "prepare", "motion", "--source", recordings, "--out", tmp_path / "mine")
    assert code == 0, output
    flat = " ".join(output.split())
    assert "take0.bvh, line" in flat
    assert "no frames, so nothing moves" in flat
    assert "broken.bvh: no HIERARCHY and MOTION" in flat
    assert "ada: 2 files, 1 sequences, 2 s, train" in flat
    assert "dan:" not in flat
    assert sum(len(load_cmu(tmp_path / "mine", split).positions) for split in ("train", "val", "test")) == 5 * 100


def test_where_no_file_can_be_read_the_first_says_why(tmp_path):
    (tmp_path / "source").mkdir()
    for name in ("one.bvh", "two.trc"):
        (tmp_path / "source" / name).write_text("HIERARCHY\n")
    code, output = run("data", "prepare", "motion", "--source", tmp_path / "source", "--out", tmp_path / "mine")
    assert code != 0
    assert "one.bvh: no HIERARCHY and MOTION" in " ".join(output.split())
    assert not list((tmp_path / "mine").glob("*"))


def test_folders_named_after_splits_decide(recordings, tmp_path):
    for person, split in (("ada", "val"), ("bea", "train"), ("cem", "train")):
        (recordings / split).mkdir(exist_ok=True)
        (recordings / person).rename(recordings / split / person)
    code, output = run("data", "prepare", "motion", "--source", recordings, "--out", tmp_path / "mine")
    assert code == 0, output
    assert "bea: 2 files, 2 sequences, 4 s, train" in output
    assert len(load_cmu(tmp_path / "mine", "train").offsets) == 5
    assert not list((tmp_path / "mine").glob("motion_test_*"))


def test_one_person_trains_and_validates(tmp_path):
    (tmp_path / "source").mkdir()
    write_bvh(tmp_path / "source" / "me.bvh", mocap_files.movement(1200, swing=10), names=named(XSENS),
              scale=UNIT / 0.01)  # fmt: skip
    code, output = run("data", "prepare", "motion", "--source", tmp_path / "source", "--out", tmp_path / "mine")
    assert code == 0, output
    assert len(load_cmu(tmp_path / "mine", "train").positions) == 400
    assert len(load_cmu(tmp_path / "mine", "val").positions) == 100


def test_wrong_use_is_one_line(tmp_path):
    (tmp_path / "source").mkdir()
    for words, problem in (
        (("motion",), "no motion capture here; there should be .bvh, .amc, .c3d, .trc, .npz files"),
        (("cmu17",), "no CMU motion capture here"),
        (("h36m", "--skeleton", "m.toml"), "only `vidpose data prepare motion` takes a map"),
    ):
        code, output = run("data", "prepare", *words, "--source", tmp_path / "source", "--out", tmp_path / "out")
        assert code != 0
        assert problem in " ".join(output.split())


def test_cmus_own_files_become_shards(tmp_path):
    for subject, trials in {2: 2, 35: 1, 60: 1}.items():
        place = tmp_path / "source" / f"{subject:02d}"
        place.mkdir(parents=True)
        write_asf(place / f"{subject:02d}.asf")
        for trial in range(1, trials + 1):
            write_amc(place / f"{subject:02d}_{trial:02d}.amc", mocap_files.movement(180, subject + trial, 9))
    code, output = run("data", "prepare", "cmu17", "--source", tmp_path / "source", "--out", tmp_path / "shards")
    assert code == 0, output
    with np.load(tmp_path / "shards" / "cmu17_test_00.npz") as shard:
        assert shard["subject"].tolist() == [2, 2]
        assert shard["trial"].tolist() == [1, 2]
        # 179 steps of 1/120 s are 74 of 1/50 s and a bit.
        assert shard["offsets"].tolist() == [0, 75, 150]
        moves = mocap_files.movement(180, seed=3, swing=9)
        np.testing.assert_allclose(shard["positions"][0, NEEDED_ROWS] / 1000, truth(moves)[0], atol=6e-4)
    with np.load(tmp_path / "shards" / "cmu17_train_00.npz") as shard:
        assert shard["native_fps"].tolist() == [60]
        assert shard["offsets"].tolist() == [0, 150]
    (tmp_path / "source" / "splits.json").write_text(json.dumps({"train": [2, 35, 60], "val": [], "test": []}))
    run("data", "prepare", "cmu17", "--source", tmp_path / "source", "--out", tmp_path / "shards", "--overwrite")
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["cmu17_train_00.npz"]


def still(frames=300):
    from training_data import T_POSE

    sway = 0.01 * np.sin(np.arange(frames) / 20)[:, None, None]
    return (T_POSE[None] + sway).astype(np.float64)


def test_jumps_are_cut_out_with_a_margin():
    joints = still()
    assert clean(joints, 100.0, 15) == [slice(0, 300)]
    joints[150:, H36M_17.index("left_wrist")] += [0, 0, 0.4]
    assert clean(joints, 100.0, 15) == [slice(0, 147), slice(153, 300)]
    # A quick hand is no jump: 20 m/s.
    quick = still()
    quick[150:, H36M_17.index("left_wrist")] += [0, 0.02, 0]
    assert clean(quick, 100.0, 15) == [slice(0, 300)]
    absent = still()
    absent[40] = np.nan
    assert clean(absent, 100.0, 15) == [slice(41, 300)]


def test_recordings_that_jump_all_the_time_or_lose_the_head_are_left_out():
    joints = still()
    joints[::10] += 1.0
    assert clean(joints, 100.0, 15) == []
    joints = still()
    joints[:, H36M_17.index("head_top")] = joints[:, H36M_17.index("thorax")] + [0, 0.1, -0.2]
    assert clean(joints, 100.0, 15) == []
