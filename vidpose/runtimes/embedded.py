"""Networks that come with vidpose and need both to be quick and to run anywhere: BlazePose's and NanoDet.

Each is a torch module with weights in NAME.safetensors, and the same as a graph in NAME.onnx that reads these weights.
ONNX Runtime runs the graph on a CPU, in a third of torch's time; torch runs the module elsewhere, in half precision on
a GPU. `scripts/convert_people_networks.py` made the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidpose.runtimes.onnx_network import OnnxNetwork
from vidpose.weights.shipped import ShippedWeights

if TYPE_CHECKING:
    from torch import nn

KIND = "vidpose-embedded-network"
"""What the header of the weights calls them."""

PRECISION = "F16"
"""Of the weights, as safetensors has it."""

_MOST_AT_ONCE = 16  # pictures: a hundred people in a street need not be in memory together

EMBEDDED: Mapping[str, tuple[ShippedWeights, ShippedWeights]] = {
    name: (ShippedWeights(f"{name}.safetensors", weights), ShippedWeights(f"{name}.onnx", graph))
    for name, weights, graph in (
        (
            "blazepose-detector",
            "bece120c9f3a3c3c2ae660b28fde0c639a737ecc4e39495d8ec4677157d9d075",
            "bbf5246b775856488b966442c85778e2e8b9ff69c16023eccc013c75d5f8501c",
        ),
        (
            "blazepose-lite",
            "f92b8ffcf877a1fe8b458685268848dc9ca583eeda9d6d6fd85a48e959e9ddaf",
            "339c9f25c23102af695c62ace4b27602c2e0ea478f89271f895261713940db24",
        ),
        (
            "blazepose-full",
            "43ab981ff578b46f640d4a918444b2d21b9ad7d566ef57b20e72ae60b8220c72",
            "799ff757f91fe50774ac5ccf45ac5143105e2075901ba9f0bf1fba875ca533ff",
        ),
        (
            "blazepose-heavy",
            "4cd7259ec49310679317382d91a914bb869f3cc9238b87776e96d9d5d450fd43",
            "4247386540cae395203ffa8d96aac40945412ba3a6dd57b80e3127632476d578",
        ),
        (
            "nanodet",
            "35d13de5477b8d343bf7b9002fa921be30bf76fe8fa3d5a3e8b2475e412d0dc1",
            "669bb0a4849e3f7e293bf93ae9dde1381a63e1e89a07d8a32d6ca35cfdb33170",
        ),
    )
}
"""Weights and graph of each network, by name."""


class EmbeddedNetwork:
    """One of `EMBEDDED`, ready to run."""

    def __init__(
        self,
        name: str,
        make: Callable[[], nn.Module],
        outputs: Sequence[str],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        """Load the network.

        Args:
            name: in `EMBEDDED`.
            make: gives the torch module, if it is needed.
            outputs: what the module gives, by the names of the graph.
            device: `cpu`, or any that torch knows.
            threads: of the CPU to use; None: as many as there are.

        Raises:
            VidposeError: its files are missing or damaged.
        """
        weights, graph = EMBEDDED[name]
        path = weights.checked()
        self.run = _on_cpu(graph, outputs, threads) if device == "cpu" else _by_torch(name, path, make, device)

    def __call__(self, pictures_NCHW: np.ndarray) -> list[np.ndarray]:
        """The outputs for N pictures, one at least: (N, 3, H, W) float32 -> float32."""
        parts = [self.run(pictures_NCHW[i : i + _MOST_AT_ONCE]) for i in range(0, len(pictures_NCHW), _MOST_AT_ONCE)]
        return parts[0] if len(parts) == 1 else [np.concatenate(part) for part in zip(*parts, strict=True)]


def _on_cpu(graph: ShippedWeights, outputs: Sequence[str], threads: int | None) -> OnnxNetwork:
    return OnnxNetwork(graph.checked(), outputs, threads=threads, weights_beside=True)


def _by_torch(
    name: str, weights: Path, make: Callable[[], nn.Module], device: str
) -> Callable[[np.ndarray], list[np.ndarray]]:
    import torch

    from vidpose.weights.weights_file import fitting, read_weights_of

    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    _, tensors = read_weights_of(weights, KIND, name)
    network = make()
    with fitting(weights, name):
        network.load_state_dict(tensors)
    network = network.eval().to(device, dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(pictures_NCHW: np.ndarray) -> list[np.ndarray]:
        pictures = torch.from_numpy(pictures_NCHW).to(device, dtype, memory_format=torch.channels_last)
        return [output.float().cpu().numpy() for output in network(pictures)]

    return run
