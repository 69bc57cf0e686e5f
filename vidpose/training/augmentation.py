"""From motion capture to what a lifter would see: windows, new bodies, virtual cameras, and a noisy 2D detector.

Everything is a function of a batch of windows and a random generator, on the generator's device.

Shape suffixes: B batch, T frames, J joints (H36M-17), D 2 or 3 coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from vidpose.datasets.cmu import Motion
from vidpose.skeletons import BLAZEPOSE_TO_H36M, H36M_17

_PELVIS, _SPINE, _THORAX, _NOSE, _HEAD = (H36M_17.index(j) for j in ("pelvis", "spine", "thorax", "nose", "head_top"))
_R_HIP, _L_HIP = H36M_17.index("right_hip"), H36M_17.index("left_hip")
_R_SHOULDER, _L_SHOULDER = H36M_17.index("right_shoulder"), H36M_17.index("left_shoulder")
_LEGS = tuple(H36M_17.index(f"{side}_{j}") for side in ("right", "left") for j in ("knee", "ankle"))
_ARMS = tuple(H36M_17.index(f"{side}_{j}") for side in ("right", "left") for j in ("elbow", "wrist"))


@dataclass(frozen=True)
class Augmentation:
    """How far the virtual world departs from the recorded one. Lengths are metres, angles degrees, rates Hz.

    Attributes:
        fps: range of frame rates to imitate, log-uniform.
        pitch, roll: of the camera: mean and standard deviation; a positive pitch looks down.
        distance: range from camera to person, log-uniform.
        off_axis: standard deviation of the angle between the optical axis and the person.
        bone_scale: standard deviation of each bone's length, as a fraction.
        body_scale: standard deviation of the whole body's size, as a fraction.
        recombine: probability of legs, and of arms, taken from another window.
        perturb: probability of each bend by which a window's poses become poses that nobody recorded.
        reverse: probability that time runs backwards.
        landmark_bias: standard deviation of a landmark's constant offset from the joint, along and across the body.
        jitter: standard deviation of the detector's error, correlated over `jitter_seconds`.
        white: standard deviation of the error that is new in every frame.
        occluded: probability that a limb's joint is guessed badly, with a low score, for a while.
        dropped: probability that a joint, and that a whole frame, is absent.
        unscored: probability that a window has no scores at all: all are 1.
    """

    fps: tuple[float, float] = (24.0, 62.0)
    pitch: tuple[float, float] = (12.0, 16.0)
    roll: tuple[float, float] = (0.0, 8.0)
    distance: tuple[float, float] = (2.2, 9.0)
    off_axis: float = 6.0
    bone_scale: float = 0.07
    body_scale: float = 0.03
    recombine: float = 0.25
    perturb: float = 0.5
    reverse: float = 0.3
    landmark_bias: float = 0.016
    jitter: float = 0.014
    jitter_seconds: float = 0.2
    white: float = 0.004
    occluded: float = 0.04
    dropped: float = 0.01
    unscored: float = 0.1


# CMU puts the wrist at the wrist markers and the elbow low: its forearm is 19 cm where Human3.6M's is 25 and the
# ankle is 5 cm below where image landmarks put it, so the random bodies are centred on these factors.
_BONE_CENTRE = {"wrist": 1.28, "elbow": 0.97, "ankle": 0.92}


# What a perturbation turns about its own root, and the standard deviation of the rotation in degrees.
_ALL = tuple(range(len(H36M_17)))
_BENDS: tuple[tuple[tuple[int, ...], float], ...] = (
    (_ALL, 8.0),
    (tuple(i for i in _ALL if i >= _SPINE), 12.0),
    (_ARMS[:2], 25.0),
    (_ARMS[2:], 25.0),
    (_LEGS[:2], 15.0),
    (_LEGS[2:], 15.0),
)


class MotionSampler:
    """Draws random windows, at random frame rates, from a split of motion capture."""

    def __init__(self, motion: Motion, frames: int, augmentation: Augmentation, generator: torch.Generator):
        device = generator.device
        self.positions = torch.from_numpy(motion.positions).to(device)
        self.starts = torch.from_numpy(motion.offsets[:-1]).to(device)
        self.ends = torch.from_numpy(motion.offsets[1:]).to(device)
        self.fps, self.frames, self.augmentation, self.generator = motion.fps, frames, augmentation, generator

    def windows(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, J, 3) world positions in metres, and (B,) seconds a frame.

        A window may reach over the end of its sequence: there the last pose stands still, as in a padded short clip.
        """
        g, device = self.generator, self.positions.device
        low, high = (math.log(rate) for rate in self.augmentation.fps)
        seconds_B = torch.exp(-torch.empty(batch, device=device).uniform_(low, high, generator=g))
        anchor_B = torch.randint(len(self.positions), (batch,), generator=g, device=device)
        sequence_B = torch.searchsorted(self.ends, anchor_B, right=True)
        phase_B = torch.randint(self.frames, (batch,), generator=g, device=device)
        time_BT = (torch.arange(self.frames, device=device) - phase_B[:, None]) * (seconds_B * self.fps)[:, None]
        backwards_B = torch.rand(batch, generator=g, device=device) < self.augmentation.reverse
        time_BT = anchor_B[:, None] + torch.where(backwards_B[:, None], -time_BT, time_BT)
        time_BT = torch.minimum(
            torch.maximum(time_BT, self.starts[sequence_B, None].float()), self.ends[sequence_B, None].float() - 1
        )
        before_BT = time_BT.floor().long()
        after_BT = torch.minimum(before_BT + 1, self.ends[sequence_B, None] - 1)
        part_BT11 = (time_BT - before_BT)[..., None, None]
        positions = self.positions[before_BT] * (1 - part_BT11) + self.positions[after_BT] * part_BT11
        return positions, seconds_B

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, J, 3) detected keypoints (x, y, score), and (B, T, J, 3) true joints relative to the root, metres.

        The keypoints are in metres at the person's distance, about an arbitrary origin: the lifter's own
        normalisation makes them comparable with pixels.
        """
        world_BTJD, seconds_B = self.windows(size)
        bodies_BTJD = new_bodies(world_BTJD, self.augmentation, self.generator)
        camera_BTJD, distance_B = view(bodies_BTJD, self.augmentation, self.generator)
        keypoints = detect(camera_BTJD, distance_B, seconds_B, self.augmentation, self.generator)
        return keypoints, camera_BTJD - camera_BTJD[:, :, :1]


def _normal(shape: tuple[int, ...], g: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=g, device=g.device)


def _chance(shape: tuple[int, ...], probability: float | torch.Tensor, g: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=g, device=g.device) < probability


def _unit(v: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(v, dim=-1)


def _frame(across: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) rotation whose columns are right-to-left, up and their cross product."""
    x = _unit(across)
    y = _unit(up - (up * x).sum(-1, keepdim=True) * x)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def _rotation(vector_B3: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3) rotations about the vectors, by their lengths in radians."""
    x, y, z = vector_B3.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3)))


def new_bodies(world_BTJD: torch.Tensor, augmentation: Augmentation, g: torch.Generator) -> torch.Tensor:
    """The same motion on bodies of other proportions, some bent, some with limbs of another window of the batch."""
    parents = list(H36M_17.parents)
    parents[0] = 0
    bones = world_BTJD - world_BTJD[:, :, parents]
    pelvis_frame = _frame(bones[:, :, _L_HIP] - bones[:, :, _R_HIP], bones[:, :, _SPINE])
    chest_frame = _frame(bones[:, :, _L_SHOULDER] - bones[:, :, _R_SHOULDER], bones[:, :, _THORAX])
    for limbs, frame in ((_LEGS, pelvis_frame), (_ARMS, chest_frame)):
        turn = frame @ frame.roll(1, dims=0).transpose(-1, -2)
        borrowed = torch.einsum("btij,btlj->btli", turn, bones[:, :, limbs].roll(1, dims=0))
        taken_B = _chance((len(bones),), augmentation.recombine, g)
        bones[:, :, limbs] = torch.where(taken_B[:, None, None, None], borrowed, bones[:, :, limbs])

    batch, _, joints, _ = bones.shape
    for limbs, degrees in _BENDS:
        chosen_B1 = _chance((batch, 1), augmentation.perturb, g)
        turn_BDD = _rotation(torch.deg2rad(degrees * _normal((batch, 3), g)) * chosen_B1)
        bones[:, :, limbs] = torch.einsum("bij,btlj->btli", turn_BDD, bones[:, :, limbs])

    scale_BJ = 1 + augmentation.bone_scale * _normal((batch, joints), g)
    scale_BJ[:, H36M_17.right] = scale_BJ[:, H36M_17.left] + 0.01 * _normal((batch, len(H36M_17.left)), g)
    for i, joint in enumerate(H36M_17.joints):
        scale_BJ[:, i] *= _BONE_CENTRE.get(joint.rpartition("_")[2], 1.0)
    scale_BJ *= 1 + augmentation.body_scale * _normal((batch, 1), g)
    bones = bones * scale_BJ[:, None, :, None]

    positions = [world_BTJD[:, :, 0]]
    for joint in range(1, joints):
        positions.append(positions[parents[joint]] + bones[:, :, joint])
    return torch.stack(positions, dim=2)


def view(world_BTJD: torch.Tensor, augmentation: Augmentation, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T, J, 3) positions in a random camera's frame (x right, y down, z forward), and (B,) its distance.

    A mirror image of the world is as good a world: half of the windows are mirrored.
    """
    batch, device = len(world_BTJD), world_BTJD.device
    mirrored = (world_BTJD * world_BTJD.new_tensor([-1, 1, 1]))[:, :, list(H36M_17.mirror)]
    world_BTJD = torch.where(_chance((batch,), 0.5, g)[:, None, None, None], mirrored, world_BTJD)

    yaw = torch.empty(batch, device=device).uniform_(-math.pi, math.pi, generator=g)
    pitch, roll = (
        torch.deg2rad(mean + spread * _normal((batch,), g)) for mean, spread in (augmentation.pitch, augmentation.roll)
    )
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
    aside = torch.deg2rad(augmentation.off_axis * _normal((batch, 2), g)).tan() * distance_B[:, None]
    return camera + torch.cat([aside, distance_B[:, None]], dim=1)[:, None, None], distance_B


def _landmarks(camera_BTJD: torch.Tensor, augmentation: Augmentation, g: torch.Generator) -> torch.Tensor:
    """Where an image detector sees the joints: each a little off, in the same way throughout a window.

    Measured on rendered people, BlazePose's hips are about 2.5 cm low, its shoulders and ankles 1.7 cm high.
    """
    batch = len(camera_BTJD)
    frame = _frame(
        camera_BTJD[:, :, _L_HIP] - camera_BTJD[:, :, _R_HIP], camera_BTJD[:, :, _THORAX] - camera_BTJD[:, :, _PELVIS]
    )
    offset_BJD = augmentation.landmark_bias * _normal((batch, len(H36M_17), 3), g)
    offset_BJD[:, H36M_17.right] = offset_BJD[:, H36M_17.left] * camera_BTJD.new_tensor([-1, 1, 1])
    for joint, up in {"hip": -0.02, "shoulder": 0.012, "ankle": 0.012}.items():
        for side in ("left", "right"):
            offset_BJD[:, H36M_17.index(f"{side}_{joint}"), 1] += up
    return camera_BTJD + torch.einsum("btij,bkj->btki", frame, offset_BJD)


def _hidden(camera_BTJD: torch.Tensor) -> torch.Tensor:
    """(B, T, J) which limb joints lie behind the trunk: nearer than 12 cm to its axis in the picture, and deeper."""
    limbs = torch.zeros(len(H36M_17), dtype=torch.bool, device=camera_BTJD.device)
    limbs[list(_LEGS + _ARMS)] = True
    pelvis, thorax = camera_BTJD[:, :, None, _PELVIS], camera_BTJD[:, :, None, _THORAX]
    axis = thorax - pelvis
    along = ((camera_BTJD - pelvis)[..., :2] * axis[..., :2]).sum(-1) / axis[..., :2].square().sum(-1).clamp_min(1e-4)
    nearest = pelvis + along.clamp(0, 1)[..., None] * axis
    away = camera_BTJD - nearest
    return limbs & (away[..., :2].norm(dim=-1) < 0.12) & (away[..., 2] > 0.06)


def _lasting(shape: tuple[int, int, int], probability: float, seconds_B: torch.Tensor, g: torch.Generator):
    """(B, T, J) events that begin at random and last about 0.3 s, true in `probability` of all places."""
    length = (0.3 / seconds_B).round().clamp(1, 30)
    begins = _chance(shape, probability / length[:, None, None], g).float()
    age = torch.arange(shape[1], device=g.device)
    recent_BTT = (age[:, None] >= age) & (age[:, None] - age < length[:, None, None])
    return torch.einsum("btu,buj->btj", recent_BTT.float(), begins) > 0


def _jitter(shape: tuple[int, ...], seconds_B: torch.Tensor, correlation: float, g: torch.Generator) -> torch.Tensor:
    """(B, T, ...) unit-variance first-order autoregressive noise, correlated over `correlation` seconds."""
    frames = torch.arange(shape[1], device=g.device)
    lag_TT = (frames[:, None] - frames).float()
    keep_B11 = torch.exp(-seconds_B / correlation)[:, None, None]
    weights_BTT = torch.where(lag_TT >= 0, keep_B11 ** lag_TT.clamp_min(0), 0.0)
    weights_BTT[:, :, 1:] *= (1 - keep_B11.square()).sqrt()
    return torch.einsum("btu,bu...->bt...", weights_BTT, _normal(shape, g))


def detect(
    camera_BTJD: torch.Tensor,
    distance_B: torch.Tensor,
    seconds_B: torch.Tensor,
    augmentation: Augmentation,
    g: torch.Generator,
) -> torch.Tensor:
    """(B, T, J, 3) x, y and score as BlazePose would give them, x and y in metres at the person's distance.

    Errors are a constant offset a joint, a correlated and a white part; the hidden and the randomly occluded have
    three times the error and low scores; some joints and some frames are absent (all three numbers 0). Pelvis, spine
    and thorax are then made from hips and shoulders just as `BLAZEPOSE_TO_H36M` makes them.
    """
    seen = _landmarks(camera_BTJD, augmentation, g)
    batch, frames, joints, _ = seen.shape
    image = seen[..., :2] / seen[..., 2:].clamp_min(0.3) * distance_B[:, None, None, None]

    occluded = _lasting((batch, frames, joints), augmentation.occluded, seconds_B, g)
    hidden = _hidden(camera_BTJD) & _chance((batch, 1, joints), 0.7, g)
    doubtful = (occluded | hidden).float()
    # Some videos are sharp, some are not.
    quality_B111 = torch.exp(0.5 * _normal((batch, 1, 1, 1), g))
    spread_J = torch.tensor(
        [1.4 if i in _LEGS + _ARMS else 1.0 for i in range(joints)], device=g.device
    )  # wrists and ankles move most and are seen worst
    size = augmentation.jitter * quality_B111 * (spread_J + 3.0 * doubtful)[..., None]
    error = size * _jitter((batch, frames, joints, 2), seconds_B, augmentation.jitter_seconds, g)
    error = error + augmentation.white * quality_B111 * _normal((batch, frames, joints, 2), g)
    image = image + error

    scores = 1 - 0.03 * _normal((batch, frames, joints), g).abs()
    scores = scores - doubtful * torch.rand((batch, 1, joints), generator=g, device=g.device)
    scores = scores - (error.norm(dim=-1) * 2.0) * torch.rand((batch, 1, 1), generator=g, device=g.device)
    scores = torch.where(_chance((batch, 1, 1), augmentation.unscored, g), 1.0, scores.clamp(0.05, 1))
    absent = _lasting((batch, frames, joints), augmentation.dropped, seconds_B, g)
    absent |= _lasting((batch, frames, 1), augmentation.dropped, seconds_B, g)
    return _derive(image, scores, absent)


def _derive(image_BTJD: torch.Tensor, scores_BTJ: torch.Tensor, absent_BTJ: torch.Tensor) -> torch.Tensor:
    """Replace pelvis, spine and thorax by the conversion's own sums, and zero what is absent."""
    conversion = BLAZEPOSE_TO_H36M
    image, scores, absent = image_BTJD.clone(), scores_BTJ.clone(), absent_BTJ.clone()
    for joint in ("pelvis", "spine", "thorax"):
        parents = {H36M_17.index(name): weight for name, weight in conversion.recipe[joint].items()}
        index, sources = H36M_17.index(joint), list(parents)
        weights = image.new_tensor(list(parents.values()))
        image[:, :, index] = torch.einsum("s,btsd->btd", weights, image_BTJD[:, :, sources])
        scores[:, :, index] = scores_BTJ[:, :, sources].amin(dim=-1)
        absent[:, :, index] = absent_BTJ[:, :, sources].any(dim=-1)
    keypoints = torch.cat([image, scores[..., None]], dim=-1)
    return keypoints.masked_fill(absent[..., None], 0)
