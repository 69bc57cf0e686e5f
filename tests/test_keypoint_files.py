"""Other programs' keypoints: each format's own example, written here by its description."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_keypoints import FRAMES, check, flat, instances, openpose, people, write

from vidpose.body.skeletons import BODY_25, COCO_17, H36M_17, HALPE_26
from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoint_files import read_keypoints
from vidpose.keypoint_files.joint_names import joint_of, named_layout
from vidpose.pipeline.keypoint_intake import take_in

# OpenPose


@pytest.mark.parametrize(
    ("count", "layout"),
    [(25, "body25"), (18, "openpose18"), (15, "openpose-mpi15"), (17, "coco17"), (26, "halpe26"), (133, "coco-feet23"),
     (136, "halpe26")],
)  # fmt: skip
def test_openpose_of_all_layouts(tmp_path: Path, count: int, layout: str):
    values = people(count)
    found = take_in(openpose(tmp_path / "op", values), size=(1920, 1080), fps=25)
    check(found, values, layout)
    assert found.source.fps == 25
    np.testing.assert_allclose(found.source.times, np.arange(FRAMES) / 25)
    assert (found.source.width, found.source.height) == (1920, 1080)


def test_openpose_ids_missing_points_empty_frames_and_a_late_beginning(tmp_path: Path):
    values = people(25)
    values[3] = 0
    values[:, 0, 4] = 0
    folder = openpose(tmp_path / "op", values, ids=True, first=7)
    write(folder / "my_walk_2_000000000010_keypoints.json", {"version": 1.3, "people": []})
    found = take_in(folder, size=(1920, 1080), fps=30)
    assert found.provenance["ids"] == "of the file"
    assert [track.id for track in found.tracks] == [1, 2]
    assert found.source.num_frames == FRAMES
    assert found.tracks[0].seen.tolist() == [frame != 3 for frame in range(FRAMES)]
    assert np.isnan(found.tracks[0].keypoints[:, 4]).all()
    assert (found.tracks[0].scores[:, 4] == 0).all()
    assert np.isfinite(found.tracks[1].keypoints[0]).all()


def test_openpose_in_shares_of_the_picture(tmp_path: Path):
    values = people(25)
    shares = values / [1000, 500, 1]
    check(take_in(openpose(tmp_path / "op", shares), size=(1000, 500), fps=30), values, "body25")


def test_openpose_from_the_middle_of_the_picture(tmp_path: Path):
    values = people(25)
    scaled = np.where(values[..., 2:] > 0, 2 * values / [1000, 500, 1] - 1, 0)
    scaled[..., 2] = values[..., 2]
    check(take_in(openpose(tmp_path / "op", scaled), size=(1000, 500), fps=30), values, "body25")


@pytest.mark.parametrize("body", [{"pose_keypoints_2d": []}, {"pose_keypoints_2d": None}, {}])
def test_openpose_of_people_whose_hands_alone_were_found(tmp_path: Path, body: dict[str, Any]):
    values = people(25)
    folder = openpose(tmp_path / "op", values)
    for path in folder.iterdir():
        content = json.loads(path.read_text())
        content["people"].insert(0, {"person_id": [-1], "hand_left_keypoints_2d": [1, 2, 0.5] * 21} | body)
        write(path, content)
    write(folder / "settings.json", {"net_resolution": "-1x368"})
    check(take_in(folder, size=(1920, 1080), fps=30), values, "body25")


def test_body_25_means_what_it_says():
    """OpenPose's documentation: 8 is the middle of the hips, 9 the right one, 19 the left big toe."""
    assert [BODY_25.joints[i] for i in (0, 1, 4, 8, 9, 14, 15, 18, 19, 24)] == [
        "nose", "neck", "right_wrist", "pelvis", "right_hip", "left_ankle", "right_eye", "left_ear", "left_big_toe",
        "right_heel",
    ]  # fmt: skip
    assert [HALPE_26.joints[i] for i in (5, 16, 17, 18, 19, 20, 25)] == [
        "left_shoulder", "right_ankle", "head_top", "neck", "pelvis", "left_big_toe", "right_heel",
    ]  # fmt: skip


# Lists of people: AlphaPose and COCO


@pytest.mark.parametrize(("count", "layout"), [(17, "coco17"), (26, "halpe26"), (136, "halpe26")])
@pytest.mark.parametrize("tracked", [True, False])
def test_alphapose(tmp_path: Path, count: int, layout: str, tracked: bool):
    values = people(count)
    listed = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": flat(one), "score": 2.9,
         "box": [1, 2, 300, 400], "idx": [person + 1.0] if tracked else [0.0]}
        for frame, row in enumerate(values) for person, one in enumerate(row)
    ]  # fmt: skip
    found = take_in(write(tmp_path / "alphapose-results.json", listed), size=(1920, 1080))
    check(found, values, layout)
    assert found.provenance["ids"] == ("of the file" if tracked else "tracked")
    assert found.tracks[0].boxes[0].tolist() == [1, 2, 301, 402]


def test_alphapose_where_the_first_frame_of_a_video_shows_nobody(tmp_path: Path, cfr_clip: Path):
    values = people(17)
    listed = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": flat(values[frame, 0] / [20, 20, 1]), "score": 2.9}
        for frame in (1, 2, 3)
    ]
    [track] = take_in(write(tmp_path / "a.json", listed), video=cfr_clip).tracks
    assert track.frames[track.seen].tolist() == [1, 2, 3]


def test_pictures_that_count_from_one_and_frames_without_anybody(tmp_path: Path):
    values = people(17)
    listed = [
        {"image_id": f"out/frame_{frame + 1:06d}.jpg", "category_id": 1, "keypoints": flat(values[frame, 0])}
        for frame in range(FRAMES) if frame != 5
    ]  # fmt: skip
    found = take_in(write(tmp_path / "a.json", listed), size=(1920, 1080), fps=25)
    [track] = found.tracks
    assert track.frames.tolist() == list(range(FRAMES))
    assert np.flatnonzero(~track.seen).tolist() == [5]


@pytest.mark.parametrize("name", ["walk_{}_1080p.jpg", "cam2/{:05d}.png", "2026-11-28/{}-of-12.jpg", "{}"])
def test_the_number_that_differs_counts_frames(tmp_path: Path, name: str):
    values = people(17)
    listed = [
        {"image_id": name.format(frame), "keypoints": flat(one)}
        for frame, row in enumerate(values) for one in row
    ]  # fmt: skip
    check(take_in(write(tmp_path / "a.json", listed), size=(1920, 1080), fps=30), values, "coco17")


@pytest.mark.parametrize("nothing", [None, []])
def test_boxes_without_keypoints_and_a_list_for_each_keypoint(tmp_path: Path, nothing: list | None):
    values = people(17)
    listed = [
        {"image_id": frame, "bbox": [1, 2, 3, 4], "keypoints": keypoints}
        for frame, row in enumerate(values) for keypoints in (nothing, *(one.tolist() for one in row))
    ]  # fmt: skip
    check(take_in(write(tmp_path / "a.json", listed), size=(1920, 1080), fps=30), values, "coco17")


@pytest.mark.parametrize("parts", [False, True])
def test_coco_wholebody_results(tmp_path: Path, parts: bool):
    values = people(133)
    listed = []
    for frame, row in enumerate(values):
        for one in row:
            entry = {"image_id": frame, "category_id": 1, "score": 0.8, "keypoints": flat(one[:17] if parts else one)}
            if parts:
                entry |= {"foot_kpts": flat(one[17:23]), "face_kpts": flat(one[23:91])}
            listed.append(entry)
    check(take_in(write(tmp_path / "results.json", listed), size=(1920, 1080)), values, "coco-feet23")


def test_coco_annotations_have_visibility_for_a_score(tmp_path: Path):
    values = people(17)[:, :1]
    values[..., 2] = np.random.default_rng(0).integers(0, 3, values.shape[:-1])
    values[0, 0, :, 2] = 2
    content = {
        "images": [{"id": frame, "width": 640, "height": 360, "file_name": f"{frame}.jpg"} for frame in range(FRAMES)],
        "annotations": [
            {"id": frame, "image_id": frame, "category_id": 1, "keypoints": flat(row[0]), "bbox": [0, 0, 9, 9]}
            for frame, row in enumerate(values)
        ],
        "categories": [],
    }
    found = take_in(write(tmp_path / "a.json", content))
    assert (found.source.width, found.source.height) == (640, 360)
    np.testing.assert_allclose(found.tracks[0].scores, values[:, 0, :, 2] / 2)


def test_ids_of_pictures_that_count_nothing_are_taken_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    values = people(17, 3)
    listed = [
        {"image_id": image, "category_id": 1, "score": 0.8, "keypoints": flat(values[place, 0])}
        for place, image in enumerate((785, 139, 581929))
    ]
    found = take_in(write(tmp_path / "results.json", listed), size=(1920, 1080))
    assert found.source.num_frames == 3
    assert "name pictures rather than count frames" in caplog.text


# MMPose and rtmlib


@pytest.mark.parametrize(("count", "layout"), [(17, "coco17"), (26, "halpe26"), (133, "coco-feet23"), (16, "mpii16")])
def test_mmpose_inferencer_and_demo(tmp_path: Path, count: int, layout: str):
    values = people(count)
    inferencer = [{"frame_id": frame, "instances": instances(row)} for frame, row in enumerate(values)]
    check(take_in(write(tmp_path / "a.json", inferencer), size=(1920, 1080)), values, layout)
    demo = {"meta_info": {}, "instance_info": [one | {"frame_id": one["frame_id"] + 1} for one in inferencer]}
    found = take_in(write(tmp_path / "b.json", demo), size=(1920, 1080))
    check(found, values, layout)
    assert found.tracks[0].boxes[0].tolist() == [1, 2, 300, 400]


def test_mmpose_of_one_picture_and_of_named_keypoints(tmp_path: Path):
    values = people(17)
    found = take_in(write(tmp_path / "a.json", instances(values[0])), size=(1920, 1080))
    assert [len(track) for track in found.tracks] == [1, 1]

    order = np.random.default_rng(0).permutation(17)
    extra = np.concatenate([values[:, :, order], values[:, :, :1] * 0 + 5], axis=2)
    names = {str(place): COCO_17.joints[joint] for place, joint in enumerate(order)} | {"17": "left_ring_finger"}
    demo = {
        "meta_info": {"keypoint_id2name": names},
        "instance_info": [{"frame_id": frame + 1, "instances": instances(row)} for frame, row in enumerate(extra)],
    }
    check(take_in(write(tmp_path / "b.json", demo), size=(1920, 1080)), values, "coco17")


def test_mmpose_of_human36m(tmp_path: Path):
    """Its names are as mmpose's configs/_base_/datasets/h36m.py has them."""
    values = people(17)
    names = [
        "root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot", "spine", "thorax",
        "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow",
        "right_wrist",
    ]  # fmt: skip
    demo = {
        "meta_info": {"keypoint_id2name": {str(place): name for place, name in enumerate(names)}},
        "instance_info": [{"frame_id": frame + 1, "instances": instances(row)} for frame, row in enumerate(values)],
    }
    check(take_in(write(tmp_path / "a.json", demo), size=(1920, 1080)), values, "h36m17")


def test_what_rtmlib_gives(tmp_path: Path):
    values = people(26)
    listed = [
        {"frame": frame, "keypoints": row[..., :2].tolist(), "scores": row[..., 2].tolist()}
        for frame, row in enumerate(values)
    ]
    check(take_in(write(tmp_path / "a.json", listed), size=(1920, 1080)), values, "halpe26")


@pytest.mark.parametrize(("step", "missed"), [(3, 5), (10, 5), (30, None)])
def test_people_of_every_so_manieth_frame_are_followed(tmp_path: Path, step: int, missed: int | None):
    values = people(17, 12)
    listed = [
        {"image_id": step * frame, "category_id": 1, "keypoints": flat(one), "score": 0.9}
        for frame, row in enumerate(values) for person, one in enumerate(row) if (frame, person) != (missed, 1)
    ]  # fmt: skip
    found = take_in(write(tmp_path / "a.json", listed), size=(1920, 1080), fps=30)
    assert [track.frames[track.seen].tolist() for track in found.tracks] == [
        [step * frame for frame in range(12)],
        [step * frame for frame in range(12) if frame != missed],
    ]


# With a video, and without


def test_a_video_says_size_and_times(tmp_path: Path, cfr_clip: Path, caplog: pytest.LogCaptureFixture):
    folder = openpose(tmp_path / "op", people(25, 14) / [10, 10, 1] + [0, 0, 0])
    found = take_in(folder, video=cfr_clip)
    assert (found.source.path, found.source.width, found.source.height) == (str(cfr_clip), 96, 64)
    assert found.source.num_frames == 12
    np.testing.assert_allclose(found.source.times, np.arange(12) / 30)
    assert "keypoints up to frame 13, but the video ends with frame 11" in caplog.text


def test_keypoints_of_a_smaller_copy_of_the_video_are_scaled(tmp_path: Path, cfr_clip: Path):
    values = people(25)
    found = take_in(openpose(tmp_path / "op", values), video=cfr_clip, size=(960, 640))
    np.testing.assert_allclose(
        found.tracks[0].keypoints[0], values[0, int(found.tracks[0].keypoints[0, 0, 0] > 35), :, :2] / 10, atol=1e-3
    )


def test_slow_motion_is_sped_up(tmp_path: Path):
    found = take_in(openpose(tmp_path / "op", people(25)), size=(1920, 1080), fps=30, slow_motion=8)
    np.testing.assert_allclose(found.source.times, np.arange(FRAMES) / 240)
    assert found.source.fps == 240


@pytest.mark.parametrize("kind", ["alphapose", "coco"])
def test_results_come_from_files_of_one_kind(tmp_path: Path, kind: str):
    values = people(17)
    listed = [
        {"image_id": frame, "category_id": 1, "keypoints": flat(one), "score": 0.9}
        for frame, row in enumerate(values) for one in row
    ]  # fmt: skip
    path = write(tmp_path / "a.json", listed)
    check(getattr(PoseResult, f"from_{kind}")(path, size=(1920, 1080)), values, "coco17")
    check(PoseResult.from_keypoints(str(path), size=(1920, 1080)), values, "coco17")
    with pytest.raises(VidposeError, match=r"a\.json: a file of another kind, coco"):
        PoseResult.from_mmpose(path, size=(1920, 1080))
    check(PoseResult.from_openpose(openpose(tmp_path / "op", people(25)), size=(1920, 1080)), people(25), "body25")


def test_without_a_size_the_user_is_asked_for_it(tmp_path: Path):
    with pytest.raises(UsageError, match=r"op: does not say how large the picture is"):
        take_in(openpose(tmp_path / "op", people(25)))


# What is wrong


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.json",
            [{"image_id": "x.jpg", "keypoints": [1, 2, 3] * 17}],
            r"person 1: image_id is 'x.jpg', without a number",
        ),
        ("a.json", [{"image_id": 0, "keypoints": [1, 2, 3] * 5}], r"person 1: 5 keypoints a person, where 17, 26"),
        ("a.json", [{"image_id": 0, "keypoints": "many"}], r"person 1: keypoints is 'many'"),
        ("a.json", [{"image_id": 0, "keypoints": [1, 2, None] * 17}], r"nobody has a keypoint in it"),
        ("a.json", [{"image_id": 10**12, "keypoints": [1, 2, 1] * 17}] * 2, r"frame 1000000000000, where a number"),
        ("a.json", [{"image_id": 0, "keypoints": [1e300, 2, 1] * 17}], r"a keypoint at 1e\+300, which is nowhere"),
        ("a.json", {"people": []}, r"one frame of OpenPose's; give the folder"),
        ("a.json", {"nothing": 1}, r"no keypoints of a known format; read are a folder of OpenPose"),
        ("a.json", [{"frame_id": 0, "instances": [{"keypoints": [[1, 2]]}]}], r"frame 1 of the list"),
        ("a.json", {"meta_info": {}, "instance_info": []}, r"predictions of MMPose or rtmlib \(nobody is in it\)"),
        ("a.txt", 1, r"no keypoints of a known format"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str, content: Any, message: str):
    with pytest.raises(VidposeError, match=message) as error:
        take_in(write(tmp_path / name, content), size=(640, 480))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.trc", "a.c3d", "a.h5", "a.csv", "a.npy", "a.json"])
@pytest.mark.parametrize(
    "damage",
    [b"", b"\x00\x50" * 40, b"scorer,\n", b"PathFileType\n1\n2\n3\n4\n5\n6\n", b"id,frame,time,root_x,\n1,2,3,"],
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, name: str, damage: bytes):
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(VidposeError, match=name) as error:
        read_keypoints(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_of_something_else(tmp_path: Path):
    with pytest.raises(VidposeError, match="no such file"):
        read_keypoints(tmp_path / "none.json")
    with pytest.raises(VidposeError, match="no keypoints of a known format"):
        read_keypoints(tmp_path)


# Names


@pytest.mark.parametrize(
    ("name", "joint"),
    [("LKnee", "left_knee"), ("knee_r", "right_knee"), ("Left Hip", "left_hip"), ("R_Ankle", "right_ankle"),
     ("MidHip", "pelvis"), ("Hip", "pelvis"), ("Head", "head_top"), ("leftElbow", "left_elbow"), ("nose", "nose"),
     ("LBigToe", "left_big_toe"), ("right_foot_index", "right_foot_index")],
)  # fmt: skip
def test_names_of_joints(name: str, joint: str):
    assert joint_of(name) == joint


def test_names_choose_the_layout_that_holds_them():
    assert named_layout(H36M_17.joints) == (H36M_17, list(range(17)))
    assert named_layout(BODY_25.joints)[0] == BODY_25
    layout, order = named_layout([*COCO_17.joints[::-1], "tail"])
    assert layout == COCO_17
    assert order == list(range(16, -1, -1))


def test_rates_are_ratios(tmp_path: Path):
    found = take_in(openpose(tmp_path / "op", people(25)), size=(1920, 1080), fps=29.97)
    assert found.source.fps == Fraction(2997, 100)
