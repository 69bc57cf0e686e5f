"""Tracks to better tracks: left and right set right, gaps filled, curves smoothed."""

from vidpose.refine.gaps import bridgeable, fill_gaps, stretches
from vidpose.refine.sides import unswap_sides
from vidpose.refine.smoothing import Smoothing

__all__ = ["Smoothing", "bridgeable", "fill_gaps", "stretches", "unswap_sides"]
