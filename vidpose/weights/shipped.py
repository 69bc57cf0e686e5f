"""The files that come with vidpose: beside the package in a source tree, inside it in an installed wheel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vidpose.common.errors import VidposeError
from vidpose.weights.hashing import file_hash

_PACKAGE = Path(__file__).parents[1]


def shipped(kind: str) -> Path:
    """The folder of the shipped `weights`, `samples` or `recipes`."""
    installed = _PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


@dataclass(frozen=True)
class ShippedWeights:
    """Weights that come with vidpose: the file's name in `weights/`, and its sha256.

    Attributes:
        graph_sha256: of `graph`; "" where there is none.
    """

    file: str
    sha256: str
    graph_sha256: str = ""

    @property
    def graph(self) -> ShippedWeights | None:
        """The network for ONNX Runtime, in a file beside these weights, which it reads."""
        return ShippedWeights(f"{Path(self.file).stem}.onnx", self.graph_sha256) if self.graph_sha256 else None

    @property
    def path(self) -> Path:
        return shipped("weights") / self.file

    def checked(self) -> Path:
        """The path, once the file is known to be what it should be.

        Raises:
            VidposeError: it is missing or damaged.
        """
        if not self.path.is_file():
            raise VidposeError(f"{self.path}: the shipped weights are missing; install vidpose again")
        found = file_hash(self.path)
        if found != self.sha256:
            raise VidposeError(
                f"{self.path}: damaged (sha256 {found[:8]}, expected {self.sha256[:8]}); install vidpose again"
            )
        return self.path
