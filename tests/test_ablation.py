"""A whole table: trained, evaluated, and beside what the paper reports."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from training_data import recording, write_cmu17, write_store

from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.datasets.cmu import PROTOCOLS
from vidpose.datasets.store import Store, StoreWriter
from vidpose.evaluation.evaluate import evaluate
from vidpose.lifters.zoo import load_weights
from vidpose.training import ablation
from vidpose.training.ablation import Work, ablate
from vidpose.training.loop import train
from vidpose.training.recipe import read_recipe

TABLE = """
arch = "lstm"
steps = 4
batch = 4
bf16 = false
model = { frames = 9, width = 8 }
data = { dataset = "cmu", input = "found" }
reported = { paper = "mixste", table = "6" }

[rows.position]
reported.line = "MPJPE Loss"

[rows.velocity]
loss = { mpjpe = 1.0, mpjve = 1.0 }
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "losses.toml"
    path.write_text(TABLE)
    return str(path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    recordings = [recording(number, 40, split) for number, split in enumerate(("train", "train", "test", "test"))]
    return write_store(tmp_path / "cmu", recordings, "cmu")


def test_a_table_from_the_command_line(table, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "runs"
    # The second row was interrupted after two steps.
    unfinished = train(read_recipe(f"{table}/velocity", ["steps=2"]), store.folder, out / "losses" / "velocity")
    unfinished.unlink()

    command = ["ablate", table, "--data", str(store.folder), "--device", "cpu"]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert "going on after step 2" in result.output
    assert [json.loads(line)["step"] for line in (out / "losses/velocity/metrics.jsonl").open()] == [1, 2, 3, 4]

    position, published, velocity = json.loads((out / "losses" / "table.json").read_text())["lines"]
    assert (position["label"], published["label"], velocity["label"]) == ("position", "MPJPE Loss", "velocity")
    assert published["reported"] == "MixSTE, CVPR 2022, Table 6"
    assert published["values"] == {
        "Parameters": None, "MPJPE (mm)": 41.7, "P-MPJPE (mm)": None, "MPJVE (mm/frame)": 5.0
    }  # fmt: skip
    for line in (position, velocity):
        lifter = load_weights(out / "losses" / line["label"] / "weights.safetensors").lifter
        summary = evaluate(store, PROTOCOLS["vidpose"], lifter, "found", overlap=False).summary()["averages"][0]
        values = {"MPJPE (mm)": "mpjpe", "P-MPJPE (mm)": "p_mpjpe", "MPJVE (mm/frame)": "mpjve"}
        assert line["values"] == pytest.approx(
            {column: summary[metric] for column, metric in values.items()}
            | {"Parameters": sum(p.numel() for p in lifter.parameters())}
        )
    assert "41.7" in (out / "losses" / "table.md").read_text()
    assert "41.7" in result.output

    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*/weights.safetensors")}
    again = CliRunner().invoke(cli, [*command, "--rows", "velocity"], catch_exceptions=False)
    assert "velocity: trained already" in again.output
    assert "position" not in again.output
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_rows_that_random_cameras_filmed_are_evaluated_on_both_inputs_of_cmu(tmp_path):
    data, folder = tmp_path / "cmu17", tmp_path / "cmu"
    data.mkdir()
    (tmp_path / "shipped.toml").write_text("""
        arch = "lstm"
        steps = 2
        batch = 4
        data = { dataset = "cmu17", validation = "val" }
        model = { frames = 9, width = 8 }
        [rows.one]
    """)
    writer = StoreWriter(folder, "cmu", "h36m17")
    seen = recording(0, 30, "test")
    writer.write("all", [replace(seen, keypoints={"gt": seen.keypoints["gt"], "detector": seen.keypoints["found"]})])
    store = writer.finish({}, {"gt": {}, "detector": {"scores": True}})
    made = ablate(f"{tmp_path}/shipped.toml", tmp_path / "runs", data=write_cmu17(data), eval_data=folder)
    lifter = load_weights(tmp_path / "runs/shipped/one/weights.safetensors").lifter
    for name in ("gt", "detector"):
        expected = evaluate(store, PROTOCOLS["vidpose"], lifter, name, overlap=False).summary()["averages"][0]
        column = made.columns.index(f"MPJPE (mm), {name}")
        assert made.lines[0].values[column] == pytest.approx(expected["mpjpe"])


def test_a_training_of_several_processes_is_a_program_of_its_own(table, store, tmp_path, monkeypatch):
    commands = []

    class InThisProcess:
        def __init__(self, command):
            commands.append([str(part) for part in command])

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def wait(self):
            assert commands[-1][1:3] == ["-m", "vidpose"]
            arguments = commands[-1][3:]
            arguments[arguments.index("--devices") + 1] = "1"
            return CliRunner().invoke(cli, arguments).exit_code

    monkeypatch.setattr(ablation.subprocess, "Popen", InThisProcess)
    work = Work(settings=["steps=3", "data.flip=none"], device="cpu", devices=2)
    ablate(table, tmp_path / "runs", rows=["position"], data=store.folder, work=work)
    (command,) = commands
    assert command[command.index("--devices") + 1] == "2"
    about = load_weights(tmp_path / "runs/losses/position/weights.safetensors").about
    assert about["recipe"]["steps"] == 3
    (tmp_path / "runs/losses/velocity").mkdir()
    (tmp_path / "runs/losses/velocity/checkpoint.pt").write_bytes(b"half of one")
    with pytest.raises(VidposeError, match="velocity: its training failed"):
        ablate(table, tmp_path / "runs", rows=["velocity"], data=store.folder, work=work)


def test_a_run_of_another_recipe_is_not_passed_off_as_this_one(table, store, tmp_path):
    ablate(table, tmp_path / "runs", rows=["position"], data=store.folder)
    with pytest.raises(VidposeError, match=r"position: a run of another recipe \(lr, seed differ\)"):
        ablate(table, tmp_path / "runs", rows=["position"], data=store.folder, work=Work(["seed=2", "lr=1e-4"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": ["positoin"]}, "no row positoin; there are position, velocity"),
        ({"work": Work(["data.protocol=best"])}, "unknown protocol 'best' of cmu; known are vidpose"),
        ({"work": Work(["data.input=cpn"])}, "cpn"),
        ({"work": Work(["data.dataset=h36m"])}, "holds cmu, where losses/position is evaluated on h36m"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(options, message, table, store, tmp_path):
    with pytest.raises(UsageError, match=message):
        ablate(table, tmp_path / "runs", data=store.folder, **options)
    assert not (tmp_path / "runs").exists()


def test_a_table_of_several_benchmarks_takes_no_data():
    with pytest.raises(UsageError, match="h36m, mpi-inf-3dhp; leave out `data`"):
        ablate("hybrids-table3", Path("runs"), data=Path("data/h36m"))
