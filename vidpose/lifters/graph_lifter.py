"""Lifters that come with vidpose, by ONNX Runtime: torch's answers, without loading torch.

Their graphs are made of `WindowNetwork` by `scripts/lifter_graph.py`, and read the weights that torch reads.

Shape suffixes: N frames of the clip, W windows, T frames of a window, J joints, C channels, D the 3 of a joint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vidpose.body.skeletons import get_skeleton
from vidpose.lifters.lifter_config import LifterConfig, Predicts
from vidpose.runtimes.onnx_network import OnnxGraph

PIXELS, SIZE, SEEN, POSED = "pixels", "size", "seen", "posed"
"""Inputs: (W, T, J, 3) pixels and scores, (2,) width and height of the picture; and, of a lifter that says how sure it
is, (N, J, 3) pixels and scores of frames, and (N, J, 3) the joints that it is to say it of."""

JOINTS, DOUBTS = "joints", "doubts"
"""Outputs: (W, T', J, 3), and (N, J, 2), as of `WindowNetwork`."""


class GraphLifter:
    """What `lift` and who calls it need of a `Lifter`, whose attributes these are; it looks into mirrors always.

    Attributes:
        run: gives the graph's outputs, see `OnnxGraph`.

    Args:
        name: of the lifter.
        config: its settings, of which those that every lifter has matter here.
        predicts: as its class says.
        graph: the file.
        threads: of the CPU to use; None: as many as there are.
    """

    convolutional = False
    learns_all = False
    half_products = False

    def __init__(
        self, name: str, config: Mapping[str, Any], predicts: Predicts, graph: Path, threads: int | None = None
    ):
        self.name, self.predicts = name, predicts
        own = LifterConfig.__dataclass_fields__
        self.config = LifterConfig(**{key: value for key, value in config.items() if key in own})
        self.layout = get_skeleton(self.config.layout)
        self.input_layout = get_skeleton(self.config.input_layout or self.config.layout)
        self.run = OnnxGraph(graph, threads)

    @property
    def in_ray_frame(self) -> bool:
        """As `LifterConfig.in_ray_frame`."""
        return self.config.in_ray_frame


class GraphWindows:
    """A `GraphLifter` for the windows of clips of one picture size; see `TorchWindows`."""

    on_gpu = False

    def __init__(self, lifter: GraphLifter, image_size: tuple[int, int]):
        self._lifter, self._size = lifter, np.array(image_size, np.float32)

    def predict(self, pixels_WTJC: np.ndarray) -> np.ndarray:
        inputs = {PIXELS: pixels_WTJC}
        if self._lifter.config.doubt:
            inputs |= {SEEN: pixels_WTJC[:1, 0], POSED: np.zeros((1, len(self._lifter.layout), 3))}
        return self._run(JOINTS, inputs)

    def of_frames(self, clip_NJC: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda rows_WT: self.predict(clip_NJC[rows_WT])

    def doubts(self, pixels_NJC: np.ndarray, joints_NJD: np.ndarray) -> np.ndarray:
        # The graph answers for both in any case, and windows take far more time: there is one.
        window_1TJC = np.repeat(pixels_NJC[None, :1], self._lifter.config.frames, axis=1)
        return self._run(DOUBTS, {PIXELS: window_1TJC, SEEN: pixels_NJC, POSED: joints_NJD})

    def _run(self, output: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        given = {name: array.astype(np.float32) for name, array in inputs.items()}
        return self._lifter.run([output], {**given, SIZE: self._size})[0]
