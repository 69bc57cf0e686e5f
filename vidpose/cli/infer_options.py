"""What `vidpose infer` can be asked for, in groups. The defaults are those of `vidpose.pipeline.choices`."""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click

from vidpose.cli.bundles import Number, Rate, bundled, option
from vidpose.cli.listed import ListedOption, format_names
from vidpose.lifters.lifter_config import PRECISIONS
from vidpose.pipeline.choices import Filming, Finding, Lifting, Placing
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import OVERLAYS, Writing
from vidpose.refine.focal import Lens
from vidpose.refine.smoothing import list_filters

FILE = click.Path(path_type=Path)

HWACCEL = "Device that decodes the video and encodes the overlay, where it can: cuda, qsv, videotoolbox, ..."

_FINDING = (
    option(Finding, "--detector", metavar="NAME",
           help="Network that finds people: a name, mmdet:CONFIG, or boxes:FILE."),
    option(Finding, "--keypoints", metavar="NAME",
           help="Network that finds their 2D joints: a name, or mmpose:CONFIG."),
    option(Finding, "--detector-weights", type=FILE, metavar="FILE",
           help="Weights for the detector, instead of the published ones."),
    option(Finding, "--keypoints-weights", type=FILE, metavar="FILE",
           help="Weights for the keypoint network, instead of the published ones."),
    option(Finding, "--detect-every", type=click.IntRange(min=1), metavar="N",
           help="Run the detector on every Nth frame, and follow people in between."),
    option(Finding, "--max-people", type=click.IntRange(min=1), help="At most this many people, the most prominent."),
    option(Finding, "--min-score", type=Number(0, 1),
           help="Leave out people whose keypoints score less than this on average."),
    option(Finding, "--cuts", metavar="auto|none|FILE",
           help="Cuts to another shot, where people end: auto looks for them, none has none, FILE lists them."),
    option(Finding, "--threads", type=click.IntRange(min=1), metavar="N",
           help="Threads of the CPU that the networks use. Fewer leave room for others, and take less in all."),
    option(Finding, "--hwaccel", metavar="auto|none|NAME", help=HWACCEL),
)  # fmt: skip

finding_options = bundled(Finding, *_FINDING)


def limit_threads(finding: Finding) -> None:
    """Have libraries that are loaded from now on use so many threads: torch reads it when it is first imported."""
    if finding.threads:
        os.environ["OMP_NUM_THREADS"] = str(finding.threads)


finding_in_views_options = bundled(
    Finding,
    *_FINDING,
    option(Finding, "--in-step", is_flag=True,
           help="The VIDEOs show one person at the same moments. A clip network looks at all views at once."),
)  # fmt: skip

_FILMING = (
    option(Filming, "--fps", type=Rate(), metavar="RATE",
           help="Frames a second, as in 25 or 30000/1001, of a folder of pictures, or of a video or keypoints without "
                "times."),
    option(Filming, "--slow-motion", type=Rate(), metavar="TIMES",
           help="How many times slower than life the video is. All times, given ones too, are then those of life."),
)  # fmt: skip

filming_options = bundled(Filming, *_FILMING)

filming_of_keypoints_options = bundled(
    Filming,
    *_FILMING,
    option(Filming, "--size", metavar="WIDTHxHEIGHT",
           help="Size of the picture that the keypoints are in, if there is no video."),
)  # fmt: skip

lifting_options = bundled(
    Lifting,
    option(Lifting, "--lifter", metavar="NAME|FILE[+...]",
           help="Network from 2D to 3D: a name, or a .safetensors file. With + between, several are averaged."),
    option(Lifting, "--precision", type=click.Choice(PRECISIONS),
           help="How exactly the lifter computes. bfloat16 is faster, on processors that have it."),
    option(Lifting, "--hypotheses", type=click.IntRange(min=1),
           metavar="N", help="Draw this many poses and take their mean, with a lifter that draws them."),
    option(Lifting, "--draw-steps", type=click.IntRange(min=1), metavar="N", help="In how many steps it draws each."),
    option(Lifting, "--smooth", metavar="METHOD[:VALUE]", help=f"Smooth the joints: {list_filters()}."),
    option(Lifting, "--max-gap", type=Number(min=0), metavar="SECONDS",
           help="Fill gaps up to this long."),
)  # fmt: skip

lens_options = bundled(
    Lens,
    option(Lens, "--fov", type=float, metavar="DEGREES",
           help="Field of view along the longer side of the picture. Tells how far people are."),
    option(Lens, "--focal", type=float, metavar="PIXELS", help="Focal length. Use it instead of --fov."),
)  # fmt: skip

device_option = click.option(
    "--device", default=Job.device, show_default=True, help="For the networks: auto, cpu, cuda or cuda:N."
)

placing_options = bundled(
    Placing,
    option(Placing, "--height", metavar="METRES",
           help="How tall people are: 1.75 for everybody, or by id, 1:1.75,2:1.62."),
    option(Placing, "--fit/--no-fit",
           help="Make each person one body, of bones that keep their lengths.  [default: fit; of views no-fit]"),
    option(Placing, "--ground", is_flag=True, help="Find the floor from the feet. Exports then have a world, Z up."),
)  # fmt: skip

_WRITING = (
    click.option("--out", type=FILE, default="out", show_default=True, help="Folder to write to."),
    option(Writing, "--format", "formats", multiple=True, metavar="NAME,...", cls=ListedOption, listing=format_names,
           help="Formats to write beside the .npz: {}."),
    option(Writing, "--overlay", type=click.Choice(OVERLAYS), help="What to draw over the video."),
    click.option("--no-overlay", "overlay", flag_value="none", help="Draw nothing over the video."),
    option(Writing, "--overwrite", is_flag=True, help="Replace existing files."),
    option(Writing, "--segment", metavar="LENGTH",
           help="Keep what was found after so much video, as in 90s or 10m, to go on from."),
)  # fmt: skip

writing_options = bundled(Writing, *_WRITING)

resumed_writing_options = bundled(
    Writing,
    *_WRITING,
    option(Writing, "--resume", is_flag=True, help="Go on with what an interrupted run found."),
)
