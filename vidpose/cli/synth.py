"""`vidpose synth`: a scene in; a rendered video and its exact truth out."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vidpose.cli.progress import progress_of
from vidpose.errors import UsageError
from vidpose.files import check_free, make_folder


@click.command()
@click.argument("name", required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True,
              help="Folder to write to.")  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="Name the scenes and stop.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def synth(name: str | None, out: Path, listing: bool, overwrite: bool) -> None:
    """Render the scene NAME: people whose joints are exactly known.

    Writes NAME.mp4 and NAME.truth.npz; the same scene gives the same frames every time. About half a second of CPU
    time a person and frame.
    """
    from vidpose.synth.scenes import SCENES, get_scene

    if listing:
        for scene in SCENES.values():
            click.echo(f"{scene.name:12} {scene.seconds:g} s  {scene.summary}")
        return
    if not name:
        raise UsageError(f"give the NAME of a scene: {', '.join(SCENES)}")
    scene = get_scene(name)
    video, facts = out / f"{name}.mp4", out / f"{name}.truth.npz"
    if not overwrite:
        check_free((video, facts))
    make_folder(out)

    from vidpose.synth.film import save_film, save_truth

    with progress_of(video.name) as progress:
        save_film(scene, video, progress)
    save_truth(scene, facts)
    click.echo(f"wrote {video}, {facts}")
