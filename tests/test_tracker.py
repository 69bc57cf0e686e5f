"""Who is who, on stick people that walk where they are told."""

import numpy as np
import pytest

from vidpose.body.skeletons import BLAZEPOSE_33
from vidpose.people.tracker import NOBODY, Tracker

SIZE = 200.0  # pixels, of a stick person from head to foot
_HEIGHTS = {"shoulder": -0.3, "elbow": -0.15, "wrist": 0.0, "hip": 0.0, "knee": 0.25, "ankle": 0.45, "heel": 0.5}


def person(x: float, y: float = 300.0, size: float = SIZE) -> np.ndarray:
    """(33, 2) keypoints of someone with the hips at x, y."""
    points = np.empty((len(BLAZEPOSE_33), 2))
    for i, joint in enumerate(BLAZEPOSE_33.joints):
        side = {"left": 0.12, "right": -0.12}.get(joint.split("_")[0], 0.0)
        height = next((h for name, h in _HEIGHTS.items() if name in joint), -0.45 if i < 11 else 0.5)
        points[i] = side * (0.3 if i < 11 else 1.0), height
    return (x, y) + size * points


def follow(tracker: Tracker, time: float, *people: np.ndarray | None, confidence: float = 0.9) -> list[int]:
    """Ids of the people in one frame; NOBODY where None stands for someone not seen."""
    seen = [p for p in people if p is not None]
    keypoints = np.array(seen).reshape(-1, len(BLAZEPOSE_33), 2)
    confidences = np.full(len(seen), confidence)
    ids = iter(tracker.update(time, keypoints, np.ones(keypoints.shape[:2]), confidences, confidences >= 0.5))
    return [int(next(ids)) if p is not None else NOBODY for p in people]


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(BLAZEPOSE_33)


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_people_who_cross_keep_their_ids_at_any_frame_rate(tracker: Tracker, fps: int) -> None:
    for time in np.arange(0, 4, 1 / fps):
        left, right = person(100 + 150 * time), person(700 - 150 * time, y=320)
        hidden = abs(time - 2) < 0.15  # the right one passes behind the left one
        ids = follow(tracker, time, left, None if hidden else right)
        assert ids == [1, NOBODY if hidden else 2]
    assert tracker.confirmed() == {1, 2}


def test_two_poses_of_one_body_count_once(tracker: Tracker) -> None:
    for frame in range(10):
        ids = follow(tracker, frame / 30, person(100 + frame), person(103 + frame), person(100 + frame, size=70))
        assert sorted(ids) == [NOBODY, NOBODY, 1]
    assert tracker.confirmed() == {1}


def test_the_elder_keeps_a_body_that_two_claim(tracker: Tracker) -> None:
    for frame in range(10):
        follow(tracker, frame / 30, person(300))
    assert follow(tracker, 10 / 30, person(300), person(350)) == [1, 2]
    assert follow(tracker, 11 / 30, person(325)) == [1]


def test_a_pose_called_by_the_other_side_is_the_same_person(tracker: Tracker) -> None:
    follow(tracker, 0, person(300))
    assert follow(tracker, 1 / 30, person(300)[list(BLAZEPOSE_33.mirror)]) == [1]


@pytest.mark.parametrize(("absence", "expected"), [(0.5, 1), (1.0, 2)])
def test_a_short_gap_is_bridged_and_a_long_one_is_not(tracker: Tracker, absence: float, expected: int) -> None:
    for time in np.arange(0, 1, 1 / 30):
        follow(tracker, time, person(100 + 100 * time))
    for time in np.arange(1, 1 + absence, 1 / 30):
        follow(tracker, time)
    assert follow(tracker, 1 + absence, person(100 + 100 * (1 + absence))) == [expected]


def test_one_frame_after_a_long_time_is_no_gap(tracker: Tracker) -> None:
    """One frame every two seconds: nobody is ever missing."""
    assert [follow(tracker, 2.0 * frame, person(300 + 5 * frame)) for frame in range(3)] == [[1], [1], [1]]
    assert tracker.confirmed() == {1}


@pytest.mark.parametrize("elsewhere", [person(700), person(300, size=60), person(300, y=900)])
def test_a_jump_is_somebody_else(tracker: Tracker, elsewhere: np.ndarray) -> None:
    for frame in range(5):
        follow(tracker, frame / 30, person(300))
    assert follow(tracker, 5 / 30, elsewhere) == [2]


def test_motion_goes_on_while_unseen(tracker: Tracker) -> None:
    for time in np.arange(0, 1, 1 / 30):
        follow(tracker, time, person(300 * time))
    shift = tracker.predict(1.0 + 0.1)[1]
    assert 25 < shift[0] < 45
    assert abs(shift[1]) < 1e-6
    follow(tracker, 1.1)
    assert tracker.predict(3.0) == {}


def test_an_unsure_pose_continues_somebody_but_is_nobody_new(tracker: Tracker) -> None:
    assert follow(tracker, 0, person(300), confidence=0.4) == [NOBODY]
    assert follow(tracker, 1 / 30, person(300)) == [1]
    assert follow(tracker, 2 / 30, person(302), confidence=0.4) == [1]
    assert follow(tracker, 3 / 30, person(360), confidence=0.4) == [NOBODY]


def test_what_is_seen_now_and_then_is_nobody(tracker: Tracker) -> None:
    for frame in range(60):
        follow(tracker, frame / 30, person(100), person(500) if frame % 4 == 0 else None)
    assert tracker.confirmed() == {1}


def test_what_has_another_pose_in_every_frame_is_nobody_unless_it_stays(tracker: Tracker) -> None:
    rng, confirmed = np.random.default_rng(0), []
    for frame in range(20):
        follow(tracker, frame / 30)
    for frame in range(20, 30):
        follow(tracker, frame / 30, person(500) + rng.normal(0, SIZE / 8, (33, 2)))
        confirmed.append(tracker.confirmed())
    assert confirmed == [set()] * 9 + [{1}]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_short_video_still_has_people(tracker: Tracker, frames: int) -> None:
    for frame in range(frames):
        follow(tracker, frame / 30, person(100))
    assert tracker.confirmed() == {1}


def test_three_frames_of_a_long_video_are_enough(tracker: Tracker) -> None:
    for frame in range(50):
        follow(tracker, frame / 30, person(100 + frame) if 20 <= frame < 23 else None)
    assert tracker.confirmed() == {1}


def test_only_the_most_prominent_are_kept(tracker: Tracker) -> None:
    for frame in range(30):
        late = person(900, size=150) if frame >= 15 else None
        follow(tracker, frame / 30, person(100, size=80), person(500), late)
    assert tracker.confirmed() == {1, 2, 3}
    assert tracker.confirmed(max_people=2) == {2, 1}
    assert tracker.confirmed(max_people=1) == {2}


def test_nobody_at_all(tracker: Tracker) -> None:
    assert [follow(tracker, frame / 30) for frame in range(3)] == [[], [], []]
    assert tracker.confirmed() == set()


def wearing(tracker: Tracker, time: float, *people: tuple[np.ndarray, str]) -> list[int]:
    """As `follow`, of people in clothes of one colour each: "r" or "b"."""
    keypoints = np.array([p for p, _ in people]).reshape(-1, len(BLAZEPOSE_33), 2)
    looks = np.array([[{"r": (0.9, 0.1), "b": (0.1, 0.9)}[colour]] for _, colour in people])
    ones = np.ones(len(people))
    return tracker.update(time, keypoints, np.ones(keypoints.shape[:2]), 0.9 * ones, ones > 0, looks).tolist()


def test_clothes_decide_who_turned_back_where_two_met(tracker: Tracker) -> None:
    """By their motion alone they would have walked on; one is hidden, and both go back to where they came from."""
    for frame in range(28):
        assert wearing(tracker, frame / 30, (person(100 + 6 * frame), "r"), (person(460 - 6 * frame), "b")) == [1, 2]
    for frame in range(28, 36):
        assert wearing(tracker, frame / 30, (person(280), "r")) == [1]
    for frame in range(36, 66):
        step = 12 + 6 * (frame - 35)
        assert wearing(tracker, frame / 30, (person(280 + step), "b"), (person(280 - step), "r")) == [2, 1]


def test_a_body_in_somebody_elses_clothes_is_not_taken_over(tracker: Tracker) -> None:
    """Who was hidden comes out where the other was about to be: the other is not given their body."""
    for frame in range(10):
        assert wearing(tracker, frame / 30, (person(300), "r"), (person(330), "b")) == [1, 2]
    assert wearing(tracker, 10 / 30, (person(302), "b")) == [2]
    assert wearing(tracker, 11 / 30, (person(302), "b"), (person(332), "r")) == [2, 1]


def test_in_doubt_somebody_who_was_hidden_gets_a_new_id(tracker: Tracker) -> None:
    """Two in the same clothes go behind a pillar, and come out of it one above the other: who is who, nobody knows."""
    for frame in range(20):
        assert follow(tracker, frame / 30, person(220 + 2 * frame), person(340 - 2 * frame)) == [1, 2]
    for frame in range(20, 35):
        follow(tracker, frame / 30)
    ids = follow(tracker, 35 / 30, person(280, y=280), person(280, y=320))
    assert not {1, 2} & set(ids)


@pytest.mark.parametrize(("colours", "may_go_on"), [("rr", False), ("rb", True)])
def test_of_two_dressed_alike_who_hide_each_other_both_end(tracker: Tracker, colours: str, may_go_on: bool) -> None:
    first, second = colours

    def step(frame: int) -> list[int]:
        x = 6.0 * (20 - frame)
        if 18 <= frame < 24:
            return wearing(tracker, frame / 25, (person(500.0), first))
        return wearing(tracker, frame / 25, (person(500.0 - x), first), (person(500.0 + x), second))

    ids = [step(frame) for frame in range(45)]
    assert ids[0] == ids[17] == [1, 2]
    assert set(ids[44]).isdisjoint(ids[0]) is not may_go_on
    assert ids[44][0] == ids[25][0] == ids[23][0], "from the meeting on, one id"


def test_somebody_who_is_forgotten_comes_back_as_somebody_new(tracker: Tracker) -> None:
    follow(tracker, 0.0, person(100), person(400))
    tracker.forget(1)
    assert follow(tracker, 0.03, person(100), person(400)) == [3, 2]
