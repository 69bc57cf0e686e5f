"""Tracks to better tracks: left and right set right, gaps filled, curves smoothed, people put into space."""

from vidpose.refine.focal import check_lens
from vidpose.refine.gaps import fill_gaps
from vidpose.refine.place import place
from vidpose.refine.rays import in_camera_frame
from vidpose.refine.roots import reprojection_error, root_path
from vidpose.refine.scale import parse_heights
from vidpose.refine.sides import unswap_sides
from vidpose.refine.smoothing import Smoothing

__all__ = [
    "Smoothing",
    "check_lens",
    "fill_gaps",
    "in_camera_frame",
    "parse_heights",
    "place",
    "reprojection_error",
    "root_path",
    "unswap_sides",
]
