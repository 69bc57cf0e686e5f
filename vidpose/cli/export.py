"""`vidpose export`: a saved result for other programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vidpose.cli.bundles import Number
from vidpose.cli.listed import ListedOption, bone_schemes, format_names
from vidpose.cli.terminal import say
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_outputs, make_folder

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--format", "formats", multiple=True, required=True, metavar="NAME,...", cls=ListedOption,
              listing=format_names, help="Formats to write: {}.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: that of RESULT]")
@click.option("--person", "people", type=int, multiple=True, metavar="ID",
              help="Only this person. Give it several times for several.")  # fmt: skip
@click.option("--bones", metavar="NAMES", cls=ListedOption, listing=bone_schemes,
              help="For BVH and glTF: how bones are called: {}.  [default: plain]")  # fmt: skip
@click.option("--heading", type=Number(-360, 360), metavar="DEGREES",
              help="For OpenSim: turn everybody by this, about the vertical, and leave them where they are. "
                   "[default: each looks along x, near the origin]")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def export(
    result: Path,
    formats: tuple[str, ...],
    out: Path | None,
    people: tuple[int, ...],
    bones: str | None,
    heading: float | None,
    overwrite: bool,
) -> None:
    """Write RESULT, a .npz from `vidpose infer`, in other programs' formats."""
    from vidpose.body.tracks import PoseResult
    from vidpose.export import check_choices, get_formats, has_pose, place_of

    chosen = get_formats(formats)
    choices = {name: value for name, value in (("bones", bones), ("heading", heading)) if value is not None}
    check_choices(choices, chosen)
    loaded = _with_people(PoseResult.load(result), result, people)
    if not any(has_pose(track) for track in loaded.tracks):
        for name, format_ in chosen.items():
            if format_.joints:
                raise VidposeError(
                    f"{result}: nobody in it has 3D joints, which --format {name} is made of; "
                    "`vidpose infer --from-keypoints` lifts its keypoints"
                )
    stem = (out or result.parent) / result.stem
    make_folder(stem.parent)
    paths = [path for format_ in chosen.values() for path in format_.paths(loaded, stem)]
    check_outputs(paths, overwrite, inputs=[result, Path(loaded.source.path)])
    for format_ in chosen.values():
        say(f"wrote {', '.join(map(str, format_.write(loaded, stem, **choices)))}")
    if any(format_.joints for format_ in chosen.values()):
        say(f"positions are {place_of(loaded).value}")


def _with_people(loaded: PoseResult, path: Path, people: tuple[int, ...]) -> PoseResult:
    """The result, with nobody but these people if any are named.

    Raises:
        UsageError: one of them is not in it.
        VidposeError: nobody is in it.
    """
    if not loaded.tracks:
        raise VidposeError(f"{path}: nobody was found in its video, so that there is nothing to export")
    ids = [track.id for track in loaded.tracks]
    for person in people:
        if person not in ids:
            raise UsageError(f"--person {person}: not in {path}; there are {', '.join(map(str, ids))}")
    return replace(loaded, tracks=tuple(track for track in loaded.tracks if not people or track.id in people))
