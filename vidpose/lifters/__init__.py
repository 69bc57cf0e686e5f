"""2D keypoints to 3D joints: one file per paper. Importing a file here registers what it defines."""

from vidpose.lifters.base import Lifter, LifterConfig, create_lifter, lifter_names
from vidpose.lifters.lstm_transformer import SingleBranch

__all__ = ["Lifter", "LifterConfig", "SingleBranch", "create_lifter", "lifter_names"]
