"""Who is looked for where, with detectors and networks that see bright rectangles as people."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pytest

from vidpose.body.skeletons import BLAZEPOSE_33, COCO_17
from vidpose.keypoints.poses import InBoxes, KeypointFinder, Poses
from vidpose.people.detections import Detections, PersonDetector
from vidpose.pipeline.networks import Networks
from vidpose.pipeline.people_finder import PeopleFinder, Sighting

WIDTH, HEIGHT = 640, 480
SIZE = np.array([60, 180])  # of a person, pixels
FPS = 25

_HEIGHTS = {"shoulder": 0.2, "elbow": 0.35, "wrist": 0.5, "hip": 0.5, "knee": 0.75, "ankle": 1.0}
_SIDES = {"left": 1.0, "right": 0.0}
TEMPLATE = np.array(
    [(_SIDES.get(joint.split("_")[0], 0.5), _HEIGHTS.get(joint.split("_")[-1], 0.0)) for joint in COCO_17.joints]
)
"""COCO's joints of someone who fills a box from (0, 0) to (1, 1)."""


def box_at(x: float, y: float = 240.0) -> np.ndarray:
    return np.concatenate([(x, y) - SIZE / 2, (x, y) + SIZE / 2])


def grown(box: np.ndarray, pixels: float) -> np.ndarray:
    return np.concatenate([box[:2] - pixels, box[2:] + pixels])


def picture(*boxes: np.ndarray) -> np.ndarray:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for x0, y0, x1, y1 in np.concatenate([np.empty((0, 4)), *(b[None] for b in boxes)]).round().astype(int):
        image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = 255
    return image


class Told(PersonDetector):
    """Gives the boxes of a script, a list a frame, and remembers when it was asked."""

    def __init__(self, script: Sequence[Sequence[np.ndarray]], ids: Sequence[Sequence[int]] | None = None) -> None:
        self.script, self.ids, self.asked = script, ids, []
        self.gives_ids = ids is not None

    def detect(self, image: np.ndarray, thorough: bool = True, index: int = 0) -> Detections:
        self.asked.append(index)
        boxes = np.array(self.script[index], np.float32).reshape(-1, 4)
        ids = np.array(self.ids[index], np.int64) if self.ids else None
        return Detections(boxes, np.full(len(boxes), 0.9, np.float32), ids=ids)


class Loose(Told):
    is_tight = False


class Brightness:
    """A box network: the person is what is bright in the box."""

    layout = COCO_17

    def __init__(self) -> None:
        self.boxes: list[np.ndarray] = []
        self.runs = 0

    def locate_in_all(self, images, boxes) -> list[tuple[np.ndarray, np.ndarray]]:
        self.runs += 1
        return [self.locate(*pair) for pair in zip(images, boxes, strict=True)]

    def locate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.boxes.append(boxes)
        keypoints, scores = np.full((len(boxes), 17, 2), np.nan), np.zeros((len(boxes), 17))
        for i, (x0, y0, x1, y1) in enumerate(np.clip(boxes, 0, (WIDTH, HEIGHT, WIDTH, HEIGHT)).astype(int)):
            rows, columns = np.nonzero(image[y0:y1, x0:x1, 0])
            if len(rows):
                low = np.array([x0 + columns.min(), y0 + rows.min()])
                high = np.array([x0 + columns.max() + 1, y0 + rows.max() + 1])
                keypoints[i], scores[i] = low + TEMPLATE * (high - low), 0.9
        return keypoints, scores


def look(
    detector: PersonDetector, people: Sequence[Sequence[np.ndarray]], **options: object
) -> tuple[list[list[Sighting]], Brightness, set[int]]:
    """What comes of a video in which people stand in boxes, a list a frame."""
    network = Brightness()
    networks = Networks(detector, InBoxes(network), {})
    with PeopleFinder(networks=networks, **options) as finder:
        seen = [finder.step(picture(*boxes), index / FPS, index) for index, boxes in enumerate(people)]
        return seen, network, finder.confirmed


def walk(frames: int, speed: float = 4.0, start: float = 100.0) -> list[list[np.ndarray]]:
    return [[box_at(start + speed * frame)] for frame in range(frames)]


def ids(seen: list[list[Sighting]]) -> list[list[int]]:
    return [[sighting.id for sighting in frame] for frame in seen]


def test_a_detector_whose_boxes_hug_bodies_leads_in_every_frame() -> None:
    people = walk(6)
    detector = Told(people)
    seen, network, confirmed = look(detector, people)
    assert detector.asked == list(range(6))
    np.testing.assert_allclose(np.concatenate(network.boxes), np.concatenate(people), atol=1e-4)
    assert ids(seen) == [[1]] * 6
    assert confirmed == {1}
    for (sighting,), (box,) in zip(seen, people, strict=True):
        assert sighting.keypoints.shape == (17, 2)
        np.testing.assert_allclose(sighting.keypoints, box[:2] + TEMPLATE * SIZE, atol=1)


def test_between_runs_of_the_detector_people_are_followed() -> None:
    people = walk(11)
    detector = Told(people)
    seen, network, _ = look(detector, people, detect_every=5)
    assert detector.asked == [0, 5, 10]
    assert ids(seen) == [[1]] * 11
    for frame, (box,) in enumerate(network.boxes):
        if frame % 5:
            # Around the joints of the frame before, moved on, so the person is in it and it is not much larger.
            assert (box[:2] <= people[frame][0][:2]).all()
            assert (box[2:] >= people[frame][0][2:]).all()
            assert ((box[2:] - box[:2]) < 1.5 * SIZE).all()


def test_looking_ahead_changes_nothing_but_the_number_of_runs() -> None:
    people = [[box_at(100 + 4 * frame)] + ([box_at(400)] if frame >= 2 else []) for frame in range(9)]
    people[6].pop()
    for detect_every in (1, 2):
        one_by_one, slow, _ = look(Told(people), people, detect_every=detect_every)
        network, images = Brightness(), [picture(*boxes) for boxes in people]
        with PeopleFinder(networks=Networks(Told(people), InBoxes(network), {}), detect_every=detect_every) as finder:
            ahead = []
            for first in range(0, 9, 4):
                indices = range(first, min(first + 4, 9))
                finder.look_ahead([images[i] for i in indices], indices)
                ahead += [finder.step(images[i], i / FPS, i) for i in indices]
        assert ids(ahead) == ids(one_by_one)
        for a, b in zip(chain(*ahead), chain(*one_by_one), strict=True):
            np.testing.assert_array_equal(a.keypoints, b.keypoints)
        assert network.runs < slow.runs


def test_a_newcomer_waits_for_the_next_run() -> None:
    people = [[box_at(100)] + ([box_at(400)] if frame >= 2 else []) for frame in range(8)]
    detector = Told(people)
    seen, _, _ = look(detector, people, detect_every=5)
    assert detector.asked == [0, 5]
    assert ids(seen) == [[1]] * 5 + [[1, 2]] * 3


def test_the_detector_is_asked_early_where_someone_is_missing_or_nobody_is_there() -> None:
    people = [[], [], [box_at(100)], [box_at(100)], [], [box_at(100)], [box_at(100)]]
    detector = Told(people)
    seen, _, _ = look(detector, people, detect_every=100)
    assert detector.asked == [0, 1, 2, 4]
    assert ids(seen) == [[], [], [1], [1], [], [1], [1]]


def test_someone_whom_the_detector_misses_is_looked_for_where_they_were() -> None:
    people = walk(8)
    script = [boxes if frame not in (3, 4) else [] for frame, boxes in enumerate(people)]
    seen, _, _ = look(Told(script), people)
    assert ids(seen) == [[1]] * 8


def test_someone_who_walks_out_of_the_picture_is_gone() -> None:
    people = walk(12, speed=20, start=520)
    script = [boxes if boxes[0][0] < WIDTH else [] for boxes in people]
    seen, _, _ = look(Told(script), people)
    assert [len(frame) for frame in seen] == [1 if boxes[0][0] < WIDTH else 0 for boxes in people]
    assert all(s.box.min() >= 0 and s.box[2] <= WIDTH for frame in seen for s in frame)


def test_a_detector_with_loose_boxes_only_finds_newcomers() -> None:
    people = walk(26)
    loose = [[grown(box, 40) for box in boxes] for boxes in people]
    detector = Loose(loose)
    seen, network, _ = look(detector, people)
    assert detector.asked == [0, 13], "half a second, at 25 frames a second"
    assert ids(seen) == [[1]] * 26
    np.testing.assert_allclose(network.boxes[0], loose[0])
    assert all(len(boxes) == 1 for boxes in network.boxes), "the detector's box of someone known is not looked at"


def test_an_empty_picture_costs_no_run_of_the_network() -> None:
    _, network, confirmed = look(Told([[]] * 3), [[]] * 3)
    assert network.boxes == []
    assert confirmed == set()


class Circles(KeypointFinder):
    """Remembers the regions it is given, as BlazePose's network takes them."""

    layout = BLAZEPOSE_33
    takes_boxes = False

    def __init__(self) -> None:
        self.given: list[np.ndarray] = []

    def regions(self, boxes: np.ndarray) -> np.ndarray:
        from vidpose.keypoints.blazepose_keypoints import BlazePoseKeypoints

        return BlazePoseKeypoints.regions(self, boxes)

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        self.given.extend(regions)
        count = len(regions)
        joints = np.zeros((count, 33, 2), np.float32)
        return Poses(joints, np.zeros((count, 33), np.float32), np.zeros(count, np.float32), regions)


def test_a_network_of_body_circles_gets_upright_ones_from_boxes() -> None:
    finder_of_joints = Circles()
    with PeopleFinder(networks=Networks(Told([[box_at(300, 200)]]), finder_of_joints, {})) as finder:
        assert finder.step(picture(), 0.0) == []
    np.testing.assert_allclose(finder_of_joints.given, [[(300, 200), (300, 200 - 1.1 * SIZE[1] / 2)]])


def test_boxes_with_ids_say_who_is_who() -> None:
    """Two people change places in one frame, which no tracker could know."""
    left, right = box_at(150), box_at(450)
    script = [[left, right], [left, right], [right, left], [right], [right, left]]
    names = [[7, 3], [7, 3], [7, 3], [7], [7, 3]]
    people = [[left, right]] * 5
    seen, _, confirmed = look(Told(script, names), people)
    assert ids(seen) == [[3, 7], [3, 7], [3, 7], [7], [3, 7]]
    assert confirmed == {3, 7}
    assert seen[1][1].keypoints[:, 0].max() < 200 < 400 < seen[2][1].keypoints[:, 0].min()
    assert look(Told(script, names), people, max_people=1)[2] == {7}


def test_a_pose_below_the_least_score_is_left_out() -> None:
    people = walk(3)
    assert ids(look(Told(people), people, min_score=0.95)[0]) == [[], [], []]
    names = [[4]] * 3
    assert ids(look(Told(people, names), people, min_score=0.95)[0]) == [[], [], []]
    assert ids(look(Told(people, names), people, min_score=0.85)[0]) == [[4], [4], [4]]


class TestInBoxes:
    """From boxes to regions and back, and what a pose says of the next frame."""

    def test_a_region_is_its_box_again(self) -> None:
        boxes = np.array([[10, 20, 50, 120], [-5.5, 3, 7, 8]])
        network = Brightness()
        located = InBoxes(network)
        located.locate(picture(), located.regions(boxes))
        np.testing.assert_allclose(network.boxes[0], boxes)

    def test_joints_outside_the_picture_score_nothing(self) -> None:
        class Fixed(Brightness):
            def locate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                return np.array([[[-1, 5]] + [[5, 5]] * 16]), np.full((1, 17), 1.2)

        poses = InBoxes(Fixed()).locate(picture(), np.zeros((1, 2, 2)))
        assert poses.scores[0].tolist() == pytest.approx([0.0] + [1.0] * 16)

    @pytest.mark.parametrize("sure", [0, 3, 17])
    def test_the_next_box_is_around_the_sure_joints_or_the_same(self, sure: int) -> None:
        class Partly(Brightness):
            def locate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                keypoints, scores = super().locate(image, boxes)
                scores[:, sure:] = 0.1
                return keypoints, scores

        box = box_at(200)
        located = InBoxes(Partly())
        looked_at = grown(box, 30)
        poses = located.locate(picture(box), located.regions(looked_at[None]))
        margin = 0.15 * SIZE
        expected = np.concatenate([box[:2] - margin, box[2:] + margin]) if sure == 17 else looked_at
        np.testing.assert_allclose(poses.regions, located.regions(expected[None]), atol=1e-3)

    def test_a_box_in_which_nobody_can_be_has_nobody(self) -> None:
        located = InBoxes(Brightness())
        poses = located.locate(picture(box_at(300)), located.regions(np.stack([box_at(300), box_at(2000)])))
        assert poses.presence.tolist() == [1, 0]
        assert np.isfinite(poses.regions).all()


class Shadows(Circles):
    """Sees somebody wherever it looks, upright in the circle, as a landmark network may where somebody was."""

    score = 0.6

    def locate(self, image: np.ndarray, regions: np.ndarray) -> Poses:
        radii = np.linalg.norm(regions[:, 1] - regions[:, 0], axis=-1)[:, None, None]
        shape = np.stack([np.linspace(-0.3, 0.3, 33), np.linspace(-0.9, 0.9, 33)], axis=-1)
        keypoints = (regions[:, :1] + radii * shape).astype(np.float32)
        scores = np.full((len(regions), 33), self.score, np.float32)
        return Poses(keypoints, scores, np.ones(len(regions), np.float32), regions)


def followed(networks: Networks, frames: int) -> tuple[list[list[int]], PeopleFinder]:
    finder = PeopleFinder(networks=networks)
    return ids([finder.step(picture(), frame / FPS, frame) for frame in range(frames)]), finder


def test_whom_no_detector_sees_any_longer_is_gone() -> None:
    """The detector sees somebody for a second; the keypoints go on, half sure, and the track does not."""
    script = [[box_at(300, 200)]] * FPS + [[]] * 4 * FPS
    seen, finder = followed(Networks(Told(script), Shadows(), {}), 5 * FPS)
    assert seen[FPS : 2 * FPS] == [[1]] * FPS
    assert seen[-FPS:] == [[]] * FPS
    assert finder.confirmed == {1}
    assert finder.gone_since(1) == pytest.approx(1.0, abs=0.3)


def test_whose_keypoints_are_beyond_doubt_needs_no_detector() -> None:
    certain = Shadows()
    certain.score = 0.95
    seen, finder = followed(Networks(Told([[box_at(300, 200)]] + [[]] * 5 * FPS), certain, {}), 5 * FPS)
    assert seen == [[1]] * 5 * FPS
    assert finder.gone_since(1) == np.inf


def test_the_second_detector_looks_for_whom_the_first_misses() -> None:
    first, second = Told([[]] * 20), Told([[box_at(300, 200)]] * 20)
    seen, _ = followed(Networks(first, Shadows(), {}, second=second), 20)
    assert seen == [[1]] * 20
    assert second.asked == [0, 13], "nobody was there, and half a second later"


def test_whom_the_lower_edge_cuts_off_is_looked_at_whole() -> None:
    finder_of_joints = Circles()
    box = np.array([200.0, 280, 300, 480])
    with PeopleFinder(networks=Networks(Told([[box]]), finder_of_joints, {})) as finder:
        finder.step(picture(), 0.0)
    (plain, _), (whole, _) = finder_of_joints.given
    assert plain.tolist() == [250, 380]
    assert whole.tolist() == [250, 480]
