"""What is odd in keypoint files: numbers, ids, boxes and names that mean something all the same, or nothing."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_keypoints import FRAMES, check, flat, instances, openpose, people, write

from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, VidposeError
from vidpose.pipeline.keypoint_intake import take_in


def renamed(folder: Path, to: str, where: Path) -> None:
    where.mkdir(exist_ok=True)
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(where / to.format(number, letter=chr(ord("a") + number)))


@pytest.mark.parametrize("names", [("one_{:06d}_keypoints.json", "two_{:06d}_keypoints.json"),
                                   ("cam1_{}.json", "cam2_{}.json")])  # fmt: skip
def test_openpose_s_files_of_two_videos_are_refused(tmp_path: Path, names: tuple[str, str]):
    for number, name in enumerate(names):
        renamed(openpose(tmp_path / f"op{number}", people(25)), name, tmp_path / "both")
    first, second = (name.format(0) for name in names)
    with pytest.raises(
        VidposeError, match=f"both: {first} and {second} are both of frame 0; give a folder with the files"
    ):
        take_in(tmp_path / "both", size=(1920, 1080))


@pytest.mark.parametrize(
    "name",
    ["{letter}_keypoints.json", "{letter}_walk2_keypoints.json", "{:03d}_cam2_keypoints.json", "walk2_{}_720p.json",
     "walk_2_{}.json"],
)  # fmt: skip
def test_openpose_s_files_are_in_order_whatever_else_their_names_say(tmp_path: Path, name: str):
    values = people(25)
    renamed(openpose(tmp_path / "op", values), name, tmp_path / "renamed")
    check(take_in(tmp_path / "renamed", size=(1920, 1080), fps=25), values, "body25")


@pytest.mark.parametrize("box", [[100, 100, 50, 50], [0.1, 0.1, 0.2, 0.2]])
def test_coco_in_shares_of_the_picture(tmp_path: Path, box: list[float]):
    values = people(17) + np.array([300, 0, 0])
    listed = [
        {"image_id": frame, "keypoints": flat(one / [640, 320, 1]), "bbox": box}
        for frame, row in enumerate(values) for one in row
    ]  # fmt: skip
    found = take_in(write(tmp_path / "a.json", listed), size=(640, 320), fps=25)
    np.testing.assert_allclose(found.tracks[0].keypoints[0], values[0, int(found.tracks[0].keypoints[0, 0, 0] > 650), :,
                               :2], atol=1e-2)  # fmt: skip
    low = np.nanmin(found.tracks[0].keypoints, axis=1)
    assert (found.tracks[0].boxes[:, :2] <= low).all()
    assert (found.tracks[0].boxes[:, 2:] > 100).all()


@pytest.mark.parametrize(
    ("ids", "told"),
    [((4, 7), True), ((4.0, 7.0), True), (([4], [7]), True), (("ann", "bob"), False), ((1.5, 2.5), False),
     ((True, False), False), ((None, None), False), (([], []), False)],
)  # fmt: skip
def test_whole_numbers_say_who_is_who_in_every_format(tmp_path: Path, ids: tuple, told: bool):
    values = people(17)
    mmpose = [
        {
            "frame_id": frame,
            "instances": [one | {"track_id": id_} for one, id_ in zip(instances(row), ids, strict=True)],
        }
        for frame, row in enumerate(values)
    ]
    coco = [
        {"image_id": frame, "keypoints": flat(one), "track_id": id_}
        for frame, row in enumerate(values) for one, id_ in zip(row, ids, strict=True)
    ]  # fmt: skip
    for name, content in (("mmpose.json", mmpose), ("coco.json", coco)):
        found = take_in(write(tmp_path / name, content), size=(1920, 1080))
        check(found, values, "coco17")
        assert found.provenance["ids"] == ("of the file" if told else "tracked")
        assert not told or [track.id for track in found.tracks] == [4, 7]


@pytest.mark.parametrize(
    ("ids", "kept"),
    [((10**9 - 1, 10**9), (10**9 - 1, 10**9)), ((0, 5), (1, 6)), ((0, 10**9), (1, 2)), ((10**9 + 1, 10**25), (1, 2))],
)
def test_ids_that_no_result_can_have_are_counted_from_one(tmp_path: Path, ids: tuple, kept: tuple):
    values = people(17)
    listed = [
        {"image_id": frame, "keypoints": flat(one), "track_id": id_}
        for frame, row in enumerate(values) for one, id_ in zip(row, ids, strict=True)
    ]  # fmt: skip
    found = take_in(write(tmp_path / "a.json", listed), size=(1920, 1080))
    assert tuple(track.id for track in found.tracks) == kept
    found.save(tmp_path / "a.npz")
    assert tuple(track.id for track in PoseResult.load(tmp_path / "a.npz").tracks) == kept


def test_mmpose_of_frames_without_anybody(tmp_path: Path):
    values = people(17)
    listed = [{"frame_id": frame, "instances": instances(row)} for frame, row in enumerate(values)]
    listed += [{"frame_id": FRAMES, "instances": None}, {"frame_id": FRAMES + 1, "instances": []}]
    found = take_in(write(tmp_path / "a.json", listed), size=(1920, 1080))
    check(found, values, "coco17")
    assert found.source.num_frames == FRAMES + 2


@pytest.mark.parametrize(
    "box", [[None] * 4, [], None, "0,0,9,9", [1, 2, 3], [90, 90, 0, 0], [["a"] * 4], [9e300, 0, 9e300, 9], [[]]]
)
def test_an_unusable_box_becomes_the_keypoints_own(tmp_path: Path, box: Any):
    values = people(17)
    mmpose = [
        {"frame_id": frame, "instances": [one | {"bbox": box} for one in instances(row)]}
        for frame, row in enumerate(values)
    ]
    coco = [{"image_id": frame, "keypoints": flat(one), "bbox": box} for frame, row in enumerate(values) for one in row]
    for name, content in (("mmpose.json", mmpose), ("coco.json", coco)):
        found = take_in(write(tmp_path / name, content), size=(1920, 1080))
        check(found, values, "coco17")
        for track in found.tracks:
            assert (track.boxes[:, :2] < track.keypoints.min(axis=1)).all()
            assert (track.boxes[:, 2:] > track.keypoints.max(axis=1)).all()


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
def test_a_keypoint_that_is_no_number_is_absent(tmp_path: Path, nothing: float | None):
    values = people(17)
    coco = [
        {"image_id": frame, "keypoints": [nothing, nothing, *flat(one)[2:50], nothing], "score": nothing,
         "bbox": [nothing] * 4, "track_id": nothing}
        for frame, row in enumerate(values) for one in row
    ]  # fmt: skip
    folder = openpose(tmp_path / "op", people(25))
    for path in folder.iterdir():
        content = json.loads(path.read_text())
        for person in content["people"]:
            person["pose_keypoints_2d"] = [nothing, nothing, *person["pose_keypoints_2d"][2:74], nothing]
        write(path, content)
    for path in (write(tmp_path / "a.json", coco), folder):
        found = take_in(path, size=(1920, 1080))
        assert [len(track) for track in found.tracks] == [FRAMES] * 2
        for track in found.tracks:
            assert (track.scores[:, [0, -1]] == 0).all()
            assert np.isnan(track.keypoints[:, [0, -1]]).all()
            assert np.isfinite(track.keypoints[:, 1:-1]).all()


def test_another_picture_s_pixels_are_refused_and_who_is_partly_outside_is_not(tmp_path: Path):
    values = people(25)
    folder = openpose(tmp_path / "op", values + np.array([5000, 0, 0]))
    problem = (
        r"op: its keypoints are at about 5\d+, 2\d\d, far outside a picture of 848 x 480 pixels; give the `size` of"
    )
    with pytest.raises(VidposeError, match=problem):
        take_in(folder, size=(848, 480))
    assert len(take_in(folder, size=(6000, 480)).tracks) == 2
    partly = openpose(tmp_path / "partly", values - np.array([250, 0, 0]))
    assert len(take_in(partly, size=(848, 480)).tracks) == 2


def test_a_size_may_be_written_as_the_command_has_it(tmp_path: Path):
    values = people(25)
    folder = openpose(tmp_path / "op", values)
    for size in ("1920x1080", (1920, 1080)):
        found = PoseResult.from_openpose(folder, size=size, fps=Fraction(30000, 1001))
        assert (found.source.width, found.source.height) == (1920, 1080)
        assert found.source.fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("how", "message"),
    [({"size": "large"}, "`size=large`: a width and a height in pixels are wanted, as in 1920x1080"),
     ({"size": (0, 9)}, "`size=0x9`: a width"), ({"fps": 0}, "`fps=0.0`: a number above 0 is wanted"),
     ({"fps": -5}, "`fps=-5.0`: a number above 0"), ({"fps": float("nan")}, "`fps=nan`: a number above 0"),
     ({"slow_motion": 0}, "`slow_motion=0.0`: a number above 0")],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused_in_python_as_in_the_command(tmp_path: Path, how: Any, message: str):
    with pytest.raises(UsageError, match=message):
        PoseResult.from_openpose(openpose(tmp_path / "op", people(25)), **{"size": "1920x1080"} | how)
