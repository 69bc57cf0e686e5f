"""ONNX graphs with the interface of published ones, whose answer can be worked out."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper


def write_onnx(path: Path, nodes, outputs, constants=(), shape=("N", 3, 64, 64), inputs=("input",)) -> Path:
    """A graph of nodes, each (operator, inputs, output, attributes)."""
    graph = helper.make_graph(
        [helper.make_node(op, taken, [given], **attributes) for op, taken, given, attributes in nodes],
        "made here",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def write_rtmdet(path: Path, boxes, labels, shape=("N", 3, 64, 64)) -> Path:
    """Gives constant boxes; the score of each is the brightness of a pixel and colour of what the network is given.

    Args:
        boxes: x0 y0 x1 y1 in the network's picture, and the index of the score's value, colour first.
    """
    constants = {
        "corners": np.array([b[:4] for b in boxes], np.float32),
        "places": np.array([b[4] for b in boxes]),
        "flat": np.array([3, -1]),
        "std": np.array([[57.375], [57.12], [58.395]], np.float32) / np.float32(255),
        "mean": np.array([[103.53], [116.28], [123.675]], np.float32) / np.float32(255),
        "all": np.array([-1]),
        "column": np.array([-1, 1]),
        "first": np.array([0]),
        "labels_1": np.array(labels),
    }
    nodes = [
        ("Reshape", ["input", "flat"], "colours", {}),
        ("Mul", ["colours", "std"], "scaled", {}),
        ("Add", ["scaled", "mean"], "bright", {}),
        ("Reshape", ["bright", "all"], "values", {}),
        ("Gather", ["values", "places"], "scores", {}),
        ("Reshape", ["scores", "column"], "score_column", {}),
        ("Concat", ["corners", "score_column"], "dets_1", {"axis": 1}),
        ("Unsqueeze", ["dets_1", "first"], "dets", {}),
        ("Unsqueeze", ["labels_1", "first"], "labels", {}),
    ]
    return write_onnx(path, nodes, [("dets", TensorProto.FLOAT), ("labels", TensorProto.INT64)], constants, shape)


def write_rtmpose(path: Path, joints: int = 17, shape=("N", 3, 256, 192)) -> Path:
    """Every joint is in the brightest column and row of the crop, of two bins a pixel."""
    constants = {"one": np.array([1]), "less": np.float32(0.001), "joints": np.array([1, joints, 1])}
    nodes = [("ReduceMean", ["input"], "grey", {"axes": [1], "keepdims": 0})]
    for name, other, size in (("simcc_x", 1, shape[3]), ("simcc_y", 2, shape[2])):
        constants[f"{name}_shape"] = np.array([0, 1, 2 * size if isinstance(size, int) else -1])
        nodes += [
            ("ReduceMax", ["grey"], f"{name}_peaks", {"axes": [other], "keepdims": 0}),
            ("Sub", [f"{name}_peaks", "less"], f"{name}_odd", {}),
            ("Unsqueeze", [f"{name}_peaks", "minus"], f"{name}_a", {}),
            ("Unsqueeze", [f"{name}_odd", "minus"], f"{name}_b", {}),
            ("Concat", [f"{name}_a", f"{name}_b"], f"{name}_pairs", {"axis": 2}),
            ("Reshape", [f"{name}_pairs", f"{name}_shape"], f"{name}_bins", {}),
            ("Tile", [f"{name}_bins", "joints"], name, {}),
        ]
    constants["minus"] = np.array([-1])
    return write_onnx(path, nodes, [(name, TensorProto.FLOAT) for name in ("simcc_x", "simcc_y")], constants, shape)


def write_constant_rtmpose(path: Path, simcc_x: np.ndarray, simcc_y: np.ndarray) -> Path:
    """The same bins, (1, J, X) and (1, J, Y), for everyone, in crops of half as many pixels."""
    constants = {"zero": np.float32(0), "axes": np.array([1, 2]), "x": simcc_x, "y": simcc_y}
    nodes = [
        ("ReduceMax", ["input"], "most", {"axes": [1, 2, 3], "keepdims": 0}),
        ("Mul", ["most", "zero"], "nothing", {}),
        ("Unsqueeze", ["nothing", "axes"], "nothings", {}),
        ("Add", ["x", "nothings"], "simcc_x", {}),
        ("Add", ["y", "nothings"], "simcc_y", {}),
    ]
    shape = ("N", 3, simcc_y.shape[2] // 2, simcc_x.shape[2] // 2)
    return write_onnx(path, nodes, [(name, TensorProto.FLOAT) for name in ("simcc_x", "simcc_y")], constants, shape)
