"""The files that `vidpose infer` writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vidpose.cli.bundles import bundled
from vidpose.cli.listed import ListedOption, format_names
from vidpose.cli.progress import progress_of

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult
    from vidpose.export import ExportFormat
    from vidpose.pipeline.job import Job


@dataclass(frozen=True)
class Outputs:
    """The files that one video becomes.

    Attributes:
        stem: folder and beginning of their names.
    """

    stem: Path
    formats: tuple[ExportFormat, ...]
    overlay: bool

    @property
    def result(self) -> Path:
        return self._with(".npz")

    @property
    def film(self) -> Path:
        return self._with("_overlay.mp4")

    @property
    def found(self) -> Path:
        """Where 2D keypoints are kept until they are lifted."""
        return self._with("_keypoints.npz")

    def in_the_way(self) -> Iterator[Path]:
        """What must not be there, unless it may be replaced."""
        yield self.result
        if self.overlay:
            yield self.film
        for format_ in self.formats:
            yield from format_.present(self.stem)

    def write(self, result: PoseResult, video: Path, job: Job) -> list[Path]:
        """Write a job's result; gives the files. The lossless one is first: what fails later can be made from it."""
        result.save(self.result)
        if not job.saved:
            self.found.unlink(missing_ok=True)
        written = [self.result]
        for format_ in self.formats:
            written += format_.write(result, self.stem)
        if self.overlay:
            from vidpose.render import render_overlay

            with progress_of(f"{video.name} overlay") as progress:
                render_overlay(
                    result, video, self.film, start=job.finding.start, end=job.finding.end, progress=progress
                )
            written.append(self.film)
        return written

    def _with(self, suffix: str) -> Path:
        return self.stem.with_name(self.stem.name + suffix)


@dataclass(frozen=True)
class Writing:
    """Which files are asked for."""

    out: Path
    formats: tuple[str, ...]
    overlay: bool
    overwrite: bool

    def outputs(self, name: str) -> Outputs:
        """The files of a video of that name.

        Raises:
            UsageError: there is no such format.
        """
        from vidpose.export import get_formats

        formats = get_formats(self.formats)
        return Outputs(self.out / name, tuple(formats.values()), self.overlay)


writing_options = bundled(
    Writing,
    click.option("--out", type=click.Path(path_type=Path), default="out", show_default=True,
                 help="Folder to write to."),
    click.option("--format", "formats", multiple=True, default=("json,csv",), show_default=True, metavar="NAME,...",
                 cls=ListedOption, listing=format_names, help="Formats to write beside the .npz: {}."),
    click.option("--overlay/--no-overlay", default=True, show_default=True, help="Draw the skeletons over the video."),
    click.option("--overwrite", is_flag=True, help="Replace existing files."),
)  # fmt: skip
