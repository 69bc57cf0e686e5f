"""ASF, AMC and BVH, against rotations composed by scipy and poses worked by hand."""

import mocap_files
import numpy as np
import pytest
from mocap_files import UNIT, write_amc, write_asf, write_bvh
from scipy.spatial.transform import Rotation

from vidpose.common.errors import VidposeError
from vidpose.datasets.mocap.asf_amc import read_amc, read_asf
from vidpose.keypoint_files.animation import check_size, rotations
from vidpose.keypoint_files.bvh_reader import read_bvh

SMALL_ASF = """
:units
  length 2.54
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name upper
    direction 0 -1 0
    length 3
    axis 0 0 0 XYZ
    dof rx ry
    limits (-160.0 20.0)
           (-70.0 70.0)
  end
  begin
    id 2
    name lower
    direction 1 0 0
    length 2
    axis 0 0 90 XYZ
    dof rx
    limits (-160.0 20.0)
  end
:hierarchy
  begin
    root upper
    upper lower
  end
"""
"""A unit is a centimetre. The lower bone's x axis is the body's y axis."""

SMALL_AMC = ":FULLY-SPECIFIED\n:DEGREES\n1\nroot 10 20 30 0 0 0\nupper 90 90\nlower 90\n"

SMALL_BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Knee
  {
    OFFSET 0 -3 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 2 0 0
    }
  }
}
MOTION
Frames: 1
Frame Time: 0.0083333
10 20 30 90 90 0 0 0 90
"""


def small(tmp_path, asf=SMALL_ASF, amc=SMALL_AMC):
    (tmp_path / "01.asf").write_text(asf)
    (tmp_path / "01_01.amc").write_text(amc)
    return read_amc(tmp_path / "01_01.amc", read_asf(tmp_path / "01.asf"))


def small_bvh(tmp_path, text=SMALL_BVH):
    (tmp_path / "01_01.bvh").write_text(text)
    return read_bvh(tmp_path / "01_01.bvh")


def test_rotations_are_products_in_order():
    radians = np.random.default_rng(0).uniform(-3, 3, (5, 3))
    np.testing.assert_allclose(rotations("zyx", radians), Rotation.from_euler("ZYX", radians).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(
        rotations("xz", radians[:, :2]), Rotation.from_euler("XZ", radians[:, :2]).as_matrix(), atol=1e-12
    )


def test_asf_worked_by_hand(tmp_path):
    animation = small(tmp_path)
    assert animation.names == ("root", "upper", "lower")
    # Upper bone: -y, turned about x to -z, then about y to -x. Lower bone: +x, turned by its own x axis, the body's y,
    # to -z; the upper bone's x turn takes that to y, which its y turn leaves.
    expected = [[0.10, 0.20, 0.30], [0.07, 0.20, 0.30], [0.07, 0.22, 0.30]]
    np.testing.assert_allclose(animation.positions[0], expected, atol=1e-12)


def test_root_offset_orientation_and_order(tmp_path):
    asf = SMALL_ASF.replace("TX TY TZ RX RY RZ", "RZ RX RY TX TY TZ").replace("position 0 0 0", "position 1 2 3")
    animation = small(
        tmp_path,
        asf.replace("orientation 0 0 0", "orientation 10 20 30"),
        SMALL_AMC.replace("10 20 30 0 0 0", "40 50 60 10 20 30").replace("90", "0"),
    )
    np.testing.assert_allclose(animation.positions[0, 0], [0.11, 0.22, 0.33])
    rest = Rotation.from_euler("xyz", [10, 20, 30], degrees=True)
    turn = rest * Rotation.from_euler("zxy", [40, 50, 60], degrees=True) * rest.inv()
    np.testing.assert_allclose(animation.rotations[0, 0], turn.as_matrix(), atol=1e-12)
    bone = animation.positions[0, 1] - animation.positions[0, 0]
    np.testing.assert_allclose(bone, turn.apply([0, -0.03, 0]), atol=1e-12)


def test_cmu_body_agrees_with_scipy(tmp_path):
    moves = mocap_files.movement(7, swing=70)
    animation = read_amc(write_amc(tmp_path / "02_01.amc", moves), read_asf(write_asf(tmp_path / "02.asf")))
    ends, turns = mocap_files.pose(moves)
    assert set(animation.names) == set(ends)
    for name in ends:
        i = animation.index(name)
        np.testing.assert_allclose(animation.positions[:, i], ends[name], atol=1e-8, err_msg=name)
        np.testing.assert_allclose(animation.rotations[:, i], turns[name].as_matrix(), atol=1e-8, err_msg=name)


def test_order_of_degrees_of_freedom_and_radians(tmp_path):
    moves = mocap_files.movement(3)
    skeleton = read_asf(write_asf(tmp_path / "02.asf", angle="rad", dof_order=slice(None, None, -1)))
    backwards = {name: values if name == "root" else values[:, ::-1] for name, values in moves.items()}
    animation = read_amc(write_amc(tmp_path / "02_01.amc", backwards), skeleton)
    angles = backwards["lfemur"]  # z, then y, then x
    frame = Rotation.from_euler("xyz", (0, 0, 20), degrees=True)
    local = frame * Rotation.from_euler("zyx", angles, degrees=True) * frame.inv()
    hip, knee = (animation.positions[:, animation.index(name)] for name in ("lhipjoint", "lfemur"))
    root = Rotation.from_euler("xyz", moves["root"][:, 3:], degrees=True)
    np.testing.assert_allclose(knee - hip, 7.2 * UNIT * (root * local).apply(mocap_files.BONES[1][2]), atol=1e-8)


def test_bvh_worked_by_hand(tmp_path):
    animation, fps = small_bvh(tmp_path)
    assert fps == 120
    assert animation.names == ("Hips", "Knee", "Knee end")
    # Hips: Rz(90) Rx(90). Their offset -3y goes by Rx to -3z, which Rz leaves. The end 2x goes by the knee's Ry to -2z,
    # by Rx to 2y, by Rz to -2x.
    np.testing.assert_allclose(animation.positions[0], [[10, 20, 30], [10, 20, 27], [8, 20, 27]], atol=1e-12)


def test_a_bvh_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "01_01.bvh").write_text(SMALL_BVH, encoding="utf-8-sig")
    animation, _ = read_bvh(tmp_path / "01_01.bvh")
    assert animation.positions[0].tolist() == small_bvh(tmp_path)[0].positions[0].tolist()


def test_positions_of_a_bvh_joint_replace_its_offset(tmp_path):
    text = SMALL_BVH.replace("CHANNELS 3 Z", "CHANNELS 5 Xposition Yposition Z").replace(
        "90 90 0 0 0 90", "0 0 0 7 8 0 0 0"
    )
    animation, _ = small_bvh(tmp_path, text.replace("OFFSET 0 -3 0", "OFFSET 0 -3 1"))
    np.testing.assert_allclose(animation.positions[0, 1], [17, 28, 31])


def test_a_movement_is_the_same_in_both_formats(tmp_path):
    moves = mocap_files.movement(9, swing=60)
    amc = read_amc(write_amc(tmp_path / "02_01.amc", moves), read_asf(write_asf(tmp_path / "02.asf")))
    bvh, _ = read_bvh(write_bvh(tmp_path / "02_01.bvh", moves))
    for name, parent in mocap_files.PARENTS.items():
        start, end = amc.positions[:, amc.index(parent)], amc.positions[:, amc.index(name)]
        np.testing.assert_allclose(UNIT * bvh.positions[:, bvh.index(name)], start, atol=1e-7, err_msg=name)
        if f"{name} end" in bvh.names:
            np.testing.assert_allclose(UNIT * bvh.positions[:, bvh.index(f"{name} end")], end, atol=1e-7)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (":hierarchy", "#", "no section :hierarchy"),
        ("  order TX", "  sequence TX", "section :root has no order"),
        ("order TX", "order QX", "line 6: an order of TX TY TZ RX RY RZ"),
        ("length 2.54", "length 1e-30", "line 3: a length unit of 1e-30"),
        ("length 2.54", "length 0", "line 3: a length unit of 0"),
        ("0 -1 0", "0 -1", "line 14: 2 numbers, where 3 were expected"),
        ("0 -1 0", "0 -1 up", "line 14: numbers were expected, not '0 -1 up'"),
        ("    length 3\n", "", "line 19: a bone without length"),
        ("0 0 90 XYZ", "0 0 90 XYY", "line 26: an order of axes like XYZ"),
        ("dof rx ry", "dof rx tx", "line 17: degrees of freedom rx tx"),
        ("root upper", "root uper", "line 32: unknown bone 'uper'"),
        ("upper lower", "lower upper", "line 33: bone 'lower' has no parent yet"),
        ("root upper", "root upper upper", "line 32: bone 'upper' for the second time"),
    ],
)
def test_a_broken_asf_is_one_line(tmp_path, old, new, problem):
    with pytest.raises(VidposeError, match=problem) as caught:
        small(tmp_path, SMALL_ASF.replace(old, new, 1))
    assert "01.asf" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("amc", "problem"),
    [
        (SMALL_AMC + "2\nroot 1 2 3 4 5 6\nupper 1 2\n", "line 9: frame 2 ends without lower; the file is cut off"),
        (SMALL_AMC + "2\nroot 1 2 3 4 5 6\nupper 1\n", "line 9: 1 numbers, where 2 were expected"),
        (SMALL_AMC.replace("upper 90 90\n", "") + "2\n", "line 6: frame 1 ends without upper"),
        (SMALL_AMC + "root 10 20 30 0 0 0\n", "line 7: bone 'root' twice in frame 1"),
        (SMALL_AMC.replace("lower 90", "tail 90"), "line 6: unknown bone 'tail'; 01.asf does not have it"),
        (SMALL_AMC.replace("lower 90", "lower nan"), "line 6: a number that is not finite"),
        (":DEGREES\nroot 1 2 3 4 5 6\n", "line 2: the number of a frame was expected, not 'root'"),
        ("", "no frames"),
    ],
)
def test_a_broken_amc_is_one_line(tmp_path, amc, problem):
    with pytest.raises(VidposeError, match=problem) as caught:
        small(tmp_path, amc=amc)
    assert "01_01.amc" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("HIERARCHY", "", "not a BVH movement"),
        ("MOTION", "", "not a BVH movement"),
        ("}\nMOTION", "MOTION", "the hierarchy is cut off"),
        ("JOINT Knee", "ROOT Knee", "line 6: 'ROOT Knee' out of place"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3", "line 9: CHANNELS 3 Xrotation Yrotation: their number and their names"),
        ("CHANNELS 3 Zrotation", "CHANNELS 3 Wrotation", "line 9: unknown channel 'Wrotation'"),
        ("OFFSET 2 0 0", "OFFSET 2 0", "line 12: 2 numbers, where 3 were expected"),
        ("OFFSET 2 0 0", "WEIGHT 2", "line 12: 'WEIGHT' out of place"),
        ("Frames: 1", "Frames: 2", "line 19: 1 frames, where 2 are announced; the file is cut off"),
        (
            "0 90\n",
            "0 90\n10 20 30 90 90 0 0 0 90\n",
            "line 17: 1 frames are announced, and 2 follow; correct the number",
        ),
        (
            "Frames: 1\nFrame Time: 0.0083333\n10 20 30 90 90 0 0 0 90",
            "Frames: 0\nFrame Time: 0.0083333",
            "line 17: no frames, so nothing moves",
        ),
        ("Frames: 1\n", "", "must begin with `Frames:`"),
        ("Frame Time: 0.0083333", "Frame Time: 0", "line 18: a frame time of 0 s"),
        ("Frame Time: 0.0083333", "Frame Time: 1e-30", "line 18: a frame time of 1e-30 s"),
        ("90 90 0 0 0 90", "90 90 0 0 90", "line 19: 8 numbers, where 9 were expected"),
    ],
)
def test_a_broken_bvh_is_one_line(tmp_path, old, new, problem):
    with pytest.raises(VidposeError, match=problem) as caught:
        small_bvh(tmp_path, SMALL_BVH.replace(old, new, 1))
    assert "01_01.bvh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_one_line(tmp_path):
    with pytest.raises(VidposeError, match=r"02\.asf: no such file"):
        read_asf(tmp_path / "02.asf")


def test_a_word_without_end_is_cut_off_in_the_error(tmp_path):
    (tmp_path / "a.bvh").write_text(f"HIERARCHY\nROOT hips\n{{\nOFFSET {'a' * 5000} 0 0\n}}\nMOTION\nFrames: 1\n")
    with pytest.raises(VidposeError, match=r"a\.bvh, line 4: numbers were expected, not 'aaa") as error:
        read_bvh(tmp_path / "a.bvh")
    assert len(str(error.value)) < 400


def test_points_that_take_no_room_in_a_file_do_not_fill_the_memory(tmp_path):
    """A joint without channels is a line, and a place and a turn in every frame."""
    joints = "".join(f"JOINT a{number}\n{{\nOFFSET 0 1 0\n" for number in range(1200))
    motion = "MOTION\nFrames: 2\nFrame Time: 0.01\n0\n1\n"
    text = f"HIERARCHY\nROOT r\n{{\nOFFSET 0 0 0\nCHANNELS 1 Xposition\n{joints}" + "}\n" * 1201 + motion
    (tmp_path / "a.bvh").write_text(text)
    with pytest.raises(VidposeError, match=r"a\.bvh: 1201 points in 2 frames; 1000 points, and 30,000,000 in all"):
        read_bvh(tmp_path / "a.bvh")
    with pytest.raises(VidposeError, match=r"500 points in 100000 frames"):
        check_size(tmp_path / "a.bvh", 100_000, 500)
