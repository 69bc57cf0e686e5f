"""What `vidpose infer` can be asked for: options in bundles, with the checks that need no video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich_click as click

from vidpose.cli.bundles import bundled
from vidpose.common.errors import UsageError


@dataclass(frozen=True)
class Finding:
    """Who is looked for in the pictures, and by what."""

    detector: str
    keypoints: str
    detector_weights: Path | None
    keypoints_weights: Path | None
    detect_every: int | None
    time_range: str | None
    max_people: int | None
    min_score: float
    in_step: bool

    def check_saved(self) -> None:
        """Raises UsageError where something chooses what is looked for, and `--from-keypoints` has what was found."""
        chosen = (self.time_range, self.max_people, self.detect_every, self.detector_weights, self.keypoints_weights,
                  self.in_step)  # fmt: skip
        if any(chosen) or (self.detector, self.keypoints) != ("nanodet", "blazepose-heavy"):
            raise UsageError(
                "--time, --max-people, --in-step and the options of detector and keypoints choose what is looked for; "
                "--from-keypoints lifts what was found"
            )

    def search(self) -> dict[str, Any]:
        """As `vidpose.pipeline.find_people` takes it."""
        return {"detect_every": self.detect_every, "max_people": self.max_people, "min_score": self.min_score}

    def check_videos(self, videos: int) -> None:
        """Raises UsageError where so many videos are too many, or too few."""
        if self.detector.startswith("boxes:") and videos > 1:
            raise UsageError(f"--detector {self.detector}: the boxes of one video, so at most one VIDEO")
        if self.in_step:
            from vidpose.pipeline.networks import CLIP_NETWORKS

            if videos < 2:
                raise UsageError("--in-step: for several views of one scene; give two VIDEOs or more")
            if self.keypoints not in CLIP_NETWORKS:
                raise UsageError(
                    f"--in-step: {self.keypoints} looks at every picture alone; leave it out, or give "
                    "--keypoints temporal-relational"
                )


finding_options = bundled(
    Finding,
    click.option("--detector", default="nanodet", show_default=True, metavar="NAME",
                 help="What finds people: a network by name, mmdet:CONFIG, or boxes:FILE."),
    click.option("--keypoints", default="blazepose-heavy", show_default=True, metavar="NAME",
                 help="What finds their 2D joints: a network by name, or mmpose:CONFIG."),
    click.option("--detector-weights", type=click.Path(path_type=Path), metavar="FILE",
                 help="Weights of the detector, instead of those published."),
    click.option("--keypoints-weights", type=click.Path(path_type=Path), metavar="FILE",
                 help="Weights of the keypoint network, instead of those published."),
    click.option("--detect-every", type=click.IntRange(min=1), metavar="FRAMES",
                 help="Run the detector on every so many frames, and follow people between."),
    click.option("--time", "time_range", metavar="START:END", help="Only these seconds of the video, as in 2:10."),
    click.option("--max-people", type=click.IntRange(min=1), help="At most so many people, the most prominent ones."),
    click.option("--min-score", default=0.3, show_default=True, type=click.FloatRange(0, 1),
                 help="Leave out people whose keypoints score less than this on average."),
    click.option("--in-step", is_flag=True,
                 help="The VIDEOs show one person at the same moments: a clip network looks at all views at once."),
)  # fmt: skip


@dataclass(frozen=True)
class Placing:
    """Where people are, and how large."""

    calibration: Path | None
    fov: float | None
    focal: float | None
    height: str | None
    fit: bool
    ground: bool

    def check(self, videos: Sequence[Path], saved: Path | None) -> None:
        """Raises UsageError where the options contradict each other or the videos, or one of them is absurd."""
        from vidpose.refine.focal import check_lens
        from vidpose.refine.scale import parse_heights

        if self.calibration:
            if self.fov or self.focal or self.height or self.ground:
                raise UsageError("--fov, --focal, --height and --ground are for one camera, not for --calibration")
            if saved:
                raise UsageError("--calibration is for several videos; --from-keypoints lifts the keypoints of one")
            if len({video.resolve() for video in videos}) < max(len(videos), 2):
                raise UsageError(f"--calibration {self.calibration}: give two VIDEOs or more, a different one a camera")
        check_lens(self.fov, self.focal)
        if self.height is not None:
            parse_heights(self.height)

    def camera_and_size(self) -> dict[str, Any]:
        """As `vidpose.refine.place` takes them."""
        from vidpose.refine.scale import parse_heights

        height = None if self.height is None else parse_heights(self.height)
        return {"fov": self.fov, "focal": self.focal, "height": height, "fit": self.fit, "ground": self.ground}


placing_options = bundled(
    Placing,
    click.option("--calibration", type=click.Path(path_type=Path), metavar="FILE",
                 help="Of the cameras that took the VIDEOs at the same time: people are triangulated."),
    click.option("--fov", type=float, metavar="DEGREES",
                 help="Field of view along the longer side of the picture, for people's paths."),
    click.option("--focal", type=float, metavar="PIXELS", help="Focal length, instead of --fov."),
    click.option("--height", metavar="METRES",
                 help="How tall people are: 1.75 for everybody, or by id, 1:1.75,2:1.62."),
    click.option("--fit/--no-fit", default=True, show_default=True,
                 help="Make each person one body, of bones that keep their lengths."),
    click.option("--ground", is_flag=True, help="Find the floor by the feet: exports then have a world, Z up."),
)  # fmt: skip
