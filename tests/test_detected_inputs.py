"""`vidpose data detect`: keypoints found in a benchmark's videos become an input of its lifters."""

from pathlib import Path

import clips
import numpy as np
import pytest
from wanderers import FRAMES, recording, run

from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets import cmu
from vidpose.datasets.store import Store, StoreWriter
from vidpose.video import VideoReader

FILMED = 20
"""Frames of the video of a clip that has more."""


@pytest.fixture(scope="module")
def film(tmp_path_factory, walk_sample) -> Path:
    """The beginning of a walk."""
    images = (frame.image for frame in VideoReader(walk_sample, end=FILMED / 25))
    return clips.write_clip(tmp_path_factory.mktemp("videos") / "walk.mp4", list(images))


@pytest.fixture
def filmed(monkeypatch, film, tmp_path):
    """A benchmark of one clip whose video is there, and the command that looks into it."""
    monkeypatch.setattr(cmu, "video_names", lambda clip: [film.name], raising=False)
    writer = StoreWriter(tmp_path / "filmed", "cmu", "h36m17")
    writer.write("test", [recording(0)])
    store = writer.finish({}, {"gt": {}})
    return store, ("data", "detect", "cmu", "--data", store.folder, "--videos", film.parent, "--device", "cpu")


def test_detections_become_an_input(filmed, capsys):
    store, command = filmed
    run(*command)
    assert "has the input 'blazepose-heavy' now" in capsys.readouterr().out
    store = Store(store.folder)
    found = store.keypoints(store.clips[0], "blazepose-heavy")
    assert found.shape == (FRAMES, 17, 3)
    assert np.isfinite(found[:FILMED]).all(axis=(1, 2)).mean() > 0.9
    assert np.isnan(found[FILMED:, :, :2]).all()
    assert (found[FILMED:, :, 2] == 0).all()
    facts = {
        "detector": "blazepose-heavy",
        "people": "nanodet",
        "conversion": "blazepose33-h36m17-crown",
        "scores": True,
    }
    assert store.inputs["blazepose-heavy"] == facts


@pytest.mark.parametrize("name", [None, "mine"])
def test_any_network_s_detections_become_an_input(filmed, tmp_path, name):
    from onnx_files import write_constant_rtmpose, write_rtmdet

    store, command = filmed
    # As sure as the picture's first pixel is blue, which is 0.73.
    people = write_rtmdet(tmp_path / "people.onnx", [(100, 60, 400, 600, 0)], [0], ("N", 3, "H", "W"))
    bins = np.random.default_rng(0).uniform(0.2, 0.8, (17, 2)) * (384, 512)
    simcc_x, simcc_y = np.zeros((1, 17, 384), np.float32), np.zeros((1, 17, 512), np.float32)
    for joint, (x, y) in enumerate(bins.astype(int)):
        simcc_x[0, joint, x] = simcc_y[0, joint, y] = 0.9
    joints = write_constant_rtmpose(tmp_path / "joints.onnx", simcc_x, simcc_y)
    run(*command, "--detector", "rtmdet", "--detector-weights", people, "--keypoints", "rtmpose-s",
        "--keypoints-weights", joints, *(("--name", name) if name else ()))  # fmt: skip
    store, name = Store(store.folder), name or "rtmpose-s"
    facts = {"detector": "rtmpose-s", "people": "rtmdet", "conversion": "coco17-h36m17-mid", "scores": True}
    assert store.inputs[name] == facts
    found = store.keypoints(store.clips[0], name)
    # The box ends with the picture, and a quarter of it is added; its crop is three quarters as wide as tall.
    width, height = 0.75 * 420 * 1.25, 420 * 1.25
    expected = (250, 270) + (bins.astype(int) / (384, 512) - 0.5) * (width, height)
    wrist, hips = COCO_17.index("left_wrist"), [COCO_17.index("left_hip"), COCO_17.index("right_hip")]
    np.testing.assert_allclose(found[:FILMED, H36M_17.index("left_wrist"), :2], [expected[wrist]] * FILMED, atol=0.01)
    np.testing.assert_allclose(found[:FILMED, 0, :2], [expected[hips].mean(axis=0)] * FILMED, atol=0.01)
    np.testing.assert_allclose(found[:FILMED, :, 2], 0.9, atol=1e-6)
    with pytest.raises(UsageError, match=f"--name {name}: .* has another input of that name"):
        run(*command, "--name", name)


def test_what_cannot_be_detected_is_one_line(filmed, tmp_path):
    _, command = filmed
    with pytest.raises(UsageError, match=r"--name gt: .* has another input of that name"):
        run(*command, "--name", "gt")
    with pytest.raises(UsageError, match="--name a/b: an input's name is a file's too"):
        run(*command, "--name", "a/b")
    with pytest.raises(UsageError, match=r"--detector boxes:b\.csv: the boxes of one video"):
        run(*command, "--detector", "boxes:b.csv")
    with pytest.raises(VidposeError, match=r"walk\.mp4: missing; put the benchmark's videos there"):
        run(*command, "--videos", tmp_path)


@pytest.mark.parametrize(
    ("keypoints", "name"),
    [
        ("hrnet-w32", "hrnet-w32"),
        ("torchvision:keypointrcnn", "torchvision-keypointrcnn"),
        ("mmpose:td-hm_hrnet-w32_8xb64-210e_coco-256x192", "mmpose-td-hm_hrnet-w32_8xb64-210e_coco-256x192"),
        ("mmpose:configs/mine.py", "mmpose-mine"),
    ],
)
def test_an_input_is_named_after_its_network(keypoints, name):
    from vidpose.datasets.detecting import input_name

    assert input_name(keypoints) == name
