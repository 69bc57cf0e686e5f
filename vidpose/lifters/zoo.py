"""Lifter weights: reading and writing them.

The header of the file (`weights_file.py`) has architecture and config, joint layout, the detector and conversion they
were trained on, data, recipe, metrics, licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import short
from vidpose.lifters.lifter import LIFTER_CLASSES, HypothesisLifter, Lifter
from vidpose.lifters.lifter_table import ZOO
from vidpose.weights.downloads import file_hash
from vidpose.weights.weights_file import read_network, write_weights


def save_lifter(lifter: Lifter, path: Path, about: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a lifter's weights and everything needed to build it again.

    Args:
        about: what the weights were trained on and how well they do, for the header.
        half: parameters in float16, except those that it cannot hold. Buffers, which are statistics, stay as they are.

    Raises:
        VidposeError: the file cannot be written.
    """
    facts = {"arch": lifter.name, "config": asdict(lifter.config), "layout": lifter.layout.name}
    write_weights(lifter, path, LIFTER_CLASSES.format, {**facts, **about}, half=half)


@dataclass(frozen=True)
class Weights:
    """A lifter ready to use, and what its file says of it.

    Attributes:
        name: as the user asked for it: a zoo name or a path.
        lifter: in eval mode, on the CPU.
        about: the header.
        sha256: of the file.
    """

    name: str
    lifter: Lifter
    about: Mapping[str, Any]
    sha256: str

    def draw(self, hypotheses: int | None, steps: int | None) -> None:
        """Set how many hypotheses a lifter that draws poses draws, and in how many steps; None: as its file says.

        Raises:
            UsageError: it draws none, or not so many.
        """
        if hypotheses is None and steps is None:
            return
        if not isinstance(self.lifter, HypothesisLifter):
            raise UsageError(
                f"{self.name}: {self.lifter.name} gives one answer; `hypotheses` and `draw_steps` are for d3dp"
            )
        usual_hypotheses, usual_steps = self.lifter.drawn
        self.lifter.sampling(hypotheses or usual_hypotheses, steps or usual_steps)


def load_weights(name_or_file: str | Path) -> Weights:
    """Read weights by zoo name or from a file.

    Raises:
        UsageError: neither a known name nor an existing file.
        VidposeError: the file is not what it should be: another hash than the zoo's, a pickle, foreign or wrong keys.
    """
    entry = ZOO.get(str(name_or_file))
    shipped = entry.weights if entry else None
    path = shipped.checked() if shipped else Path(name_or_file)
    if not path.is_file():
        known = f"shipped are {', '.join(ZOO)}"
        raise UsageError(
            f"unknown lifter {str(name_or_file)!r}: no such file, and {known}; or give a .safetensors file"
        )
    lifter, about = read_network(path, LIFTER_CLASSES)
    theirs, ours = about.get("layout"), lifter.layout.name
    if theirs != ours:
        raise VidposeError(f"{path}: joints in layout {short(theirs)}, where {lifter.name} has {ours!r}")
    return Weights(str(name_or_file), lifter, about, shipped.sha256 if shipped else file_hash(path))


def load_lifter(name_or_file: str | Path) -> Lifter:
    """A lifter with its weights, in eval mode: (B, T, 17, C) normalised keypoints to (B, T', 17, 3) metres.

    Raises:
        UsageError, VidposeError: as `load_weights`.
    """
    return load_weights(name_or_file).lifter
