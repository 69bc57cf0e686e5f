"""Lifters that come with vidpose, by ONNX Runtime: their graphs against the torch modules they were made of."""

import subprocess
import sys

import numpy as np
import pytest

from vidpose.lifters.graph_lifter import GraphLifter
from vidpose.lifters.lifter_table import DEFAULT, ZOO
from vidpose.lifters.running import doubts_of, lift
from vidpose.lifters.zoo import load_weights, open_lifter
from vidpose.weights.shipped import shipped

WITH_GRAPHS = [name for name, entry in ZOO.items() if entry.shipped.graph]
SIZE = (640, 480)


def test_the_default_has_a_graph():
    assert set(DEFAULT.split("+")) <= set(WITH_GRAPHS)


@pytest.mark.parametrize("name", WITH_GRAPHS)
def test_a_graph_answers_as_torch_does(name):
    opened, weights = open_lifter(name, "cpu"), load_weights(name)
    graph, lifter = opened.lifter, weights.lifter
    assert isinstance(graph, GraphLifter)
    assert (opened.name, opened.about, opened.sha256) == (weights.name, weights.about, weights.sha256)
    for fact in ("name", "predicts", "layout", "input_layout", "in_ray_frame"):
        assert getattr(graph, fact) == getattr(lifter, fact)
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(100, 400, (17, 2)) + rng.normal(0, 5, (30, 17, 2)).cumsum(axis=0)
    keypoints[10:20] = np.array(SIZE) - keypoints[10:20]  # on their head
    scores = rng.uniform(0.3, 1, (30, 17))
    keypoints[5, 4], scores[5, 4], scores[6, 7] = np.nan, 0, 0
    times = np.arange(30) / 30
    joints = lift(graph, keypoints, scores, SIZE, times=times)
    expected = lift(lifter, keypoints, scores, SIZE, times=times)
    assert np.abs(expected).max() > 0.3
    np.testing.assert_allclose(joints, expected, atol=1e-5)
    there, said = (doubts_of(one, keypoints, scores, SIZE, expected) for one in (lifter, graph))
    assert there.shape == (30, 17 if lifter.doubt else 0, 2)
    np.testing.assert_allclose(said, there, atol=1e-5)


INFER = """
import sys
from vidpose.cli import main
from vidpose.runtimes.onnx_network import OnnxGraph

opened, before = [], OnnxGraph.__init__

def open_it(graph, path, threads):
    opened.append((path.stem, "scipy" in sys.modules))
    before(graph, path, threads)

OnnxGraph.__init__ = open_it
try:
    main()
finally:
    print(*(name for name, _ in opened))
    print(*(name for name, is_late in opened if is_late))
    print(*{"torch", "http.client", "PIL"} & set(sys.modules))
"""


def test_a_run_as_it_comes_opens_its_graphs_before_it_imports_much(tmp_path):
    video = shipped("samples") / "walk-wave.mp4"
    command = [sys.executable, "-c", INFER, "infer", video, "--end", "0.2", "--device", "cpu", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    opened, late, unwanted = done.stdout.split("\n")[-4:-1]
    assert len(opened.split()) == 5
    assert (late, unwanted) == ("", "")
    assert (tmp_path / "walk-wave_overlay.mp4").is_file()


def test_threads_reach_the_graph_of_a_lifter():
    lifter = open_lifter("single-branch", "cpu", threads=1).lifter
    assert lifter.run._opening.result().get_session_options().intra_op_num_threads == 1
