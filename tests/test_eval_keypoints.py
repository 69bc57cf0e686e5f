"""Keypoint networks' figures on annotated pictures, against pycocotools on the same files and networks that know."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from click.testing import CliRunner
from keypoint_pictures import write_pictures

from vidpose.body.skeletons import BLAZEPOSE_33, COCO_17, H36M_17
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.evaluation.keypoints.annotated_pictures import common_joints, figures, find_annotated, keypoint_table
from vidpose.evaluation.keypoints.keypoint_metrics import pck_2d
from vidpose.keypoint_data.coco_annotations import read_people
from vidpose.keypoints.keypoint_network import create_network
from vidpose.keypoints.poses import InBoxes
from vidpose.keypoints.trained_networks import save_network
from vidpose.people.detections import Detections, PersonDetector


class Knowing:
    """Answers for the box it is given with the person annotated there, off by so many pixels."""

    layout = COCO_17

    def __init__(self, people, off=0.0):
        self.people, self.random, self.off = people, np.random.default_rng(0), off
        self.pictures = [list(group) for _, group in groupby(people, key=lambda person: person.picture)]
        self.looked = 0

    def locate_in_all(self, images, boxes):
        (boxes,) = boxes
        picture = self.pictures[self.looked]
        self.looked += 1
        known = np.stack([person.keypoints for person in picture])
        middles = np.nanmean(known, axis=1)
        nearest = [np.linalg.norm(middles - box.reshape(2, 2).mean(axis=0), axis=1).argmin() for box in boxes]
        found = known[nearest] + self.random.normal(0, self.off, (len(boxes), 17, 2))
        return [(found, np.full((len(boxes), 17), 0.9) - 0.1 * np.arange(len(boxes))[:, None])]


class Boxes(PersonDetector):
    """Finds all but the last person of a picture, the last first."""

    def __init__(self, people):
        self.pictures = iter([list(group) for _, group in groupby(people, key=lambda person: person.picture)])

    def detect(self, image, thorough=True, index=0):
        picture = next(self.pictures)[:-1][::-1]
        return Detections(np.stack([person.box for person in picture]), np.linspace(1, 0.5, len(picture)))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), COCO_17, 5, people=3)


@pytest.fixture(scope="module")
def people(path):
    return read_people(path, COCO_17)


def test_a_network_that_knows_is_perfect(people):
    found = find_annotated(people, COCO_17, InBoxes(Knowing(people)))
    row = figures(people, COCO_17, found)
    assert [row[key] for key in ("ap", "ap50", "ap75", "ar", "pck_2d")] == [1, 1, 1, 1, 1]
    assert row["mse"] == pytest.approx(0, abs=1e-9)
    assert row["median_px"] == pytest.approx(0, abs=1e-5)


def test_figures_are_pycocotools_on_the_same_file(path, people):
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    from pycocotools.coco import COCO

    network = Knowing(people, off=2.5)
    found = find_annotated(people, COCO_17, InBoxes(network))
    row = figures(people, COCO_17, found)
    again = Knowing(people, off=2.5)
    results = []
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        for picture in again.pictures:
            [(keypoints, scores)] = again.locate_in_all([None], [np.stack([person.box for person in picture])])
            for one, score in zip(keypoints, scores.mean(axis=1), strict=True):
                listed = np.concatenate([one, np.ones((17, 1))], axis=1).ravel().tolist()
                results.append({"image_id": picture[0].image_id, "category_id": 1, "keypoints": listed, "score": score})
        evaluator = cocoeval.COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    expected = evaluator.stats[[0, 1, 2, 5]]
    assert 0.1 < expected[0] < 0.9
    np.testing.assert_allclose([row[key] for key in ("ap", "ap50", "ap75", "ar")], expected, atol=1e-6)
    targets = np.stack([person.keypoints for person in people])
    assert row["mse"] == pytest.approx(np.square(found.matched - targets).mean(), rel=1e-6)
    assert row["mse"] == pytest.approx(2.5**2, rel=0.1)
    assert row["pck_2d"] == pytest.approx(pck_2d(found.matched, targets).mean())


def test_with_a_detector_whom_it_misses_is_missed(people):
    found = find_annotated(people, COCO_17, InBoxes(Knowing(people)), Boxes(people))
    assert len(found.people) == 10
    row = figures(people, COCO_17, found)
    assert row["pck_2d"] == pytest.approx(2 / 3)
    assert row["ar"] == pytest.approx(2 / 3)
    assert row["mse"] == pytest.approx(0, abs=1e-9)
    missed = np.isnan(found.matched).all(axis=(1, 2))
    assert missed.reshape(5, 3).tolist() == [[False, False, True]] * 5


def test_joints_are_those_that_all_have_and_somebody_is_labelled_with(path):
    def people_of(layout):
        return read_people(path, layout)

    assert common_joints([COCO_17], people_of).joints == COCO_17.joints
    common = common_joints([H36M_17, BLAZEPOSE_33], people_of)
    assert len(common) == 13
    assert set(common.joints) == {joint for joint in H36M_17.joints if joint in COCO_17.joints}
    with pytest.raises(UsageError, match="no joint is in all of h36m17, tails and labelled"):
        common_joints([H36M_17, replace(H36M_17, name="tails", joints=("tail",) * 17)], people_of)


def test_the_command_prints_a_table_and_writes_all_figures(path, tmp_path):
    network = create_network("hrnet-w24", width=4, bottleneck_width=4, blocks=1)
    weights = tmp_path / "w.safetensors"
    save_network(network, network.processing, weights, {})
    words = ["eval-keypoints", str(path), "--keypoints", f"hrnet-w24={weights}", "--every", "2", "--device", "cpu",
             "--json", str(tmp_path / "figures.json")]  # fmt: skip
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "PCK@0.05" in result.output
    assert "9 people, boxes given; 13 joints: right_hip" in result.output
    content = json.loads((tmp_path / "figures.json").read_text())
    assert (content["people"], content["detector"], len(content["joints"])) == (9, None, 13)
    (row,) = content["networks"].values()
    assert 0 <= row["pck_2d"] < 0.2
    assert row["ms"] > 0
    with pytest.raises(VidposeError, match=r"figures.json: exists already; give --overwrite"):
        CliRunner().invoke(cli, words, catch_exceptions=False)
    with pytest.raises(UsageError, match="given twice"):
        CliRunner().invoke(cli, [*words, "--overwrite", *words[2:4]], catch_exceptions=False)


def test_the_table_has_shares_in_per_cent():
    row = {"ap": 0.5, "ap50": 1.0, "ap75": 0.25, "ar": 0.75, "pck_2d": 0.9, "mse": 4.0, "median_px": 1.5, "ms": 12.0}
    table = keypoint_table("t", {"net": row}, ())
    assert table.lines[0].values == (50, 100, 25, 75, 90, 4, 1.5, 12)


def test_what_the_paper_reports_stands_beside():
    from vidpose.evaluation.keypoints.annotated_pictures import keypoint_table, reported_rows

    rows = reported_rows("I")
    assert next(iter(rows)) == "ViT-S"
    ours = rows["Multi-perspective relational (32frames)"]
    assert (ours["ap"], ours["ar"], ours["pck_2d"], ours["mse"]) == pytest.approx((0.914, 0.948, 0.986, 33.6))
    assert {row["frames"] for row in reported_rows("III").values()} == {8, 32, 128}
    table = keypoint_table("clips", {"ours": {"ap": 0.5, "mse": 20.0}, **rows}, ())
    mine, *others = table.lines
    assert mine.reported == ""
    assert dict(zip(table.columns, others[-1].values, strict=True))["AP"] == pytest.approx(91.4)
    assert others[-1].reported.endswith("Table I")
