"""Writing the graphs that come with vidpose: ONNX files whose weights are those of a .safetensors file beside them.

Needs onnx and onnxscript. To run a graph takes neither (`onnx_network.py`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from vidpose.common.files import replacing

if TYPE_CHECKING:
    import onnx

_SMALL = 256
"""Numbers of a constant that may stand in a graph: sizes, orders of joints, statistics."""


def write_graph(
    network: nn.Module,
    weights: Path,
    inputs: Mapping[str, tuple[torch.Tensor, Mapping[int, Any]]],
    outputs: Sequence[str],
    *,
    prefix: str = "",
    plain: bool = False,
) -> Path:
    """The network as NAME.onnx beside its weights NAME.safetensors, which the graph reads.

    Args:
        inputs: by name, an example of each, and its axes that may vary.
        prefix: of the parameters' names in the network, which the file of weights does not have.
        plain: parameters stay as they are, and what follows from constants alone is worked out here, not whenever the
            graph is opened. Otherwise small parameters are folded, too.
    """
    import onnx

    examples, axes = zip(*inputs.values(), strict=True)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        torch.onnx.export(
            network, tuple(examples), raw,
            input_names=list(inputs), output_names=list(outputs), dynamic_shapes=[dict(some) or None for some in axes],
            opset_version=18, dynamo=True, optimize=not plain, external_data=False,
        )  # fmt: skip
        model = onnx.load(raw)
    length = int.from_bytes(weights.read_bytes()[:8], "little")
    stored_as = json.loads(weights.read_bytes()[8 : 8 + length])
    tensors = model.graph.initializer
    parameters = [t for t in tensors if t.name.removeprefix(prefix) in stored_as]
    # Sizes and the like; of equal tensors, one is kept.
    assert all(np.prod(t.dims) < _SMALL for t in tensors if t.name.removeprefix(prefix) not in stored_as)
    if plain:
        model = _folded(model, parameters)
    casts = []
    for tensor in list(model.graph.initializer):
        entry = stored_as.get(tensor.name.removeprefix(prefix))
        if entry is None:
            continue
        kind = {"F16": onnx.TensorProto.FLOAT16, "F32": onnx.TensorProto.FLOAT}[entry["dtype"]]
        assert entry["shape"] == list(tensor.dims), tensor.name
        start, end = entry["data_offsets"]
        stored = onnx.TensorProto(
            name=tensor.name, data_type=kind, dims=tensor.dims, data_location=onnx.TensorProto.EXTERNAL
        )
        place = {"location": weights.name, "offset": 8 + length + start, "length": end - start}
        for key, value in place.items():
            stored.external_data.add(key=key, value=str(value))
        if kind == onnx.TensorProto.FLOAT16:
            stored.name += ".half"
            casts.append(onnx.helper.make_node("Cast", [stored.name], [tensor.name], to=onnx.TensorProto.FLOAT))
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(stored)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        if hasattr(part, "doc_string"):
            part.doc_string = ""
    del model.graph.value_info[:]
    path = weights.with_suffix(".onnx")
    with replacing(path) as partial:
        partial.write_bytes(model.SerializeToString())
    return path


def _folded(model: onnx.ModelProto, parameters: Sequence[onnx.TensorProto]) -> onnx.ModelProto:
    """The same network with its constants folded, and the parameters as they are: meanwhile, they are inputs."""
    import onnx
    import onnxruntime

    inputs = list(model.graph.input)
    for tensor in parameters:
        model.graph.initializer.remove(tensor)
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    options = onnxruntime.SessionOptions()
    # Further levels write operations that only ONNX Runtime knows.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        folded = onnx.load(options.optimized_model_filepath)
    del folded.graph.input[:], folded.opset_import[:]
    folded.graph.input.extend(inputs)
    folded.graph.initializer.extend(parameters)
    folded.opset_import.extend(model.opset_import)
    return folded
