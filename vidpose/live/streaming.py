"""What a live run can be told besides how people are found. Defaults stand here, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vidpose.common.errors import UsageError

KEYPOINTS = "blazepose-full"
"""The heavy network of other runs takes three times as long; the lite one often takes left for right."""

LIFTER = "martinez"
"""The one that other runs take needs frames to come."""


@dataclass(frozen=True)
class Streaming:
    """How joints are lifted and where they go.

    Attributes:
        lifter: name of shipped weights, or a .safetensors file, of a lifter that needs no frames to come.
        smooth: `one-euro:HZ` or none.
        host, port: that the page and the WebSocket listen on; port 0 is any that is free.
        osc, vmc: HOST:PORT, or a port of this machine, to send joints and an avatar to; None: nowhere.
        device: `auto`, `cpu`, `cuda` or `cuda:N`, for the networks.
    """

    lifter: str | Path = LIFTER
    smooth: str = "one-euro:3"
    host: str = "127.0.0.1"
    port: int = 8765
    osc: str | None = None
    vmc: str | None = None
    device: str = "auto"

    def check(self) -> None:
        """Raises UsageError where a number or an address cannot be."""
        if not 0 <= self.port < 65536:
            raise UsageError(f"`port={self.port}`: a number from 0 to 65535 is wanted")
        for name in ("osc", "vmc"):
            if (address := getattr(self, name)) is not None:
                parse_address(name, address)


def parse_address(name: str, text: str) -> tuple[str, int]:
    """HOST:PORT, or PORT of this machine.

    Args:
        name: of the parameter, for the error.

    Raises:
        UsageError: it reads otherwise.
    """
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"`{name}={text}`: HOST:PORT is wanted, or a port of this machine, as in 127.0.0.1:39539")
    return host.strip("[]") or "127.0.0.1", int(port)
