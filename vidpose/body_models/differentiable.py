"""A body model as torch computes it, so that a network can learn its rotations and its shape.

    body = DifferentiableBody(anny())
    turns, heads = body.bones(relative, shapes)
    vertices = body.vertices(turns, heads, shapes)

The forward kinematics and the linear blend skinning are those of `vidpose.body.kinematics.pose` and `skinned`. The
shape is the model's fitted dials; each moves the body along a straight line to either side of where it usually
stands, and what several do adds up. Of SMPL that is the model itself; of Anny, what dials do to each other is left out.

Shape suffixes: N frames, V vertices, B bones, P dials, D the 3 of a position.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from vidpose.body_models.body_model import BodyModel

_SHARE = 0.5
"""Of a dial's way to its end, at which its effect is taken."""


class DifferentiableBody(nn.Module):
    """A body model's bones, joints and vertices. Its arrays are the model's, and are not saved with a network.

    Attributes:
        dials: names of the fitted dials, in the order of a shape's numbers.
    """

    rest: torch.Tensor
    ways: torch.Tensor
    usual: torch.Tensor
    weights: torch.Tensor

    def __init__(self, model: BodyModel) -> None:
        super().__init__()
        self.dials = tuple(name for name, dial in model.dials.items() if dial.fitted)
        self.bone_parents = model.layout.parents
        self.vertex_count = len(model.weights)

        def points(shape: dict[str, float]) -> np.ndarray:
            rest = model.rest(shape)
            return np.concatenate([rest.vertices, rest.heads])

        usual = points({})
        ways_P2 = []
        for name in self.dials:
            dial = model.dials[name]
            steps = [_SHARE * (end - dial.usual) for end in (dial.low, dial.high)]
            ways_P2.append([(points({name: dial.usual + step}) - usual) / step for step in steps])
        numbers = {
            "rest": usual, "ways": np.array(ways_P2), "usual": np.array([model.dials[n].usual for n in self.dials]),
            "weights": model.weights,
        }  # fmt: skip
        for name, array in numbers.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(array, np.float32)), persistent=False)

    def at_rest(self, shapes_NP: torch.Tensor, points: slice) -> torch.Tensor:
        """(N, ..., 3) metres, of some of the vertices and, behind them, the heads of bones."""
        off_NP = shapes_NP - self.usual
        off_NP2 = torch.stack([off_NP.clamp(max=0), off_NP.clamp(min=0)], dim=-1)
        return self.rest[points] + torch.einsum("nps,psxd->nxd", off_NP2, self.ways[:, :, points])

    def bones(self, relative_NBDD: torch.Tensor, shapes_NP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, B, 3, 3) rotations of bones from the rest pose, and (N, B, 3) their heads, metres from the root's.

        Args:
            relative_NBDD: rotations of bones, each against its parent; the root's against the frame.
        """
        parents, ways_NBD = list(self.bone_parents), self.at_rest(shapes_NP, slice(self.vertex_count, None))
        turns, heads = [relative_NBDD[:, 0]], [torch.zeros_like(ways_NBD[:, 0])]
        for bone, parent in enumerate(parents[1:], 1):
            turns.append(turns[parent] @ relative_NBDD[:, bone])
            offset_ND1 = (ways_NBD[:, bone] - ways_NBD[:, parent])[..., None]
            heads.append(heads[parent] + (turns[parent] @ offset_ND1)[..., 0])
        return torch.stack(turns, dim=1), torch.stack(heads, dim=1)

    def vertices(self, turns_NBDD: torch.Tensor, heads_NBD: torch.Tensor, shapes_NP: torch.Tensor) -> torch.Tensor:
        """(N, V, 3) vertices, as `heads_NBD` are."""
        points_NXD = self.at_rest(shapes_NP, slice(None))
        vertices_NVD, rest_NBD = points_NXD.tensor_split([self.vertex_count], dim=1)
        shifts_NBD = heads_NBD - (turns_NBDD @ rest_NBD[..., None])[..., 0]
        moves_NBX = torch.cat([turns_NBDD, shifts_NBD[..., None]], dim=-1).flatten(2)
        blended_NVDX = (self.weights @ moves_NBX).unflatten(2, (3, 4))
        return (blended_NVDX[..., :3] @ vertices_NVD[..., None])[..., 0] + blended_NVDX[..., 3]


def relative_turns(turns_NBDD: torch.Tensor, parents: tuple[int, ...]) -> torch.Tensor:
    """(N, B, 3, 3) rotations of bones, each against its parent, from those in the frame."""
    above = list(parents[1:])
    return torch.cat([turns_NBDD[:, :1], turns_NBDD[:, above].mT @ turns_NBDD[:, 1:]], dim=1)
