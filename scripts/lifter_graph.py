"""Makes the graph that ONNX Runtime runs of a lifter whose weights come with vidpose.

    pip install vidpose[onnx]
    python scripts/lifter_graph.py weights/NAME.safetensors

It writes NAME.onnx beside them, which reads them, and says what the lifter's entry in `lifter_table.py` needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vidpose.lifters.graph_lifter import DOUBTS, JOINTS, PIXELS, POSED, SIZE
from vidpose.lifters.window_network import WindowNetwork
from vidpose.lifters.zoo import load_weights
from vidpose.runtimes.graph_file import write_graph
from vidpose.weights.downloads import file_hash


class Doubting(WindowNetwork):
    """Says how far the given joints may be off, too."""

    def forward(self, pixels_WTJC: torch.Tensor, size: torch.Tensor, posed_WJD: torch.Tensor) -> tuple:
        return super().forward(pixels_WTJC, size), self.doubts(pixels_WTJC, posed_WJD, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    path = parser.parse_args().weights
    lifter = load_weights(path).lifter
    frames, windows = lifter.config.frames, {0: torch.export.Dim("windows")}
    inputs = {
        PIXELS: (torch.ones(3, frames, len(lifter.input_layout), 3), windows),
        SIZE: (torch.tensor([640.0, 480.0]), {}),
    }
    if lifter.config.doubt:
        posed = torch.ones(3, len(lifter.layout), 3)
        graph = write_graph(
            Doubting(lifter), path, inputs | {POSED: (posed, windows)}, [JOINTS, DOUBTS], prefix="lifter.", plain=True
        )
    else:
        graph = write_graph(WindowNetwork(lifter), path, inputs, [JOINTS], prefix="lifter.", plain=True)
    print(f'ShippedWeights("{path.name}", "{file_hash(path)}", graph_sha256="{file_hash(graph)}")')


if __name__ == "__main__":
    main()
