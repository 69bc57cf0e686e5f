"""Skinned bodies: meshes that bones carry, fitted to tracks."""
