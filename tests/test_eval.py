"""`vidpose eval` and `vidpose data` on a small benchmark of known errors."""

import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from wanderers import FRAMES, SIZE, recording, run

from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.clips_to_lift import metres_per_unit, with_scores
from vidpose.datasets.cmu import PROTOCOLS
from vidpose.datasets.store import Store, StoreWriter
from vidpose.evaluation.evaluate import FILTERS, evaluate
from vidpose.lifters import Lifter, LifterConfig, create_lifter, zoo
from vidpose.lifters.running import lift
from vidpose.refine.smoothing import Smoothing


@pytest.fixture
def store(tmp_path) -> Store:
    writer = StoreWriter(tmp_path / "cmu", "cmu", "h36m17")
    writer.write("test", [recording(number) for number in range(3)])
    writer.write("train", [recording(7, "train")])
    return writer.finish({}, {"gt": {}, "detector": {}})


class Shifted(Lifter):
    """Answers with what it was told, moved: an error that is known."""

    name = "shifted"

    def __init__(self, answers, shift, **config):
        super().__init__(LifterConfig(frames=FRAMES, channels=2, normalisation="screen", **config))
        self.answers, self.shift = iter(answers), shift

    def forward(self, keypoints):
        joints = torch.from_numpy(next(self.answers)).float()[None]
        joints[:, :, 1:] += torch.tensor(self.shift)
        return joints


def test_errors_are_those_of_the_lifter(store):
    truths = [np.array(store.joints(clip)) for clip in store.clips if clip.split == "test"]
    lifter = Shifted([truth - truth[:, :1] for truth in truths], (0.03, 0.0, 0.04)).eval()
    summary = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", mirror=False).summary()
    average = summary["averages"][0]
    # Sixteen joints of seventeen are 50 mm away; the root is the root.
    assert average["mpjpe"] == pytest.approx(50 * 16 / 17, rel=1e-4)
    assert average["mpjve"] == pytest.approx(0, abs=1e-3)
    assert summary["frames"] == 3 * FRAMES
    assert {row["subject"] for row in summary["subjects"]} == {"S0", "S1"}


def test_errors_of_an_average_are_those_of_the_mean_answer(store):
    truths = [np.array(store.joints(clip)) for clip in store.clips if clip.split == "test"]
    one, other = (
        Shifted([truth - truth[:, :1] for truth in truths], shift).eval()
        for shift in ((0.03, 0.0, 0.04), (0.05, 0.0, -0.04))
    )
    summary = evaluate(store, PROTOCOLS["vidpose"], one, "gt", beside=[other], mirror=False).summary()
    # (30 + 50) / 2 mm to the side; the depths cancel.
    assert summary["averages"][0]["mpjpe"] == pytest.approx(40 * 16 / 17, rel=1e-4)


def test_image_units_are_brought_to_metres_by_the_true_factor(store):
    clips = [clip for clip in store.clips if clip.split == "test"]
    flat = []
    for clip in clips:
        joints, pixels = np.array(store.joints(clip)), np.array(store.keypoints(clip, "gt"))
        offsets = joints - joints[:, :1]
        expected = metres_per_unit(joints, pixels, SIZE)
        # Written out for one frame: the factor of a least-squares fit.
        a, b = (pixels - pixels[:, :1])[5].ravel() / (SIZE / 2), offsets[5, :, :2].ravel()
        assert expected[5] == pytest.approx(np.linalg.lstsq(a[:, None], b, rcond=None)[0][0], rel=1e-5)
        flat.append(offsets / expected[:, None, None])
    lifter = Shifted(flat, (0.0, 0.0, 0.0), units="image").eval()
    summary = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", mirror=False).summary()
    assert summary["averages"][0]["mpjpe"] == pytest.approx(0, abs=0.01)


def test_noise_is_the_same_every_time_and_makes_it_worse(store):
    lifter = create_lifter("single-branch", width=16, depth=1, frames=9).eval()

    def error(noise):
        return evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", noise=noise).summary()["averages"][0]["mpjpe"]

    assert error(20.0) == error(20.0)
    assert error(20.0) != error(0.0)


def test_windows_end_to_end_are_another_evaluation(store):
    torch.manual_seed(0)
    lifter = create_lifter("single-branch", width=16, depth=1, frames=9).eval()
    clips = [clip for clip in store.clips if clip.split == "test"]

    def expected(overlap):
        errors = []
        for clip in clips:
            keypoints, scores = with_scores(store.keypoints(clip, "gt"))
            lifted = lift(lifter, keypoints, scores, (SIZE, SIZE), overlap=overlap)
            joints = store.joints(clip)
            # The answer is in the frame of the ray to the pelvis.
            rays = joints[:, 0] / np.linalg.norm(joints[:, 0], axis=-1, keepdims=True)
            axes = np.cross([0, 0, 1], rays)
            axes *= (np.arccos(rays[:, 2]) / np.linalg.norm(axes, axis=-1))[:, None]
            lifted = np.stack([Rotation.from_rotvec(axis).apply(pose) for axis, pose in zip(axes, lifted, strict=True)])
            errors.append(np.linalg.norm(lifted - (joints - joints[:, :1]), axis=-1).mean())
        return 1000 * np.mean(errors)

    for overlap in (True, False):
        summary = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", overlap=overlap).summary()
        assert summary["averages"][0]["mpjpe"] == pytest.approx(expected(overlap), rel=1e-5)
    assert expected(True) != pytest.approx(expected(False), rel=1e-4)


@pytest.mark.parametrize(("name", "reduce"), [("mean", np.mean), ("median", np.median)])
def test_filters_are_over_five_frames(name, reduce):
    joints = np.random.default_rng(0).normal(size=(12, 17, 3))
    padded = np.pad(joints, ((2, 2), (0, 0), (0, 0)), mode="edge")
    expected = np.stack([reduce(padded[i : i + 5], axis=0) for i in range(12)])
    np.testing.assert_allclose(FILTERS[name](joints), expected, atol=1e-12)


def test_smoothing_is_that_of_infer_at_the_clips_rate(store):
    torch.manual_seed(0)
    lifter = create_lifter("lstm", width=8, frames=9).eval()
    smoothing = Smoothing.parse("butterworth:2")
    (rate,) = {clip.fps for clip in store.clips}

    def by_hand(joints):
        return smoothing(joints, np.linspace(0, (len(joints) - 1) / rate, len(joints)))

    smoothed = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", smoothing=smoothing).summary()
    expected = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt", post_filter=by_hand).summary()
    plain = evaluate(store, PROTOCOLS["vidpose"], lifter, "gt").summary()
    error = [summary["averages"][0]["mpjpe"] for summary in (smoothed, expected, plain)]
    assert error[0] == pytest.approx(error[1], rel=1e-6)
    assert error[0] != pytest.approx(error[2], rel=1e-4)


def test_scores_are_one_where_there_are_none():
    keypoints = np.ones((3, 17, 2))
    keypoints[1, 4] = np.nan
    scores = with_scores(keypoints)[1]
    assert scores[1, 4] == 0
    assert scores.sum() == 3 * 17 - 1


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    zoo.save_lifter(create_lifter("lstm", width=8, frames=9).eval(), path, {})
    return path


def test_eval_prints_a_table_and_writes_all_figures(store, weights, tmp_path, capsys):
    out = tmp_path / "figures.json"
    run("eval", "--dataset", "cmu", "--data", store.folder, "--weights", weights, "--input", "detector", "--json", out,
        "--table", tmp_path / "t.md", "--table", tmp_path / "t.tex", "--by", "joints", "--device", "cpu")  # fmt: skip
    printed = capsys.readouterr().out
    assert "MPJPE" in printed
    assert "protocol vidpose" in printed
    summary = json.loads(out.read_text())["tiny"]
    assert summary["arch"] == "lstm"
    assert summary["input"] == "detector"
    assert f"{summary['averages'][0]['mpjpe']:.1f}" in printed
    assert f"{summary['averages'][0]['mpjpe']:.1f}" in (tmp_path / "t.md").read_text()
    assert r"\toprule" in (tmp_path / "t.tex").read_text()
    with pytest.raises(VidposeError, match=r"exists already"):
        run("eval", "--dataset", "cmu", "--data", store.folder, "--weights", weights, "--json", out)


def test_eval_in_bfloat16_is_told_and_near(store, tmp_path, monkeypatch):
    # Not an LSTM, which torch does not have in bfloat16 on every processor.
    torch.manual_seed(0)
    weights = tmp_path / "tiny.safetensors"
    zoo.save_lifter(create_lifter("martinez", width=8, depth=1, channels=3, normalisation="person"), weights, {})
    known = (
        "eval",
        "--dataset",
        "cmu",
        "--data",
        store.folder,
        "--weights",
        weights,
        "--device",
        "cpu",
        "--input",
        "gt",
    )
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)
    figures = {}
    for precision in ("float32", "bfloat16"):
        run(*known, "--precision", precision, "--json", tmp_path / precision)
        figures[precision] = json.loads((tmp_path / precision).read_text())["tiny"]
        assert figures[precision]["precision"] == precision
    exact, fast = (figures[precision]["averages"][0]["mpjpe"] for precision in figures)
    assert 0 < abs(fast - exact) < 1
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    with pytest.raises(UsageError, match="cpu has no instructions for it"):
        run(*known, "--precision", "bfloat16")


def test_eval_averages_what_has_a_plus_between(store, weights, tmp_path):
    zoo.save_lifter(
        create_lifter("martinez", width=8, depth=1, channels=3, normalisation="person").eval(),
        tmp_path / "other.safetensors",
        {},
    )
    both = f"{weights}+{tmp_path / 'other.safetensors'}"
    known = ("eval", "--dataset", "cmu", "--data", store.folder, "--device", "cpu", "--weights", both)
    run(*known, "--json", tmp_path / "out.json")
    (summary,) = json.loads((tmp_path / "out.json").read_text()).values()
    assert summary["arch"] == "lstm+martinez"
    loaded = zoo.load_weights(both, averages=True)
    first, second = (one.lifter for one in loaded.each)
    expected = evaluate(store, PROTOCOLS["vidpose"], first, "gt", beside=[second]).summary()
    assert summary["averages"][0]["mpjpe"] == pytest.approx(expected["averages"][0]["mpjpe"], rel=1e-6)
    with pytest.raises(UsageError, match="shows lifters one by one"):
        run(*known, "--figures", tmp_path / "figures")
    with pytest.raises(UsageError, match="one lifter is wanted here"):
        zoo.load_lifter("single-branch+martinez")


def test_eval_mistakes_are_one_line(store, weights, tmp_path):
    known = ("eval", "--dataset", "cmu", "--data", store.folder, "--weights", weights, "--device", "cpu")
    with pytest.raises(UsageError, match="no input 'cpn'; there are gt, detector"):
        run(*known, "--input", "cpn")
    with pytest.raises(UsageError, match="unknown protocol 'x' of cmu; known are vidpose"):
        run(*known, "--protocol", "x")
    with pytest.raises(UsageError, match="unknown benchmark 'coco'; known are h36m"):
        run("eval", "--dataset", "coco", "--weights", weights)
    with pytest.raises(UsageError, match="no prepared benchmark; make it with `vidpose data prepare"):
        run("eval", "--dataset", "cmu", "--data", tmp_path / "none", "--weights", weights)
    with pytest.raises(UsageError, match="prepared from cmu, where h36m is asked for"):
        run("eval", "--dataset", "h36m", "--data", store.folder, "--weights", weights)
    zoo.save_lifter(create_lifter("lstm", width=8, frames=9, layout="humaneva15"), tmp_path / "h.safetensors", {})
    with pytest.raises(UsageError, match="layout humaneva15, where cmu has h36m17"):
        run(*known[:-3], tmp_path / "h.safetensors", "--device", "cpu")


def test_keypoints_are_evaluated_without_a_lifter(store, capsys):
    run("eval", "--dataset", "cmu", "--data", store.folder, "--input", "gt", "--keypoints")
    assert "9 pictures: AP 100.0 %" in capsys.readouterr().out
    run("eval", "--dataset", "cmu", "--data", store.folder, "--input", "detector", "--keypoints")
    clips = [clip for clip in store.clips if clip.split == "test"]
    errors = [(store.keypoints(clip, "detector")[::10, :, :2] - store.keypoints(clip, "gt")[::10]) for clip in clips]
    assert f"MSE {np.square(errors).mean():.1f} px²" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no lifter to evaluate: give --weights, or --keypoints"):
        run("eval", "--dataset", "cmu", "--data", store.folder)


def test_figures_are_drawn_for_lifters_that_attend_and_those_that_do_not(store, weights, tmp_path, capsys):
    torch.manual_seed(0)
    other = tmp_path / "run" / "weights.safetensors"
    other.parent.mkdir()
    zoo.save_lifter(create_lifter("mixste", width=16, depth=1, frames=11, drop_path=0.0).eval(), other, {})
    run("eval", "--dataset", "cmu", "--data", store.folder, "--weights", weights, "--weights", other, "--figures",
        tmp_path / "figures", "--device", "cpu")  # fmt: skip
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"distribution", "joints", "poses", "noise", "length", "costs", "attention-run"}
    assert capsys.readouterr().out.count("wrote") == 7


def test_benchmarks_without_videos_cannot_be_detected_in(store, tmp_path):
    with pytest.raises(UsageError, match="cmu: has no videos"):
        run("data", "detect", "cmu", "--videos", tmp_path, "--data", store.folder)


def test_info_says_what_there_is_and_draws_it(store, tmp_path, capsys):
    run("data", "info", "cmu", "--data", store.folder, "--picture", tmp_path / "poses.png")
    printed = capsys.readouterr().out
    assert "test" in printed
    assert "detector" in printed
    assert (tmp_path / "poses.png").read_bytes().startswith(b"\x89PNG")


def test_a_prepared_benchmark_is_left_alone(store, capsys):
    run("data", "prepare", "cmu", "--source", "/nowhere", "--out", store.folder)
    assert "prepared already, 4 clips" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no such folder; --source"):
        run("data", "prepare", "cmu", "--source", "/nowhere", "--out", store.folder, "--overwrite")
    assert len(Store(store.folder).clips) == 4
    with pytest.raises(UsageError, match="holds cmu; choose another --out"):
        run("data", "prepare", "h36m", "--source", "/nowhere", "--out", store.folder)


@pytest.mark.parametrize("name", ["h36m", "mpi-inf-3dhp", "humaneva"])
def test_a_benchmark_from_its_files_to_its_table(name, weights, tmp_path, capsys):
    """Two commands, as someone who holds the data would type them."""
    import test_h36m
    import test_humaneva
    import test_mpi_inf_3dhp

    source, out = tmp_path / "source", tmp_path / "prepared"
    source.mkdir()
    settings = {}
    if name == "h36m":
        test_h36m.write_mocap(source)
        test_h36m.write_detections(source, "cpn_ft_h36m_dbb")
        expected = ["Dir.", "cpn", "MixSTE", "reported", "S11 Directions"]
    elif name == "mpi-inf-3dhp":
        for sequence in test_mpi_inf_3dhp.TEST:
            test_mpi_inf_3dhp.write_test(source, sequence, test_mpi_inf_3dhp.annotations_of_test(sequence))
        expected = ["PCK", "AUC", "SSR-STF", "reported"]
    else:
        test_humaneva.write(source, test_humaneva.arrays())
        settings = {"layout": "humaneva15"}
        expected = ["Walk S1", "Jog S3", "reported"]
    if settings:
        zoo.save_lifter(create_lifter("lstm", width=8, frames=9, **settings).eval(), weights, {})
    run("data", "prepare", name, "--source", source, "--out", out)
    capsys.readouterr()
    inputs = list(Store(out).inputs)
    input_name = "cpn" if "cpn" in inputs else inputs[0]
    run("eval", "--dataset", name, "--data", out, "--weights", weights, "--input", input_name, "--device", "cpu")
    printed = capsys.readouterr().out
    for word in expected:
        assert word in printed


def test_evaluating_needs_neither_opencv_nor_pyav_nor_mediapipe(store, weights, tmp_path):
    import subprocess
    import sys

    from training_data import WITHOUT

    arguments = ["eval", "--dataset", "cmu", "--data", store.folder, "--weights", weights, "--device", "cpu"]
    arguments += ["--figures", tmp_path / "figures"]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figures" / "poses.png").exists()


def test_several_levels_of_noise_are_rows(store, weights, tmp_path, capsys):
    words = ["eval", "--dataset", "cmu", "--data", str(store.folder), "--weights", str(weights), "--input", "gt"]
    cli.main([*words, "--noise", "0", "--noise", "15", "--json", str(tmp_path / "e.json")], standalone_mode=False)
    figures = json.loads((tmp_path / "e.json").read_text())
    assert [(row.rpartition(", N")[2], summary["noise"]) for row, summary in figures.items()] == [
        ("(0, 0)", 0.0), ("(0, 15)", 15.0),
    ]  # fmt: skip
    alone = {}
    for noise in (0.0, 15.0):
        cli.main([*words, "--noise", str(noise), "--json", str(tmp_path / f"{noise}.json")], standalone_mode=False)
        [(name, alone[noise])] = json.loads((tmp_path / f"{noise}.json").read_text()).items()
        assert "N(0" not in name
    for summary in figures.values():
        assert summary["averages"] == alone[summary["noise"]]["averages"]
    assert "N(0, 15)" in capsys.readouterr().out
