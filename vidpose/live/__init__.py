"""Skeletons while it happens: frames from a camera, joints out to other programs, with as little delay as can be."""
