"""Lifted joints to smooth ones: gap filling and smoothing."""

from vidpose.refine.gaps import bridgeable, fill_gaps, stretches
from vidpose.refine.smoothing import Smoothing

__all__ = ["Smoothing", "bridgeable", "fill_gaps", "stretches"]
