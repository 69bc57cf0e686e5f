"""Running a lifter over a whole clip: windows, blended seams, mirror averaging. The one place that does it.

Shape suffixes: N frames of the clip, W windows, T frames of a window, J joints, C channels, D the 3 of a joint.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from vidpose.lifters import FrameEncoder, HypothesisLifter, Lifter
from vidpose.lifters.normalisation import PER_FRAME, turned
from vidpose.lifters.resampling import cubic, resampled, times_at

_BATCH_FRAMES = 2592
"""Frames of all windows of a batch on a CPU: more do not fit its cache. A GPU wants more to do at once."""

_GPU_BATCHES = 16

_AT_ONCE = 2048
"""Frames of a clip that go through what is shared between windows at once."""

_METRES_OF_BONES = 3.98
"""The sixteen bones of an adult laid end to end: mean of the 16 subjects of the CMU motion capture shards."""


@torch.inference_mode()
def lift(
    lifter: Lifter,
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    *,
    mirror: bool = True,
    metres: bool = True,
    overlap: bool = True,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """3D joints of one unbroken stretch of frames.

    A person who is not upright in the picture is turned upright by quarter turns, window by window, and back, where
    the lifter's normalisation forgets the place.

    Windows of a sequence lifter overlap by half and are blended with triangular weights, so that no seam shows; a
    shorter stretch is padded with its last frame. A lifter that answers for one frame of its window gets a window a
    frame, which at the ends repeats the first or last frame; what windows have in common is computed once.

    Args:
        lifter: in eval mode, on any device.
        keypoints: (N, J, 2) pixels in the lifter's input layout, NaN where absent.
        scores: (N, J) confidences, 0 where absent.
        image_size: (width, height) pixels.
        mirror: average with the mirrored prediction of the mirrored input.
        overlap: of a sequence lifter's windows; without it they lie end to end, as papers evaluate, and only the last
            one reaches back into the one before, whose answers it is averaged with.
        metres: bring the answer of a lifter whose units are the image's to metres.
        times: (N,) increasing seconds; a lifter that knows one frame rate gets the keypoints at that rate, and its
            answer is brought back to these. None: the frames have the lifter's rate.

    Returns:
        (N, J, 3) float32 metres relative to the root joint, in the frame of the camera, or of the ray to the root
        (`Lifter.in_ray_frame`); of a lifter that draws poses, the mean. Of a lifter whose units are the image's, the
        stretch is scaled to the bones of an average adult, or left in the units of its normalised input.
    """
    if times is not None and (own_times := times_at(times, lifter.config.fps)) is not None:
        there = resampled(keypoints, scores, times, own_times)
        lifted = lift(lifter, *there, image_size, mirror=mirror, metres=metres, overlap=overlap)
        return cubic(own_times, lifted, times).astype(np.float32)
    if isinstance(lifter, HypothesisLifter):
        drawn_HNJD = lift_hypotheses(lifter, keypoints, scores, image_size, mirror=mirror, overlap=overlap)
        return drawn_HNJD.mean(axis=0)
    return _lift(_Runner(lifter, image_size, mirror, overlap), keypoints, scores, metres)


@torch.inference_mode()
def lift_hypotheses(
    lifter: HypothesisLifter,
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    *,
    mirror: bool = True,
    overlap: bool = True,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """(H, N, J, 3) float32 metres: each hypothesis of a lifter that draws poses. Arguments as of `lift`."""
    if times is not None and (own_times := times_at(times, lifter.config.fps)) is not None:
        there = resampled(keypoints, scores, times, own_times)
        drawn_HMJD = lift_hypotheses(lifter, *there, image_size, mirror=mirror, overlap=overlap)
        return np.stack([cubic(own_times, drawn, times) for drawn in drawn_HMJD]).astype(np.float32)
    hypotheses, _ = lifter.drawn
    runners = [_Runner(lifter, image_size, mirror, overlap, number) for number in range(hypotheses)]
    return np.stack([_lift(runner, keypoints, scores, metres=True) for runner in runners])


@torch.inference_mode()
def doubts_of(
    lifter: Lifter,
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    joints: np.ndarray,
    *,
    mirror: bool = True,
) -> np.ndarray:
    """How sure a lifter is of what it lifted, if it says that at all.

    Args:
        keypoints, scores, image_size, mirror: as of `lift`.
        joints: (N, J, 3) what it gave.

    Returns:
        (N, J, 2) float32 metres, standard deviations of each joint against its parent: across the ray to the person,
        and along it; 0 of the root. (N, 0, 2) of a lifter that does not say.
    """
    doubt = lifter.doubt
    if doubt is None:
        return np.empty((len(joints), 0, 2), np.float32)
    runner = _Runner(lifter, image_size, mirror, overlap=False)
    pixels = np.concatenate([keypoints, scores[..., None]], axis=-1)[:, None].astype(np.float32)
    pixels_N1JC = torch.from_numpy(pixels).to(runner.device)
    turns_N = -lifter.upright(pixels_N1JC)
    joints_N1JD = turned(torch.from_numpy(joints)[:, None].to(runner.device), turns_N)
    views = runner.views(turned(pixels_N1JC, turns_N))
    answers = [
        doubt(view_N1JC[:, 0], posed_N1JD[:, 0])
        for view_N1JC, posed_N1JD in zip(views, (joints_N1JD, runner.mirrored(joints_N1JD)), strict=False)
    ]
    answers[1:] = [answer_NJ2[:, list(lifter.layout.mirror)] for answer_NJ2 in answers[1:]]
    doubts_NJ2 = torch.stack(answers).mean(dim=0)
    doubts_NJ2[:, lifter.layout.parents.index(-1)] = 0
    return doubts_NJ2.float().cpu().numpy()


def _lift(runner: _Runner, keypoints: np.ndarray, scores: np.ndarray, metres: bool) -> np.ndarray:
    lifter = runner.lifter
    clip_NJC = torch.from_numpy(np.concatenate([keypoints, scores[..., None]], axis=-1).astype(np.float32))
    clip_NJC = clip_NJC.to(runner.device)
    stride = lifter.config.frame_stride
    if lifter.predicts != "sequence":
        joints_NJD = runner.frame_by_frame(clip_NJC)
    else:
        joints_NJD = clip_NJC.new_empty(len(clip_NJC), len(lifter.layout), 3)
        for phase in range(min(stride, len(clip_NJC))):
            joints_NJD[phase::stride] = runner.blended(clip_NJC[phase::stride])
    root = lifter.layout.parents.index(-1)
    joints_NJD = joints_NJD - joints_NJD[:, [root]]
    if lifter.config.units == "image" and metres:
        children = [joint for joint, parent in enumerate(lifter.layout.parents) if parent >= 0]
        parents = [lifter.layout.parents[joint] for joint in children]
        bones_N = (joints_NJD[:, children] - joints_NJD[:, parents]).norm(dim=-1).sum(dim=-1)
        joints_NJD = joints_NJD * (_METRES_OF_BONES / bones_N.median().clamp_min(1e-6))
    return joints_NJD.float().cpu().numpy()


class _Runner:
    """A lifter with all that `lift` holds fixed for a clip.

    Args:
        number: of the hypothesis, of a lifter that draws poses.
    """

    def __init__(self, lifter: Lifter, image_size: tuple[int, int], mirror: bool, overlap: bool, number: int = 0):
        self.lifter, self.image_size, self.mirror, self.overlap = lifter, image_size, mirror, overlap
        self.number = number
        self.device = next((parameter.device for parameter in lifter.parameters()), torch.device("cpu"))
        batches = 1 if self.device.type == "cpu" else _GPU_BATCHES
        self.batch = max(1, _BATCH_FRAMES * batches // lifter.config.frames)

    def views(self, pixels_WTJC: torch.Tensor) -> list[torch.Tensor]:
        """Normalised input, and the mirrored one if it is wanted too."""
        inputs_WTJC = self.lifter.normalise(pixels_WTJC, self.image_size)
        if not self.mirror:
            return [inputs_WTJC]
        flip_C = inputs_WTJC.new_ones(inputs_WTJC.shape[-1])
        flip_C[0] = -1
        return [inputs_WTJC, (inputs_WTJC * flip_C)[:, :, list(self.lifter.input_layout.mirror)]]

    def average(self, answers: list[torch.Tensor]) -> torch.Tensor:
        """One answer of the answers to `views`."""
        if not self.mirror:
            return answers[0]
        joints_WTJD, mirrored_WTJD = answers
        return (joints_WTJD + self.mirrored(mirrored_WTJD)) / 2

    def mirrored(self, joints_WTJD: torch.Tensor) -> torch.Tensor:
        """Answers as a mirror shows them."""
        return joints_WTJD[:, :, list(self.lifter.layout.mirror)] * joints_WTJD.new_tensor([-1, 1, 1])

    def predict(self, pixels_WTJC: torch.Tensor) -> torch.Tensor:
        """Normalise windows and lift them."""
        turns_W = self.lifter.upright(pixels_WTJC)
        upright_WTJC = turned(pixels_WTJC, -turns_W) if turns_W.any() else pixels_WTJC
        views = self.views(upright_WTJC)
        if isinstance(self.lifter, HypothesisLifter):
            joints_WTJD = self.lifter.hypothesis(views[0], self.number, *views[1:])
        else:
            joints_WTJD = self.average([self.lifter(view) for view in views])
        return turned(joints_WTJD, turns_W) if turns_W.any() else joints_WTJD

    def blended(self, clip_NJC: torch.Tensor) -> torch.Tensor:
        """(N, J, C) -> (N, J, 3) by a sequence lifter."""
        length, window = len(clip_NJC), self.lifter.config.frames
        starts_W = _window_starts(length, window, max(1, window // 2) if self.overlap else window)
        rows_WT = (starts_W[:, None] + torch.arange(window)).clamp(max=length - 1)
        # A ramp up and down; its ends are not zero, since the first and the last frame lie in one window only.
        ramp_T = torch.arange(window, dtype=torch.float64, device=clip_NJC.device) + 1
        weights_T = torch.minimum(ramp_T, ramp_T.flip(0)) if self.overlap else torch.ones_like(ramp_T)
        weights_T11 = weights_T[:, None, None]
        total_NJD = clip_NJC.new_zeros(length, len(self.lifter.layout), 3, dtype=torch.float64)
        weight_N11 = clip_NJC.new_zeros(length, 1, 1, dtype=torch.float64)
        for starts, rows in zip(starts_W.split(self.batch), rows_WT.split(self.batch), strict=True):
            for start, joints_TJD in zip(starts.tolist(), self.predict(clip_NJC[rows]), strict=True):
                used = min(window, length - start)
                total_NJD[start : start + used] += weights_T11[:used] * joints_TJD[:used]
                weight_N11[start : start + used] += weights_T11[:used]
        return (total_NJD / weight_N11).float()

    def frame_by_frame(self, clip_NJC: torch.Tensor) -> torch.Tensor:
        """(N, J, C) -> (N, J, 3) by a lifter that answers for the centre frame or the last one."""
        config, length = self.lifter.config, len(clip_NJC)
        before = config.frames // 2 if self.lifter.predicts == "centre" else config.frames - 1
        if self.lifter.convolutional and config.frame_stride == 1 and config.normalisation in PER_FRAME:
            return self.convolved(clip_NJC, before)
        offsets_T = (torch.arange(config.frames) - before) * config.frame_stride
        rows_WT = (torch.arange(length)[:, None] + offsets_T).clamp(0, length - 1)
        predict = self.of_frames(clip_NJC)
        answers = [predict(rows) for rows in rows_WT.split(self.batch)]
        joints_NJD = torch.cat([joints[:, 0 if joints.shape[1] == 1 else before] for joints in answers]).float()
        if self.lifter.predicts == "last" and answers[0].shape[1] > 1:
            # Where there is no past yet, the first whole window answers (Hossain and Little, section 4).
            first_T = torch.arange(config.frames).clamp(max=length - 1)
            joints_NJD[:before] = predict(first_T[None])[0, : min(before, length)].float()
        return joints_NJD

    def of_frames(self, clip_NJC: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """What lifts windows of the clip, given the rows (W, T) they consist of.

        Windows that overlap share what a lifter computes for each frame on its own.
        """
        lifter = self.lifter
        if not isinstance(lifter, FrameEncoder) or lifter.config.normalisation not in PER_FRAME:
            return lambda rows_WT: self.predict(clip_NJC[rows_WT])
        encoded = [
            torch.cat([lifter.encode(part[None])[0] for part in view.split(_AT_ONCE)])
            for (view,) in self.views(clip_NJC[None])
        ]
        return lambda rows_WT: self.average([lifter.decode(features_ND[rows_WT]) for features_ND in encoded])

    def convolved(self, clip_NJC: torch.Tensor, before: int) -> torch.Tensor:
        """(N, J, C) -> (N, J, 3) by a convolution, all of whose windows share their work."""
        length, window = len(clip_NJC), self.lifter.config.frames
        rows = (torch.arange(length + window - 1) - before).clamp(0, length - 1)
        parts = []
        for start in range(0, length, _AT_ONCE):
            part = rows[start : min(start + _AT_ONCE, length) + window - 1]
            parts.append(self.predict(clip_NJC[part][None])[0].float())
        return torch.cat(parts)


def _window_starts(length: int, window: int, step: int) -> torch.Tensor:
    """First frames of windows; the last one ends with the stretch."""
    if length <= window:
        return torch.zeros(1, dtype=torch.long)
    starts = torch.arange(0, length - window, step)
    return torch.cat([starts, torch.tensor([length - window])])
