"""BlazePose and NanoDet against what TensorFlow Lite, TensorFlow.js and MediaPipe recorded of the same pictures."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidpose.common.errors import VidposeError
from vidpose.keypoints.blazepose_keypoints import BlazePoseKeypoints
from vidpose.people.blazepose_detector import BlazePoseDetector
from vidpose.people.nanodet import NanoDetDetector
from vidpose.people.nanodet_network import NanoDet
from vidpose.pipeline.table import WEIGHTS
from vidpose.runtimes.blazepose import LANDMARK_CONFIGS, PersonRegions, PoseLandmarks
from vidpose.runtimes.embedded import KIND, EmbeddedNetwork
from vidpose.video import VideoReader
from vidpose.weights import shipped as shipped_room
from vidpose.weights.catalogue import shipped_entries
from vidpose.weights.header import read_header
from vidpose.weights.shipped import ShippedWeights, shipped

DATA = Path(__file__).parent / "data"
EMBEDDED = {
    entry.shipped.file.removesuffix(".safetensors"): entry.shipped
    for entry in shipped_entries(WEIGHTS).values()
    if entry.shipped.graph and entry.kind != "lifter"
}
LANDMARKS = ("landmarks", "presence", "heatmaps", "world")


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(DATA / "people_networks.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def picture(recorded: dict[str, np.ndarray]) -> np.ndarray:
    """256 x 256 RGB around a rendered person."""
    return cv2.imdecode(recorded["picture_png"], cv2.IMREAD_COLOR)[..., ::-1]


@pytest.fixture(params=["onnxruntime", "torch"])
def opened(request: pytest.FixtureRequest) -> Callable[..., EmbeddedNetwork]:
    """Opens a network by either runtime; `cpu:0` is what torch calls its own CPU."""
    device = {"onnxruntime": "cpu", "torch": "cpu:0"}[request.param]
    return lambda name, make, outputs: EmbeddedNetwork(EMBEDDED[name], make, outputs, device, threads=1)


@pytest.mark.parametrize("size", ["lite", "full", "heavy"])
def test_landmarks_are_those_of_tensorflow_lite(size: str, opened, recorded, picture) -> None:
    network = opened(f"blazepose-{size}", lambda: PoseLandmarks(LANDMARK_CONFIGS[size]), LANDMARKS)
    crops_NCHW = np.stack([picture.transpose(2, 0, 1) / np.float32(255)] * 2)
    landmarks, presence, heatmaps, world = network(crops_NCHW)
    np.testing.assert_array_equal(landmarks[0], landmarks[1])
    np.testing.assert_allclose(landmarks[0], recorded[f"{size}_landmarks"], atol=0.01)  # of 256 pixels, and logits
    np.testing.assert_allclose(presence[0], recorded[f"{size}_presence"], atol=1e-5)
    np.testing.assert_allclose(heatmaps[0, :, ::4, ::4], recorded[f"{size}_heatmaps"], atol=5e-3)
    np.testing.assert_allclose(world[0], recorded[f"{size}_world"], atol=5e-5)  # metres


def test_regions_are_those_of_tensorflow_lite(opened, recorded, picture) -> None:
    network = opened("blazepose-detector", PersonRegions, ("regions", "logits"))
    view = picture[16:-16, 16:-16].transpose(2, 0, 1) / np.float32(127.5) - np.float32(1)
    regions, logits = network(view[None])
    np.testing.assert_allclose(logits[0], recorded["detector_logits"], atol=2e-3)  # of up to 500
    np.testing.assert_allclose(regions[0][recorded["detector_best"]], recorded["detector_regions"], atol=2e-3)  # pixels


def test_people_are_those_of_tensorflow_js(opened, recorded, picture) -> None:
    network = opened("nanodet", NanoDet, ("people", "bins"))
    large = np.zeros((416, 416, 3), np.float32)
    large[80:-80, 80:-80] = picture[..., ::-1]
    standard = (large - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
    people, bins = network(standard.transpose(2, 0, 1)[None].astype(np.float32))
    np.testing.assert_allclose(people[0], recorded["nanodet_people"], atol=1e-5)
    np.testing.assert_allclose(bins[0][recorded["nanodet_best"]], recorded["nanodet_bins"], atol=1e-4)


@pytest.mark.parametrize("sample", ["walk-wave", "two-people", "workout"])
def test_the_whole_chain_gives_what_mediapipe_gave(sample: str) -> None:
    """From the picture to regions and joints, by the full network; MediaPipe's were recorded by its 0.10.21.

    Where the middle of a refinement window falls into another cell, single joints differ by pixels: hence medians.
    """
    with np.load(DATA / "blazepose_chain.npz") as file:
        theirs = {key.removeprefix(f"{sample}_"): file[key] for key in file if key.startswith(sample)}
    detector, keypoints = BlazePoseDetector(), BlazePoseKeypoints("full")
    joints, ahead, checked = [], [], 0
    with VideoReader(shipped("samples") / f"{sample}.mp4") as video:
        for frame in video:
            rows = np.flatnonzero(theirs["frames"] == frame.index)
            if not len(rows):
                continue
            height, width = frame.image.shape[:2]
            ((regions, scores),) = detector._search(frame.image, [(0, 0, width, height)])
            np.testing.assert_allclose(regions, theirs["regions"][rows], atol=2)  # OpenCV 4 and 5 differ
            np.testing.assert_allclose(scores, theirs["scores"][rows], atol=0.05)
            poses = keypoints.locate(frame.image, theirs["regions"][rows].astype(np.float64))
            np.testing.assert_allclose(poses.presence, theirs["presence"][rows], atol=0.01)
            landmarks = theirs["landmarks"][rows]
            joints.append(np.linalg.norm(poses.keypoints - landmarks[..., :2], axis=-1))
            ahead.append(np.linalg.norm(poses.regions - theirs["next"][rows], axis=-1))
            checked += len(rows)
    assert checked == len(theirs["frames"]) >= 10
    assert np.median(np.concatenate(joints)) < 0.1
    assert np.median(np.concatenate(ahead)) < 0.5


def test_a_box_starts_the_landmark_network(picture) -> None:
    found = NanoDetDetector().detect(picture)
    assert len(found) == 1
    keypoints = BlazePoseKeypoints("full")
    first = keypoints.locate(picture, keypoints.regions(found.boxes))
    again = keypoints.locate(picture, first.regions)
    height = found.boxes[0, 3] - found.boxes[0, 1]
    assert first.presence[0] > 0.9
    assert np.median(np.linalg.norm(first.keypoints - again.keypoints, axis=-1)) < 0.05 * height


def test_someone_small_in_a_corner_is_seen_in_a_tile(picture) -> None:
    """Too small for the whole picture, whole in one tile, and counted once."""
    scene = np.full((1080, 1920, 3), 190, np.uint8)
    scene[900:1000, 1700:1800] = cv2.resize(picture, (100, 100), interpolation=cv2.INTER_AREA)
    assert len(NanoDetDetector().detect(scene)) == 0
    found = NanoDetDetector(tiles=True).detect(scene)
    assert len(found) == 1
    x0, y0, x1, y1 = found.boxes[0]
    assert 1700 < x0 < x1 < 1800
    assert 895 < y0 < y1 < 1005


def test_a_box_lies_where_the_person_does(picture) -> None:
    """The letterbox is undone: the same person, elsewhere in a picture of another shape and size."""
    (box,) = NanoDetDetector().detect(picture).boxes
    scene = np.full((500, 300, 3), 190, np.uint8)
    scene[230:486, 20:276] = picture
    (moved,) = NanoDetDetector().detect(scene).boxes
    np.testing.assert_allclose(moved - box, (20, 230, 20, 230), atol=12)


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_the_weights_say_where_they_come_from(name: str) -> None:
    about = read_header(EMBEDDED[name].checked())
    assert about["format"] == KIND
    assert about["license"] == "Apache-2.0"
    assert about["notice"]
    assert all(len(source["sha256"]) == 64 for source in about["sources"])


def test_damaged_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for entry in (EMBEDDED["nanodet"], EMBEDDED["nanodet"].graph):
        (tmp_path / entry.file).write_bytes(entry.path.read_bytes())
    monkeypatch.setattr(shipped_room, "shipped", lambda kind: tmp_path)
    NanoDetDetector()
    graph = ShippedWeights("nanodet.onnx", "").path
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(VidposeError, match=r"nanodet\.onnx: damaged"):
        NanoDetDetector()


def test_all_weights_are_float16() -> None:
    """float16 loses nothing: the published weights are float16."""
    import torch
    from safetensors.torch import load_file

    for weights in EMBEDDED.values():
        assert {tensor.dtype for tensor in load_file(weights.checked()).values()} == {torch.float16}
