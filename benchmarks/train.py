"""Windows a second of `vidpose train`, against a plain training loop of the same recipe.

    python benchmarks/train.py [RECIPES] [--device cuda] [--compile]
    python benchmarks/train.py --set model.width=64 --set model.depth=2 --set batch=4 --steps 5     # for a CPU

Plain means: float32; windows cut from numpy arrays and mirrored one by one, in the processes of a DataLoader; attention
written out (as in benchmarks/lifters.py); no compiler; the loss read after every step. Both train in turn, in one
process, on the same generated benchmark: only the ratio means anything on a shared machine.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import torch
from lifters import plain
from torch.utils.data import DataLoader, Dataset, RandomSampler

from vidpose.common.devices import choose_device
from vidpose.datasets.store import Recording, Store, StoreWriter
from vidpose.lifters import Lifter, create_lifter
from vidpose.training.loop import Trainer
from vidpose.training.losses import LOSSES, joint_weights
from vidpose.training.processes import make_fabric
from vidpose.training.recipe import Recipe, read_recipe

SIZE, CLIP_FRAMES = 1000, 2000
"""Of a picture's sides, in pixels, and of a clip."""


def random_walks(folder: Path, recipe: Recipe, frames: int) -> None:
    """A prepared benchmark of so many frames for training: joints that wander before a camera."""
    rng = np.random.default_rng(0)

    def recording(split: str, number: int) -> Recording:
        steps = rng.normal(0, 0.003, (CLIP_FRAMES, 17, 3))
        joints = steps.cumsum(axis=0) + rng.uniform((-0.5, -0.5, 4.5), (0.5, 0.5, 5.5), (17, 3))
        pixels = SIZE / 2 + SIZE * joints[..., :2] / joints[..., 2:]
        return Recording(joints, {recipe.data.input: pixels}, split, split, "walk", "0", str(number), SIZE, SIZE, 50.0)

    writer = StoreWriter(folder, recipe.data.dataset, "h36m17")
    writer.write("train", [recording("train", number) for number in range(-(-frames // CLIP_FRAMES))])
    writer.write("rest", [recording(recipe.data.validation, 0)])
    writer.finish({}, {recipe.data.input: {}})


class PlainWindows(Dataset):
    """Windows of numpy arrays, each once as it is and once mirrored."""

    def __init__(self, store: Store, lifter: Lifter, recipe: Recipe):
        self.frames, self.mirror = lifter.config.frames, list(store.layout.mirror)
        self.clips, self.windows = [], []
        for clip in store.clips:
            if clip.split == "train":
                pixels, joints = store.keypoints(clip, recipe.data.input), np.array(store.joints(clip))
                scored = torch.from_numpy(np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1))
                keypoints = lifter.normalise(scored[None], (clip.width, clip.height))[0].numpy()
                starts = range(0, clip.frames - self.frames + 1, recipe.data.stride or self.frames)
                self.windows += [(len(self.clips), start) for start in starts]
                self.clips.append((keypoints, joints - joints[:, :1]))

    def __len__(self) -> int:
        return 2 * len(self.windows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        clip, start = self.windows[index % len(self.windows)]
        window = tuple(array[start : start + self.frames] for array in self.clips[clip])
        return tuple(map(self.mirrored, window)) if index >= len(self.windows) else window

    def mirrored(self, positions_TJD: np.ndarray) -> np.ndarray:
        return positions_TJD[:, self.mirror] * np.float32([-1, 1, 1])[: positions_TJD.shape[-1]]


def plain_steps(recipe: Recipe, folder: Path, device: str, workers: int, steps: int) -> Iterator[float]:
    """The loop that papers publish: gives the loss of each of so many steps."""
    lifter = create_lifter(recipe.arch, **recipe.model)
    windows = PlainWindows(Store(folder), lifter, recipe)
    lifter.to(device).train()
    # In one go: a benchmark of this size would have epochs so short that starting the processes anew would count.
    sampler = RandomSampler(windows, replacement=True, num_samples=steps * recipe.batch)
    loader = DataLoader(windows, recipe.batch, sampler=sampler, num_workers=workers, pin_memory=device != "cpu")
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    optimiser = kind(lifter.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    weights_J = joint_weights(recipe.joint_weights, lifter.layout).to(device)
    for keypoints_BTJC, joints_BTJD in loader:
        predicted_BTJD = lifter(keypoints_BTJC.to(device))
        target_BTJD = joints_BTJD.to(device)
        loss = sum(w * LOSSES[name](predicted_BTJD, target_BTJD, weights_J) for name, w in recipe.loss.items())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item()


def rate(step: Callable[[], object], steps: int, recipe: Recipe, finish: Callable[[], object]) -> float:
    """Windows a second over so many steps."""
    started = time.perf_counter()
    for _ in range(steps):
        step()
    finish()
    return steps * recipe.batch / (time.perf_counter() - started)


def compare(recipe: Recipe, device: str, frames: int, steps: int, rounds: int, workers: int, compiled: bool) -> str:
    """One line of the table: medians over the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        random_walks(data, recipe, frames)
        trainer = Trainer(recipe, data, Path(folder), make_fabric(device, 1, recipe.bf16))
        trainer.launch(compiled)
        slow = plain_steps(recipe, data, device, workers, steps * (rounds + 1))
        rates = []
        for _ in range(rounds + 1):
            # Reading the means waits for the device, as reading the loss does.
            ours = rate(trainer.train_step, steps, recipe, finish=trainer.means)
            with plain():
                rates.append((ours, rate(lambda: next(slow), steps, recipe, finish=lambda: None)))
    # The first round warms up.
    ours, theirs = (statistics.median(column) for column in zip(*rates[1:], strict=True))
    ratio = statistics.median(fast / plainly for fast, plainly in rates[1:])
    return (
        f"{recipe.name:20} {trainer.lifter.config.frames:5} {recipe.batch:6} {ours:10.1f} {theirs:10.1f} {ratio:8.2f}"
    )


@click.command()
@click.argument("recipes", nargs=-1)
@click.option("--device", default="auto", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipes.")
@click.option("--frames", default=50_000, show_default=True, help="Length of the generated benchmark.")
@click.option("--steps", default=20, show_default=True, help="Of either loop in a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--workers", default=2, show_default=True, help="Processes of the plain loop's DataLoader.")
@click.option("--compile", "compiled", is_flag=True, help="Compile our lifter.")
def main(
    recipes: tuple[str, ...], device: str, settings: tuple[str, ...], frames: int, steps: int, rounds: int,
    workers: int, compiled: bool,
) -> None:  # fmt: skip
    """Print a line a recipe, by default MixSTE's at T = 243 and the single branch's at T = 81."""
    print(f"{'recipe':20} {'T':>5} {'batch':>6} {'windows/s':>10} {'plain':>10} {'ratio':>8}")
    for name in recipes or ("mixste", "single-branch"):
        recipe = read_recipe(name, settings)
        print(compare(recipe, choose_device(device), frames, steps, rounds, workers, compiled), flush=True)


if __name__ == "__main__":
    main()
