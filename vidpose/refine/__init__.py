"""Tracks to better tracks: left and right set right, gaps filled, curves smoothed, people put into space."""
