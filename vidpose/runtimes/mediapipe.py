"""BlazePose out of the mediapipe wheel: the only room that knows mediapipe.

Two of mediapipe's own subgraphs are run apart: one finds people in a picture, one finds the landmarks of the person
in a region that we choose. All between the pixels and the landmarks stays mediapipe's, so one person comes out as from
`mp.solutions.pose`, which follows one person only (median error on two rendered clips 2.7 and 3.4 pixels against 2.9
and 3.7); here each further person costs one more run of the landmark network. On two CPU cores a picture costs 7 ms
to search and a person 12 ms, where `mp.solutions.pose` takes 13.

Both networks say where a body is by a *region*: two points in pixels, the middle of the hips and a point on the circle
that encloses the whole body, in the direction of the head. Regions are (P, 2, 2) float64: person, point, x y.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np

from vidpose.common.errors import VidposeError
from vidpose.common.interrupts import deferred_interrupts

_CROP_MARGIN = 1.25  # the landmark network was trained on squares this much larger than the body's circle
_MIN_RADIUS = 2.0  # pixels; mediapipe gives up on an empty square

_DETECTION = """
    input_stream: "image"
    output_stream: "detections"
    node {
      calculator: "PoseDetectionCpu"
      input_stream: "IMAGE:image"
      output_stream: "DETECTIONS:detections"
    }
"""
_DETECTION_THRESHOLD = "posedetectioncpu__TensorsToDetectionsCalculator.min_score_thresh"

_LANDMARKS = """
    input_stream: "image"
    input_stream: "region"
    output_stream: "landmarks"
    output_stream: "alignment"
    node {
      calculator: "PoseLandmarkByRoiCpu"
      input_stream: "IMAGE:image"
      input_stream: "ROI:region"
      output_stream: "LANDMARKS:landmarks"
      output_stream: "AUXILIARY_LANDMARKS:alignment"
    }
"""
_INNER = "poselandmarkbyroicpu__tensorstoposelandmarksandsegmentation__"
_PRESENCE = _INNER + "pose_presence_score"
_PRESENCE_THRESHOLD = _INNER + "ThresholdingCalculator.threshold"


class PersonSearch:
    """mediapipe's person detector: everyone in one picture."""

    def __init__(self, min_score: float) -> None:
        """Load the network; people it is less sure of than `min_score` (0 to 1) are left out."""
        self._graph = _start(_DETECTION, {_DETECTION_THRESHOLD: min_score}, ["detections"])

    def run(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find people in `image` (H, W, 3) uint8 RGB: regions (P, 2, 2), and scores (P,) from 0 to 1."""
        height, width = image.shape[:2]
        with deferred_interrupts():
            found = self._graph.process({"image": np.ascontiguousarray(image)}).detections or []
        regions = np.empty((len(found), 2, 2))
        for region, person in zip(regions, found, strict=True):
            for point, relative in zip(region, person.location_data.relative_keypoints[:2], strict=True):
                point[:] = relative.x * width, relative.y * height
        return regions, np.array([person.score[0] for person in found], dtype=np.float64)

    def close(self) -> None:
        """Free the network."""
        self._graph.close()


class LandmarkSearch:
    """mediapipe's landmark network: one person, in a given region."""

    def __init__(self) -> None:
        """Load the network."""
        # Below every score, so that the network always answers and its caller decides what is a person.
        threshold = {_PRESENCE_THRESHOLD: -1.0}
        self._graph = _start(_LANDMARKS, threshold, ["landmarks", "alignment", _PRESENCE])

    def run(self, image: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Find the landmarks of the person in a region.

        Args:
            image: (H, W, 3) uint8 RGB.
            region: (2, 2) pixels.

        Returns:
            (33, 4) landmarks: x and y in pixels, the probabilities that it is not hidden and that it is in the region;
            (2, 2) the region in which to look for this person next; the probability that there is a person at all.
        """
        height, width = image.shape[:2]
        square = _square(region, width, height)
        with deferred_interrupts():
            found = self._graph.process({"image": np.ascontiguousarray(image), "region": square})
        landmarks = np.array([(m.x * width, m.y * height, m.visibility, m.presence) for m in found.landmarks.landmark])
        alignment = np.array([(m.x * width, m.y * height) for m in found.alignment.landmark])
        return landmarks, alignment, float(getattr(found, _PRESENCE))

    def close(self) -> None:
        """Free the network."""
        self._graph.close()


def _square(region: np.ndarray, width: int, height: int) -> Any:
    """The turned square around a region, as mediapipe's NormalizedRect."""
    from mediapipe.framework.formats.rect_pb2 import NormalizedRect

    centre, top = region
    along = top - centre
    side = 2 * _CROP_MARGIN * max(float(np.hypot(*along)), _MIN_RADIUS)
    return NormalizedRect(
        x_center=centre[0] / width,
        y_center=centre[1] / height,
        width=side / width,
        height=side / height,
        rotation=float(np.arctan2(along[0], -along[1])),
    )


def _start(config: str, options: Mapping[str, float], outputs: Sequence[str]) -> Any:
    """Start a mediapipe graph and run it once, since mediapipe prints notes until its first picture is through."""
    with deferred_interrupts(), _quiet_libraries():
        try:
            from mediapipe.framework.formats.rect_pb2 import NormalizedRect
            from mediapipe.python.solution_base import SolutionBase
        except ImportError as error:
            raise VidposeError(
                f"mediapipe cannot be loaded ({error}); reinstall it: pip install mediapipe==0.10.21"
            ) from error
        graph = SolutionBase(graph_config=config, calculator_params=dict(options), outputs=list(outputs))
        inputs: dict[str, Any] = {"image": np.zeros((64, 64, 3), np.uint8)}
        if "region" in config:
            inputs["region"] = NormalizedRect(x_center=0.5, y_center=0.5, width=1, height=1)
        graph.process(inputs)
    return graph


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep what C++ writes to file descriptor 2 from the user; what Python writes to sys.stderr still gets through."""
    try:
        descriptor = os.dup(2)
    except OSError:  # closed: there is nobody to keep it from
        yield
        return
    # sys.stderr may be something else than descriptor 2 (a test's capture, a progress display): leave that alone.
    is_plain = sys.stderr is sys.__stderr__ and sys.stderr is not None
    with os.fdopen(descriptor, "w", buffering=1, errors="backslashreplace") as terminal:
        if is_plain:
            sys.stderr.flush()
        with redirect_stderr(terminal if is_plain else sys.stderr), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(terminal.fileno(), 2)
