"""`vidpose angles`: a saved result in; tables and figures of joint angles out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vidpose.cli.terminal import say
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_outputs, make_folder

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option(
    "--angles", "wanted", metavar="NAME,...", help="Only these angles, by names or parts of names: knee,left_hip."
)
@click.option(
    "--person", "people", type=int, multiple=True, metavar="ID", help="Only this person. Give it again for more."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to.  [default: that of RESULT]")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def angles(result: Path, wanted: str | None, people: tuple[int, ...], out: Path | None, overwrite: bool) -> None:
    """Joint angles of RESULT, a .npz from `vidpose infer`.

    Writes NAME_angles.csv (degrees and degrees a second in every frame), NAME_angles_summary.csv (ranges of motion,
    segment lengths, left against right) and, for each person, NAME_angles_ID.png. All angles are zero when
    standing upright with hanging arms. Flexion is positive.
    """
    from vidpose.body.joint_angles import choose_angles, track_angles
    from vidpose.body.tracks import PoseResult
    from vidpose.body.whole_body import whole_skeleton

    loaded = _with_people(PoseResult.load(result), people, result)
    names = choose_angles((wanted or "left,right,trunk").split(","), whole_skeleton(loaded))
    folder = out or result.parent
    table, summary = folder / f"{result.stem}_angles.csv", folder / f"{result.stem}_angles_summary.csv"
    figures = {track.id: folder / f"{result.stem}_angles_{track.id}.png" for track in loaded.tracks}
    check_outputs((table, summary, *figures.values()), overwrite, inputs=[result, Path(loaded.source.path)])
    make_folder(folder)

    from vidpose.evaluation.angle_figures import draw_angles
    from vidpose.export.angle_tables import write_angle_summary, write_angles

    write_angles(loaded, names, table)
    write_angle_summary(loaded, names, summary)
    for track in loaded.tracks:
        curves = track_angles(loaded, track)
        chosen = {name: curves[name] for name in names}
        draw_angles(chosen, track.times, figures[track.id], title=f"person {track.id}")
    say("wrote " + ", ".join(map(str, (table, summary, *figures.values()))))


def _with_people(result: PoseResult, ids: tuple[int, ...], path: Path) -> PoseResult:
    """The result with only those who were asked for and have 3D joints.

    Raises:
        UsageError: an id is not in the result.
        VidposeError: nobody is left.
    """
    known = {track.id: track for track in result.tracks}
    for id_ in ids:
        if id_ not in known:
            raise UsageError(f"--person {id_}: {path} has {', '.join(map(str, known)) or 'nobody'}")
    tracks = tuple(track for track in result.tracks if (not ids or track.id in ids) and track.lifted.any())
    if not tracks:
        raise VidposeError(f"{path}: no 3D joints of {'these people' if ids else 'anybody'} in it, so no angles")
    return result.with_tracks(tracks)
