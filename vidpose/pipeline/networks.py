"""Which person detectors and 2D keypoint networks there are, by the names that the command line takes.

    with open_networks("torchvision:ssdlite", "hrnet-w32", device="cuda") as networks:
        result = find_people("walk.mp4", networks=networks)

Weights are ours that come with vidpose, or published ones, which are looked for where `vidpose weights fetch` puts
them; nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidpose.common.errors import UsageError, VidposeError, did_you_mean, one_line
from vidpose.keypoints.poses import InBoxes, KeypointFinder
from vidpose.people.detections import PersonDetector
from vidpose.pipeline.choices import Finding
from vidpose.weights.catalogue import CATALOGUE, weights_file
from vidpose.weights.shipped import ShippedWeights

if TYPE_CHECKING:
    from torch import nn

    from vidpose.body.skeletons import Skeleton
    from vidpose.keypoints.clips.clip_finder import ClipFinder
    from vidpose.people.torchvision_detector import TorchvisionDetector

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
        detector: a name in `DETECTORS`, with a path for FILE, or the name or path of a config for CONFIG.
        keypoints: a name in `KEYPOINTS`, likewise.
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
            locator = stack.enter_context(_blazepose_keypoints(Finding.keypoints, None, device, threads))
        elif detector == keypoints == _KEYPOINT_RCNN and detector_weights == keypoints_weights:
            locator = stack.enter_context(_sharing(finder, device))
        else:
            locator = stack.enter_context(_open(KEYPOINTS, "keypoints", keypoints, keypoints_weights, device, threads))
        if detector.startswith("nanodet") and not locator.takes_boxes:
            second = stack.enter_context(_blazepose_detector("blazepose", None, device, threads))
        batch = _GPU_BATCH if device.startswith("cuda") else 1
        names = {"detector": detector, "keypoints": keypoints}
        return Networks(finder, locator, names, batch, clips, second, stack.pop_all())


def layout_of_keypoints(name: str) -> Skeleton | None:
    """The layout of the joints that a keypoint network of that name finds; None where only its weights tell."""
    from vidpose.body.skeletons import BLAZEPOSE_33

    return BLAZEPOSE_33 if name.startswith("blazepose") else None


def open_keypoints(name: str, weights: Path | None = None, *, device: str = "cpu") -> KeypointFinder:
    """Load a keypoint network that sees pictures, for people whose places are known; close it, or use `with`.

    Args and errors as of `open_networks`.
    """
    return _open(KEYPOINTS, "keypoints", name, weights, device)


def _open(
    table: Mapping[str, Callable[..., Any]],
    option: str,
    name: str,
    weights: Path | None,
    device: str,
    threads: int | None = None,
) -> Any:
    kind, _, rest = name.partition(":")
    entry = next((e for e in (f"{kind}:FILE", f"{kind}:CONFIG") if rest and e in table), name)
    if entry not in table:
        raise UsageError(f"`{option}={name}`: unknown; {did_you_mean(name, table)}known are {', '.join(table)}")
    if entry in _WITHOUT_WEIGHTS:
        if weights:
            raise UsageError(f"`{option}_weights={weights}`: {name} takes no weights; leave it out")
    elif weights:
        if not weights.is_file():
            raise VidposeError(f"`{option}_weights={weights}`: no such file")
    elif name in SHIPPED:
        weights = SHIPPED[name].checked()
    elif entry not in _OPENMMLAB:  # which knows itself where they are published
        if name not in CATALOGUE:
            raise UsageError(f"`{option}={name}`: no address of its weights is known; give `{option}_weights`")
        weights = weights_file(name)
    if entry in _EMBEDDED:
        return table[entry](name, weights, device, threads)
    return table[entry](name, weights, device)


def _nanodet(name: str, _: None, device: str, threads: int | None) -> PersonDetector:
    from vidpose.people.nanodet import NanoDetDetector

    return NanoDetDetector(tiles=name == "nanodet:tiles", device=device, threads=threads)


def _blazepose_detector(_: str, __: None, device: str, threads: int | None) -> PersonDetector:
    from vidpose.people.blazepose_detector import BlazePoseDetector

    return BlazePoseDetector(device=device, threads=threads)


def _blazepose_keypoints(name: str, _: None, device: str, threads: int | None) -> KeypointFinder:
    from vidpose.keypoints.blazepose_keypoints import BlazePoseKeypoints

    return BlazePoseKeypoints(name.removeprefix("blazepose-"), device=device, threads=threads)


def _boxes(name: str, *_: object) -> PersonDetector:
    from vidpose.people.boxes import BoxesFile

    return BoxesFile(Path(name.removeprefix("boxes:")))


def _torchvision_detector(name: str, weights: Path, device: str) -> PersonDetector:
    from vidpose.people.torchvision_detector import TorchvisionDetector

    return TorchvisionDetector(load_torchvision(name, weights), device)


def _torchvision_keypoints(name: str, weights: Path, device: str) -> KeypointFinder:
    from vidpose.keypoints.foreign.keypoint_rcnn import KeypointRcnn

    return InBoxes(KeypointRcnn(load_torchvision(name, weights), device))


def _sharing(detector: TorchvisionDetector, device: str) -> KeypointFinder:
    """Keypoints by the network that finds people: its backbone sees a picture once for both."""
    from vidpose.keypoints.foreign.keypoint_rcnn import KeypointRcnn, Remembering

    network = detector.network
    network.backbone = Remembering(network.backbone)
    return InBoxes(KeypointRcnn(network, device))


def _mmdet(name: str, weights: Path | None, device: str) -> PersonDetector:
    from vidpose.people.mmdet import MmDet

    return MmDet(name.removeprefix("mmdet:"), weights, device)


def _mmpose(name: str, weights: Path | None, device: str) -> KeypointFinder:
    from vidpose.keypoints.foreign.mmpose import MmPose

    return InBoxes(MmPose(name.removeprefix("mmpose:"), weights, device))


def _rtmdet(name: str, weights: Path, device: str) -> PersonDetector:
    from vidpose.people.rtmdet import RtmDet

    return RtmDet(weights, device, size=320 if name == "rtmdet-nano" else 640)


def _top_down(name: str, weights: Path, device: str) -> KeypointFinder:
    from vidpose.keypoints.top_down import TopDown
    from vidpose.keypoints.trained_networks import open_network

    arch, changes = _VARIANTS.get(name, (name, {}))
    trained = open_network(weights, arch)
    processing = trained.processing if trained.about else replace(trained.processing, **changes)
    return InBoxes(TopDown(trained.network, processing, device=device, half=device.startswith("cuda")))


def _clip_network(name: str, weights: Path, device: str) -> ClipFinder:
    from vidpose.keypoints.clips.clip_finder import ClipFinder
    from vidpose.keypoints.clips.clip_weights import read_clip_network

    network, _ = read_clip_network(weights, name)
    return ClipFinder(network, device=device)


def _rtmpose(name: str, weights: Path, device: str) -> KeypointFinder:
    from vidpose.keypoints.foreign.rtmpose import RtmPose

    return InBoxes(RtmPose(weights, device))


_KEYPOINT_RCNN = "torchvision:keypointrcnn"

_TORCHVISION = {
    "torchvision:fasterrcnn": "fasterrcnn_resnet50_fpn",
    "torchvision:fasterrcnn-v2": "fasterrcnn_resnet50_fpn_v2",
    "torchvision:fasterrcnn-mobilenet": "fasterrcnn_mobilenet_v3_large_fpn",
    "torchvision:ssdlite": "ssdlite320_mobilenet_v3_large",
    _KEYPOINT_RCNN: "keypointrcnn_resnet50_fpn",
}
"""torchvision's names of its networks."""

_NO_EPSILON = ("fasterrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn")
"""Those whose published weights were trained without the epsilon of batch normalisation."""

SHIPPED: Mapping[str, ShippedWeights] = {
    "hrnet-w24": ShippedWeights(
        "hrnet-w24.safetensors", "c089fbc4854d484d02a0bdd36980a8a5037fd10da8517885dae1d5fb0edd7c72"
    ),
}
"""Keypoint networks that come with weights of ours."""

_BLAZEPOSE = ("blazepose-lite", "blazepose-full", "blazepose-heavy")
_EMBEDDED = (*_BLAZEPOSE, "blazepose", "nanodet", "nanodet:tiles")
"""Which come with vidpose, and run by ONNX Runtime or by torch (`vidpose.runtimes.embedded`)."""

_WITHOUT_WEIGHTS = (*_EMBEDDED, "boxes:FILE")
_OPENMMLAB = ("mmdet:CONFIG", "mmpose:CONFIG")

NATIVE = ("cpn", "hourglass", "hourglass-newell", "hrnet-w24", "hrnet-w32", "hrnet-w48")
"""Names in the registry of `keypoints/`, which is not asked: that would import torchvision for BlazePose, too."""

CLIP_NETWORKS = ("temporal-relational", "vit-b", "vit-s")
"""Names in the registry of `keypoints/clips/`: networks that see people who have been followed."""

_VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "hrnet-w32-384x288": ("hrnet-w32", {"input_size": (288, 384)}),
    "hrnet-w32-dark": ("hrnet-w32", {"decoding": "dark"}),
    "hrnet-w32-udp": ("hrnet-w32", {"alignment": "udp", "decoding": "udp"}),
    "hrnet-w48-384x288": ("hrnet-w48", {"input_size": (288, 384)}),
    "cpn-384x288": ("cpn", {"input_size": (288, 384)}),
}
"""Native networks trained otherwise than the registered ones: the network, and what its `Processing` has otherwise."""

DETECTORS: Mapping[str, Callable[..., PersonDetector]] = {
    "nanodet": _nanodet,
    "nanodet:tiles": _nanodet,
    "blazepose": _blazepose_detector,
    **dict.fromkeys(_TORCHVISION, _torchvision_detector),
    "rtmdet": _rtmdet,
    "rtmdet-nano": _rtmdet,
    "mmdet:CONFIG": _mmdet,
    "boxes:FILE": _boxes,
}
KEYPOINTS: Mapping[str, Callable[..., KeypointFinder | ClipFinder]] = {
    **dict.fromkeys(_BLAZEPOSE, _blazepose_keypoints),
    **dict.fromkeys((*NATIVE, *_VARIANTS), _top_down),
    **dict.fromkeys(CLIP_NETWORKS, _clip_network),
    _KEYPOINT_RCNN: _torchvision_keypoints,
    "rtmpose-t": _rtmpose,
    "rtmpose-s": _rtmpose,
    "rtmpose-m": _rtmpose,
    "mmpose:CONFIG": _mmpose,
}


def load_torchvision(name: str, weights: Path) -> nn.Module:
    """A detection network of torchvision, with weights from a file in its layout.

    Raises:
        VidposeError: the file cannot be read, or is of another network.
    """
    from torch.nn import BatchNorm2d
    from torchvision.models import get_model

    from vidpose.weights.untrusted import read_checkpoint

    tensors = read_checkpoint(weights)
    network = get_model(_TORCHVISION[name], weights=None, weights_backbone=None)
    for module in network.modules():
        if isinstance(module, BatchNorm2d) and _TORCHVISION[name] in _NO_EPSILON:
            module.eps = 0.0
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise VidposeError(f"{weights}: not weights of {name} ({one_line(error)})") from None
    return network.eval()
