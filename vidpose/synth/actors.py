"""Motion capture as our figures do it: a person's joints moved onto bones of one size, and the points of the face.

Bodies are drawn around 17 joints of which recorded ones have another idea: CMU puts the elbow low and the nose where
its head bone says. So only the directions of bones are taken over, and what is drawn is what is annotated.
"""

from __future__ import annotations

import numpy as np

from vidpose.body.skeletons import COCO_17, H36M_17
from vidpose.synth.figure import SIDES, Size
from vidpose.synth.frames import frames
from vidpose.synth.head import eyes_and_ears

_LIMBS = (
    ("hip", "knee", "thigh"),
    ("knee", "ankle", "shank"),
    ("shoulder", "elbow", "upper_arm"),
    ("elbow", "wrist", "forearm"),
)

POINTS = (*H36M_17.joints, *(joint for joint in COCO_17.joints if joint not in H36M_17.joints))
"""What is known of a drawn person: Human3.6M's 17 joints, and the eyes and ears that COCO has besides."""


def enact(recorded: np.ndarray, size: Size) -> np.ndarray:
    """A recorded motion by a person of another size, feet on the same floor.

    Args:
        recorded: (F, 17, 3) of `H36M_17`, metres, z up.

    Returns:
        (F, 17, 3) float64 world metres; the floor is z = 0. The thorax lies between the shoulders, the pelvis between
        the hips, and the nose where the head's frame has it.
    """
    at = dict(zip(H36M_17.joints, np.asarray(recorded, np.float64).swapaxes(0, 1), strict=True))
    pelvis, thorax = ((at[f"left_{part}"] + at[f"right_{part}"]) / 2 for part in ("hip", "shoulder"))
    legs = sum(
        np.linalg.norm(at[f"{s}_{a}"] - at[f"{s}_{b}"], axis=-1).mean() / 2 for s in SIDES for a, b, _ in _LIMBS[:2]
    )
    new = {"pelvis": pelvis * size.leg / legs}
    new["spine"] = new["pelvis"] + size.lumbar * _unit(at["spine"] - pelvis)
    new["thorax"] = new["spine"] + size.thoracic * _unit(thorax - at["spine"])
    for side in SIDES:
        new[f"{side}_hip"] = new["pelvis"] + size.hip * _unit(at[f"{side}_hip"] - pelvis)
        new[f"{side}_shoulder"] = new["thorax"] + size.shoulder * _unit(at[f"{side}_shoulder"] - thorax)
        for start, end, bone in _LIMBS:
            way = _unit(at[f"{side}_{end}"] - at[f"{side}_{start}"])
            new[f"{side}_{end}"] = new[f"{side}_{start}"] + getattr(size, bone) * way
    up = _unit(at["head_top"] - at["thorax"])
    ahead = at["nose"] - at["thorax"]
    ahead = _unit(ahead - (ahead * up).sum(-1, keepdims=True) * up)
    new["head_top"] = new["thorax"] + size.crown * up
    new["nose"] = new["thorax"] + size.nose[0] * up + size.nose[1] * ahead
    joints = np.stack([new[joint] for joint in H36M_17.joints], axis=1)
    ankles = [H36M_17.index(f"{side}_ankle") for side in SIDES]
    # The lowest ankle is on the floor, but for a few frames of noise; nobody sinks into it for that.
    joints[..., 2] += size.ankle - np.percentile(joints[:, ankles, 2].min(axis=1), 2)
    return joints


def points(joints: np.ndarray) -> np.ndarray:
    """(F, 17, 3) joints of `H36M_17` to (F, 21, 3) `POINTS`, with the eyes and ears of the drawn head."""
    parts = [frames(some) for some in joints]
    lengths = [float(np.linalg.norm(part.joints["head_top"] - part.head.origin)) for part in parts]
    faces = [eyes_and_ears(part.head, length) for part, length in zip(parts, lengths, strict=True)]
    return np.concatenate([joints, np.stack(faces)], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
