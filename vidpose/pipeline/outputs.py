"""The files that a run writes for each video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vidpose.body.result_file import read_provenance
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.memory import give_back
from vidpose.common.tally import ProgressOf, unseen
from vidpose.video.time_range import parse_length

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult
    from vidpose.export import ExportFormat
    from vidpose.pipeline.job import Job
    from vidpose.pipeline.keeping import Keeping


OVERLAYS = ("skeletons", "mesh", "none")
"""What can be drawn over a video; the first is the default."""


@dataclass(frozen=True)
class Writing:
    """Which files are asked for.

    Attributes:
        out: folder.
        formats: names of `vidpose.export.FORMATS`, each perhaps several with commas between.
        overlay: one of `OVERLAYS`.
        overwrite: files may be there.
        segment: length of video after which what was found is kept, as in "10m".
        resume: go on with what an interrupted run found.
    """

    out: Path
    formats: tuple[str, ...] = ("json,csv",)
    overlay: str = OVERLAYS[0]
    overwrite: bool = False
    segment: str = "10m"
    resume: bool = False

    def check(self, job: Job) -> None:
        """See that a job's people can be drawn as asked.

        Raises:
            UsageError: there is no such overlay, or it needs bodies that nobody gets.
        """
        if self.overlay not in OVERLAYS:
            raise UsageError(f"`overlay={self.overlay}`: no such overlay; choose from {', '.join(OVERLAYS)}")
        if self.overlay == "mesh" and not job.fits:
            raise UsageError("`overlay=mesh`: needs a body fitted to each person; ask for `fit`, or draw skeletons")

    def outputs(self, name: str) -> Outputs:
        """The files of a video of that name.

        Raises:
            UsageError: there is no such format, or the segment has no length.
        """
        from vidpose.export import get_formats
        from vidpose.pipeline.keeping import Keeping

        formats, stem = get_formats(self.formats), self.out / name
        keeping = Keeping(stem.with_name(f"{name}_keypoints.npz"), parse_length(self.segment), self.resume)
        return Outputs(stem, tuple(formats.values()), self.overlay, keeping)


@dataclass(frozen=True)
class Outputs:
    """The files that one video becomes.

    Attributes:
        stem: folder and beginning of their names.
        keeping: where 2D keypoints are kept until the rest is written.
    """

    stem: Path
    formats: tuple[ExportFormat, ...]
    overlay: str
    keeping: Keeping

    @property
    def result(self) -> Path:
        return self._with(".npz")

    @property
    def film(self) -> Path | None:
        """The overlay, if one is drawn."""
        return None if self.overlay == "none" else self._with("_overlay.mp4")

    def is_of(self, job: Job, video: Path) -> bool:
        """Whether the result that is there came of the same video with the same settings, as far as can be told."""
        if not self.result.exists() or self.keeping.is_unfinished:
            return False
        try:
            made_by = read_provenance(self.result)[0].get(_RUN)
        except VidposeError:  # damaged, so that it is not what was made
            return False
        return made_by is None or not video.exists() or made_by == _run_of(job, video)

    @property
    def is_whole(self) -> bool:
        """Whether every kind of file that was asked for is there; of nobody some kinds have none."""
        nobody = not read_provenance(self.result)[1]
        kinds = [format_ for format_ in self.formats if not (nobody and format_.joints)]
        return (not self.film or self.film.exists()) and all(kind.present(self.stem) for kind in kinds)

    def in_the_way(self) -> Iterator[Path]:
        """What must not be there, unless it may be replaced."""
        yield self.result
        if self.film:
            yield self.film
        for format_ in self.formats:
            yield from format_.present(self.stem)

    def write(
        self,
        result: PoseResult,
        video: Path,
        job: Job,
        progress: ProgressOf = unseen,
        saved: Callable[[Path], None] = lambda path: None,
    ) -> list[Path]:
        """Write a job's result; gives the files. The lossless one is first: what fails later can be made from it.

        Args:
            progress: of the formats, and of the overlay.
            saved: called with the lossless file as soon as it is written.
        """
        give_back()
        if not job.saved:
            result = result.with_tracks(result.tracks, **{_RUN: _run_of(job, video)})
        result.save(self.result)
        saved(self.result)
        written = [self.result]
        with progress(f"{video.name} to files", "formats") as report:
            for number, format_ in enumerate(self.formats):
                report(number, len(self.formats))
                written += format_.write(result, self.stem)
                give_back()
        if self.film:
            from vidpose.render import bodies_of, render_overlay

            bodies = bodies_of(result) if self.overlay == "mesh" else None
            looked = job.finding
            with progress(f"{video.name} overlay", "frames") as report:
                render_overlay(
                    result, video, self.film, bodies=bodies, start=looked.start, end=looked.end,
                    hwaccel=looked.hwaccel, progress=report,
                )  # fmt: skip
            written.append(self.film)
        if not job.saved:
            self.keeping.clear()
        return written

    def _with(self, suffix: str) -> Path:
        return self.stem.with_name(self.stem.name + suffix)


_RUN = "settings_sha256"
"""In a result's provenance."""


def _run_of(job: Job, video: Path) -> str:
    """What tells a run of a video from one of another, or with other settings."""
    from vidpose.pipeline.keeping import search_of, state_of

    settings = search_of(video, job.finding, job.filming) | {"lifting": asdict(job.lifting)}
    named = [path for path in job.inputs if path not in job.videos]
    settings |= {"placing": asdict(job.placing), "state": state_of(*named)}
    del settings["vidpose"]
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
