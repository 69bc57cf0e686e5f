"""Frames a second of a 2D keypoint network: everyone's crops in one batch, against a loop over people.

    python benchmarks/keypoints.py [NAMES] [--device cuda] [--half] [--size 288x384] [--people 1,4,16] [--rounds 3]

The loop is what one writes first: OpenCV cuts a crop, numpy standardises it, the network sees it and its mirror image,
its answer is read, and then comes the next person. Both run in turn in one process on the same weights, frame, boxes;
only the ratio means anything on a shared machine. The last column is the share of joints that both put in one place, to
half a pixel: OpenCV rounds crops to whole levels, and heatmaps of random weights have several peaks equally high.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import time
from collections.abc import Callable
from dataclasses import replace

import click
import cv2
import numpy as np
import torch

from vidpose.keypoints.heatmaps import decoding, mirrored
from vidpose.keypoints.keypoint_network import KeypointNetwork, Processing, create_network, network_names
from vidpose.keypoints.top_down import TopDown, crop_regions


@torch.inference_mode()
def one_by_one(network: KeypointNetwork, processing: Processing, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N, J, 2) pixels, a person at a time; for alignment "corner"."""
    weights = next(network.parameters())
    width, height = processing.input_size
    keypoints = []
    for centre, size in crop_regions(boxes, processing):
        scale = width / size[0]
        matrix = np.array([[scale, 0, width / 2 - scale * centre[0]], [0, scale, height / 2 - scale * centre[1]]])
        crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        standardised = (crop.astype(np.float32) - processing.mean) / processing.std
        seen = torch.from_numpy(standardised.transpose(2, 0, 1)[None]).to(weights.device, weights.dtype)
        straight, turned = network(seen).float(), network(seen.flip(-1)).float()
        heatmaps = (straight + mirrored(turned, network.layout.mirror, shift=True)) / 2
        points = decoding(processing.decoding)(heatmaps)[0][0].cpu().numpy()
        keypoints.append(centre + (points / heatmaps.shape[:-3:-1] - 0.5) * size)
    return np.array(keypoints)


def timed(locate: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds it takes, and what it gives; that is on the CPU, so a GPU has finished."""
    started = time.perf_counter()
    found = locate()
    return time.perf_counter() - started, found


def compare(name: str, size: tuple[int, int] | None, people: int, device: str, half: bool, rounds: int) -> str:
    """One line of the table: the fastest of the rounds of either."""
    torch.manual_seed(0)
    network = create_network(name)
    processing = replace(network.processing, alignment="corner", input_size=size or network.processing.input_size)
    top_down = TopDown(network, processing, device=device, half=half)
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (1080, 1920, 3), dtype=np.uint8), (0, 0), 8)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    corners = rng.uniform((0, 0), (1500, 500), (people, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(200, 500, (people, 2))], axis=1)
    loop_seconds, batched_seconds = [], []
    for _ in range(rounds + 1):
        seconds, looped = timed(lambda: one_by_one(network, processing, image, boxes))
        loop_seconds.append(seconds)
        seconds, batched = timed(lambda: top_down.locate(image, boxes)[0])
        batched_seconds.append(seconds)
    # The first round warms up.
    loop, ours = min(loop_seconds[1:]), min(batched_seconds[1:])
    same = (np.linalg.norm(looped - batched, axis=-1) < 0.5).mean()
    return f"{name:18} {people:6} {1 / ours:10.2f} {1 / loop:10.2f} {loop / ours:8.2f} {same:8.3f}"


@click.command()
@click.argument("names", nargs=-1)
@click.option("--device", default="cpu", show_default=True)
@click.option("--half", is_flag=True, help="float16, on a GPU.")
@click.option("--size", help="WIDTHxHEIGHT of the crops; as the network's public weights by default.")
@click.option("--people", default="1,4,16", show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(names: tuple[str, ...], device: str, half: bool, size: str | None, people: str, rounds: int) -> None:
    """Print a line for each network and number of people."""
    crop = tuple(int(part) for part in size.split("x")) if size else None
    print(f"{'network':18} {'people':>6} {'frames/s':>10} {'loop':>10} {'ratio':>8} {'same':>8}")
    for name in names or network_names():
        for count in people.split(","):
            print(compare(name, crop, int(count), device, half, rounds), flush=True)


if __name__ == "__main__":
    main()
