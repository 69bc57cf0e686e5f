"""Annotated pictures as networks in training see them, against `TopDown`, OpenCV and colours that tell places."""

import json
import os
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from keypoint_pictures import SIZE, colours_of, pose, write_pictures
from PIL import Image

from vidpose.body.skeletons import COCO_17, H36M_17, Skeleton
from vidpose.common.errors import VidposeError
from vidpose.keypoint_data.coco_annotations import read_people, read_picture
from vidpose.keypoint_data.crops import cut, heatmaps, placing, to_fractions
from vidpose.keypoint_data.picture_augmentation import PLAIN, CropBatches, PictureAugmentation, augmented
from vidpose.keypoints.keypoint_network import KeypointNetwork, NetworkConfig, Processing
from vidpose.keypoints.top_down import TopDown, crop_regions, sample

LAYOUT = COCO_17
ALIGNMENTS = pytest.mark.parametrize("alignment", ["corner", "centre", "udp"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, LAYOUT, 6)
    return folder


@pytest.fixture(scope="module")
def people(folder):
    return read_people(folder, LAYOUT)


def test_joints_are_read_by_their_names(folder, people):
    np.testing.assert_allclose(people[2].keypoints, pose(LAYOUT, 2), atol=1e-4)
    assert people[2].size == SIZE
    in_h36m = read_people(folder / "annotations.json", H36M_17)[2]
    assert not in_h36m.labelled[H36M_17.index("pelvis")]
    knee = H36M_17.index("left_knee"), LAYOUT.index("left_knee")
    np.testing.assert_allclose(in_h36m.keypoints[knee[0]], people[2].keypoints[knee[1]])


def test_crowds_and_people_without_joints_are_left_out_and_hidden_ones_are_unlabelled(tmp_path):
    hidden = np.concatenate([pose(LAYOUT, 0), np.repeat([[0], [2]], (16, 1), axis=0)], axis=1)
    path = write_pictures(tmp_path, LAYOUT, 3, keypoints=hidden.ravel().tolist())
    content = json.loads(path.read_text())
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"][2]["keypoints"] = [0] * 51
    path.write_text(json.dumps(content))
    (person,) = read_people(path, LAYOUT)
    assert person.labelled.tolist() == [False] * 16 + [True]
    x, y, width, height = content["annotations"][0]["bbox"]
    np.testing.assert_allclose(person.box, [x, y, x + width, y + height], rtol=1e-6)


@ALIGNMENTS
@pytest.mark.parametrize("box", [(20, 10, 90, 80), (-20, -30, 60, 70)])
def test_crops_are_those_that_networks_are_given_later(alignment, box, people):
    processing = Processing(input_size=(64, 96), alignment=alignment)
    image = read_picture(people[0].picture)
    regions = crop_regions(np.array([box], float), processing)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = sample(planes, torch.from_numpy(regions).float(), processing)[0].permute(1, 2, 0).numpy()
    found = cut(image, placing(regions[0]), processing)
    assert expected.std() > 20
    assert np.abs(found - expected).max() < 0.51


@ALIGNMENTS
@pytest.mark.parametrize("mirrored", [False, True])
def test_every_pixel_of_a_crop_is_from_where_it_should_be(alignment, mirrored):
    columns, rows = np.meshgrid(np.arange(120), np.arange(100))
    places = np.stack([2 * columns, 2 * rows, np.full_like(rows, 200)], axis=-1).astype(np.uint8)
    processing = Processing(input_size=(24, 36), alignment=alignment)
    centre, size, turn = np.array([60.3, 49.1]), np.array([30.0, 45.0]), np.radians(25)
    crop = cut(places, placing(np.array([centre, size]), turn, mirrored), processing)
    for row, column in [(0, 0), (35, 23), (7, 19), (20, 3)]:
        x, y = {"corner": (column / 24, row / 36), "centre": ((column + 0.5) / 24, (row + 0.5) / 36),
                "udp": (column / 23, row / 35)}[alignment]  # fmt: skip
        right, down = (0.5 - x if mirrored else x - 0.5) * size[0], (y - 0.5) * size[1]
        turned = [right * np.cos(turn) - down * np.sin(turn), right * np.sin(turn) + down * np.cos(turn)]
        expected = centre + turned
        if alignment == "centre":
            expected -= 0.5  # the middle of the first pixel is (0.5, 0.5)
        np.testing.assert_allclose(crop[row, column], [*(2 * expected), 200], atol=0.51)


@pytest.mark.parametrize("kind", ["L", "P", "RGBA", "turned"])
def test_pictures_are_read_as_opencv_reads_them(kind, tmp_path):
    colours = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8), (40, 30))
    image = Image.fromarray(colours)
    if kind == "turned":
        path = tmp_path / "走.jpg"
        facts = Image.Exif()
        facts[0x112] = 6  # orientation: to be turned clockwise
        image.save(path, exif=facts)
        expected_shape = (40, 30, 3)
    else:
        path = tmp_path / "走.png"
        image.convert(kind).save(path)
        expected_shape = (30, 40, 3)
    expected = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert expected.shape == expected_shape
    np.testing.assert_array_equal(read_picture(path), expected)


class Told(KeypointNetwork):
    """Its heatmaps are what it is told."""

    name = "told"

    def __init__(self, answer: torch.Tensor):
        super().__init__(NetworkConfig())
        self.answer = answer

    def predictions(self, crops_BCHW):
        return (self.answer,)


@ALIGNMENTS
def test_heatmaps_are_read_back_as_the_joints_they_were_made_of(alignment, people):
    processing = Processing(input_size=(96, 128), alignment=alignment, decoding="dark", flip=False)
    person = people[1]
    placed = placing(crop_regions(person.box[None], processing)[0])
    places = torch.from_numpy(to_fractions(person.keypoints, placed))[None].float()
    maps, weights = heatmaps(places, (24, 32), processing, 2.0)
    assert maps.shape == (1, 17, 32, 24)
    assert weights.min() == 1
    keypoints, scores = TopDown(Told(maps), processing).locate(read_picture(person.picture), person.box[None])
    # A cell is about 4 pixels.
    np.testing.assert_allclose(keypoints[0], person.keypoints, atol=0.15)
    assert scores.min() > 0.9


def test_joints_without_a_label_or_far_outside_do_not_count():
    places = torch.tensor([[[0.5, 0.5], [np.nan, np.nan], [1.4, 0.5], [1.05, 0.5]]])
    maps, weights = heatmaps(places, (20, 20), Processing(input_size=(64, 64)), 2.0)
    assert weights.tolist() == [[1, 0, 0, 1]]
    assert torch.isfinite(maps).all()
    assert maps[0, 1:3].abs().max() == 0
    assert maps[0, 0].max() == 1


@pytest.mark.parametrize("how", [
    replace(PLAIN, turned=1.0, turn=80.0), replace(PLAIN, mirror=1.0), replace(PLAIN, scale=0.4),
    replace(PLAIN, shift=0.2),
    replace(PLAIN, half_body=1.0), PictureAugmentation(turned=1.0),
])  # fmt: skip
def test_joints_stay_on_their_dots(how, people):
    processing = Processing(input_size=(96, 128), alignment="centre")
    inside = 0
    for seed in range(8):
        pixels, places = augmented(people[3], LAYOUT, processing, how, np.random.default_rng(seed))
        column, row = np.floor(places * (96, 128)).astype(int).T
        there = (column >= 0) & (column < 96) & (row >= 0) & (row < 128)
        inside += there.sum()
        expected = colours_of(LAYOUT)
        if how.mirror == 1:
            expected = expected[list(LAYOUT.mirror)]
        elif how.mirror:
            continue
        assert np.abs(pixels[row[there], column[there]].astype(int) - expected[there]).max() < 8
    assert inside > 30


def test_what_is_varied_varies(people):
    processing = Processing(input_size=(96, 128))
    plain, _ = augmented(people[0], LAYOUT, processing, PLAIN, np.random.default_rng(0))
    for change in ("colour", "soften", "noise", "cover"):
        how = replace(PLAIN, **{change: 1.0 if change != "colour" else 0.5})
        changes = []
        for seed in range(4):
            pixels, places = augmented(people[0], LAYOUT, processing, how, np.random.default_rng(seed))
            changes.append(np.abs(pixels.astype(int) - plain).mean())
            assert np.isfinite(places).all()
        assert np.mean(changes) > 1, change


def test_colours_change_in_brightness_contrast_saturation_and_strength(people):
    processing = Processing(input_size=(96, 128))
    plain, _ = augmented(people[0], LAYOUT, processing, PLAIN, np.random.default_rng(0))
    seen = []
    for seed in range(6):
        found, _ = augmented(people[0], LAYOUT, processing, replace(PLAIN, colour=0.4), np.random.default_rng(seed))
        kept = ((found > 0) & (found < 255)).all(axis=-1)
        known = np.column_stack([plain[kept], np.ones(kept.sum())])
        matrix, *_ = np.linalg.lstsq(known, found[kept].astype(float), rcond=None)
        assert np.abs(known @ matrix - found[kept]).max() < 1.5
        # Grey times contrast and each channel's strength; the mean of the crop has no contrast.
        greys = matrix[:3].sum(axis=0)
        shares = matrix[:3].T / greys[:, None]
        saturation = 1 - (shares.sum() - np.trace(shares)) / 2
        luma = np.array([0.299, 0.587, 0.114])
        np.testing.assert_allclose(shares, saturation * np.eye(3) + (1 - saturation) * luma, atol=0.01)
        stays = matrix[3] / greys
        np.testing.assert_allclose(stays, stays.mean(), atol=1.5)
        contrast = 1 / (1 + stays.mean() / plain.mean())
        seen.append([saturation, contrast, *(greys / contrast)])
    assert (np.ptp(seen, axis=0) > 0.1).all()
    assert np.exp(-0.42) < np.min(np.array(seen)[:, :2])
    assert np.max(np.array(seen)[:, :2]) < np.exp(0.42)


def test_half_a_body_fills_the_crop(people):
    processing = Processing(input_size=(96, 128))
    lower = [LAYOUT.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "knee", "ankle")]
    upper = [joint for joint in range(len(LAYOUT)) if joint not in lower]
    seen = set()
    for seed in range(8):
        _, places = augmented(people[0], LAYOUT, processing, replace(PLAIN, half_body=1.0), np.random.default_rng(seed))
        middles = {half: (places[rows].min(axis=0) + places[rows].max(axis=0)) / 2
                   for half, rows in (("lower", lower), ("upper", upper))}  # fmt: skip
        centred = [half for half, middle in middles.items() if np.abs(middle - 0.5).max() < 1e-3]
        assert len(centred) == 1
        seen |= set(centred)
    assert seen == {"lower", "upper"}


def test_a_step_has_the_same_crops_whenever_and_in_whatever_shares(people):
    processing = Processing(input_size=(32, 32))
    batches = CropBatches(people, LAYOUT, processing, PictureAugmentation(colour=0.3, cover=0.5), 4, seed=5)
    assert len(batches) == 2
    batches[1]
    whole = batches[3]
    batches.share = slice(2, 4)
    torch.testing.assert_close(batches[3].pixels, whole.pixels[2:])
    torch.testing.assert_close(batches[3].places, whole.places[2:])
    other = CropBatches(people, LAYOUT, processing, PictureAugmentation(colour=0.3, cover=0.5), 4, seed=6)
    assert not torch.equal(other[3].pixels, whole.pixels)


def test_an_epoch_has_everyone(people):
    batches = CropBatches(people, LAYOUT, Processing(input_size=(32, 32)), PLAIN, 3, seed=0)
    plain = [augmented(p, LAYOUT, batches.processing, PLAIN, np.random.default_rng(0))[1] for p in people]
    for steps in ((0, 1), (2, 3)):
        places = np.concatenate([batches[step].places.numpy() for step in steps])
        nearest = [np.abs(places - np.float32(one)).max(axis=(1, 2)).argmin() for one in plain]
        assert sorted(nearest) == list(range(6))
    assert not torch.equal(batches[0].places, batches[2].places)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": 1, "annotations": [], "categories": []}', "\x00"])
def test_other_files_are_refused_in_one_line(content, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_text(content)
    with pytest.raises(VidposeError, match="not a COCO keypoint file") as caught:
        read_people(path, LAYOUT)
    assert "\n" not in str(caught.value)


def test_files_that_lack_something_are_refused(tmp_path):
    with pytest.raises(VidposeError, match=r"no annotations.json here; give a COCO keypoint file"):
        read_people(tmp_path, LAYOUT)
    path = write_pictures(tmp_path, LAYOUT, 1)
    with pytest.raises(VidposeError, match="nobody in it has a labelled joint of layout mpii16"):
        read_people(path, Skeleton("mpii16", ("tail",), (-1,)))
    write_pictures(tmp_path, LAYOUT, 1, bbox=[1, 2])
    with pytest.raises(VidposeError, match="not a COCO keypoint file"):
        read_people(path, LAYOUT)
    (tmp_path / "0.png").unlink()
    with pytest.raises(VidposeError, match=r"0.png: cannot be read as an image; the annotations name it"):
        read_picture(tmp_path / "0.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(VidposeError, match=r"pipe.png: a pipe or a device"):
        read_picture(tmp_path / "pipe.png")
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(VidposeError, match=r"0.png: cannot be read as an image"):
        read_picture(tmp_path / "0.png")
