"""Networks that come with vidpose and need both to be quick and to run anywhere: BlazePose's and NanoDet.

Each is a torch module with weights in NAME.safetensors, and the same as a graph in NAME.onnx that reads these weights.
ONNX Runtime runs the graph on a CPU, in a third of torch's time; torch runs the module elsewhere, in half precision on
a GPU. `scripts/convert_people_networks.py` made the files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpose.runtimes.onnx_network import OnnxGraph
from vidpose.weights.shipped import ShippedWeights

if TYPE_CHECKING:
    from torch import nn

KIND = "vidpose-embedded-network"
"""What the header of the weights calls them."""

PICTURES = "pictures"
"""What their graphs call their input."""

Run = Callable[[np.ndarray], list[np.ndarray]]
"""(N, 3, H, W) float32 pictures to the network's outputs."""

_MOST_AT_ONCE = 16  # pictures: a hundred people in a street need not be in memory together


class EmbeddedNetwork:
    """A network whose weights come with vidpose together with its graph, ready to run."""

    def __init__(
        self,
        weights: ShippedWeights,
        make: Callable[[], nn.Module],
        outputs: Sequence[str],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        """Load the network.

        Args:
            weights: with a graph.
            make: gives the torch module, if it is needed.
            outputs: what the module gives, by the names of the graph.
            device: `cpu`, or any that torch knows.
            threads: of the CPU to use; None: as many as there are.

        Raises:
            VidposeError: its files are missing or damaged.
        """
        path = weights.checked()
        if device == "cpu":
            graph = weights.graph
            assert graph is not None, weights.file
            self.run: Run = _by_onnx(graph.checked(), outputs, threads)
        else:
            self.run = _by_torch(path, make, device)

    def close(self) -> None:
        """Free the network, which answers no more."""
        self.run = _closed

    def __call__(self, pictures_NCHW: np.ndarray) -> list[np.ndarray]:
        """The outputs for N pictures, one at least: (N, 3, H, W) float32 -> float32."""
        parts = [self.run(pictures_NCHW[i : i + _MOST_AT_ONCE]) for i in range(0, len(pictures_NCHW), _MOST_AT_ONCE)]
        return parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]


def _closed(pictures_NCHW: np.ndarray) -> list[np.ndarray]:
    raise AssertionError("the network is closed")


def _by_onnx(path: Path, outputs: Sequence[str], threads: int | None) -> Run:
    graph = OnnxGraph(path, threads)
    return lambda pictures_NCHW: graph(outputs, {PICTURES: pictures_NCHW})


def _by_torch(weights: Path, make: Callable[[], nn.Module], device: str) -> Run:
    import torch

    from vidpose.weights.weights_file import fitting, read_weights

    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    about, tensors = read_weights(weights, KIND)
    network = make()
    with fitting(weights, about["arch"]):
        network.load_state_dict(tensors)
    network.eval().to(device, dtype).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(pictures_NCHW: np.ndarray) -> list[np.ndarray]:
        pictures = torch.from_numpy(pictures_NCHW).to(device, dtype, memory_format=torch.channels_last)
        return [output.float().cpu().numpy() for output in network(pictures)]

    return run
