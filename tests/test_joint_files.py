"""Joints in space that were exported, or that other programs wrote, are read back."""

import struct
from pathlib import Path

import numpy as np
import pytest
from exports import FPS, expected, result_of, track_of, world_joints
from foreign_keypoints import FRAMES
from scipy.spatial.transform import Rotation

from vidpose.body.bone_names import BONE_NAMES
from vidpose.body.skeletons import BLAZEPOSE_33, H36M_17, get_skeleton
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import UsageError, VidposeError
from vidpose.export import FORMATS
from vidpose.keypoint_files import read_keypoints
from vidpose.keypoint_files.c3d_reader import read_c3d_points
from vidpose.keypoint_files.joint_names import joint_of
from vidpose.pipeline.job import Job
from vidpose.pipeline.keypoint_intake import smooth_joints, take_in
from vidpose.refine.smoothing import Smoothing


@pytest.mark.parametrize("name", ["json", "openpose", "coco"])
def test_our_own_keypoint_files_come_back(name: str, tmp_path: Path):
    result = result_of(track_of(world_joints(20)), track_of(world_joints(20), number=2, first=5))
    [path] = FORMATS[name].write(result, tmp_path / "a")
    found = take_in(path, size=None if name in ("json", "coco") else (640, 480), fps=FPS)
    assert [track.id for track in found.tracks] == [1, 2]
    layout = get_skeleton(found.keypoint_layout)
    for track, own in zip(found.tracks, result.tracks, strict=True):
        assert track.frames.tolist() == own.frames.tolist()
        np.testing.assert_allclose(track.times, own.times, atol=1e-6)
        for joint in ("nose", "left_knee", "right_wrist", "left_ear"):
            place, there = layout.index(joint), BLAZEPOSE_33.index(joint)
            np.testing.assert_allclose(track.keypoints[:, place], own.keypoints[:, there], atol=0.01)
            np.testing.assert_allclose(track.scores[:, place], own.scores[:, there], atol=1e-3)


@pytest.mark.parametrize(
    ("suffix", "old", "new", "message"),
    [
        ("json", '"format_version": 1', '"format_version": 7', "format 7, of another vidpose; give the .npz"),
        ("json", '"blazepose33"', '"nobody"', "keypoints.layout is 'nobody'; known are h36m17"),
        ("json", f'"frames": {FRAMES},', '"frames": 1000000000,', "1e[+]09 frames, where 1 to 10000000 can be"),
        ("json", f'"frames": {FRAMES},', '"frames": -1,', "-1 frames"),
        ("json", f'"fps": "{FPS}"', '"fps": "1/0"', "a rate of '1/0' frames a second"),
        ("csv", "\n1,0,", "\n1,900000000000,", "9e[+]11 frames, where"),
        ("csv", "\n1,0,", "\n1,1e300,", "1e[+]300 frames, where"),
        ("csv", "\n1,0,", "\nBob,0,", "line 2: 'Bob', where a number is due"),
    ],
)
def test_what_is_wrong_with_our_own_files_is_said(suffix: str, old: str, new: str, message: str, tmp_path: Path):
    joints = np.random.default_rng(3).normal(0, 0.3, (FRAMES, 17, 3))
    [path] = FORMATS[suffix].write(result_of(track_of(joints)), tmp_path / "a")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(VidposeError, match=rf"a\.{suffix}: not .*{message}") as error:
        read_keypoints(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("number", "read"), [(1_000_000_001, 1), (0, 1), (-4, 1), (7, 7)])
def test_ids_of_a_table_of_joints_are_ids_of_a_result(number: int, read: int, tmp_path: Path):
    [path] = FORMATS["csv"].write(result_of(track_of(world_joints(10))), tmp_path / "a")
    path.write_text(path.read_text().replace("\n1,", f"\n{number},"))
    assert [track.id for track in take_in(path).tracks] == [read]


@pytest.mark.parametrize("name", ["trc", "c3d", "csv"])
def test_our_own_joints_come_back(name: str, tmp_path: Path):
    place = "camera" if name == "csv" else "world"
    world = world_joints(20)
    result = result_of(track_of(world, first=3), place=place)
    [path] = FORMATS[name].write(result, tmp_path / "a", heading=0)
    found = smooth_joints(take_in(path), Smoothing.parse("none"))
    [track] = found.tracks
    assert found.joint_layout == H36M_17.name
    assert len(track) == 20
    assert np.median(np.diff(track.times)) == pytest.approx(1 / FPS, abs=1e-5)
    points = (track.joints + track.roots[:, None]) @ found.camera.to_world[:, :3].T + found.camera.to_world[:, 3]
    right = expected(world, place, floor=False)[..., [0, 2, 1]] * (1, -1, 1)
    np.testing.assert_allclose(points, right, atol=2e-3)
    seen = found.camera.project(track.joints + track.roots[:, None])
    np.testing.assert_allclose(seen, track.keypoints, atol=0.2)
    assert ((track.keypoints > 0) & (track.keypoints < 1000)).all()


@pytest.mark.parametrize(("unit", "metres", "whose"), [("m", 1, ""), ("in", 0.0254, "Subj:"), ("ft", 0.3048, "A_1:")])
def test_joints_of_pose2sim_are_joints(tmp_path: Path, unit: str, metres: float, whose: str):
    """A TRC of Halpe's joints, with a marker that is absent for a moment and one that never is there."""
    names = ["Hip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Neck", "Head", "Nose", "RShoulder", "RElbow",
             "RWrist", "LShoulder", "LElbow", "LWrist", "RBigToe", "LBigToe"]  # fmt: skip
    world = world_joints(15)
    rows = np.zeros((15, len(names), 3))
    for place, name in enumerate(names):
        joint = {"neck": "thorax"}.get(joint_of(name), joint_of(name))
        if joint in H36M_17.joints and name != "RWrist":
            rows[:, place] = world[:, H36M_17.index(joint)][:, [0, 2, 1]] * (1, 1, -1)
    cells = np.where(rows == 0, np.nan, rows / metres)
    cells[4:6, names.index("LKnee")] = np.nan
    lines = ["PathFileType\t4\t(X/Y/Z)\ta.trc",
             "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
             f"60\t60\t15\t{len(names)}\t{unit}\t60\t0\t15",
             "Frame#\tTime\t" + "\t\t\t".join(whose + name for name in names),
             "\t\t" + "\t".join(f"{axis}{n + 1}" for n in range(len(names)) for axis in "XYZ")]  # fmt: skip
    for frame, row in enumerate(cells.reshape(15, -1)):
        lines.append("\t".join([str(frame), f"{frame / 60}", *("" if np.isnan(v) else f"{v:.6f}" for v in row)]))
    (tmp_path / "a.trc").write_text("\n".join(lines) + "\n")
    found = smooth_joints(take_in(tmp_path / "a.trc"), Smoothing.parse("none"))
    [track] = found.tracks
    assert found.source.fps == 60
    assert track.lifted.all()
    wrist, knee = H36M_17.index("right_wrist"), H36M_17.index("left_knee")
    assert (track.joint_scores[:, wrist] == 0).all()
    points = (track.joints + track.roots[:, None]) @ found.camera.to_world[:, :3].T + found.camera.to_world[:, 3]
    np.testing.assert_allclose(points[:, knee], world[:, knee], atol=0.02)
    np.testing.assert_allclose(points[:4, 1:7], world[:4, 1:7], atol=2e-3)


@pytest.mark.parametrize(
    ("factor", "message"),
    [(1e-3, r"a body 0\.001\d m high where lengths are in mm;"), (1e-2, r"a body 0\.01\d m high where"),
     (100, r"a body 1[0-9]0 m high where lengths are in m;"), (1, "")],
)  # fmt: skip
def test_units_that_are_wrong_are_said(tmp_path: Path, factor: float, message: str):
    [path] = FORMATS["trc"].write(result_of(track_of(world_joints(10))), tmp_path / "a")
    unit = {1e-3: "mm", 1e-2: "cm"}.get(factor, "m")
    lines = path.read_text().splitlines()
    lines[2] = "\t".join(unit if cell == "m" else cell for cell in lines[2].split("\t"))
    if factor > 1:
        lines[6:] = ["\t".join([*line.split("\t")[:2], *(f"{factor * float(cell or 'nan')}" for cell in
                     line.split("\t")[2:])]) for line in lines[6:]]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    if message:
        with pytest.raises(VidposeError, match=message + ".*correct the file's unit, or scale it to metres"):
            take_in(path)
    else:
        assert len(take_in(path).tracks[0]) == 10


def test_who_lies_or_is_seen_in_part_is_no_small_body(tmp_path: Path):
    world = world_joints(10)
    lying = np.stack([world[..., 2], world[..., 1], 0.1 * world[..., 0]], axis=-1)
    [path] = FORMATS["trc"].write(result_of(track_of(lying)), tmp_path / "a")
    assert len(take_in(path).tracks[0]) == 10


def test_optical_markers_are_no_joints(tmp_path: Path):
    lines = ["PathFileType\t4\t(X/Y/Z)\ta.trc", "DataRate\tUnits", "100\tmm", "Frame#\tTime\tLASI\t\t\tRASI", "\t\tX1",
             "1\t0\t1\t2\t3\t4\t5\t6"]  # fmt: skip
    (tmp_path / "a.trc").write_text("\n".join(lines) + "\n")
    with pytest.raises(VidposeError, match=r"no left_shoulder among LASI, RASI"):
        take_in(tmp_path / "a.trc")


def furthest_off(track: Track, world: np.ndarray) -> float:
    """Metres that a joint of a whole movement is off at most, once that is shifted and turned as one.

    A file has its own axes and origin, and the camera that looks at what is read is another one.
    """
    there, right = ((points - points.mean(axis=(0, 1))).reshape(-1, 3) for points in (
        (track.joints + track.roots[:, None]).astype(float), world))  # fmt: skip
    turn, _ = Rotation.align_vectors(right, there)
    return float(np.linalg.norm(turn.apply(there) - right, axis=-1).max())


@pytest.mark.parametrize("place", ["world", "camera"])
@pytest.mark.parametrize("name", ["bvh", "gltf", "trc", "c3d", "csv"])
def test_joints_that_were_exported_come_back_within_a_millimetre(tmp_path: Path, name: str, place: str):
    walker, other = world_joints(60), world_joints(40, 1)
    result = result_of(track_of(walker), track_of(other, 2, 9), place=place)
    paths = FORMATS[name].write(result, tmp_path / "walk")
    back = [track for path in paths for track in take_in(path).tracks]
    assert [len(track) for track in back] == [60, 40]
    for track, world in zip(back, (walker, other), strict=True):
        assert furthest_off(track, world) < 1e-3
        np.testing.assert_allclose(np.diff(track.times), 1 / FPS, atol=1e-5)
        assert (track.joint_scores > 0).all()


@pytest.mark.parametrize("bones", BONE_NAMES)
@pytest.mark.parametrize("name", ["bvh", "gltf"])
def test_bones_come_back_whatever_they_are_called(tmp_path: Path, name: str, bones: str):
    world = world_joints(20)
    [path] = FORMATS[name].write(result_of(track_of(world)), tmp_path / "walk", bones=bones)
    [track] = take_in(path).tracks
    assert furthest_off(track, world) < 1e-3


def test_people_of_one_gltf_keep_their_frames(tmp_path: Path):
    result = result_of(track_of(world_joints(30)), track_of(world_joints(20, 1), 2, 25))
    [path] = FORMATS["gltf"].write(result, tmp_path / "walk")
    found = take_in(path)
    assert [track.frames.tolist() for track in found.tracks] == [list(range(30)), list(range(25, 45))]
    assert found.joints_given
    # Both stand where they stood to each other.
    first, second = (track.roots[track.frames == 27][0] for track in found.tracks)
    before = expected(world_joints(30), "world")[27, 0] - expected(world_joints(20, 1), "world")[2, 0]
    np.testing.assert_allclose((first - second) * (1, -1, -1), before, atol=1e-3)


@pytest.mark.parametrize("name", ["trc", "c3d", "gltf"])
def test_who_comes_late_comes_back_at_the_same_frames(tmp_path: Path, name: str, cfr_clip: Path):
    """The clip has 12 frames at 30 a second."""
    world = world_joints(7)
    [path] = FORMATS[name].write(result_of(track_of(world, first=4)), tmp_path / "walk")
    for video in (None, cfr_clip):
        [track] = take_in(path, video=video).tracks
        assert track.frames.tolist() == list(range(4, 11))
        np.testing.assert_allclose(track.times, np.arange(4, 11) / FPS, atol=1e-4)
        assert furthest_off(track, world) < 1e-3


def late_trc(path: Path, times: np.ndarray, clock: float = 0.0) -> Path:
    """A TRC of ours with other times, and all that is about them, as other programs write it."""
    [path] = FORMATS["trc"].write(result_of(track_of(world_joints(len(times)))), path)
    lines = path.read_text().splitlines()
    rows = [row for row, line in enumerate(lines) if line[:1].isdigit()][1:]
    for row, time in zip(rows, times + clock, strict=True):
        number, _, rest = lines[row].split("\t", 2)
        lines[row] = f"{number}\t{time:.3f}\t{rest}"
    facts = lines[2].split("\t")
    lines[2] = "\t".join([f"{1 / np.diff(times)[0]:g}", *facts[1:]])
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("clock", [52_341.0, 1.7e6, -3.0])
def test_a_clock_that_is_no_video_s_begins_with_the_first_frame(tmp_path: Path, clock: float, cfr_clip: Path):
    path = late_trc(tmp_path / "a", np.arange(6) / FPS, clock)
    for video in (None, cfr_clip):
        [track] = take_in(path, video=video).tracks
        assert track.frames.tolist() == list(range(6))
        np.testing.assert_allclose(track.times, np.arange(6) / FPS, atol=2e-3)


def test_other_rates_than_the_video_s_meet_its_frames_by_time(tmp_path: Path, cfr_clip: Path):
    twice = late_trc(tmp_path / "a", 0.1 + np.arange(11) / (2 * FPS))
    [track] = take_in(twice, video=cfr_clip).tracks
    assert track.frames.tolist() == list(range(3, 9))
    half = late_trc(tmp_path / "b", 0.1 + np.arange(4) / (FPS / 2))
    [track] = take_in(half, video=cfr_clip).tracks
    assert track.frames[track.seen].tolist() == [3, 5, 7, 9]


@pytest.mark.parametrize("step", [1 / FPS, 1 / (2 * FPS)])
def test_times_of_slow_motion_are_the_video_s_or_those_of_life(tmp_path: Path, step: float, cfr_clip: Path):
    path = late_trc(tmp_path / "a", 4 * step + np.arange(6) * step)
    [track] = take_in(path, video=cfr_clip, slow_motion=2).tracks
    assert track.frames.tolist() == list(range(4, 10))


def test_a_pause_in_a_gltf_is_no_frame(tmp_path: Path):
    times = np.arange(40) / FPS + np.where(np.arange(40) >= 15, 3, 0)
    result = result_of(track_of(world_joints(40)), times=times)
    [path] = FORMATS["gltf"].write(result, tmp_path / "walk")
    [track] = take_in(path).tracks
    np.testing.assert_allclose(track.times, times, atol=1e-5)


def test_a_bvh_in_the_video_s_own_steps_of_time(tmp_path: Path):
    result = result_of(track_of(world_joints(30), first=5))
    [path] = FORMATS["bvh"].write(result, tmp_path / "walk")
    found = take_in(path)
    assert found.source.fps == FPS
    assert found.source.num_frames == 30
    assert PoseResult.from_keypoints(path).joint_layout == H36M_17.name


@pytest.mark.parametrize(("name", "said"), [("mot", "the angles of joints"), ("html", "a page to look at")])
def test_what_holds_no_joints_says_what_to_give(tmp_path: Path, name: str, said: str):
    [path] = FORMATS[name].write(result_of(track_of(world_joints(10))), tmp_path / "walk")
    with pytest.raises(VidposeError, match=f"{said}.*give the .npz of the same run, or its JSON, CSV, TRC, C3D, BVH"):
        take_in(path)


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [(2, b"\xff\xff", "C3D file of joints"), (512, b"\0\0\0\0", "C3D file of joints"),
     (1206, b"zo\x82\x06\0\x04\1\0", ""),
     (6, b"\1\0\xff\xff", "frames"), (3000, b"", "frames")],
)  # fmt: skip
def test_a_damaged_c3d_ends_no_program(tmp_path: Path, place: int, damage: bytes, message: str):
    """Some of these ended the whole program where a C++ library read them; the last is cut off."""
    [path] = FORMATS["c3d"].write(result_of(track_of(world_joints(8))), tmp_path / "a")
    content = path.read_bytes()
    path.write_bytes(content[:place] + damage + (content[place + len(damage) :] if damage else b""))
    if not message:
        read_keypoints(path)
        return
    with pytest.raises(VidposeError, match=rf"{path.name}: .*({message})") as error:
        read_keypoints(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("first", [1, 60_000, 65_535, 65_536, 70_000, 140_000])
@pytest.mark.parametrize(("frames", "markers"), [(200, 13), (192, 16)])
def test_a_c3d_that_was_cropped_late_has_the_frames_it_says(tmp_path: Path, first: int, frames: int, markers: int):
    """The second kind ends with a block of the file: there is nothing to take for a frame more."""
    positions = np.random.default_rng(first).uniform(-900, 900, (frames, markers, 3)).astype(np.float32)
    path = c3d_by_hand(tmp_path / "late.c3d", positions, first)
    np.testing.assert_array_equal(read_c3d_points(path).positions, positions)


def c3d_by_hand(path: Path, positions: np.ndarray, first: int) -> Path:
    """Millimetres (F, N, 3), by the C3D User Guide: a header, three blocks of parameters, 4 floats a point.

    TRIAL has the numbers of the first and the last frame as two words each, the lower first.
    """
    frames, markers, _ = positions.shape
    last = first + frames - 1

    def group(number: int, name: bytes) -> bytes:
        return struct.pack("<bb", len(name), -number) + name + struct.pack("<hB", 3, 0)

    def parameter(number: int, name: bytes, kind: int, sizes: tuple[int, ...], data: bytes) -> bytes:
        body = struct.pack("<bB", kind, len(sizes)) + bytes(sizes) + data + b"\0"
        return struct.pack("<bb", len(name), number) + name + struct.pack("<h", 2 + len(body)) + body

    labels = b"".join(f"m{marker:<3}".encode() for marker in range(markers))
    parameters = b"\1\x50\3\x54" + group(1, b"POINT") + group(2, b"TRIAL")
    for name, kind, sizes, data in (
        (b"USED", 2, (), struct.pack("<h", markers)), (b"SCALE", 4, (), struct.pack("<f", -0.1)),
        (b"RATE", 4, (), struct.pack("<f", 100)), (b"DATA_START", 2, (), struct.pack("<h", 5)),
        (b"FRAMES", 2, (), struct.pack("<H", frames)), (b"LABELS", -1, (4, markers), labels),
        (b"UNITS", -1, (2,), b"mm"),
    ):  # fmt: skip
        parameters += parameter(1, name, kind, sizes, data)
    for name, frame in ((b"ACTUAL_START_FIELD", first), (b"ACTUAL_END_FIELD", last)):
        parameters += parameter(2, name, 2, (2,), struct.pack("<I", frame))
    header = struct.pack("<BBHHHHHfHHf", 2, 0x50, markers, 0, min(first, 65535), min(last, 65535), 0, -0.1, 5, 0, 100)
    points = np.concatenate([positions, np.zeros((frames, markers, 1))], axis=2).astype("<f4").tobytes()
    points += bytes(-len(points) % 512)
    path.write_bytes(header.ljust(512, b"\0") + (parameters + b"\0\0").ljust(3 * 512, b"\0") + points)
    return path


def test_nothing_is_drawn_over_a_video_by_joints_in_3d(
    tmp_path: Path, cfr_clip: Path, caplog: pytest.LogCaptureFixture
):
    """No camera is known; the video says when they were."""
    (path,) = FORMATS["trc"].write(result_of(track_of(world_joints(10))), tmp_path / "a", heading=0)
    found = take_in(path, video=cfr_clip)
    assert (found.source.path, found.source.num_frames, found.source.pictures) == (str(cfr_clip), 12, False)
    assert f"nothing is drawn over {cfr_clip}" in caplog.text


@pytest.mark.parametrize("unused", [{"lifter": "martinez"}, {"ground": True}, {"focal": 500.0}])
def test_what_joints_in_3d_have_no_use_for_is_refused(tmp_path: Path, unused: dict[str, object]):
    (path,) = FORMATS["trc"].write(result_of(track_of(world_joints(10))), tmp_path / "a", heading=0)
    with pytest.raises(UsageError, match=rf"{next(iter(unused))}.* these came in 3D; leave it out"):
        Job.of((), (take_in(path),), **unused).run()
