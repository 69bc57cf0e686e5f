"""docs/papers.md: every table and figure of the five papers is on it, and its commands make what they say."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from vidpose.evaluation.published import published_tables
from vidpose.keypoints.clips.clip_network import clip_network_names, create_clip_network
from vidpose.keypoints.keypoint_network import create_network
from vidpose.lifters import create_lifter
from vidpose.training.keypoint_ablation import keypoint_table_names, read_keypoint_table
from vidpose.training.keypoint_recipe import read_keypoint_recipe
from vidpose.training.recipe import read_recipe, recipe_names, rows_of

PAGE = (Path(__file__).parents[1] / "docs" / "papers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PAPERS = {
    "hossain-little": "Hossain and Little",
    "mixste": "MixSTE",
    "ssr-stf": "SSR-STF",
    "lstm-transformer-hybrid": "Hybrid LSTM",
    "temporal-relational": "Multi-perspective",
}
FIGURES = {"hossain-little": 5, "mixste": 6, "ssr-stf": 5, "lstm-transformer-hybrid": 2, "temporal-relational": 4}
"""How many each paper has."""

LINES = [line.strip() for line in PAGE.splitlines() if line.startswith("    vidpose ")]


def section(paper: str) -> str:
    """What the page says of a paper."""
    [text] = [text for title, text in SECTIONS.items() if PAPERS[paper] in title]
    return text


@pytest.mark.parametrize("table", published_tables(), ids=lambda table: f"{table.file}-{table.number}")
def test_every_table_is_on_the_page(table):
    assert f"Table {table.number}" in section(table.file)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_figure_is_on_the_page(paper):
    named = set()
    for first, more in re.findall(r"Figures? (\d+)((?:(?:, | and | to )\d+)*)", section(paper)):
        numbers = [int(first), *map(int, re.findall(r"\d+", more))]
        named |= set(range(numbers[0], numbers[-1] + 1)) if "to" in more else set(numbers)
    assert named == set(range(1, FIGURES[paper] + 1))


def test_there_are_commands():
    assert len(LINES) > 30
    assert {shlex.split(line)[1] for line in LINES} >= {"ablate", "train", "eval", "infer", "data"}


@pytest.mark.parametrize("line", LINES)
def test_what_a_command_trains_can_be_built(line):
    words = shlex.split(line, comments=True)
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    if words[1] == "ablate" and words[2] in keypoint_table_names():
        for row in read_keypoint_table(words[2]).rows.values():
            recipe = read_keypoint_recipe(row.recipe, row.settings)
            with torch.device("meta"):
                if recipe.arch in clip_network_names():
                    create_clip_network(recipe.arch, **recipe.model)
                else:
                    create_network(recipe.arch, **recipe.model)
    elif words[1] in ("ablate", "train"):
        rows = [f"{words[2]}/{row}" for row in rows_of(words[2])] if words[1] == "ablate" else [words[2]]
        for row in rows:
            recipe = read_recipe(row, settings)
            with torch.device("meta"):
                create_lifter(recipe.arch, **recipe.model)
    elif words[1] == "eval":
        # The run is one that a recipe writes.
        name = words[words.index("--weights") + 1].removeprefix("runs/").removesuffix("/weights.safetensors")
        assert name in recipe_names()


def test_what_is_not_here_is_in_the_tables_that_the_page_names():
    text = SECTIONS["Methods of the tables that are not here"]
    lines = re.findall(r"^\| (\w+)[^|]*\| ([^|]*) \| not implemented", text, re.MULTILINE)
    assert {name for name, _ in lines} == {"UGCN", "DUE", "Chen"}
    files = {"MixSTE": "mixste", "SSR-STF": "ssr-stf", "relational": "temporal-relational"}
    for name, where in lines:
        printed_as = (name, "Wang") if name == "UGCN" else (name,)
        named = {(files[paper], number) for paper, number in (place.split(" ") for place in where.split(", "))}
        printed = {
            (table.file, table.number.split(" ")[0])
            for table in published_tables()
            for row in table.rows
            if table.file in files.values() and row.method.startswith(printed_as)
        }
        assert named == printed, name
