"""Pictures of a bright spot that moves, and a clip network that finds it."""

import numpy as np
import torch
from torch import nn

from vidpose.keypoints.clips.clip_network import ClipNetwork

SIZE = 64
"""Of its crops."""


class Brightest(ClipNetwork):
    """Says of every joint that it is where the crop is brightest: what a network that has learned that would say."""

    name = "brightest"
    frames, views = 4, 2

    def __init__(self) -> None:
        super().__init__(self.Config(size=SIZE), 2)
        self.spatial = BrightestPlace()
        self.seen: list[int] = []

    def decode(self, tokens, present):
        self.seen.append(tokens.shape[2])
        points = tokens[..., None, :].expand(*tokens.shape[:3], len(self.layout), 2)
        return points, torch.zeros(points.shape[:-1])


class BrightestPlace(nn.Module):
    """(N, 3, H, W) crops to (N, 2) fractions."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        weights = (crops - crops.amin(dim=(1, 2, 3), keepdim=True)).mean(dim=1) ** 4
        places = (torch.arange(SIZE) + 0.5) / SIZE
        columns, rows = (weights.sum(dim=axis) / weights.sum(dim=(1, 2))[:, None] for axis in (1, 2))
        return torch.stack([columns @ places, rows @ places], dim=-1)


def picture(x: float, y: float) -> np.ndarray:
    """240 x 160, with a bright spot."""
    columns, rows = np.meshgrid(np.arange(240) + 0.5, np.arange(160) + 0.5)
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4**2))
    return np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)


def path(frames: int, start: float = 60) -> np.ndarray:
    return np.stack([start + 6 * np.arange(frames), 80 + 2 * np.arange(frames)], axis=1).astype(float)


def boxes_around(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points - np.array([20, 30]), points + np.array([24, 25])], axis=-1).astype(np.float32)
