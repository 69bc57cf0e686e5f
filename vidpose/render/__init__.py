"""Pictures of a result: the overlay video, with the 3D skeletons beside it."""

from vidpose.render.overlay import OverlayRenderer, render_overlay

__all__ = ["OverlayRenderer", "render_overlay"]
