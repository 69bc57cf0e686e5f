"""What a lifter does with each window of a clip: pixels in, metres out.

Here by torch. `graph_lifter.py` runs the graphs that `scripts/lifter_graph.py` made of it.

Shape suffixes: N frames of the clip, W windows, T frames of a window, J joints, C channels, D the 3 of a joint.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from vidpose.lifters.bfloat16 import products_of
from vidpose.lifters.lifter import FrameEncoder, HypothesisLifter, Lifter
from vidpose.lifters.lifter_config import PER_FRAME
from vidpose.lifters.normalisation import turned

_AT_ONCE = 2048
"""Frames of a clip that go through what is shared between windows at once."""


class WindowNetwork(nn.Module):
    """(W, T, J, 3) pixels and scores, and the picture's (width, height), to (W, T', J', 3) as `Lifter` has it.

    People are turned upright by quarter turns, and back, where the lifter may take them turned.

    Args:
        mirror: average with the mirrored prediction of the mirrored input.
        number: of the hypothesis, of a lifter that draws poses.
    """

    def __init__(self, lifter: Lifter, mirror: bool = True, number: int = 0):
        super().__init__()
        self.lifter, self.mirror, self.number = lifter, mirror, number

    def forward(self, pixels_WTJC: torch.Tensor, size: tuple[int, int] | torch.Tensor) -> torch.Tensor:
        turns_W = self.lifter.upright(pixels_WTJC)
        views = self.views(self._turned(pixels_WTJC, -turns_W), size)
        if isinstance(self.lifter, HypothesisLifter):
            joints_WTJD = self.lifter.hypothesis(views[0], self.number, *views[1:])
        else:
            joints_WTJD = self.average([self.lifter(view) for view in views])
        return self._turned(joints_WTJD, turns_W)

    def doubts(
        self, pixels_WTJC: torch.Tensor, joints_WJD: torch.Tensor, size: tuple[int, int] | torch.Tensor
    ) -> torch.Tensor:
        """(W, J', 2) metres: how far joints may be off that were given for the frames that windows are about.

        Args:
            joints_WJD: relative to the root.
        """
        doubt = self.lifter.doubt
        assert doubt is not None
        turns_W = -self.lifter.upright(pixels_WTJC)
        joints_W1JD = self._turned(joints_WJD[:, None], turns_W)
        views = self.views(self._turned(pixels_WTJC, turns_W), size)
        answers = [
            doubt(self.lifter.targets(view_WTJC, 1)[:, 0], posed_W1JD[:, 0])
            for view_WTJC, posed_W1JD in zip(views, (joints_W1JD, self._mirrored(joints_W1JD)), strict=False)
        ]
        answers[1:] = [answer_WJ2[:, list(self.lifter.layout.mirror)] for answer_WJ2 in answers[1:]]
        return torch.stack(answers).mean(dim=0)

    def views(self, pixels_WTJC: torch.Tensor, size: tuple[int, int] | torch.Tensor) -> list[torch.Tensor]:
        """Normalised input, and the mirrored one if it is wanted too."""
        width, height = size
        inputs_WTJC = self.lifter.normalise(pixels_WTJC, (width, height))
        if not self.mirror:
            return [inputs_WTJC]
        flip_C = inputs_WTJC.new_tensor([-1.0, 1.0, 1.0][: inputs_WTJC.shape[-1]])
        return [inputs_WTJC, (inputs_WTJC * flip_C)[:, :, list(self.lifter.input_layout.mirror)]]

    def average(self, answers: list[torch.Tensor]) -> torch.Tensor:
        """One answer of the answers to `views`."""
        if not self.mirror:
            return answers[0]
        joints_WTJD, mirrored_WTJD = answers
        return (joints_WTJD + self._mirrored(mirrored_WTJD)) / 2

    def _mirrored(self, joints_WTJD: torch.Tensor) -> torch.Tensor:
        return joints_WTJD[:, :, list(self.lifter.layout.mirror)] * joints_WTJD.new_tensor([-1.0, 1.0, 1.0])

    def _turned(self, vectors_WTJC: torch.Tensor, turns_W: torch.Tensor) -> torch.Tensor:
        return turned(vectors_WTJC, turns_W) if self.lifter.in_ray_frame else vectors_WTJC


class TorchWindows:
    """A lifter's `WindowNetwork` for the windows of clips of one picture size, arrays in and out.

    Attributes:
        on_gpu: it wants more windows at once.
    """

    def __init__(self, lifter: Lifter, image_size: tuple[int, int], mirror: bool, number: int = 0):
        self._lifter, self._size = lifter, image_size
        self._network = WindowNetwork(lifter, mirror, number)
        self._device = next((parameter.device for parameter in lifter.parameters()), torch.device("cpu"))
        self.on_gpu = self._device.type != "cpu"

    @torch.inference_mode()
    def predict(self, pixels_WTJC: np.ndarray) -> np.ndarray:
        """Normalise windows and lift them: (W, T, J, 3) pixels and scores to (W, T', J', 3)."""
        with products_of(self._lifter, self._device):
            return _array(self._network(self._tensor(pixels_WTJC), self._size))

    def of_frames(self, clip_NJC: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """What lifts windows of the clip, given the rows (W, T) they consist of.

        Windows that overlap share what a lifter computes for each frame on its own.
        """
        lifter, network = self._lifter, self._network
        if not isinstance(lifter, FrameEncoder) or lifter.config.normalisation not in PER_FRAME:
            return lambda rows_WT: self.predict(clip_NJC[rows_WT])
        with torch.inference_mode(), products_of(lifter, self._device):
            encoded = [
                torch.cat([lifter.encode(part[None])[0] for part in view.split(_AT_ONCE)])
                for (view,) in network.views(self._tensor(clip_NJC[None]), self._size)
            ]

        @torch.inference_mode()
        def decoded(rows_WT: np.ndarray) -> np.ndarray:
            with products_of(lifter, self._device):
                return _array(network.average([lifter.decode(features_ND[rows_WT]) for features_ND in encoded]))

        return decoded

    @torch.inference_mode()
    def doubts(self, pixels_NJC: np.ndarray, joints_NJD: np.ndarray) -> np.ndarray:
        """As `WindowNetwork.doubts`, of single frames."""
        pixels_N1JC = self._tensor(pixels_NJC[:, None])
        return _array(self._network.doubts(pixels_N1JC, self._tensor(joints_NJD), self._size))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self._device)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
