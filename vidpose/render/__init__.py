"""Pictures of a result: the overlay video, with the 3D skeletons beside it."""

from vidpose.render.overlay import OverlayRenderer, bodies_of, render_overlay

__all__ = ["OverlayRenderer", "bodies_of", "render_overlay"]
