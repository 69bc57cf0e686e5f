"""Who is who from frame to frame: ids for people, from their keypoints and from what they wear.

Every frame brings candidates: poses with a confidence. Those of one body are thinned to the surest; the rest are
matched to the people already known, first the sure ones and then, to whoever is left, the unsure ones, each time so
that the sum of costs is least (Hungarian assignment). A match costs what box and pose lack of agreeing with the
person's last pose, moved on at constant velocity, and what clothes lack of looking alike. Where people have met, a
candidate that looks far more like somebody else near by is not matched, nor is somebody who was hidden where another
way of matching is as good. Where one of two who are dressed alike hides the other, both end: whoever is seen may be
either. Someone not seen for longer than a gap is gone, and a candidate farther away than a body
moves in the time is somebody else: better two ids for one person than one for two.

Times are seconds and lengths are fractions of the body's size, so neither frame rate nor resolution matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from vidpose.body.skeletons import Skeleton
from vidpose.people.detections import overlaps
from vidpose.people.looks import blended, likeness

NOBODY = 0
"""The id of a candidate that is not a person, or not one of its own."""

# Lengths are fractions of a body's size, the diagonal of its keypoints' box: about 1.9 m of someone who stands.
_SPREAD = 0.05  # distance of two keypoints at which their agreement has fallen to 0.6
_SAME_BODY = 0.6  # agreement of box and pose from which two poses are one body's, ...
_SAME_TORSO = 0.1  # ... or distance of their torsos up to which they are: nobody stands inside somebody else
_REACH = 0.2  # how far from its predicted place a body may turn up at once ...
_REACH_SPEED = 1.2  # ... and per second since it was seen ...
_MAX_REACH = 0.8  # ... but no farther
_MAX_GROWTH = 2.0  # ratio of sizes
_SIZE_MEMORY = 1.0  # seconds for which someone who crouches counts as tall
_MIN_UNSURE = 0.3  # agreement that an unsure candidate must have with someone to count as them

_VELOCITY_MEMORY = 0.1  # seconds over which velocity is averaged
_COASTING = 0.3  # seconds after which someone unseen is taken to slow down
_MIN_STEP = 1e-3  # seconds; two frames may carry one timestamp

_NEWCOMER = 0.2  # added cost of someone not confirmed yet: of two who claim one pose the elder gets it
_DISTANCE_COST = 0.5  # of a match at the end of the reach; decides where nothing overlaps any more
_LOOK_COST = 0.5  # of clothes that have no colour in common
_UNLIKE = 0.15  # by how much somebody else has to look more like a candidate to be it ...
_ALIKE = 0.8  # ... unless it looks so much like oneself
_LOOK_WEIGHT = 0.1  # of a new frame in how somebody is remembered
_TWINS = 0.9  # how much alike the clothes of two are that tell nothing
_BEHIND = 0.3  # how far at most somebody hidden is from whoever hides them
_HIDDEN = 0.15  # seconds out of sight after which somebody might be mistaken for another
_DOUBT = 0.1  # by how much a match of somebody hidden has to be cheaper than the other way round

_STEADY = 3  # sightings that make a person, if they agree by ...
_STEADINESS = 0.65  # ... this much; what is no person makes a new pose every frame
_PERSISTENT = 10  # sightings that make a person however much they differ
_MIN_PRESENCE = 0.5  # share of the frames of its life in which a person must have been seen


@dataclass
class _Person:
    """Someone, as of the last sighting."""

    id: int
    born: int  # the frame, counted by the tracker
    seen: float  # seconds
    keypoints: np.ndarray
    scores: np.ndarray
    size: float  # pixels; the largest of late
    look: np.ndarray  # (S, N), see `looks.py`
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    sightings: int = 0
    last: int = 0
    agreement: float = 0.0  # of each sighting with the one before, summed
    prominence: float = 0.0

    def shift(self, time: float) -> np.ndarray:
        """How far the body has moved since it was seen, (2,) pixels: constant velocity that dies away."""
        return self.velocity * _COASTING * (1 - np.exp(-(time - self.seen) / _COASTING))

    def is_confirmed(self, frames: int) -> bool:
        """Whether this is a person after all, in a video of so many frames."""
        if self.sightings < _MIN_PRESENCE * (self.last - self.born + 1):
            return False
        is_steady = self.sightings >= _STEADY and self.agreement >= _STEADINESS * (self.sightings - 1)
        return is_steady or self.sightings >= min(_PERSISTENT, frames)


class Tracker:
    """Gives ids to the candidates of one frame after another."""

    def __init__(self, skeleton: Skeleton, gap: float = 0.7) -> None:
        """Start with nobody known.

        Args:
            skeleton: the layout of the keypoints; it has shoulders and hips.
            gap: seconds after which someone not seen is gone; who comes back later gets a new id. Someone seen in the
                frame before is never gone, however long ago that was.
        """
        self._torso = [skeleton.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("shoulder", "hip")]
        self._mirror = list(skeleton.mirror)
        self._gap = gap
        self._frames = 0
        self._everyone: list[_Person] = []
        self._alive: list[_Person] = []

    def predict(self, time: float) -> dict[int, np.ndarray]:
        """How far everyone still followed will have moved since last seen: {id: (2,) pixels}."""
        return {person.id: person.shift(time) for person in self._alive if self._is_around(person, time)}

    def update(
        self,
        time: float,
        keypoints: np.ndarray,
        scores: np.ndarray,
        confidences: np.ndarray,
        sure: np.ndarray,
        looks: np.ndarray | None = None,
    ) -> np.ndarray:
        """Take the candidates of the next frame.

        Args:
            time: seconds, never less than the time before.
            keypoints: (P, K, 2) pixels, finite.
            scores: (P, K), 0 to 1.
            confidences: (P,), 0 to 1: how well each candidate shows a person.
            sure: (P,) bool: those that may be somebody new. The others may only be somebody known.
            looks: (P, S, N) what they wear, see `looks.py`; None: nobody knows.

        Returns:
            (P,) int64 ids from 1, no two alike; NOBODY for a candidate that repeats another, or that is nobody known
            and may not be somebody new.
        """
        self._alive = [person for person in self._alive if self._is_around(person, time)]
        self._frames += 1
        ids = np.full(len(keypoints), NOBODY)
        if looks is None:
            looks = np.full((len(keypoints), 1, 1), np.nan)
        unique = self._distinct(keypoints, scores, confidences)
        apart = _apart(keypoints, unique)
        for round_, floor in ((unique[sure[unique]], 0.0), (unique[~sure[unique]], _MIN_UNSURE)):
            for person, i, agreement in self._match(time, keypoints, scores, looks, round_, floor):
                self._sight(person, time, keypoints[i], scores[i], confidences[i])
                if apart[i]:
                    person.look = blended(person.look, looks[i], _LOOK_WEIGHT)
                person.agreement += agreement
                ids[i] = person.id
        for id_ in self._mixed_up(time):
            ids[ids == id_] = NOBODY
            self.forget(id_)
        for i in unique:
            if sure[i] and ids[i] == NOBODY:
                ids[i] = self._welcome(time, keypoints[i], scores[i], confidences[i], looks[i])
        return ids

    def confirmed(self, max_people: int | None = None) -> set[int]:
        """The ids that proved to be people so far: by three sightings that agree, or by ten, or in a shorter video by
        being in every frame.

        Args:
            max_people: only so many, the most prominent: confidence times size, summed over the frames.
        """
        people = [person for person in self._everyone if person.is_confirmed(self._frames)]
        people.sort(key=lambda person: -person.prominence)
        return {person.id for person in people[:max_people]}

    def forget(self, id_: int | None = None) -> None:
        """Follow somebody no longer, or nobody: whoever comes gets a new id."""
        self._alive = [person for person in self._alive if id_ is not None and person.id != id_]

    def state(self) -> dict[str, np.ndarray]:
        """All that is known, by name, for `restore`."""
        people = {f.name: np.array([getattr(person, f.name) for person in self._everyone]) for f in fields(_Person)}
        alive = np.array([person.id for person in self._alive], dtype=int)
        return {"frames": np.array(self._frames), "alive": alive, **people}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where the tracker was whose `state` this is."""
        self._frames = int(state["frames"])
        rows = zip(*(state[f.name] for f in fields(_Person)), strict=True)
        self._everyone = [_Person(*(fact if fact.ndim else fact.item() for fact in row)) for row in rows]
        self._alive = [self._everyone[id_ - 1] for id_ in state["alive"].tolist()]

    def _mixed_up(self, time: float) -> set[int]:
        """Ids of two who met and are dressed alike, when one has hidden the other so long that it may be either."""
        lasting = [person for person in self._alive if person.sightings >= _PERSISTENT]
        hidden = [person for person in lasting if time - person.seen > _HIDDEN]
        seen = [person for person in lasting if person.last == self._frames]
        if not hidden or not seen:
            return set()
        alike = likeness(np.stack([p.look for p in hidden]), np.stack([p.look for p in seen])) >= _TWINS
        expected = np.stack([person.keypoints + person.shift(time) for person in hidden])
        near = self._distance(expected, np.stack([p.keypoints for p in seen])) <= [_BEHIND * p.size for p in seen]
        return {person.id for h, s in np.argwhere(alike & near) for person in (hidden[h], seen[s])}

    def _is_around(self, person: _Person, time: float) -> bool:
        return person.last == self._frames or time - person.seen <= self._gap

    def _distinct(self, keypoints: np.ndarray, scores: np.ndarray, confidences: np.ndarray) -> np.ndarray:
        """Indices of the candidates left when of those of one body only the surest is kept."""
        if len(keypoints) < 2:
            return np.arange(len(keypoints))
        sizes = _sizes(keypoints)
        alike = self._agreement(keypoints, scores, keypoints, scores) > _SAME_BODY
        alike |= self._distance(keypoints, keypoints) < _SAME_TORSO * np.maximum(sizes[:, None], sizes)
        kept: list[int] = []
        for i in np.argsort(-confidences, kind="stable"):
            if not alike[i, kept].any():
                kept.append(int(i))
        return np.array(sorted(kept), dtype=int)

    def _match(
        self,
        time: float,
        keypoints: np.ndarray,
        scores: np.ndarray,
        looks: np.ndarray,
        candidates: np.ndarray,
        floor: float,
    ) -> list[tuple[_Person, int, float]]:
        """People not seen at `time` yet, each with the candidate it is, and how far they agree: `floor` at least."""
        people = [person for person in self._alive if person.last != self._frames]
        if not people or not len(candidates):
            return []
        expected = np.stack([person.keypoints + person.shift(time) for person in people])
        found = keypoints[candidates]
        agreement = self._agreement(expected, np.stack([p.scores for p in people]), found, scores[candidates])
        elapsed = time - np.array([person.seen for person in people])
        tallest = np.array([person.size for person in people])[:, None]
        reach = np.minimum(_REACH + _REACH_SPEED * elapsed, _MAX_REACH)[:, None] * tallest
        distance, sizes = self._distance(expected, found), _sizes(found)
        possible = (distance <= reach) & (agreement >= floor)
        possible &= (sizes <= _MAX_GROWTH * tallest) & (sizes * _MAX_GROWTH >= _sizes(expected)[:, None])
        alike = likeness(np.stack([person.look for person in people]), looks[candidates])
        possible &= ~self._is_somebody_else(alike, looks[candidates], found, distance <= reach)
        newcomer = np.array([not person.is_confirmed(self._frames) for person in people])[:, None]
        cost = 1 - agreement + _DISTANCE_COST * distance / reach + _NEWCOMER * newcomer
        cost += _LOOK_COST * (1 - np.where(np.isfinite(alike), alike, 1))
        never = 1 + cost.sum()
        rows, columns = linear_sum_assignment(np.where(possible, cost, never))
        pairs = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if possible[r, c]}
        for r, c in list(pairs.items()):
            if elapsed[r] > _HIDDEN and _is_doubtful(r, c, pairs, np.where(possible, cost, np.inf)):
                del pairs[r]
        return [(people[r], int(candidates[c]), float(agreement[r, c])) for r, c in pairs.items()]

    def _is_somebody_else(
        self, alike: np.ndarray, looks: np.ndarray, found: np.ndarray, is_near: np.ndarray
    ) -> np.ndarray:
        """(people, candidates) bool: where a candidate looks like another of the people who may be there, not like one.

        Whoever was seen in this frame already counts as well: it is they who looked so.
        """
        seen = [person for person in self._alive if person.last == self._frames]
        others = np.where(is_near & np.isfinite(alike), alike, -np.inf)
        if seen:
            is_beside = self._distance(np.stack([p.keypoints for p in seen]), found) <= [[p.size] for p in seen]
            theirs = likeness(np.stack([person.look for person in seen]), looks)
            others = np.concatenate([others, np.where(is_beside & np.isfinite(theirs), theirs, -np.inf)])
        best = np.full_like(alike, -np.inf)
        for r in range(len(alike)):
            best[r] = np.delete(others, r, axis=0).max(axis=0, initial=-np.inf)
        return (alike < _ALIKE) & (best > alike + _UNLIKE)

    def _sight(
        self, person: _Person, time: float, keypoints: np.ndarray, scores: np.ndarray, confidence: float
    ) -> None:
        """Bring a person up to date."""
        size = float(_sizes(keypoints[None])[0])
        if person.sightings:
            elapsed = max(time - person.seen, _MIN_STEP)
            moved = self._centres(keypoints[None])[0] - self._centres(person.keypoints[None])[0]
            weight = 1 - np.exp(-elapsed / _VELOCITY_MEMORY)
            person.velocity = person.velocity + weight * (moved / elapsed - person.velocity)
            size = max(size, person.size * np.exp(-elapsed / _SIZE_MEMORY))
        person.seen, person.last = time, self._frames
        person.keypoints, person.scores, person.size = keypoints, scores, size
        person.sightings += 1
        person.prominence += float(confidence) * size

    def _welcome(
        self, time: float, keypoints: np.ndarray, scores: np.ndarray, confidence: float, look: np.ndarray
    ) -> int:
        """Start somebody new; the id."""
        person = _Person(len(self._everyone) + 1, self._frames, time, keypoints, scores, 0.0, look)
        self._sight(person, time, keypoints, scores, confidence)
        self._everyone.append(person)
        self._alive.append(person)
        return person.id

    def _agreement(self, a: np.ndarray, a_scores: np.ndarray, b: np.ndarray, b_scores: np.ndarray) -> np.ndarray:
        """(A, B) how far boxes and poses agree, 0 to 1, whichever side is called left."""
        poses = np.maximum(
            _similarity(a, a_scores, b, b_scores),
            _similarity(a, a_scores, b[:, self._mirror], b_scores[:, self._mirror]),
        )
        return (overlaps(_boxes(a), _boxes(b)) + poses) / 2

    def _distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(A, B) how far apart torsos are, in pixels."""
        return np.linalg.norm(self._centres(a)[:, None] - self._centres(b), axis=-1)

    def _centres(self, keypoints: np.ndarray) -> np.ndarray:
        return keypoints[:, self._torso].mean(axis=1)


def _apart(keypoints: np.ndarray, unique: np.ndarray) -> np.ndarray:
    """(P,) bool: the candidates whose box no other of the `unique` ones reaches into: they are seen whole."""
    low, high = keypoints.min(axis=1), keypoints.max(axis=1)
    touch = ((low[:, None] < high[unique]) & (high[:, None] > low[unique])).all(axis=-1)
    touch[unique, np.arange(len(unique))] = False
    return ~touch.any(axis=1)


def _is_doubtful(r: int, c: int, pairs: dict[int, int], cost: np.ndarray) -> bool:
    """Whether candidate c might as well be another than r, who was hidden; `cost` is infinite where impossible."""
    for other in range(len(cost)):
        if other == r:
            continue
        theirs = pairs.get(other)
        now = cost[r, c] + (cost[other, theirs] if theirs is not None else 0)
        swapped = cost[other, c] + (cost[r, theirs] if theirs is not None else 0)
        if swapped - now < _DOUBT:
            return True
    return False


def _similarity(a: np.ndarray, a_scores: np.ndarray, b: np.ndarray, b_scores: np.ndarray) -> np.ndarray:
    """(A, B) object keypoint similarity, 0 to 1; joints count by their scores in both poses."""
    squares = ((a[:, None] - b) ** 2).sum(axis=-1)
    spread = _SPREAD * np.sqrt(_sizes(a)[:, None] * _sizes(b))
    weights = a_scores[:, None] * b_scores + 1e-6
    return (np.exp(-squares / (2 * spread[..., None] ** 2)) * weights).sum(axis=-1) / weights.sum(axis=-1)


def _boxes(keypoints: np.ndarray) -> np.ndarray:
    return np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)


def _sizes(keypoints: np.ndarray) -> np.ndarray:
    """(P,) diagonals of the keypoints' boxes, pixels; never zero."""
    return np.maximum(np.linalg.norm(np.ptp(keypoints, axis=1), axis=-1), 1e-3)
