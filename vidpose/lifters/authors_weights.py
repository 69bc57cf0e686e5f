"""Weights that the lifters' authors published: what `vidpose weights` knows of them.

`importing.py` takes them over.
"""

from __future__ import annotations

from collections.abc import Mapping

from vidpose.lifters.lifter_table import LIFTERS
from vidpose.weights.catalogue import Entry, Published, by_name


def _theirs(arch: str, weights: Published, licence: str) -> Entry:
    """Weights of a lifter's authors, for `vidpose weights import`."""
    paper = LIFTERS[arch].paper
    assert paper is not None, arch
    return Entry(
        f"authors:{arch}",
        "lifter",
        paper,
        arch=arch,
        weights=weights,
        layout="h36m17",
        licence=licence,
        metric=f"MPJPE {paper.mpjpe}",
    )


AUTHORS_WEIGHTS: Mapping[str, Entry] = by_name(
    (
        _theirs(
            "videopose3d",
            Published("authors", url="https://dl.fbaipublicfiles.com/video-pose-3d/pretrained_h36m_cpn.bin"),
            "CC BY-NC 4.0",
        ),
        _theirs("mixste", Published("authors", page="https://github.com/JinluZhang1126/MixSTE"), "none given"),
        _theirs("mhformer", Published("authors", page="https://github.com/Vegetebird/MHFormer"), "MIT"),
        _theirs(
            "motionagformer", Published("authors", page="https://github.com/TaatiTeam/MotionAGFormer"), "Apache-2.0"
        ),
    )
)
"""By the name that the command line takes."""
