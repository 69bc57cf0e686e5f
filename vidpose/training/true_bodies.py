"""The bodies that a mesh head learns: fitted to the true joints of a benchmark, and kept beside the run.

Fitting takes 2 ms a frame, 50 minutes over Human3.6M. So a run that goes on takes up what it began with. The file says
what the bodies were made of; where that is no longer so, they are fitted again.

Shape suffixes: F frames of a split, J joints, K what turns bones, P dials, D 3.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from vidpose.body.kinematics import orientations
from vidpose.body.skeletons import Skeleton
from vidpose.body_models.body_model import BodyModel
from vidpose.body_models.embodying import fit_motion
from vidpose.common.files import replacing
from vidpose.common.inputs import reading


@dataclass(frozen=True)
class TrueBodies:
    """The bodies in the frames of a split; float32.

    Attributes:
        axes: (F, K, 2, 3) the y and the z axis of what turns bones (`BodyModel.movers`); those at rest where a frame
            does not count.
        shapes: (F, P) where the fitted dials stand.
        landmarks: (J, 3) metres, mean ways from heads of bones to joints, in the frames of the bones that hold them.
    """

    axes: np.ndarray
    shapes: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True)
class TrueMotion:
    """What bodies are fitted to.

    Attributes:
        joints: (F, J, 3) float32 metres.
        counts: (F,) bool, the frames that count.
        clips: first and last frame of each.
        layout: of the joints.
        source: what errors call it.
    """

    joints: np.ndarray
    counts: np.ndarray
    clips: Sequence[tuple[int, int]]
    layout: Skeleton
    source: str

    def digest(self, model: BodyModel) -> str:
        """Tells apart what bodies of a model are made of."""
        dials = [name for name, dial in model.dials.items() if dial.fitted]
        facts = [model.name, self.layout.name, self.clips, dials]
        rests = [model.rest({}), *(model.rest({name: model.dials[name].high}) for name in dials)]
        found = hashlib.sha256(json.dumps(facts).encode())
        for array in (
            self.joints,
            self.counts,
            model.weights,
            *(part for r in rests for part in (r.vertices, r.heads)),
        ):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def bodies(self, model: BodyModel) -> TrueBodies:
        """Fit a body to each clip.

        Raises:
            VidposeError: bones that nobody has.
        """
        dials = [name for name, dial in model.dials.items() if dial.fitted]
        every = slice(None)
        axes_FKDD = np.tile(np.eye(3, dtype=np.float32)[1:], (len(self.joints), len(model.movers), 1, 1))
        shapes_FP = np.zeros((len(self.joints), len(dials)), np.float32)
        marks = [model.landmarks[joint] for joint in self.layout.joints]
        heads, held = ([model.layout.index(getattr(m, end)) for m in marks] for end in ("head", "held_by"))
        ways: list[np.ndarray] = []
        for first, last in self.clips:
            rows = first + np.flatnonzero(self.counts[first : last + 1])
            joints_NJD = self.joints[rows]
            turned = orientations(joints_NJD.astype(np.float64), self.layout)
            body = fit_motion(joints_NJD, turned, self.layout, model, {}, f"{self.source}, row {first}")
            axes_FKDD[rows] = body.turned[..., 1:].swapaxes(-1, -2)
            shapes_FP[first : last + 1] = [body.shape[name] for name in dials]
            beside_NJD = (joints_NJD - body.heads(every)[:, heads])[..., None]
            ways.append((body.turns(every)[:, held].swapaxes(-1, -2) @ beside_NJD)[..., 0].mean(axis=0))
        return TrueBodies(axes_FKDD, shapes_FP, np.stack(ways).mean(axis=0).astype(np.float32))


def true_bodies(motion: TrueMotion, model: BodyModel, kept: Path | None, say: Callable[[str], None]) -> TrueBodies:
    """Bodies fitted to a motion, or those that were before.

    Args:
        kept: the file in which they are, and where they are put; None: nowhere.
        say: called with a line for people.

    Raises:
        VidposeError: bones that nobody has; the file is damaged, or cannot be written.
    """
    made_of = motion.digest(model) if kept else ""
    if kept and kept.exists() and (found := _read(kept, made_of, len(motion.joints))):
        say(f"{kept}: bodies that were fitted before")
        return found
    say("fitting bodies to the true joints")
    bodies = motion.bodies(model)
    if kept:
        with replacing(kept) as partial:
            save_file({field.name: getattr(bodies, field.name) for field in fields(bodies)}, partial, {_KEY: made_of})
    return bodies


def _read(path: Path, made_of: str, frames: int) -> TrueBodies | None:
    """The bodies in a file; None where they are of something else."""
    with (
        reading(path, "the bodies of a run", "remove it, and they are fitted again"),
        safe_open(path, framework="np") as file,
    ):
        if (file.metadata() or {}).get(_KEY) != made_of:
            return None
        found = TrueBodies(**{field.name: file.get_tensor(field.name) for field in fields(TrueBodies)})
        if not len(found.axes) == len(found.shapes) == frames:
            raise ValueError(f"{len(found.axes)} and {len(found.shapes)} frames, where {frames} are due")
        return found


_KEY = "made of"
