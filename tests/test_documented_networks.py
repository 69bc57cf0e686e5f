"""The pages' tables of networks say what the tables in the code do: every name, paper, figure, joints and weights."""

import re
from pathlib import Path

import pytest

from vidpose.keypoints.network_table import KEYPOINTS
from vidpose.lifters import lifter_class
from vidpose.lifters.lifter import Lifter
from vidpose.lifters.lifter_table import LIFTERS
from vidpose.people.detector_table import DETECTORS
from vidpose.weights.catalogue import Entry, Published
from vidpose.weights.facts import facts_of
from vidpose.weights.shipped import ShippedWeights

DOCS = Path(__file__).parent.parent / "docs"


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The other cells of a table's rows, by the names in the first; of several figures, each name has its own."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    found: dict[str, list[str]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        names = re.findall(r"`([^`]+)`", first)
        assert len(names) == len(first.split(", ")), first
        for number, name in enumerate(names):
            assert name not in found
            found[name] = [_own(cell, number, len(names)) for cell in cells]
    return found


def _own(cell: str, number: int, count: int) -> str:
    parts = cell.split(", ")
    return parts[number] if len(parts) == count and all(re.search(r"\d", part) for part in parts) else cell


def availability(entry: Entry) -> str:
    """How the pages begin what they say of an entry's weights."""
    file = entry.weights
    if isinstance(file, ShippedWeights):
        return "come"
    if isinstance(file, Published):
        size = f", {file.mib:.0f} MiB" if file.mib else ""
        return f"fetch{size}" if file.sha256 else "fetch `--unchecked`" if file.url else "by hand"
    return {"must": "train it", "may": f"`--{entry.kind}-weights FILE`", "never": ""}[entry.takes_weights]


def check(entry: Entry, figure: str, weights: str) -> None:
    told = re.findall(r"\d+\.\d+", entry.metric)
    assert told[-1] in figure if told else not re.search(r"\d", figure), (entry.name, entry.metric, figure)
    if entry.name != "nanodet:tiles":  # which has nanodet's
        assert weights.startswith(availability(entry)), (entry.name, weights)
        assert bool(weights) == bool(availability(entry)), (entry.name, weights)


def test_detectors() -> None:
    listed = rows("detectors.md", "`--detector`")
    assert listed.keys() == DETECTORS.keys()
    for name, (_, figure, weights) in listed.items():
        check(DETECTORS[name], figure, weights)


def test_keypoint_networks() -> None:
    listed = rows("detectors.md", "`--keypoints`")
    assert listed.keys() == KEYPOINTS.keys()
    layouts = {"33": "blazepose33", "COCO 17": "coco17", "MPII 16": "mpii16", "Human3.6M 17": "h36m17", "any": ""}
    for name, (_, joints, figure, weights) in listed.items():
        check(KEYPOINTS[name], figure, weights)
        assert layouts.get(joints, "") == facts_of(KEYPOINTS[name]).layout, name


@pytest.mark.parametrize("name", LIFTERS)
def test_lifters(name: str) -> None:
    listed = rows("lifters.md", "name")
    assert listed.keys() == LIFTERS.keys()
    paper, weights = listed[name]
    venue = LIFTERS[name].paper.venue.removeprefix("IEEE ")
    assert venue in paper
    is_imported = lifter_class(name).infer_config.__func__ is not Lifter.infer_config.__func__
    assert not (weights == "import" and not is_imported)
