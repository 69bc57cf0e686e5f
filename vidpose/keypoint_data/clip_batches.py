"""Clips as a network in training sees them: windows of a person's crops, in step from several cameras.

The crops of one camera depart alike from what is annotated (`augmentation`), as if a wandering box had followed the
person; mirrored are all cameras or none, for a mirror image of one contradicts the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import UsageError
from vidpose.keypoint_data.clips import FilmedClip
from vidpose.keypoint_data.picture_augmentation import PictureAugmentation, augmented, of_step
from vidpose.keypoints.keypoint_network import Processing


class ClipCrops(NamedTuple):
    """Crops of a batch of clips and where their joints are.

    Attributes:
        pixels: (B, V, F, H, W, 3) uint8 RGB; black where not present.
        places: (B, V, F, J, 2) float32 fractions of the crop, NaN where unlabelled or not present.
        present: (B, V, F) bool.
    """

    pixels: torch.Tensor
    places: torch.Tensor
    present: torch.Tensor


class ClipBatches(Dataset):
    """Batches of clips by the numbers of their steps (`of_step`), the same ones whenever asked for.

    An epoch has every picture about once: a clip is cut into windows of F frames, from another frame on each time, and
    its views are dealt into groups of V, other ones each time. What is over at the ends is left out, so an epoch may
    miss up to F - 1 frames of a clip.

    Args:
        clips: to cut from; all with at least F frames.
        layout: of their keypoints.
        processing: what the network sees.
        views, frames: V and F, of the network.
        batch: clips a step.
        seed: of order and augmentation.
        missing: probability of each view that it is missing; one never is.
        share: which of a step's clips to make.

    Raises:
        UsageError: a clip is shorter than F.
    """

    def __init__(
        self,
        clips: Sequence[FilmedClip],
        layout: Skeleton,
        processing: Processing,
        augmentation: PictureAugmentation,
        views: int,
        frames: int,
        batch: int,
        seed: int,
        missing: float = 0.0,
        share: slice = slice(None),
    ) -> None:
        short = next((clip for clip in clips if len(clip) < frames), None)
        if short:
            raise UsageError(
                f"clip {short.number} has {len(short)} frames, fewer than the {frames} that the network looks at; "
                "use fewer (`frames`), or longer clips"
            )
        self.clips, self.layout, self.processing, self.augmentation = clips, layout, processing, augmentation
        self.views, self.frames, self.batch, self.seed, self.missing = views, frames, batch, seed, missing
        self.share = share
        # Clip, window and group of views.
        self.samples = [
            (clip, window, group)
            for clip, content in enumerate(clips)
            for window in range(len(content) // frames)
            for group in range(-(-len(content.views) // views))
        ]

    def __len__(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.samples) // self.batch)

    def __getitem__(self, step: int) -> ClipCrops:
        """The crops of a step; raises VidposeError where a picture cannot be read."""
        epoch, chosen = of_step(step, self.batch, len(self.samples), self.seed)
        rows = list(enumerate(chosen))[self.share]
        crops = [self._crops(self.samples[who], epoch, (step, row)) for row, who in rows]
        return ClipCrops(*(torch.from_numpy(np.stack(parts)) for parts in zip(*crops, strict=True)))

    def _crops(
        self, sample: tuple[int, int, int], epoch: int, place: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels, places and presence of a sample: a group of views in a window of a clip."""
        clip, window, group = sample
        content = self.clips[clip]
        # Common to all windows and groups of the clip in this epoch, so that they are not the same pictures.
        dealt = np.random.default_rng((self.seed, 2, epoch, clip))
        first = dealt.integers(len(content) % self.frames + 1) + window * self.frames
        views = np.sort(dealt.permutation(len(content.views))[group * self.views : (group + 1) * self.views])
        random = np.random.default_rng((self.seed, 3, *place))
        mirrored = random.random() < self.augmentation.mirror
        there = random.random(len(views)) >= self.missing
        there[random.integers(len(views))] = True
        width, height = self.processing.input_size
        pixels = np.zeros((self.views, self.frames, height, width, 3), np.uint8)
        places = np.full((self.views, self.frames, len(self.layout), 2), np.nan, np.float32)
        present = np.zeros((self.views, self.frames), bool)
        how = replace(self.augmentation, mirror=float(mirrored))
        for row in np.flatnonzero(there).tolist():
            people = content.views[views[row]].people[first : first + self.frames]
            for frame, person in enumerate(people):
                if person.labelled.any():
                    # The same chances in every frame of a view.
                    random = np.random.default_rng((self.seed, 4, *place, row))
                    crop = augmented(person, self.layout, self.processing, how, random)
                    pixels[row, frame], places[row, frame] = crop
                    present[row, frame] = True
        return pixels, places, present
