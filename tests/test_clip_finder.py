"""Looking at people in clips: windows, crops, views, what is missing; and by which words it is had."""

from pathlib import Path

import clips
import numpy as np
import pytest
import torch
from clip_networks import stirred
from spots import SIZE, Brightest, boxes_around, path, picture

from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import UsageError, VidposeError
from vidpose.keypoints.clips.clip_finder import Appearance, ClipFinder
from vidpose.keypoints.clips.clip_network import ClipNetwork
from vidpose.keypoints.clips.clip_weights import read_clip_network, save_clip_network
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.clip_stage import look_again
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.networks import open_networks


def network(frames: int = 4, views: int = 2, seed: int = 0) -> ClipNetwork:
    return stirred(seed=seed, frames=frames, views=views, keep_ratio=0.7)


def crops(views: int, frames: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (frames, SIZE, SIZE, 3), np.uint8) for _ in range(views)]


def standardised(found: ClipNetwork, views: list[np.ndarray]) -> torch.Tensor:
    mean, std = (torch.tensor(values) for values in (found.processing.mean, found.processing.std))
    return ((torch.from_numpy(np.stack(views)).float() - mean) / std).permute(0, 1, 4, 2, 3)[None]


@pytest.fixture(scope="module")
def finder() -> ClipFinder:
    return ClipFinder(network(), batch=3)


class TestLocate:
    def test_a_clip_of_one_window_is_what_the_network_says(self, finder):
        found, views = network(), crops(2, 4)
        keypoints, scores = finder.locate(views)
        points, logits = found(standardised(found, views))
        np.testing.assert_allclose(keypoints, points[0].detach() * SIZE, atol=1e-3)
        np.testing.assert_allclose(scores, logits[0].detach().sigmoid(), atol=1e-5)

    def test_windows_overlap_by_half_and_are_blended(self, finder):
        found, views = network(), crops(2, 9)
        keypoints, _ = finder.locate(views)
        inputs, sums, weights = standardised(found, views), np.zeros((2, 9, 17, 2)), np.zeros(9)
        for start in (0, 2, 4, 5):
            points, _ = found(inputs[:, :, start : start + 4])
            ramp = np.array([1, 2, 2, 1])
            sums[:, start : start + 4] += points[0].detach().numpy() * ramp[:, None, None]
            weights[start : start + 4] += ramp
        np.testing.assert_allclose(keypoints, SIZE * sums / weights[:, None, None], atol=1e-3)

    def test_the_spatial_module_looks_at_every_crop_once(self):
        found, looked = network(), []
        found.spatial.register_forward_hook(lambda module, inputs, output: looked.append(len(inputs[0])))
        ClipFinder(found, batch=6).locate(crops(2, 9))
        assert sum(looked) == 18
        assert max(looked) <= 6

    def test_a_view_that_is_not_there_changes_nothing_but_is_empty(self, finder):
        front, _ = crops(2, 6)
        alone, alone_scores = finder.locate([front])
        keypoints, scores = finder.locate([front, None])
        np.testing.assert_allclose(keypoints[0], alone[0], atol=1e-3)
        np.testing.assert_allclose(scores[0], alone_scores[0], atol=1e-5)
        assert np.isnan(keypoints[1]).all()
        assert (scores[1] == 0).all()

    @pytest.mark.parametrize(
        ("views", "message"),
        [
            ([*crops(1, 6), *crops(1, 5)], r"views of unequal length \(6, 5 frames\); cut them to the same moments"),
            (crops(3, 6), "3 views, where temporal-relational takes at most 2; leave some out"),
            (crops(2, 3), "3 frames, fewer than the 4 that temporal-relational looks at together; use weights for "),
            ([None, None], "there is nobody in any of its views"),
            ([crops(1, 6)[0][:, :32]], r"crops of shape \(32, 64, 3\), where \(64, 64, 3\) is due"),
        ],
    )
    def test_clips_that_cannot_be_are_one_line(self, finder, views, message):
        with pytest.raises(VidposeError, match=f"^walk: {message}"):
            finder.locate(views, "walk")


class TestFollow:
    def test_points_of_the_crops_are_points_of_the_pictures(self):
        places = path(10)
        found = ClipFinder(Brightest(), batch=3).follow(
            ((n, [picture(*place)]) for n, place in enumerate(places)), [Appearance(0, boxes_around(places)[None])]
        )
        keypoints, scores = found[0]
        assert keypoints.shape == (1, 10, 17, 2)
        np.testing.assert_allclose(keypoints[0, :, 5], places, atol=0.3)
        assert (scores == 0.5).all()

    def test_people_come_and_go_and_are_out_of_sight(self):
        seen = Brightest()
        places = path(12)
        first, second = boxes_around(places[2:9])[None].copy(), boxes_around(places[5:7])[None]
        first[0, 3] = np.nan
        one, two = ClipFinder(seen, batch=2).follow(
            ((n, [picture(*place)]) for n, place in enumerate(places)),
            [Appearance(2, first), Appearance(5, second)],
        )
        is_seen = np.arange(7) != 3
        np.testing.assert_allclose(one[0][0, is_seen, 0], places[2:9][is_seen], atol=0.3)
        assert np.isnan(one[0][0, 3]).all()
        assert (one[1][0, 3] == 0).all()
        np.testing.assert_allclose(two[0][0, :, 0], places[5:7], atol=0.3)
        # Windows of four, by two; who is there for two frames gets a window of two.
        assert sorted(seen.seen) == [2, 4, 4, 4]

    def test_views_have_their_own_boxes_and_may_lack_a_picture(self):
        front, side = path(6), path(6, start=30)
        moments = [(n, [picture(*front[n]), None if n == 2 else picture(*side[n])]) for n in range(6)]
        boxes = np.stack([boxes_around(front), boxes_around(side)])
        ((keypoints, scores),) = ClipFinder(Brightest()).follow(moments, [Appearance(0, boxes)])
        np.testing.assert_allclose(keypoints[0, :, 3], front, atol=0.3)
        np.testing.assert_allclose(keypoints[1, [0, 1, 3, 4, 5], 3], np.delete(side, 2, axis=0), atol=0.3)
        assert np.isnan(keypoints[1, 2]).all()
        assert (scores[1, 2] == 0).all()

    def test_no_more_is_read_than_there_are_people(self):
        read = []

        def moments():
            for n, place in enumerate(path(30)):
                read.append(n)
                yield n, [picture(*place)]

        ClipFinder(Brightest()).follow(moments(), [Appearance(1, boxes_around(path(5))[None])])
        assert read == list(range(7))
        assert ClipFinder(Brightest()).follow(moments(), []) == []


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("spot") / "spot.mp4"
    return clips.write_clip(file, [picture(*place) for place in path(12)], options={"crf": "1"})


class TestInAVideo:
    @staticmethod
    def found(video: Path, places: np.ndarray, first: int) -> PoseResult:
        times = np.arange(12) / 30
        frames = np.arange(first, first + len(places))
        keypoints, scores = np.zeros((len(places), 33, 2), np.float32), np.ones((len(places), 33), np.float32)
        track = Track.of_keypoints(7, frames, times[frames], boxes_around(places), keypoints, scores)
        return PoseResult(Source(str(video), 240, 160, times, None), (track,), "blazepose33", "", {"detector": "x"})

    @pytest.mark.parametrize(("start", "first"), [(None, 0), (None, 4), (0.14, 5)])
    def test_a_track_gets_other_keypoints_and_keeps_the_rest(self, video, start, first):
        before = self.found(video, path(12)[first:10], first)
        done = []
        (after,) = look_again(
            [before], ClipFinder(Brightest()), start=start, progress=lambda *numbers: done.append(numbers)
        )
        (track,) = after.tracks
        assert (after.keypoint_layout, track.id, len(track)) == ("h36m17", 7, 10 - first)
        np.testing.assert_allclose(track.keypoints[:, 4], path(12)[first:10], atol=1)
        assert np.array_equal(track.boxes, before.tracks[0].boxes)
        assert np.array_equal(track.frames, before.tracks[0].frames)
        assert after.provenance == before.provenance
        assert done == [(n + 1, 10 - first) for n in range(10 - first)]

    def test_a_joint_outside_the_picture_scores_nothing(self, video):
        class Beyond(Brightest):
            def decode(self, tokens, present):
                points, logits = super().decode(tokens, present)
                return points - 10, logits

        (track,) = look_again([self.found(video, path(12), 0)], ClipFinder(Beyond()))[0].tracks
        assert (track.scores == 0).all()

    def test_a_video_shorter_than_the_window_is_one_line(self, video):
        with pytest.raises(VidposeError, match=r"spot\.mp4: 12 frames, fewer than the 32 that temporal-relational"):
            look_again([self.found(video, path(12), 0)], ClipFinder(network(frames=32)))
        with pytest.raises(VidposeError, match=r"spot\.mp4: 3 frames, fewer than the 4"):
            look_again([self.found(video, path(12)[9:], 9)], ClipFinder(network()), start=0.29)

    def test_nobody_stays_nobody(self, video):
        nobody = PoseResult(self.found(video, path(12), 0).source, (), "blazepose33", "", {})
        (after,) = look_again([nobody], ClipFinder(network()))
        assert (after.tracks, after.keypoint_layout) == ((), "h36m17")


def test_whom_blazepose_has_followed_is_looked_at_again(walk_sample, tmp_path):
    blind = network()
    torch.nn.init.zeros_(blind.head.weight)  # so it says of every joint that it is in the middle
    save_clip_network(blind, tmp_path / "w.safetensors", {})
    plain = find_people(walk_sample, Finding(end=0.4))
    with open_networks(keypoints="temporal-relational", keypoints_weights=tmp_path / "w.safetensors") as networks:
        again = find_people(walk_sample, Finding(end=0.4), networks=networks)
    (before,), (after,) = plain.tracks, again.tracks
    assert (plain.keypoint_layout, again.keypoint_layout) == ("blazepose33", "h36m17")
    assert again.provenance["keypoints"] == "temporal-relational"
    assert np.array_equal(before.frames, after.frames)
    assert np.array_equal(before.boxes, after.boxes)
    assert np.array_equal(before.seen, after.seen)
    middles = np.repeat(after.boxes.reshape(-1, 1, 2, 2).mean(axis=2), 17, axis=1)
    np.testing.assert_allclose(after.keypoints, middles, atol=1e-2)


class TestWeights:
    @pytest.fixture
    def file(self, tmp_path) -> Path:
        save_clip_network(network(), tmp_path / "w.safetensors", {"recipe": "x"})
        return tmp_path / "w.safetensors"

    def test_a_saved_network_says_the_same(self, file):
        loaded, about = read_clip_network(file, "temporal-relational")
        assert (about["recipe"], loaded.config) == ("x", network().config)
        inputs = standardised(loaded, crops(2, 4))
        assert torch.equal(loaded(inputs)[0], network()(inputs)[0])

    def test_half_the_bytes_say_nearly_the_same(self, file, tmp_path):
        save_clip_network(network(), tmp_path / "half.safetensors", {}, half=True)
        loaded, _ = read_clip_network(tmp_path / "half.safetensors", "temporal-relational")
        inputs = standardised(loaded, crops(2, 4))
        np.testing.assert_allclose(loaded(inputs)[0].detach(), network()(inputs)[0].detach(), atol=1e-2)
        assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * file.stat().st_size

    def test_the_command_line_knows_it_by_name(self, file):
        with open_networks(keypoints="temporal-relational", keypoints_weights=file) as networks:
            assert networks.clips.layout.name == "h36m17"
            assert networks.keypoints.layout.name == "blazepose33"
            assert networks.provenance["keypoints"] == "temporal-relational"
        with open_networks() as networks:
            assert networks.clips is None

    def test_files_that_are_not_such_weights_are_one_line(self, file, tmp_path):
        with pytest.raises(VidposeError, match=r"w\.safetensors: weights of temporal-relational, not of vit-b; "):
            open_networks(keypoints="vit-b", keypoints_weights=file)
        with pytest.raises(UsageError, match="`keypoints=temporal-relational`: no address of its weights is known"):
            open_networks(keypoints="temporal-relational")
        lifter = next(Path(__file__).parents[1].glob("weights/*.safetensors"))
        with pytest.raises(VidposeError, match="where a vidpose-clip-network is due"):
            open_networks(keypoints="temporal-relational", keypoints_weights=lifter)
        save_clip_network(network(), tmp_path / "other.safetensors", {"config": {"width": 4}})
        with pytest.raises(VidposeError, match="the weights do not fit temporal-relational"):
            open_networks(keypoints="temporal-relational", keypoints_weights=tmp_path / "other.safetensors")
