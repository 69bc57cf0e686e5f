"""`vidpose view`: a page to look at a saved result."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import rich_click as click

from vidpose.cli.progress import progress_of
from vidpose.cli.terminal import say
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_outputs, check_suffix


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--video", type=click.Path(path_type=Path), help="The video, if it is not where RESULT says.")
@click.option("--no-video", is_flag=True, help="Leave the video out. The page is smaller then.")
@click.option("--no-mesh", is_flag=True, help="Leave the bodies out: skeletons only.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: RESULT with .html]")
@click.option("--open/--no-open", "opening", default=True, show_default=True, help="Open the page in the browser.")
@click.option("--rerun", is_flag=True, help="Write RESULT.rrd for the Rerun viewer instead, and open it there.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def view(
    result: Path, video: Path | None, no_video: bool, no_mesh: bool, out: Path | None, opening: bool, rerun: bool,
    overwrite: bool,
) -> None:  # fmt: skip
    """Make a page of RESULT, a .npz from `vidpose infer`, and open it.

    The page is one HTML file, which needs no network and no other file. It shows the video, the skeletons on it,
    bodies or skeletons in 3D, and the joint angles, all at the same moment.
    """
    if video and no_video:
        raise UsageError("--video and --no-video exclude each other; give one of them")
    if rerun and no_mesh:
        raise UsageError("--no-mesh: about the page only; leave it out with --rerun, which has no bodies")
    out = out or result.with_suffix(".rrd" if rerun else ".html")
    check_suffix(out, *(("a recording", [".rrd"]) if rerun else ("a page", [".html", ".htm"])))

    from vidpose.body.tracks import PoseResult

    loaded = PoseResult.load(result)
    named = Path(loaded.source.path) if loaded.source.pictures else None
    film = None if no_video else _video_of(result, named, video)
    check_outputs([out], overwrite, inputs=[result, film or result])
    if rerun:
        from vidpose.export.rerun import write_rrd

        with progress_of(out.name) as progress:
            write_rrd(loaded, out, video=film, progress=progress)
    else:
        from vidpose.export.html import write_html

        write_html(loaded, out, video=film, meshes=not no_mesh, progress=progress_of)
    say(f"wrote {out}")
    if opening and rerun:
        from vidpose.export.rerun import open_viewer

        open_viewer(out)
    elif opening and not webbrowser.open(out.resolve().as_uri()):
        say("no browser could be started; open the file by hand")


def _video_of(result: Path, named: Path | None, given: Path | None) -> Path | None:
    """The video to show; None where the result has none, and, with a line that says so, where it is not where it was.

    Raises:
        VidposeError: the one that was given is not there.
    """
    if given and not given.exists():
        raise VidposeError(f"{given}: no such video; leave out --video for a page without it")
    video = given or named
    if video is None or video.exists():
        return video
    say(f"{video}: the video of {result} is not there, so the page has none; --video says where it is", err=True)
    return None
