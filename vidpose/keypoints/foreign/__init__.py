"""Keypoint networks of other libraries."""
