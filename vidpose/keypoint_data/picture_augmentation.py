"""Annotated people as a network in training sees them: crops that are turned, scaled, mirrored, recoloured, covered.

Turning, scaling, mirroring and half bodies are those of HRNet's training (Sun et al., CVPR 2019, section 4.1), covering
is Random Erasing (Zhong et al., AAAI 2020) around a joint; colours and blur stand for cameras that rendered pictures
have not been through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.utils.data import Dataset

from vidpose.body.skeletons import Skeleton
from vidpose.common.settings import Amount, Chance, Probability
from vidpose.keypoint_data.coco_annotations import AnnotatedPerson, read_picture
from vidpose.keypoint_data.crops import cut, placing, to_fractions
from vidpose.keypoints.keypoint_network import Processing
from vidpose.keypoints.top_down import crop_regions

_LOWER = ("hip", "knee", "ankle", "pelvis")
_HALF_MARGIN = 1.5  # of the box around half a body
_ENOUGH = 8  # labelled joints of a body that may be halved
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class PictureAugmentation:
    """How far crops depart from the annotated boxes, and pictures from what was taken. The defaults are HRNet's.

    Attributes:
        scale: the box is larger or smaller by up to this share.
        turn: degrees, standard deviation; at most twice that.
        turned: probability of turning at all.
        shift: of the box, by up to this share of its sides.
        mirror: probability.
        half_body: probability that the upper or lower half fills the crop, where enough joints are labelled.
        colour: how far brightness, contrast, saturation and each colour's strength go.
        soften: probability of blur, and of a lower resolution.
        noise: probability of noise.
        cover: probability of each of two patches over joints.
    """

    scale: Probability = 0.35
    turn: Amount = 45.0
    turned: Chance = 0.6
    shift: Chance = 0.0
    mirror: Chance = 0.5
    half_body: Chance = 0.3
    colour: Chance = 0.0
    soften: Chance = 0.0
    noise: Chance = 0.0
    cover: Chance = 0.0


PLAIN = PictureAugmentation(scale=0.0, turned=0.0, mirror=0.0, half_body=0.0)
"""Crops as annotated."""


class Crops(NamedTuple):
    """Crops of a batch and where their joints are.

    Attributes:
        pixels: (B, H, W, 3) uint8 RGB.
        places: (B, J, 2) float32 fractions of the crop (`crops`), NaN where unlabelled.
    """

    pixels: torch.Tensor
    places: torch.Tensor


def of_step(step: int, batch: int, count: int, seed: int) -> tuple[int, np.ndarray]:
    """The epoch of a step, and (batch,) numbers of the samples that it is made of, out of so many.

    Every epoch has each once, in another order; its last batch is filled up from the beginning.
    """
    epoch, number = divmod(step, -(-count // batch))
    order = np.random.default_rng((seed, 0, epoch)).permutation(count)
    return epoch, order[np.arange(number * batch, (number + 1) * batch) % count]


class CropBatches(Dataset):
    """Batches of crops by the numbers of their steps (`of_step`), the same ones whenever asked for.

    Args:
        people: to cut out.
        layout: of their keypoints.
        processing: what the network sees.
        batch: crops a step.
        seed: of order and augmentation.
        share: which of a step's crops to make.
    """

    def __init__(
        self,
        people: Sequence[AnnotatedPerson],
        layout: Skeleton,
        processing: Processing,
        augmentation: PictureAugmentation,
        batch: int,
        seed: int,
        share: slice = slice(None),
    ) -> None:
        self.people, self.layout, self.processing = people, layout, processing
        self.augmentation, self.batch, self.seed, self.share = augmentation, batch, seed, share

    def __len__(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.people) // self.batch)

    def __getitem__(self, step: int) -> Crops:
        """The crops of a step; raises VidposeError where a picture cannot be read."""
        _, chosen = of_step(step, self.batch, len(self.people), self.seed)
        crops = [
            augmented(
                self.people[who], self.layout, self.processing, self.augmentation,
                np.random.default_rng((self.seed, 1, step, row)),
            )
            for row, who in list(enumerate(chosen))[self.share]
        ]  # fmt: skip
        pixels, places = zip(*crops, strict=True)
        return Crops(torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(places).astype(np.float32)))


def augmented(
    person: AnnotatedPerson,
    layout: Skeleton,
    processing: Processing,
    how: PictureAugmentation,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 and (J, 2) fractions: a crop of a person, departing by chance.

    Raises:
        VidposeError: the picture cannot be read.
    """
    region = crop_regions(_box(person, layout, how, random), processing)[0]
    region[0] += how.shift * random.uniform(-1, 1, 2) * region[1]
    region[1] *= 1 + how.scale * random.uniform(-1, 1)
    turn = np.radians(how.turn * np.clip(random.normal(), -2, 2)) if random.random() < how.turned else 0.0
    mirrored = random.random() < how.mirror
    placed = placing(region, turn, mirrored)
    pixels = cut(read_picture(person.picture), placed, processing)
    places = to_fractions(person.keypoints, placed)
    if mirrored:
        places = places[list(layout.mirror)]
    return _retouched(pixels, places, how, random), places


def _box(
    person: AnnotatedPerson, layout: Skeleton, how: PictureAugmentation, random: np.random.Generator
) -> np.ndarray:
    """(1, 4) the person's, or now and then that of half the body."""
    labelled = person.labelled
    if labelled.sum() <= _ENOUGH or random.random() >= how.half_body:
        return person.box[None]
    lower = np.array([joint.endswith(_LOWER) for joint in layout.joints])
    half = labelled & (lower if random.random() < 0.5 else ~lower)
    if half.sum() < 3:
        return person.box[None]
    low, high = person.keypoints[half].min(axis=0), person.keypoints[half].max(axis=0)
    middle, reach = (low + high) / 2, _HALF_MARGIN * np.maximum(high - low, 1) / 2
    return np.concatenate([middle - reach, middle + reach])[None]


def _retouched(
    pixels: np.ndarray, places: np.ndarray, how: PictureAugmentation, random: np.random.Generator
) -> np.ndarray:
    """A crop with patches over joints, softened, recoloured and noisy."""
    for _ in range(2):
        if random.random() < how.cover:
            _cover(pixels, places, random)
    if how.soften or how.colour:
        pixels = np.array(_softened(Image.fromarray(pixels), pixels.mean(), how, random))
    if random.random() < how.noise:
        noise = random.uniform(1, 15) * random.standard_normal(pixels.shape, np.float32)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return pixels


def _softened(image: Image.Image, mean: float, how: PictureAugmentation, random: np.random.Generator) -> Image.Image:
    """A crop, whose mean that is, of less resolution, blurred and recoloured."""
    if random.random() < how.soften:
        share = random.uniform(0.25, 0.9)
        smaller = round(image.width * share), round(image.height * share)
        image = image.resize(smaller, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)
    if random.random() < how.soften:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.5)))
    return image.convert("RGB", _recolouring(mean, how.colour, random)) if how.colour else image


def _recolouring(mean: float, most: float, random: np.random.Generator) -> tuple[float, ...]:
    """The rows of a (3, 4) matrix that takes red, green, blue and 1 to other ones.

    Contrast is about the crop's mean, saturation about each pixel's grey.
    """
    gain, contrast, saturation = np.exp(most * random.uniform(-1, 1, 3))
    strengths = gain * np.exp(0.5 * most * random.uniform(-1, 1, 3))
    colours = contrast * (saturation * np.eye(3) + (1 - saturation) * _LUMA)
    matrix = strengths[:, None] * np.column_stack([colours, np.full(3, (1 - contrast) * mean)])
    return tuple(matrix.ravel().tolist())


def _cover(pixels: np.ndarray, places: np.ndarray, random: np.random.Generator) -> None:
    """Put a patch over a joint: of one colour, or from elsewhere in the crop."""
    height, width = pixels.shape[:2]
    there = np.flatnonzero(np.isfinite(places).all(axis=-1) & (places >= 0).all(axis=-1) & (places < 1).all(axis=-1))
    if not len(there):
        return
    centre = places[random.choice(there)] * (width, height)
    size = np.maximum(2, height * random.uniform(0.06, 0.25, 2)).astype(int)
    low = np.clip((centre - size / 2).astype(int), 0, (width - 1, height - 1))
    high = np.minimum(low + size, (width, height))
    patch = pixels[low[1] : high[1], low[0] : high[0]]
    if random.random() < 0.5:
        patch[:] = random.integers(0, 256, 3)
    else:
        x = random.integers(0, width - patch.shape[1] + 1)
        y = random.integers(0, height - patch.shape[0] + 1)
        patch[:] = pixels[y : y + patch.shape[0], x : x + patch.shape[1]].copy()
