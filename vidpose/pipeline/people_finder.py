"""People with joints and ids, one frame at a time: detector, keypoints and tracker put together.

BlazePose's detector does not run on every frame. Who is known is looked for where the last frame says; the detector
searches the picture thoroughly now and then for newcomers, and briefly in every frame in which someone known is missing
or nobody is there. A detector whose boxes hug bodies leads instead: it runs on every frame or every few, its boxes are
where keypoints are looked for, and the last frame says where only between its runs and for whom it misses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from vidpose.keypoints.poses import Poses, inside
from vidpose.people.detections import Detections, PersonDetector
from vidpose.people.tracker import NOBODY, Tracker
from vidpose.pipeline.networks import Networks, open_networks

_MIN_PRESENCE = 0.5  # probability that there is a person, as MediaPipe asks for
_SURE = 0.5  # confidence that a newcomer needs, besides a score of which the detector is sure
_EVIDENT = 0.9  # confidence of a newcomer whom no detector needs to be sure of
_SURE_SECOND = 0.8  # score of the second detector that a newcomer needs; in an empty room it says up to 0.6
_SAME_BODY = 0.35  # distance of the middles of two regions of one body, of the larger radius
_SEARCH_SECONDS = 0.5  # between thorough searches, of a detector that does not lead
_BOX_MARGIN = 0.1  # of the box's sides: joints lie inside the body

_NOWHERE = np.empty((0, 2, 2))


@dataclass(frozen=True)
class Sighting:
    """One person in one frame.

    Attributes:
        id: the same number for the same person, from 1.
        box: (4,) float32 pixels, x0 y0 x1 y1, cut off at the picture's edge.
        keypoints: (J, 2) float32 pixels, in the finder's layout; may lie outside the picture.
        scores: (J,) float32, 0 to 1.
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
        self,
        max_people: int | None = None,
        min_score: float = 0.3,
        gap: float = 0.7,
        *,
        networks: Networks | None = None,
        detect_every: int | None = None,
    ) -> None:
        """Start with nobody known.

        Args:
            max_people: how many of the people to confirm, the most prominent of the whole video; None for all.
            min_score: leave out people whose keypoints inside the picture score less than this on average, 0 to 1.
            gap: seconds for which someone may be out of sight and keep the id.
            networks: None: the default ones, closed with the finder.
            detect_every: frames from one run of the detector over everyone to the next; None: every frame if it leads,
                else half a second. Besides, it runs when someone known is missing or nobody is there.

        Raises:
            VidposeError: its files are missing or damaged.
        """
        self._opened = ExitStack()
        self.networks = networks or self._opened.enter_context(open_networks())
        self._detector, self._keypoints = self.networks.detector, self.networks.keypoints
        self._gives_ids = self._detector.gives_ids
        self._boxes_lead = self._gives_ids or (self._detector.is_tight and self._keypoints.takes_boxes)
        self._detect_every = 1 if self._gives_ids else detect_every or (1 if self._boxes_lead else None)
        self._tracker = Tracker(self._keypoints.layout, gap)
        self._max_people = max_people
        self._min_score = min_score
        self._steps = 0
        self._ahead: dict[int, tuple[Detections, Poses]] = {}
        self._searched = -np.inf
        self._regions: dict[int, np.ndarray] = {}
        self._prominence: Counter[int] = Counter()

    def step(self, image: np.ndarray, time: float, index: int = 0) -> list[Sighting]:
        """Find everyone in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB, the size of the frames before.
            time: seconds, later than the frame before.
            index: number of the frame in its video, for a detector that needs it.

        Returns:
            Everyone seen, by id. Some turn out later to be nobody: see `confirmed`.
        """
        is_due = self._is_due(time)
        if is_due and self._boxes_lead and self._steps not in self._ahead:
            self.look_ahead([image], [index])
        looked_at = self._ahead.pop(self._steps, None)
        self._steps += 1
        if looked_at and self._gives_ids:
            return self._named(*looked_at, image)
        known = {i: self._regions[i] + shift for i, shift in self._tracker.predict(time).items()}
        expected = np.array(list(known.values())).reshape(-1, 2, 2)
        if looked_at:
            poses, sure = self._judge(looked_at[0].scores, looked_at[1], image, self._detector.sure)
            more, more_sure = self._follow(image, expected, poses.regions)
            poses, sure = poses + more, np.concatenate([sure, more_sure])
        else:
            poses, sure = self._follow(image, expected, _NOWHERE)
            if is_due or len(poses) < len(known) or not known:
                more, more_sure = self._search(self._detector, image, index, poses.regions, thorough=is_due)
                poses, sure = poses + more, np.concatenate([sure, more_sure])
            second = self.networks.second
            if second and (is_due or len(poses) < len(known) or not known):
                more, more_sure = self._search(second, image, index, poses.regions, thorough=False)
                poses, sure = poses + more, np.concatenate([sure, more_sure])
        ids = self._tracker.update(time, poses.keypoints, poses.scores, _confidences(poses, image), sure)
        found = {int(i): p for p, i in enumerate(ids) if i != NOBODY}
        self._regions = {i: self._regions[i] for i in known} | {i: poses.regions[p] for i, p in found.items()}
        return [_sighting(i, poses, p, image) for i, p in sorted(found.items())]

    def begin_anew(self) -> None:
        """Expect nobody in the next frame: it belongs to another shot. People keep the ids that a detector gives."""
        self._tracker.forget()
        self._regions, self._searched = {}, -np.inf

    def look_ahead(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> None:
        """Do at once, for the coming frames, what does not depend on what is seen in others: `step` then need not.

        Args:
            images, indices: of the frames that `step` will be called with next; see there.
        """
        if not self._boxes_lead:
            return
        due = [i for i in range(len(images)) if (self._steps + i) % self._detect_every == 0]
        if not due:
            return
        images = [images[i] for i in due]
        found = self._detector.detect_all(images, [indices[i] for i in due])
        poses = self._keypoints.locate_all(images, [self._regions_of(some) for some in found])
        self._ahead = {self._steps + i: pair for i, pair in zip(due, zip(found, poses, strict=True), strict=True)}

    @property
    def confirmed(self) -> set[int]:
        """The ids that are people, as far as the video has been seen; ask at its end and drop the others."""
        if self._gives_ids:
            return {id_ for id_, _ in self._prominence.most_common(self._max_people)}
        return self._tracker.confirmed(self._max_people)

    def _is_due(self, time: float) -> bool:
        """Whether the detector is to look for everyone in this frame."""
        if self._detect_every:
            return self._steps % self._detect_every == 0
        is_due = time - self._searched >= _SEARCH_SECONDS
        self._searched = time if is_due else self._searched
        return is_due

    def _follow(self, image: np.ndarray, expected: np.ndarray, taken: np.ndarray) -> tuple[Poses, np.ndarray]:
        """People where they are expected, unless somebody is there already, and which of them are surely people."""
        poses = self._keypoints.locate(image, expected[_elsewhere(expected, taken)])
        poses = poses[self._is_believable(poses, image)]
        return poses, _confidences(poses, image) >= _SURE

    def _search(
        self, detector: PersonDetector, image: np.ndarray, index: int, taken: np.ndarray, thorough: bool
    ) -> tuple[Poses, np.ndarray]:
        """People a detector finds where nobody is yet, and which of them are surely people."""
        is_second = detector is self.networks.second
        found = detector.detect(image, thorough, index)
        regions = self._regions_of(found)
        elsewhere = _elsewhere(regions, taken)
        poses = self._keypoints.locate(image, regions[elsewhere])
        return self._judge(found.scores[elsewhere], poses, image, _SURE_SECOND if is_second else detector.sure)

    def _judge(self, scores: np.ndarray, poses: Poses, image: np.ndarray, enough: float) -> tuple[Poses, np.ndarray]:
        """Those of the poses found for detections that may be people, and which of them surely are."""
        confidences = _confidences(poses, image)
        sure = (scores >= enough) & (confidences >= _SURE) | (confidences >= _EVIDENT)
        is_believable = self._is_believable(poses, image)
        return poses[is_believable], sure[is_believable]

    def _named(self, found: Detections, poses: Poses, image: np.ndarray) -> list[Sighting]:
        """People whom the detector knows, each in their own box."""
        is_believable = self._is_believable(poses, image)
        poses, ids = poses[is_believable], found.ids[is_believable].tolist()
        sightings = [_sighting(i, poses, p, image) for p, i in enumerate(ids)]
        for sighting, confidence in zip(sightings, _confidences(poses, image), strict=True):
            self._prominence[sighting.id] += float(confidence * np.hypot(*(sighting.box[2:] - sighting.box[:2])))
        return sorted(sightings, key=lambda sighting: sighting.id)

    def _regions_of(self, found: Detections) -> np.ndarray:
        if found.regions is None or self._keypoints.takes_boxes:
            return self._keypoints.regions(found.boxes)
        return found.regions

    def _is_believable(self, poses: Poses, image: np.ndarray) -> np.ndarray:
        return (poses.presence >= _MIN_PRESENCE) & (_confidences(poses, image) >= self._min_score)

    def close(self) -> None:
        """Free the networks that were opened here."""
        self._opened.close()

    def __enter__(self) -> PeopleFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _elsewhere(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A,) bool: which of the regions a (A, 2, 2) lie around none of the bodies of b (B, 2, 2)."""
    apart = np.linalg.norm(a[:, None, 0] - b[:, 0], axis=-1)
    radius_a, radius_b = (np.linalg.norm(region[:, 1] - region[:, 0], axis=-1) for region in (a, b))
    return ~(apart < _SAME_BODY * np.maximum(radius_a[:, None], radius_b)).any(axis=1)


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
