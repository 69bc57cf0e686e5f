"""Writing the graphs that come with vidpose: ONNX files whose weights are those of a .safetensors file beside them.

Needs onnx and onnxscript. To run a graph takes neither (`onnx_network.py`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidpose.common.files import replacing

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
        plain: write the operations as they are. Otherwise constants are folded, parameters too where they are small.
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
    # What is left are sizes and the like; of equal tensors, one is kept.
    assert all(np.prod(t.dims) < _SMALL for t in model.graph.initializer if not t.external_data)
    path = weights.with_suffix(".onnx")
    with replacing(path) as partial:
        partial.write_bytes(model.SerializeToString())
    return path
