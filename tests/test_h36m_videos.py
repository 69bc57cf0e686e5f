"""Human3.6M's videos cut into clips: small ones whose people are a dot for each joint, in the benchmark's own files."""

import json

import clips as videos
import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from training_data import T_POSE

from vidpose.body.skeletons import H36M_17
from vidpose.datasets.h36m_cameras import CAMERAS
from vidpose.datasets.store import Recording, StoreWriter
from vidpose.keypoint_data import open_clips, read_people

FRAMES = 13
SIZE = 200
CUT = ("--frames", "2", "--every", "3", "--size", str(SIZE))
"""Clips of frames 0 and 3, and of frames 6 and 9."""

MOTIONS = {("S1", "Photo"): 0, ("S5", "Walking 1"): 1, ("S11", "Directions"): 2, ("S11", "Eating"): 3}


def world(seed: int) -> np.ndarray:
    """(F, 17, 3) metres: somebody who walks through the room, every joint in a way of its own."""
    rng = np.random.default_rng(seed)
    t = np.arange(FRAMES)[:, None, None]
    return T_POSE + 0.08 * np.sin(t + rng.uniform(0, 6, (1, 17, 3))) + t * [0.06, 0.05, 0] + [-0.5, 0.3, 0]


def in_camera(points: np.ndarray, subject: str, index: int) -> np.ndarray:
    """Points in the camera's frame, by scipy's rotations."""
    camera = CAMERAS[subject][index]
    return (points - camera.position) @ Rotation.from_quat(np.roll(camera.orientation, -1)).as_matrix()


def seen(points: np.ndarray, subject: str, index: int, distorted: bool = True) -> np.ndarray:
    """Pixels, by Human3.6M's formula or by a pinhole with one focal length."""
    camera = CAMERAS[subject][index]
    joints = in_camera(points, subject, index)
    x, y = np.moveaxis(joints[..., :2] / joints[..., 2:], -1, 0)
    if not distorted:
        return np.stack([x, y], axis=-1) * camera.focal.mean() + camera.centre
    (k1, k2, k3), (px, py), r2 = camera.radial, camera.tangential, x * x + y * y
    factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + px * x + py * y
    return np.stack([x * factor + px * r2, y * factor + py * r2], axis=-1) * camera.focal + camera.centre


def recordings(subject: str, sequence: str, seed: int):
    for index, camera in enumerate(CAMERAS[subject]):
        yield Recording(
            joints=in_camera(world(seed), subject, index),
            keypoints={"gt": seen(world(seed), subject, index)},
            split="train",
            subject=subject,
            action=sequence.split()[0],
            camera=camera.name,
            sequence=sequence,
            width=camera.width,
            height=camera.height,
            fps=50.0,
        )


def write_video(folder, subject, sequence, seed, index, frames=FRAMES, size=None):
    camera = CAMERAS[subject][index]
    width, height = size or (camera.width, camera.height)
    pictures = []
    for joints in seen(world(seed)[:frames], subject, index):
        picture = np.full((height, width, 3), 40, np.uint8)
        for x, y in joints:
            # OpenCV's pixels have their coordinates at their middle.
            centre = round(16 * (x - 0.5)), round(16 * (y - 0.5))
            cv2.circle(picture, centre, 16 * 7, (255, 255, 255), -1, cv2.LINE_AA, shift=4)
        pictures.append(picture)
    path = folder / subject / "Videos" / f"{sequence}.{camera.name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(len(pictures)) / 50
    return videos.write_clip(path, pictures, times, options={"preset": "ultrafast", "crf": "18"})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The prepared benchmark and videos: S1's of all cameras, S5's of all but the third, S11's of two, one short."""
    folder = tmp_path_factory.mktemp("h36m")
    writer = StoreWriter(folder / "prepared", "h36m", "h36m17")
    for subject in ("S1", "S5", "S11"):
        clips = [r for (who, what), seed in MOTIONS.items() if who == subject for r in recordings(who, what, seed)]
        writer.write(subject, clips)
    writer.finish({}, {"gt": {}})
    for index in range(4):
        write_video(folder, "S1", "TakingPhoto", 0, index)
        if index != 2:
            write_video(folder, "S5", "Walking 1", 1, index)
    write_video(folder, "S11", "Eating", 3, 0, frames=8)
    write_video(folder, "S11", "Eating", 3, 1)
    return folder


@pytest.fixture
def cut(run, source):
    """Run `vidpose data clips`: exit code, stdout, stderr."""
    return lambda *words: run("data", "clips", "h36m", "--data", source / "prepared", "--videos", source, *CUT, *words)


@pytest.fixture
def clips(cut, tmp_path):
    assert cut("--subjects", "S1", "--out", tmp_path / "clips")[0] == 0
    return tmp_path / "clips"


def dots(picture: np.ndarray, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The keypoints that stand alone, and the middles of the light that is around them."""
    apart = np.linalg.norm(keypoints[:, None] - keypoints, axis=-1) + 99 * np.eye(len(keypoints))
    alone = keypoints[apart.min(axis=1) > 12]
    light = np.maximum(picture.astype(float).mean(axis=-1) - 100, 0)
    row, column = np.indices(light.shape) + 0.5
    middles = []
    for x, y in alone:
        weights = light * (np.hypot(column - x, row - y) < 6)
        middles.append([(weights * column).sum() / weights.sum(), (weights * row).sum() / weights.sum()])
    return alone, np.array(middles)


def test_crops_show_the_joints_where_the_annotations_say_in_all_views_in_step(clips):
    found = open_clips(clips, H36M_17)
    assert [clip.number for clip in found] == [0, 1]
    for number, clip in enumerate(found):
        assert [view.number for view in clip.views] == [0, 1, 2, 3]
        for view in clip.views:
            np.testing.assert_allclose(view.times, np.array([0, 3]) / 50 + number * 6 / 50)
            for frame in range(2):
                alone, middles = dots(view.picture(frame), view.keypoints[frame])
                assert len(alone) >= 5
                np.testing.assert_allclose(middles, alone, atol=0.2)


def test_a_crop_follows_the_person_with_the_camera_that_took_it(clips):
    for number, clip in enumerate(open_clips(clips, H36M_17)):
        for view in clip.views:
            assert np.ptp(view.focals) == 0
            assert (np.ptp(view.centres, axis=0) > 1).any()
            for frame, moment in enumerate((6 * number, 6 * number + 3)):
                joints = world(0)[moment]
                # What is done to the pixels of the video is done to its pinhole.
                rows = [np.concatenate([seen(joints, "S1", view.number), np.ones((17, 1))], axis=1)]
                to_crop, *_ = np.linalg.lstsq(rows[0], view.keypoints[frame], rcond=None)
                pinhole = seen(joints, "S1", view.number, distorted=False)
                expected = np.concatenate([pinhole, np.ones((17, 1))], axis=1) @ to_crop
                matrix = view.world_to_camera[frame]
                inside = joints @ matrix[:, :3].T + matrix[:, 3]
                found = view.focals[frame] * inside[:, :2] / inside[:, 2:] + view.centres[frame]
                np.testing.assert_allclose(found, expected, atol=0.03)
                assert 0.05 < np.abs(found - view.keypoints[frame]).max() < 5
            middles = (view.boxes[:, :2] + view.boxes[:, 2:]) / 2
            np.testing.assert_allclose(middles, SIZE / 2, atol=1)
            assert (view.boxes[:, None, :2] < view.keypoints).all()
            assert (view.boxes[:, None, 2:] > view.keypoints).all()
            longest = (view.boxes[:, 2:] - view.boxes[:, :2]).max()
            assert longest == pytest.approx(SIZE / 1.5, abs=1.5)


def test_a_clip_says_where_it_is_from_and_has_no_outline(clips):
    content = json.loads((clips / "clip-00001" / "annotations.json").read_text())
    assert content["info"] == {"subject": "S1", "recording": "Photo", "start": 6}
    for entry in content["annotations"]:
        assert entry["segmentation"] == []
        assert entry["area"] == round(0.53 * entry["bbox"][2] * entry["bbox"][3])
        assert entry["num_keypoints"] == 17
    people = read_people(clips, H36M_17)
    assert len({person.image_id for person in people}) == len(people) == 2 * 4 * 2


def test_what_the_video_does_not_show_is_black_and_not_annotated(tmp_path, cut):
    folder = tmp_path / "beyond"
    records = list(recordings("S1", "Photo", 0))
    for index, record in enumerate(records):
        # Somebody who stands half beside the picture.
        record.keypoints["gt"][..., 0] += 1000 - record.keypoints["gt"][..., 0].mean()
        write_video(folder, "S1", "Photo", 0, index)
    writer = StoreWriter(folder / "prepared", "h36m", "h36m17")
    writer.write("S1", records)
    writer.finish({}, {"gt": {}})
    words = ("--data", folder / "prepared", "--videos", folder, "--subjects", "S1", "--out", folder / "clips")
    assert cut(*words)[0] == 0
    for clip in open_clips(folder / "clips", H36M_17):
        for view in clip.views:
            for frame in range(2):
                beyond = records[view.number].keypoints["gt"][6 * clip.number + 3 * frame, :, 0] > 1000
                assert 0 < beyond.sum() < 17
                np.testing.assert_array_equal(np.isnan(view.keypoints[frame]).any(axis=1), beyond)
                edge = int(np.ceil(view.boxes[frame, 2]))
                assert view.picture(frame)[:, edge + 2 :].max() < 8
                assert view.picture(frame)[SIZE // 2, : edge - 2].min() > 20


def test_a_set_that_was_broken_off_is_gone_on_with(cut, clips):
    first, second = (clips / f"clip-0000{n}" / "annotations.json" for n in (0, 1))
    before, content = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()
    code, out, _ = cut("--subjects", "S1", "--out", clips)
    assert (code, out) == (0, f"{clips}: 2 clips of 2 frames, 1 of them new\n")
    assert first.stat().st_mtime_ns == before
    assert second.read_bytes() == content
    code, _, err = cut("--subjects", "S1", "--out", clips, "--frames", "1")
    assert code == 1
    assert err == f"error: {clips}: holds clips made otherwise; give --overwrite, or another --out\n"
    code, out, _ = cut("--subjects", "S1", "--out", clips, "--frames", "4", "--overwrite")
    assert (code, out) == (0, f"{clips}: 1 clips of 4 frames, 1 of them new\n")
    assert [len(clip) for clip in open_clips(clips, H36M_17)] == [4]


def test_a_camera_without_a_video_is_a_view_that_is_missing(cut, tmp_path):
    code, _, err = cut("--subjects", "S5", "--out", tmp_path / "clips")
    assert code == 0
    assert "S5 Walking 1: no video of camera 58860488; its clips are without" in err
    found = open_clips(tmp_path / "clips", H36M_17)
    # The numbers after those of S1's and S11's two each.
    assert [clip.number for clip in found] == [4, 5]
    assert [[view.number for view in clip.views] for clip in found] == [[0, 1, 3]] * 2


def test_videos_of_unequal_length_are_used_as_far_as_all_go_and_damaged_recordings_are_left_out(cut, tmp_path):
    code, out, err = cut("--subjects", "S11", "--out", tmp_path / "clips")
    assert code == 0
    assert out == f"{tmp_path / 'clips'}: 1 clips of 2 frames, 1 of them new\n"
    assert "S11 Eating: its videos go on together for 8 frames only; no clips of what comes after" in err
    assert "Directions" not in err
    (clip,) = open_clips(tmp_path / "clips", H36M_17)
    assert [view.number for view in clip.views] == [0, 1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--subjects", "S1,S7"), 2, "--subjects S7: not in "),
        (("--subjects", "S1", "--frames", "6"), 2, "--frames 6 --every 3: no recording is that long; give less"),
        (("--subjects", "S1", "--videos", "."), 1, "S1/Videos: no videos of S1 here"),
        (("--subjects", "S1", "--data", "."), 2, "no prepared benchmark; make it with `vidpose data prepare"),
    ],
)
def test_what_cannot_be_cut_is_said_in_one_line(words, code, message, cut):
    found, _, err = cut("--out", "clips", *words)
    assert found == code
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_other_benchmarks_and_videos_of_another_size_are_refused(run, source, tmp_path):
    code, _, err = run("data", "clips", "humaneva", "--videos", source, "--out", "clips")
    assert (code, err) == (2, "error: humaneva: only videos of h36m can be cut into clips\n")
    path = write_video(tmp_path, "S1", "Photo", 0, 0, size=(500, 502))
    words = ("--data", source / "prepared", "--videos", tmp_path, "--out", "clips", "--subjects", "S1", *CUT)
    code, _, err = run("data", "clips", "h36m", *words)
    assert code == 1
    assert f"error: {path}: 500x502 pixels, where camera 54138969 has 1000x1002" in err
