"""People with joints and ids, one frame at a time: detector, keypoints and tracker put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np

from vidpose.pipeline.choices import Finding
from vidpose.pipeline.followers import BoxesLead, Follower, IdsGiven, RegionsLead, Sighting
from vidpose.pipeline.networks import Networks, open_networks


class PeopleFinder:
    """Follows everyone through a video. Use it in a `with` block, or call `close`.

    with PeopleFinder() as finder:
        sightings = [finder.step(frame.image, frame.time) for frame in frames]
        people = finder.confirmed
    """

    def __init__(
        self,
        max_people: int | None = None,
        min_score: float = Finding.min_score,
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
        gives_ids = self.networks.detector.gives_ids
        if gives_ids:
            self._follower: Follower = IdsGiven(self.networks, min_score)
        elif self.networks.detector.is_tight and self.networks.keypoints.takes_boxes:
            self._follower = BoxesLead(self.networks, min_score, gap, detect_every or 1)
        else:
            self._follower = RegionsLead(self.networks, min_score, gap, detect_every)
        self._max_people = max_people

    def step(self, image: np.ndarray, time: float, index: int = 0) -> list[Sighting]:
        """Find everyone in the next frame.

        Args:
            image: (H, W, 3) uint8 RGB, the size of the frames before.
            time: seconds, later than the frame before.
            index: number of the frame in its video, for a detector that needs it.

        Returns:
            Everyone seen, by id. Some turn out later to be nobody: see `confirmed` and `gone_since`.
        """
        return self._follower.step(image, time, index)

    def begin_anew(self) -> None:
        """Expect nobody in the next frame: it belongs to another shot. People keep the ids that a detector gives."""
        self._follower.begin_anew()

    def look_ahead(self, images: Sequence[np.ndarray], indices: Sequence[int]) -> None:
        """Do at once, for the coming frames, what does not depend on what is seen in others: `step` then need not.

        Args:
            images, indices: of the frames that `step` will be called with next; see there.
        """
        self._follower.look_ahead(images, indices)

    @property
    def confirmed(self) -> set[int]:
        """The ids that are people, as far as the video has been seen; ask at its end and drop the others."""
        return self._follower.confirmed(self._max_people)

    def gone_since(self, id_: int) -> float:
        """Seconds from which somebody was not there after all; infinity: they were all the while. Ask at the end."""
        return self._follower.gone_since(id_)

    def state(self) -> dict[str, np.ndarray]:
        """All that is known of the people followed, by name; ask when no frame that was looked ahead at is left."""
        return self._follower.state()

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where another finder was, of the same networks and settings, whose `state` this is.

        Raises:
            KeyError, ValueError: it is of other settings.
        """
        self._follower.restore(state)

    def close(self) -> None:
        """Free the networks that were opened here."""
        self._opened.close()

    def __enter__(self) -> PeopleFinder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
