"""`vidpose export` as a user meets it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exports import result_of, track_of, world_joints

from vidpose.body.tracks import PoseResult
from vidpose.cli.export import export
from vidpose.common.errors import UsageError
from vidpose.export import FORMATS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run: Run) -> Run:
    """Run `vidpose export` in an empty folder: exit code, stdout, stderr."""
    return lambda *arguments: run("export", *arguments)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Two people."""
    return save(result_of(track_of(world_joints(5)), track_of(world_joints(5), number=2)), tmp_path)


def save(result: PoseResult, folder: Path) -> Path:
    path = folder / "Straße 走.npz"
    result.save(path)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_format_is_written_and_said(run, saved, tmp_path):
    code, out, err = run(saved, "--format", ",".join(FORMATS), "--out", "other/folder")
    assert (code, err) == (0, "")
    for name, format_ in FORMATS.items():
        paths = format_.paths(PoseResult.load(saved), Path("other/folder/Straße 走"))
        assert all(path.exists() for path in paths), name
        assert f"wrote {', '.join(map(str, paths))}\n" in out
    assert out.endswith("positions are metres in the world, the floor at height 0\n")
    assert len(names(tmp_path / "other" / "folder")) == sum(
        len(format_.paths(PoseResult.load(saved), Path("a"))) for format_ in FORMATS.values()
    )


def test_the_help_names_every_format():
    (option,) = (option for option in export.params if option.name == "formats")
    assert set(FORMATS) <= set(re.findall(r"\w+", option.help))


def test_files_lie_beside_the_result_and_are_replaced_only_on_request(run, saved, tmp_path):
    assert run(saved, "--format", "trc")[0] == 0
    assert names(tmp_path) == ["Straße 走.npz", "Straße 走_person1.trc", "Straße 走_person2.trc"]
    code, _, err = run(saved, "--format", "csv", "--format", "trc")
    assert code == 1
    assert err == f"error: {tmp_path / 'Straße 走_person1.trc'}: exists already; give --overwrite, or another --out\n"
    assert not (tmp_path / "Straße 走.csv").exists()
    assert run(saved, "--format", "csv", "--format", "trc", "--overwrite")[0] == 0


def test_a_person_may_be_chosen(run, saved, tmp_path):
    assert run(saved, "--format", "bvh", "--person", 2)[0] == 0
    assert names(tmp_path) == ["Straße 走.npz", "Straße 走_person2.bvh"]
    # Somebody else's file is not in the way.
    assert run(saved, "--format", "bvh", "--person", 1)[0] == 0


def joints_of(value: float) -> PoseResult:
    track = track_of(world_joints(5))
    return result_of(replace(track, joints=np.full_like(track.joints, value)))


@pytest.mark.parametrize(
    ("result", "arguments", "code", "message"),
    [
        (joints_of(0), ("--format", "bhv"), 2, "format 'bhv': no such format; did you mean bvh? known are bvh, "),
        (joints_of(0), ("--format", "fbx"), 2, "format 'fbx': no such format; known are bvh, "),
        (joints_of(0), ("--format", "bvh", "--person", "7"), 2, "--person 7: not in Straße 走.npz; there are 1"),
        (result_of(), ("--format", "csv"), 1, "Straße 走.npz: nobody was found in its video, so that there is nothing"),
        (joints_of(np.nan), ("--format", "trc"), 1, "Straße 走.npz: nobody in it has 3D joints, which --format trc is"),
    ],
    ids=["misspelt", "unknown", "person", "nobody", "nan"],
)
def test_what_cannot_be_is_said_in_one_line(run, tmp_path, result, arguments, code, message):
    save(result, tmp_path)
    found, _, err = run("Straße 走.npz", *arguments)
    assert found == code
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert names(tmp_path) == ["Straße 走.npz"]


@pytest.mark.parametrize("name", ["trc", "mot", "opensim"])
def test_a_heading_is_a_number(run, saved, tmp_path, name):
    code, _, err = run(saved, "--format", name, "--heading", "nan")
    assert code == 2
    assert "'nan' is not a number" in err
    with pytest.raises(UsageError, match=r"`heading=nan`: a number of degrees from -360 to 360 is wanted"):
        PoseResult.load(saved).export(name, tmp_path / "turned", heading=float("nan"))
    assert names(tmp_path) == ["Straße 走.npz"]


def test_a_result_that_was_never_lifted_has_no_3d_joints(run, tmp_path):
    track = track_of(world_joints(5))
    flat = replace(track, joints=track.joints[:, :0], joint_scores=track.joint_scores[:, :0])
    save(replace(result_of(flat), joint_layout=""), tmp_path)
    code, _, err = run("Straße 走.npz", "--format", "gltf")
    assert code == 1
    assert "nobody in it has 3D joints, which --format gltf is made of" in err
    assert run("Straße 走.npz", "--format", "coco", "--format", "csv")[0] == 0


def test_a_file_that_is_no_result_is_refused(run, tmp_path):
    (tmp_path / "walk.npz").write_bytes(b"no")
    code, _, err = run("walk.npz", "--format", "trc")
    assert (code, err.count("\n")) == (1, 1)
    assert "walk.npz: not a vidpose result" in err
    assert "gone.npz: no such file" in run("gone.npz", "--format", "trc")[2]


def test_a_format_must_be_named(run, saved):
    code, _, err = run(saved)
    assert code == 2
    assert "--format" in err
