"""What people do with a result, by its own methods: they hand over to the rooms that do it."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from exports import result_of, track_of, world_joints

import vidpose
from vidpose.body.tracks import PoseResult, Source
from vidpose.export import FORMATS
from vidpose.video import VideoReader


@pytest.fixture
def walk() -> PoseResult:
    return result_of(track_of(world_joints(20)), track_of(world_joints(12, seed=1), number=3))


@pytest.mark.parametrize("beginning", ["out", "out.bvh", "straße.v2"])
def test_export_says_which_files_it_wrote(walk: PoseResult, tmp_path: Path, beginning: str):
    written = walk.export("bvh", tmp_path / beginning)
    stem = beginning.removesuffix(".bvh")
    assert [path.name for path in written] == [f"{stem}_person1.bvh", f"{stem}_person3.bvh"]
    FORMATS["bvh"].write(walk, tmp_path / "by hand")
    assert written[0].read_bytes() == (tmp_path / "by hand_person1.bvh").read_bytes()


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"html"}))
def test_a_formats_own_suffix_is_not_doubled(walk: PoseResult, tmp_path: Path, name: str):
    suffix = FORMATS[name].suffix
    assert walk.export(name, str(tmp_path / f"x{suffix}")) == walk.export(name, tmp_path / "x")


def test_export_of_no_format(walk: PoseResult, tmp_path: Path):
    with pytest.raises(vidpose.UsageError, match=r"'bhv': no such format; did you mean bvh\?"):
        walk.export("bhv", tmp_path / "x")


def test_a_dataframe_is_the_csv(walk: PoseResult, tmp_path: Path):
    pytest.importorskip("pandas")
    walk.tracks[1].joints[4] = np.nan
    frame = walk.to_dataframe()
    (path,) = walk.export("csv", tmp_path / "walk")
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert list(frame.columns) == header
    written = np.array([[float(cell or "nan") for cell in row] for row in rows])
    np.testing.assert_allclose(frame.to_numpy(float), written, atol=6e-5)
    assert np.isnan(frame["left_knee_x"]).sum() == 1
    assert frame["id"].tolist() == [1] * 20 + [3] * 12
    assert walk.with_tracks(()).to_dataframe().columns.tolist() == header


def test_a_dataframe_without_pandas(walk: PoseResult, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(vidpose.VidposeError, match=r"pip install 'vidpose\[pandas\]'"):
        walk.to_dataframe()


def test_an_overlay_and_a_page(walk: PoseResult, cfr_clip: Path, tmp_path: Path):
    with VideoReader(cfr_clip) as video:
        times = [frame.time for frame in video]
    person = track_of(world_joints(12))
    result = PoseResult(Source(str(cfr_clip), 96, 64, np.array(times), None), (person,), *_layouts(walk))
    overlay = result.render(str(cfr_clip), tmp_path / "overlay.mp4")
    with VideoReader(overlay) as video:
        assert sum(1 for _ in video) == 12
    page = result.view(str(tmp_path / "page.html"))
    assert "<script" in page.read_text(encoding="utf-8")


def _layouts(result: PoseResult) -> tuple[str, str]:
    return result.keypoint_layout, result.joint_layout
