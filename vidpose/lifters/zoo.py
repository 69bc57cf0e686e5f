"""Lifter weights: reading and writing them.

The header of the file (`weights_file.py`) has architecture and config, joint layout, the detector and conversion they
were trained on, data, recipe, metrics, licence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.inputs import short
from vidpose.lifters.graph_lifter import GraphLifter
from vidpose.lifters.lifter_table import ZOO
from vidpose.weights.hashing import file_hash
from vidpose.weights.header import read_header

if TYPE_CHECKING:
    from vidpose.lifters import Lifter

L = TypeVar("L", bound="Lifter | GraphLifter", covariant=True)


def save_lifter(lifter: Lifter, path: Path, about: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a lifter's weights and everything needed to build it again.

    Args:
        about: what the weights were trained on and how well they do, for the header.
        half: parameters in float16, except those that it cannot hold. Buffers, which are statistics, stay as they are.

    Raises:
        VidposeError: the file cannot be written.
    """
    from vidpose.lifters.lifter import LIFTER_CLASSES
    from vidpose.weights.weights_file import write_weights

    facts = {"arch": lifter.name, "config": asdict(lifter.config), "layout": lifter.layout.name}
    write_weights(lifter, path, LIFTER_CLASSES.format, {**facts, **about}, half=half)


@dataclass(frozen=True)
class Weights(Generic[L]):
    """A lifter ready to use, and what its file says of it.

    Attributes:
        name: as the user asked for it: a zoo name or a path.
        lifter: ready to answer.
        about: the header.
        sha256: of the file.
        averaged: those of each, where this is an average of several; the other fields are then the first one's.
    """

    name: str
    lifter: L
    about: Mapping[str, Any]
    sha256: str
    averaged: tuple[Weights[L], ...] = ()

    @property
    def each(self) -> tuple[Weights[L], ...]:
        """Those of every lifter that is asked."""
        return self.averaged or (self,)

    def draw(self, hypotheses: int | None, steps: int | None) -> None:
        """Set how many hypotheses a lifter that draws poses draws, and in how many steps; None: as its file says.

        Raises:
            UsageError: it draws none, or not so many.
        """
        if hypotheses is None and steps is None:
            return
        from vidpose.lifters import HypothesisLifter

        if not isinstance(self.lifter, HypothesisLifter):
            raise UsageError(
                f"{self.name}: {self.lifter.name} gives one answer; `hypotheses` and `draw_steps` are for d3dp"
            )
        usual_hypotheses, usual_steps = self.lifter.drawn
        self.lifter.sampling(hypotheses or usual_hypotheses, steps or usual_steps)


def open_lifter(
    name_or_file: str | Path, device: str, threads: int | None = None, precision: str = "float32"
) -> Weights[Lifter | GraphLifter]:
    """A lifter to lift with, by zoo name or from a file: by ONNX Runtime where its graph comes with vidpose, which
    spares loading torch, and where that has the device and the precision.

    Args:
        name_or_file: or several with "+" between, whose answers are averaged.
        threads: of the CPU, for ONNX Runtime; None: as many as there are. Torch is told elsewhere.
        precision: of matrix products, one of `PRECISIONS`.

    Raises:
        UsageError, VidposeError: as of `load_weights` and `use_bfloat16`.
    """
    name = str(name_or_file)
    if _is_average(name):
        return _averaged(name, [open_lifter(one, device, threads, precision) for one in name.split("+")])
    entry = ZOO.get(name)
    if device != "cpu" or precision != "float32" or entry is None or entry.shipped.graph is None:
        weights = load_weights(name_or_file)
        if precision == "bfloat16":
            from vidpose.lifters.bfloat16 import use_bfloat16

            use_bfloat16(weights.lifter, device)
        return replace(weights, lifter=weights.lifter.to(device))
    about = read_header(entry.shipped.checked())
    lifter = GraphLifter(entry.name, about["config"], entry.predicts, entry.shipped.graph.checked(), threads)
    return Weights(entry.name, lifter, about, entry.shipped.sha256)


def _is_average(name: str) -> bool:
    """Whether it is a name of several lifters, whose answers are averaged, not of one or of a file."""
    return "+" in name and not Path(name).exists()


def _averaged(name: str, each: Sequence[Weights[L]]) -> Weights[L]:
    """Lifters whose answers can be averaged, as one. Raises UsageError where they do not answer for the same."""
    first = each[0]
    for other in each[1:]:
        for what in ("layout", "input_layout", "in_ray_frame"):
            if getattr(other.lifter, what) != getattr(first.lifter, what):
                raise UsageError(
                    f"`lifter={name}`: {first.name} and {other.name} cannot be averaged; they differ in {what}"
                )
    return replace(first, name=name, sha256="+".join(one.sha256 for one in each), averaged=tuple(each))


def load_weights(name_or_file: str | Path, *, averages: bool = False) -> Weights[Lifter]:
    """Read weights by zoo name or from a file; the lifter is a torch module, in eval mode, on the CPU.

    Args:
        averages: several with "+" between are taken, too, as one.

    Raises:
        UsageError: neither a known name nor an existing file; or several, where one is wanted.
        VidposeError: the file is not what it should be: another hash than the zoo's, a pickle, foreign or wrong keys.
    """
    name = str(name_or_file)
    if _is_average(name):
        if not averages:
            raise UsageError(f"{name}: one lifter is wanted here; give one of {', '.join(name.split('+'))}")
        return _averaged(name, [load_weights(one) for one in name.split("+")])
    entry = ZOO.get(name)
    shipped = entry.weights if entry else None
    path = shipped.checked() if shipped else Path(name_or_file)
    if not path.is_file():
        known = f"shipped are {', '.join(ZOO)}"
        raise UsageError(
            f"unknown lifter {str(name_or_file)!r}: no such file, and {known}; or give a .safetensors file"
        )
    from vidpose.lifters.lifter import LIFTER_CLASSES
    from vidpose.weights.weights_file import read_network

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
