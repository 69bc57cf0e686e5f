"""People with joints and ids, one frame at a time: detector, keypoints and tracker put together.

The detector does not run on every frame. Who is known is looked for where the last frame says; the detector searches
the picture thoroughly now and then for newcomers, and briefly in every frame in which someone known is missing or
nobody is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidpose.keypoints.blazepose import BlazePoseKeypoints, Poses, inside
from vidpose.people.blazepose import BlazePoseDetector
from vidpose.people.tracker import NOBODY, Tracker

_MIN_PRESENCE = 0.5  # probability that there is a person, as mediapipe itself asks for
_SURE = 0.5  # confidence that a newcomer needs ...
_SURE_DETECTION = 0.6  # ... besides this score of the detector; less finds someone known again
_SAME_BODY = 0.35  # distance of the middles of two regions of one body, of the larger radius
_BOX_MARGIN = 0.1  # of the box's sides: joints lie inside the body


@dataclass(frozen=True)
class Sighting:
    """One person in one frame.

    Attributes:
        id: the same number for the same person, from 1.
        box: (4,) float32 pixels, x0 y0 x1 y1, cut off at the picture's edge.
        keypoints: (33, 2) float32 pixels, layout `blazepose33`; may lie outside the picture.
        scores: (33,) float32, 0 to 1.
    """

    id: int
    box: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray


class PeopleFinder:
    """Follows everyone through a video. Use it in a `with` block, or call `close`.

    with PeopleFinder() as finder:
        sightings = [finder.step(frame.image, frame.time) for frame in frames]
        people = finder.confirmed
    """

    def __init__(
        self, max_people: int | None = None, min_score: float = 0.3, search_every: float = 0.5, gap: float = 0.7
    ) -> None:
        """Load the networks, which takes about a second the first time.

        Args:
            max_people: how many of the people to confirm, the most prominent of the whole video; None for all.
            min_score: leave out people whose keypoints inside the picture score less than this on average, 0 to 1.
            search_every: seconds between thorough searches for newcomers.
            gap: seconds for which someone may be out of sight and keep the id.

        Raises:
            VidposeError: mediapipe cannot be loaded.
        """
        self._detector = BlazePoseDetector()
        self._keypoints = BlazePoseKeypoints()
        self._tracker = Tracker(self._keypoints.layout, gap)
        self._max_people = max_people
        self._min_score = min_score
        self._search_every = search_every
        self._searched = -np.inf
        self._regions: dict[int, np.ndarray] = {}

    def step(self, image: np.ndarray, time: float) -> list[Sighting]:
        """Find everyone in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB, the size of the frames before.
            time: seconds, later than the frame before.

        Returns:
            Everyone seen, by id. Some turn out later to be nobody: see `confirmed`.
        """
        known = {i: self._regions[i] + shift for i, shift in self._tracker.predict(time).items()}
        poses = self._keypoints.locate(image, np.array(list(known.values())).reshape(-1, 2, 2))
        poses = poses[self._is_believable(poses, image)]
        sure = _confidences(poses, image) >= _SURE
        is_due = time - self._searched >= self._search_every
        if is_due or len(poses) < len(known) or not known:
            self._searched = time if is_due else self._searched
            newcomers, is_new = self._newcomers(image, poses, thorough=is_due)
            poses, sure = poses + newcomers, np.concatenate([sure, is_new])
        ids = self._tracker.update(time, poses.keypoints, poses.scores, _confidences(poses, image), sure)
        found = {int(i): p for p, i in enumerate(ids) if i != NOBODY}
        self._regions = {i: self._regions[i] for i in known} | {i: poses.regions[p] for i, p in found.items()}
        return [_sighting(i, poses, p, image) for i, p in sorted(found.items())]

    @property
    def confirmed(self) -> set[int]:
        """The ids that are people, as far as the video has been seen; ask at its end and drop the others."""
        return self._tracker.confirmed(self._max_people)

    def _newcomers(self, image: np.ndarray, known: Poses, thorough: bool) -> tuple[Poses, np.ndarray]:
        """People the detector finds in other places than the known poses, and which of them are surely people."""
        found = self._detector.detect(image, thorough)
        elsewhere = ~_same_bodies(found.regions, known.regions).any(axis=1)
        poses = self._keypoints.locate(image, found.regions[elsewhere])
        sure = (found.scores[elsewhere] >= _SURE_DETECTION) & (_confidences(poses, image) >= _SURE)
        is_believable = self._is_believable(poses, image)
        return poses[is_believable], sure[is_believable]

    def _is_believable(self, poses: Poses, image: np.ndarray) -> np.ndarray:
        return (poses.presence >= _MIN_PRESENCE) & (_confidences(poses, image) >= self._min_score)

    def close(self) -> None:
        """Free the networks."""
        self._detector.close()
        self._keypoints.close()

    def __enter__(self) -> PeopleFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _same_bodies(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, B) bool: which regions lie around one body."""
    apart = np.linalg.norm(a[:, None, 0] - b[:, 0], axis=-1)
    radius_a, radius_b = (np.linalg.norm(region[:, 1] - region[:, 0], axis=-1) for region in (a, b))
    return apart < _SAME_BODY * np.maximum(radius_a[:, None], radius_b)


def _confidences(poses: Poses, image: np.ndarray) -> np.ndarray:
    """(P,) how sure it is that each is a person: presence times the mean score of the joints inside the picture."""
    is_inside = inside(poses.keypoints, image.shape)
    return poses.presence * (poses.scores * is_inside).sum(axis=1) / np.maximum(is_inside.sum(axis=1), 1)


def _sighting(id_: int, poses: Poses, p: int, image: np.ndarray) -> Sighting:
    keypoints = poses.keypoints[p]
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    margin = _BOX_MARGIN * (high - low)
    height, width = image.shape[:2]
    box = np.clip(np.concatenate([low - margin, high + margin]), 0, (width, height, width, height))
    return Sighting(id_, box.astype(np.float32), keypoints, poses.scores[p])
