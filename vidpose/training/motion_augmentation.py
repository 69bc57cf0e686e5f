"""From motion capture to what a lifter would see: windows, new bodies, virtual cameras, an imitated 2D detector.

Everything is a function of a batch of windows and a random generator, on the generator's device.

Shape suffixes: B batch, T frames, J joints (H36M-17), D 2 or 3 coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from vidpose.body.skeletons import H36M_17
from vidpose.common.settings import Amount, Angle, Chance, Ratio
from vidpose.datasets.cmu import CapturedMotion
from vidpose.datasets.imitated_detector import ImitatedDetector, chance, detect, normal
from vidpose.training.invented_poses import (
    bend_bodies,
    borrow_limbs,
    fold_legs,
    invent_limbs,
    ray_turns,
    turn_over,
)


@dataclass(frozen=True)
class MotionAugmentation(ImitatedDetector):
    """How far the virtual world departs from the recorded one. Lengths are metres, angles degrees, rates Hz.

    Attributes:
        fps: range of frame rates to imitate, log-uniform.
        pitch: of the camera, mean and standard deviation; positive looks down.
        steep, steep_pitch: probability of a pitch that is anywhere in a range instead.
        roll: of the camera, its standard deviation.
        distance: range from camera to person, log-uniform.
        lens: range of focal lengths in mm on 36 mm wide film, log-uniform; people stand anywhere in the picture.
        bone_scale: standard deviation of each bone's length, as a fraction.
        limb_scale: standard deviation of the length that a limb's bones share, as a fraction; legs apart from arms.
        body_scale: standard deviation of the whole body's size, as a fraction.
        recombine: probability of both legs, and of both arms, taken from another window.
        recombine_alone: probability of each limb taken from another window.
        invent: probability of each limb held any way that joints allow.
        crouch: probability of a body that bends both knees further, its feet below its hips.
        fold: probability of each leg that bends its knee further for itself.
        turn_over: probability of a body turned any way: lying, crawling, upside down.
        perturb: probability of each bend by which a window's poses become poses that nobody recorded.
        bend: factor on how far the bends go.
        bend_spread: standard deviation of the logarithm of a further, random factor: some go much farther than most.
        reverse: probability that time runs backwards.
    """

    fps: tuple[Ratio, Ratio] = (24.0, 62.0)
    pitch: tuple[Angle, Amount] = (8.0, 12.0)
    steep: Chance = 0.2
    steep_pitch: tuple[Angle, Angle] = (-10.0, 60.0)
    roll: Amount = 8.0
    distance: tuple[Ratio, Ratio] = (1.8, 14.0)
    lens: tuple[Ratio, Ratio] = (24.0, 200.0)
    bone_scale: Chance = 0.04
    limb_scale: Chance = 0.06
    body_scale: Chance = 0.03
    recombine: Chance = 0.25
    recombine_alone: Chance = 0.0
    invent: Chance = 0.0
    crouch: Chance = 0.0
    fold: Chance = 0.0
    turn_over: Chance = 0.0
    perturb: Chance = 0.5
    bend: Amount = 1.0
    bend_spread: Amount = 0.0
    reverse: Chance = 0.3

    def __post_init__(self) -> None:
        for name in ("fps", "steep_pitch", "distance", "lens"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is from {low:g} to {high:g}: the smaller comes first")


_OF_TRUNK = {"knee": 0.75, "ankle": 0.725, "elbow": 0.525, "wrist": 0.49}
"""Length of the bone that ends at a joint, over the trunk's, from the middle of the hips to that of the shoulders.

Every source of motion puts its joints elsewhere: CMU's forearm is 0.37 to 0.45 of the trunk, UI-PRMD's 0.48. What
counts is where the keypoints of real people lie: BlazePose heavy sees hips low, and so long trunks and short legs. Of
four who stand straight or were triangulated, thigh 0.72 to 0.80, shank 0.68 to 0.78, upper arm 0.51 to 0.57, forearm
0.46 to 0.50.
"""

_TRUNK_OF_RECORDED = 1.05
"""The trunk's length as such keypoints have it, over the recorded one."""

_TRUNK_OF_SPINE = 0.926
"""The trunk's length over that of the spine's two bones: the thorax lies above the line between the shoulders."""


class MotionSampler:
    """Draws random windows, at random frame rates, from a split of motion capture."""

    def __init__(
        self, motion: CapturedMotion, frames: int, augmentation: MotionAugmentation, generator: torch.Generator
    ):
        device = generator.device
        self.positions = torch.from_numpy(motion.positions).to(device)
        self.starts = torch.from_numpy(motion.offsets[:-1]).to(device)
        self.ends = torch.from_numpy(motion.offsets[1:]).to(device)
        # Of all frames laid end to end, each as long as its share.
        shares_S = torch.from_numpy(np.diff(motion.offsets) * motion.shares)
        self.ends_of_shares = shares_S.cumsum(0).to(device)
        self.fps, self.frames, self.augmentation, self.generator = motion.fps, frames, augmentation, generator

    def windows(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, J, 3) world positions in metres, and (B,) seconds a frame.

        A window may reach over the end of its sequence: there the last pose stands still, as in a padded short clip.
        """
        g, device = self.generator, self.positions.device
        low, high = (math.log(rate) for rate in self.augmentation.fps)
        seconds_B = torch.exp(-torch.empty(batch, device=device).uniform_(low, high, generator=g))
        place_B = torch.rand(batch, generator=g, device=device, dtype=torch.float64) * self.ends_of_shares[-1]
        sequence_B = torch.searchsorted(self.ends_of_shares, place_B, right=True).clamp(max=len(self.ends) - 1)
        within_B = torch.rand(batch, generator=g, device=device, dtype=torch.float64)
        # From a sequence's own start: float32 would count a million frames in sixteenths.
        last_B = (self.ends - self.starts)[sequence_B] - 1
        anchor_B = (within_B * (last_B + 1)).long()
        phase_B = torch.randint(self.frames, (batch,), generator=g, device=device)
        time_BT = (torch.arange(self.frames, device=device) - phase_B[:, None]) * (seconds_B * self.fps)[:, None]
        backwards_B = torch.rand(batch, generator=g, device=device) < self.augmentation.reverse
        time_BT = anchor_B[:, None] + torch.where(backwards_B[:, None], -time_BT, time_BT)
        time_BT = torch.minimum(time_BT.clamp_min(0), last_B[:, None].float())
        row_BT, start_B1 = time_BT.floor().long(), self.starts[sequence_B, None]
        part_BT11 = (time_BT - row_BT)[..., None, None]
        before_BT, after_BT = start_B1 + row_BT, start_B1 + torch.minimum(row_BT + 1, last_B[:, None])
        positions = self.positions[before_BT] * (1 - part_BT11) + self.positions[after_BT] * part_BT11
        return positions, seconds_B

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, J, 3) detected keypoints (x, y, score), and (B, T, J, 3) true joints relative to the root, metres.

        The keypoints are in metres at the person's distance, about an arbitrary origin: the lifter's own
        normalisation makes them comparable with pixels. The joints are in the frame of the ray to the root.
        """
        world_BTJD, seconds_B = self.windows(size)
        bodies_BTJD = new_bodies(world_BTJD, self.augmentation, self.generator)
        camera_BTJD, distance_B = view(bodies_BTJD, self.augmentation, self.generator)
        keypoints = detect(camera_BTJD, distance_B, seconds_B, self.augmentation, self.generator)
        joints_BTJD = camera_BTJD - camera_BTJD[:, :, :1]
        return keypoints, joints_BTJD @ ray_turns(camera_BTJD[:, :, 0])


def new_bodies(world_BTJD: torch.Tensor, augmentation: MotionAugmentation, g: torch.Generator) -> torch.Tensor:
    """The same motion on bodies of other proportions, some bent, some with limbs of another window of the batch."""
    parents = list(H36M_17.parents)
    parents[0] = 0
    bones = world_BTJD - world_BTJD[:, :, parents]
    bones = borrow_limbs(bones, augmentation.recombine, augmentation.recombine_alone, g)
    bones = invent_limbs(bones, augmentation.invent, g)
    bones = fold_legs(bones, augmentation.crouch, augmentation.fold, g)
    bones = bend_bodies(bones, augmentation.perturb, augmentation.bend, augmentation.bend_spread, g)
    bones = turn_over(bones, augmentation.turn_over, g)

    bones = bones * bone_scales(bones, augmentation, g)[:, None, :, None]

    positions = [world_BTJD[:, :, 0]]
    for joint in range(1, len(H36M_17)):
        positions.append(positions[parents[joint]] + bones[:, :, joint])
    return torch.stack(positions, dim=2)


def bone_scales(bones_BTJD: torch.Tensor, augmentation: MotionAugmentation, g: torch.Generator) -> torch.Tensor:
    """(B, J) factors that give every window another body, whose limbs have people's proportions on average."""
    batch, _, joints, _ = bones_BTJD.shape
    lengths_BJ = bones_BTJD.norm(dim=-1).mean(dim=1)
    spine = [H36M_17.index("spine"), H36M_17.index("thorax")]
    trunk_B = _TRUNK_OF_SPINE * _TRUNK_OF_RECORDED * lengths_BJ[:, spine].sum(dim=1)
    scale_BJ = 1 + augmentation.bone_scale * normal((batch, joints), g)
    scale_BJ[:, H36M_17.right] = scale_BJ[:, H36M_17.left] + 0.01 * normal((batch, len(H36M_17.left)), g)
    scale_BJ[:, spine] *= _TRUNK_OF_RECORDED
    for limb in (("knee", "ankle"), ("elbow", "wrist")):
        limb_scale_B = 1 + augmentation.limb_scale * normal((batch,), g)
        for name in limb:
            both = [H36M_17.index(f"{side}_{name}") for side in ("left", "right")]
            length_B = _OF_TRUNK[name] * trunk_B * limb_scale_B
            scale_BJ[:, both] *= (length_B / lengths_BJ[:, both].mean(dim=1).clamp_min(0.05))[:, None]
    return scale_BJ * (1 + augmentation.body_scale * normal((batch, 1), g))


def view(
    world_BTJD: torch.Tensor, augmentation: MotionAugmentation, g: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T, J, 3) positions in a random camera's frame (x right, y down, z forward), and (B,) its distance.

    A mirror image of the world is as good a world: half of the windows are mirrored.
    """
    batch, device = len(world_BTJD), world_BTJD.device
    mirrored = (world_BTJD * world_BTJD.new_tensor([-1, 1, 1]))[:, :, list(H36M_17.mirror)]
    world_BTJD = torch.where(chance((batch,), 0.5, g)[:, None, None, None], mirrored, world_BTJD)

    yaw = torch.empty(batch, device=device).uniform_(-math.pi, math.pi, generator=g)
    mean, spread = augmentation.pitch
    any_pitch = torch.empty(batch, device=device).uniform_(*augmentation.steep_pitch, generator=g)
    pitch = torch.where(chance((batch,), augmentation.steep, g), any_pitch, mean + spread * normal((batch,), g))
    pitch, roll = torch.deg2rad(pitch), torch.deg2rad(augmentation.roll * normal((batch,), g))
    zero = torch.zeros_like(yaw)
    forward = torch.stack([yaw.cos() * pitch.cos(), yaw.sin() * pitch.cos(), -pitch.sin()], dim=-1)
    right = torch.stack([yaw.sin(), -yaw.cos(), zero], dim=-1)
    down = torch.linalg.cross(forward, right)
    right, down = (
        right * roll.cos()[:, None] + down * roll.sin()[:, None],
        down * roll.cos()[:, None] - right * roll.sin()[:, None],
    )
    rotation_BDD = torch.stack([right, down, forward], dim=1)

    centred = world_BTJD - world_BTJD[:, :, :1].mean(dim=1, keepdim=True)
    camera = torch.einsum("bij,btkj->btki", rotation_BDD, centred)
    low, high = (math.log(d) for d in augmentation.distance)
    distance_B = torch.exp(torch.empty(batch, device=device).uniform_(low, high, generator=g))
    # A person who walks up to the camera must not walk through it.
    distance_B = torch.maximum(distance_B, 0.8 - camera[..., 2].amin(dim=(1, 2)))
    low, high = (math.log(lens) for lens in augmentation.lens)
    lens_B = torch.exp(torch.empty(batch, device=device).uniform_(low, high, generator=g))
    # Pictures are as often high as wide.
    high_B = chance((batch,), 0.5, g)
    half_B2 = torch.stack([torch.where(high_B, 10.1, 18.0), torch.where(high_B, 18.0, 10.1)], dim=1) / lens_B[:, None]
    place_B2 = torch.empty((batch, 2), device=device).uniform_(-0.9, 0.9, generator=g)
    aside = place_B2 * half_B2 * distance_B[:, None]
    return camera + torch.cat([aside, distance_B[:, None]], dim=1)[:, None, None], distance_B
