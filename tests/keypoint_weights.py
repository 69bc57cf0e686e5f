"""Weights that are a function of a parameter's name and shape alone, so that recorded outputs need no weights."""

import zlib

import numpy as np
import torch


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A state for parameters of these shapes, as which the outputs in `data/keypoints` were recorded."""
    return {key: torch.from_numpy(_values(key, shape)) for key, shape in shapes.items()}


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.array(1234)
    if key.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    if key.endswith(("running_mean", "bias")):
        return (0.1 * random.standard_normal(shape)).astype(np.float32)
    if len(shape) == 1:
        return random.uniform(0.4, 0.8, shape).astype(np.float32)
    return (random.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))).astype(np.float32)


def recorded_shapes(keys: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Names and shapes from lines such as "head.final_layer.weight 17x32x1x1"."""
    lines = (str(line).partition(" ") for line in keys)
    return {key: tuple(map(int, shape.split("x"))) if shape else () for key, _, shape in lines}
