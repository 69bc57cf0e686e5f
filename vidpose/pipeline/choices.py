"""What a run can be told: how people are found, lifted, placed. Defaults stand here, once; click reads them here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidpose.body.stretches import MAX_GAP
from vidpose.common.errors import UsageError
from vidpose.lifters.lifter_config import PRECISIONS
from vidpose.lifters.lifter_table import DEFAULT
from vidpose.refine.focal import Lens
from vidpose.refine.scale import Heights, check_height, parse_heights

if TYPE_CHECKING:
    from vidpose.pipeline.networks import Networks


def check_range(name: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Raises UsageError where a setting has a value that is not from `low` to `high`."""
    if value is not None and not (low <= value <= high and math.isfinite(value)):
        wanted = f"from {low:g} to {high:g}" if high < math.inf else f"of {low:g} or more"
        raise UsageError(f"`{name}={value}`: a number {wanted} is wanted")


@dataclass(frozen=True)
class Finding:
    """Who is looked for in the pictures, by what, and when.

    Attributes:
        detector, keypoints: names of networks (`vidpose.pipeline.networks`).
        detector_weights, keypoints_weights: files, instead of the weights that come with vidpose or were fetched.
        detect_every: frames from one run of the detector to the next; None: as suits it (`PeopleFinder`).
        start, end: seconds; only frames with start <= time < end.
        max_people: at most so many people, the most prominent ones; None for all.
        min_score: least mean keypoint score of a person, 0 to 1.
        cuts: "auto": people end where the picture changes to another shot (`vidpose.video.shots`); "none": they do not;
            else a file of where they end. With boxes that have ids, "auto" looks for no cuts: the file says who is who.
        in_step: the videos show one person at the same moments, and a clip network looks at all of them at once.
        threads: of the CPU, for each network that runs by ONNX Runtime, and torch; None: as many as there are.
        hwaccel: device that decodes the video and encodes the overlay, where it can: as FFmpeg names it, "auto" or
            "none". A device may give other pixels than software, by a shade.
    """

    detector: str = "nanodet"
    keypoints: str = "blazepose-heavy"
    detector_weights: Path | None = None
    keypoints_weights: Path | None = None
    detect_every: int | None = None
    start: float | None = None
    end: float | None = None
    max_people: int | None = None
    min_score: float = 0.3
    cuts: str | Path = "auto"
    in_step: bool = False
    threads: int | None = None
    hwaccel: str = "none"

    @property
    def inputs(self) -> list[Path]:
        """Files that are read, beside the videos, and names that may be none's."""
        named = (self.detector.partition(":")[2], self.keypoints.partition(":")[2], self.cuts)
        return [Path(file) for file in (*named, self.detector_weights, self.keypoints_weights) if file]

    def check(self, videos: Sequence[Path]) -> None:
        """Raises UsageError where a number cannot be, or so many videos are too many or too few."""
        check_range("detect_every", self.detect_every, 1)
        check_range("max_people", self.max_people, 1)
        check_range("threads", self.threads, 1, 1024)
        check_range("min_score", self.min_score, 0, 1)
        check_range("start", self.start, 0)
        check_range("end", self.end, 0)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise UsageError(f"`end={self.end:g}`: must come after `start={self.start:g}`")
        if self.detector.startswith("boxes:") and len(videos) > 1:
            raise UsageError(f"`detector={self.detector}`: the boxes of one video; give one video")
        if self.cuts not in ("auto", "none"):
            from vidpose.video.shots import load_cuts

            load_cuts(Path(self.cuts))
        if self.hwaccel != Finding.hwaccel:
            from vidpose.video.acceleration import check_device

            check_device(self.hwaccel)
        if self.in_step and len(videos) < 2:
            raise UsageError("`in_step`: for several views of one scene; give two videos or more")
        if self.in_step:
            from vidpose.keypoints.network_table import CLIP_NETWORKS

            if self.keypoints not in CLIP_NETWORKS:
                raise UsageError(
                    f"`in_step`: `keypoints={self.keypoints}` looks at every picture alone; give a network that sees "
                    f"clips: {', '.join(CLIP_NETWORKS)}"
                )

    def open(self, device: str) -> Networks:
        """The networks, loaded."""
        from vidpose.pipeline.networks import open_networks

        return open_networks(
            self.detector,
            self.keypoints,
            detector_weights=self.detector_weights,
            keypoints_weights=self.keypoints_weights,
            device=device,
            threads=self.threads,
        )


@dataclass(frozen=True)
class Filming:
    """How the pictures were taken, where their file does not say, or is wrong.

    Attributes:
        fps: frames a second, of folders of pictures, of keypoints without a video, and of videos whose times are wrong;
            None: as the file says, else 30.
        slow_motion: how many times slower than life a video shows what happened; times are then those of life.
        size: (width, height) in pixels, or "1920x1080", of the picture that keypoints of another program are in; None:
            that of the video, or as their file says.
    """

    fps: float | Fraction | None = None
    slow_motion: float | Fraction = 1.0
    size: tuple[int, int] | str | None = None

    def check(self) -> None:
        """Raises UsageError where a number cannot be."""
        for name in ("fps", "slow_motion"):
            value = getattr(self, name)
            if value is not None and not 1e-3 <= float(value) <= 1e6:
                raise UsageError(f"`{name}={value}`: a number above 0 is wanted, from 0.001 to a million")
        _ = self.picture

    @property
    def picture(self) -> tuple[int, int] | None:
        """The size as numbers; raises UsageError where it is none."""
        if self.size is None:
            return None
        words = self.size if isinstance(self.size, str) else "x".join(map(str, self.size))
        sides = re.fullmatch(r"(\d{1,5})\s*[xX*]\s*(\d{1,5})", words.strip())
        if not sides or not all(0 < int(side) <= 32768 for side in sides.groups()):
            raise UsageError(f"`size={words}`: a width and a height in pixels are wanted, as in 1920x1080")
        return int(sides[1]), int(sides[2])


@dataclass(frozen=True)
class Lifting:
    """From 2D keypoints to smooth 3D joints.

    Attributes:
        lifter: name of shipped weights, or a .safetensors file; several with "+" between are averaged.
        precision: of the lifter's matrix products: float32, or bfloat16, which is faster on processors that have
            instructions for it.
        smooth: METHOD or METHOD:PARAMETER (`Smoothing`).
        max_gap: seconds; an absence up to this long is filled, a longer one stays empty.
        hypotheses, draw_steps: of a lifter that draws poses, how many it draws for the mean, and the steps of each;
            None: as its weights say.
    """

    lifter: str | Path = DEFAULT
    precision: str = "float32"
    smooth: str = "butterworth:6"
    max_gap: float = MAX_GAP
    hypotheses: int | None = None
    draw_steps: int | None = None

    def check(self) -> None:
        """Raises UsageError where a number cannot be."""
        if self.precision not in PRECISIONS:
            raise UsageError(f"`precision={self.precision}`: must be one of {', '.join(PRECISIONS)}")
        check_range("max_gap", self.max_gap, 0)
        check_range("hypotheses", self.hypotheses, 1)
        check_range("draw_steps", self.draw_steps, 1)


@dataclass(frozen=True)
class Placing:
    """Where people are, and how large.

    Attributes:
        lens: of the one camera; without a word, as the video states it, or a common one.
        height: metres that people are tall, of all or by id, as numbers or as text ("1:1.75,2:1.62"); None: the
            lifter's own metres.
        fit: make each person one body, of bones that keep their lengths; None: as seen by one camera, and not where
            several triangulate them, which is nearer to the truth.
        ground: look for the floor.
    """

    lens: Lens = field(default_factory=Lens)
    height: Heights | str | None = None
    fit: bool | None = None
    ground: bool = False

    @property
    def heights(self) -> Heights | None:
        """The height as numbers; raises UsageError where it is none."""
        if isinstance(self.height, str):
            return parse_heights(self.height)
        for metres in self.height.values() if isinstance(self.height, Mapping) else (self.height,):
            if metres is not None:
                check_height(metres)
        return self.height
