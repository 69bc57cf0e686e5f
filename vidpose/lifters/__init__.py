"""2D keypoints to 3D joints: one file per paper. Importing a file here registers what it defines."""

from vidpose.lifters import (
    ktpformer,
    lstm_transformer,
    martinez,
    mhformer,
    mixste,
    motionagformer,
    motionbert,
    poseformer,
    poseformer_v2,
    seq2seq,
    ssr_stf,
    stcformer,
    videopose3d,
)
from vidpose.lifters.base import Lifter, LifterConfig, Paper, create_lifter, lifter_class, lifter_names

__all__ = [
    "Lifter",
    "LifterConfig",
    "Paper",
    "create_lifter",
    "ktpformer",
    "lifter_class",
    "lifter_names",
    "lstm_transformer",
    "martinez",
    "mhformer",
    "mixste",
    "motionagformer",
    "motionbert",
    "poseformer",
    "poseformer_v2",
    "seq2seq",
    "ssr_stf",
    "stcformer",
    "videopose3d",
]
