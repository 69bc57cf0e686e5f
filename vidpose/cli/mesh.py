"""`vidpose mesh`: a saved result in; people as skinned bodies in motion out."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from vidpose.cli.listed import ListedOption, dial_names, mesh_format_names
from vidpose.cli.terminal import say
from vidpose.common.errors import UsageError, VidposeError
from vidpose.common.files import check_outputs, make_folder

if TYPE_CHECKING:
    from vidpose.body.tracks import PoseResult

log = logging.getLogger(__name__)


@click.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--format", "formats", default="glb", show_default=True, metavar="NAME,...", cls=ListedOption,
              listing=mesh_format_names, help="Formats to write: {}.")  # fmt: skip
@click.option("--body", type=click.Path(path_type=Path), metavar="FILE",
              help="Your .npz of SMPL, SMPL-H or SMPL-X, for bodies of its kind.  [default: Anny]")  # fmt: skip
@click.option("--shape", "shapes", multiple=True, metavar="NAME=VALUE", cls=ListedOption, listing=dial_names,
              help="Set a dial of the bodies; give it again for more. What no joint shows: {}.")  # fmt: skip
@click.option("--frame", type=click.IntRange(min=0), metavar="N", help="For OBJ: only this frame of the video, from 0.")
@click.option("--person", "people", type=int, multiple=True, metavar="ID",
              help="Only this person. Give it several times for several.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Folder to write to.  [default: that of RESULT]")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def mesh(
    result: Path, formats: str, body: Path | None, shapes: tuple[str, ...], frame: int | None,
    people: tuple[int, ...], out: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Fit a body to everybody in RESULT, a .npz from `vidpose infer`, and write it as a mesh in motion.

    Writes NAME_mesh.glb, NAME_obj/ with a file for each frame, or NAME_smpl/ with a file for each person. The body is
    Anny's, with the lengths of the person's own bones. Age, sex and weight do not show in joints: say them with
    --shape, or leave them in the middle.
    """
    from vidpose.body.tracks import PoseResult
    from vidpose.export.meshes import mesh_formats, write_obj_frame

    chosen = mesh_formats(formats)
    if frame is not None and [*chosen] != ["obj"]:
        raise UsageError(f"--frame {frame}: only --format obj has single frames")
    shape = dict(_dial(text) for text in shapes)
    loaded = _with_people(PoseResult.load(result), result, people)
    stem = (out or result.parent) / result.stem
    paths = {name: stem.with_name(stem.name + format_.suffix) for name, format_ in chosen.items()}
    if frame is not None:
        paths = {"obj": stem.with_name(f"{stem.name}_{frame:06d}.obj")}
    check_outputs(paths.values(), overwrite, inputs=[result, body or result])
    make_folder(stem.parent)

    from vidpose.body_models.anny_model import anny
    from vidpose.body_models.embodying import embody
    from vidpose.body_models.smpl_model import read_smpl

    bodies = embody(loaded, read_smpl(body) if body else anny(), shape)
    for name, path in paths.items():
        if frame is not None:
            write_obj_frame(loaded, bodies, path, frame)
        else:
            chosen[name].write(loaded, bodies, path)
        say(f"wrote {path}")
    for person, fitted in bodies.items():
        error = f"{fitted.mean_error * 1000:.1f} mm between its joints and the result's"
        say(f"person {person}: {fitted.stature:.2f} m tall, {error}")


def _dial(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise UsageError(f"--shape {text}: not NAME=VALUE with a number, as in --shape age=60") from None


def _with_people(loaded: PoseResult, path: Path, people: tuple[int, ...]) -> PoseResult:
    """The result, with nobody but these people if any are named.

    Raises:
        UsageError: one of them is not in it.
        VidposeError: nobody is in it who has 3D joints.
    """
    from vidpose.export.placing import left_out, placed_people

    ids = [track.id for track in loaded.tracks]
    for person in people:
        if person not in ids:
            raise UsageError(f"--person {person}: not in {path}; there are {', '.join(map(str, ids)) or 'none'}")
    tracks = tuple(track for track in loaded.tracks if not people or track.id in people)
    if not any(track.lifted.any() for track in tracks):
        raise VidposeError(f"{path}: nobody in it has 3D joints, which a mesh is fitted to")
    chosen = replace(loaded, tracks=tracks)
    for person, lack in left_out(chosen):
        log.warning("person %d has no %s, and gets no mesh", person, lack)
    return replace(chosen, tracks=tuple(placed_people(chosen)))
