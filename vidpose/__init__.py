"""3D human motion from ordinary video.

    result = vidpose.infer("video.mp4")             # a PoseResult: tracks with 2D keypoints and 3D joints
    records = vidpose.batch("videos", "out")        # many videos, on all cores
    lifter = vidpose.load_lifter("martinez")        # a torch.nn.Module

`vidpose` the program does the same, and draws, exports, trains and evaluates.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult, Track
    from vidpose.common.errors import UsageError, VidposeError
    from vidpose.lifters.zoo import load_lifter
    from vidpose.many.scheduling import batch
    from vidpose.pipeline.inference import infer, infer_views
    from vidpose.pipeline.job import Job

__version__ = "0.1.0"

_HOME = {
    "Job": "vidpose.pipeline.job",
    "batch": "vidpose.many.scheduling",
    "infer": "vidpose.pipeline.inference",
    "infer_views": "vidpose.pipeline.inference",
    "load_lifter": "vidpose.lifters.zoo",
    "PoseResult": "vidpose.body.tracks",
    "Track": "vidpose.body.tracks",
    "VidposeError": "vidpose.common.errors",
    "UsageError": "vidpose.common.errors",
}

__all__ = [
    "Job",
    "PoseResult",
    "Track",
    "UsageError",
    "VidposeError",
    "__version__",
    "batch",
    "infer",
    "infer_views",
    "load_lifter",
]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and `vidpose --help` must not wait for it.
    if name not in _HOME:
        raise AttributeError(f"module 'vidpose' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
