"""Running a lifter over a whole clip: windows, blended seams, mirror averaging. The one place that does it.

Shape suffixes: N frames of the clip, W windows, T frames of a window, J joints, C channels, D the 3 of a joint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from vidpose.body.skeletons import METRES_OF_BONES
from vidpose.lifters.graph_lifter import GraphLifter, GraphWindows
from vidpose.lifters.lifter_config import PER_FRAME
from vidpose.lifters.resampling import cubic, resampled, shortened, times_at

if TYPE_CHECKING:
    from vidpose.lifters import HypothesisLifter, Lifter
    from vidpose.lifters.window_network import TorchWindows

Advance = Callable[[float], None]
"""Called with each share of the work that is done; they add up to one."""

_BATCH_FRAMES = 2592
"""Frames of all windows of a batch on a CPU: more do not fit its cache. A GPU wants more to do at once."""

_GPU_BATCHES = 16

_CONVOLVED = 2048
"""Frames of a clip that a convolution answers for at once."""


def lift(
    lifter: Lifter | GraphLifter,
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    *,
    mirror: bool = True,
    metres: bool = True,
    overlap: bool = True,
    whole: bool = False,
    times: np.ndarray | None = None,
    advance: Advance | None = None,
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
        whole: treat a lifter that learns from all frames of its window as a sequence lifter, though its paper uses only
            one of them. A frame then costs two windows' share, and no window of its own.
        metres: bring the answer of a lifter whose units are the image's to metres.
        times: (N,) increasing seconds; a lifter that knows one frame rate gets the keypoints at that rate, and its
            answer is brought back to these. None: the frames have the lifter's rate.
        advance: called as the work goes on.

    Returns:
        (N, J, 3) float32 metres relative to the root joint, in the frame of the camera, or of the ray to the root
        (`Lifter.in_ray_frame`); of a lifter that draws poses, the mean. Of a lifter whose units are the image's, the
        stretch is scaled to the bones of an average adult, or left in the units of its normalised input.
    """
    times = None if times is None else shortened(times)
    if times is not None and (own_times := times_at(times, lifter.config.fps)) is not None:
        there = resampled(keypoints, scores, times, own_times)
        lifted = lift(
            lifter, *there, image_size, mirror=mirror, metres=metres, overlap=overlap, whole=whole, advance=advance
        )
        return cubic(own_times, lifted, times).astype(np.float32)
    if _draws(lifter):
        drawn_HNJD = lift_hypotheses(
            lifter, keypoints, scores, image_size, mirror=mirror, overlap=overlap, advance=advance
        )
        return drawn_HNJD.mean(axis=0)
    runner = _Runner(lifter, image_size, mirror, overlap, advance=advance)
    return _lift(runner, keypoints, scores, metres, whole and lifter.learns_all)


def lift_hypotheses(
    lifter: HypothesisLifter,
    keypoints: np.ndarray,
    scores: np.ndarray,
    image_size: tuple[int, int],
    *,
    mirror: bool = True,
    overlap: bool = True,
    times: np.ndarray | None = None,
    advance: Advance | None = None,
) -> np.ndarray:
    """(H, N, J, 3) float32 metres: each hypothesis of a lifter that draws poses. Arguments as of `lift`."""
    times = None if times is None else shortened(times)
    if times is not None and (own_times := times_at(times, lifter.config.fps)) is not None:
        there = resampled(keypoints, scores, times, own_times)
        drawn_HMJD = lift_hypotheses(lifter, *there, image_size, mirror=mirror, overlap=overlap, advance=advance)
        return np.stack([cubic(own_times, drawn, times) for drawn in drawn_HMJD]).astype(np.float32)
    hypotheses, _ = lifter.drawn
    runners = [
        _Runner(lifter, image_size, mirror, overlap, number, share=1 / hypotheses, advance=advance)
        for number in range(hypotheses)
    ]
    return np.stack([_lift(runner, keypoints, scores, metres=True) for runner in runners])


def doubts_of(
    lifter: Lifter | GraphLifter,
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
    if not lifter.config.doubt:
        return np.empty((len(joints), 0, 2), np.float32)
    pixels_NJC = np.concatenate([keypoints, scores[..., None]], axis=-1)
    windows = _windows_of(lifter, image_size, mirror)
    batch = _batch_of(lifter, windows)
    parts = [slice(first, first + batch) for first in range(0, len(joints), batch)]
    doubts_NJ2 = np.concatenate([windows.doubts(pixels_NJC[part], joints[part]) for part in parts])
    doubts_NJ2[:, lifter.layout.parents.index(-1)] = 0
    return doubts_NJ2


def _lift(runner: _Runner, keypoints: np.ndarray, scores: np.ndarray, metres: bool, whole: bool = False) -> np.ndarray:
    lifter = runner.lifter
    clip_NJC = np.concatenate([keypoints, scores[..., None]], axis=-1, dtype=np.float32)
    stride = lifter.config.frame_stride
    if lifter.predicts != "sequence" and not whole:
        joints_NJD = runner.frame_by_frame(clip_NJC)
    else:
        joints_NJD = np.empty((len(clip_NJC), len(lifter.layout), 3), np.float32)
        runner.share /= min(stride, len(clip_NJC))
        for phase in range(min(stride, len(clip_NJC))):
            joints_NJD[phase::stride] = runner.blended(clip_NJC[phase::stride])
    root = lifter.layout.parents.index(-1)
    joints_NJD -= joints_NJD[:, [root]].copy()
    if lifter.config.units == "image" and metres:
        children = [joint for joint, parent in enumerate(lifter.layout.parents) if parent >= 0]
        parents = [lifter.layout.parents[joint] for joint in children]
        bones_N = np.linalg.norm(joints_NJD[:, children] - joints_NJD[:, parents], axis=-1).sum(axis=-1)
        joints_NJD = joints_NJD * np.float32(METRES_OF_BONES / max(np.median(bones_N), 1e-6))
    return joints_NJD


class _Runner:
    """A lifter with all that `lift` holds fixed for a clip.

    Args:
        number: of the hypothesis, of a lifter that draws poses.
        share: of the whole work, that each call of a method is.
        advance: called as it goes on.
    """

    def __init__(
        self,
        lifter: Lifter | GraphLifter,
        image_size: tuple[int, int],
        mirror: bool,
        overlap: bool,
        number: int = 0,
        share: float = 1,
        advance: Advance | None = None,
    ):
        self.lifter, self.overlap, self.share, self.advance = lifter, overlap, share, advance
        self.windows = _windows_of(lifter, image_size, mirror, number)
        self.batch = _batch_of(lifter, self.windows)

    def parts(self, count: int, at_once: int) -> Iterator[slice]:
        """Of so many windows or frames, those that are computed at once."""
        for first in range(0, count, at_once):
            yield slice(first, min(first + at_once, count))
            if self.advance:
                self.advance(self.share * min(at_once, count - first) / count)

    def blended(self, clip_NJC: np.ndarray) -> np.ndarray:
        """(N, J, C) -> (N, J, 3) by a sequence lifter."""
        length, window = len(clip_NJC), self.lifter.config.frames
        starts_W = _window_starts(length, window, max(1, window // 2) if self.overlap else window)
        rows_WT = (starts_W[:, None] + np.arange(window)).clip(max=length - 1)
        # A ramp up and down; its ends are not zero, since the first and the last frame lie in one window only.
        ramp_T = np.arange(window) + 1.0
        weights_T = np.minimum(ramp_T, ramp_T[::-1]) if self.overlap else np.ones(window)
        weights_T11 = weights_T[:, None, None]
        total_NJD = np.zeros((length, len(self.lifter.layout), 3))
        weight_N11 = np.zeros((length, 1, 1))
        for some in self.parts(len(starts_W), self.batch):
            for start, joints_TJD in zip(starts_W[some], self.windows.predict(clip_NJC[rows_WT[some]]), strict=True):
                used = min(window, length - start)
                total_NJD[start : start + used] += weights_T11[:used] * joints_TJD[:used]
                weight_N11[start : start + used] += weights_T11[:used]
        total_NJD /= weight_N11
        return total_NJD.astype(np.float32)

    def frame_by_frame(self, clip_NJC: np.ndarray) -> np.ndarray:
        """(N, J, C) -> (N, J, 3) by a lifter that answers for the centre frame or the last one."""
        config, length = self.lifter.config, len(clip_NJC)
        before = config.frames // 2 if self.lifter.predicts == "centre" else config.frames - 1
        if self.lifter.convolutional and config.frame_stride == 1 and config.normalisation in PER_FRAME:
            return self.convolved(clip_NJC, before)
        offsets_T = (np.arange(config.frames) - before) * config.frame_stride
        rows_WT = (np.arange(length)[:, None] + offsets_T).clip(0, length - 1)
        predict = self.windows.of_frames(clip_NJC)
        answers = [predict(rows_WT[some]) for some in self.parts(length, self.batch)]
        joints_NJD = np.concatenate([joints[:, 0 if joints.shape[1] == 1 else before] for joints in answers])
        if self.lifter.predicts == "last" and answers[0].shape[1] > 1:
            # Where there is no past yet, the first whole window answers (Hossain and Little, section 4).
            first_T = np.arange(config.frames).clip(max=length - 1)
            joints_NJD[:before] = predict(first_T[None])[0, : min(before, length)]
        return joints_NJD

    def convolved(self, clip_NJC: np.ndarray, before: int) -> np.ndarray:
        """(N, J, C) -> (N, J, 3) by a convolution, all of whose windows share their work."""
        length, window = len(clip_NJC), self.lifter.config.frames
        rows = (np.arange(length + window - 1) - before).clip(0, length - 1)
        parts = []
        for some in self.parts(length, _CONVOLVED):
            part = rows[some.start : some.stop + window - 1]
            parts.append(self.windows.predict(clip_NJC[part][None])[0])
        return np.concatenate(parts)


def _windows_of(
    lifter: Lifter | GraphLifter, image_size: tuple[int, int], mirror: bool, number: int = 0
) -> TorchWindows | GraphWindows:
    if isinstance(lifter, GraphLifter):
        assert mirror
        return GraphWindows(lifter, image_size)
    from vidpose.lifters.window_network import TorchWindows

    return TorchWindows(lifter, image_size, mirror, number)


def _batch_of(lifter: Lifter | GraphLifter, windows: TorchWindows | GraphWindows) -> int:
    """How many windows are computed at once."""
    return max(1, _BATCH_FRAMES * (_GPU_BATCHES if windows.on_gpu else 1) // lifter.config.frames)


def _draws(lifter: Lifter | GraphLifter) -> TypeGuard[HypothesisLifter]:
    if isinstance(lifter, GraphLifter):
        return False
    from vidpose.lifters import HypothesisLifter

    return isinstance(lifter, HypothesisLifter)


def _window_starts(length: int, window: int, step: int) -> np.ndarray:
    """First frames of windows; the last one ends with the stretch."""
    if length <= window:
        return np.zeros(1, int)
    return np.append(np.arange(0, length - window, step), length - window)
