import dataclasses
from fractions import Fraction
from pathlib import Path

import clips
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vidpose.body.colours import CENTRE, LEFT, RIGHT, Colour, bones_of, id_colour, id_colours
from vidpose.body.skeletons import BLAZEPOSE_33, COCO_17, COCO_TO_H36M, H36M_17, SKELETONS
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.common.errors import VidposeError
from vidpose.render import OverlayRenderer, render_overlay
from vidpose.render import panel as panel_module
from vidpose.video import VideoReader

WIDTH, HEIGHT = 320, 240

STANDING = dict(
    zip(
        COCO_17.joints,
        [(0, -0.62), (0.04, -0.66), (-0.04, -0.66), (0.08, -0.64), (-0.08, -0.64), (0.2, -0.45), (-0.2, -0.45),
         (0.3, -0.2), (-0.3, -0.2), (0.35, 0.05), (-0.35, 0.05), (0.12, 0.05), (-0.12, 0.05), (0.14, 0.45),
         (-0.14, 0.45), (0.15, 0.85), (-0.15, 0.85)],
        strict=True,
    )
)  # fmt: skip
"""Metres, x right and y down in the picture, of a person who faces the camera: their left is on the right."""


def standing_track(
    track_id: int = 1, first: int = 0, rows: int = 12, centre: tuple[float, float] = (160, 120)
) -> Track:
    frames = np.arange(first, first + rows)
    plane = np.array(list(STANDING.values()), np.float32)
    keypoints = np.repeat((plane * 110 + centre)[None], rows, axis=0).astype(np.float32)
    scores = np.ones((rows, len(COCO_17)), np.float32)
    flat = np.concatenate([plane, np.zeros((len(COCO_17), 1), np.float32)], axis=1)
    joints, joint_scores = COCO_TO_H36M(np.repeat(flat[None], rows, axis=0), scores)
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    joints -= joints[:, :1]
    track = Track.of_keypoints(track_id, frames, frames / 30, boxes, keypoints, scores)
    return dataclasses.replace(track, joints=joints, joint_scores=joint_scores)


def result_of(
    *tracks: Track, size: tuple[int, int] = (WIDTH, HEIGHT), frames: int = 12, times: np.ndarray | None = None
) -> PoseResult:
    source = Source("clip.mp4", *size, np.arange(frames) / 30 if times is None else times, Fraction(30))
    return PoseResult(source, tracks, COCO_17.name, H36M_17.name)


def grey(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def draw(result: PoseResult, frame_index: int = 0, **options) -> tuple[np.ndarray, np.ndarray]:
    """The picture's part and the panel's part of a drawn frame."""
    size = result.source.width, result.source.height
    drawn = OverlayRenderer(result, **options).draw(grey(*size), frame_index)
    assert drawn.dtype == np.uint8
    return drawn[:, : size[0]], drawn[:, size[0] :]


def count(image: np.ndarray, colour: Colour, tolerance: int = 40) -> int:
    """How many pixels have about this colour."""
    return int((np.abs(image.astype(int) - colour).max(axis=2) < tolerance).sum())


def shade_count(image: np.ndarray, colour: Colour) -> int:
    """How many pixels have this hue, of any brightness but the darkest."""
    direction = np.array(colour) / np.linalg.norm(colour)
    length = np.linalg.norm(image.astype(float), axis=2)
    return int(((length > 90) & (image @ direction > 0.985 * length)).sum())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, vfr_times: np.ndarray) -> Path:
    pictures = [clips.grey_picture(i, WIDTH, HEIGHT) for i in range(12)]
    return clips.write_clip(tmp_path_factory.mktemp("render") / "Übung.mp4", pictures, vfr_times)


# One frame


def test_sides_have_their_colours_in_the_picture():
    picture, _ = draw(result_of(standing_track()))
    half = WIDTH // 2
    # The person faces the camera, so that their left is in the right half.
    assert count(picture[:, half + 8 :], LEFT) > 60
    assert count(picture[:, : half - 8], RIGHT) > 60
    assert count(picture[:, half + 8 :], RIGHT) == count(picture[:, : half - 8], LEFT) == 0
    assert count(picture[70:75, half - 5 : half + 5], CENTRE) > 0


def test_people_who_are_there_together_have_labels_of_different_colours():
    stays = standing_track(1, rows=12, centre=(70, 120))
    passing = [standing_track(2 + i, first=2 * i, rows=2, centre=(250, 120)) for i in range(6)]
    result = result_of(stays, *passing)
    # By its number alone, 7 would look like 1.
    assert id_colour(7) == id_colour(1)
    picture, _ = draw(result, 11)
    assert count(picture[:60, :160], id_colour(1), 12) > 20
    assert count(picture[:60, 160:], id_colour(1), 12) == 0
    assert count(picture[:60, 160:], id_colours(result.tracks)[7], 12) > 20


def test_labels_colours_are_by_number_until_two_would_be_alike():
    eight = [standing_track(number) for number in range(1, 9)]
    colours = id_colours(eight)
    assert [colours[number] for number in range(1, 7)] == [id_colour(number) for number in range(1, 7)]
    assert len(set(colours.values())) == 6
    after = [standing_track(number, first=4 * (number > 6), rows=4) for number in (8, 1, 7)]
    assert id_colours(after) == {number: id_colour(number) for number in (1, 7, 8)}


def test_sides_have_their_colours_in_the_panel():
    _, panel = draw(result_of(standing_track()))
    body = panel[: HEIGHT - 30]
    half = body.shape[1] // 2
    assert shade_count(body[:, half:], LEFT) > 2 * shade_count(body[:, :half], LEFT)
    assert shade_count(body[:, :half], RIGHT) > 2 * shade_count(body[:, half:], RIGHT)
    assert shade_count(body[:, :half], RIGHT) > 60
    # Up is up: the white head is above the feet.
    rows = np.flatnonzero((body.min(axis=2) > 190).any(axis=1))
    assert rows.min() < body.shape[0] * 0.4


@pytest.mark.parametrize("layout", SKELETONS.values(), ids=SKELETONS)
def test_every_layout_has_bones_of_both_sides(layout):
    colours = {bone.colour for bone in bones_of(layout)}
    assert colours == {LEFT, RIGHT, CENTRE}


def test_hands_and_faces_are_finer_than_limbs():
    weights = {frozenset((BLAZEPOSE_33.joints[b.start], BLAZEPOSE_33.joints[b.end])): b for b in bones_of(BLAZEPOSE_33)}
    limb = weights[frozenset(("left_elbow", "left_wrist"))].weight
    hand = weights[frozenset(("left_wrist", "left_index"))].weight
    face = weights[frozenset(("nose", "left_eye_inner"))].weight
    assert limb > hand > face > 0
    assert {bone.weight for bone in bones_of(H36M_17)} == {limb}


def test_absent_people_and_absent_keypoints_are_not_drawn():
    late = standing_track(first=5, rows=3)
    empty_picture, empty_panel = draw(result_of(late), 4)
    assert (empty_picture == 120).all()
    drawn_picture, drawn_panel = draw(result_of(late), 5)
    assert (drawn_picture != 120).any()
    assert (drawn_panel != empty_panel).any()
    assert (draw(result_of(late), 8)[0] == 120).all()

    gone = dataclasses.replace(
        late,
        keypoints=np.full_like(late.keypoints, np.nan),
        scores=np.zeros_like(late.scores),
        boxes=np.full_like(late.boxes, np.nan),
        joints=np.full_like(late.joints, np.nan),
    )
    assert (draw(result_of(gone), 5, boxes=True)[0] == 120).all()


def test_doubtful_keypoints_are_faint_and_worse_ones_left_out():
    track = standing_track()
    sure, doubtful, unseen = (
        count(draw(result_of(dataclasses.replace(track, scores=np.full_like(track.scores, score))))[0], LEFT)
        for score in (0.9, 0.4, 0.1)
    )
    assert sure > 60
    assert doubtful == unseen == 0
    faint, _ = draw(result_of(dataclasses.replace(track, scores=np.full_like(track.scores, 0.4))))
    assert (faint != 120).any(axis=2).sum() > 100
    assert (draw(result_of(dataclasses.replace(track, scores=np.full_like(track.scores, 0.1))))[0] == 120).all()


def test_boxes_are_drawn_on_demand():
    result = result_of(standing_track())
    assert (draw(result)[0] != draw(result, boxes=True)[0]).any()


def test_people_keep_their_cells():
    tracks = (standing_track(1, 0, 4), standing_track(2, 2, 6), standing_track(3, 5, 4), standing_track(4, 6, 4))
    assert panel_module._slots(tracks) == {1: 0, 2: 1, 3: 0, 4: 2}
    crowd = tuple(standing_track(i + 1) for i in range(panel_module.MAX_CELLS + 3))
    assert sorted(panel_module._slots(crowd).values()) == list(range(panel_module.MAX_CELLS))
    draw(result_of(*crowd))


def test_somebody_who_passes_by_does_not_split_the_panel():
    """They are drawn where a cell is free, and left out where none is."""
    stays, passes, later = standing_track(1, 0, 60), standing_track(2, 10, 5), standing_track(3, 70, 5)
    assert panel_module._slots((stays, passes, later)) == {1: 0, 3: 0}
    assert panel_module._slots((passes,)) == {2: 0}
    draw(result_of(stays, passes))


@pytest.mark.parametrize(
    ("axis", "degrees"), [("z", 40), ("x", -35), ("xz", (20, -25)), ("z", 180)], ids=["rolled", "up", "both", "over"]
)
def test_people_stand_upright_in_the_panel_however_the_camera_is_held(axis: str, degrees: float | tuple[float, ...]):
    """As they do for a level camera, where the vertical of the world is known."""
    result = result_of(standing_track())
    held = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    # From the camera's frame to the world's, z up: a level camera has it along its -y.
    to_world = np.concatenate([np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ held.T, np.zeros((3, 1))], axis=1)
    turned = tuple(
        dataclasses.replace(track, joints=(track.joints @ held.T).astype(np.float32)) for track in result.tracks
    )
    camera = PinholeCamera((100.0, 100.0), (80.0, 60.0), to_world)
    _, level = draw(result)
    _, shown = draw(dataclasses.replace(result, tracks=turned, camera=camera))
    _, falling = draw(dataclasses.replace(result, tracks=turned))
    difference = np.abs(shown.astype(int) - level)
    assert difference.mean() < 0.05
    assert np.abs(falling.astype(int) - level).mean() > 1


def test_somebody_who_passes_by_does_not_shrink_the_others():
    stays, passes = standing_track(1, 0, 60), standing_track(2, 10, 5)
    huge = dataclasses.replace(passes, joints=3 * passes.joints)
    alone, beside = (draw(result_of(*tracks), frame_index=40)[1] for tracks in ((stays,), (stays, huge)))
    assert (alone == beside).all()


def test_a_body_stands_on_its_floor_while_it_sits_down():
    track = standing_track(rows=90)
    folded = track.joints.copy()
    folded[45:, :, 1] *= 0.5
    floor = panel_module._floor(track.times, folded)
    assert floor[0] == pytest.approx(folded[0, :, 1].max(), abs=1e-3)
    assert floor[-1] == pytest.approx(folded[-1, :, 1].max(), abs=1e-3)
    assert np.abs(np.diff(floor)).max() < 0.05


@pytest.mark.parametrize("size", [(96, 64), (97, 63), (320, 240), (3840, 2160), (1080, 1920), (2000, 100)])
def test_any_size_gives_an_even_one_within_the_limits(size):
    renderer = OverlayRenderer(result_of(standing_track(), size=size))
    width, height = renderer.size
    assert width % 2 == height % 2 == 0
    assert 0 < width <= 1920
    assert 0 < height <= 1080
    assert renderer.draw(grey(*size), 0).shape == (height, width, 3)


# Whole videos


def test_overlay_keeps_frames_and_times(tmp_path, clip, vfr_times):
    result = result_of(standing_track(), times=vfr_times)
    out, calls = tmp_path / "Überlagerung.mp4", []
    render_overlay(result, clip, out, progress=lambda done, total: calls.append((done, total)))
    with VideoReader(out) as video:
        assert (video.width, video.height) == OverlayRenderer(result).size
        frames = list(video)
    assert video.times == pytest.approx(vfr_times, abs=1e-4)
    assert calls == [(i + 1, 12) for i in range(12)]
    for frame in frames:
        assert abs(int(frame.image[5, 5, 0]) - clips.grey_of(frame.index)) < 15
        assert shade_count(frame.image[:, WIDTH // 2 + 8 : WIDTH], LEFT) > 20


def test_an_empty_result_gives_the_plain_video(tmp_path, clip):
    out = tmp_path / "plain.mp4"
    render_overlay(result_of(), clip, out)
    with VideoReader(out) as video:
        for frame in video:
            picture = frame.image[:, : WIDTH - 8].astype(int)
            assert np.abs(picture - clips.grey_of(frame.index)).max() < 20
    assert len(video.times) == 12


def test_a_part_of_the_video(tmp_path, clip, vfr_times):
    out = tmp_path / "part.mp4"
    render_overlay(
        result_of(standing_track(), times=vfr_times), clip, out, start=vfr_times[3] - 1e-3, end=vfr_times[6] - 1e-3
    )
    with VideoReader(out) as video:
        shown = [int(frame.image[5, 5, 0]) for frame in video]
    assert [min(clips.GREYS, key=lambda g: abs(g - level)) for level in shown] == [clips.grey_of(i) for i in (3, 4, 5)]
    assert video.times == pytest.approx(vfr_times[3:6] - vfr_times[3], abs=1e-4)


def test_a_folder_of_images(tmp_path, image_folder):
    out = tmp_path / "images.mp4"
    result = result_of(standing_track(centre=(48, 32)), size=(96, 64), times=np.arange(12) / 10)
    render_overlay(result, image_folder, out)
    with VideoReader(out) as video:
        list(video)
    assert video.times == pytest.approx(np.arange(12) / 10)


def test_another_video_than_the_results_is_refused(tmp_path, cfr_clip):
    with pytest.raises(VidposeError, match="96x64 pixels, but the result is of a video with 320x240"):
        render_overlay(result_of(), cfr_clip, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []
