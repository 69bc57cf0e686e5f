import numpy as np
import pytest

from vidpose.body.skeletons import COCO_17
from vidpose.people.looks import blended, likeness, look_at

RED, BLUE, GREY = (200, 40, 40), (40, 60, 190), (110, 110, 112)


def dressed(*people: tuple[int, tuple[int, int, int], tuple[int, int, int]], light: float = 1.0) -> np.ndarray:
    """A picture with someone at each x, in a shirt and trousers of those colours."""
    image = np.full((240, 320, 3), 190, np.uint8)
    for x, shirt, trousers in people:
        image[60:120, x - 25 : x + 25] = shirt
        image[120:200, x - 25 : x + 25] = trousers
    return np.clip(image * light, 0, 255).astype(np.uint8)


def standing(*xs: float) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and scores of people who stand at those x, in COCO's layout."""
    keypoints = np.zeros((len(xs), 17, 2), np.float32)
    for person, x in zip(keypoints, xs, strict=True):
        for name, y in (("shoulder", 65), ("hip", 120), ("knee", 180)):
            for side, sign in (("left", 1), ("right", -1)):
                person[COCO_17.index(f"{side}_{name}")] = x + sign * 20, y
    return keypoints, np.ones((len(xs), 17), np.float32)


def test_clothes_tell_people_apart_and_the_light_does_not() -> None:
    one = look_at(dressed((80, RED, GREY), (220, BLUE, GREY)), *standing(80, 220), COCO_17)
    two = look_at(dressed((220, RED, GREY), (80, BLUE, GREY), light=0.9), *standing(220, 80), COCO_17)
    alike = likeness(one, two)
    assert alike.diagonal().min() > 0.8
    assert max(alike[0, 1], alike[1, 0]) < 0.7
    np.testing.assert_allclose(one.sum(axis=-1), 1)


def test_a_part_that_cannot_be_seen_says_nothing() -> None:
    keypoints, scores = standing(80)
    scores[0, [COCO_17.index("left_knee"), COCO_17.index("right_knee")]] = 0
    upper = look_at(dressed((80, RED, GREY)), keypoints, scores, COCO_17)
    assert np.isfinite(upper[0, 0]).all()
    assert np.isnan(upper[0, 1]).all()
    other = look_at(dressed((80, RED, BLUE)), *standing(80), COCO_17)
    assert likeness(upper, other)[0, 0] == pytest.approx(1)
    np.testing.assert_array_equal(blended(upper[0], other[0], 0.1)[1], other[0, 1])
    assert np.isnan(look_at(dressed(), keypoints + 1000, np.ones((1, 17)), COCO_17)).all()
    assert np.isnan(likeness(np.full((1, 2, 5), np.nan), np.ones((1, 2, 5)))).all()


def test_nobody_has_no_look() -> None:
    looks = look_at(dressed(), np.empty((0, 17, 2)), np.empty((0, 17)), COCO_17)
    assert looks.shape[:2] == (0, 2)
    assert likeness(looks, looks).shape == (0, 0)
