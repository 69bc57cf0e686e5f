"""2D keypoint networks on annotated pictures and clips."""
