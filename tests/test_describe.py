"""What `vidpose data info` says and draws, of benchmarks whose measures are known."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from vidpose.body.skeletons import H36M_17
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.store import Recording, Store, StoreWriter
from vidpose.evaluation import describe
from vidpose.evaluation.describe import describe_store, draw_store

INPUTS = {"gt": {"scores": False}, "cpn": {"scores": True}}


def body() -> np.ndarray:
    """(17, 3) with the root at (0, 0, 0): the bone that ends at joint i is i cm long."""
    joints = np.zeros((17, 3))
    for joint, parent in enumerate(H36M_17.parents[1:], 1):
        joints[joint] = joints[parent] + [0.01 * joint, 0, 0]
    return joints


def recording(frames: int, **changes) -> Recording:
    """A body that goes from 2 m to 4 m away; CPN is 5 px off, and has lost the right ankle."""
    path = np.zeros((frames, 1, 3))
    path[:, 0, 2] = np.linspace(2, 4, frames)
    gt = np.random.default_rng(frames).uniform(100, 900, (frames, 17, 2))
    cpn = np.concatenate([gt + np.array([3, 4]), np.full((frames, 17, 1), 0.9)], axis=-1)
    cpn[:, 3] = [np.nan, np.nan, 0]
    known = {
        "joints": body() + path, "keypoints": {"gt": gt, "cpn": cpn}, "split": "train", "subject": "S1",
        "action": "Walking", "camera": "54138969", "sequence": "Walking 1", "width": 1000, "height": 1002, "fps": 50.0,
    }  # fmt: skip
    return Recording(**known | changes)


def store_of(folder, *recordings: Recording, inputs=INPUTS) -> Store:
    writer = StoreWriter(folder, "h36m", "h36m17")
    writer.write("S1", recordings)
    return writer.finish({}, inputs)


@pytest.fixture
def store(tmp_path) -> Store:
    invalid = recording(50, split="test", subject="S9", camera="2", action="Sitting", height=1000, fps=25.0)
    # What does not count has no say in the measures.
    invalid.valid = np.arange(50) >= 20
    invalid.joints[:20] = 99
    invalid.keypoints["cpn"][:20] = np.nan
    return store_of(tmp_path / "data", recording(1850), invalid)


def test_description(store):
    lines = describe_store(store)
    # Of the long clip 200 frames are measured, which go from 2 m to 4 m; of the other all 30 that count, the last ones.
    mean = (200 * 3 + np.linspace(2, 4, 50)[20:].sum()) / 230
    assert lines == [
        "h36m: joints h36m17, 2 clips, 1,900 frames, 0.01 hours",
        "train: 1 clips, 1,850 frames, 0.01 hours; subjects: 1 (S1)",
        "test: 1 clips, 50 frames, 0.00 hours; subjects: 1 (S9)",
        "actions: 2 (Walking, Sitting)",
        "cameras: 2 (54138969, 2)",
        "pictures: 2 (1000x1002, 1000x1000)",
        "frames a second: 2 (50, 25)",
        "valid frames: 1,880 (98.9 %)",
        "input gt: 0.0 % of the keypoints missing",
        "input cpn: 5.9 % of the keypoints missing, mean error 5.0 px against gt",
        "mean bone lengths in cm, left/right: pelvis to hip 4.0/1.0; hip to knee 5.0/2.0; knee to ankle 6.0/3.0; "
        "pelvis to spine 7.0; spine to thorax 8.0; thorax to nose 9.0; nose to head top 10.0; "
        "thorax to shoulder 11.0/14.0; shoulder to elbow 12.0/15.0; elbow to wrist 13.0/16.0",
        f"root to camera: mean {mean:.2f} m, 2.00 to 4.00 m",
    ]


def test_hours(tmp_path):
    store = store_of(tmp_path, *(recording(9000) for _ in range(3)))
    assert describe_store(store)[0].endswith("3 clips, 27,000 frames, 0.15 hours")


def test_every_frame_of_a_clip_has_a_chance(tmp_path, monkeypatch):
    """Samples are spread over the whole clip, not taken from its beginning."""
    monkeypatch.setattr(describe, "_SAMPLES", 5)
    lines = describe_store(store_of(tmp_path, recording(1001)))
    assert lines[-1] == "root to camera: mean 3.00 m, 2.00 to 4.00 m"


def test_without_projection_there_is_no_error(tmp_path):
    clip = recording(10)
    del clip.keypoints["gt"]
    lines = describe_store(store_of(tmp_path, clip, inputs={"cpn": {}}))
    assert "input cpn: 5.9 % of the keypoints missing" in lines


def test_no_picture_and_no_valid_frame(tmp_path):
    store = store_of(tmp_path / "data", recording(10, width=0, height=0, valid=np.zeros(10, bool)))
    lines = describe_store(store)
    assert lines[-3:] == ["pictures: 1 (none)", "frames a second: 1 (50)", "valid frames: 0 (0.0 %)"]
    with pytest.raises(VidposeError, match="data: no valid frame to draw; prepare the benchmark again"):
        draw_store(store, tmp_path / "figure.png")


def test_nothing_prepared(tmp_path):
    store = StoreWriter(tmp_path, "h36m", "h36m17").finish({}, INPUTS)
    with pytest.raises(VidposeError, match="no clips in it; prepare the benchmark again from all of its files"):
        describe_store(store)
    with pytest.raises(VidposeError, match="no valid frame to draw"):
        draw_store(store, tmp_path / "figure.png")


def test_picture(store, tmp_path, monkeypatch):
    figures, savefig = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), savefig(figure, *a, **k)))
    draw_store(store, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    panels = np.array(figures[0].axes).reshape(2, 3)
    assert [axes.get_title() for axes in panels[0]] == ["gt", "cpn", "3D"]
    # The middle one of the frames that count.
    assert [axes.get_ylabel() for axes in panels[:, 0]] == [
        "S1 Walking 1, camera 54138969\nframe 925",
        "S9 Walking 1, camera 2\nframe 35",
    ]
    clip = store.clips[1]
    for axes, name in zip(panels[1], ("gt", "cpn"), strict=False):
        shown, truth = (points.get_offsets() for points in axes.collections)
        np.testing.assert_allclose(shown, store.keypoints(clip, name)[35, :, :2], rtol=1e-6)
        np.testing.assert_allclose(truth, store.keypoints(clip, "gt")[35], rtol=1e-6)


def test_picture_of_many_clips_shows_some_from_all_over(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (figures.append(figure), path.touch()))
    store = store_of(tmp_path / "data", *(recording(3, subject=f"S{i}") for i in range(1, 11)))
    draw_store(store, tmp_path / "figure.png")
    labels = [axes.get_ylabel().split()[0] for axes in figures[0].axes[::3]]
    assert labels == ["S1", "S4", "S7", "S10"]


def test_picture_with_another_suffix(store, tmp_path):
    with pytest.raises(UsageError, match="figures are PNG files"):
        draw_store(store, tmp_path / "figure.pdf")
