"""What a lifter is trained on: windows of a prepared benchmark, or of motion capture through random cameras.

Either lies on the training device as a whole, and is cut there: a step asks for a batch by its number, and gets the
same one whenever it asks.

Shape suffixes: F frames of a split, W windows of a split, N of a clip, B of a batch, T frames of a window, J joints, C
channels, D the 3 of a joint.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vidpose.body.geometry import ray_turns
from vidpose.body.skeletons import BLAZEPOSE_TO_H36M, order_of
from vidpose.common.errors import UsageError
from vidpose.datasets.clips_to_lift import check_joints, keypoints_in, metres_per_unit
from vidpose.datasets.cmu import RELEASE, load_cmu
from vidpose.datasets.store import Store, StoredClip
from vidpose.lifters import Lifter
from vidpose.lifters.normalisation import turned
from vidpose.training.motion_augmentation import MotionAugmentation, MotionSampler
from vidpose.training.recipe import Data, Recipe

VALIDATION = MotionAugmentation(bone_scale=0.0, limb_scale=0.0, body_scale=0.0, recombine=0.0, perturb=0.0, reverse=0.0)
"""Bodies of one build, recorded motion; cameras and detector noise as in training."""

_HELD_OUT, _HELD_OUT_FRAMES = 256, 20_000
"""Windows that a run is validated on: so many, or as many as have so many frames."""

_PICTURE = (2, 2)
"""Width and height of the picture that all pictures are brought to: the middles agree, and the widths."""


class Batch(NamedTuple):
    """Windows as a lifter takes them, with what it should answer.

    Attributes:
        keypoints_BTJC: normalised.
        joints_BTJD: relative to the root, in the lifter's units.
        metres_BT: what such a unit is in metres; 0 in frames that do not count.
    """

    keypoints_BTJC: torch.Tensor
    joints_BTJD: torch.Tensor
    metres_BT: torch.Tensor

    def rows(self, part: slice) -> Batch:
        return Batch(*(tensor[part] for tensor in self))


def seed_of(*numbers: int) -> int:
    """A seed for a random generator, for what the numbers count: other numbers, unrelated draws."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def open_windows(
    recipe: Recipe, folder: Path, lifter: Lifter, device: torch.device
) -> tuple[StoreWindows | CameraWindows, Batch]:
    """What a recipe trains its lifter on, and the windows that the run is validated on.

    Args:
        folder: of the CMU-17 shards, or what `vidpose data prepare` wrote.

    Raises:
        UsageError: the folder holds another benchmark or none, the benchmark lacks what the recipe asks for, or the
            lifter does not go with it.
        VidposeError: the data cannot be read.
    """
    data = recipe.data
    if data.dataset == "cmu17":
        filmed = CameraWindows(folder, "train", lifter, MotionAugmentation(**recipe.augmentation), recipe, device)
        validation = CameraWindows(folder, data.validation, lifter, VALIDATION, replace(recipe, seed=0), device)
        return filmed, validation.batch(0, _HELD_OUT)
    store = open_store(folder, data)
    training = StoreWindows(store, "train", lifter, data, recipe.seed, device)
    plain = replace(data, flip="none", noise=0.0)
    held_out = StoreWindows(store, data.validation, lifter, plain, recipe.seed, torch.device("cpu"))
    number = min(len(held_out), max(_HELD_OUT, _HELD_OUT_FRAMES // lifter.config.frames))
    # In float32 the last of so many could come out as one more.
    spread_W = torch.linspace(0, len(held_out) - 1, number, dtype=torch.float64).long()
    return training, Batch(*(tensor.to(device) for tensor in held_out.cut(spread_W)))


def open_store(folder: Path, data: Data) -> Store:
    """The benchmark that a recipe trains on; raises UsageError where the folder holds another one."""
    store = Store(folder)
    if store.name != data.dataset:
        raise UsageError(
            f"{folder}: holds {store.name}, where the recipe trains on {data.dataset}; give another `data`"
        )
    return store


def window_frames(lifter: Lifter, data: Data) -> int:
    """Frames that the lifter looks at in a training window. Raises VidposeError where it cannot look at so many."""
    frames = data.window or lifter.config.frames
    lifter.check_frames(frames)
    return frames


class StoreWindows:
    """Windows of a split of a prepared benchmark, in another order every epoch.

    A window is as long as the lifter's, unless the recipe says otherwise. Those of a lifter that answers for all frames
    begin every `stride` frames; those of others are about every `stride`-th frame. They are centred on the clip, and
    where one reaches over an end, the clip's first or last frame is repeated: with windows end to end that is
    VideoPose3D's chunks.

    The frames of windows whose answers all do not count are not learnt from. Absent keypoints are as in `lift`.

    Args:
        data: input, stride, flip, noise and actions of a recipe.
        seed: of order, flips and noise.

    Raises:
        UsageError: see `check_joints`; the benchmark has no such input, or no such clips.
    """

    def __init__(self, store: Store, split: str, lifter: Lifter, data: Data, seed: int, device: torch.device):
        check_joints(store, lifter.name, lifter.layout, lifter.input_layout)
        clips = [clip for clip in store.clips if clip.split == split]
        if data.actions:
            clips = [clip for clip in clips if clip.action in data.actions]
        if not clips:
            there = ", ".join(sorted({f"{clip.split} {clip.action}" for clip in store.clips})) or "none at all"
            wanted = f" of {', '.join(data.actions)}" if data.actions else ""
            raise UsageError(f"{store.folder}: no clips for {split}{wanted}; there are {there}")
        self.store, self.lifter, self.data, self.seed = store, lifter, data, seed
        parts = zip(*(_read(store, clip, data.input, lifter) for clip in clips), strict=True)
        keypoints_FJC, joints_FJD, metres_F = (np.concatenate(part).astype(np.float32) for part in parts)

        config = lifter.config
        frames = window_frames(lifter, data)
        centre = {"sequence": 0, "centre": config.frames // 2, "last": config.frames - 1}[lifter.predicts]
        answers = frames if lifter.predicts == "sequence" else frames - config.frames + 1
        answered = (answers - 1) * config.frame_stride + 1
        windows_W4 = _windows(clips, answered, data.stride or frames * config.frame_stride)
        first_W, last_W = (windows_W4[:, 0] + extent for extent in (0, answered - 1))
        counted = np.concatenate([[0], np.cumsum(metres_F > 0)])
        low_W, high_W = windows_W4[:, 1], windows_W4[:, 2]
        useful_W = counted[last_W.clip(low_W, high_W) + 1] > counted[first_W.clip(low_W, high_W)]
        if not useful_W.any():
            raise UsageError(f"{store.folder}: no frame for {split} counts; choose another split or other actions")

        self.keypoints_FJC, self.joints_FJD, self.metres_F, self.windows_W4 = (
            torch.from_numpy(array).to(device) for array in (keypoints_FJC, joints_FJD, metres_F, windows_W4[useful_W])
        )
        self.offsets_T = (torch.arange(frames, device=device) - centre) * config.frame_stride
        self.mirrors = tuple(torch.tensor(s.mirror, device=device) for s in (lifter.input_layout, lifter.layout))
        self.mirror_D = torch.tensor([-1.0, 1.0, 1.0], device=device)
        self.generator = torch.Generator(device)
        self.epoch = -1

    def __len__(self) -> int:
        """Windows of an epoch."""
        return len(self.windows_W4) * (2 if self.data.flip == "duplicate" else 1)

    def steps_per_epoch(self, size: int) -> int:
        """Batches of an epoch; the last one is filled up from the beginning."""
        return -(-len(self) // size)

    def drawn(self, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The windows of a step: (B,) their numbers, and (B,) which of them are mirrored, more than 0."""
        epoch, number = divmod(step, self.steps_per_epoch(size))
        generator, device = self.generator, self.generator.device
        if epoch != self.epoch:
            generator.manual_seed(seed_of(self.seed, 0, epoch))
            self.epoch, self.order_W = epoch, torch.randperm(len(self), generator=generator, device=device)
        generator.manual_seed(seed_of(self.seed, 1, step))
        chosen_B = self.order_W[(number * size + torch.arange(size, device=device)) % len(self)]
        window_B, copy_B = chosen_B % len(self.windows_W4), chosen_B // len(self.windows_W4)
        if self.data.flip == "random":
            copy_B = torch.randint(2, (size,), generator=generator, device=device)
        return window_B, copy_B

    def batch(self, step: int, size: int) -> Batch:
        """The windows of a step."""
        window_B, copy_B = self.drawn(step, size)
        generator, device = self.generator, self.generator.device
        noise_BTJ2 = None
        if self.data.noise:
            shape = (size, len(self.offsets_T), len(self.lifter.input_layout), 2)
            noise_BTJ2 = self.data.noise * torch.randn(shape, generator=generator, device=device)
        batch = self.cut(window_B, noise_BTJ2)
        keypoints_BTJC, joints_BTJD = (
            self.mirrored(tensor, mirror_J, copy_B > 0)
            for tensor, mirror_J in zip(batch[:2], self.mirrors, strict=True)
        )
        return Batch(keypoints_BTJC, joints_BTJD, batch.metres_BT)

    def mirrored(self, positions_BTJD: torch.Tensor, mirror_J: torch.Tensor, chosen_B: torch.Tensor) -> torch.Tensor:
        """Normalised keypoints or joints, those that are chosen as a mirror shows them."""
        seen_BTJD = (positions_BTJD * self.mirror_D[: positions_BTJD.shape[-1]])[:, :, mirror_J]
        return torch.where(chosen_B[:, None, None, None], seen_BTJD, positions_BTJD)

    def cut(self, window_B: torch.Tensor, noise_BTJ2: torch.Tensor | None = None) -> Batch:
        """Windows by their numbers, as they are but for noise in pixels."""
        rows_BT, _ = self.rows_of(window_B)
        width_B1 = self.windows_W4[window_B, 3:]
        pixels_BTJC = self.keypoints_FJC[rows_BT]
        if noise_BTJ2 is not None:
            pixels_BTJC[..., :2] += noise_BTJ2 * (2 / width_B1[..., None, None])
        turns_B = -self.lifter.upright(pixels_BTJC)
        keypoints_BTJC = self.lifter.normalise(turned(pixels_BTJC, turns_B), _PICTURE)
        return Batch(keypoints_BTJC, turned(self.joints_FJD[rows_BT], turns_B), self.metres_F[rows_BT])

    def rows_of(self, window_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T) frames of windows, and whether each is one of the clip, not its end repeated."""
        first_B1, low_B1, high_B1 = self.windows_W4[window_B, :3, None].unbind(1)
        rows_BT = first_B1 + self.offsets_T
        inside_BT = rows_BT.clamp(low_B1, high_B1)
        return inside_BT, inside_BT == rows_BT

    def survey(self) -> Batch:
        """About every frame of the split once, to take statistics of."""
        frames = len(self.offsets_T)
        apart = max(1, frames // (self.data.stride or frames))
        return self.cut(torch.arange(0, len(self.windows_W4), apart, device=self.windows_W4.device))

    @property
    def about(self) -> dict[str, Any]:
        """What a weights file says of its training data."""
        facts = self.store.inputs[self.data.input]
        actions = f", {', '.join(self.data.actions)}" if self.data.actions else ""
        return {
            "conversion": facts.get("conversion"),
            "detector": facts.get("detector", self.data.input),
            "data": f"{self.store.name}, training split{actions}, input {self.data.input}",
            "licence": f"what the terms of {self.store.name} allow",
        }


class CameraWindows:
    """Windows of motion capture through random cameras and an imitated detector, without an end.

    Args:
        folder: of the CMU-17 shards.
        recipe: its seed, and its steps an epoch.

    Raises:
        UsageError: the lifter needs real pictures or other joints.
        VidposeError: the shards are missing or hold something else.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        lifter: Lifter,
        augmentation: MotionAugmentation,
        recipe: Recipe,
        device: torch.device,
    ):
        config = lifter.config
        due = {"layout": "h36m17", "input_layout": "", "normalisation": "person", "units": "metres"}
        for key, value in due.items():
            # The virtual picture's unit is a metre at the person; it has no size in pixels.
            if getattr(config, key) != value:
                raise UsageError(
                    f"{lifter.name} with {key} {getattr(config, key)!r} cannot learn from cmu17; "
                    f"set model.{key}={value}"
                )
        # Every second frame at 50 frames a second is every frame at 25.
        slowest, fastest = (rate / config.frame_stride for rate in augmentation.fps)
        self.lifter, self.recipe, self.generator = lifter, recipe, torch.Generator(device)
        augmentation = replace(augmentation, fps=(slowest, fastest))
        frames = window_frames(lifter, recipe.data)
        self.sampler = MotionSampler(load_cmu(folder, split), frames, augmentation, self.generator)

    def steps_per_epoch(self, size: int) -> int:
        """What the recipe takes for an epoch."""
        return self.recipe.steps_per_epoch

    def batch(self, step: int, size: int) -> Batch:
        """The windows of a step."""
        self.generator.manual_seed(seed_of(self.recipe.seed, 1, step))
        keypoints_BTJC, joints_BTJD = self.sampler.batch(size)
        turns_B = -self.lifter.upright(keypoints_BTJC)
        keypoints_BTJC, joints_BTJD = turned(keypoints_BTJC, turns_B), turned(joints_BTJD, turns_B)
        metres_BT = torch.ones(joints_BTJD.shape[:2], device=joints_BTJD.device)
        return Batch(self.lifter.normalise(keypoints_BTJC, _PICTURE), joints_BTJD, metres_BT)

    def survey(self) -> Batch:
        """Windows to take statistics of."""
        return self.batch(0, 1024)

    @property
    def about(self) -> dict[str, Any]:
        """What a weights file says of its training data."""
        return {
            "conversion": BLAZEPOSE_TO_H36M.name,
            "detector": "blazepose",
            "data": f"{RELEASE}: CMU motion capture (mocap.cs.cmu.edu) and, where it is there, UI-PRMD; "
            "virtual cameras and an imitated detector",
            "licence": "Apache-2.0",
        }


def _read(store: Store, clip: StoredClip, input_name: str, lifter: Lifter) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A clip's (F, J, 3) keypoints and scores in `_PICTURE`, (F, J, 3) joints and (F,) metres a unit, see `Batch`."""
    pixels, scores = keypoints_in(lifter.input_layout, store, clip, input_name)
    pictured = (pixels - np.array([clip.width, clip.height]) / 2) * (2 / clip.width) + 1
    joints, root = np.array(store.joints(clip)), store.layout.parents.index(-1)
    metres = np.ones(clip.frames)
    if lifter.config.units == "image":
        metres = metres_per_unit(joints, store.keypoints(clip, "gt"), clip.width)
    counts = store.valid(clip) & (metres > 0)
    relative = joints - joints[:, [root]]
    if lifter.in_ray_frame:
        relative = relative @ ray_turns(joints[:, root])
    answers = relative / np.where(counts, metres, 1)[:, None, None]
    answers = answers[:, order_of(store.layout, lifter.layout)]
    return np.concatenate([pictured, scores[..., None]], axis=-1), answers, np.where(counts, metres, 0)


def _windows(clips: list[StoredClip], answered: int, stride: int) -> np.ndarray:
    """(W, 4) of each window the first frame it answers for, first and last frame of its clip, width of its picture."""
    windows, start = [], 0
    for clip in clips:
        number = 1 + max(0, -(-(clip.frames - max(answered, stride)) // stride))
        spare = (number - 1) * stride + answered - clip.frames
        windows_N4 = np.empty((number, 4), np.int64)
        windows_N4[:, 0] = start - spare // 2 + np.arange(number) * stride
        windows_N4[:, 1:] = start, start + clip.frames - 1, clip.width
        windows.append(windows_N4)
        start += clip.frames
    return np.concatenate(windows)
