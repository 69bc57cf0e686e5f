"""`vidpose render`: the overlay of a saved result."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vidpose.cli.infer_options import HWACCEL
from vidpose.cli.progress import progress_of
from vidpose.cli.terminal import say
from vidpose.common.errors import VidposeError
from vidpose.common.files import check_outputs
from vidpose.pipeline.choices import Finding


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--video", type=click.Path(path_type=Path), help="The video, if it is not where RESULT says.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: RESULT_overlay.mp4]")
@click.option("--overlay", type=click.Choice(["skeletons", "mesh"]), default="skeletons", show_default=True,
              help="What to draw over the people.")  # fmt: skip
@click.option("--hwaccel", default=Finding.hwaccel, show_default=True, metavar="auto|none|NAME", help=HWACCEL)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def render(result: Path, video: Path | None, out: Path | None, overlay: str, hwaccel: str, overwrite: bool) -> None:
    """Draw the overlay video of RESULT, a .npz from `vidpose infer`."""
    out = out or result.with_name(f"{result.stem}_overlay.mp4")
    from vidpose.body.tracks import PoseResult
    from vidpose.render import bodies_of, render_overlay

    loaded = PoseResult.load(result)
    if video is None and not loaded.source.pictures:
        raise VidposeError(f"{result}: made from keypoints without a video; say where that is with --video")
    video = video or Path(loaded.source.path)
    if not video.exists():
        raise VidposeError(f"{video}: the video of {result} is not there; say where it is with --video")
    check_outputs([out], overwrite, inputs=[result, video])
    bodies = bodies_of(loaded) if overlay == "mesh" else None
    with progress_of(out.name) as progress:
        render_overlay(loaded, video, out, bodies=bodies, hwaccel=hwaccel, progress=progress)
    say(f"wrote {out}")
