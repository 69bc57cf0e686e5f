"""Lifters of other joints than Human3.6M's 17: on benchmarks, in training, and over a video."""

import numpy as np
import pytest
import torch
from wanderers import SIZE, recording

from vidpose.body.skeletons import (
    BLAZEPOSE_33,
    COCO_17,
    H36M_16,
    H36M_17,
    HUMANEVA_15,
    MPI_INF_3DHP_17,
    MPII_16,
    get_conversion,
)
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import UsageError
from vidpose.datasets.cmu import PROTOCOLS
from vidpose.datasets.store import Store, StoreWriter
from vidpose.evaluation.evaluate import evaluate, lift_clip
from vidpose.lifters import Lifter, LifterConfig, create_lifter
from vidpose.lifters.zoo import Weights
from vidpose.pipeline.lifting import lift_people
from vidpose.refine.place import place
from vidpose.refine.smoothing import Smoothing
from vidpose.training.recipe import Data
from vidpose.training.windows import StoreWindows


@pytest.fixture
def store(tmp_path) -> Store:
    writer = StoreWriter(tmp_path / "cmu", "cmu", "h36m17")
    writer.write("test", [recording(number) for number in range(2)])
    writer.write("train", [recording(7, "train")])
    return writer.finish({}, {"gt": {}, "detector": {}})


class Flat(Lifter):
    """Answers with the keypoints themselves, without depth; joints that it is not told of lie where the first does."""

    name = "flat"
    separate_input = True

    def forward(self, keypoints):
        joints = keypoints.new_zeros(*keypoints.shape[:2], len(self.layout), 3)
        for row, joint in enumerate(self.layout.joints):
            seen = self.input_layout.index(joint) if joint in self.input_layout.joints else 0
            joints[:, :, row, :2] = keypoints[:, :, seen, :2]
        return joints


def flat(layout: str, input_layout: str = "", frames: int = 9) -> Flat:
    return Flat(LifterConfig(frames, 2, "screen", layout=layout, input_layout=input_layout)).eval()


@pytest.mark.parametrize(("layout", "input_layout"), [("mpi-inf-3dhp17", ""), ("h36m17", "h36m16")])
@pytest.mark.parametrize("mirror", [False, True])
def test_answers_come_in_the_benchmarks_order(layout, input_layout, mirror, store):
    clip = store.clips[0]
    expected = np.array(store.keypoints(clip, "gt")) * 2 / SIZE
    expected -= expected[:, :1]
    if input_layout == "h36m16":
        expected[:, H36M_17.index("nose")] = 0
    lifted = lift_clip(store, clip, flat(layout, input_layout), "gt", mirror=mirror)
    np.testing.assert_allclose(lifted[..., :2], expected, atol=1e-5)


def test_joints_that_a_benchmark_does_not_have_are_an_error(store):
    with pytest.raises(UsageError, match="flat has joints in layout humaneva15, where cmu has h36m17"):
        evaluate(store, PROTOCOLS["vidpose"], flat("humaneva15"), "gt")
    with pytest.raises(UsageError, match="no conversion from joint layout 'h36m17' to 'coco17'"):
        evaluate(store, PROTOCOLS["vidpose"], flat("h36m17", "coco17"), "gt")


def test_training_windows_have_the_lifters_joints(store):
    lifter = create_lifter("videopose3d", frames=9, filter_widths=(3, 3), width=8, layout="mpi-inf-3dhp17",
                           input_layout="h36m16")  # fmt: skip
    windows = StoreWindows(store, "train", lifter, Data(dataset="cmu", input="gt"), 1, torch.device("cpu"))
    plain = windows.cut(torch.tensor([0]))
    assert plain.keypoints_BTJC.shape[2:] == (16, 2)
    clip = next(clip for clip in store.clips if clip.split == "train")
    rows = (windows.windows_W4[0, 0] + windows.offsets_T).clamp(0, clip.frames - 1).numpy()
    joints = np.array(store.joints(clip))[rows]
    relative = joints - joints[:, :1]
    for name in ("pelvis", "left_wrist", "head_top"):
        ours = plain.joints_BTJD[0, :, MPI_INF_3DHP_17.index(name)]
        np.testing.assert_allclose(ours, relative[:, H36M_17.index(name)], atol=1e-5)
        pixels = np.array(store.keypoints(clip, "gt"))[rows][:, H36M_17.index(name)]
        seen = plain.keypoints_BTJC[0, :, H36M_16.index(name)]
        np.testing.assert_allclose(seen, pixels * 2 / SIZE - 1, atol=1e-5)

    both = [windows.batch(step, 1) for step in range(2 * len(windows))]
    turned = [batch for batch in both if not any(torch.equal(batch.joints_BTJD, b.joints_BTJD) for b in [plain])]
    left, right = MPI_INF_3DHP_17.index("left_knee"), MPI_INF_3DHP_17.index("right_knee")
    mirrored = plain.joints_BTJD[:, :, left] * torch.tensor([-1.0, 1.0, 1.0])
    assert any(torch.allclose(batch.joints_BTJD[:, :, right], mirrored) for batch in turned)


def found(layout, tmp_path) -> PoseResult:
    """One person of one second, standing about, as a detector of that layout sees them."""
    rng = np.random.default_rng(0)
    times = np.arange(25) / 25
    points = (rng.uniform(200, 400, (1, len(layout), 2)) + rng.normal(0, 1, (25, len(layout), 2))).astype(np.float32)
    scores = np.full((25, len(layout)), 0.9, np.float32)
    track = Track.of_keypoints(1, np.arange(25), times, np.tile([200, 200, 400, 400], (25, 1)).astype(np.float32),
                               points, scores)  # fmt: skip
    source = Source(str(tmp_path / "v.mp4"), 640, 480, times, None)
    return PoseResult(source, (track,), layout.name, "", {})


@pytest.mark.parametrize("seen_as", [BLAZEPOSE_33, COCO_17, H36M_17], ids=lambda layout: layout.name)
@pytest.mark.parametrize(
    ("layout", "input_layout"),
    [("humaneva15", ""), ("h36m17", "h36m16"), ("h36m17", "coco17"), ("mpi-inf-3dhp17", "")],
)
def test_a_video_is_lifted_where_the_joints_can_be_made(seen_as, layout, input_layout, tmp_path):
    lifter = flat(layout, input_layout)
    weights = Weights("w", lifter, {}, "")
    smoothing = Smoothing.parse("none")
    if (seen_as, input_layout) == (H36M_17, "coco17"):
        with pytest.raises(UsageError, match="no conversion from joint layout 'h36m17' to 'coco17'"):
            lift_people(found(seen_as, tmp_path), weights, smoothing)
        return
    result = lift_people(found(seen_as, tmp_path), weights, smoothing)
    track = result.tracks[0]
    assert result.joint_layout == layout
    assert track.joints.shape == (25, len(lifter.layout), 3)
    assert track.joint_scores.shape == (25, len(lifter.layout))
    # Joints of the same name are where they were seen.
    wrist, pixels = track.joints[:, lifter.layout.index("left_wrist"), :2], track.keypoints
    hips = pixels[:, [seen_as.index("left_hip"), seen_as.index("right_hip")]].mean(axis=1)
    root = pixels[:, seen_as.index("pelvis")] if "pelvis" in seen_as.joints else hips
    if "pelvis" in lifter.input_layout.joints:
        np.testing.assert_allclose(wrist, (pixels[:, seen_as.index("left_wrist")] - root) * 2 / 640, atol=1e-5)
    placed = place(result, fit=False)
    assert np.isfinite(placed.tracks[0].roots).all()


def test_conversions_go_by_way_of_human36m():
    points = np.random.default_rng(0).normal(size=(3, 33, 2))
    scores = np.random.default_rng(1).uniform(0.1, 1, (3, 33))
    h36m = get_conversion("blazepose33", "h36m17")(points, scores)
    through = get_conversion("blazepose33", "mpi-inf-3dhp17")(points, scores)
    expected = get_conversion("h36m17", "mpi-inf-3dhp17")(*h36m)
    np.testing.assert_allclose(through[0], expected[0])
    np.testing.assert_allclose(through[1], expected[1])


def test_what_hourglasses_call_spine_is_mpiis_thorax():
    # Of Martinez et al.'s list of a stacked hourglass' joints, the seventh is the spine and the eighth the thorax.
    conversion = get_conversion("mpii16", "h36m16")
    points = np.arange(16.0)[:, None] * [1, 1]
    converted, _ = conversion(points, np.ones(16))
    order = [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]
    np.testing.assert_array_equal(converted[:, 0], order)
    assert len(MPII_16) == len(H36M_16) == len(HUMANEVA_15) + 1
