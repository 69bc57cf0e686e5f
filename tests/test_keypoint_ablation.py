"""A table of 2D networks: trained on clips, evaluated on the same people, and beside what the paper reports."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from keypoint_pictures import write_clips

from vidpose.body.skeletons import H36M_17
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.evaluation.published import published_tables
from vidpose.keypoints.clips.clip_network import clip_network_class
from vidpose.training.ablation import Work
from vidpose.training.keypoint_ablation import ablate_keypoints, keypoint_table_names, read_keypoint_table
from vidpose.training.keypoint_recipe import read_keypoint_recipe

SMALL = [f"model.{key}={json.dumps(value)}" for key, value in clip_network_class("temporal-relational").tiny.items()]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"), H36M_17, 2)


@pytest.fixture
def table(tmp_path: Path) -> str:
    settings = [*SMALL, "model.views=2", "steps=2", "batch=2", "init=", "bf16=false"]
    rows = {"one": [*settings, "model.frames=1"], "three": [*settings, "model.frames=3"]}
    lines = [f'{row} = {{ recipe = "temporal-relational", settings = {json.dumps(s)} }}' for row, s in rows.items()]
    path = tmp_path / "windows.toml"
    path.write_text("\n".join(['reported = "III"', "[rows]", *lines]))
    return str(path)


def test_a_table_from_the_command_line(table, clips, tmp_path):
    out = tmp_path / "runs"
    command = ["ablate", table, "--data", str(clips), "--held-out", str(clips), "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = json.loads((out / "windows" / "table.json").read_text())["lines"]
    assert [line["label"] for line in lines[:2]] == ["one", "three"]
    assert [line["values"]["F"] for line in lines] == [1, 3, 8, 32, 128]
    assert [line["values"]["AP"] for line in lines[2:]] == pytest.approx([90.3, 91.4, 92.1])
    assert all(0 <= line["values"]["PCK@0.05"] <= 100 for line in lines)
    again = CliRunner().invoke(cli, [*command, "--rows", "three"], catch_exceptions=False)
    assert "three: trained already" in again.output
    assert "one: " not in again.output


def test_what_cannot_be_is_said(run, table, clips, tmp_path):
    with pytest.raises(UsageError, match="no row two; there are one, three"):
        ablate_keypoints(table, clips, clips, tmp_path, rows=["two"], work=Work())
    ablate_keypoints(table, clips, clips, tmp_path / "runs", rows=["one"], work=Work())
    with pytest.raises(VidposeError, match=r"a run of another recipe \(seed differ\)"):
        ablate_keypoints(table, clips, clips, tmp_path / "runs", rows=["one"], work=Work(["seed=4"]))
    code, _, error = run("ablate", "temporal-relational-table1")
    assert code == 2
    assert "give --data and --held-out" in error
    (tmp_path / "bad.toml").write_text("rows = 3")
    with pytest.raises(UsageError, match="rows"):
        read_keypoint_table(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize("name", keypoint_table_names())
def test_a_tables_rows_are_the_papers(name):
    table = read_keypoint_table(name)
    [printed] = [t for t in published_tables() if (t.file, t.number) == ("temporal-relational", table.reported)]
    assert len(table.rows) == len(printed.lines)
    for row in table.rows.values():
        recipe = read_keypoint_recipe(row.recipe, row.settings)
        if recipe.arch == "temporal-relational":
            frames = clip_network_class(recipe.arch).Config(**recipe.model).frames
            assert frames in {row.frames for row in printed.rows}
