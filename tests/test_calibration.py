from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vidpose.common.errors import UsageError, VidposeError
from vidpose.synth.camera import StudioCamera as SynthCamera
from vidpose.views import Calibration, ViewCamera, assign, load_calibration

WIDTH, HEIGHT = 1088, 1920
LENS = (-0.046, 0.14, 0.0006, 0.0007, 0.01)
POINTS = np.random.default_rng(0).uniform((-0.5, -0.5, 0.0), (0.5, 0.5, 1.8), (50, 3))
FACTS = [
    {
        "name": name,
        "matrix": np.array([[1681.0 + i, 0, 532.9], [0, 1680.5, 948.1 + i], [0, 0, 1]]),
        "rotation": camera.rotation,
        "translation": -camera.rotation @ np.array(camera.position),
    }
    for i, (name, camera) in enumerate(
        {
            "cam01": SynthCamera(WIDTH, HEIGHT, 1681.0, (1.0, -4.5, 1.4), (0.0, 0.0, 0.9)),
            "cam02": SynthCamera(WIDTH, HEIGHT, 1681.0, (4.0, 1.5, 2.1), (0.1, 0.0, 0.9)),
        }.items()
    )
]
"""OpenCV's numbers of two cameras; each file below says the same of them in its own way."""


def write_qualisys(path: Path) -> Path:
    cameras = ""
    for facts in FACTS:
        turned = np.diag([1, -1, -1]) @ facts["rotation"]
        turns = " ".join(f'r{i + 1}{j + 1}="{turned[i, j]!r}"' for i in range(3) for j in range(3))
        x, y, z = 1000 * -facts["rotation"].T @ facts["translation"]
        k = 64 * facts["matrix"]
        cameras += f"""<camera active="1" serial="{facts["name"]}" viewrotation="0">
            <fov_video left="0" top="0" right="{WIDTH - 1}" bottom="{HEIGHT - 1}"/>
            <transform x="{x!r}" y="{y!r}" z="{z!r}" {turns}/>
            <intrinsic focalLengthU="{k[0, 0]}" focalLengthV="{k[1, 1]}" centerPointU="{k[0, 2]}"
             centerPointV="{k[1, 2]}" skew="0.0" radialDistortion1="{LENS[0]}" radialDistortion2="{LENS[1]}"
             radialDistortion3="{LENS[4]}" tangentalDistortion1="{LENS[2]}" tangentalDistortion2="{LENS[3]}"/>
        </camera>""".replace("np.float64(", "").replace(')"', '"')
    path.write_text(f"<?xml version='1.0'?><calibration><cameras>{cameras}</cameras></calibration>")
    return path


def write_pose2sim(path: Path) -> Path:
    text = ""
    for i, facts in enumerate(FACTS):
        text += f"""[cam_{i + 1}]
            name = "{facts["name"]}"
            size = [ {WIDTH}.0, {HEIGHT}.0]
            matrix = {facts["matrix"].tolist()}
            distortions = {list(LENS)}
            rotation = {cv2.Rodrigues(facts["rotation"])[0].ravel().tolist()}
            translation = {facts["translation"].tolist()}
            fisheye = false
        """
    path.write_text(text + "[metadata]\nadjusted = false\nerror = 0.0\n")
    return path


def write_opencv(path: Path) -> Path:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for facts in FACTS:
        storage.startWriteStruct(facts["name"], cv2.FileNode_MAP)
        storage.write("image_width", WIDTH)
        storage.write("image_height", HEIGHT)
        storage.write("camera_matrix", facts["matrix"])
        storage.write("distortion_coefficients", np.array(LENS))
        storage.write("R", facts["rotation"])
        storage.write("T", facts["translation"])
        storage.endWriteStruct()
    storage.release()
    return path


WRITERS = {"c.qca.txt": write_qualisys, "c.toml": write_pose2sim, "c.yml": write_opencv, "c.xml": write_opencv}


def read(content: str, folder: Path, name: str = "calibration") -> Calibration:
    path = folder / name
    path.write_text(content)
    return load_calibration(path)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_rays_that_opencv_projects_along(name, tmp_path):
    calibration = load_calibration(WRITERS[name](tmp_path / name))
    assert [camera.name for camera in calibration.cameras] == ["cam01", "cam02"]
    for camera, facts in zip(calibration.cameras, FACTS, strict=True):
        rotation = cv2.Rodrigues(facts["rotation"])[0]
        pixels = cv2.projectPoints(POINTS, rotation, facts["translation"], facts["matrix"], np.array(LENS))[0][:, 0]
        # OpenCV counts from the centre of the first pixel, vidpose from the corner of the picture.
        seen = POINTS @ camera.rotation.T + camera.translation
        np.testing.assert_allclose(camera.ideal(pixels + 0.5), seen[:, :2] / seen[:, 2:], atol=1e-8)
        assert camera.size == (WIDTH, HEIGHT)
        assert camera.z_up == (name in ("c.qca.txt", "c.toml"))


def test_a_qualisys_camera_has_the_projection_matrix_that_others_make_of_it(tmp_path):
    """Against numbers of Pose2Sim's demonstration, whose projection matrix was computed by other code."""
    camera = """<camera serial="{name}"><fov_video left="0" right="1087" top="0" bottom="1919"/>
        <transform r11="0.5536380477336265" r12="0.8046719867383512" r13="0.2144479094331626"
         r21="-0.4345300743838753" r22="0.05946489349975602" r23="0.8986921279821063" r31="0.7104002579937896"
         r32="-0.5907342212870501" r33="0.3825762057979294" x="1460.2323709212087" y="-1909.1590482454608"
         z="1896.5058524092062"/>
        <intrinsic centerPointU="34110.316406" centerPointV="60680.792969" focalLengthU="107599.671875"
         focalLengthV="107588.828125" radialDistortion1="-0.046183" radialDistortion2="0.139983"
         radialDistortion3="0.000000" tangentalDistortion1="0.000608" tangentalDistortion2="0.00069"/></camera>"""
    both = camera.format(name="cam01") + camera.format(name="cam02")
    found = read(f"<calibration><cameras>{both}</cameras></calibration>", tmp_path).cameras[0]
    half_a_pixel = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(
        (found.matrix - half_a_pixel) @ found.world_to_camera,
        [
            [552.176480, 1667.696452, 156.636395, 2080.529962],
            [56.920789, 460.132231, -1873.504069, 4348.459465],
            [-0.710400, 0.590734, -0.382576, 2.890713],
        ],
        atol=2e-6,
    )


@pytest.mark.parametrize("fisheye", [False, True])
def test_a_strong_lens_is_undone(fisheye, tmp_path):
    lens = (-0.05, 0.02, -0.01, 0.003) if fisheye else (-0.3, 0.12, 0.001, -0.002, -0.02)
    path = write_pose2sim(tmp_path / "c.toml")
    text = path.read_text().replace(str(list(LENS)), str(list(lens))).replace("fisheye = false", f"fisheye = {fisheye}")
    camera = read(text.replace("True", "true").replace("False", "false"), tmp_path).cameras[0]
    assert camera.distortion == lens
    ideal = np.random.default_rng(1).uniform(-0.5, 0.5, (40, 2))
    rays = np.column_stack([ideal, np.ones(40)])[:, None]
    still, matrix = np.zeros(3), FACTS[0]["matrix"]
    if fisheye:
        pixels = cv2.fisheye.projectPoints(rays, still, still, matrix, np.array(lens))[0]
    else:
        pixels = cv2.projectPoints(rays, still, still, matrix, np.array(lens))[0]
    np.testing.assert_allclose(camera.ideal(pixels[:, 0] + 0.5), ideal, atol=1e-7)
    assert np.abs(ideal - (pixels[:, 0] - matrix[:2, 2]) / matrix[[0, 1], [0, 1]]).max() > 0.01


def test_what_a_fisheye_sees_behind_itself_is_no_ray_of_the_other_side():
    still = np.eye(3), np.zeros(3), True
    camera = ViewCamera("wide", (1920, 1080), (500.0, 500.0), (960.0, 540.0), (0.0,) * 4, True, *still)
    degrees = np.array([-100.0, -80.0, 0.0, 80.0, 100.0])
    pixels = np.column_stack([960 + 500 * np.radians(degrees), np.full(5, 540.0)])
    found = camera.ideal(pixels)[:, 0]
    np.testing.assert_allclose(found[1:4], np.tan(np.radians(degrees[1:4])), rtol=1e-6, atol=1e-9)
    assert np.isnan(found[[0, 4]]).all()


def test_absent_keypoints_stay_absent(tmp_path):
    camera = load_calibration(write_pose2sim(tmp_path / "c.toml")).cameras[0]
    rays = camera.ideal(np.array([[[np.nan, np.nan], [500, 900]]]))
    assert np.isnan(rays[0, 0]).all()
    assert np.isfinite(rays[0, 1]).all()


def test_a_stereo_pair_of_opencv_has_its_world_in_the_first_camera(tmp_path):
    path = tmp_path / "stereo.yml"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for key, value in {"M1": FACTS[0]["matrix"], "D1": np.array(LENS), "M2": FACTS[1]["matrix"], "D2": np.zeros(5),
                       "R": FACTS[1]["rotation"], "T": FACTS[1]["translation"]}.items():  # fmt: skip
        storage.write(key, value)
    storage.release()
    first, second = load_calibration(path).cameras
    assert (first.name, second.name, first.size, first.z_up) == ("1", "2", None, False)
    np.testing.assert_allclose(first.world_to_camera, np.eye(3, 4))
    np.testing.assert_allclose(second.translation, FACTS[1]["translation"])
    assert second.distortion == (0.0,) * 5


def test_an_opencv_file_written_by_hand_may_have_lists_and_say_that_z_is_up(tmp_path):
    camera = "\n  K: [1000., 0., 500., 0., 1000., 400., 0., 0., 1.]\n  D: [0., 0., 0., 0.]\n  rvec: [0.1, 0.2, 0.3]\n"
    text = f"%YAML:1.0\n---\nz_up: 1\nleft:{camera}  t: [0., 0., 3.]\nright:{camera}  t: [1., 0., 3.]\n"
    with pytest.raises(VidposeError, match="camera 'left': the camera matrix must be 3x3"):
        read(text, tmp_path)
    nested = text.replace("[1000., 0., 500., 0., 1000., 400., 0., 0., 1.]",
                          "[[1000., 0., 500.], [0., 1000., 400.], [0., 0., 1.]]")  # fmt: skip
    left, right = read(nested, tmp_path).cameras
    assert left.z_up
    assert right.focal == (1000, 1000)
    np.testing.assert_allclose(right.rotation, cv2.Rodrigues(np.array([0.1, 0.2, 0.3]))[0])


# The picture's size


def test_a_smaller_copy_of_the_video_has_a_smaller_camera(tmp_path):
    camera = load_calibration(write_pose2sim(tmp_path / "c.toml")).cameras[0]
    half = camera.for_video("half.mp4", (WIDTH // 2, HEIGHT // 2))
    pixels = np.array([[100.0, 200.0], [900.0, 1500.0]])
    np.testing.assert_allclose(half.ideal(pixels / 2), camera.ideal(pixels), atol=1e-9)
    assert half.for_video("half.mp4", (WIDTH // 2, HEIGHT // 2)) == half


def test_a_video_that_lost_a_few_columns_in_encoding_keeps_its_camera(tmp_path):
    camera = load_calibration(write_pose2sim(tmp_path / "c.toml")).cameras[0]
    assert camera.for_video("cut.mp4", (1080, 1920)) is camera


def test_a_picture_of_another_shape_is_refused(tmp_path):
    camera = load_calibration(write_pose2sim(tmp_path / "c.toml")).cameras[0]
    with pytest.raises(VidposeError, match=r"turned.mp4: its pictures are 1920x1080, but camera 'cam01'.*1088x1920"):
        camera.for_video("turned.mp4", (1920, 1080))


# Which camera took which video


def calibration_of(*names: str) -> Calibration:
    camera = ViewCamera("", None, (1.0, 1.0), (0.0, 0.0), (), False, np.eye(3), np.zeros(3), False)
    return Calibration(Path("c.toml"), tuple(replace(camera, name=name) for name in names))


@pytest.mark.parametrize(
    ("cameras", "videos", "expected", "told_by"),
    [
        (("cam01", "cam02"), ("cam02.mp4", "cam01.mp4"), ("cam02", "cam01"), "name"),
        (("cam1", "cam10", "cam2"), ("cam10.mp4", "cam1.mp4"), ("cam10", "cam1"), "name"),
        (("26578", "26579", "26580"), ("Miqus_3_26580.avi", "Miqus_1_26578.avi"), ("26580", "26578"), "name"),
        (("GoPro left", "GoPro right"), ("right.mp4", "left.mp4"), ("GoPro right", "GoPro left"), "name"),
        (("cam_1", "cam_2"), ("trial3_video02.mp4", "trial3_video01.mp4"), ("cam_2", "cam_1"), "name"),
        (("a", "b"), ("front.mp4", "side.mp4"), ("a", "b"), "order"),
        (("1", "2"), ("walk5.mp4", "walk6.mp4"), ("1", "2"), "order"),
    ],
)
def test_videos_go_with_the_cameras_of_their_names(cameras, videos, expected, told_by):
    found, by = assign(calibration_of(*cameras), [Path(video) for video in videos])
    assert tuple(camera.name for camera in found) == expected
    assert by == told_by


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (["cam01.mp4"], "at least two videos"),
        (["cam01.mp4", "cam02.mp4", "./cam01.mp4"], r"cam01.mp4 is given twice"),
        (["cam01.mp4", "cam02.mp4", "cam03.mp4", "cam04.mp4"], "has 3 cameras, but 4 videos"),
        (["front.mp4", "side.mp4"], r"3 cameras \(cam01, cam02, cam03\) and 2 videos.*name the videos"),
    ],
)
def test_videos_that_do_not_go_with_the_calibration_are_wrong_use(videos, message):
    with pytest.raises(UsageError, match=message):
        assign(calibration_of("cam01", "cam02", "cam03"), [Path(video) for video in videos])


# Files that are none


def without(text: str, piece: str, instead: str = "") -> str:
    assert piece in text
    return text.replace(piece, instead, 1)


BAD = {
    "empty": ("c.toml", lambda text: "", "no camera, where two are the least"),
    "prose": ("c.toml", lambda text: "two cameras, somewhere", "neither a calibration nor TOML"),
    "another TOML": ("c.toml", lambda text: 'title = "recipe"\n[model]\nname = "x"\n', r"size of \[model\] is missing"),
    "one camera": ("c.toml", lambda text: text[: text.index("[cam_2]")], "one camera, where two"),
    "cut off": ("c.toml", lambda text: text[: text.index("translation")], r"translation of \[cam_1\] is missing"),
    "one name": ("c.toml", lambda text: without(text, "cam02", "cam01"), "two cameras are called 'cam01'"),
    "NaN": ("c.toml", lambda text: without(text, "1681.0", "nan"), "'cam01': the camera matrix is not made of finite"),
    "no focal length": ("c.toml", lambda text: without(text, "1681.0", "-5.0"), "positive focal lengths"),
    "no size": ("c.toml", lambda text: without(text, "1920.0", "0.0"), "width and a height"),
    "coefficients": ("c.toml", lambda text: without(text, str(list(LENS)), "[0.1, 0.2, 0.3]"), "3 distortion coeff"),
    "cut XML": ("c.qca.txt", lambda text: text[:900], r"damaged XML \("),
    "no transform": ("c.qca.txt", lambda text: without(text, "<transform", "<trans"), "<transform> of camera 'cam01'"),
    "no focal": ("c.qca.txt", lambda text: without(text, "focalLengthU", "f"), "focalLengthU of <intrinsic> of camera"),
    "text for a number": ("c.qca.txt", lambda text: without(text, 'r11="', 'r11="x'), "could not convert string"),
    "mirrored": ("c.qca.txt", lambda text: without(text, 'r11="', 'r11="-'), "rotation is none"),
    "another XML": ("c.qca.txt", lambda text: "<svg></svg>", "XML of another kind, <svg>"),
    "entities": ("c.qca.txt", lambda text: '<!DOCTYPE x [<!ENTITY a "b">]><calibration/>', "document type"),
    "cut YAML": ("c.yml", lambda text: text[: text.index("data:") + 9], "damaged OpenCV file"),
    "no R": ("c.yml", lambda text: text.replace("R:", "Q:"), "R of camera 'cam01' is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_line_that_says_what_is_wrong(name, damage, message, tmp_path):
    path = WRITERS[name](tmp_path / name)
    path.write_text(damage(path.read_text()))
    with pytest.raises(VidposeError, match=message) as caught:
        load_calibration(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_millimetres_are_noticed(tmp_path, caplog):
    text = write_pose2sim(tmp_path / "c.toml").read_text()
    for facts in FACTS:
        text = without(text, str(facts["translation"].tolist()), str((1000 * facts["translation"]).tolist()))
    for camera, facts in zip(read(text, tmp_path).cameras, FACTS, strict=True):
        np.testing.assert_allclose(camera.translation, facts["translation"])
    assert "its lengths are taken for millimetres" in caplog.text
    for facts in FACTS:
        text = without(text, str((1000 * facts["translation"]).tolist()), str((1e6 * facts["translation"]).tolist()))
    with pytest.raises(VidposeError, match="m apart; lengths must be metres"):
        read(text, tmp_path)


def write_caliscope(path: Path) -> Path:
    """Caliscope's camera_array.toml: tables within `cameras`, rotations as matrices, and a camera to ignore."""
    text = ""
    for i, facts in enumerate(FACTS):
        text += f"""[cameras.{i}]
            cam_id = {i}
            rotation_count = 0
            error = 0.19
            exposure = -7.0
            grid_count = 24
            ignore = false
            size = [{WIDTH}, {HEIGHT}]
            matrix = {facts["matrix"].tolist()}
            distortions = {list(LENS)}
            translation = {facts["translation"].tolist()}
            rotation = {facts["rotation"].tolist()}
        """
    path.write_text(text + "[cameras.7]\ncam_id = 7\nignore = true\nsize = [640, 480]\n")
    return path


def write_freemocap(path: Path) -> Path:
    """FreeMoCap's, by Anipose: millimetres, and the first camera's frame for the world."""
    rotation, translation = FACTS[0]["rotation"], FACTS[0]["translation"]
    text = ""
    for i, facts in enumerate(FACTS):
        turned = facts["rotation"] @ rotation.T
        moved = 1000 * (facts["translation"] - turned @ translation)
        text += f"""[cam_{i}]
            name = "{facts["name"]}"
            size = [ {WIDTH}, {HEIGHT}]
            matrix = {facts["matrix"].tolist()}
            distortions = {list(LENS)}
            rotation = {cv2.Rodrigues(turned)[0].ravel().tolist()}
            translation = {moved.tolist()}
        """
    path.write_text(text + "[metadata]\nadjusted = false\nerror = 0.0\ncharuco_square_size = 39\n")
    return path


def test_caliscope(tmp_path):
    calibration = load_calibration(write_caliscope(tmp_path / "camera_array.toml"))
    assert [camera.name for camera in calibration.cameras] == ["cam_0", "cam_1"]
    for camera, facts in zip(calibration.cameras, FACTS, strict=True):
        np.testing.assert_allclose(camera.rotation, facts["rotation"], atol=1e-9)
        np.testing.assert_allclose(camera.translation, facts["translation"])
        assert camera.z_up


def test_freemocap_and_anipose_have_their_world_where_a_camera_is(tmp_path):
    first, second = load_calibration(write_freemocap(tmp_path / "c.toml")).cameras
    np.testing.assert_allclose(first.rotation, np.eye(3), atol=1e-9)
    assert not first.z_up
    right = np.linalg.norm(
        FACTS[0]["rotation"].T @ FACTS[0]["translation"] - FACTS[1]["rotation"].T @ FACTS[1]["translation"]
    )
    assert np.linalg.norm(second.position - first.position) == pytest.approx(right)


VICON = {
    "-1": ((3000, -4000, 1800), (965.2, 530.4), (-3e-8, 4e-15, 0)),
    "2": ((-3500, -3000, 2200), (950, 545), (2e-8, 0, 0)),
}
"""DEVICEID -> place in millimetres, principal point, and terms of the lens."""


def vicon_pose(place: tuple[float, ...]) -> np.ndarray:
    """(3, 3) from the world to a camera there that looks at the origin, its picture upright."""
    forward = -np.array(place) / np.linalg.norm(place)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def vicon_xcp(turned: bool = False) -> str:
    cameras = []
    for name, (place, centre, terms) in VICON.items():
        rotation = Rotation.from_matrix(vicon_pose(place))
        orientation = (rotation.inv() if turned else rotation).as_quat()
        cameras.append(
            f'<Camera DEVICEID="{name}" ISDV="2" TYPE="Vue" SENSOR_SIZE="1920 1080" PIXEL_ASPECT_RATIO="1"><KeyFrames>'
            f'<KeyFrame FOCAL_LENGTH="1500" ORIENTATION="{" ".join(map(str, orientation))}" '
            f'POSITION="{" ".join(map(str, place))}" PRINCIPAL_POINT="{centre[0]} {centre[1]}" '
            f'VICON_RADIAL2="Vicon3Parameter {centre[0]} {centre[1]} {" ".join(map(str, terms))}"/>'
            "</KeyFrames></Camera>"
        )
    infrared = cameras[0].replace('ISDV="2"', 'ISDV="0"').replace('ID="-1"', 'ID="77"')
    return f'<?xml version="1.0" encoding="UTF-8"?><Cameras VERSION="1.0">{"".join(cameras)}{infrared}</Cameras>'


def test_vicon_sees_points_where_its_lens_puts_them(tmp_path):
    calibration = read(vicon_xcp(), tmp_path, "a.xcp")
    assert [camera.name for camera in calibration.cameras] == ["-1", "2"]
    for camera, (place, centre, terms) in zip(calibration.cameras, VICON.values(), strict=True):
        np.testing.assert_allclose(camera.position, np.array(place) / 1000, atol=1e-9)
        assert camera.z_up
        pixels = np.stack(np.meshgrid([20.0, 500, 1000, 1880], [20.0, 600, 1060]), axis=-1)
        aside = pixels - centre
        square = (aside**2).sum(axis=-1, keepdims=True)
        ideal = aside * (1 + terms[0] * square + terms[1] * square**2) / 1500
        np.testing.assert_allclose(camera.ideal(pixels + 0.5), ideal, atol=0.3 / 1500)
        # What is at the origin of the world is in the middle of the picture.
        np.testing.assert_allclose((camera.rotation @ np.zeros(3) + camera.translation)[:2], 0, atol=1e-9)


def test_vicon_turned_the_other_way_is_refused(tmp_path):
    with pytest.raises(VidposeError, match=r"camera '(-1|2)' looks away from where the others look"):
        read(vicon_xcp(turned=True), tmp_path, "a.xcp")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Vicon3Parameter 965.2", "Vicon3Parameter 900", "its lens has another centre"),
        ('FOCAL_LENGTH="1500"', 'FOCAL_LENGTH="x"', "could not convert"),
        ("ORIENTATION", "TURNED", "ORIENTATION of camera '-1' is missing"),
        ("-3e-08", "-3e-06", "its lens folds the picture over"),
        ("SENSOR_SIZE", "SIZE", "SENSOR_SIZE of camera '-1' is missing"),
        ('POSITION="3000', 'POSITION="nan', "POSITION is 'nan"),
    ],
)
def test_a_damaged_vicon_is_one_line(old, new, message, tmp_path):
    with pytest.raises(VidposeError, match=message) as error:
        read(vicon_xcp().replace(old, new), tmp_path, "a.xcp")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"\x80\x04K\x01.", b"\xff\xfe\x00\x01", b"PK\x03\x04\xe9"])
def test_a_file_that_is_no_text_is_refused(content, tmp_path):
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(
        VidposeError, match=r"c\.toml: (not a calibration \(it is no text|neither a calibration nor TOML)"
    ):
        load_calibration(tmp_path / "c.toml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VidposeError, match=r"c.toml: no such file"):
        load_calibration(tmp_path / "c.toml")
