"""The recipes that come with vidpose, and how recipe files are read."""

import json
import re
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import torch

from vidpose.body.skeletons import HUMANEVA_15
from vidpose.common.errors import UsageError
from vidpose.datasets import get_dataset
from vidpose.evaluation.published import published_line, published_tables
from vidpose.lifters import Lifter, create_lifter, lifter_class, lifter_names
from vidpose.training.losses import LOSSES, joint_weights
from vidpose.training.plan import OPTIMISERS
from vidpose.training.recipe import CMU17, Data, Recipe, read_recipe, recipe_names, rows_of
from vidpose.training.run import _OPTIMISERS
from vidpose.training.schedules import SCHEDULES

ELSEWHERE = {
    ("hossain-little", "2"): "P-MPJPE of Table 1's networks",
    ("hossain-little", "3"): "Table 1's network of true 2D, under noise: `vidpose eval --noise`",
    ("mixste", "1 (middle)"): "P-MPJPE of Table 1's networks",
    ("mixste", "1 (bottom)"): "MPJVE of Table 1's networks",
    ("ssr-stf", "I (bottom)"): "P-MPJPE of Table I's networks",
    ("temporal-relational", "I"): "2D networks: `recipes/keypoint-tables`",
    ("temporal-relational", "II (bottom)"): "P-MPJPE of Table II (top)'s network",
    ("temporal-relational", "III"): "2D networks: `recipes/keypoint-tables`",
}
"""Tables with rows of a paper's own method that no recipe is for, and why."""

LEFT_OPEN = {"hybrids-table3/mpi-inf-3dhp": "the paper names no 2D, and the benchmark has only the true one"}
"""Recipes whose 2D is not what the table says."""


def with_released_code(name: str) -> list[Recipe]:
    """A recipe as its paper has it and, where it says that this differs, as the released code does."""
    with suppress(UsageError):
        return [read_recipe(name), read_recipe(name, released_code=True)]
    return [read_recipe(name)]


@cache
def empty_lifter(arch: str, model: str) -> Lifter:
    """Without memory for its weights.

    Args:
        model: settings as JSON.
    """
    with torch.device("meta"):
        return create_lifter(arch, **json.loads(model))


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_trained_and_evaluated(name):
    for recipe in with_released_code(name):
        assert recipe.name == name
        lifter = empty_lifter(recipe.arch, json.dumps(recipe.model))
        assert len(joint_weights(recipe.joint_weights, lifter.layout)) == len(lifter.layout)
        steps = recipe.total_steps(100)
        rates = [recipe.rate(step, 100, steps) for step in (0, steps // 2, steps - 1)]
        assert recipe.lr * 1.001 > max(rates)
        assert min(rates) > 0
        data = recipe.data
        if data.dataset == CMU17:
            assert (lifter.config.normalisation, lifter.layout.name) == ("person", "h36m17")
            continue
        dataset = get_dataset(data.dataset)
        assert data.protocol in dataset.PROTOCOLS
        assert lifter.layout.name == dataset.LAYOUT
        # Every frame is learnt from.
        assert data.stride <= (lifter.receptive_field if lifter.predicts == "sequence" else 3)
        assert data.stride or lifter.predicts == "sequence"
        assert recipe.init in ("", *recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_what_is_reported_is_of_the_same_setting(name):
    recipe = read_recipe(name)
    if not recipe.reported:
        return
    where = recipe.reported
    line = published_line(where["paper"], where["table"], where["line"], where.get("frames"))
    row = next(iter(line.values()))
    assert row.values
    assert row.dataset == recipe.data.dataset
    assert row.frames in (None, lifter_class(recipe.arch).Config(**recipe.model).frames)
    if name not in LEFT_OPEN:
        assert row.input == recipe.data.input or (row.input == "detected" and recipe.data.input != "gt")


@pytest.mark.parametrize("name", ["cmu17/martinez", "ssr-stf-table7/ssr-stf", "seq2seq"])
def test_what_a_weights_file_says_of_its_recipe_is_read_back(name):
    written = json.dumps(read_recipe(name).to_dict())
    assert json.dumps(Recipe.from_dict(json.loads(written), "w.safetensors").to_dict()) == written


def test_every_lifter_has_a_recipe_of_its_name():
    for arch in lifter_names():
        assert read_recipe(arch).arch == arch


def test_papers_own_rows_and_all_ablations_have_recipes():
    named = {
        (*(recipe.reported[key] for key in ("paper", "table", "line")), recipe.reported.get("frames"))
        for recipe in map(read_recipe, recipe_names())
        if recipe.reported
    }
    missing = set()
    for table in published_tables():
        for row in table.rows:
            names = {(table.file, table.number, row.method, frames) for frames in (None, row.frames)}
            if (row.own or table.study) and not named & names:
                missing.add((table.file, table.number))
    assert missing == set(ELSEWHERE)


def test_mixste_has_1024_frames_in_a_batch():
    names = [name for name in recipe_names() if name.startswith("mixste")]
    assert len(names) > 30
    for name in names:
        recipe = read_recipe(name)
        assert recipe.batch == 1024 // recipe.model["frames"], name


def test_papers_and_released_codes():
    paper, code = with_released_code("mixste")
    assert (paper.optimiser, paper.weight_decay, paper.joint_weights) == ("adam", 0.0, "mixste")
    assert (code.optimiser, code.weight_decay, code.joint_weights) == ("adamw", 0.1, "mixste-code")
    assert (paper.loss["mpjve"], code.loss["mpjve"]) == (1.0, 2.0)
    # What a row is about stays, and all else is as released.
    row = read_recipe("mixste-table6/wmpjpe", released_code=True)
    assert row.loss == {"weighted-mpjpe": 1.0}
    assert (row.optimiser, row.joint_weights) == ("adamw", "mixste-code")


def test_hossain_s_network_has_humaneva_s_joints():
    recipe = read_recipe("hossain-table5/ours")
    lifter = create_lifter(recipe.arch, **recipe.model | {"width": 16}).eval()
    joints = lifter(torch.rand(2, 5, 15, 2))
    assert joints.shape == (2, 5, 15, 3)
    assert not joints[:, :, HUMANEVA_15.parents.index(-1)].any()


def test_the_loop_knows_every_optimiser():
    assert set(_OPTIMISERS) == set(OPTIMISERS)


def test_the_page_on_training_names_every_key():
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    keys = {field.name for field in (*fields(Recipe), *fields(Data))} - {"name"}
    for key in (*keys, *LOSSES, *SCHEDULES, *OPTIMISERS):
        assert re.search(rf"[`.\[]{key}[`\]]", page), key


def test_length_and_rate():
    recipe = read_recipe("single-branch")
    assert recipe.total_steps(1000) == 80_000
    assert recipe.rate(20_000, 1000, 80_000) == pytest.approx(0.75e-4)
    assert read_recipe("cmu17/lstm", ["steps=7"]).total_steps(1000) == 7
    assert read_recipe("mixste", ["schedule.rate=0.5"]).rate(2000, 1000, 9000) == pytest.approx(1e-5)


BASE = """
arch = "lstm"
epochs = 3
reported = { paper = "mixste", table = "2", line = "Ours(T=81)" }
model = { frames = 27, width = 16 }
schedule = { name = "exponential-by-epoch", rate = 0.9 }
loss = { mpjpe = 1.0, mpjve = 2.0 }
data = { input = "gt", stride = 9, protocol = "martinez" }
released_code = { lr = 5e-4, batch = 7 }
"""
TABLE = """
base = "base.toml"
batch = 9

[rows.first]
steps = 5
model = { width = 32 }
loss = { n-mpjpe = 1.0 }

[rows.second]
base = "videopose3d"
schedule = { name = "linear" }
data = { actions = ["Walking"] }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "table.toml").write_text(TABLE)
    return tmp_path


def test_keys_are_inherited(folder):
    assert rows_of(f"{folder}/table.toml") == ["first", "second"]
    base, first = read_recipe(f"{folder}/base.toml"), read_recipe(f"{folder}/table.toml/first")
    assert (base.name, first.name) == ("base", "table/first")
    assert (first.arch, first.batch, first.schedule) == ("lstm", 9, base.schedule)
    # Tables of settings join; a loss is a whole; a run has one length; a figure belongs to its own recipe.
    assert first.model == {"frames": 27, "width": 32}
    assert first.loss == {"n-mpjpe": 1.0}
    assert (first.steps, first.epochs) == (5, 0)
    assert (bool(base.reported), first.reported) == (True, {})
    assert first.data == base.data


def test_a_row_may_have_a_base_of_its_own(folder):
    second = read_recipe(f"{folder}/table.toml/second")
    released = read_recipe("videopose3d")
    assert (second.arch, second.batch, second.lr) == ("videopose3d", 9, released.lr)
    assert second.schedule == {"name": "linear"}
    assert (second.data.actions, second.data.stride) == (["Walking"], released.data.stride)


def test_released_code_lies_under_what_departs_from_it(folder):
    base = read_recipe(f"{folder}/base.toml", released_code=True)
    first = read_recipe(f"{folder}/table.toml/first", released_code=True)
    assert (base.lr, base.batch) == (5e-4, 7)
    assert (first.lr, first.batch) == (5e-4, 9)


def test_settings_go_over_a_recipe_key_by_key(folder):
    file = f"{folder}/base.toml"
    changed = read_recipe(file, ["steps=4", "loss.mpjve=0.5", "model.width=8", "data.flip=none", "lr=1"])
    assert (changed.steps, changed.epochs, changed.lr) == (4, 0, 1)
    assert changed.loss == {"mpjpe": 1.0, "mpjve": 0.5}
    assert changed.model == {"frames": 27, "width": 8}
    assert (changed.data.flip, changed.data.input) == ("none", "gt")
    assert read_recipe(file, ["schedule.rate=0.8"]).schedule == {"name": "exponential-by-epoch", "rate": 0.8}
    assert read_recipe(file, ["schedule.name=linear"]).schedule == {"name": "linear"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learn=1", "no key 'learn'"),
        ("wieght_decay=1", "no key 'wieght_decay'; did you mean weight_decay"),
        ("model.widht=8", "no key 'model.widht'; did you mean model.width"),
        ("data.imput=gt", "no key 'data.imput'; did you mean data.input"),
        ("loss.mpjp=1", "no key 'loss.mpjp'; did you mean loss.mpjpe"),
        ("schedule.warmup=3", "no key 'schedule.warmup'"),
        ("arch=lsmt", "arch is 'lsmt'; choose from .*lstm"),
        ("optimiser=sgd", "optimiser is 'sgd'; choose from adam"),
        ("schedule.name=step", "schedule.name is 'step'; choose from linear"),
        ("joint_weights=heavy", "joint_weights is 'heavy'; choose from uniform"),
        ("data.dataset=human36m", "data.dataset is 'human36m'; choose from h36m"),
        ("data.flip=yes", "data.flip is 'yes'; choose from duplicate"),
        ("keep=all", "keep is 'all'; choose from best, last"),
        ("batch=2.5", "batch is 2.5, where a whole number is due"),
        ("bf16=1", "bf16 is 1, where true or false is due"),
        ("seed=true", "seed is True, where a whole number is due"),
        ("lr='fast'", "lr is 'fast', where a number is due"),
        ("init=3", "init is 3, where a text is due"),
        ("data.actions=[1]", r"data.actions.0. is 1, where a text is due"),
        ("model=3", "no key 'model'"),
        ("batch=0", "batch is 0; it must be at least 1"),
        ("data.stride=-1", "data.stride is -1; it must be at least 0"),
        ("lr=0", "lr is 0; it must be more than 0"),
        ("lr=nan", "lr is nan; it must be more than 0"),
        ("lr=inf", "lr is inf; it must be at most 1000"),
        ("ema=99999999999999999999999", "ema is 99999999999999999999999; it must be less than 1"),
        ("seed=999999999999999999999999999", "seed is 9"),
        ("model.width=1_000_000_000", "model.width is 1000000000; it must be at most 16384"),
        ("model.frames=0", "model.frames is 0; it must be at least 1"),
        ("schedule.rate=0", "schedule.rate is 0; it must be more than 0"),
        ("schedule.rate=[1]", "schedule.rate is .1., where a number is due"),
        ("loss.mpjpe=-1", "loss is .*-1.*; it must be at least 0"),
        ("epochs=0", "give one of them"),
        ("augmentation.reverse=0.5", "augmentation is only for data.dataset 'cmu17'"),
    ],
)
def test_impossible_keys_are_said_in_a_line(setting, message, folder):
    with pytest.raises(UsageError, match=rf"base\.toml: .*{message}") as caught:
        read_recipe(f"{folder}/base.toml", [setting])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('steps = 3\nschedule = { name = "linear" }', "arch is None"),
        ('arch = "lstm"', "epochs or steps"),
        ('arch = "lstm"\nsteps = 3\nepochs = 3', "epochs or steps"),
        ('arch = "lstm"\nsteps = 3\nloss = {}', "no loss"),
        ('arch = "lstm"\nsteps = 3\nschedule = { warmup = 3 }', "schedule.name is None"),
        ('arch = "lstm', "not a recipe"),
        ('base = "mixte"', "mixte: no such recipe; did you mean mixste"),
        ('base = "mine.toml"', "goes in a circle: .*mine.toml -> .*mine.toml"),
        ('base = "../folder/mine.toml"', "goes in a circle"),
        ("base = 3", "base must name a recipe"),
        ("rows = 3", "its rows are no tables"),
        ('[rows."../../x"]\narch = "lstm"', r"a row named '\.\./\.\./x'"),
        ('[rows.".."]\narch = "lstm"', r"a row named '\.\.'"),
        ('arch = "lstm"\nsteps = 3\nreleased_code = 3', "released_code be a table"),
        ('[rows.a]\narch = "lstm"', "choose from .*mine.toml/a"),
    ],
)
def test_bad_files_are_said_in_a_line(content, message, tmp_path):
    file = tmp_path / "folder" / "mine.toml"
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_recipe(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mixste-tabel6/mpjpe", "no such recipe; did you mean mixste-table6/mpjpe"),
        ("mixste-table6/mjpje", "no row 'mjpje'; did you mean mpjpe"),
        ("mixste/first", "no row 'first'; there are none"),
        ("nowhere.toml", "nowhere.toml: no such recipe"),
    ],
)
def test_unknown_recipes_are_said_in_a_line(name, message):
    with pytest.raises(UsageError, match=message):
        read_recipe(name)


def test_a_single_recipe_is_no_table():
    with pytest.raises(UsageError, match="single recipe, not a table"):
        rows_of("mixste")


def test_code_that_does_not_differ_is_said():
    with pytest.raises(UsageError, match="leave out `released_code`"):
        read_recipe("single-branch", released_code=True)
