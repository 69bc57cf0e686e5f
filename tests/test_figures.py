"""Figures, by what is in them, and attention maps, by attention written out."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from vidpose.body.skeletons import H36M_17
from vidpose.common.errors import UsageError, VidposeError
from vidpose.evaluation.attention import attention_maps
from vidpose.evaluation.figures import (
    PoseRow,
    draw_attention,
    draw_curve,
    draw_distribution,
    draw_joints,
    draw_poses,
)
from vidpose.evaluation.tradeoff_figures import Tradeoff, draw_costs, draw_inputs, reported_on_both
from vidpose.lifters import create_lifter, lifter_names
from vidpose.lifters.lifter import lifter_class
from vidpose.lifters.stcformer import Pathway
from vidpose.lifters.transformer import Attention

MIXSTE = Tradeoff("mixste", 33_000_000, 400.0, 50.0, 40.9, 30.0)
SMALL = Tradeoff("small", 1_000_000, 9000.0, 60.0)

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were written, in order."""
    figures, savefig = [], Figure.savefig

    def keep(figure, *args, **kwargs):
        figures.append(figure)
        savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def summary(poses: list[int], mpjpe: float, joints: dict[str, float], variance: float) -> dict:
    """What the figures read of a summary."""
    return {
        "dataset": "h36m",
        "input": "cpn",
        "protocol": {"name": "videopose3d"},
        "averages": [{"mpjpe": mpjpe}],
        "joints": [{"joint": joint, "mpjpe": value} for joint, value in joints.items()],
        "variance": {"joints": {"mpjpe": variance}},
        "histogram": {"bin_width": 5, "poses": poses},
    }


JOINTS = {"pelvis": 4.0, "right_knee": 50.0, "left_knee": 40.0, "head_top": 30.0}
GOOD = summary([0, 10, 60, 20, 10], 13.0, JOINTS, 123.0)
# One of a thousand poses is far above the rest.
POOR = summary([0, 0, 100, 200, 200, 200, 200, 99, *[0] * 60, 1], 28.26, {**JOINTS, "right_knee": 70.0}, 456.0)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in (figure.legends or [figure.axes[0].get_legend()])[0].get_texts()]


def test_distribution(drawn, tmp_path):
    draw_distribution({"good": GOOD, "poor": POOR}, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(PNG)
    (axes,) = drawn[0].axes
    good, poor = (patch.get_data() for patch in axes.patches)
    # 99 % of the poses are below 40 mm; the step from there takes all that are above.
    np.testing.assert_allclose(good.edges, np.arange(0, 46, 5))
    np.testing.assert_allclose(good.values, [0, 10, 60, 20, 10, 0, 0, 0, 0])
    np.testing.assert_allclose(poor.values, [0, 0, 10, 20, 20, 20, 20, 9.9, 0.1])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "20", "≥40"]
    assert axes.get_title("left").endswith("h36m, protocol videopose3d, input cpn")
    assert legend(drawn[0]) == ["good (mean 13.0 mm)", "poor (mean 28.3 mm)"]


def test_title_names_every_input_once(drawn, tmp_path):
    draw_distribution({"a": GOOD, "b": {**GOOD, "input": "gt"}, "c": GOOD}, tmp_path / "figure.png")
    assert drawn[0].axes[0].get_title("left").endswith("h36m, protocol videopose3d, input cpn, gt")


def test_joints_with_left_and_right_merged(drawn, tmp_path):
    draw_joints({"good": GOOD, "poor": POOR}, tmp_path / "figure.png")
    (axes,) = drawn[0].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["pelvis", "knee", "head top"]
    good, poor = axes.containers
    assert [bar.get_height() for bar in good] == [4, (50 + 40) / 2, 30]
    assert [bar.get_height() for bar in poor] == [4, (70 + 40) / 2, 30]
    assert [label.get_text() for label in axes.texts] == ["4", "45", "30", "4", "55", "30"]
    assert legend(drawn[0]) == ["good (VAR. 12.3)", "poor (VAR. 45.6)"]


def test_joints_of_two_layouts(drawn, tmp_path):
    other = summary([1], 1.0, {"pelvis": 1.0, "head": 2.0}, 3.0)
    draw_joints({"good": GOOD, "other": other}, tmp_path / "figure.png")
    heights = [bar.get_height() for bar in drawn[0].axes[0].containers[1]]
    np.testing.assert_equal(heights, [1.0, np.nan, np.nan, 2.0])


def test_curve_in_order(drawn, tmp_path):
    points = {f"lifter {i}": {10: 60.0 + i, 2: 50.0 + i, 5.5: 55.0 + i} for i in range(9)}
    draw_curve(points, tmp_path / "figure.png", x_label="noise (px)", title="Noise, h36m")
    (axes,) = drawn[0].axes
    assert len(axes.lines) == 9
    np.testing.assert_array_equal(axes.lines[8].get_xydata(), [[2, 58], [5.5, 63], [10, 68]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "5.5", "10"]
    assert (axes.get_xlabel(), axes.get_title("left")) == ("noise (px)", "Noise, h36m")
    assert legend(drawn[0]) == list(points)


def pose(seed: int) -> np.ndarray:
    """(17, 3) of a body that stands: nothing more than heights that are right."""
    heights = {"knee": 0.45, "ankle": 0.9, "spine": -0.25, "thorax": -0.5, "nose": -0.6, "top": -0.7, "shoulder": -0.5,
               "elbow": -0.2, "wrist": 0.05}  # fmt: skip
    joints = np.random.default_rng(seed).normal(0, 0.1, (17, 3))
    joints[:, 1] += [heights.get(joint.split("_")[-1], 0) for joint in H36M_17.joints]
    return joints


def test_poses(drawn, tmp_path):
    truth, keypoints = pose(0), pose(0)[:, :2] * 300 + 500
    keypoints[H36M_17.index("left_wrist")] = np.nan
    predicted = truth + 7.0
    predicted[H36M_17.index("head_top")] += [0.03, 0.04, 0]
    rows = [
        PoseRow("S9, frame 1", keypoints, truth, {"near": predicted, "far": pose(1)}),
        PoseRow("S11, frame 2", keypoints, pose(2), {"near": pose(2), "far": pose(3)}),
    ]
    draw_poses(rows, tmp_path / "figure.png", H36M_17, title="h36m")
    panels = np.array(drawn[0].axes).reshape(2, 4)
    assert [axes.get_title() for axes in panels[0]] == ["2D input", "ground truth", "near", "far"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["S9, frame 1", "S11, frame 2"]
    # One of 17 joints is 50 mm away; where the root is does not matter.
    assert panels[0, 2].get_xlabel() == f"{50 / 17:.1f} mm"
    assert panels[1, 2].get_xlabel() == "0.0 mm"
    assert drawn[0].get_suptitle() == "h36m"
    spans = [np.ptp(axes.get_xlim()) for axes in panels[:, 1:].ravel()]
    assert spans == pytest.approx([spans[0]] * 6)
    assert all(axes.get_aspect() == 1 for axes in panels.ravel())
    assert panels[0, 0].yaxis_inverted()
    assert not panels[0, 1].yaxis_inverted()


def test_poses_are_seen_from_the_right_and_above(drawn, tmp_path):
    """What is nearer to the camera appears farther left, what is farther away appears higher."""
    truth = pose(0)
    root, nose, top = (H36M_17.index(joint) for joint in ("pelvis", "nose", "head_top"))
    truth[nose], truth[top] = truth[root] + [0, 0, -1], truth[root] + [0, 0, 1]
    draw_poses([PoseRow("", truth[:, :2], truth, {})], tmp_path / "figure.png", H36M_17)
    near, far = drawn[0].axes[1].collections[0].get_offsets()[[nose, top]]
    assert near[0] < far[0]
    assert near[1] < far[1]


def test_attention_figure(drawn, tmp_path):
    spatial = np.random.default_rng(0).dirichlet(np.ones(17), 17).astype(np.float32)
    draw_attention({"spatial": spatial, "temporal": np.full((9, 9), 1 / 9)}, tmp_path / "figure.png", H36M_17)
    first, second, _ = drawn[0].axes
    picture = first.images[0].get_array()
    assert (picture.min(), picture.max()) == (0, 1)
    np.testing.assert_allclose(picture, (spatial - spatial.min()) / np.ptp(spatial), rtol=1e-5)
    assert [label.get_text() for label in first.get_yticklabels()][:3] == ["pelvis", "right hip", "right knee"]
    # The same weight everywhere cannot be scaled to [0, 1].
    assert not second.images[0].get_array().any()


def test_the_users_matplotlib_is_left_alone(tmp_path):
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        draw_joints({"good": GOOD}, tmp_path / "one.png")
        assert dict(matplotlib.rcParams) == before
    draw_joints({"good": GOOD}, tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_wrong_suffix(tmp_path):
    with pytest.raises(UsageError, match=r"figure\.jpg: figures are PNG files; give a name that ends in \.png"):
        draw_joints({"good": GOOD}, tmp_path / "figure.jpg")


def test_a_file_where_a_folder_is_due(tmp_path):
    (tmp_path / "none").write_text("no folder")
    with pytest.raises(VidposeError, match=r"none"):
        draw_joints({"good": GOOD}, tmp_path / "none" / "figure.png")


def test_nothing_is_left_of_a_figure_that_fails(tmp_path, monkeypatch):
    def fail(figure, path, **kwargs):
        path.write_bytes(PNG)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(VidposeError, match="the disk is full"):
        draw_joints({"good": GOOD}, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_needs_no_video_library_and_no_pyplot(tmp_path):
    program = f"""
import sys
sys.modules.update(dict.fromkeys(["cv2", "av", "mediapipe"]))
from pathlib import Path
from vidpose.evaluation import attention, describe, figures
assert "matplotlib" not in sys.modules
figures.draw_curve({{"a": {{1: 2.0}}}}, Path({str(tmp_path)!r}) / "figure.png", x_label="", title="")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "figure.png").is_file()


def weights_by_hand(q: np.ndarray, k: np.ndarray, scale: float) -> np.ndarray:
    """(N, d) queries and keys -> (N, N)."""
    weights = np.empty((len(q), len(k)))
    for i in range(len(q)):
        scores = np.array([q[i] @ k[j] for j in range(len(k))]) * scale
        weights[i] = np.exp(scores) / np.exp(scores).sum()
    return weights


@pytest.mark.parametrize("name", ["mixste", "stcformer"])
def test_attention_by_hand(name):
    torch.manual_seed(0)
    heads, frames = 2, 5
    lifter = create_lifter(name, frames=frames, width=16, depth=2, heads=heads).eval()
    keypoints = torch.randn(2, frames, 17, 2)
    # Only of the last block; the weights of the one before it must not be taken.
    if name == "mixste":
        attention = {"spatial": lifter.spatial_blocks[1].attn, "temporal": lifter.temporal_blocks[1].attn}
    else:
        (last,) = [module for key, module in lifter.named_modules() if key.endswith("1.attn")]
        attention = {"spatial": last.spatial, "temporal": last.temporal}
    # By the root of the 8 numbers of a head, and by that of the 8 that all heads of a criss-cross pathway have.
    scale = 8**-0.5
    seen = {}
    for kind, module in attention.items():
        module.qkv.weight.data *= 4
        module.register_forward_pre_hook(lambda _, args, kind=kind: seen.update({kind: args[0].numpy()}))
    maps = attention_maps(lifter, keypoints)
    assert list(maps) == ["spatial", "temporal"]
    for kind, module in attention.items():
        weight, bias = (parameter.detach().numpy() for parameter in (module.qkv.weight, module.qkv.bias))
        width = len(bias) // 3
        if kind == "spatial":
            sequences = [seen[kind][b, t] for b in range(2) for t in range(frames)]
        else:
            sequences = [seen[kind][b, :, j] for b in range(2) for j in range(17)]
        total = np.zeros(maps[kind].shape)
        for tokens_ND in sequences:
            projected = tokens_ND @ weight.T + bias
            for head in range(heads):
                # The columns are q, k and v, each of them head after head.
                start, size = head * width // heads, width // heads
                q, k = projected[:, start : start + size], projected[:, width + start : width + start + size]
                total += weights_by_hand(q, k, scale)
        np.testing.assert_allclose(maps[kind], total / (len(sequences) * heads), atol=1e-5)
        assert np.ptp(maps[kind]) > 0.01


@pytest.mark.parametrize("kind", ["spatial", "temporal"])
def test_attention_is_what_the_fused_kernel_computes(kind):
    """With one head and one sequence, the weights times the values are the module's output."""
    torch.manual_seed(1)
    lifter = create_lifter("mixste", frames=4, width=8, depth=1, heads=1).eval()
    keypoints, seen = torch.randn(1, 4, 17, 2), []
    block = (lifter.spatial_blocks if kind == "spatial" else lifter.temporal_blocks)[0]
    block.attn.register_forward_hook(lambda _, args, output: seen.append((args[0], output)))
    if kind == "spatial":
        # All frames alike, so that their mean is any of them.
        keypoints = keypoints[:, :1].expand(-1, 4, -1, -1)
        maps = attention_maps(lifter, keypoints)
        tokens_ND, output_ND = seen[0][0][0, 2], seen[0][1][0, 2]
    else:
        # And all joints.
        lifter.spatial_positions.data.zero_()
        keypoints = keypoints[:, :, :1].expand(-1, -1, 17, -1)
        maps = attention_maps(lifter, keypoints)
        tokens_ND, output_ND = seen[0][0][0, :, 3], seen[0][1][0, :, 3]
    with torch.inference_mode():
        values_ND = block.attn.qkv(tokens_ND)[:, 16:]
        again_ND = block.attn.proj(torch.from_numpy(maps[kind]) @ values_ND)
        torch.testing.assert_close(again_ND, output_ND, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", lifter_names())
def test_attention_of_every_lifter(name):
    lifter = create_lifter(name, **lifter_class(name).tiny).eval()
    frames = lifter.config.frames
    keypoints = torch.randn(2, frames, 17, lifter.config.channels)
    if not any(isinstance(module, Attention | Pathway) for module in lifter.modules()):
        with pytest.raises(UsageError, match=f"^{name}: no attention over joints or frames"):
            attention_maps(lifter, keypoints)
        return
    shapes = {"spatial": (17, 17), "temporal": (frames, frames)}
    maps = attention_maps(lifter, keypoints)
    assert maps
    for kind, weights in maps.items():
        assert weights.shape == shapes[kind]
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
        assert (weights >= 0).all()
    # Nothing is left in the lifter.
    assert not any(module._forward_pre_hooks for module in lifter.modules() if module is not lifter)


def test_costs_are_frames_a_second_and_parameters(drawn, tmp_path):
    draw_costs([MIXSTE, SMALL], tmp_path / "costs.png", title="h36m, cpn")
    rates, sizes = drawn[0].axes
    measured = [line for line in rates.lines if line.get_label() in ("mixste", "small")]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in measured] == [(400, 50), (9000, 60)]
    hollow = [line for line in sizes.lines if line.get_fillstyle() == "none"]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in hollow] == [(33, 40.9)]
    assert (tmp_path / "costs.png").read_bytes().startswith(PNG)


def test_errors_on_detected_and_on_true_2d(drawn, tmp_path):
    reported = reported_on_both("h36m")
    assert reported["SSR-STF (T=243)"] == (37.4, 12.8)
    # The table of true 2D does not say its T.
    assert reported["POT (T=1)"] == (50.5, 33.8)
    draw_inputs([MIXSTE, SMALL], reported, tmp_path / "inputs.png", title="h36m, cpn")
    [axes] = drawn[0].axes
    [ours] = axes.collections
    assert ours.get_offsets().tolist() == [[50.0, 30.0]]
    numbered = {line.get_label(): (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines}
    assert numbered == reported
    assert axes.lines[0].get_label() == "SSR-STF (T=243)"
