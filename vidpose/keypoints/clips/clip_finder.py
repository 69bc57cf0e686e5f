"""2D keypoints by a network that looks at clips: it needs to know where everyone is before it can look at all.

    finder = ClipFinder(network, device="cuda")
    keypoints, scores = finder.locate([front_crops, side_crops])
    found = finder.follow(((frame.index, [frame.image]) for frame in reader), appearances)

The spatial module looks at every crop once, and its tokens are shared by windows that overlap by half; where they do,
answers are blended with triangular weights, so that no seam shows. Of crops and tokens no more is kept than a window's.

Shape suffixes: P people, V views, N frames, D width of a token, J joints, C colours, H and W pixels of a crop, X = 2
coordinates (x, y).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vidpose.body.skeletons import Skeleton
from vidpose.common.errors import VidposeError
from vidpose.keypoints.clips.clip_network import ClipNetwork
from vidpose.keypoints.keypoint_network import Processing
from vidpose.keypoints.top_down import crop_regions, sample


@dataclass(frozen=True)
class Appearance:
    """Where one person is.

    Attributes:
        first: number of the moment of the first boxes.
        boxes: (V, N, 4) pixels, x0 y0 x1 y1, in every view and moment; NaN where the person is out of sight.
    """

    first: int
    boxes: np.ndarray

    @property
    def end(self) -> int:
        return self.first + self.boxes.shape[1]


class ClipFinder:
    """A clip network, and what has to be done before and after it.

    Args:
        network: is moved to the device.
        device: on which to compute.
        batch: how many crops the spatial module sees at a time, about.
    """

    def __init__(self, network: ClipNetwork, *, device: str = "cpu", batch: int = 64) -> None:
        self._device, self._batch = torch.device(device), batch
        self._network = network.eval().to(self._device)
        self._processing = network.processing
        self._mean_C11, self._std_C11 = (
            torch.tensor(values, device=self._device).view(3, 1, 1)
            for values in (self._processing.mean, self._processing.std)
        )

    @property
    def layout(self) -> Skeleton:
        """The joints it finds."""
        return self._network.layout

    @property
    def views(self) -> int:
        """How many views it can look at together."""
        return self._network.views

    def check_views(self, name: str, views: int) -> None:
        """Raises VidposeError for more views than the network takes."""
        if views > self.views:
            raise VidposeError(
                f"{name}: {views} views, where {self._network.name} takes at most {self.views}; leave some out"
            )

    def check_clip(self, name: str, views: int, frames: int) -> None:
        """Raises VidposeError for a clip with more views than the network takes, or shorter than its window."""
        self.check_views(name, views)
        if frames < self._network.frames:
            raise VidposeError(
                f"{name}: {frames} frames, fewer than the {self._network.frames} that {self._network.name} looks at "
                f"together; use weights for fewer frames"
            )

    @torch.inference_mode()
    def locate(self, views: Sequence[np.ndarray | None], name: str = "clip") -> tuple[np.ndarray, np.ndarray]:
        """Find the joints of one person in crops of the same moments.

        Args:
            views: (N, H, W, 3) uint8 RGB of every view, of the network's size; None: there is nothing from this one.
            name: what an error calls the clip.

        Returns:
            (V, N, J, 2) float32 pixels of the crop, and (V, N, J) float32 scores; NaN and 0 where there is no view.

        Raises:
            VidposeError: too many views, views of unequal length, a clip shorter than the network's window, crops of
                another size, or no view at all.
        """
        lengths = {len(crops) for crops in views if crops is not None}
        if not lengths:
            raise VidposeError(f"{name}: there is nobody in any of its views")
        if len(lengths) > 1:
            counts = ", ".join("none" if crops is None else str(len(crops)) for crops in views)
            raise VidposeError(f"{name}: views of unequal length ({counts} frames); cut them to the same moments")
        length = lengths.pop()
        self.check_clip(name, len(views), length)
        width, height = self._processing.input_size
        if other := next((c.shape[1:] for c in views if c is not None and c.shape[1:] != (height, width, 3)), None):
            raise VidposeError(f"{name}: crops of shape {other}, where {(height, width, 3)} is due")
        windows = _Windows(self._network, len(views), length)
        present_V1 = torch.tensor([[crops is not None] for crops in views])
        waiting = []
        for frame in range(length):
            pictures_NHWC = np.stack([crops[frame] for crops in views if crops is not None])
            crops_NCHW = torch.as_tensor(pictures_NHWC, device=self._device).permute(0, 3, 1, 2).float()
            waiting.append(_Moment([windows], present_V1, list(self._standardised(crops_NCHW))))
            waiting = self._look_if_enough(waiting)
        self._look(waiting)
        fractions_VNJX, scores_VNJ = windows.answers()
        return fractions_VNJX * np.array([width, height], np.float32), scores_VNJ

    @torch.inference_mode()
    def follow(
        self, moments: Iterable[tuple[int, Sequence[np.ndarray | None]]], people: Sequence[Appearance]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Find the joints of people whose places are known.

        Args:
            moments: number, and (H, W, 3) uint8 RGB pictures of all views, of every moment in turn; None: there is
                nothing from this view then.
            people: all with as many views as there are pictures. Who appears for less than the network's window is
                looked at in a shorter one.

        Returns:
            For each, (V, N, J, 2) float32 pixels and (V, N, J) float32 scores, NaN and 0 where out of sight.
        """
        windows = [_Windows(self._network, *person.boxes.shape[:2]) for person in people]
        last = max((person.end for person in people), default=0)
        waiting: list[_Moment] = []
        for number, pictures in moments:
            if number >= last:
                break
            here = [i for i, person in enumerate(people) if person.first <= number < person.end]
            if here:
                boxes_VP4 = np.stack([people[i].boxes[:, number - people[i].first] for i in here], axis=1)
                waiting.append(self._cut([windows[i] for i in here], boxes_VP4, pictures))
            waiting = self._look_if_enough(waiting)
        self._look(waiting)
        return [
            _in_pictures(person.boxes, *some.answers(), self._processing)
            for person, some in zip(people, windows, strict=True)
        ]

    def _cut(
        self, windows: Sequence[_Windows], boxes_VP4: np.ndarray, pictures: Sequence[np.ndarray | None]
    ) -> _Moment:
        """The crops of everyone who is there at a moment, view by view."""
        has_area_VP = (boxes_VP4[..., 2:] > boxes_VP4[..., :2]).all(axis=-1)  # false for NaN, too
        present_VP = has_area_VP & np.array([picture is not None for picture in pictures])[:, None]
        crops: list[torch.Tensor] = []
        for picture, boxes_P4, present_P in zip(pictures, boxes_VP4, present_VP, strict=True):
            if present_P.any():
                picture_1CYX = torch.as_tensor(picture, device=self._device).permute(2, 0, 1)[None].float()
                regions = crop_regions(boxes_P4[present_P], self._processing)
                regions_P2X = torch.as_tensor(regions, dtype=torch.float32, device=self._device)
                crops.extend(self._standardised(sample(picture_1CYX, regions_P2X, self._processing)))
        return _Moment(windows, torch.as_tensor(present_VP), crops)

    def _standardised(self, crops_NCHW: torch.Tensor) -> torch.Tensor:
        return (crops_NCHW - self._mean_C11) / self._std_C11

    def _look_if_enough(self, moments: list[_Moment]) -> list[_Moment]:
        """Those that have to wait for more: all, or none, since they have been looked at."""
        if sum(len(moment.crops) for moment in moments) < self._batch:
            return moments
        self._look(moments)
        return []

    def _look(self, moments: Sequence[_Moment]) -> None:
        """Make tokens of the crops, and give everyone theirs."""
        crops = [crop for moment in moments for crop in moment.crops]
        width = self._network.head.in_features
        tokens_ND = self._network.spatial(torch.stack(crops)) if crops else torch.empty(0, width, device=self._device)
        parts = tokens_ND.split([len(moment.crops) for moment in moments])
        for moment, part_ND in zip(moments, parts, strict=True):
            tokens_VPD = part_ND.new_zeros(*moment.present_VP.shape, width)
            tokens_VPD[moment.present_VP] = part_ND
            for windows, tokens_VD, present_V in zip(
                moment.windows, tokens_VPD.transpose(0, 1), moment.present_VP.T, strict=True
            ):
                windows.push(tokens_VD, present_V)


@dataclass(frozen=True)
class _Moment:
    """Crops that wait for the spatial module: those of `present_VP`, one view after the other."""

    windows: Sequence[_Windows]
    present_VP: torch.Tensor
    crops: Sequence[torch.Tensor]


class _Windows:
    """One person's tokens as they come, and what the network says of them in windows."""

    def __init__(self, network: ClipNetwork, views: int, length: int) -> None:
        self._network, self._length = network, length
        self._step = max(1, network.frames // 2)
        self._tokens: deque[torch.Tensor] = deque(maxlen=network.frames)
        self._present: list[torch.Tensor] = []
        joints = len(network.layout)
        # x, y and score, times the weights of the windows that gave them, and those weights.
        self._sums_VNJ3 = np.zeros((views, length, joints, 3), np.float32)
        self._weights_N = np.zeros(length, np.float32)

    def push(self, tokens_VD: torch.Tensor, present_V: torch.Tensor) -> None:
        """Take the tokens of the next moment, of which those are zero that are not present."""
        self._tokens.append(tokens_VD)
        self._present.append(present_V)
        beyond = len(self._present) - self._network.frames
        if len(self._present) == self._length or (beyond >= 0 and beyond % self._step == 0):
            self._decode()

    def _decode(self) -> None:
        """Let the network look at the last tokens."""
        end, count = len(self._present), len(self._tokens)
        tokens_1VND = torch.stack(list(self._tokens), dim=1)[None]
        present_1VN = torch.stack(self._present[-count:], dim=1)[None].to(tokens_1VND.device)
        points_1VNJX, logits_1VNJ = self._network.decode(tokens_1VND, present_1VN)
        answers_VNJ3 = torch.cat([points_1VNJX, logits_1VNJ.sigmoid()[..., None]], dim=-1)[0].float().cpu().numpy()
        # Not zero at the ends, since the first and the last frame lie in one window only.
        ramp_N = np.minimum(np.arange(count), np.arange(count)[::-1]).astype(np.float32) + 1
        self._sums_VNJ3[:, end - count : end] += answers_VNJ3 * ramp_N[:, None, None]
        self._weights_N[end - count : end] += ramp_N

    def answers(self) -> tuple[np.ndarray, np.ndarray]:
        """(V, N, J, 2) fractions of the crops and (V, N, J) scores, NaN and 0 where nothing was present."""
        means_VNJ3 = self._sums_VNJ3 / self._weights_N[:, None, None]
        present_VN = torch.stack(self._present, dim=1).numpy()
        points_VNJX = np.where(present_VN[..., None, None], means_VNJ3[..., :2], np.nan)
        return points_VNJX, np.where(present_VN[..., None], means_VNJ3[..., 2], 0)


def _in_pictures(
    boxes_VN4: np.ndarray, fractions_VNJX: np.ndarray, scores_VNJ: np.ndarray, processing: Processing
) -> tuple[np.ndarray, np.ndarray]:
    """Fractions of the crops around boxes as pixels of the pictures, with their scores."""
    regions_M2X = crop_regions(boxes_VN4.reshape(-1, 4), processing)
    centres_VNX, sizes_VNX = (part.reshape(*boxes_VN4.shape[:2], 2) for part in regions_M2X.transpose(1, 0, 2))
    keypoints = centres_VNX[:, :, None] + (fractions_VNJX - 0.5) * sizes_VNX[:, :, None]
    return keypoints.astype(np.float32), scores_VNJ
