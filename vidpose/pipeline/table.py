"""All networks and weights there are: the tables of the rooms, in one."""

from __future__ import annotations

from collections.abc import Mapping

from vidpose.common.errors import UsageError, did_you_mean
from vidpose.keypoints.network_table import BACKBONES, KEYPOINTS, MMPOSE_WEIGHTS
from vidpose.lifters.authors_weights import AUTHORS_WEIGHTS
from vidpose.lifters.lifter_table import LIFTERS
from vidpose.people.detector_table import DETECTORS, OTHER_DETECTOR_WEIGHTS
from vidpose.weights.catalogue import Entry

TABLES: tuple[Mapping[str, Entry], ...] = (
    LIFTERS,
    KEYPOINTS,
    MMPOSE_WEIGHTS,
    DETECTORS,
    OTHER_DETECTOR_WEIGHTS,
    BACKBONES,
    AUTHORS_WEIGHTS,
)


def _with_weights() -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for table in TABLES:
        for name, entry in table.items():
            if entry.weights:
                # A network that finds both people and joints has the same weights in either table.
                assert found.setdefault(name, entry).weights == entry.weights, name
    return found


WEIGHTS: Mapping[str, Entry] = _with_weights()
"""What `vidpose weights` takes: all that come with vidpose, or that others publish."""


def find_weights(name: str) -> Entry:
    """The entry in `WEIGHTS` of that name.

    Raises:
        UsageError: there is none; says which is nearest.
    """
    if name in WEIGHTS:
        return WEIGHTS[name]
    raise UsageError(f"unknown weights {name!r}; {did_you_mean(name, WEIGHTS)}`vidpose weights list` shows them all")
