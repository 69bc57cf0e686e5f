"""2D keypoints to 3D joints: one file per paper. Importing a file here registers what it defines."""

from vidpose.lifters import (
    lstm_transformer,
    martinez,
    mixste,
    seq2seq,
)
from vidpose.lifters.base import Lifter, LifterConfig, Paper, create_lifter, lifter_class, lifter_names

__all__ = [
    "Lifter",
    "LifterConfig",
    "Paper",
    "create_lifter",
    "lifter_class",
    "lifter_names",
    "lstm_transformer",
    "martinez",
    "mixste",
    "seq2seq",
]
