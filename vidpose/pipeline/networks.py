"""Opening person detectors and 2D keypoint networks by the names that the command line takes.

    with open_networks("torchvision:ssdlite", "hrnet-w32", device="cuda") as networks:
        result = find_people("walk.mp4", networks=networks)

Weights are ours that come with vidpose, or published ones, which are looked for where `vidpose weights fetch` puts
them; nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidpose.common.errors import UsageError, VidposeError, did_you_mean
from vidpose.common.lazy import imported
from vidpose.keypoints.network_table import CLIP_NETWORKS, KEYPOINTS
from vidpose.keypoints.poses import KeypointFinder
from vidpose.people.detections import PersonDetector
from vidpose.people.detector_table import DETECTORS
from vidpose.pipeline.choices import Finding
from vidpose.runtimes.torchvision_networks import KEYPOINT_RCNN
from vidpose.weights.catalogue import Entry, Opening, weights_file

if TYPE_CHECKING:
    from vidpose.body.skeletons import Skeleton
    from vidpose.keypoints.clips.clip_finder import ClipFinder

_GPU_BATCH = 8
"""Frames a GPU is given at a time; a CPU gains nothing from several."""


@dataclass(frozen=True)
class Networks:
    """What finds people in pictures, and their joints. Use it in a `with` block.

    Attributes:
        provenance: what they are, for a result.
        batch: how many frames they are best given at a time.
        clips: looks at everyone again once they have been followed, in clips; its keypoints replace the others.
        second: looks for somebody known whom the detector misses, where it does not lead.
    """

    detector: PersonDetector
    keypoints: KeypointFinder
    provenance: Mapping[str, str]
    batch: int = 1
    clips: ClipFinder | None = None
    second: PersonDetector | None = None
    _opened: ExitStack = field(default_factory=ExitStack)

    @property
    def layout(self) -> Skeleton:
        """The joints that people have in the end."""
        return (self.clips or self.keypoints).layout

    def __enter__(self) -> Networks:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def open_networks(
    detector: str = Finding.detector,
    keypoints: str = Finding.keypoints,
    *,
    detector_weights: Path | None = None,
    keypoints_weights: Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Networks:
    """Load a person detector and a keypoint network.

    Args:
        detector: a name in `people/detector_table.py`, with a path for FILE, or name or path of a config for CONFIG.
        keypoints: a name in `keypoints/network_table.py`, likewise.
        detector_weights, keypoints_weights: a file; None: the shipped or published one.
        device: to run them on.
        threads: of the CPU that BlazePose and NanoDet use; None: as many as there are.

    Raises:
        UsageError: there is none of that name, or its weights have no known address and no file is given.
        VidposeError: a library or weights are missing, or the weights are of something else.
    """
    with ExitStack() as stack:
        finder = stack.enter_context(_open(DETECTORS, "detector", detector, detector_weights, device, threads))
        clips = second = None
        if keypoints in CLIP_NETWORKS:
            clips = _open(KEYPOINTS, "keypoints", keypoints, keypoints_weights, device)
            locator = stack.enter_context(_open(KEYPOINTS, "keypoints", Finding.keypoints, None, device, threads))
        elif detector == keypoints == KEYPOINT_RCNN and detector_weights == keypoints_weights:
            from vidpose.keypoints.foreign.keypoint_rcnn import sharing

            locator = stack.enter_context(sharing(finder.network, device))
        else:
            locator = stack.enter_context(_open(KEYPOINTS, "keypoints", keypoints, keypoints_weights, device, threads))
        if detector.startswith("nanodet") and not locator.takes_boxes:
            second = stack.enter_context(_open(DETECTORS, "detector", "blazepose", None, device, threads))
        batch = _GPU_BATCH if device.startswith("cuda") else 1
        names = {"detector": detector, "keypoints": keypoints}
        return Networks(finder, locator, names, batch, clips, second, stack.pop_all())


def layout_of_keypoints(name: str) -> Skeleton | None:
    """The layout of the joints that a keypoint network of that name finds; None where only its weights tell."""
    from vidpose.body.skeletons import get_skeleton

    entry = KEYPOINTS.get(name)
    return get_skeleton(entry.layout) if entry and entry.takes_weights == "never" else None


def open_keypoints(name: str, weights: Path | None = None, *, device: str = "cpu") -> KeypointFinder:
    """Load a keypoint network that sees pictures, for people whose places are known; close it, or use `with`.

    Args and errors as of `open_networks`.
    """
    return _open(KEYPOINTS, "keypoints", name, weights, device)


def _open(
    table: Mapping[str, Entry],
    option: str,
    name: str,
    weights: Path | None,
    device: str,
    threads: int | None = None,
) -> Any:
    kind, _, rest = name.partition(":")
    known = next((e for e in (f"{kind}:FILE", f"{kind}:CONFIG") if rest and e in table), name)
    if known not in table:
        raise UsageError(f"`{option}={name}`: unknown; {did_you_mean(name, table)}known are {', '.join(table)}")
    entry = table[known]
    if weights:
        if entry.takes_weights == "never":
            raise UsageError(f"`{option}_weights={weights}`: {name} takes no weights; leave it out")
        if not weights.is_file():
            raise VidposeError(f"`{option}_weights={weights}`: no such file")
    elif entry.weights:
        weights = weights_file(entry)
    elif entry.takes_weights == "must":
        raise UsageError(f"`{option}={name}`: no address of its weights is known; give `{option}_weights`")
    return imported(entry.loader)(Opening(entry, name, weights, device, threads), **entry.options)
