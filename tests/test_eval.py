"""`vidpose eval` and `vidpose data` on a small benchmark of known errors."""

import json

import numpy as np
import pytest
import torch

from vidpose import zoo
from vidpose.cli import cli
from vidpose.datasets.cmu import PROTOCOLS
from vidpose.datasets.store import Recording, Store, StoreWriter
from vidpose.errors import UsageError, VidposeError
from vidpose.evaluation.evaluate import FILTERS, evaluate, metres_per_unit, with_scores
from vidpose.lifters import Lifter, LifterConfig, create_lifter
from vidpose.lifting import lift

FRAMES, SIZE = 30, 1000


def recording(number: int, split: str = "test") -> Recording:
    """Someone who wanders about 4 m before a camera, seen by a pinhole of focal length 1000."""
    rng = np.random.default_rng(number)
    pose = rng.normal(0, 0.3, (17, 3))
    joints = pose + np.cumsum(rng.normal(0, 0.01, (FRAMES, 1, 3)), axis=0) + [0, 0, 4]
    pixels = joints[..., :2] / joints[..., 2:] * 1000 + SIZE / 2
    detected = np.concatenate([pixels + rng.normal(0, 3, pixels.shape), np.ones((FRAMES, 17, 1))], axis=-1)
    return Recording(joints, {"gt": pixels, "detector": detected}, split, f"S{number % 2}", "all", "1",
                     f"take {number}", SIZE, SIZE, 50.0)  # fmt: skip


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


def test_scores_are_one_where_there_are_none():
    keypoints = np.ones((3, 17, 2))
    keypoints[1, 4] = np.nan
    scores = with_scores(keypoints)[1]
    assert scores[1, 4] == 0
    assert scores.sum() == 3 * 17 - 1


def run(*arguments: str) -> None:
    cli.main([str(argument) for argument in arguments], standalone_mode=False)


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
    assert drawn == {"distribution", "joints", "poses", "noise", "length", "attention-run"}
    assert capsys.readouterr().out.count("wrote") == 6


def test_detections_become_an_input(store, walk_sample, tmp_path, capsys):
    from vidpose.evaluation.detecting import detect

    with pytest.raises(VidposeError, match=r"take 0.mp4: missing; put the benchmark's videos there"):
        detect(store, tmp_path, lambda clip: [f"{clip.sequence}.mp4"], lambda line: None)
    detect(store, walk_sample.parent, lambda clip: [walk_sample.name], lambda line: None)
    again = Store(store.folder)
    found = again.keypoints(again.clips[0], "blazepose")
    assert found.shape == (FRAMES, 17, 3)
    assert np.isfinite(found).all(axis=(1, 2)).mean() > 0.9
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


def test_an_interrupted_preparation_goes_on(tmp_path):
    writer = StoreWriter(tmp_path, "cmu", "h36m17")
    writer.write("a", [recording(0)])

    def fails():
        yield recording(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.write("b", fails())
    again = StoreWriter(tmp_path, "cmu", "h36m17")
    assert again.has("a")
    assert not again.has("b")
    with pytest.raises(UsageError, match="no prepared benchmark"):
        Store(tmp_path)
    again.write("b", [recording(1)])
    store = again.finish({}, {"gt": {}})
    assert [clip.part for clip in store.clips] == ["a", "b"]
    np.testing.assert_allclose(store.joints(store.clips[1]), recording(1).joints, atol=1e-6)


def test_arrays_are_mapped_not_read(store):
    assert isinstance(store.joints(store.clips[0]).base, np.memmap)


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

    from test_training import WITHOUT

    arguments = ["eval", "--dataset", "cmu", "--data", store.folder, "--weights", weights, "--device", "cpu"]
    arguments += ["--figures", tmp_path / "figures"]
    done = subprocess.run([sys.executable, "-c", WITHOUT, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figures" / "poses.png").exists()
