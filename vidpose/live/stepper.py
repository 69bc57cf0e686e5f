"""From one frame to the people in it, in 3D, by nothing but this frame and those before.

The pieces are those of a `Job`, each in its causal form: the people finder a frame at a time, a lifter that answers for
the last frame of its window, the One-Euro filter, and the root's path by a Kalman filter. What a `Job` does over whole
tracks (the fit of one body, the exchange of left and right, feet that stand) needs the future, and is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vidpose import __version__
from vidpose.body.stretches import MAX_GAP
from vidpose.body.tracks import PoseResult, Source, Track
from vidpose.common.errors import UsageError
from vidpose.lifters.zoo import Weights
from vidpose.pipeline.followers import Sighting
from vidpose.pipeline.lifting import TrackLifter
from vidpose.pipeline.people_finder import PeopleFinder
from vidpose.refine.causal import CausalPath
from vidpose.refine.focal import Lens
from vidpose.refine.rays import in_camera_frame
from vidpose.refine.roots import frame_roots, seen_joints
from vidpose.refine.smoothing import OneEuro, Smoothing

if TYPE_CHECKING:
    from vidpose.lifters import Lifter
    from vidpose.lifters.graph_lifter import GraphLifter

_NO_SMOOTHING = Smoothing("none", 0.0)


class LiveStepper:
    """Finds everyone in one frame after the other.

    Args:
        finder: of people and their 2D keypoints.
        weights: of a lifter that answers for the last frame of its window, or for all.
        smoothing: `one-euro` or none.
        lens: what is known of the camera's.
        name, size: of the source, and of its pictures, (width, height) in pixels.

    Raises:
        UsageError: the lifter or the smoothing needs frames that are still to come, or the lifter cannot take these
            keypoints, or the camera cannot be.
    """

    def __init__(
        self,
        finder: PeopleFinder,
        weights: Weights[Lifter | GraphLifter],
        smoothing: Smoothing,
        lens: Lens,
        *,
        name: str,
        size: tuple[int, int],
    ) -> None:
        check_causal(weights, smoothing)
        self._finder = finder
        layout = finder.networks.keypoints.layout
        self._lift = TrackLifter(weights, layout, size, _NO_SMOOTHING)
        camera, _ = lens.camera(*size)
        self._camera = camera
        self._filter: Callable[[], Callable[[np.ndarray, float], np.ndarray]] = (
            (lambda: lambda value, time: value) if smoothing.method == "none" else lambda: OneEuro(smoothing.parameter)
        )
        self._people: dict[int, _Followed] = {}
        self._nobody = PoseResult(
            Source(name, *size, times=np.empty(0), fps=None, pictures=False),
            (),
            layout.name,
            weights.lifter.layout.name,
            {
                "vidpose": __version__,
                **finder.networks.provenance,
                "lifter": weights.name,
                "arch": weights.lifter.name,
                "weights_sha256": weights.sha256,
                "conversion": self._lift.conversion.name if self._lift.conversion else None,
                "smoothing": str(smoothing),
            },
            camera,
            in_ray_frame=weights.lifter.in_ray_frame,
        )

    @property
    def nobody(self) -> PoseResult:
        """The result of no frames: who made it, and in which layouts."""
        return replace(self._nobody, in_ray_frame=False)

    def warm_up(self) -> None:
        """Run every network once on a black picture: first runs take many times as long as those that follow."""
        width, height = self._nobody.source.width, self._nobody.source.height
        networks, black = self._finder.networks, np.zeros((height, width, 3), np.uint8)
        box = np.array([[0, 0, width, height]], np.float32)
        for detector in (networks.detector, networks.second):
            if detector:
                detector.detect(black)
        networks.keypoints.locate(black, networks.keypoints.regions(box))
        points = np.tile(np.array([width, height], np.float32) / 2, (1, len(networks.keypoints.layout), 1))
        self._lift(Track.of_keypoints(1, np.zeros(1, int), np.zeros(1), box, points, np.ones(points.shape[:2])))

    def step(self, image: np.ndarray, time: float, index: int) -> PoseResult:
        """Everyone in the next frame who has proved to be a person.

        Args:
            image: (H, W, 3) uint8 RGB.
            time: seconds, later than the frame before.
            index: its number, larger than that of the frame before.

        Returns:
            A result of one frame, with a row a track: joints in the camera's frame, relative to the root; a root is NaN
            as long as too little is seen.
        """
        sightings = self._finder.step(image, time, index)
        self._people = {id_: one for id_, one in self._people.items() if time - one.seen <= MAX_GAP}
        tracks = []
        for sighting in sightings:
            person = self._people.setdefault(sighting.id, _Followed(self._filter(), _memory(self._lift.lifter)))
            lifted = self._lift(person.recent(sighting, time, index))
            joints = person.smooth(lifted.joints[-1].astype(np.float64), time)
            tracks.append(replace(_last_row(lifted), joints=joints[None].astype(np.float32)))
        source = replace(self._nobody.source, times=np.array([time]))
        confirmed = self._finder.confirmed
        turned = in_camera_frame(replace(self._nobody, source=source, tracks=tuple(tracks)), self._camera)
        placed = [self._placed(track, time) for track in turned.tracks]
        return replace(turned, tracks=tuple(track for track in placed if track.id in confirmed))

    def _placed(self, track: Track, time: float) -> Track:
        keypoints, scores = seen_joints(track, self._nobody.keypoint_layout, self._nobody.joint_layout)
        roots, known = frame_roots(track.joints, keypoints, scores, self._camera)
        root = self._people[track.id].path(roots[0], known[0], time)
        return replace(track, roots=root[None].astype(np.float32))


class _Followed:
    """What is remembered of somebody: keypoints as far back as the lifter looks, and the filters' states."""

    def __init__(self, smooth: Callable[[np.ndarray, float], np.ndarray], memory: tuple[int, float]) -> None:
        self.smooth, self.path = smooth, CausalPath()
        self.seen = -np.inf
        frames, self._seconds = memory
        self._rows: deque[tuple[int, float, Sighting]] = deque(maxlen=frames or None)

    def recent(self, sighting: Sighting, time: float, index: int) -> Track:
        """The last rows, this one included."""
        self.seen = time
        self._rows.append((index, time, sighting))
        # One row from before the lifter's window: what lies between frames is read off between two.
        while len(self._rows) > 2 and self._rows[1][1] < time - self._seconds:
            self._rows.popleft()
        indices, times, sightings = zip(*self._rows, strict=True)
        return Track.of_keypoints(
            sighting.id,
            np.array(indices),
            np.array(times),
            np.stack([one.box for one in sightings]),
            np.stack([one.keypoints for one in sightings]),
            np.stack([one.scores for one in sightings]),
        )


def check_causal(weights: Weights[Lifter | GraphLifter], smoothing: Smoothing) -> None:
    """Raises UsageError where the lifter, or the smoothing, needs frames that are still to come."""
    lifter, name = weights.lifter, weights.name
    if weights.averaged:
        raise UsageError(f"`lifter={name}`: an average is for whole videos; take one lifter, martinez or seq2seq")
    if lifter.predicts == "centre":
        raise UsageError(
            f"`lifter={name}`: it answers for the middle of its window, and looks at {lifter.config.frames // 2} "
            "frames that are still to come; take martinez or seq2seq"
        )
    if smoothing.method not in ("none", "one-euro"):
        raise UsageError(f"`smooth={smoothing}`: looks at frames that are still to come; take one-euro or none")


def _memory(lifter: Lifter | GraphLifter) -> tuple[int, float]:
    """How far back a lifter looks: frames, 0 for any number of them, and seconds."""
    config = lifter.config
    back = (config.frames - 1) * config.frame_stride
    return (0, back / config.fps) if config.fps and back else (back + 1, np.inf)


def _last_row(track: Track) -> Track:
    """The track with no row but its last."""
    rows: dict[str, Any] = {name: value[-1:] for name, value in vars(track).items() if isinstance(value, np.ndarray)}
    return replace(track, **rows)
