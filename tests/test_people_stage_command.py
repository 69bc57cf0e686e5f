"""`vidpose infer` with other detectors than BlazePose's."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_files import write_constant_rtmpose

from vidpose.body.skeletons import BLAZEPOSE_TO_H36M, COCO_17
from vidpose.body.tracks import PoseResult
from vidpose.lifters import create_lifter
from vidpose.lifters.zoo import save_lifter
from vidpose.pipeline.finding import find_people
from vidpose.video import VideoReader, VideoWriter

FRAMES = 10

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(run: Callable[..., tuple[int, str, str]], tiny_lifter, walk) -> Run:
    """Run `vidpose infer` on the short video in an empty folder: exit code, stderr."""

    def call(*options: object, lifter: Path = tiny_lifter) -> tuple[int, str]:
        code, _, err = run("infer", walk, "--no-overlay", "--lifter", lifter, "--overwrite", *options)
        return code, err

    return call


def lifter_file(folder: Path, layout: str) -> Path:
    path = folder / f"{layout}.safetensors"
    lifter = create_lifter("single-branch", width=16, depth=1, heads=2, frames=9, layout=layout)
    save_lifter(lifter, path, {"conversion": BLAZEPOSE_TO_H36M.name})
    return path


@pytest.fixture(scope="module")
def tiny_lifter(tmp_path_factory) -> Path:
    return lifter_file(tmp_path_factory.mktemp("weights"), "h36m17")


@pytest.fixture(scope="module")
def walk(walk_sample, tmp_path_factory) -> Path:
    """The first frames of a sample."""
    path = tmp_path_factory.mktemp("video") / "walk.mp4"
    with (
        VideoReader(walk_sample, end=(FRAMES - 0.5) / 25) as video,
        VideoWriter(path, (video.width, video.height)) as out,
    ):
        for frame in video:
            out.write(frame.image, frame.time)
    return path


@pytest.fixture(scope="module")
def found(walk) -> PoseResult:
    """What BlazePose finds in it."""
    return find_people(walk)


@pytest.fixture
def boxes(found, tmp_path) -> Path:
    """BlazePose's boxes as a file, with the id 5."""
    (track,) = found.tracks
    with open(tmp_path / "boxes.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["frame", "x0", "y0", "x1", "y1", "id"])
        table.writerows([frame, *box, 5] for frame, box in zip(track.frames, track.boxes, strict=True))
    return tmp_path / "boxes.csv"


@pytest.fixture
def rtmpose(tmp_path) -> Path:
    """A network that sees everyone in one pose: joints on a grid, with score 0.9."""
    bins = np.zeros((2, 1, 17, 384), np.float32)
    joints = np.arange(17)
    bins[0, 0, joints, 140 + 30 * (joints % 4)] = bins[1, 0, joints, 80 + 50 * (joints // 4)] = 0.9
    simcc_y = np.concatenate([bins[1], np.zeros((1, 17, 128), np.float32)], axis=-1)
    return write_constant_rtmpose(tmp_path / "pose.onnx", bins[0], simcc_y)


def result(folder: Path) -> PoseResult:
    return PoseResult.load(folder / "out" / "walk.npz")


def test_blazepose_in_boxes_from_a_file_finds_what_it_finds_alone(run, boxes, found, tmp_path) -> None:
    code, err = run("--detector", f"boxes:{boxes}")
    assert code == 0, err
    (track,), (alone,) = result(tmp_path).tracks, found.tracks
    assert track.id == 5
    assert track.frames.tolist() == alone.frames.tolist()
    size = np.ptp(alone.keypoints, axis=1).max()
    assert np.median(np.linalg.norm(track.keypoints - alone.keypoints, axis=-1)) < 0.02 * size


def test_another_keypoint_network_and_its_layout(run, boxes, rtmpose, tmp_path) -> None:
    code, err = run("--detector", f"boxes:{boxes}", "--keypoints", "rtmpose-m", "--keypoints-weights", rtmpose)
    assert code == 0, err
    assert "was trained on keypoints from blazepose33-h36m17-crown, not from coco17-h36m17-mid" in " ".join(err.split())
    written = result(tmp_path)
    assert written.keypoint_layout == COCO_17.name
    assert written.joint_layout == "h36m17"
    assert written.provenance["detector"] == f"boxes:{boxes}"
    assert written.provenance["keypoints"] == "rtmpose-m"
    assert written.provenance["conversion"] == "coco17-h36m17-mid"
    (track,) = written.tracks
    assert track.keypoints.shape == (FRAMES, 17, 2)
    assert track.lifted.all()


def test_a_lifter_whose_joints_cannot_be_made_is_refused_before_the_search(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("vidpose.pipeline.finding.find_people", None)
    code, err = run(lifter=lifter_file(tmp_path, "mpii16"))
    assert code == 2
    assert "no conversion from joint layout 'blazepose33' to 'mpii16'" in err


def test_boxes_beyond_the_end_of_the_video_draw_a_warning(run, boxes) -> None:
    with open(boxes, "a") as file:
        file.write("300,1,2,3,4,5\n")
    code, err = run("--detector", f"boxes:{boxes}")
    assert code == 0
    assert f"has boxes up to frame 300, but the video ends with frame {FRAMES - 1}" in " ".join(err.split())
    assert "has boxes up to" not in run("--detector", f"boxes:{boxes}", "--time", ":0.2")[1]


def test_boxes_of_another_picture_are_one_line(run, boxes) -> None:
    with open(boxes, "a") as file:
        file.write("3,1000,2,1300,4,6\n")
    code, err = run("--detector", f"boxes:{boxes}")
    assert code == 1
    assert "error: " in err
    assert "in frame 3 the box 1000 2 1300 4 lies outside the picture of 640x480" in err


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--detector", "blazepoze"), "did you mean blazepose?"),
        (("--keypoints", "hrnet"), "did you mean hrnet-w"),
        (("--detect-every", "0"), "0"),
        (("--detector", "boxes:b.csv", "another.mp4"), "the boxes of one video"),
        (("--from-keypoints", "r.npz", "--detector", "rtmdet"), "saved keypoints have been found already"),
        (("--from-keypoints", "r.npz", "--keypoints-weights", "w.pth"), "saved keypoints have been found already"),
    ],
)
def test_wrong_words_exit_2(run, options, parts) -> None:
    code, err = run(*options)
    assert code == 2
    assert parts in err
