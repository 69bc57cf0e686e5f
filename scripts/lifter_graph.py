"""Makes the graph that ONNX Runtime runs of a lifter whose weights come with vidpose.

    pip install vidpose[onnx]
    python scripts/lifter_graph.py weights/NAME.safetensors

It writes NAME.onnx beside them, which reads them, and says what the lifter's entry in `lifter_table.py` needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vidpose.lifters.graph_lifter import DOUBTS, JOINTS, PIXELS, POSED, SEEN, SIZE
from vidpose.lifters.window_network import WindowNetwork
from vidpose.lifters.zoo import load_weights
from vidpose.runtimes.graph_file import write_graph
from vidpose.weights.hashing import file_hash


class Doubting(WindowNetwork):
    """Says of other frames how far joints may be off that were given for them, too."""

    def forward(
        self, pixels_WTJC: torch.Tensor, size: torch.Tensor, seen_NJC: torch.Tensor, posed_NJD: torch.Tensor
    ) -> tuple:
        return super().forward(pixels_WTJC, size), self.doubts(seen_NJC[:, None], posed_NJD, size)


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
        alone = {0: torch.export.Dim("frames")}
        inputs[SEEN] = torch.ones(5, len(lifter.input_layout), 3), alone
        inputs[POSED] = torch.ones(5, len(lifter.layout), 3), alone
        graph = write_graph(Doubting(lifter), path, inputs, [JOINTS, DOUBTS], prefix="lifter.", plain=True)
    else:
        graph = write_graph(WindowNetwork(lifter), path, inputs, [JOINTS], prefix="lifter.", plain=True)
    print(f'ShippedWeights("{path.name}", "{file_hash(path)}", graph_sha256="{file_hash(graph)}")')


if __name__ == "__main__":
    main()
