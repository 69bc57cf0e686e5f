"""A 2D keypoint detector, imitated: what BlazePose would make of a moving person, from the true 3D joints.

Everything is a function of a batch of windows and a random generator, on the generator's device.

The numbers were measured on BlazePose heavy with NanoDet, the default, as the distance in the picture between its
joints and the true ones, times depth over focal length:

- on the three rendered samples (four people, 574 frames; exact truth), errors after each joint's mean offset was taken
  away have standard deviations of 7 to 13 mm at hips and shoulders and 8 to 16 at limbs, medians of each person's
  joints (a wrist that is hidden for seconds: 85). Correlation is 0.85 after 40 ms and 0.4 after 160; 0 to 2 mm are new
  in every frame;
- on Pose2Sim's man on the beam (two views, 200 frames; truth triangulated from four views, itself good to 10 to 20 mm):
  12 to 16 mm and 18, correlation 0.5 after 67 ms, 0 to 6 mm new in every frame;
- the mean offsets themselves differ from joint to joint and track to track by 6 mm (rendered) and 8 to 10 (real).

The full network has 9 to 13 and 10 to 19 mm on the samples, and takes left for right on the beam, which heavy does not.
Of limb joints, 3 to 16 % score below 0.8.

Shape suffixes: B batch, T frames, J joints (H36M-17), D 2 or 3 coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vidpose.body.skeletons import BLAZEPOSE_TO_H36M, H36M_17
from vidpose.common.settings import Amount, Chance, Ratio

PELVIS, THORAX = H36M_17.index("pelvis"), H36M_17.index("thorax")
LEFT_HIP, RIGHT_HIP = H36M_17.index("left_hip"), H36M_17.index("right_hip")
LEGS = tuple(H36M_17.index(f"{side}_{j}") for side in ("right", "left") for j in ("knee", "ankle"))
ARMS = tuple(H36M_17.index(f"{side}_{j}") for side in ("right", "left") for j in ("elbow", "wrist"))


@dataclass(frozen=True)
class ImitatedDetector:
    """How the imitated detector errs. Lengths are metres at the person.

    Attributes:
        landmark_bias: standard deviation of a landmark's constant offset from the joint, along and across the body.
        jitter: standard deviation of the detector's error, correlated over `jitter_seconds`.
        white: standard deviation of the error that is new in every frame.
        occluded: probability that a limb's joint is guessed badly, with a low score, for a while.
        dropped: probability that a joint, and that a whole frame, is absent.
        unscored: probability that a window has no scores at all: all are 1.
        cut: probability that a window's picture ends somewhere below the chest: what lies further down is guessed.
    """

    landmark_bias: Amount = 0.010
    jitter: Amount = 0.010
    jitter_seconds: Ratio = 0.15
    white: Amount = 0.003
    occluded: Chance = 0.04
    dropped: Chance = 0.01
    unscored: Chance = 0.1
    cut: Chance = 0.0


_HIGH = {"hip": 0.014, "knee": 0.011, "ankle": 0.015, "shoulder": 0.008, "elbow": 0.011}
"""Metres by which BlazePose's joints lie above the true ones, on average."""


def normal(shape: tuple[int, ...], g: torch.Generator) -> torch.Tensor:
    """Numbers of that shape, of mean 0 and deviation 1."""
    return torch.randn(shape, generator=g, device=g.device)


def chance(shape: tuple[int, ...], probability: float | torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Of that shape, True with the probability given."""
    return torch.rand(shape, generator=g, device=g.device) < probability


def _unit(v: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(v, dim=-1)


def body_frame(across: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) rotation whose columns are right-to-left, up and their cross product."""
    x = _unit(across)
    y = _unit(up - (up * x).sum(-1, keepdim=True) * x)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def _landmarks(camera_BTJD: torch.Tensor, detector: ImitatedDetector, g: torch.Generator) -> torch.Tensor:
    """Where an image detector sees the joints: each a little off, in the same way throughout a window.

    Measured on rendered people, BlazePose's joints lie 8 to 15 mm high; its wrists hardly do.
    """
    batch = len(camera_BTJD)
    frame = body_frame(
        camera_BTJD[:, :, LEFT_HIP] - camera_BTJD[:, :, RIGHT_HIP],
        camera_BTJD[:, :, THORAX] - camera_BTJD[:, :, PELVIS],
    )
    offset_BJD = detector.landmark_bias * normal((batch, len(H36M_17), 3), g)
    offset_BJD[:, H36M_17.right] = offset_BJD[:, H36M_17.left] * camera_BTJD.new_tensor([-1, 1, 1])
    for joint, up in _HIGH.items():
        for side in ("left", "right"):
            offset_BJD[:, H36M_17.index(f"{side}_{joint}"), 1] += up
    return camera_BTJD + torch.einsum("btij,bkj->btki", frame, offset_BJD)


def _hidden(camera_BTJD: torch.Tensor) -> torch.Tensor:
    """(B, T, J) which limb joints lie behind the trunk: nearer than 12 cm to its axis in the picture, and deeper."""
    limbs = torch.zeros(len(H36M_17), dtype=torch.bool, device=camera_BTJD.device)
    limbs[list(LEGS + ARMS)] = True
    pelvis, thorax = camera_BTJD[:, :, None, PELVIS], camera_BTJD[:, :, None, THORAX]
    axis = thorax - pelvis
    along = ((camera_BTJD - pelvis)[..., :2] * axis[..., :2]).sum(-1) / axis[..., :2].square().sum(-1).clamp_min(1e-4)
    nearest = pelvis + along.clamp(0, 1)[..., None] * axis
    away = camera_BTJD - nearest
    return limbs & (away[..., :2].norm(dim=-1) < 0.12) & (away[..., 2] > 0.06)


_GUESSED = 0.12
"""Metres: standard deviation of where a detector puts a joint that it does not see."""


def _below_the_picture(image_BTJ2: torch.Tensor, probability: float, g: torch.Generator) -> torch.Tensor:
    """(B, T, J) which joints lie below the picture's lower edge, anywhere from the chest to the lowest joint."""
    y_BTJ = image_BTJ2[..., 1]
    chest_B, lowest_B = y_BTJ[:, :, THORAX].mean(dim=1), y_BTJ.amax(dim=2).mean(dim=1)
    share_B = torch.rand(len(y_BTJ), generator=g, device=g.device)
    edge_B = chest_B + (0.25 + 0.75 * share_B) * (lowest_B - chest_B)
    return (y_BTJ > edge_B[:, None, None]) & chance((len(y_BTJ), 1, 1), probability, g)


def _lasting(shape: tuple[int, int, int], probability: float, seconds_B: torch.Tensor, g: torch.Generator):
    """(B, T, J) events that begin at random and last about 0.3 s, true in `probability` of all places."""
    length = (0.3 / seconds_B).round().clamp(1, 30)
    begins = chance(shape, probability / length[:, None, None], g).float()
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
    return torch.einsum("btu,bu...->bt...", weights_BTT, normal(shape, g))


def detect(
    camera_BTJD: torch.Tensor,
    distance_B: torch.Tensor,
    seconds_B: torch.Tensor,
    detector: ImitatedDetector,
    g: torch.Generator,
) -> torch.Tensor:
    """(B, T, J, 3) x, y and score as BlazePose would give them, x and y in metres at the person's distance.

    Errors are a constant offset a joint, a correlated and a white part; the hidden and the randomly occluded have
    three times the error and low scores; some joints and some frames are absent (all three numbers 0). Pelvis, spine
    and thorax are then made from hips and shoulders just as `BLAZEPOSE_TO_H36M` makes them.
    """
    seen = _landmarks(camera_BTJD, detector, g)
    batch, frames, joints, _ = seen.shape
    image = seen[..., :2] / seen[..., 2:].clamp_min(0.3) * distance_B[:, None, None, None]

    occluded = _lasting((batch, frames, joints), detector.occluded, seconds_B, g)
    hidden = _hidden(camera_BTJD) & chance((batch, 1, joints), 0.7, g)
    doubtful = (occluded | hidden).float()
    # Some videos are sharp, some are not.
    quality_B111 = torch.exp(0.5 * normal((batch, 1, 1, 1), g))
    spread_J = torch.tensor(
        [1.4 if i in LEGS + ARMS else 1.0 for i in range(joints)], device=g.device
    )  # wrists and ankles move most and are seen worst
    size = detector.jitter * quality_B111 * (spread_J + 3.0 * doubtful)[..., None]
    error = size * _jitter((batch, frames, joints, 2), seconds_B, detector.jitter_seconds, g)
    error = error + detector.white * quality_B111 * normal((batch, frames, joints, 2), g)
    image = image + error

    if detector.cut:
        unseen = _below_the_picture(image, detector.cut, g)
        guess = _GUESSED * normal((batch, 1, joints, 2), g)
        image = torch.where(unseen[..., None], image + guess, image)
        doubtful = torch.where(unseen, 1.0, doubtful)
        error = torch.where(unseen[..., None], error + guess, error)
    scores = 1 - 0.03 * normal((batch, frames, joints), g).abs()
    scores = scores - doubtful * torch.rand((batch, 1, joints), generator=g, device=g.device)
    scores = scores - (error.norm(dim=-1) * 2.0) * torch.rand((batch, 1, 1), generator=g, device=g.device)
    scores = torch.where(chance((batch, 1, 1), detector.unscored, g), 1.0, scores.clamp(0.05, 1))
    absent = _lasting((batch, frames, joints), detector.dropped, seconds_B, g)
    absent |= _lasting((batch, frames, 1), detector.dropped, seconds_B, g)
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
