"""Networks that see a person in clips, from up to four cameras. Importing this registers them all."""

from vidpose.keypoints.clips import temporal_relational
from vidpose.keypoints.clips.clip_network import (
    ClipNetwork,
    clip_network_class,
    clip_network_names,
    create_clip_network,
    regression_loss,
)

__all__ = [
    "ClipNetwork",
    "clip_network_class",
    "clip_network_names",
    "create_clip_network",
    "regression_loss",
    "temporal_relational",
]
