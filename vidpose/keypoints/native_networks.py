"""The native 2D keypoint networks, one file each. Importing this file registers them all."""

from vidpose.keypoints import cpn, hourglass, hrnet
from vidpose.keypoints.keypoint_network import (
    KeypointNetwork,
    NetworkConfig,
    Processing,
    create_network,
    load_network,
    network_class,
    network_names,
    restore_network,
)

__all__ = [
    "KeypointNetwork",
    "NetworkConfig",
    "Processing",
    "cpn",
    "create_network",
    "hourglass",
    "hrnet",
    "load_network",
    "network_class",
    "network_names",
    "restore_network",
]
