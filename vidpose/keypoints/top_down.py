"""2D keypoints by a heatmap network that looks at one person at a time, everyone's crops in one batch.

    top_down = TopDown(load_network("hrnet-w32", read_checkpoint(path)), device="cuda", half=True)
    keypoints, scores = top_down.locate(image, boxes)

A picture goes to the device once; crops are cut, standardised, looked at and decoded there, and only points come back.

Shape suffixes: N people, J joints, C = 3 colours, H and W height and width of a crop, Y and X those of a heatmap,
D = 2 coordinates (x, y).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import grid_sample

from vidpose.common.errors import UsageError
from vidpose.keypoints.heatmaps import decoding, mirrored
from vidpose.keypoints.keypoint_network import KeypointNetwork, Processing
from vidpose.keypoints.poses import BoxNetwork


class TopDown(BoxNetwork):
    """A network and what has to be done before and after it."""

    def __init__(
        self,
        network: KeypointNetwork,
        processing: Processing | None = None,
        *,
        device: str = "cpu",
        half: bool = False,
        batch: int = 64,
    ) -> None:
        """Take a network over: it is moved to the device, and with `half` its weights become float16.

        Args:
            processing: what its weights were trained with; None: as the network's public ones.
            device: on which to compute.
            half: in float16, which needs a GPU.
            batch: how many crops the network sees at a time, at most; each one twice if it is mirrored too.

        Raises:
            UsageError: the processing has no such size or decoding, or `half` on a CPU.
        """
        self.layout = network.layout
        self._processing = processing or network.processing
        width, height = self._processing.input_size
        if width % network.multiple or height % network.multiple:
            raise UsageError(f"{network.name}: crops of {width}x{height}; it takes multiples of {network.multiple}")
        self._decode = decoding(self._processing.decoding)
        if half and torch.device(device).type == "cpu":
            raise UsageError("half precision needs a GPU; leave it out, or choose another device")
        self._device, self._batch = torch.device(device), batch
        self._dtype = torch.float16 if half else torch.float32
        self._mean_C11, self._std_C11 = (
            torch.tensor(values, device=self._device).view(3, 1, 1)
            for values in (self._processing.mean, self._processing.std)
        )
        # Convolutions are faster with the channels last: by an eighth to a quarter on a CPU.
        self._network = network.eval().to(self._device, self._dtype).to(memory_format=torch.channels_last)

    def locate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the joints of the person in each box.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) pixels, x0 y0 x1 y1; may reach beyond the picture.

        Returns:
            (N, J, 2) float32 pixels, which may lie outside the picture, and (N, J) float32 scores: the heatmaps'
            maxima, 0 to 1 but for noise. A joint of score 0 or less was not found, and where it is means nothing. A box
            without area, outside the picture or not finite has nobody in it: NaN, and scores 0.
        """
        return self.locate_in_all([image], [boxes])[0]

    def locate_in_all(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `locate` for each picture with its boxes, batched over all of them; pictures may differ in size."""
        valid = [_has_content(b, image.shape) for image, b in zip(images, boxes, strict=True)]
        regions = [crop_regions(b[v], self._processing) for b, v in zip(boxes, valid, strict=True)]
        keypoints, scores = self._look(images, regions)
        answers, start = [], 0
        for is_valid in valid:
            answer = np.full((len(is_valid), len(self.layout), 2), np.nan, np.float32)
            answer_scores = np.zeros(answer.shape[:2], np.float32)
            end = start + int(is_valid.sum())
            answer[is_valid], answer_scores[is_valid] = keypoints[start:end], scores[start:end]
            answers.append((answer, answer_scores))
            start = end
        return answers

    @torch.inference_mode()
    def _look(self, images: Sequence[np.ndarray], regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(N, J, 2) pixels and (N, J) scores in the regions of all pictures, one after the other."""
        crops = [
            self._crop(image, torch.as_tensor(region, dtype=torch.float32, device=self._device))
            for image, region in zip(images, regions, strict=True)
            if len(region)
        ]
        if not crops:
            return np.empty((0, len(self.layout), 2), np.float32), np.empty((0, len(self.layout)), np.float32)
        found = [self._read(self._heatmaps(some)) for some in torch.cat(crops).split(self._batch)]
        fractions_NJD, scores_NJ = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
        centres_ND, sizes_ND = np.concatenate(regions).transpose(1, 0, 2)
        keypoints_NJD = centres_ND[:, None] + (fractions_NJD - 0.5) * sizes_ND[:, None]
        return keypoints_NJD.astype(np.float32), scores_NJ

    def _crop(self, image: np.ndarray, regions_N2D: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) standardised crops of one picture, black beyond its edge."""
        picture_1CYX = torch.as_tensor(image, device=self._device).permute(2, 0, 1)[None].float()
        crops_NCHW = sample(picture_1CYX, regions_N2D, self._processing)
        standardised_NCHW = (crops_NCHW - self._mean_C11) / self._std_C11
        return standardised_NCHW.to(self._dtype, memory_format=torch.channels_last)

    def _heatmaps(self, crops_NCHW: torch.Tensor) -> torch.Tensor:
        """(N, J, Y, X) float32, averaged with those of the mirrored crops if so desired."""
        if not self._processing.flip:
            return self._network(crops_NCHW).float()
        straight, turned = self._network(torch.cat([crops_NCHW, crops_NCHW.flip(-1)])).float().chunk(2)
        return (straight + mirrored(turned, self.layout.mirror, shift=self._processing.alignment == "corner")) / 2

    def _read(self, heatmaps_NJYX: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, J, 2) points as fractions of the crop, and (N, J) scores."""
        points_NJD, scores_NJ = self._decode(heatmaps_NJYX)
        size_D = torch.tensor(heatmaps_NJYX.shape[:-3:-1], device=heatmaps_NJYX.device)
        return _fractions(points_NJD, size_D, self._processing), scores_NJ


def crop_regions(boxes: np.ndarray, processing: Processing) -> np.ndarray:
    """(N, 2, 2) pixels, centre and size of what is cut out for each box, (N, 4): with margin, of the input's aspect."""
    boxes_N2D = np.asarray(boxes, np.float64).reshape(-1, 2, 2)
    centres_ND = boxes_N2D.mean(axis=1)
    sizes_ND = (boxes_N2D[:, 1] - boxes_N2D[:, 0]) * processing.margin
    scales_N = (sizes_ND / processing.input_size).max(axis=1)
    return np.stack([centres_ND, scales_N[:, None] * processing.input_size], axis=1)


def sample(picture_1CYX: torch.Tensor, regions_N2D: torch.Tensor, processing: Processing) -> torch.Tensor:
    """(N, C, H, W): regions of a picture, each (centre, size), bilinear at the input's size, zero beyond the edge."""
    width, height = processing.input_size
    grids = []
    for axis, (pixels, extent) in enumerate([(width, picture_1CYX.shape[-1]), (height, picture_1CYX.shape[-2])]):
        steps = torch.arange(pixels, device=picture_1CYX.device, dtype=torch.float32)
        fractions = _fractions(steps, pixels, processing)
        places = regions_N2D[:, 0, axis, None] + (fractions - 0.5) * regions_N2D[:, 1, axis, None]
        if processing.alignment == "centre":
            places = places - 0.5  # a pixel's own coordinates are its middle's here, not its corner's
        grids.append((2 * places + 1) / extent - 1)
    x_NW, y_NH = grids
    count = len(regions_N2D)
    grid_NHWD = torch.stack(
        [x_NW[:, None].expand(count, height, width), y_NH[..., None].expand(count, height, width)], dim=-1
    )
    # One tall picture of all crops: with one picture a crop, the source would be copied for every person.
    grid_1YXD = grid_NHWD.reshape(1, count * height, width, 2)
    tall_1CYX = grid_sample(picture_1CYX, grid_1YXD, padding_mode="zeros", align_corners=False)
    return tall_1CYX.view(picture_1CYX.shape[1], count, height, width).transpose(0, 1)


def _fractions(points: torch.Tensor, size: torch.Tensor | int, processing: Processing) -> torch.Tensor:
    """Where pixels or cells lie, as fractions of the crop: see `Processing.alignment`."""
    if processing.alignment == "udp":
        return points / (size - 1)
    return (points + (0.5 if processing.alignment == "centre" else 0)) / size


def _has_content(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(N,) bool: which of the boxes (N, 4) are finite, have an area, and some of it in a picture of that shape."""
    low, high = boxes[:, :2], boxes[:, 2:]
    overlap = np.minimum(high, (shape[1], shape[0])) > np.maximum(low, 0)
    return np.isfinite(boxes).all(axis=1) & (high > low).all(axis=1) & overlap.all(axis=1)
