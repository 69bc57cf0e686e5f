"""Networks that see clips in one table with those that see pictures, against networks whose answers are known."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_networks import stirred
from keypoint_pictures import write_pictures
from spots import SIZE, BrightestPlace

from vidpose.body.skeletons import COCO_17, H36M_17, Skeleton
from vidpose.evaluation.keypoints.annotated_pictures import figures, keypoint_table, over_files
from vidpose.evaluation.keypoints.clip_pictures import find_in_clips, people_in
from vidpose.keypoint_data.clips import Shot, open_clips, write_clip
from vidpose.keypoints.clips.clip_finder import Appearance, ClipFinder
from vidpose.keypoints.clips.clip_network import ClipNetwork
from vidpose.keypoints.clips.clip_weights import save_clip_network
from vidpose.keypoints.keypoint_network import create_network
from vidpose.keypoints.trained_networks import save_network

FRAMES, VIEWS, SIDE = 4, 4, 40
CAMERA = {"focal": 100.0, "centre": [60.0, 50.0], "world_to_camera": np.eye(3, 4).tolist()}
PATTERN = np.random.default_rng(0).uniform(-15, 15, (17, 2))
"""Pixels from the bright middle of a person to the joints."""


def middle(clip: int, view: int, frame: int) -> np.ndarray:
    return np.array([40.0 + 3 * frame + 5 * view, 45.0 + 2 * clip])


def shot(clip: int, view: int, frame: int, seen: bool = True) -> Shot:
    """120 x 100, with a bright spot in the middle of a square person, the joints around it."""
    x, y = middle(clip, view, frame)
    columns, rows = np.meshgrid(np.arange(120) + 0.5, np.arange(100) + 0.5)
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4**2))
    mask = (np.abs(columns - x) <= SIDE / 2) & (np.abs(rows - y) <= SIDE / 2) & seen
    keypoints = middle(clip, view, frame) + PATTERN if seen else np.full((17, 2), -50.0)
    return Shot(
        view, frame, 0.1 * frame, np.repeat(spot[..., None], 3, axis=2).astype(np.uint8), mask, keypoints, CAMERA
    )


def write(folder: Path, clips: int, views: int = VIEWS, hidden: tuple[int, int, int] | None = None) -> Path:
    """Clips of which one view does not see the person in one frame."""
    for clip in range(clips):
        shots = [
            shot(clip, view, frame, (clip, view, frame) != hidden) for view in range(views) for frame in range(FRAMES)
        ]
        write_clip(folder, clip, H36M_17.joints, shots)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("clips"), 3)


class Knowing(ClipNetwork):
    """Finds the bright spot of a crop and says where the joints are from it, off by so many pixels."""

    name = "knowing"
    frames, views = FRAMES, VIEWS

    def __init__(self, off: float = 0.0) -> None:
        super().__init__(self.Config(size=SIZE), 2)
        self.spatial = BrightestPlace()
        # A crop is the person's box with a margin.
        self.side = SIDE * self.processing.margin[0]
        self.offsets = torch.tensor((PATTERN + off) / self.side, dtype=torch.float32)

    def decode(self, tokens, present):
        points = tokens[..., None, :] + self.offsets
        return points, torch.zeros(points.shape[:-1])


def tiny(frames: int = FRAMES, views: int = VIEWS, seed: int = 0) -> ClipNetwork:
    return stirred(seed=seed, frames=frames, views=views)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    """Files of weights: two seeds, one frame and one view, a longer window, and others that see pictures."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {name: folder / f"{name}.safetensors" for name in ("a", "b", "single", "long", "vit", "hrnet")}
    save_clip_network(tiny(), paths["a"], {"epoch_seconds": 10.0})
    save_clip_network(tiny(seed=1), paths["b"], {"epoch_seconds": 13.0})
    save_clip_network(tiny(frames=1, views=1), paths["single"], {})
    save_clip_network(tiny(frames=FRAMES + 1), paths["long"], {})
    save_clip_network(stirred("vit-s"), paths["vit"], {})
    network = create_network("hrnet-w24", width=4, bottleneck_width=4, blocks=1)
    save_network(network, network.processing, paths["hrnet"], {"epoch_seconds": 2.5})
    return paths


class TestFindInClips:
    def test_a_network_that_knows_is_perfect(self, folder):
        clips = open_clips(folder, H36M_17)
        found = find_in_clips(clips, H36M_17, ClipFinder(Knowing()), VIEWS)
        truth = [middle(c, v, f) + PATTERN for c in range(3) for v in range(VIEWS) for f in range(FRAMES)]
        np.testing.assert_allclose(found.matched, truth, atol=0.6)
        assert {entry["score"] for entry in found.people} == {0.5}
        row = figures(people_in(clips), H36M_17, found)
        assert [row[key] for key in ("ap", "ar", "pck_2d")] == [1, 1, 1]
        assert row["mse"] < 0.1

    def test_a_network_that_is_off_is_off_by_that_much(self, folder):
        clips = open_clips(folder, H36M_17)
        found = find_in_clips(clips, H36M_17, ClipFinder(Knowing(off=3.0)), VIEWS)
        row = figures(people_in(clips), H36M_17, found)
        assert row["mse"] == pytest.approx(9, rel=0.05)
        assert row["median_px"] == pytest.approx(3 * np.sqrt(2), rel=0.05)
        assert row["pck_2d"] == 0

    def test_joints_are_taken_by_their_names(self, folder):
        layout = Skeleton("two", ("left_knee", "right_hip"), (-1, -1))
        found = find_in_clips(open_clips(folder, layout), layout, ClipFinder(Knowing()), VIEWS)
        expected = middle(0, 0, 0) + PATTERN[[H36M_17.index(joint) for joint in layout.joints]]
        np.testing.assert_allclose(found.matched[0], expected, atol=0.6)

    @pytest.mark.parametrize(
        ("together", "groups"),
        [(1, [(0,), (1,), (2,), (3,)]), (2, [(0, 1), (2, 3)]), (3, [(0, 1, 2), (1, 2, 3)]), (4, [(0, 1, 2, 3)])],
    )
    def test_every_picture_is_answered_for_in_the_company_of_as_many_others(self, folder, together, groups):
        clips, finder = open_clips(folder, H36M_17)[:1], ClipFinder(tiny())
        found = find_in_clips(clips, H36M_17, finder, together)
        (clip,), expected = clips, {}
        for group in groups:
            views = [clip.views[number] for number in group]
            moments = [(frame, [view.picture(frame) for view in views]) for frame in range(FRAMES)]
            [(keypoints, _)] = finder.follow(moments, [Appearance(0, np.stack([view.boxes for view in views]))])
            for number, some in zip(group, keypoints, strict=True):
                expected.setdefault(number, some)
        np.testing.assert_allclose(found.matched, np.concatenate([expected[n] for n in range(VIEWS)]), atol=1e-4)

    def test_other_cameras_change_what_is_found(self, folder):
        clips, finder = open_clips(folder, H36M_17), ClipFinder(tiny())
        alone, together = (find_in_clips(clips, H36M_17, finder, number).matched for number in (1, VIEWS))
        assert np.abs(alone - together).max() > 0.01

    def test_whom_a_camera_does_not_see_is_not_asked_about(self, tmp_path):
        clips = open_clips(write(tmp_path, 1, views=2, hidden=(0, 1, 2)), H36M_17)
        people = people_in(clips)
        assert len(people) == 2 * FRAMES - 1
        found = find_in_clips(clips, H36M_17, ClipFinder(Knowing()), 2)
        places = [(v, f) for v in range(2) for f in range(FRAMES) if (v, f) != (1, 2)]
        np.testing.assert_allclose(found.matched, [middle(0, v, f) + PATTERN for v, f in places], atol=0.6)
        assert figures(people, H36M_17, found)["ap50"] == 1


def test_several_files_are_their_mean_and_deviation():
    first, second, third = ({"ap": ap, "frames": 8, "ms": ms} for ap, ms in ((0.5, 2.0), (0.6, 2.5), (0.8, 6.0)))
    row = over_files([first | {"epoch_seconds": 9.0}, second, third])
    assert row["ap"] == pytest.approx(np.mean([0.5, 0.6, 0.8]))
    assert row["deviation"] == pytest.approx({"ap": np.std([0.5, 0.6, 0.8], ddof=1), "ms": np.std([2, 2.5, 6], ddof=1)})
    assert (row["frames"], row["files"][1]) == (8, second)
    assert "epoch_seconds" not in row
    assert over_files([first]) == first


def test_the_table_has_only_columns_that_some_row_has():
    rows = {
        "pictures": {"ap": 0.5, "ms": 3.0},
        "clips": over_files([{"ap": 0.6, "frames": 8}, {"ap": 0.8, "frames": 8}]),
    }
    table = keypoint_table("t", rows, ())
    assert table.columns == ("F", "AP", "ms a person")
    assert [(line.label, *line.values) for line in table.lines] == [
        ("pictures", None, 50, 3), ("clips", 8, pytest.approx(70), None),
        ("± over 2 files", None, pytest.approx(100 * np.std([0.6, 0.8], ddof=1)), None),
    ]  # fmt: skip


class TestCommand:
    def test_one_table_holds_pictures_and_clips_seeds_and_numbers_of_cameras(self, folder, weights, run):
        both = f"temporal-relational={weights['a']},{weights['b']}"
        single, hrnet = f"temporal-relational={weights['single']}", f"hrnet-w24={weights['hrnet']}"
        code, out, _ = run("eval-keypoints", folder, "--keypoints", hrnet, "--keypoints", both, "--keypoints", single,
                           "--views", 1, "--views", 4, "--every", 2, "--device", "cpu", "--json", "f.json")  # fmt: skip
        assert code == 0
        assert f"{2 * VIEWS * FRAMES} people, boxes given; 17 joints" in out
        assert "± over 2 files" in out
        content = json.loads(Path("f.json").read_text())
        rows = content["networks"]
        assert list(rows) == [hrnet, f"{both} V=1", f"{both} V=4", single]
        assert "views" not in rows[hrnet]
        assert rows[hrnet]["epoch_seconds"] == 2.5
        assert [(rows[key]["frames"], rows[key]["views"]) for key in list(rows)[1:]] == [(4, 1), (4, 4), (1, 1)]
        four = rows[f"{both} V=4"]
        assert (four["epoch_seconds"], four["deviation"]["epoch_seconds"]) == (
            11.5,
            pytest.approx(np.std([10, 13], ddof=1)),
        )
        clips = open_clips(folder, H36M_17)[::2]
        for file, row in zip("ab", four["files"], strict=True):
            found = find_in_clips(clips, H36M_17, ClipFinder(tiny(seed="ab".index(file))), VIEWS)
            assert row["mse"] == pytest.approx(
                np.nanmean((found.matched - [p.keypoints for p in people_in(clips)]) ** 2)
            )

    def test_networks_that_look_at_one_camera_have_one_row(self, folder, weights, run):
        code, _, _ = run("eval-keypoints", folder, "--keypoints", f"vit-s={weights['vit']}", "--views", 1, "--views", 2,
                         "--device", "cpu", "--json", "f.json")  # fmt: skip
        assert code == 0
        (row,) = json.loads(Path("f.json").read_text())["networks"].values()
        assert (row["frames"], row["views"]) == (1, 1)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--keypoints", "temporal-relational=a", "--detector", "rtmdet"],
             "--detector rtmdet: temporal-relational, which sees people over time, is told their boxes; leave it out"),
            (["--keypoints", "temporal-relational"],
             "--keypoints temporal-relational: no address of its weights is known; give temporal-relational=FILE"),
            (["--keypoints", "temporal-relational=long"],
             "clip-00000: 4 frames, fewer than the 5 that temporal-relational looks at together"),
            (["--keypoints", "temporal-relational=a,single"], "is of another configuration than"),
            (["--keypoints", "temporal-relational=a", "--images", "."], "--images .: clips have pictures of their own"),
            (["--keypoints", "hrnet-w24=hrnet", "--views", "2"], "--views: none of the networks sees clips"),
            (["--keypoints", "vit-s=a"], "weights of temporal-relational, not of vit-s"),
            (["--keypoints", "temporal-relational=a", "--keypoints", "temporal-relational=a"], "given twice"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_one_line(self, folder, weights, run, words, message):
        for name, path in weights.items():
            words = [word.replace(f"={name}", f"={path}").replace(f",{name}", f",{path}") for word in words]
        code, _, errors = run("eval-keypoints", folder, *words, "--device", "cpu")
        assert code in (1, 2)
        assert message in errors.replace("\n", "")
        assert len(errors.strip().splitlines()) == 1

    def test_pictures_that_are_no_clips_are_refused_by_a_network_that_needs_them(self, weights, tmp_path, run):
        path = write_pictures(tmp_path, COCO_17, 2)
        code, _, errors = run("eval-keypoints", path, "--keypoints", f"temporal-relational={weights['a']}")
        assert code == 2
        assert f"{path}: no folder of clips, which temporal-relational looks at; `vidpose synth` makes" in errors

    def test_runs_without_libraries_for_video_and_without_pycocotools(self, folder, weights):
        program = """
import sys
sys.modules.update(dict.fromkeys(["cv2", "av", "mediapipe", "pycocotools"]))
from vidpose.cli import main
main()
"""
        words = ["eval-keypoints", folder, "--keypoints", f"temporal-relational={weights['a']}", "--device", "cpu"]
        ran = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
        assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
        assert "no AP and AR, which need pycocotools: pip install pycocotools" in ran.stdout
        assert "PCK@0.05" in ran.stdout
        assert "AP50" not in ran.stdout
