"""The lifters at their papers' settings: sizes, costs, and what `vidpose models` says of them."""

import json

import pytest
import torch
from click.testing import CliRunner

from vidpose.cli import cli
from vidpose.lifters import create_lifter, lifter_class, lifter_names
from vidpose.lifters.summary import summarise
from vidpose.lifters.zoo import DEFAULT, load_lifter


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
        from vidpose.lifters.summary import macs_per_frame

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


def test_small_ssr_stf_is_table_4s_last_row():
    assert parameters("ssr-stf-small") == parameters("ssr-stf", depth=16, width=128)


def test_mixste_without_joint_separation_is_as_wide_as_all_joints():
    # Table 5: its temporal blocks are 17 times as wide, and so have 17^2 times the matrices.
    wide, narrow = parameters("mixste", joint_separation=False), parameters("mixste")
    temporal = 8 * 8 * 512**2 / 1e6
    assert wide - narrow == pytest.approx(temporal * (17**2 - 1), rel=0.01)


def test_models_lists_every_lifter():
    result = CliRunner().invoke(cli, ["models", "--json"])
    listed = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert sorted(listed) == lifter_names()
    mixste = listed["mixste"]
    assert mixste["parameters"] == summarise("mixste").parameters == 33_783_811
    assert mixste["receptive_field"] == 243
    assert mixste["predicts"] == "sequence"
    assert mixste["paper"]["mpjpe"] == 40.9
    for entry in listed.values():
        own = entry["shipped"]
        assert entry["weights"] == (own and own["file"])
        if own:
            # What is shipped is not the paper's: its size and errors are its own.
            weights = load_lifter(entry["name"])
            assert own["parameters"] == sum(parameter.numel() for parameter in weights.parameters())
            assert own["layout"] == weights.layout.name
            assert 20 < own["p_mpjpe"] < own["mpjpe"] < 120
    assert listed[DEFAULT]["weights"]
    assert listed["mixste"]["weights"] is None
    for entry in listed.values():
        assert entry["macs_per_frame"] > 0.5 * entry["parameters"] / max(1, entry["frames"])
        assert entry["paper"]["title"]


def test_models_prints_a_line_a_lifter():
    result = CliRunner().invoke(cli, ["models"])
    first_words = [line.split()[0] for line in result.stdout.splitlines() if line.strip()]
    assert set(lifter_names()) <= set(first_words)
