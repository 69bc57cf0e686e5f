"""The chain: video -> people and 2D keypoints -> tracks -> 3D -> smooth 3D. Frames stream; tracks are small."""
