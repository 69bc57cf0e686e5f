"""Clip networks that look at several views in step: whose pictures go together, and by which words it is asked for."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import clips
import cv2
import numpy as np
import pytest
from clip_networks import stirred
from spots import Brightest, boxes_around, path, picture

from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import VidposeError
from vidpose.keypoints.clips.clip_finder import Appearance, ClipFinder
from vidpose.keypoints.clips.clip_weights import save_clip_network
from vidpose.keypoints.poses import seen_inside
from vidpose.pipeline import clip_stage as clips_stage
from vidpose.pipeline.clip_stage import look_again, one_in_each
from vidpose.refine.sides import unswap_sides
from vidpose.synth.camera import StudioCamera
from vidpose.synth.scenes import SCENES
from vidpose.synth.studio import Studio
from vidpose.video import VideoReader
from vidpose.views.clock import synchronise

WHOLE = np.array([0, 0, 240, 160], np.float32)
"""The box of somebody who fills the picture: its crop is the square around it, 240 pixels padded by a margin."""


class Other(Brightest):
    """Says of every joint that it is where the other view's crop is brightest at that moment."""

    def decode(self, tokens, present):
        return super().decode(tokens.flip(1), present)


def film(file: Path, places: np.ndarray, times: np.ndarray | None = None) -> Path:
    return clips.write_clip(file, [picture(*place) for place in places], times, options={"crf": "1"})


def view_of(video: Path, boxes: np.ndarray, first: int = 0, id_: int = 1) -> PoseResult:
    """A video in which somebody has been followed from a frame on, in boxes (N, 4)."""
    with VideoReader(video) as reader:
        assert list(reader)
    source = reader.source()
    frames = np.arange(first, first + len(boxes))
    keypoints, scores = np.zeros((len(boxes), 33, 2), np.float32), np.ones((len(boxes), 33), np.float32)
    track = Track.of_keypoints(id_, frames, source.times[frames], boxes, keypoints, scores)
    return PoseResult(source, (track,), "blazepose33", "", {})


def everywhere(video: Path, frames: int) -> PoseResult:
    return view_of(video, np.tile(WHOLE, (frames, 1)))


def both(*views: PoseResult) -> list[list[tuple[int, int]]]:
    """One person, in all of the views."""
    return [[(v, view.tracks[0].id) for v, view in enumerate(views)]]


def keypoints_of(result: PoseResult) -> np.ndarray:
    (track,) = result.tracks
    return track.keypoints


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A spot in two views, 12 frames each; and a second view in which it is elsewhere."""
    folder = tmp_path_factory.mktemp("spots")
    return (
        film(folder / "front.mp4", path(12)),
        film(folder / "side.mp4", path(12, start=30)),
        film(folder / "elsewhere.mp4", path(12, start=30)[::-1]),
    )


class TestTogether:
    def test_one_view_is_what_the_network_says_of_it(self, videos):
        front, finder = view_of(videos[0], boxes_around(path(12)[2:9]), first=2), ClipFinder(stirred(views=2))
        (found,) = look_again([front], finder)
        with VideoReader(videos[0]) as reader:
            moments = [(frame.index, [frame.image]) for frame in reader]
        ((keypoints, scores),) = finder.follow(moments, [Appearance(2, boxes_around(path(12)[2:9])[None])])
        scores = seen_inside(keypoints[0], scores[0], (160, 240))
        keypoints, scores = unswap_sides(keypoints[0], scores, front.tracks[0].times, finder.layout)
        np.testing.assert_array_equal(found.tracks[0].keypoints, keypoints)
        np.testing.assert_array_equal(found.tracks[0].scores, scores)

    def test_what_one_view_shows_changes_what_is_found_in_the_other(self, videos):
        front, side, elsewhere = (everywhere(video, 12) for video in videos)
        finder, who = ClipFinder(stirred(views=2)), both(front, side)
        one, two = (keypoints_of(look_again([front, other], finder, who)[0]) for other in (side, elsewhere))
        assert np.abs(one - two).max() > 0.1
        # Without being told that it is one person, nothing of the other view matters.
        one, two = (keypoints_of(look_again([front, other], finder)[0]) for other in (side, elsewhere))
        np.testing.assert_allclose(one, two, atol=1e-3)

    def test_each_view_has_its_own_boxes_and_frames(self, videos):
        front = view_of(videos[0], boxes_around(path(12)[1:]), first=1)
        side = view_of(videos[1], boxes_around(path(12, start=30)[:9]), id_=4)
        found = look_again([front, side], ClipFinder(Brightest()), both(front, side))
        np.testing.assert_allclose(keypoints_of(found[0])[:, 3], path(12)[1:], atol=1)
        np.testing.assert_allclose(keypoints_of(found[1])[:, 3], path(12, start=30)[:9], atol=1)
        assert [view.tracks[0].id for view in found] == [1, 4]
        assert [view.tracks[0].frames[0] for view in found] == [1, 0]
        assert {view.provenance["in_step"] for view in found} == {f"{videos[0]}, {videos[1]}"}

    def test_two_tracks_of_one_person_in_a_view_are_looked_at_with_the_one_of_the_other(self, videos):
        early, late = (view_of(videos[0], boxes_around(path(12)[rows]), rows.start, id_)
                       for rows, id_ in ((slice(0, 4), 1), (slice(7, 12), 2)))  # fmt: skip
        front, side = replace(early, tracks=early.tracks + late.tracks), everywhere(videos[1], 12)
        found = look_again([front, side], ClipFinder(Other()), [[(0, 1), (0, 2), (1, 1)]])
        is_seen = np.isin(np.arange(12), np.arange(4, 7), invert=True)
        # The other crop has nothing where the person is out of sight: (0, 0) of a crop is its corner.
        corner = keypoints_of(found[1])[5, 0]
        apart = np.linalg.norm(keypoints_of(found[1])[:, 0] - corner, axis=-1)
        assert (apart[is_seen] > 50).all()
        assert (apart[~is_seen] == 0).all()
        assert [track.id for track in found[0].tracks] == [1, 2]

    def test_people_are_looked_at_with_themselves(self, videos):
        front, side = (everywhere(video, 12) for video in videos[:2])
        still = np.tile(boxes_around(np.array([[200.0, 60.0]])), (12, 1))
        second = view_of(videos[0], still, id_=2).tracks
        front = replace(front, tracks=front.tracks + second)
        crossed = look_again([front, side], ClipFinder(Other()), [[(0, 2), (1, 1)], [(0, 1)]])
        straight = look_again([front, side], ClipFinder(Other()), [[(0, 1), (1, 1)], [(0, 2)]])
        # With the first, it is where the spot of the front view is; with the second, in whose box there is none, not.
        np.testing.assert_allclose(keypoints_of(straight[1])[:, 0], path(12), atol=1)
        assert np.abs(keypoints_of(crossed[1])[:, 0] - path(12)).max() > 20

    def test_a_view_without_people_is_missing_which_is_said(self, videos, caplog):
        front, side = (everywhere(video, 12) for video in videos[:2])
        nobody = replace(side, tracks=())
        with caplog.at_level(logging.WARNING):
            found = look_again([front, nobody], ClipFinder(stirred(views=2)), one_in_each([front, nobody]))
        assert "side.mp4: no person found, so the network does without this view" in caplog.text
        assert found[1].tracks == ()
        alone = look_again([front], ClipFinder(stirred(views=2)))
        np.testing.assert_allclose(keypoints_of(found[0]), keypoints_of(alone[0]), atol=1e-3)

    def test_nobody_in_any_view_is_nobody_and_no_warning(self, videos, caplog):
        views = [replace(everywhere(video, 12), tracks=()) for video in videos[:2]]
        with caplog.at_level(logging.WARNING):
            found = look_again(views, ClipFinder(stirred(views=2)), one_in_each(views))
        assert [view.tracks for view in found] == [(), ()]
        assert caplog.text == ""

    def test_several_people_cannot_be_told_apart_without_a_calibration(self, videos):
        front, side = (everywhere(video, 12) for video in videos[:2])
        side = replace(side, tracks=(*side.tracks, replace(side.tracks[0], id=2)))
        with pytest.raises(VidposeError, match=r"side\.mp4: 2 people, who cannot be told apart .* `max_people=1`$"):
            one_in_each([front, side])
        assert one_in_each([front, front]) == [[(0, 1), (1, 1)]]


class TestInTime:
    def test_a_slower_view_shows_its_nearest_frame(self, tmp_path):
        def spot(times: np.ndarray) -> np.ndarray:
            return np.stack([40 + 300 * times, np.full(len(times), 80.0)], axis=1)

        fast, slow = np.arange(24) / 60, np.arange(10) / 25
        views = [everywhere(film(tmp_path / f"{len(times)}.mp4", spot(times), times), len(times))
                 for times in (fast, slow)]  # fmt: skip
        found = look_again(views, ClipFinder(Other()), both(*views))
        columns = [keypoints_of(view)[:, 0, 0] for view in found]
        # Where the other view's spot is at this moment, to half a frame: 6 pixels of the slower view, 2.5 of the faster
        # one. The last frame of the faster one is later than that after the slower one's last.
        assert np.abs(columns[0] - spot(fast)[:, 0])[:-1].max() < 6 + 1
        assert np.abs(columns[1] - spot(slow)[:, 0]).max() < 2.5 + 1
        assert len(np.unique(columns[0][:-1].round())) == 10

    def test_a_view_that_ends_earlier_is_missing_at_the_end(self, videos, tmp_path):
        shorter = film(tmp_path / "shorter.mp4", path(10, start=30))
        views = [everywhere(videos[0], 12), everywhere(shorter, 10)]
        found = look_again(views, ClipFinder(Other()), both(*views))
        np.testing.assert_allclose(keypoints_of(found[0])[:10, 0], path(10, start=30), atol=1)
        np.testing.assert_allclose(keypoints_of(found[1])[:, 0], path(10), atol=1)

    def test_a_frame_that_is_nearest_at_no_moment_is_empty(self, videos, tmp_path):
        # Three frames come so soon after another that the one in the middle is nearest at none of the other view's.
        times = np.array([0, 2, 4, 4.2, 4.4, 7, 9, 11]) / 30
        uneven = film(tmp_path / "uneven.mp4", path(8, start=30), times)
        views = [everywhere(videos[0], 12), everywhere(uneven, 8)]
        keypoints = keypoints_of(look_again(views, ClipFinder(Brightest()), both(*views))[1])
        is_empty = np.isnan(keypoints).all(axis=(1, 2))
        assert is_empty.tolist() == [n == 3 for n in range(8)]
        np.testing.assert_allclose(keypoints[~is_empty, 0], path(8, start=30)[~is_empty], atol=1)
        nobody_else = replace(views[1], tracks=view_of(uneven, WHOLE[None], first=3).tracks)
        assert np.isnan(keypoints_of(look_again([views[0], nobody_else], ClipFinder(Brightest()))[1])).all()

    def test_every_frame_goes_with_the_moment_at_which_it_is_nearest(self):
        fast, slow = np.arange(40) / 60, np.arange(16) / 24 + 0.003
        sources = [Source("fast", 8, 8, fast, None), Source("slow", 8, 8, slow, None)]
        clock = synchronise(sources)
        np.testing.assert_array_equal(clock.frames_at_moments(0), np.arange(40))
        nearest = np.abs(fast[:, None] - slow).argmin(axis=1)
        # The last moment is more than half a frame after the slower video's last.
        np.testing.assert_array_equal(clock.frames_at_moments(1), [*nearest[:-1], -1])
        np.testing.assert_array_equal(clock.moments_of_frames(0), np.arange(40))
        np.testing.assert_array_equal(clock.moments_of_frames(1), np.abs(slow[:, None] - fast).argmin(axis=1))

    def test_only_frames_between_start_and_end_are_looked_at(self, videos):
        front, side = (everywhere(video, 12) for video in videos[:2])
        found = look_again([front, side], ClipFinder(Brightest()), both(front, side), start=0.15)
        assert np.isnan(keypoints_of(found[0])[:5]).all()
        np.testing.assert_allclose(keypoints_of(found[0])[5:, 0], path(12)[5:], atol=1)

    @pytest.mark.parametrize(
        ("frames", "count", "message"),
        [
            (32, 2, r"front\.mp4, .*side\.mp4: 12 frames, fewer than the 32 that temporal-relational looks at toget"),
            (4, 3, r"front\.mp4, .*elsewhere\.mp4: 3 views, where temporal-relational takes at most 2; leave some out"),
        ],
    )
    def test_too_little_and_too_many_are_one_line(self, videos, frames, count, message):
        views = [everywhere(video, 12) for video in videos[:count]]
        with pytest.raises(VidposeError, match=message):
            look_again(views, ClipFinder(stirred(frames=frames, views=2)), both(*views))

    def test_views_of_unequal_length_say_how_long_each_is(self, videos, tmp_path):
        shorter = film(tmp_path / "shorter.mp4", path(8))
        views = [everywhere(videos[0], 12), everywhere(shorter, 8)]
        with pytest.raises(
            VidposeError, match=r"shorter\.mp4 has 8 frames \(0\.27 s\) and .*front\.mp4 12 \(0\.40 s\)"
        ):
            look_again(views, ClipFinder(Brightest()), both(*views))


FRAMES = 6


@dataclass(frozen=True)
class Shoot:
    """A rendered person who walks before two cameras: videos, calibration, and (6, 17, 3) joints in the world."""

    files: tuple[Path, ...]
    cameras: tuple[StudioCamera, ...]
    calibration: Path
    joints: np.ndarray


@pytest.fixture(scope="module")
def shoot(tmp_path_factory) -> Shoot:
    folder = tmp_path_factory.mktemp("shoot")
    person, times = SCENES["walk-wave"].people[0], np.arange(FRAMES) / 25
    cameras = tuple(StudioCamera(320, 240, 340.0, at, (0.0, 0.0, 0.95)) for at in [(0.0, -4.5, 1.35), (3.6, -2.9, 1.2)])
    joints, files, tables = person.motion.joints(times), [], []
    for number, camera in enumerate(cameras, start=1):
        studio = Studio(camera)
        pictures = [studio.shoot([(pose, person.look)]).image for pose in joints]
        files.append(clips.write_clip(folder / f"cam{number}.mp4", pictures, times, options={"crf": "12"}))
        rotation = cv2.Rodrigues(camera.rotation)[0].ravel().tolist()
        # In such a file the centre of the first pixel is (0, 0).
        tables.append(
            f'[cam{number}]\nname = "cam{number}"\nsize = [320, 240]\ndistortions = [0.0, 0.0, 0.0, 0.0]\n'
            f"matrix = [[340.0, 0.0, 159.5], [0.0, 340.0, 119.5], [0.0, 0.0, 1.0]]\n"
            f"rotation = {rotation}\ntranslation = {camera.world_to_camera[:, 3].tolist()}\n"
        )
    (folder / "cameras.toml").write_text("".join(tables))
    return Shoot(tuple(files), cameras, folder / "cameras.toml", joints)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[int, Path]:
    """Of small networks with random weights, by the views that they take."""
    folder = tmp_path_factory.mktemp("weights")
    for views in (1, 2):
        save_clip_network(stirred(views=views), folder / f"{views}.safetensors", {})
    return {views: folder / f"{views}.safetensors" for views in (1, 2)}


class TestTheCommand:
    @pytest.fixture
    def infer(self, run, weights, monkeypatch) -> Callable[..., tuple[int, str]]:
        """Run `vidpose infer` with the network of so many views: exit code, and stderr on one line."""
        self.people, really = [], look_again

        def watched(views, finder, people=None, **options):
            self.people.append(people)
            return really(views, finder, people, **options)

        monkeypatch.setattr(clips_stage, "look_again", watched)

        def call(*arguments: object, views: int = 2) -> tuple[int, str]:
            clip_network = ("--keypoints", "temporal-relational", "--keypoints-weights", weights[views])
            code, _, err = run("infer", *clip_network, "--no-overlay", "--overwrite", "--format", "json", *arguments)
            return code, " ".join(err.split())

        return call

    @staticmethod
    def results(folder: Path) -> list[PoseResult]:
        return [PoseResult.load(folder / "out" / f"cam{number}.npz") for number in (1, 2)]

    def test_views_in_step_are_looked_at_together_and_others_are_not(self, infer, shoot, tmp_path):
        files = shoot.files
        assert infer(*files, "--in-step")[0] == 0
        together = self.results(tmp_path)
        assert infer(*files)[0] == 0
        alone = self.results(tmp_path)
        assert self.people == [[[(0, 1), (1, 1)]], None, None]
        for one, other in zip(together, alone, strict=True):
            assert np.array_equal(one.tracks[0].boxes, other.tracks[0].boxes)
            assert np.abs(keypoints_of(one) - keypoints_of(other)).max() > 0.01
            assert one.tracks[0].lifted.all()
            assert one.agreement is None
        assert together[0].provenance["in_step"] == f"{files[0]}, {files[1]}"
        assert "in_step" not in alone[0].provenance

    def test_calibrated_views_are_matched_looked_at_together_and_put_together(
        self, infer, shoot, tmp_path, monkeypatch
    ):
        def exactly(finder, moments, people):
            (person,) = people
            assert person.boxes.shape == (2, FRAMES, 4)
            assert [(n, [some.shape for some in pictures]) for n, pictures in moments] == [
                (n, [(240, 320, 3)] * 2) for n in range(FRAMES)
            ]
            keypoints = np.stack([camera.project(shoot.joints) for camera in shoot.cameras]).astype(np.float32)
            return [(keypoints, np.full(keypoints.shape[:-1], 0.9, np.float32))]

        monkeypatch.setattr(ClipFinder, "follow", exactly)
        code, err = infer(*shoot.files, "--calibration", shoot.calibration, "--smooth", "none")
        assert code == 0, err
        # By BlazePose's keypoints; those of the clip network then give the world.
        assert self.people == [[[(0, 1), (1, 1)]]]
        for number, result in enumerate(self.results(tmp_path), start=1):
            assert (result.keypoint_layout, result.agreement.camera) == ("h36m17", f"cam{number}")
            assert result.provenance["in_step"] == f"{shoot.files[0]}, {shoot.files[1]}"
            (track,) = result.tracks
            turn = result.camera.to_world
            world = (track.joints + track.roots[:, None]) @ turn[:, :3].T + turn[:, 3]
            assert np.abs(world - shoot.joints).max() < 2e-3

    def test_a_network_of_one_view_looks_at_calibrated_views_alone(self, infer, shoot, tmp_path):
        assert infer(*shoot.files, "--calibration", shoot.calibration, views=1)[0] == 0
        assert self.people == [None, None]
        assert [result.agreement.views for result in self.results(tmp_path)] == [2, 2]

    def test_more_views_than_the_network_takes_are_refused_before_anybody_is_looked_for(
        self, infer, shoot, monkeypatch
    ):
        monkeypatch.setattr("vidpose.pipeline.finding.find_people", None)
        one, two = shoot.files
        code, err = infer(one, two, "--in-step", views=1)
        assert (code, err) == (
            1, f"error: {one}, {two}: 2 views, where temporal-relational takes at most 1; leave some out"
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (("a.mp4", "--in-step"), "--in-step: for several views of one scene; give two videos or more"),
            (
                ("a.mp4", "b.mp4", "--in-step", "--keypoints", "blazepose-heavy"),
                "blazepose-heavy looks at every picture alone",
            ),
            (("--from-keypoints", "r.npz", "--in-step"), "saved keypoints have been found already"),
        ],
    )
    def test_wrong_words_exit_2(self, run, arguments, part):
        code, _, err = run("infer", "--keypoints", "temporal-relational", *arguments)
        assert code == 2
        assert part in err
        assert len(err.strip().splitlines()) == 1
