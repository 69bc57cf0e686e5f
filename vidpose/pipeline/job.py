"""One run of vidpose, described: what goes in, how people are found, lifted and placed, which views belong together.

    job = Job((Path("front.mp4"), Path("side.mp4")), calibration=Path("calib.toml"))
    job.check()             # raises at once what would be raised after an hour
    front, side = job.run()

The command line, `vidpose.infer` and the tests all build a `Job`; nobody wires the stages by hand. Nothing heavy is
imported before it is known that the inputs are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, did_you_mean
from vidpose.common.files import resolved
from vidpose.common.memory import give_back
from vidpose.common.tally import ProgressOf, unseen
from vidpose.pipeline.choices import Filming, Finding, Lifting, Placing
from vidpose.refine.focal import Lens

if TYPE_CHECKING:
    from vidpose.keypoints.clips.clip_finder import ClipFinder
    from vidpose.lifters.zoo import Weights
    from vidpose.pipeline.clip_stage import Person
    from vidpose.pipeline.keeping import Keeping
    from vidpose.pipeline.networks import Networks
    from vidpose.refine.smoothing import Smoothing
    from vidpose.views import ViewCamera


_TO_SPACE = ("lifter", "precision", "hypotheses", "draw_steps", "fov", "focal", "ground")
"""Settings that joints in 3D have no use for."""


@dataclass(frozen=True)
class Job:
    """One run: one video, several views of one scene, or saved 2D keypoints of either.

    Attributes:
        videos: a video file or a folder of images each; several are views of one scene.
        saved: results whose 2D keypoints are lifted, instead of looking for people, or files of keypoints that other
            programs found (`vidpose.keypoint_files`); one a view.
        calibration: file of the cameras that took the views: people are then triangulated.
        device: `auto`, `cpu`, `cuda` or `cuda:N`, for the networks.
    """

    videos: tuple[Path, ...] = ()
    saved: tuple[Path | PoseResult, ...] = ()
    finding: Finding = field(default_factory=Finding)
    filming: Filming = field(default_factory=Filming)
    lifting: Lifting = field(default_factory=Lifting)
    placing: Placing = field(default_factory=Placing)
    calibration: Path | None = None
    device: str = "auto"

    @staticmethod
    def of(videos: Sequence[str | Path] = (), saved: Sequence[str | Path | PoseResult] = (), **settings: Any) -> Job:
        """A job from plain settings: the names of all fields here and in the parts, and of `Lens`.

        Raises:
            UsageError: there is no such setting.
        """
        parts: dict[str, Any] = {}
        kinds = {"finding": Finding, "filming": Filming, "lifting": Lifting, "lens": Lens, "placing": Placing}
        for name, kind in kinds.items():
            if name == "placing":
                settings["lens"] = parts.pop("lens")
            own = {f.name: settings.pop(f.name) for f in fields(kind) if f.name in settings}
            parts[name] = kind(**own)
        own = {name: settings.pop(name) for name in ("calibration", "device") if name in settings}
        if settings:
            name = next(iter(settings))
            known = [f.name for part in kinds.values() for f in fields(part)]
            raise UsageError(f"{name}: there is no such setting; {did_you_mean(name, known)}".removesuffix("; "))
        if own.get("calibration") is not None:
            own["calibration"] = Path(own["calibration"])
        results = tuple(one if isinstance(one, PoseResult) else Path(one) for one in saved)
        return Job(tuple(map(Path, videos)), results, **parts, **own)

    @property
    def sources(self) -> tuple[Path, ...]:
        """The videos: those that are named, else those that the saved results name."""
        return self.videos or tuple(Path(one.source.path) for one in self.results())

    @property
    def inputs(self) -> list[Path]:
        """Files that are read, and names that may be none's; of saved results, what they were made of.

        A result may be replaced by one with its keypoints lifted again.
        """
        saved = [Path(one.source.path) if isinstance(one, PoseResult) else one for one in self.saved]
        saved = [one for one in saved if one.suffix.lower() != ".npz"]
        lifters = [Path(name) for name in str(self.lifting.lifter).split("+")]
        files = [*self.videos, *saved, *self.finding.inputs, *lifters]
        return [*files, self.calibration] if self.calibration else files

    @property
    def fits(self) -> bool:
        """Whether people become fitted bodies."""
        return not self.calibration if self.placing.fit is None else self.placing.fit

    def loaded(self) -> Job:
        """The same job with what was saved read.

        Raises:
            UsageError, VidposeError: as `vidpose.pipeline.keypoint_intake.take_in`.
        """
        if all(isinstance(one, PoseResult) for one in self.saved):
            return self
        # How it was filmed, the results know now.
        return replace(self, saved=self.results(), filming=Filming())

    def results(self) -> tuple[PoseResult, ...]:
        """What was saved, read where it is a file; raises as `loaded`."""
        videos = self.videos or (None,) * len(self.saved)
        return tuple(map(self._read, self.saved, videos))

    def _read(self, one: Path | PoseResult, video: Path | None) -> PoseResult:
        if isinstance(one, PoseResult):
            return one
        from vidpose.pipeline.keypoint_intake import take_in

        size, fps, slow_motion = self.filming.picture, self.filming.fps, self.filming.slow_motion
        return take_in(one, video=video, size=size, fps=fps, slow_motion=slow_motion)

    def unused(self) -> Iterator[tuple[str, str]]:
        """Settings that this job would ignore, each with the reason: to give one of them is a mistake."""
        if self.saved:
            reason = "says how people are looked for, and saved keypoints have been found already"
            # Threads are the lifter's, too, and a device the overlay's.
            yield from ((f.name, reason) for f in fields(Finding) if f.name not in ("threads", "hwaccel"))
            if all(isinstance(one, PoseResult) or one.suffix.lower() == ".npz" for one in self.saved):
                reason = "says how a video was filmed, and a saved result knows that"
                yield from ((f.name, reason) for f in fields(Filming))
            if all(isinstance(one, PoseResult) and one.joints_given for one in self.saved):
                reason = "says how 2D keypoints become joints in 3D, and these came in 3D"
                yield from ((name, reason) for name in _TO_SPACE)
        else:
            yield "size", "is of the picture that saved keypoints are in, and a video says how large it is"
        if self.calibration:
            reason = "is for one camera, and calibrated views are triangulated"
            yield from ((name, reason) for name in ("fov", "focal", "height", "ground"))

    def setting(self, name: str) -> tuple[Any, Any]:
        """The value of a setting, wherever it is, and its default."""
        parts = (self.finding, self.filming, self.lifting, self.placing.lens, self.placing)
        part = next(part for part in parts if hasattr(part, name))
        return getattr(part, name), getattr(type(part)(), name)

    def check(self) -> None:
        """Find out, without looking at a frame, whether this job can be done.

        Raises:
            UsageError: settings that cannot be, that contradict each other, or that nothing would look at.
            VidposeError: a video, a saved result, the calibration or weights are missing or of something else.
        """
        self.check_settings()
        for video in () if self.saved else self.videos:
            from vidpose.video.reading import check_readable

            check_readable(video)
        _ = self._prepared

    def check_settings(self) -> None:
        """The part of `check` that opens nothing.

        Raises:
            UsageError: as `check`.
        """
        for name, reason in self.unused():
            value, default = self.setting(name)
            if value != default:
                raise UsageError(f"`{name}={value}` {reason}; leave it out")
        self.filming.check()
        self.placing.lens.check()
        _ = self.placing.heights
        self.finding.check(self.videos)
        self.lifting.check()
        if not self.videos and not self.saved:
            raise UsageError("give a video: a file, or a folder of images")
        if self.saved and self.videos and len(self.saved) != len(self.videos):
            raise UsageError(f"{len(self.saved)} saved results and {len(self.videos)} videos; give one video a result")
        views = len(self.videos or self.saved)
        if self.calibration:
            if len({resolved(video) for video in self.videos} or self.saved) < max(views, 2):
                raise UsageError(f"`calibration={self.calibration}`: give two videos or more, a different one a camera")
        elif views > 1 and not self.finding.in_step:
            raise UsageError(f"{views} videos are views of one scene only with `calibration` or `in_step`; give one")

    def run(
        self,
        progress: ProgressOf = unseen,
        *,
        networks: Networks | None = None,
        keeping: Sequence[Keeping] = (),
        last: bool = False,
    ) -> list[PoseResult]:
        """Do it.

        Args:
            progress: of each part of the work.
            networks: opened by `finding.open`, for several jobs to share; None: opened here, and closed.
            keeping: of each video, where the 2D keypoints found are kept, and gone on from; none: nowhere.
            last: no other job needs the networks: they are closed when everyone is found, before the rest takes memory.

        Returns:
            A result for each video or saved result.

        Raises:
            UsageError, VidposeError: as `check`, or a video cannot be read to its end.
        """
        self.check_settings()
        self._check_focal()
        weights, smoothing, device, cameras = self._prepared
        found: Sequence[PoseResult]
        if self.saved:
            found = self.results()
        elif kept := self._found_before(keeping):
            found = kept
        else:
            opening: AbstractContextManager[Networks] = networks or self.finding.open(device)
            if networks and not last:
                opening = nullcontext(networks)
            with opening as opened:
                found = self._find(opened, weights, cameras, device, progress, keeping)
            for some, place in zip(found, keeping, strict=False):
                place.keep(some)

        give_back()
        max_gap = self.lifting.max_gap
        named = list(zip(found, self.sources, strict=True))
        lifted = [self._lifted(some, video, weights, smoothing, progress) for some, video in named]
        give_back()
        if cameras:
            from vidpose.pipeline.view_stage import merge_views

            return list(merge_views(lifted, cameras, smoothing, max_gap=max_gap, fit=self.fits))
        return [self._placed(some, video, progress) for some, video in zip(lifted, self.sources, strict=True)]

    def _check_focal(self) -> None:
        """See, before any frame is looked at, that such pictures are taken with the focal length that is given.

        Raises:
            UsageError: they are not.
            VidposeError: a video cannot be opened.
        """
        if self.placing.lens.focal is None:
            return
        from vidpose.video.reading import VideoReader

        for one in self.results():
            self.placing.lens.camera(one.source.width, one.source.height)
        for video in () if self.saved else self.videos:
            with VideoReader(video) as reader:
                self.placing.lens.camera(reader.width, reader.height)

    @cached_property
    def _prepared(self) -> tuple[Weights, Smoothing, str, Sequence[ViewCamera]]:
        """What every run needs, loaded once, and checked against the keypoints that there will be."""
        from vidpose.common.devices import choose_device
        from vidpose.lifters.zoo import open_lifter
        from vidpose.pipeline.lifting import conversion_for
        from vidpose.pipeline.networks import layout_of_keypoints
        from vidpose.refine.smoothing import Smoothing

        smoothing, device = Smoothing.parse(self.lifting.smooth), choose_device(self.device)
        weights = open_lifter(self.lifting.lifter, device, self.finding.threads, self.lifting.precision)
        weights.draw(self.lifting.hypotheses, self.lifting.draw_steps)
        layout = None if self.saved else layout_of_keypoints(self.finding.keypoints)
        if layout:
            conversion_for(weights.lifter, layout)
        cameras: Sequence[ViewCamera] = ()
        if self.calibration:
            from vidpose.pipeline.view_stage import cameras_of

            sizes = [(one.source.width, one.source.height) for one in self.results()] or None
            cameras = cameras_of(self.calibration, self.sources, sizes)[0]
        return weights, smoothing, device, cameras

    def _found_before(self, keeping: Sequence[Keeping]) -> Sequence[PoseResult]:
        """What an earlier run found in every video; none where it did not come so far."""
        from vidpose.pipeline.keeping import search_of

        found = []
        for video, place in zip(self.videos, keeping, strict=False):
            kept = place.found(search_of(video, self.finding, self.filming))
            if kept is None:
                return []
            found.append(kept)
        return found

    def _find(
        self,
        networks: Networks,
        weights: Weights,
        cameras: Sequence[ViewCamera],
        device: str,
        progress: ProgressOf,
        keeping: Sequence[Keeping],
    ) -> Sequence[PoseResult]:
        """Everyone's 2D keypoints, in every video."""
        from vidpose.pipeline.finding import find_people
        from vidpose.pipeline.lifting import conversion_for

        conversion_for(weights.lifter, networks.layout)
        # The networks are still being opened, in threads. What comes after the search is imported meanwhile.
        for later in ("scipy.interpolate", "vidpose.refine.place"):
            import_module(later)
        # A clip network of one view looks at calibrated views each alone.
        clips = networks.clips
        if clips and not (self.finding.in_step or (cameras and clips.views > 1)):
            clips = None
        if clips:
            clips.check_views(", ".join(map(str, self.videos)), len(self.videos))
        alone = replace(networks, clips=None) if clips else networks
        found = []
        for video, place in zip_longest(self.videos, keeping):
            with progress(video.name, "frames") as report:
                found.append(
                    find_people(
                        video, self.finding, filming=self.filming, networks=alone, progress=report, keeping=place
                    )
                )
        return self._look_together(found, clips, cameras, device, progress) if clips else found

    def _look_together(
        self,
        found: Sequence[PoseResult],
        clips: ClipFinder,
        cameras: Sequence[ViewCamera],
        device: str,
        progress: ProgressOf,
    ) -> Sequence[PoseResult]:
        """The same people in several views, with the keypoints that a clip network sees in all of them at once."""
        from vidpose.lifters.zoo import open_lifter
        from vidpose.pipeline.clip_stage import look_again, one_in_each
        from vidpose.pipeline.lifting import lift_people
        from vidpose.pipeline.view_stage import who_is_who
        from vidpose.refine.smoothing import Smoothing

        people: Sequence[Person]
        if cameras:
            # The default lifter takes the default keypoints; the one asked for need not.
            lifter = open_lifter(Lifting.lifter, device, self.finding.threads)
            smoothing = Smoothing.parse(self.lifting.smooth)
            max_gap = self.lifting.max_gap
            lifted = [lift_people(some, lifter, smoothing, max_gap=max_gap) for some in found]
            people = who_is_who(lifted, cameras)
        else:
            people = one_in_each(found)
        with progress(f"{len(found)} views together", "moments") as report:
            return look_again(found, clips, people, start=self.finding.start, end=self.finding.end, progress=report)

    def _lifted(
        self, found: PoseResult, video: Path, weights: Weights, smoothing: Smoothing, progress: ProgressOf
    ) -> PoseResult:
        max_gap = self.lifting.max_gap
        if found.joints_given:
            from vidpose.pipeline.keypoint_intake import smooth_joints

            return smooth_joints(found, smoothing, max_gap=max_gap)
        from vidpose.pipeline.lifting import lift_people

        with progress(f"{video.name} to 3D", "poses") as report:
            return lift_people(found, weights, smoothing, max_gap=max_gap, progress=report)

    def _placed(self, result: PoseResult, video: Path, progress: ProgressOf) -> PoseResult:
        from vidpose.refine.place import fit_given, place
        from vidpose.video.lens import stated_fov

        how = self.placing
        with progress(f"{video.name} bodies", "poses") as report:
            if result.joints_given:
                return fit_given(
                    result, height=how.heights, fit=self.fits, max_gap=self.lifting.max_gap, progress=report
                )
            return place(
                result,
                how.lens,
                stated_fov=stated_fov(video) if result.source.pictures else None,
                height=how.heights,
                fit=self.fits,
                ground=how.ground,
                max_gap=self.lifting.max_gap,
                progress=report,
            )
