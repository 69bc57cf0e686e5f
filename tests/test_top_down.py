"""Crops, heatmap decodings and the two around a network, against OpenCV, plain loops and pictures with known truth."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from keypoint_weights import recorded_shapes, weights

from vidpose.body.skeletons import COCO_17
from vidpose.common.errors import UsageError
from vidpose.keypoints.heatmaps import DECODINGS, decoding, mirrored
from vidpose.keypoints.keypoint_network import KeypointNetwork, NetworkConfig, Processing, load_network
from vidpose.keypoints.top_down import TopDown, crop_regions, sample

DATA = Path(__file__).parent / "data" / "keypoints"


class DotFinder(KeypointNetwork):
    """Its heatmaps are the crop's green at a quarter of the size, each joint's scaled by its number plus one."""

    name = "dot-finder"

    def __init__(self, alignment: str):
        super().__init__(NetworkConfig())
        self.alignment = alignment
        self.processing = Processing(
            input_size=(96, 128), mean=(0, 0, 0), std=(255, 255, 255), alignment=alignment, decoding="dark"
        )
        self.calls: list[int] = []

    def predictions(self, crops_BCHW):
        self.calls.append(len(crops_BCHW))
        green = crops_BCHW[:, 1:2]
        if self.alignment == "corner":
            cells = green[..., ::4, ::4]
        elif self.alignment == "centre":
            cells = torch.nn.functional.avg_pool2d(green, 4)
        else:
            size = green.shape[-2] // 4, green.shape[-1] // 4
            cells = torch.nn.functional.interpolate(green, size, mode="bilinear", align_corners=True)
        # Mirrored pairs alike, so that the flip test, which swaps them, changes nothing.
        rank = torch.tensor([1.0 + min(joint, other) for joint, other in enumerate(COCO_17.mirror)])
        return (cells * rank[:, None, None] / 17,)


def picture(dots, width: int = 320, height: int = 240, deviation: float = 12.0) -> np.ndarray:
    """Green Gaussian dots on black."""
    y, x = np.mgrid[:height, :width]
    green = sum(np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / (2 * deviation**2)) for dx, dy in dots)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 1] = np.round(255 * np.minimum(green, 1))
    return image


def boxes_around(dots, width: float = 75.0, height: float = 110.0) -> np.ndarray:
    dots = np.array(dots)
    corner = dots - [0.4 * width, 0.55 * height]
    return np.concatenate([corner, corner + np.array([width, height])], axis=1)


# Pixels have their coordinates at their middle for "corner" and "udp", and at their corner for "centre".
ALIGNMENTS = pytest.mark.parametrize(("alignment", "middle"), [("corner", 0.0), ("centre", 0.5), ("udp", 0.0)])


def test_a_recorded_picture_gives_mmpose_s_keypoints():
    # Heatmaps, hence scores, differ by the rounding of mmpose's crops to whole levels.
    with np.load(DATA / "hrnet-w4.npz") as recorded:
        network = load_network("hrnet-w32", weights(recorded_shapes(recorded["keys"])))
    with np.load(DATA / "pipeline-hrnet-w4.npz") as recorded:
        keypoints, scores = TopDown(network).locate(recorded["image"], recorded["boxes"])
        np.testing.assert_allclose(keypoints, recorded["keypoints"], atol=1e-3)
        np.testing.assert_allclose(scores, recorded["scores"], atol=5e-3)


@ALIGNMENTS
@pytest.mark.parametrize("flip", [False, True])
def test_dots_are_found_where_they_are(alignment, middle, flip):
    # In the middle; in crops that reach beyond two edges of the picture; in one that reaches beyond all.
    dots = [(150.3, 100.8), (40.2, 50.7), (284.4, 190.1), (160.6, 120.2)]
    boxes = np.concatenate([boxes_around(dots[:3], 140, 200), [(-100, -150, 420, 400)]])
    network = DotFinder(alignment)
    top_down = TopDown(network, replace(network.processing, flip=flip))
    for dot, box in zip(dots, boxes, strict=True):
        # A cell is a 24th of the crop's width. At "corner" a mirrored heatmap is off by a quarter of one when shifted.
        cell = crop_regions(box[None], network.processing)[0, 1, 0] / 24
        tolerance = 0.15 * cell if flip and alignment == "corner" else 0.03 * cell
        keypoints, scores = top_down.locate(picture([dot], deviation=1.4 * cell), box[None])
        assert np.abs(keypoints[0] - np.array(dot) - middle).max() < tolerance
        assert scores[0].argmax() == 15
        assert scores[0, 0] == pytest.approx(1 / 17, rel=0.2)


@pytest.mark.parametrize("alignment", ["centre", "udp"])
def test_the_flip_test_changes_nothing_for_a_symmetric_network(alignment):
    network, image = DotFinder(alignment), picture([(150.3, 100.8), (170, 130)])
    boxes = boxes_around([(150, 100)])
    with_flip, without = (
        TopDown(network, replace(network.processing, flip=flip)).locate(image, boxes) for flip in (True, False)
    )
    for a, b in zip(with_flip, without, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)
    assert network.calls == [2, 1]


def test_people_and_frames_in_batches_are_as_one_by_one():
    images = [picture([(60, 90), (200, 100)]), picture([(90, 50)], 200, 100), picture([(20, 20)])]
    boxes = [boxes_around([(60, 90), (200, 100), (120, 120)]), boxes_around([(90, 50)]), np.empty((0, 4))]
    network = DotFinder("corner")
    answers = TopDown(network, batch=3).locate_in_all(images, boxes)
    assert network.calls == [6, 2]
    assert [scores.shape for _, scores in answers] == [(3, 17), (1, 17), (0, 17)]
    alone = TopDown(network)
    for image, some, (keypoints, scores) in zip(images, boxes, answers, strict=True):
        for person, box in enumerate(some):
            expected, expected_scores = alone.locate(image, box[None])
            np.testing.assert_allclose(keypoints[person], expected[0], atol=1e-4)
            np.testing.assert_allclose(scores[person], expected_scores[0], atol=1e-5)


def test_nobody_is_in_a_box_that_cannot_hold_anyone():
    nan, image, network = np.nan, picture([(150, 100)]), DotFinder("corner")
    good = boxes_around([(150, 100)])[0]
    bad = [
        (10, 10, 10, 50), (10, 10, 50, 10), (50, 50, 10, 10), (0, 0, 0, 0), (nan, nan, nan, nan), (0, 0, np.inf, 9),
        (-50, 20, -1, 90), (320, 20, 400, 90), (20, -90, 60, 0), (20, 240, 60, 300),
    ]  # fmt: skip
    top_down = TopDown(network)
    keypoints, scores = top_down.locate(image, np.array([*bad, good], np.float32))
    assert np.isnan(keypoints[:-1]).all()
    assert (scores[:-1] == 0).all()
    assert network.calls == [2]
    np.testing.assert_allclose(keypoints[-1, 0], (150, 100), atol=1)
    assert np.isnan(top_down.locate(image, np.array(bad))[0]).all()
    assert network.calls == [2]


def test_no_boxes_and_no_pictures_are_no_people():
    top_down = TopDown(DotFinder("corner"))
    keypoints, scores = top_down.locate(picture([(9, 9)]), np.empty((0, 4)))
    assert keypoints.shape == (0, 17, 2)
    assert scores.shape == (0, 17)
    assert keypoints.dtype == scores.dtype == np.float32
    assert top_down.locate_in_all([], []) == []
    assert sample(torch.zeros(1, 3, 9, 9), torch.zeros(0, 2, 2), top_down._processing).shape == (0, 3, 128, 96)


def test_a_dark_crop_has_no_joints_and_says_so():
    keypoints, scores = TopDown(DotFinder("corner")).locate(np.zeros((1, 1, 3), np.uint8), np.array([[0, 0, 1, 1]]))
    assert (scores == 0).all()
    assert np.isfinite(keypoints).all()


def test_what_a_network_cannot_take_is_a_usage_error():
    network = DotFinder("corner")
    with pytest.raises(UsageError, match="dot-finder: crops of 100x128; it takes multiples of 32"):
        TopDown(network, Processing(input_size=(100, 128)))
    with pytest.raises(UsageError, match="unknown decoding 'best'; known are quarter, dark, udp, integral"):
        TopDown(network, Processing(decoding="best"))
    with pytest.raises(UsageError, match="half precision needs a GPU"):
        TopDown(network, half=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_half_precision_on_a_gpu_is_near():
    image, boxes, network = picture([(150, 100), (60, 120)]), boxes_around([(150, 100), (60, 120)]), DotFinder("udp")
    exact, half = (TopDown(network, device="cuda", half=half).locate(image, boxes)[0] for half in (False, True))
    assert np.abs(exact - half).max() < 0.2


def smooth_noise(width: int, height: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def cut(image: np.ndarray, box, processing: Processing) -> np.ndarray:
    regions = crop_regions(np.array([box]), processing)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    return sample(planes, torch.tensor(regions, dtype=torch.float32), processing)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("box", [(100, 40, 180, 200), (-30, 100, 120, 160), (500, 300, 700, 420)])
@pytest.mark.parametrize("alignment", ["corner", "udp"])
def test_crops_are_opencv_s(alignment, box):
    image, processing = smooth_noise(600, 400), Processing(alignment=alignment)
    centre, size = np.array([box[0] + box[2], box[1] + box[3]]) / 2, np.array([box[2] - box[0], box[3] - box[1]]) * 1.25
    size = np.array([max(size[0], 0.75 * size[1]), max(size[1], size[0] / 0.75)])
    low, high = centre - size / 2, centre + size / 2
    # Three corners of the region, and the pixels of the crop that they are.
    right, bottom = (192, 256) if alignment == "corner" else (191, 255)
    source = np.float32([low, (high[0], low[1]), (low[0], high[1])])
    matrix = cv2.getAffineTransform(source, np.float32([(0, 0), (right, 0), (0, bottom)]))
    expected = cv2.warpAffine(image, matrix, (192, 256), flags=cv2.INTER_LINEAR)
    # OpenCV places samples to a 32nd of a pixel.
    assert np.abs(cut(image, box, processing) - expected).max() < 3


def test_crops_between_pixel_corners_are_opencv_s_resizing():
    image, processing = smooth_noise(600, 400), Processing(alignment="centre", margin=(1.0, 1.0), input_size=(96, 128))
    expected = cv2.resize(image[100:260, 200:320], (96, 128), interpolation=cv2.INTER_LINEAR)
    # At its edge OpenCV sees no neighbours.
    inside = slice(1, -1)
    assert np.abs(cut(image, (200, 100, 320, 260), processing) - expected)[inside, inside].max() < 3


def test_margins_are_of_the_box_s_own_sides():
    regions = crop_regions(np.array([[0, 0, 100, 200], [0, 0, 300, 100]]), Processing(margin=(1.2, 1.3)))
    np.testing.assert_allclose(regions[:, 0], [(50, 100), (150, 50)])
    np.testing.assert_allclose(regions[:, 1], [(0.75 * 260, 260), (360, 480)])


def bumps(width: int = 24, height: int = 32) -> tuple[torch.Tensor, np.ndarray]:
    """(1, J, Y, X) Gaussians of deviation 2 with a little noise, and their places; some at the edges and corners."""
    rng = np.random.default_rng(0)
    places = rng.uniform((3.5, 3.5), (width - 4.5, height - 4.5), (40, 2))
    edges = [
        (0, 9),
        (1, 9),
        (2, 9),
        (22, 9),
        (21, 9),
        (23, 9),
        (9, 0),
        (9, 1),
        (9, 2),
        (9, 31),
        (9, 30),
        (0, 0),
        (23, 31),
    ]
    places = np.concatenate([places, edges])
    y, x = np.mgrid[:height, :width]
    maps = np.exp(-((x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2) / 8)
    maps += 0.01 * rng.uniform(size=maps.shape)
    return torch.tensor(maps, dtype=torch.float32)[None], places


def plain_quarter(heatmap, x, y):
    height, width = heatmap.shape
    dx = np.sign(heatmap[y, x + 1] - heatmap[y, x - 1]) if 1 < x < width - 1 and y > 0 else 0
    dy = np.sign(heatmap[y + 1, x] - heatmap[y - 1, x]) if 1 < y < height - 1 and x > 0 else 0
    return x + dx / 4, y + dy / 4


def blurred_logarithm(heatmap, low, high):
    border = cv2.copyMakeBorder(heatmap, 5, 5, 5, 5, cv2.BORDER_CONSTANT, value=0)
    blurred = cv2.GaussianBlur(border, (11, 11), 0)[5:-5, 5:-5]
    return np.log(np.clip(blurred * heatmap.max() / blurred.max(), low, high).astype(np.float64))


def plain_dark(heatmap, x, y):
    height, width = heatmap.shape
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return x, y
    # Central differences twice over.
    gradient_y, gradient_x = np.gradient(blurred_logarithm(heatmap, 1e-10, None))
    (xy, xx), (yy, _) = np.gradient(gradient_x), np.gradient(gradient_y)
    step = np.linalg.solve([[xx[y, x], xy[y, x]], [xy[y, x], yy[y, x]]], [gradient_x[y, x], gradient_y[y, x]])
    return x - step[0], y - step[1]


def plain_udp(heatmap, x, y):
    around = np.pad(blurred_logarithm(heatmap, 1e-3, 50), 1, mode="edge")[y : y + 3, x : x + 3]
    gradient = np.array([around[1, 2] - around[1, 0], around[2, 1] - around[0, 1]]) / 2
    second_x, second_y = (line @ [1, -2, 1] for line in (around[1], around[:, 1]))
    # Of the second differences along the diagonal, half is what the axes do not account for.
    mixed = (np.diag(around) @ [1, -2, 1] - second_x - second_y) / 2
    return np.array([x, y]) - np.linalg.solve([[second_x, mixed], [mixed, second_y]], gradient)


@pytest.mark.parametrize(("how", "plain"), [("quarter", plain_quarter), ("dark", plain_dark), ("udp", plain_udp)])
def test_decodings_are_as_plain_loops(how, plain):
    heatmaps, _ = bumps()
    heatmaps[0, 1] *= 0.0011  # so low that UDP raises what is around the peak
    points, scores = decoding(how)(heatmaps)
    for heatmap, point, score in zip(heatmaps[0].numpy(), points[0].numpy(), scores[0].numpy(), strict=True):
        y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
        np.testing.assert_allclose(point, plain(heatmap, int(x), int(y)), atol=2e-3)
        assert score == heatmap.max()


@pytest.mark.parametrize(("how", "error"), [("quarter", 0.36), ("dark", 0.05), ("udp", 0.1)])
def test_decodings_find_gaussians_between_cells(how, error):
    heatmaps, places = bumps()
    points, _ = decoding(how)(heatmaps)
    assert np.linalg.norm(points[0].numpy() - places, axis=1)[:40].max() < error


def test_the_integral_finds_the_mean_of_the_softmax():
    y, x = np.mgrid[:32, :24]
    logits = torch.tensor(-((x - 9.3) ** 2 + (y - 17.6) ** 2) / 8, dtype=torch.float32)[None, None]
    points, scores = decoding("integral")(logits)
    np.testing.assert_allclose(points[0, 0], (9.3, 17.6), atol=1e-3)
    # The density of a Gaussian of deviation 2 at its peak, 1 / (2 pi 4), but for the way to the nearest cell.
    assert scores[0, 0] == pytest.approx(np.exp(-(0.3**2 + 0.4**2) / 8) / (8 * np.pi), rel=1e-3)


@pytest.mark.parametrize("how", [how for how in DECODINGS if how != "integral"])
def test_a_heatmap_without_a_peak_has_no_joint(how):
    heatmaps, _ = bumps()
    heatmaps[0, 3], heatmaps[0, 5] = 0, -heatmaps[0, 5]
    points, scores = decoding(how)(heatmaps)
    others, _ = decoding(how)(bumps()[0])
    assert (points[0, [3, 5]] == -1).all()
    assert (scores[0, [3, 5]] <= 0).all()
    kept = [joint for joint in range(heatmaps.shape[1]) if joint not in (3, 5)]
    torch.testing.assert_close(points[0, kept], others[0, kept])


def test_mirrored_heatmaps_are_turned_back_and_swapped():
    heatmaps = torch.rand(2, 17, 4, 5, generator=torch.Generator().manual_seed(0))
    turned, shifted = (mirrored(heatmaps, COCO_17.mirror, shift=shift) for shift in (False, True))
    left, right = COCO_17.index("left_knee"), COCO_17.index("right_knee")
    for x in range(5):
        assert torch.equal(turned[:, left, :, x], heatmaps[:, right, :, 4 - x])
        assert torch.equal(turned[:, 0, :, x], heatmaps[:, 0, :, 4 - x])
        assert torch.equal(shifted[..., x], turned[..., max(x - 1, 0)])
