"""`vidpose batch`: many videos in; a folder of results each out, and a summary of all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vidpose.cli.infer_options import (
    FILE,
    device_option,
    filming_options,
    finding_options,
    lens_options,
    lifting_options,
    placing_options,
    writing_options,
)
from vidpose.cli.progress import progress_of
from vidpose.cli.spelling import spelled
from vidpose.cli.terminal import complain, say
from vidpose.common.errors import VidposeError
from vidpose.pipeline.choices import Filming, Finding, Lifting, Placing
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import Writing

if TYPE_CHECKING:
    from vidpose.many.records import Record

click.rich_click.OPTION_GROUPS["*batch"] = [
    {"name": "Where the work is done", "options": ["--workers", "--threads", "--device", "--hwaccel", "--ray",
                                                    "--split"]},
    {"name": "Files", "options": ["--out", "--format", "--overlay", "--no-overlay", "--overwrite", "--segment"]},
    {"name": "The videos", "options": ["--cuts", "--fps", "--slow-motion"]},
    {"name": "Find people", "options": ["--detector", "--keypoints", "--detector-weights", "--keypoints-weights",
                                        "--detect-every", "--max-people", "--min-score"]},
    {"name": "Lift to 3D", "options": ["--lifter", "--precision", "--hypotheses", "--draw-steps", "--smooth",
                                       "--max-gap", "--fit"]},
    {"name": "Sizes and places", "options": ["--fov", "--focal", "--height", "--ground"]},
]  # fmt: skip


@click.command()
@click.argument("source", metavar="FOLDER|LIST", type=FILE)
@click.option("--workers", type=click.IntRange(min=1), metavar="N",
              help="Processes, each with a video at a time.  [default: one a core; one with a GPU]")  # fmt: skip
@click.option("--ray", metavar="auto|ADDRESS", help="Use the workers of a Ray cluster: this machine's, or at ADDRESS.")
@click.option(
    "--split", metavar="LENGTH", help="Have several workers do a longer video, in parts of this length: 10m, 1h."
)
@lifting_options
@finding_options
@filming_options
@device_option
@lens_options
@placing_options
@writing_options
def batch(
    source: Path, workers: int | None, ray: str | None, split: str | None, device: str, finding: Finding,
    filming: Filming, lifting: Lifting, placing: Placing, writing: Writing,
) -> None:  # fmt: skip
    """3D skeletons of everyone in the videos of FOLDER, or in those that the text file LIST names, one a line.

    Each video gets a folder of its own in --out. summary.html and summary.csv there say what became of each. Give the
    same command again to go on after an interruption, or with new videos: what is whole is not done again, and what
    failed is tried again.
    """
    from vidpose.many.scheduling import run_batch
    from vidpose.many.summary_table import totals

    def tell(record: Record) -> None:
        if record.failure:
            complain(spelled(record.failure))

    job = Job(finding=finding, filming=filming, lifting=lifting, placing=placing, device=device)
    records = run_batch(
        job, source, writing, workers=workers, ray=ray, split=split, progress=progress_of, on_record=tell
    )
    say(f"{totals(records)}; see {writing.out / 'summary.html'}")
    failed = sum(record.failure is not None for record in records)
    if failed:
        raise VidposeError(f"{failed} of {len(records)} videos failed")
