"""2D networks: one file a network, from a picture of a person to their keypoints."""
