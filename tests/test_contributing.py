"""The recipes of CONTRIBUTING.md, followed to the letter in a copy of the package, and what they make, used there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BLOCK = re.compile(r"^```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(recipes: str, root: Path) -> set[str]:
    """Do what the blocks say in the package below `root`; gives the files that were touched."""
    touched = set()
    for kind, block in BLOCK.findall(recipes):
        head, _, body = block.partition("\n")
        name = head.removeprefix("# " if kind == "python" else "--- ")
        path = root / name
        touched.add(name)
        if kind == "python":
            assert not path.exists(), f"{name} is there already"
            path.write_text(body, encoding="utf-8")
            continue
        lines = body.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{name} has {text.count(before)} times:\n{before}"
        path.write_text(text.replace(before, after), encoding="utf-8")
    return touched


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "vidpose", root / "vidpose", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("weights", "recipes", "samples"):
        (root / folder).symlink_to(ROOT / folder)
    recipes = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Five recipes")[2]
    sections = dict(zip(*[iter(re.split(r"^### (.*)$", recipes, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert len(sections) == 5
    for title, section in sections.items():
        for name in follow(section, root):
            assert name in section.partition("```")[0] or str(Path(name).parent) + "/" in section, (title, name)
    return root


def run(copy: Path, *arguments: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return done.stdout


USE = """
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner

import vidpose
from vidpose.body.tracks import PoseResult, Source, Track

# A lifter: made by name, and run over a clip.
from vidpose.lifters import create_lifter
from vidpose.lifters.running import lift
from vidpose.lifters.zoo import save_lifter

lifter = create_lifter("flat", frames=3).eval()
joints = lift(lifter, np.random.default_rng(0).uniform(0, 400, (7, 17, 2)), np.ones((7, 17)), (640, 480))
assert joints.shape == (7, 17, 3) and np.isfinite(joints).all()
save_lifter(lifter, Path("flat.safetensors"), {})

# A detector, by the name that the command line takes.
from vidpose.pipeline.networks import open_networks

with open_networks("whole-picture") as networks:
    assert networks.detector.detect(np.zeros((48, 64, 3), np.uint8)).boxes.tolist() == [[0, 0, 64, 48]]

# A format, by the method of a result.
times = np.arange(7) / 25
keypoints = Track.of_keypoints(2, np.arange(7), times, np.zeros((7, 4), np.float32), np.zeros((7, 17, 2), np.float32),
                               np.ones((7, 17), np.float32))
from dataclasses import replace

roots = np.tile(np.float32([1, 2, 3]), (7, 1))
track = replace(keypoints, joints=joints.astype(np.float32), joint_scores=keypoints.scores, roots=roots)
result = PoseResult(Source("walk.mp4", 640, 480, times, None), (track,), "coco17", "h36m17")
(path,) = result.export("points", "walk")
lines = path.read_text().splitlines()
assert len(lines) == 7 * 17
id_, frame, name, *xyz = lines[17 * 3 + 4].split()
assert (id_, frame) == ("2", "3")
np.testing.assert_allclose(np.float64(xyz), joints[3, 4] + roots[3], atol=1e-4)

# A data set: prepared, and evaluated on, with the new lifter.
from vidpose.cli import cli

Path("recordings").mkdir()
body = np.random.default_rng(1).normal(0, 0.3, (20, 17, 3)) + [0, 0, 4]
body -= body[:, :1] - [0, 0, 4]
for action in ("walk", "run"):
    np.savez(f"recordings/S1_{action}.npz", joints=body, keypoints=500 + 1000 * body[..., :2] / body[..., 2:])

def call(*arguments):
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output

assert "2 clips, 40 frames" in call("data", "prepare", "studio", "--source", "recordings")
table = call("eval", "--dataset", "studio", "--weights", "flat.safetensors", "--device", "cpu")
assert "walk" in table and "flat" in table

# A filter, by its name, and in the help.
from vidpose.refine.smoothing import Smoothing, list_filters

curves = np.arange(60.0)[:, None]
smoothed = Smoothing.parse("mean:0.5")(curves, np.arange(60) / 30)
np.testing.assert_allclose(smoothed[12:-12], curves[12:-12], atol=0.05)
assert "mean:SECONDS" in list_filters()
for command, listed in {"eval": "mean:SECONDS", "export": "points", "data prepare": "studio"}.items():
    assert listed in call(*command.split(), "--help")
print("all five work")
"""


def test_what_the_five_recipes_make_works(copy: Path, tmp_path: Path):
    assert run(copy, "-c", USE, folder=tmp_path).endswith("all five work\n")


def test_the_shared_tests_cover_the_new_lifter_and_the_new_filter(copy: Path, tmp_path: Path):
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    files = [str(tmp_path / "tests" / name) for name in ("test_lifters.py", "test_papers.py", "test_smoothing.py")]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore", "-k", "flat or mean", "--no-header"]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    out = run(copy, "-m", "pytest", *options, *files, folder=tmp_path)
    passed = int(re.search(r"(\d+) passed", out)[1])
    assert passed >= 15, out
