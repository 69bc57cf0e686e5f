"""SSR-STF's mesh head (section IV.G), MotionBERT's: a body's pose and shape from a lifter's motion representation.

Two MLPs read the motion representation E. One gives theta for each frame, the rotation of each bone against its parent
as six numbers; the other gives beta for the clip, from the mean of E over time. The paper follows MotionBERT (Zhu et
al., ICCV 2023, section 4.4), whose MLPs have one hidden layer of 1024, batch normalisation and ReLU, and begin at the
mean pose and shape. Any lifter with a `represent` will do, and any body model: of SMPL, theta has 24 x 6 numbers, and
beta 10.

Shape suffixes: B batch, T frames, J joints, H width of the representation, K bones, P numbers of the shape, D 3.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from vidpose.body_models.body_model import BodyModel
from vidpose.body_models.differentiable import DifferentiableBody
from vidpose.common.errors import UsageError
from vidpose.lifters.lifter import Lifter, create_lifter
from vidpose.weights.weights_file import fitting, read_weights, write_weights

KIND = "vidpose-mesh-head"
ARCH = "mesh-head"

_GAIN = 0.01
"""Of fresh weights of the last layers: the answer begins near the mean."""

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "thorax", "head_top",
)  # fmt: skip
"""The 14 that the paper's MPJPE and P-MPJPE are of."""


def rotations_of(six: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) rotations from (..., 6) numbers: two columns, made to stand upright on each other (Gram-Schmidt).

    Zhou et al., "On the continuity of rotation representations in neural networks", CVPR 2019, eq. 16 (appendix B).
    """
    first, second = six.unflatten(-1, (2, 3)).unbind(-2)
    x = nn.functional.normalize(first, dim=-1)
    y = nn.functional.normalize(second - (x * second).sum(dim=-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def six_of(rotations: torch.Tensor) -> torch.Tensor:
    """(..., 6) the first two columns of (..., 3, 3) rotations."""
    return rotations[..., :2].mT.flatten(-2)


class MeshLifter(nn.Module):
    """A lifter with a mesh head behind it.

    Args:
        lifter: one with a motion representation, `represent`.
        model: the body.
        hidden: width of the two hidden layers.

    Attributes:
        landmarks: (J, 3) ways from heads of bones to the layout's joints, in the frames of the bones that hold them.

    Raises:
        UsageError: the lifter has no motion representation, or answers for joints that the body does not have.
    """

    landmarks: torch.Tensor
    mean_six: torch.Tensor
    mean_shape: torch.Tensor

    def __init__(self, lifter: Lifter, model: BodyModel, hidden: int = 1024) -> None:
        super().__init__()
        width = getattr(lifter.config, "representation", 0)
        if not width or not hasattr(lifter, "represent"):
            raise UsageError(f"{lifter.name}: has no motion representation; a mesh head needs one, as ssr-stf has")
        if missing := [joint for joint in lifter.layout.joints if joint not in model.landmarks]:
            raise UsageError(f"{lifter.name}: answers for {missing[0]}, a joint that {model.name} does not have")
        self.lifter, self.body, self.body_name, self.hidden = lifter, DifferentiableBody(model), model.name, hidden
        marks = [model.landmarks[joint] for joint in lifter.layout.joints]
        self.heads_J = [model.layout.index(mark.head) for mark in marks]
        self.held_J = [model.layout.index(mark.held_by) for mark in marks]
        self.scored = [lifter.layout.index(joint) for joint in JOINTS]
        self.root = lifter.layout.parents.index(-1)
        numbers, bones, dials = len(lifter.layout) * width, len(model.layout), len(self.body.dials)

        def mlp(answers: int) -> nn.Sequential:
            last = nn.Linear(hidden, answers)
            nn.init.xavier_uniform_(last.weight, gain=_GAIN)
            return nn.Sequential(nn.Linear(numbers, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), last)

        self.pose, self.shape = mlp(6 * bones), mlp(dials)
        self.register_buffer("landmarks", torch.zeros(len(marks), 3))
        self.register_buffer("mean_six", six_of(torch.eye(3).expand(bones, 3, 3)))
        self.register_buffer("mean_shape", self.body.usual.clone())

    def start_at(self, relative_NKDD: torch.Tensor, shapes_NP: torch.Tensor, landmarks_JD: torch.Tensor) -> None:
        """Begin at the mean of poses and shapes, and have the joints where `landmarks_JD` says."""
        self.mean_six.copy_(six_of(relative_NKDD).mean(dim=0))
        self.mean_shape.copy_(shapes_NP.mean(dim=0))
        self.landmarks.copy_(landmarks_JD)

    def forward(self, keypoints_BTJC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, K, 3, 3) rotations of bones against their parents, and (B, P) where the fitted dials stand."""
        represent = cast(Any, self.lifter).represent
        features_BTX = represent(keypoints_BTJC).flatten(2)
        six_NX = self.pose(features_BTX.flatten(0, 1)) + self.mean_six.flatten()
        six_BTKX = six_NX.unflatten(-1, (-1, 6)).unflatten(0, keypoints_BTJC.shape[:2])
        return rotations_of(six_BTKX), self.shape(features_BTX.mean(dim=1)) + self.mean_shape

    def predictions(self, keypoints_BTJC: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What training puts a loss on."""
        return self(keypoints_BTJC)

    def joints(
        self, relative_NKDD: torch.Tensor, shapes_NP: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(N, J, 3) joints from the root joint, and as `DifferentiableBody.bones` gives them from there, bones."""
        turns_NKDD, heads_NKD = self.body.bones(relative_NKDD, shapes_NP)
        ways_NJD = (turns_NKDD[:, self.held_J] @ self.landmarks[..., None])[..., 0]
        joints_NJD = heads_NKD[:, self.heads_J] + ways_NJD
        root_N1D = joints_NJD[:, [self.root]]
        return joints_NJD - root_N1D, turns_NKDD, heads_NKD - root_N1D


def save_mesh_lifter(network: MeshLifter, path: Path, about: dict[str, object]) -> None:
    """Write a mesh head with its lifter. The body's own arrays are not in it. Raises VidposeError."""
    config = {
        "lifter": network.lifter.name, "settings": asdict(network.lifter.config), "body": network.body_name,
        "hidden": network.hidden,
    }  # fmt: skip
    write_weights(network, path, KIND, {"arch": ARCH, "config": config, **about})


def read_mesh_lifter(path: Path, model: BodyModel) -> MeshLifter:
    """A mesh head from a file of ours, in eval mode.

    Args:
        model: the body that it learned.

    Raises:
        VidposeError: the file cannot be read, or holds something else, or the head of another body.
    """
    about, tensors = read_weights(path, KIND)
    with fitting(path, ARCH):
        config = about["config"]
        if config.get("body") != model.name:
            raise UsageError(f"of the body {config.get('body')}, not {model.name}")
        lifter = create_lifter(str(config.get("lifter")), **config.get("settings", {}))
        network = MeshLifter(lifter, model, int(config.get("hidden", 0)))
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(str(error)) from None
    return network.eval()
