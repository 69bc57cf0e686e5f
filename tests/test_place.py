from dataclasses import replace
from fractions import Fraction

import av
import clips
import cv2
import numpy as np
import pytest
from walkers import ANKLE, CAMERA, SIZE, STATURE, ellipse, seen_by, still, walk, world_to_camera

from vidpose.body.skeletons import COCO_17, COCO_TO_H36M, H36M_17, HUMANEVA_15
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.common.errors import UsageError
from vidpose.refine import ground as ground_module
from vidpose.refine.focal import Lens
from vidpose.refine.ground import find_ground
from vidpose.refine.place import place
from vidpose.refine.scale import parse_heights, stature
from vidpose.video.lens import stated_fov

EVEN = np.arange(0, 6, 1 / 30)
UNEVEN = np.sort(np.delete(np.arange(0, 6, 1 / 60), np.random.default_rng(0).choice(np.arange(1, 359), 200, False)))
FOCAL = CAMERA.focal[0]


def track_of(joints: np.ndarray, times: np.ndarray = EVEN, track_id: int = 1, scale: float = 1.0) -> Track:
    """Somebody whose true joints are these, lifted in metres that are too long or too short."""
    keypoints, scores = CAMERA.project(joints).astype(np.float32), np.ones(joints.shape[:2], np.float32)
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    track = Track.of_keypoints(track_id, np.arange(len(times)), times, boxes, keypoints, scores)
    lifted = (scale * (joints - joints[:, :1])).astype(np.float32)
    return replace(track, joints=lifted, joint_scores=scores)


def result_of(*tracks: Track, times: np.ndarray = EVEN) -> PoseResult:
    return PoseResult(Source("walk.mp4", *SIZE, times, Fraction(30)), tracks, H36M_17.name, H36M_17.name)


def walker(times: np.ndarray = EVEN, **options) -> Track:
    return track_of(seen_by(world_to_camera(10, 0), walk(times)), times, **options)


# The camera


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920)])
def test_the_angle_of_view_is_that_of_the_longer_side(size):
    camera, focal_from = Lens(fov=70).camera(*size)
    matrix = np.array([[camera.focal[0], 0, camera.centre[0]], [0, camera.focal[1], camera.centre[1]], [0, 0, 1]])
    assert max(cv2.calibrationMatrixValues(matrix, size, 1, 1)[:2]) == pytest.approx(70)
    assert camera.centre == (size[0] / 2, size[1] / 2)
    assert focal_from == "fov"


def test_who_says_the_focal_length_is_asked_in_order():
    told = Lens(focal=1145).camera(1000, 800, stated_fov=50)
    assert told == (PinholeCamera((1145, 1145), (500, 400)), "focal")
    stated, where = Lens().camera(1000, 800, stated_fov=69.4)
    assert (stated.focal[0], where) == (pytest.approx(500 / np.tan(np.radians(34.7))), "video")
    assumed, where = Lens().camera(1000, 800)
    assert (assumed.focal[0], where) == (pytest.approx(500 * np.sqrt(3)), "assumed")


@pytest.mark.parametrize(
    ("options", "named"),
    [({"fov": 0}, "`fov=0`"), ({"fov": -60}, "`fov=-60`"), ({"fov": 180}, "`fov=180`"), ({"fov": np.nan}, "`fov=nan`"),
     ({"focal": 0}, "`focal=0`"), ({"focal": -900}, "`focal=-900`"), ({"focal": np.inf}, "`focal=inf`"),
     ({"focal": np.nan}, "`focal=nan`"), ({"fov": 60, "focal": 1000}, "say the same thing")],
)  # fmt: skip
def test_a_lens_that_cannot_be_is_one_clear_line(options, named):
    with pytest.raises(UsageError, match=named) as caught:
        Lens(**options).check()
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=named):
        place(result_of(), Lens(**options))


@pytest.mark.parametrize("focal", [0.001, 0.1, 1.9e6])
def test_a_focal_length_of_no_picture_is_refused_before_there_is_one(focal):
    with pytest.raises(UsageError, match=r"pixels are wanted, as in `focal=1100`; no picture is taken with so many"):
        Lens(focal=focal).check()
    for side, fov in ((1, 149.9), (32768, 1.01)):
        Lens(focal=side / 2 / np.tan(np.radians(fov / 2))).check()


@pytest.mark.parametrize("focal", [4.15, 1e6])
def test_a_focal_length_in_other_units_than_pixels_is_noticed(focal):
    with pytest.raises(UsageError, match=r"1280x720.*give `fov` instead"):
        place(result_of(walker()), Lens(focal=focal))


@pytest.mark.parametrize(
    ("stated", "degrees"), [("26", 69.39), ("50.00mm", 39.6), ("-13", None), ("0", None), ("wide", None), (None, None)]
)
def test_the_lens_of_a_container_is_read(stated, degrees, tmp_path):
    path = tmp_path / "phone.mov"
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        if stated:
            container.metadata["com.apple.quicktime.camera.focal_length.35mm_equivalent"] = stated
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(clips.grey_picture(i), format="rgb24")))
        container.mux(stream.encode())
    assert stated_fov(path) == (None if degrees is None else pytest.approx(degrees, abs=0.01))


def test_what_is_no_video_states_no_lens(tmp_path, image_folder):
    (tmp_path / "text.mp4").write_text("no video")
    assert stated_fov(tmp_path / "text.mp4") is None
    assert stated_fov(tmp_path / "missing.mp4") is None
    assert stated_fov(image_folder) is None


# The height


def test_heights_are_read():
    assert parse_heights("1.75") == 1.75
    assert parse_heights("1:1.75,2:1.62") == {1: 1.75, 2: 1.62}


@pytest.mark.parametrize(
    "text", ["", "tall", "0", "-1.75", "0.1", "3", "nan", "inf", "1:", "1:1.7,1:1.8", "x:1.7", "1:1.7,1.8", "1:0"]
)
def test_a_height_that_cannot_be_is_one_clear_line(text):
    with pytest.raises(UsageError, match="`height=") as caught:
        parse_heights(text)
    assert "\n" not in str(caught.value)


def test_a_height_in_centimetres_is_noticed():
    with pytest.raises(UsageError, match=r"did you mean 1\.75\?"):
        parse_heights("175")
    with pytest.raises(UsageError, match=r"`height=175`.*did you mean 1\.75\?"):
        place(result_of(walker()), height=175)


def test_a_stature_is_the_chain_of_bones_whatever_the_pose():
    # Segments of an adult after Drillis and Contini, with the ankle that detectors see.
    joints = np.zeros((9, 17, 3))
    heights = {"pelvis": 0.53, "hip": 0.53, "knee": 0.285, "ankle": 0.06, "thorax": 0.818, "head_top": 1.0}
    for name, height in heights.items():
        for i, joint in enumerate(H36M_17.joints):
            if joint.endswith(name):
                joints[:, i, 1] = -1.8 * height
    assert stature(joints, H36M_17) == pytest.approx(1.8, rel=0.01)
    bent = joints.copy()
    knees = [H36M_17.index(f"{side}_knee") for side in ("left", "right")]
    ankles = [H36M_17.index(f"{side}_ankle") for side in ("left", "right")]
    bent[:, ankles, 1] = bent[:, knees, 1]
    bent[:, ankles, 2] = 1.8 * 0.225
    bent[0] = np.nan
    bent[1] *= 3
    assert stature(bent, H36M_17) == pytest.approx(stature(joints, H36M_17))
    assert np.isnan(stature(bent[:1], H36M_17))
    with pytest.raises(UsageError, match="humaneva15 lacks"):
        stature(np.zeros((2, 15, 3)), HUMANEVA_15)


def test_a_height_sets_lifters_metres_right():
    joints = seen_by(world_to_camera(10, 0), walk(EVEN))
    true = stature(joints, H36M_17)
    small = result_of(track_of(joints, scale=0.9))
    without, told = place(small, Lens(focal=FOCAL)), place(small, Lens(focal=FOCAL), height=true)
    truth = joints[:, 0]
    np.testing.assert_allclose(without.tracks[0].roots, 0.9 * truth, atol=1e-3)
    np.testing.assert_allclose(told.tracks[0].roots, truth, atol=1e-3)
    np.testing.assert_allclose(told.tracks[0].joints, joints - joints[:, :1], atol=1e-3)
    assert without.placing.heights == {}
    assert told.placing.heights == {1: true}


def test_each_person_has_a_height(caplog):
    people = result_of(walker(), walker(track_id=2), walker(track_id=3))
    placed = place(people, height={1: 1.6, 3: 1.9, 7: 1.7})
    tall = [stature(track.joints, H36M_17) for track in placed.tracks]
    assert tall == pytest.approx([1.6, stature(people.tracks[1].joints, H36M_17), 1.9], rel=1e-5)
    assert "no person 7; there are 1, 2, 3" in caplog.text


# The ground


def angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


@pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (20, 0), (10, 15), (-6, -8), (50, 3)])
def test_the_ground_is_found_before_a_tilted_camera(pitch, roll, times, caplog):
    move = world_to_camera(pitch, roll)
    joints = seen_by(move, walk(times))
    to_world = find_ground([(joints - joints[:, :1], joints[:, 0], times)], H36M_17)
    rotation = to_world[:, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert angle(rotation[2], move[:, 2]) < 1
    # The camera stands 1.6 m high, X is to its right and level, and the first root is above the origin.
    assert to_world[2, 3] == pytest.approx(1.6, abs=0.05)
    assert rotation[0, 0] > 0.95
    assert rotation[0] @ rotation[2] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose((to_world[:, :3] @ joints[0, 0] + to_world[:, 3])[:2], 0, atol=1e-9)
    assert not caplog.text


@pytest.mark.parametrize("up", [(0, -1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, -1), (0.6, -0.64, 0.48)])
def test_the_world_is_right_handed_whichever_way_is_up(up):
    turn = ground_module._facing(np.array(up, float))
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn[2], up)


def test_steps_and_jumps_do_not_lift_the_ground():
    world = walk(EVEN)
    world[:35, :, 2] += 0.45  # on a box
    world[100:110, :, 2] += 0.3
    move = world_to_camera(10, 5)
    joints = seen_by(move, world)
    to_world = find_ground([(joints - joints[:, :1], joints[:, 0], EVEN)], H36M_17)
    assert angle(to_world[2, :3], move[:, 2]) < 1.5
    assert to_world[2, 3] == pytest.approx(1.6, abs=0.06)


def test_a_foot_held_in_the_air_is_not_on_the_ground():
    world = walk(EVEN, still)
    world[:, H36M_17.index("left_ankle"), 2] += 0.3
    move = world_to_camera(10, 0)
    joints = seen_by(move, world)
    to_world = find_ground([(joints - joints[:, :1], joints[:, 0], EVEN)], H36M_17)
    standing = joints[:, H36M_17.index("right_ankle")] @ to_world[:, :3].T + to_world[:, 3]
    np.testing.assert_allclose(standing[:, 2], ANKLE, atol=0.02)


def test_one_place_tells_no_tilt_so_the_posture_does_and_that_is_said(caplog):
    move = world_to_camera(15, 5)
    joints = seen_by(move, walk(EVEN, still))
    to_world = find_ground([(joints - joints[:, :1], joints[:, 0], EVEN)], H36M_17)
    assert "too little floor" in caplog.text
    assert angle(to_world[2, :3], move[:, 2]) < 3
    ankles = joints[:, [3, 6]] @ to_world[:, :3].T + to_world[:, 3]
    assert np.median(ankles[..., 2]) == pytest.approx(ANKLE, abs=0.03)


def test_two_people_tell_more_floor_than_one():
    move = world_to_camera(10, 5)
    bodies = []
    for aside in (-1.2, 1.2):
        world = walk(EVEN, still) + np.array([aside, 0, 0])
        joints = seen_by(move, world)
        bodies.append((joints - joints[:, :1], joints[:, 0], EVEN))
    assert abs(np.degrees(np.arcsin((find_ground(bodies, H36M_17)[2, :3] - move[:, 2])[0]))) < 0.5


def test_feet_that_never_stand_still_are_below_whom_the_ground_is_put(caplog):
    times = np.arange(0, 2, 1 / 30)
    joints = seen_by(world_to_camera(0, 0), walk(times, still) + np.array([2.0, 0, 0]) * times[:, None, None])
    to_world = find_ground([(joints - joints[:, :1], joints[:, 0], times)], H36M_17)
    assert "no foot stands still" in caplog.text
    assert to_world[2, 3] == pytest.approx(1.6, abs=0.1)


# All together


def test_a_placed_result_says_how_and_is_saved_whole(tmp_path):
    placed = place(result_of(walker(), walker(track_id=2)), Lens(focal=FOCAL), ground=True)
    assert placed.placing.focal_from == "focal"
    assert placed.placing.reprojection_px == pytest.approx({1: 0, 2: 0}, abs=0.05)
    assert placed.tracks[0].roots.dtype == np.float32
    placed.save(tmp_path / "r.npz")
    loaded = PoseResult.load(tmp_path / "r.npz")
    assert loaded.placing == placed.placing
    assert loaded.camera.to_world.tobytes() == placed.camera.to_world.tobytes()
    assert loaded.tracks[1].roots.tobytes() == placed.tracks[1].roots.tobytes()
    # In the world, the walker walks around the ellipse.
    world = placed.tracks[0].roots @ loaded.camera.to_world[:, :3].T + loaded.camera.to_world[:, 3]
    path = ellipse(EVEN) - ellipse(EVEN[:1])
    assert np.linalg.norm(world[:, :2] - path, axis=1).max() < 0.05


def test_keypoints_of_another_layout_are_converted():
    rng = np.random.default_rng(0)
    body = rng.uniform(-0.4, 0.4, (17, 3)) + np.array([0, 0, 1])
    coco = seen_by(world_to_camera(0, 0), np.repeat(body[None], 60, axis=0))
    joints, _ = COCO_TO_H36M(coco, np.ones(coco.shape[:2]))
    track = replace(track_of(coco, EVEN[:60]), joints=(joints - joints[:, :1]).astype(np.float32))
    placed = place(replace(result_of(track), keypoint_layout=COCO_17.name), Lens(focal=FOCAL))
    # A midpoint in space is not quite the midpoint in the picture.
    assert np.linalg.norm(placed.tracks[0].roots - joints[:, 0], axis=1).max() < 0.05


def test_nobody_is_placed_nowhere(caplog):
    placed = place(replace(result_of(), joint_layout=""), ground=True, height=1.7)
    assert placed.tracks == ()
    assert placed.camera.to_world is None
    assert placed.placing.reprojection_px == {}
    assert "nobody has a place" in caplog.text


def test_people_without_a_pose_have_no_place(caplog):
    lost = walker()
    lost = replace(lost, joints=np.full_like(lost.joints, np.nan))
    placed = place(result_of(lost, walker(track_id=2)), ground=True, height=STATURE)
    assert np.isnan(placed.tracks[0].roots).all()
    assert np.isfinite(placed.tracks[1].roots).all()
    assert placed.camera.to_world is not None
    assert placed.placing.reprojection_px.keys() == {2}
    alone = place(result_of(lost), ground=True)
    assert alone.camera.to_world is None
    assert "nobody has a place" in caplog.text


def test_one_frame_is_placed():
    placed = place(result_of(walker(EVEN[:1]), times=EVEN[:1]), Lens(focal=FOCAL), height=STATURE, ground=True)
    assert np.isfinite(placed.tracks[0].roots).all()
    assert placed.camera.to_world[2, 3] == pytest.approx(1.6, abs=0.25)
