"""Small clip networks as training leaves them: an untrained one has no relations between pictures."""

import torch
from torch import nn

from vidpose.keypoints.clips.clip_network import ClipNetwork, clip_network_class, create_clip_network


def stirred(name: str = "temporal-relational", seed: int = 0, **settings: object) -> ClipNetwork:
    """A network at its smallest but for the settings, in eval mode, with random weights that relate pictures."""
    torch.manual_seed(seed)
    network = create_clip_network(name, **{**clip_network_class(name).tiny, **settings}).eval()
    for module in network.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            nn.init.xavier_uniform_(module.self_attn.out_proj.weight)
            nn.init.xavier_uniform_(module.linear2.weight)
    return network
