"""The lifters at their papers' settings: sizes, costs, and what `vidpose models` says of them."""

import json
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from vidpose.cli import COMMANDS, cli
from vidpose.lifters import create_lifter, lifter_class, lifter_names
from vidpose.lifters.lifter_table import DEFAULT, LIFTERS, ZOO
from vidpose.lifters.summary import count_parameters, macs_per_frame
from vidpose.lifters.zoo import load_lifter, load_weights


def parameters(name: str, **settings) -> float:
    """Millions."""
    with torch.device("meta"):
        return sum(p.numel() for p in create_lifter(name, **settings).parameters()) / 1e6


def adjacency_products(layers: int, frames: int) -> float:
    """Giga MACs of MotionAGFormer's authors' products of adjacencies with diagonal matrices, where we scale rows."""
    return layers * 2 * (frames**3 * 17 + 17**3 * frames) / 1e9


@pytest.mark.parametrize(
    ("name", "variant", "millions", "giga_macs"),
    [
        # Counted on the authors' own implementations: parameters, and multiply-accumulates of one window.
        ("martinez", "", 4.292, 0.0043),
        ("mixste", "", 33.784, 147.42),
        ("poseformer", "", 9.603, 0.847),
        ("mhformer", "", 31.516, 8.218),
        ("ktpformer", "", 35.21, 153.9),
        ("gla-gcn", "", 1.349 - 0.003, 1.623),
        ("stcformer", "", 4.748, 21.2),
        ("stcformer", "large", 18.93, 81.4),
        ("motionbert", "", 42.47, 185.4),
        ("motionbert", "lite", 16.00, 71.0),
        ("graformer", "16-joints", 0.654, None),
        ("motionagformer", "xs", 2.24, None),
        ("motionagformer", "s", 4.82, 7.9 - adjacency_products(26, 81)),
        ("motionagformer", "", 11.72, 64.5 - adjacency_products(16, 243)),
        ("motionagformer", "l", 19.01, 104.6 - adjacency_products(26, 243)),
        ("poseformer-v2", "", 14.38, None),
        ("videopose3d", "", 16.952, None),
        # Less tensors of theirs that have no effect.
        ("strided-transformer", "", 4.346 - 0.001, 1.060),
        ("p-stmo", "", 6.482 - 0.001, 0.864),
        ("p-stmo", "large", 7.009 - 0.001, 1.022),
        ("seq2seq", "", 16.964 - 0.033, None),
    ],
)
def test_size_and_cost_are_the_authors(name, variant, millions, giga_macs):
    settings = lifter_class(name).variants.get(variant, {})
    assert parameters(name, **settings) == pytest.approx(millions, rel=1e-3)
    if giga_macs:
        with torch.device("meta"):
            lifter = create_lifter(name, **settings).eval()
        frames = lifter.config.frames if lifter.predicts == "sequence" else 1
        assert macs_per_frame(lifter) * frames / 1e9 == pytest.approx(giga_macs, rel=0.02)


@pytest.mark.parametrize(
    ("settings", "millions"),
    [
        ({"depth": 6}, 18.4),
        ({"depth": 8}, 24.5),
        ({"depth": 10}, 30.6),
        ({}, 36.7),
        ({"representation": 256}, 36.7),
        ({"representation": 1024}, 36.9),
        ({"depth": 14}, 42.8),
        ({"depth": 16, "width": 128}, 12.4),
    ],
)
def test_ssr_stf_has_the_sizes_of_table_4(settings, millions):
    assert parameters("ssr-stf", **settings) == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize(
    ("settings", "millions"),
    [
        ({"depth": 4, "refine_depth": 1}, 0.33),
        ({"depth": 8, "refine_depth": 2}, 0.66),
        ({}, 0.98),
        ({"depth": 16, "refine_depth": 4}, 1.31),
        ({"width": 48}, 0.25),
        ({"width": 144}, 2.20),
        ({"refine_depth": 0}, 0.79),
    ],
)
def test_pot_has_the_sizes_of_its_tables_4_and_6(settings, millions):
    assert round(parameters("pot", **settings), 2) == millions


def test_small_ssr_stf_is_table_4s_last_row():
    assert parameters("ssr-stf-small") == parameters("ssr-stf", depth=16, width=128)


def test_mixste_without_joint_separation_is_as_wide_as_all_joints():
    # Table 5: its temporal blocks are 17 times as wide, and so have 17^2 times the matrices.
    wide, narrow = parameters("mixste", joint_separation=False), parameters("mixste")
    temporal = 8 * 8 * 512**2 / 1e6
    assert wide - narrow == pytest.approx(temporal * (17**2 - 1), rel=0.01)


@pytest.mark.parametrize("name", LIFTERS)
def test_the_tables_figures_are_the_networks(name):
    with torch.device("meta"):
        lifter = create_lifter(name).eval()
    counted = {
        "parameters": count_parameters(lifter),
        "macs_per_frame": round(macs_per_frame(lifter)),
        "frames": lifter.config.frames,
        "receptive_field": lifter.receptive_field,
        "predicts": lifter.predicts,
    }
    assert {figure: getattr(LIFTERS[name], figure) for figure in counted} == counted


def test_models_lists_every_lifter():
    result = CliRunner().invoke(cli, ["models", "--json"])
    listed = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert sorted(listed) == lifter_names()
    mixste = listed["mixste"]
    assert mixste["parameters"] == 33_783_811
    assert mixste["receptive_field"] == 243
    assert mixste["predicts"] == "sequence"
    assert mixste["paper"]["mpjpe"] == 40.9
    for name, entry in listed.items():
        own = entry["weights"]
        assert (own is not None) == (name in ZOO)
        if own:
            # What is shipped is not the paper's: its size and errors are its own.
            lifter = load_lifter(name)
            assert own["file"] == ZOO[name].shipped.file
            assert own["parameters"] == count_parameters(lifter)
            assert (own["layout"], own["frames"]) == (lifter.layout.name, lifter.config.frames)
            assert 20 < own["p_mpjpe"] < own["mpjpe"] < 120
    assert all(listed[name]["weights"] for name in DEFAULT.split("+"))
    assert listed["motionbert"]["weights"] is None
    for entry in listed.values():
        assert entry["macs_per_frame"] > 0.5 * entry["parameters"] / max(1, entry["frames"])
        assert entry["paper"]["title"]


def test_models_never_puts_a_papers_error_beside_shipped_weights():
    lines = CliRunner().invoke(cli, ["models"]).stdout.splitlines()
    middle = lines.index("")
    shipped, papers = ({line.split()[0]: line for line in part if line} for part in (lines[:middle], lines[middle:]))
    assert set(lifter_names()) <= papers.keys()
    shipped = {name.rstrip(","): line for name, line in shipped.items()}
    assert list(ZOO) == [name for name in shipped if name in LIFTERS]
    for name in ZOO:
        metrics, reported = load_weights(name).about["metrics"], LIFTERS[name].paper.mpjpe
        own = [f"{metrics[key]:.1f}" for key in ("val_mpjpe_mm", "val_p_mpjpe_mm")]
        assert shipped[name].split()[-2:] == own
        assert papers[name].split()[-1] == f"{reported:.1f}" not in own


LISTS = (["models"], ["weights", "list"], ["--help"])


@pytest.mark.parametrize("command", [*LISTS, *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_lists_and_helps_wait_for_no_network(command):
    code = (
        "import sys; from click.testing import CliRunner; from vidpose.cli import cli\n"
        "assert CliRunner().invoke(cli, sys.argv[1:]).exit_code == 0\n"
        "print(*{'torch', 'onnxruntime', 'matplotlib', 'lightning'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
