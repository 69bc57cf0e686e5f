"""Three ways of following people through a video, for three kinds of detector.

- `IdsGiven`: the detector knows who is who; everyone is looked at in their box.
- `BoxesLead`: boxes that hug bodies are where a network that takes boxes looks; the last frame says where only between
  runs of the detector, and for whom it misses.
- `RegionsLead`: the keypoints of one frame say where to look in the next, better than a box; the detectors, in turn,
  look for newcomers now and then, and for everyone in a frame in which somebody known is missing or nobody is there.
  Whom none has seen for a while is gone: a landmark network alone follows a shadow for as long as one likes.

A person whom the detector is not sure of may be somebody known, and nobody new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidpose.body.regions import Regions
from vidpose.keypoints.poses import Poses, inside
from vidpose.people.detections import Detections, PersonDetector
from vidpose.people.looks import look_at, unseen
from vidpose.people.tracker import NOBODY, Tracker
from vidpose.pipeline.networks import Networks

_MIN_PRESENCE = 0.5  # probability that there is a person, as MediaPipe asks for
_SURE = 0.5  # confidence that a newcomer needs, besides a score of which the detector is sure
_EVIDENT = 0.75  # confidence of a newcomer whom no detector needs to be sure of
_SURE_SECOND = 0.8  # score of the second detector that a newcomer needs; in an empty room it says up to 0.6
_SAME_BODY = 0.35  # distance of two regions of one body, see `Regions.distances`
_SAME_MIDDLE = 0.6  # of a box's circle, how far from its middle somebody's hips are at most
_UPRIGHT = 0.7  # how much of the way from hips to head is up, of who counts as upright
_WITNESSED = 0.6  # distance at which a detection shows that somebody followed is there
_SEARCH_SECONDS = 0.5  # between searches of a detector that does not lead
_LOOK_EVERY = 5  # frames, of what somebody wears who is alone
_GONE_SECONDS = 2.0  # without being seen by a detector, after which somebody is gone, unless ...
_UNMISTAKABLE = 0.85  # ... the keypoints were this confident all the while
_AT_THE_EDGE = 0.02  # of the picture's height: a box that ends there goes on beyond it
_BOX_MARGIN = 0.1  # of the box's sides: joints lie inside the body


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


@dataclass(frozen=True)
class _Candidates:
    """Poses that may be people, and which of them may be somebody new."""

    poses: Poses
    sure: np.ndarray

    def __add__(self, more: _Candidates) -> _Candidates:
        return _Candidates(self.poses + more.poses, np.concatenate([self.sure, more.sure]))


class Follower:
    """What the three share. `step` follows everyone into the next frame."""

    def __init__(self, networks: Networks, min_score: float) -> None:
        self.networks, self._min_score = networks, min_score
        self._detector, self._keypoints = networks.detector, networks.keypoints

    def step(self, image: np.ndarray, time: float, index: int) -> list[Sighting]:
        """As `PeopleFinder.step`."""
        raise NotImplementedError

    def look_ahead(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> None:
        """As `PeopleFinder.look_ahead`."""

    def begin_anew(self) -> None:
        """As `PeopleFinder.begin_anew`."""

    def confirmed(self, max_people: int | None) -> set[int]:
        """The ids that are people, the most prominent ones of them."""
        raise NotImplementedError

    def gone_since(self, id_: int) -> float:
        """As `PeopleFinder.gone_since`."""
        return np.inf

    def state(self) -> dict[str, np.ndarray]:
        """As `PeopleFinder.state`."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """As `PeopleFinder.restore`."""
        raise NotImplementedError

    def _regions_of(self, found: Detections) -> np.ndarray:
        if found.regions is None or self._keypoints.takes_boxes:
            return self._keypoints.regions(found.boxes)
        return found.regions

    def _believable(self, poses: Poses, image: np.ndarray) -> np.ndarray:
        """(P,) bool: which of the poses may be people at all."""
        return (poses.presence >= _MIN_PRESENCE) & (confidences(poses, image) >= self._min_score)


class IdsGiven(Follower):
    """Everyone in the box, and with the id, that the detector gives."""

    def __init__(self, networks: Networks, min_score: float) -> None:
        super().__init__(networks, min_score)
        self._ahead: list[tuple[Detections, Poses]] = []
        self._prominence: defaultdict[int, float] = defaultdict(float)

    def step(self, image: np.ndarray, time: float, index: int) -> list[Sighting]:
        if not self._ahead:
            self.look_ahead([image], [index])
        found, poses = self._ahead.pop(0)
        assert found.ids is not None
        is_believable = self._believable(poses, image)
        poses, ids = poses[is_believable], found.ids[is_believable].tolist()
        sightings = [_sighting(i, poses, p, image) for p, i in enumerate(ids)]
        for sighting, confidence in zip(sightings, confidences(poses, image), strict=True):
            self._prominence[sighting.id] += float(confidence * np.hypot(*(sighting.box[2:] - sighting.box[:2])))
        return sorted(sightings, key=lambda sighting: sighting.id)

    def look_ahead(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> None:
        found = self._detector.detect_all(images, indices)
        poses = self._keypoints.locate_all(images, [self._regions_of(some) for some in found])
        self._ahead += zip(found, poses, strict=True)

    def confirmed(self, max_people: int | None) -> set[int]:
        return set(sorted(self._prominence, key=self._prominence.__getitem__, reverse=True)[:max_people])

    def state(self) -> dict[str, np.ndarray]:
        return _packed("prominence", self._prominence)

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self._prominence.update(_unpacked("prominence", state))


class _Tracking(Follower):
    """Followers that find out themselves who is who."""

    def __init__(self, networks: Networks, min_score: float, gap: float) -> None:
        super().__init__(networks, min_score)
        self._tracker = Tracker(self._keypoints.layout, gap)
        self._steps = 0
        self._regions: dict[int, np.ndarray] = {}

    def begin_anew(self) -> None:
        self._tracker.forget()
        self._regions = {}

    def confirmed(self, max_people: int | None) -> set[int]:
        return self._tracker.confirmed(max_people)

    def state(self) -> dict[str, np.ndarray]:
        tracker = {f"tracker_{name}": array for name, array in self._tracker.state().items()}
        return {**tracker, "steps": np.array(self._steps), **_packed("regions", self._regions)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        prefix = "tracker_"
        self._tracker.restore({n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)})
        self._steps, self._regions = int(state["steps"]), _unpacked("regions", state)

    def _expected(self, time: float) -> dict[int, np.ndarray]:
        """Where everyone known should be: regions (2, 2) by id."""
        return {i: self._regions[i] + shift for i, shift in self._tracker.predict(time).items()}

    def _follow(self, image: np.ndarray, expected: dict[int, np.ndarray], taken: np.ndarray) -> _Candidates:
        """People where they are expected, unless somebody is there already."""
        regions = np.array(list(expected.values())).reshape(-1, 2, 2)
        is_free = Regions(regions).away_from(Regions(taken), _SAME_BODY)
        poses = self._keypoints.locate(image, regions[is_free])
        poses = poses[self._believable(poses, image)]
        return _Candidates(poses, confidences(poses, image) >= _SURE)

    def _judge(self, scores: np.ndarray, poses: Poses, image: np.ndarray, enough: float) -> _Candidates:
        """Those of the poses found for detections, of those scores, that may be people."""
        confidence, is_believable = confidences(poses, image), self._believable(poses, image)
        sure = (scores >= enough) & (confidence >= _SURE) | (confidence >= _EVIDENT)
        return _Candidates(poses[is_believable], sure[is_believable])

    def _newcomers(
        self, detections: Detections, taken: np.ndarray, image: np.ndarray, detector: PersonDetector
    ) -> _Candidates:
        """People a detector finds where nobody is yet."""
        regions = self._regions_of(detections)
        is_free = Regions(regions).away_from(Regions(taken), _SAME_BODY)
        if detections.regions is None and is_free.any() and detector is not self.networks.second:
            regions[is_free] = self._as_they_lie(regions[is_free], image)
        poses = self._keypoints.locate(image, regions[is_free])
        if detections.regions is None:
            poses = self._with_whole_bodies(poses, detections.boxes[is_free], image)
        enough = _SURE_SECOND if detector is self.networks.second else detector.sure
        return self._judge(detections.scores[is_free], poses, image, enough)

    def _as_they_lie(self, regions: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Regions (P, 2, 2) of newcomers in boxes, turned as the second detector says: boxes know no heads.

        The landmark networks know upright bodies, and make one of somebody who lies or stands on their head.
        """
        if self.networks.second is None or self._keypoints.takes_boxes:
            return regions
        others = self._regions_of(self.networks.second.detect(image, False))
        turned = regions.copy()
        for number, (middle, top) in enumerate(regions):
            radius = np.linalg.norm(top - middle)
            apart = np.linalg.norm(others[:, 0] - middle, axis=1)
            if len(apart) and apart.min() < _SAME_MIDDLE * radius:
                other = others[apart.argmin()]
                up = (other[1] - other[0]) / max(np.linalg.norm(other[1] - other[0]), 1e-9)
                if -up[1] < _UPRIGHT:
                    turned[number] = other
        return turned

    def _with_whole_bodies(self, poses: Poses, boxes: np.ndarray, image: np.ndarray) -> Poses:
        """Look again for whom the picture's lower edge cuts off, where the whole body would be, and keep the surer.

        A box around head and shoulders says nothing of the legs, and the landmark networks know whole bodies.
        """
        height = image.shape[0]
        is_cut = np.flatnonzero(boxes[:, 3] > (1 - _AT_THE_EDGE) * height)
        if not len(is_cut):
            return poses
        whole = boxes[is_cut].copy()
        whole[:, 3] += whole[:, 3] - whole[:, 1]
        again = self._keypoints.locate(image, self._keypoints.regions(whole))
        better = confidences(again, image) > confidences(poses[is_cut], image)
        order = np.arange(len(poses))
        order[is_cut[better]] = len(poses) + np.flatnonzero(better)
        return (poses + again)[order]

    def _name(self, image: np.ndarray, time: float, found: _Candidates, known: dict[int, np.ndarray]) -> list[Sighting]:
        """Give the candidates their ids, and remember where to look for them in the next frame."""
        poses = found.poses
        looks = unseen(len(poses))
        # Who is alone needs to be known from time to time, for when somebody comes.
        if len(poses) > 1 or len(known) > 1 or self._steps % _LOOK_EVERY == 0:
            looks = look_at(image, poses.keypoints, poses.scores, self._keypoints.layout)
        confidence = confidences(poses, image)
        ids = self._tracker.update(time, poses.keypoints, poses.scores, confidence, found.sure, looks)
        people = {int(i): p for p, i in enumerate(ids) if i != NOBODY}
        self._regions = {i: self._regions[i] for i in known} | {i: poses.regions[p] for i, p in people.items()}
        return [_sighting(i, poses, p, image) for i, p in sorted(people.items())]


class BoxesLead(_Tracking):
    """In the boxes of a detector that runs on every frame, or on every few and where somebody known is missing."""

    def __init__(self, networks: Networks, min_score: float, gap: float, detect_every: int) -> None:
        super().__init__(networks, min_score, gap)
        self._detect_every = detect_every
        self._ahead: dict[int, tuple[Detections, Poses]] = {}

    def step(self, image: np.ndarray, time: float, index: int) -> list[Sighting]:
        if self._steps % self._detect_every == 0 and self._steps not in self._ahead:
            self.look_ahead([image], [index])
        looked_at = self._ahead.pop(self._steps, None)
        self._steps += 1
        known = self._expected(time)
        found = _Candidates(self._keypoints.locate(image, np.empty((0, 2, 2))), np.empty(0, bool))
        if looked_at:
            found = self._judge(looked_at[0].scores, looked_at[1], image, self._detector.sure)
        found = found + self._follow(image, known, found.poses.regions)
        if not looked_at and (len(found.poses) < len(known) or not known):
            detections = self._detector.detect(image, False, index)
            found = found + self._newcomers(detections, found.poses.regions, image, self._detector)
        return self._name(image, time, found, known)

    def look_ahead(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> None:
        due = [i for i in range(len(images)) if (self._steps + i) % self._detect_every == 0]
        if not due:
            return
        images = [images[i] for i in due]
        found = self._detector.detect_all(images, [indices[i] for i in due])
        poses = self._keypoints.locate_all(images, [self._regions_of(some) for some in found])
        self._ahead = {self._steps + i: pair for i, pair in zip(due, zip(found, poses, strict=True), strict=True)}


class RegionsLead(_Tracking):
    """Where the last frame says, with a detector for newcomers and for the missing, and a second for whom it misses."""

    def __init__(self, networks: Networks, min_score: float, gap: float, detect_every: int | None) -> None:
        super().__init__(networks, min_score, gap)
        self._detect_every = detect_every
        self._detectors = [detector for detector in (self._detector, networks.second) if detector]
        self._searches, self._searched = 0, -np.inf
        self._witnessed: dict[int, float] = {}
        self._gone: dict[int, float] = {}

    def step(self, image: np.ndarray, time: float, index: int) -> list[Sighting]:
        due = self._due(time)
        self._steps += 1
        known = self._expected(time)
        found = self._follow(image, known, np.empty((0, 2, 2)))
        seen = []
        for detector in self._detectors:
            missing = self._missing(known, found.poses.regions)
            if not (detector is due or len(missing) or not known):
                continue
            is_second = detector is self.networks.second
            if detector is due or not known or not is_second:
                # A thorough search by the second would cost as much as the landmarks of everyone.
                detections = detector.detect(image, detector is due and not is_second, index)
            else:
                detections = detector.detect_near(image, missing, index)
            seen.append(self._regions_of(detections))
            found = found + self._newcomers(detections, found.poses.regions, image, detector)
        sightings = self._name(image, time, found, known)
        self._witness(sightings, seen, image, time)
        return sightings

    def begin_anew(self) -> None:
        super().begin_anew()
        self._searched = -np.inf

    def gone_since(self, id_: int) -> float:
        return self._gone.get(id_, np.inf)

    def state(self) -> dict[str, np.ndarray]:
        searches = {"searches": np.array(self._searches), "searched": np.array(self._searched)}
        return {**super().state(), **searches, **_packed("witnessed", self._witnessed), **_packed("gone", self._gone)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        super().restore(state)
        self._searches, self._searched = int(state["searches"]), float(state["searched"])
        self._witnessed, self._gone = _unpacked("witnessed", state), _unpacked("gone", state)

    def _due(self, time: float) -> PersonDetector | None:
        """The detector that is to look for everyone in this frame, if one is: they take turns."""
        if self._detect_every:
            is_due = self._steps % self._detect_every == 0
        else:
            is_due = time - self._searched >= _SEARCH_SECONDS
        if not is_due:
            return None
        self._searched = time
        self._searches += 1
        return self._detectors[(self._searches - 1) % len(self._detectors)]

    def _missing(self, known: dict[int, np.ndarray], taken: np.ndarray) -> np.ndarray:
        """(M, 2, 2) where those known should be whom nobody has been found near, if fewer were found than are known."""
        expected = np.array(list(known.values())).reshape(-1, 2, 2)
        if len(taken) >= len(known):
            return expected[:0]
        alone = Regions(expected).away_from(Regions(taken), _SAME_BODY)
        return expected[alone] if alone.any() else expected

    def _witness(self, sightings: list[Sighting], seen: list[np.ndarray], image: np.ndarray, time: float) -> None:
        """Note whom a detector has seen; whom none has for long is followed no more, unless the keypoints are sure."""
        there = Regions(np.concatenate([np.empty((0, 2, 2)), *seen]))
        for sighting in sightings:
            own = Regions(self._regions[sighting.id][None])
            is_inside = inside(sighting.keypoints, image.shape)
            confidence = sighting.scores[is_inside].mean() if is_inside.any() else 0
            is_new = sighting.id not in self._witnessed
            if is_new or confidence >= _UNMISTAKABLE or not own.away_from(there, _WITNESSED)[0]:
                self._witnessed[sighting.id] = time
            elif time - self._witnessed[sighting.id] > _GONE_SECONDS:
                self._tracker.forget(sighting.id)
                self._gone[sighting.id] = self._witnessed[sighting.id] + _SEARCH_SECONDS / 2


def confidences(poses: Poses, image: np.ndarray) -> np.ndarray:
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


def _packed(name: str, by_id: Mapping[int, Any]) -> dict[str, np.ndarray]:
    """Values by id as two arrays."""
    return {f"{name}_ids": np.array(list(by_id), dtype=int), name: np.array(list(by_id.values()))}


def _unpacked(name: str, state: Mapping[str, np.ndarray]) -> dict[int, Any]:
    """What `_packed` made arrays of."""
    return dict(zip(state[f"{name}_ids"].tolist(), state[name], strict=True))
