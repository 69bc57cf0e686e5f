"""Whole runs over what people have: pauses, cuts, slow motion, other programs' keypoints, a batch with a bad file."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import clips
import cv2
import numpy as np
import odd_pictures
import pytest
import video_kinds
from exports import read_trc
from walkers import walk as walk_of

from vidpose.body.skeletons import BODY_25, H36M_17
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError
from vidpose.pipeline.choices import Filming, Finding
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.job import Job
from vidpose.pipeline.networks import Networks, open_networks
from vidpose.synth.camera import StudioCamera
from vidpose.video import VideoReader
from vidpose.video.shots import load_cuts
from vidpose.weights.shipped import shipped

FRAMES = 12


def frames_of(name: str) -> list[np.ndarray]:
    with VideoReader(shipped("samples") / f"{name}.mp4", end=(FRAMES - 0.5) / 25) as video:
        return [frame.image for frame in video]


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    with open_networks() as opened:
        yield opened


@pytest.fixture(scope="module")
def walk() -> list[np.ndarray]:
    return frames_of("walk-wave")


@pytest.fixture(scope="module")
def plain(walk, networks, tmp_path_factory) -> PoseResult:
    """The walk as it is, found and lifted."""
    path = video_kinds.encode(tmp_path_factory.mktemp("plain") / "walk.mkv", walk, "ffv1", "bgr0", layout="rgb24")
    return Job.of([path]).run(networks=networks)[0]


def test_a_pause_changes_no_pose(walk, plain, networks, tmp_path):
    times = [i / 25 + (15 if i >= FRAMES // 2 else 0) for i in range(FRAMES)]
    path = video_kinds.encode(tmp_path / "paused.mkv", walk, "ffv1", "bgr0", times)
    [paused] = Job.of([path]).run(networks=networks)
    np.testing.assert_allclose(paused.source.times, times, atol=1e-3)
    rows = np.concatenate([track.joints for track in paused.tracks])
    assert len(rows) == FRAMES
    assert np.linalg.norm(rows - plain.tracks[0].joints, axis=-1).mean() < 0.02
    [trc] = paused.export("trc", tmp_path / "paused")
    header, _, joints = read_trc(trc)
    assert float(header["DataRate"]) == pytest.approx(25, rel=1e-3)
    assert np.isfinite(joints).all(axis=(1, 2)).sum() <= FRAMES


def test_after_a_long_pause_somebody_else_is_there(walk, networks, tmp_path):
    times = [i / 25 + (3 * 3600 if i >= FRAMES // 2 else 0) for i in range(FRAMES)]
    path = video_kinds.encode(tmp_path / "paused.mkv", walk, "ffv1", "bgr0", times)
    found = find_people(path, networks=networks)
    assert [track.frames.tolist() for track in found.tracks] == [list(range(6)), list(range(6, 12))]
    assert found.source.cuts == ()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_who_lies_or_stands_on_the_head_is_lifted_as_well_as_upright(turns, walk, plain, networks, tmp_path):
    images = [np.ascontiguousarray(np.rot90(image, -turns)) for image in walk[:8]]
    path = video_kinds.encode(tmp_path / "turned.mkv", images, "ffv1", "bgr0")
    [result] = Job.of([path], fit=False).run(networks=networks)
    with np.load(shipped("samples") / "walk-wave.truth.npz") as truth:
        joints = truth["joints"][0][:8]
    for _ in range(turns):
        joints = np.stack([-joints[..., 1], joints[..., 0], joints[..., 2]], axis=-1)
    [track] = result.tracks
    apart = track.joints - track.joints[:, :1] - (joints - joints[:, :1])
    assert np.linalg.norm(apart, axis=-1).mean() < 0.085


@pytest.fixture(scope="module")
def edited(walk, tmp_path_factory) -> tuple[Path, Path]:
    """Two shots with a hard cut between them, and the second one alone."""
    other = [cv2.resize(image[140:500, :480], (640, 480)) for image in frames_of("workout")]
    folder = tmp_path_factory.mktemp("cut")
    return tuple(
        video_kinds.encode(folder / f"{name}.mkv", images, "ffv1", "bgr0")
        for name, images in (("edited", walk + other), ("other", other))
    )


def test_people_end_at_a_cut(edited, plain, networks, tmp_path):
    [result] = Job.of([edited[0]]).run(networks=networks)
    assert result.source.cuts == (FRAMES,)
    first, second = result.tracks
    assert first.frames.tolist() == list(range(FRAMES))
    assert second.frames.tolist() == list(range(FRAMES, 2 * FRAMES))
    np.testing.assert_array_equal(first.keypoints, plain.tracks[0].keypoints)
    np.testing.assert_allclose(first.joints, plain.tracks[0].joints, atol=1e-5)
    alone = find_people(edited[1], networks=networks)
    np.testing.assert_array_equal(second.keypoints, alone.tracks[0].keypoints)

    result.save(tmp_path / "a.npz")
    assert PoseResult.load(tmp_path / "a.npz").source.cuts == (FRAMES,)
    [path] = result.export("json", tmp_path / "a")
    assert json.loads(path.read_text(encoding="utf-8"))["header"]["source"]["cuts"] == [FRAMES]
    assert "cut at 0.48 s" in result.view(tmp_path / "a.html").read_text(encoding="utf-8")


def test_cuts_are_found_nowhere_or_where_a_file_says(edited, networks, tmp_path):
    assert find_people(edited[0], Finding(cuts="none"), networks=networks).source.cuts == ()
    (tmp_path / "cuts.txt").write_text("4\n")
    found = find_people(edited[0], Finding(cuts=tmp_path / "cuts.txt", end=0.4), networks=networks)
    assert found.source.cuts == (4,)
    assert [int(track.frames[0]) for track in found.tracks] == [0, 4]


def test_a_cut_after_the_end_is_told(tmp_path, caplog):
    for text, late in (("4\n11\n0:00.44", ""), ("4\n12", "frame 12"), ("4\n0.45", "0.45 s")):
        (tmp_path / "cuts.txt").write_text(text)
        load_cuts(tmp_path / "cuts.txt").check_length("cuts.txt", np.arange(12) / 25)
        end = "but the video ends with frame 11, at 0.44 s; is it another video's file?"
        assert caplog.messages == ([f"cuts.txt: has a cut at {late}, {end}"] if late else [])
        caplog.clear()


def test_slow_motion_is_timed_as_it_was(walk, networks, tmp_path):
    path = video_kinds.encode(tmp_path / "slow.mkv", walk[:6], "ffv1", "bgr0")
    found = find_people(path, filming=Filming(slow_motion=8), networks=networks)
    np.testing.assert_allclose(found.source.times, np.arange(6) / 200, atol=1e-9)
    assert found.source.fps == 200
    assert found.provenance["slow_motion"] == 8
    # Times that are given are those of life, too.
    (tmp_path / "cuts.txt").write_text("0.02\n")
    cut = Finding(cuts=tmp_path / "cuts.txt")
    assert find_people(path, cut, filming=Filming(slow_motion=8), networks=networks).source.cuts == (4,)
    with VideoReader(path, start=0.01, end=0.025, slow_motion=8) as reader:
        assert [frame.index for frame in reader] == [2, 3, 4]
    found = find_people(path, filming=Filming(fps=50), networks=networks)
    np.testing.assert_allclose(found.source.times, np.arange(6) / 50, atol=1e-9)


# Other programs' keypoints


def openpose_of(result: PoseResult, folder: Path) -> Path:
    [path] = result.export("openpose", folder / "walk")
    return path


def test_other_keypoints_are_lifted(plain, tmp_path):
    folder = openpose_of(plain, tmp_path)
    [result] = Job.of(saved=[folder], size="640x480", fps=25).run()
    [track] = result.tracks
    assert result.keypoint_layout == "body25"
    assert not result.source.pictures
    assert track.lifted.all()
    # The same limbs, but for a head that is found otherwise.
    limbs = [i for i in range(17) if i not in (9, 10)]
    assert np.linalg.norm((track.joints - plain.tracks[0].joints)[:, limbs], axis=-1).mean() < 0.06
    result.view(tmp_path / "a.html")
    [again] = Job.of(saved=[folder], videos=[plain.source.path]).run()
    assert again.source.pictures
    np.testing.assert_allclose(again.tracks[0].joints, track.joints, atol=2e-3)


def test_joints_in_3d_need_no_lifter(plain, tmp_path):
    [trc] = plain.export("trc", tmp_path / "walk", heading=0)
    [result] = Job.of(saved=[trc], smooth="none").run()
    assert result.joints_given
    assert result.provenance["lifter"] is None
    apart = result.tracks[0].joints - plain.tracks[0].joints
    known = np.isfinite(read_trc(trc)[2]).all(axis=-1)[:, : len(H36M_17)]  # feet and hands come after
    assert np.linalg.norm(apart, axis=-1)[known].mean() < 0.03
    result.save(tmp_path / "a.npz")
    assert PoseResult.load(tmp_path / "a.npz").joints_given
    _, _, back = read_trc(result.export("trc", tmp_path / "back", heading=0)[0])
    assert np.linalg.norm(back - read_trc(trc)[2][:, : len(H36M_17)], axis=-1)[known].mean() < 0.03


def test_what_nothing_would_look_at_is_refused(plain, tmp_path):
    plain.save(tmp_path / "a.npz")
    with pytest.raises(UsageError, match="`fps=25` says how a video was filmed"):
        Job.of(saved=[tmp_path / "a.npz"], fps=25).check_settings()
    with pytest.raises(UsageError, match="`size=640x480` is of the picture that saved keypoints are in"):
        Job.of(["a.mp4"], size="640x480").check_settings()
    with pytest.raises(UsageError, match="`size=wide`: a width and a height in pixels are wanted"):
        Job.of(saved=[tmp_path / "a.json"], size="wide").check_settings()
    with pytest.raises(UsageError, match=r"`slow_motion=0`: a number above 0 is wanted, from 0\.001 to a million"):
        Job.of(["a.mp4"], slow_motion=0).check_settings()
    with pytest.raises(UsageError, match=r"`threads=1000000000000`: a number from 1 to 1024 is wanted"):
        Job.of(["a.mp4"], threads=10**12).check_settings()


def test_both_ends_of_the_rates_can_be():
    for rate in (0.001, 1_000_000, Fraction(1, 1000), Fraction(30000, 1001)):
        Filming(fps=rate, slow_motion=rate).check()
    for rate in (0.0009, 1_000_001, float("nan"), Fraction(0)):
        with pytest.raises(UsageError, match=r"a number above 0 is wanted, from 0\.001 to a million"):
            Filming(fps=rate).check()


# The command


@pytest.mark.parametrize("overlay", ["mesh", "skeletons"])
def test_an_overlay_without_a_video_is_said_to_be_left_out(run, plain, tmp_path, overlay):
    given = openpose_of(plain, tmp_path)
    how = ("infer", "--from-keypoints", given, "--size", "640x480", "--fps", "25")
    why = f"{given}: keypoints without a video, so no overlay is drawn; name the video, too"
    code, _, err = run(*how, "--overlay", overlay, "--out", tmp_path / "a")
    assert code == 0
    assert why in err.splitlines()
    assert not list((tmp_path / "a").glob("*.mp4"))
    assert why not in run(*how, "--out", tmp_path / "b")[2]


def test_a_rate_may_be_a_fraction_as_the_files_say_it(run, plain, tmp_path):
    given = openpose_of(plain, tmp_path)
    how = ("--size", "640x480", "--format", "json", "--from-keypoints", given, "--fps")
    code, _, err = run("infer", *how, "30000/1001", "--out", tmp_path / "a")
    assert code == 0, err
    (path,) = (tmp_path / "a").glob("*.json")
    assert json.loads(path.read_text())["header"]["source"]["fps"] == "30000/1001"
    (path,) = (tmp_path / "a").glob("*.npz")
    times = PoseResult.load(path).source.times
    assert times[3] == pytest.approx(3 * 1001 / 30000, abs=1e-12)
    for odd in ("30/0", "1/2/3", "fast"):
        code, _, err = run("infer", *how, odd)
        assert code == 2
        assert "is neither a number nor a fraction, as in 25 or 30000/1001" in " ".join(err.replace("│", "").split())


def test_a_batch_goes_on_after_files_that_are_none(run, plain, tmp_path):
    good = openpose_of(plain, tmp_path)
    bad, other = tmp_path / "bad.json", tmp_path / "none.trc"
    bad.write_text("[1, 2")
    keypoints = [f"--from-keypoints={path}" for path in (bad, good, other)]
    code, out, err = run("infer", *keypoints, "--size", "640x480", "--fps", "25", "--out", tmp_path / "out")
    assert code == 1
    assert "bad.json" in err
    assert "none.trc" in err
    assert "2 of 3 videos failed" in err
    assert (tmp_path / "out" / "walk_openpose.npz").exists()
    assert not (tmp_path / "out" / "walk_openpose_overlay.mp4").exists()
    assert "1 person in 12 frames" in out


def test_a_result_without_a_video_is_looked_at_without(run, plain, tmp_path):
    [result] = Job.of(saved=[openpose_of(plain, tmp_path)], size="640x480", fps=25).run()
    result.save(tmp_path / "a.npz")
    code, _, err = run("view", tmp_path / "a.npz", "--no-open")
    assert code == 0, err
    code, _, err = run("render", tmp_path / "a.npz")
    assert code == 1
    assert "made from keypoints without a video; say where that is with --video" in err
    code, _, err = run("render", tmp_path / "a.npz", "--video", plain.source.path)
    assert code == 0, err


def test_one_photo_with_exif_beside_a_text_that_is_none(run, tmp_path):
    stored = odd_pictures.STORED[6](clips.corner_picture())
    photo, text = tmp_path / "photo.jpg", tmp_path / "a.mp4"
    photo.write_bytes(odd_pictures.with_exif(odd_pictures.jpeg_of(np.ascontiguousarray(stored)), 6))
    text.write_text("no video")
    code, _, err = run("infer", text, photo, "--out", tmp_path / "out")
    assert code == 1
    assert "1 of 2 videos failed" in err
    source = PoseResult.load(tmp_path / "out" / "photo.npz").source
    assert (source.width, source.height, source.num_frames) == (96, 64, 1)


def test_fps_of_a_folder_and_names_of_two_cameras(run, walk, tmp_path):
    for camera in ("cam1", "cam2"):
        (tmp_path / camera / "frames").mkdir(parents=True)
        for number, image in enumerate(walk[:3]):
            cv2.imwrite(str(tmp_path / camera / "frames" / f"{number}.jpg"), image[..., ::-1])
    folders = [tmp_path / camera / "frames" for camera in ("cam1", "cam2")]
    code, _, err = run("infer", *folders, "--fps", "25", "--no-overlay", "--out", tmp_path / "out")
    assert code == 0, err
    for camera in ("cam1", "cam2"):
        result = PoseResult.load(tmp_path / "out" / f"{camera}_frames.npz")
        np.testing.assert_allclose(result.source.times, [0, 0.04, 0.08])


def test_other_keypoints_of_two_calibrated_cameras_are_triangulated(tmp_path):
    """OpenPose's folders of two views, and no video: exact keypoints give exact limbs."""
    times = np.arange(25) / 25
    world, tables, folders = walk_of(times), "", []
    for number, place in enumerate(((1.0, -5.0, 1.4), (4.5, 1.5, 2.1))):
        camera = StudioCamera(848, 480, 700.0, place, (0.0, 0.0, 0.9))
        seen = (world - np.array(camera.position)) @ camera.rotation.T
        # OpenCV, and a calibration, count from the centre of the first pixel.
        pixels = 700 * seen[..., :2] / seen[..., 2:] + (424, 240)
        keypoints = np.zeros((len(times), 1, 25, 3))
        for joint, name in enumerate(BODY_25.joints):
            twin = {"neck": "thorax", "left_eye": "head_top", "right_eye": "head_top"}.get(name, name)
            if twin in H36M_17.joints:
                keypoints[:, 0, joint, :2], keypoints[:, 0, joint, 2] = pixels[:, H36M_17.index(twin)], 0.9
        folders.append(write_openpose_folder(tmp_path / f"cam{number}", keypoints))
        tables += f"""[cam{number}]
            name = "cam{number}"
            size = [848, 480]
            matrix = [[700.0, 0.0, 423.5], [0.0, 700.0, 239.5], [0.0, 0.0, 1.0]]
            distortions = [0.0, 0.0, 0.0, 0.0]
            rotation = {camera.rotation.tolist()}
            translation = {(-camera.rotation @ np.array(camera.position)).tolist()}
            """
    (tmp_path / "c.toml").write_text(tables)
    job = Job.of(saved=folders, calibration=tmp_path / "c.toml", size="848x480", fps=25, smooth="none")
    for result in job.run():
        [track] = result.tracks
        found = (track.joints + track.roots[:, None]) @ result.camera.to_world[:, :3].T + result.camera.to_world[:, 3]
        limbs = [H36M_17.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle", "wrist")]
        assert np.linalg.norm(found - world, axis=-1)[:, limbs].mean() < 0.005


def write_openpose_folder(folder: Path, values: np.ndarray) -> Path:
    folder.mkdir()
    for frame, row in enumerate(values):
        people = [{"person_id": [-1], "pose_keypoints_2d": one.ravel().tolist()} for one in row]
        (folder / f"a_{frame:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))
    return folder
