"""Skinned bodies for other programs: glTF with bones, skin and animation; OBJ, a file a frame; SMPL's parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from vidpose.body.colours import id_colours
from vidpose.body.kinematics import relative
from vidpose.body.pieces import ComputedRows
from vidpose.body.tracks import PoseResult, Track
from vidpose.body_models.body_model import BodyModel, vertex_normals
from vidpose.body_models.embodying import MovingBody, rows_of
from vidpose.body_models.smpl_model import SmplModel
from vidpose.common.errors import UsageError, VidposeError, did_you_mean
from vidpose.common.files import replacing, write_npz
from vidpose.export.gltf import GltfScene, Skin, late_start
from vidpose.export.placing import EvenClock, axes_of, placed_joints, root_of
from vidpose.export.rigid_figure import Figure

Bodies = Mapping[int, MovingBody]
"""By the person's id (`vidpose.body_models.embodying.embody`)."""


@dataclass(frozen=True)
class MeshFormat:
    """One way to write bodies.

    Attributes:
        suffix: what the names of its files end in.
        write: writes everybody to a path.
    """

    suffix: str
    write: Callable[[PoseResult, Bodies, Path], None]


def write_mesh_gltf(result: PoseResult, bodies: Bodies, path: Path) -> None:
    """Write everybody as one animated scene: bones under their authors' names, four to a vertex.

    Raises:
        VidposeError: the file cannot be written.
    """
    scene, colours = GltfScene(late_start(result.source)), id_colours(result.tracks)
    for track in result.tracks:
        if track.id in bodies:
            body = bodies[track.id]
            faces, vertices = body.model.faces, body.rest.vertices - body.rest.heads[0]
            colour = (float(channel / 255) ** 2.2 for channel in colours[track.id])
            skin = Skin(vertices, vertex_normals(vertices, faces), faces, _of_few_bones(body.model), (*colour,))
            scene.add(f"person {track.id}", _figure(result, track, body).held(), body.model.titles, skin)
    scene.write(result, path)


def _of_few_bones(model: BodyModel) -> np.ndarray:
    """(V, B) the model's weights, added up for bones that turn as one piece where more than four share a vertex."""
    merged = np.zeros_like(model.weights)
    np.add.at(merged.T, model.carriers, model.weights.T)
    many = (model.weights > 0).sum(axis=1) > 4
    return np.where(many[:, None], merged, model.weights)


def _figure(result: PoseResult, track: Track, body: MovingBody, up: str = "y") -> Figure:
    """A body's bones."""
    there, axes = body.posed, axes_of(result, up)
    rows_K = np.flatnonzero(there)
    roots = placed_joints(result, track, up, guessed=True)[there, root_of(result)]
    return Figure(
        body.model.layout,
        body.rest.offsets(body.model.layout),
        track.times[there],
        ComputedRows(lambda rows: axes @ body.turns(rows_K[rows])),
        roots + body.roots[there] @ axes.T,
    )


def write_obj(result: PoseResult, bodies: Bodies, path: Path) -> None:
    """Write a folder with a file for each frame that somebody is in, `000042.obj`: y up, metres, an object a person.

    Raises:
        VidposeError: a file cannot be written.
    """
    roots = _roots(result, bodies)
    for frame in range(result.source.num_frames):
        if lines := list(_obj_lines(result, bodies, roots, frame)):
            _write_lines(path / f"{frame:06d}.obj", lines)


def write_obj_frame(result: PoseResult, bodies: Bodies, path: Path, frame: int) -> None:
    """Write everybody in one frame of the video, by its number, to one such file.

    Raises:
        VidposeError: nobody has a pose in it, or the file cannot be written.
    """
    lines = list(_obj_lines(result, bodies, _roots(result, bodies), frame))
    if not lines:
        raise VidposeError(f"`frame={frame}`: nobody has a pose in that frame; choose another")
    _write_lines(path, lines)


def _roots(result: PoseResult, bodies: Bodies) -> dict[int, np.ndarray]:
    """(N, 3) where the tracks' root joints are, y up, by id."""
    tracks = [track for track in result.tracks if track.id in bodies]
    return {track.id: placed_joints(result, track, "y", guessed=True)[:, root_of(result)] for track in tracks}


def _obj_lines(result: PoseResult, bodies: Bodies, roots: Mapping[int, np.ndarray], frame: int) -> Iterator[str]:
    first, axes = 1, axes_of(result, "y")
    for track, body, row in rows_of(bodies, result, frame):
        vertices = body.vertices(row) @ axes.T + roots[track.id][row]
        yield f"o person_{track.id}"
        yield from (f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in vertices.tolist())
        yield from (f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertex_normals(vertices, body.model.faces).tolist())
        yield from (f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in (body.model.faces + first).tolist())
        first += len(vertices)


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    with replacing(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_smpl(result: PoseResult, bodies: Bodies, path: Path) -> None:
    """Write a folder with a `person1.npz` for each, as AMASS has motion: z up, at the video's even rate.

    Mahmood et al., "AMASS: Archive of Motion Capture as Surface Shapes", 2019: `poses` (F, 3 B) turns of each bone
    against its parent, axis times angle; `betas`; `trans` (F, 3) metres; `mocap_framerate`; `gender`.

    Raises:
        UsageError: the bodies are not of SMPL's kind.
        VidposeError: a file cannot be written, or frames are too far apart for an even rate.
    """
    clock = EvenClock.of(result.source)
    for track in (track for track in result.tracks if track.id in bodies):
        body = bodies[track.id]
        if not isinstance(body.model, SmplModel):
            raise UsageError("`format=smpl`: for bodies of SMPL, SMPL-H and SMPL-X; name the file of one with `body`")
        figure = _figure(result, track, body, "z").at(clock.times_of(clock.frames_of(track)))
        turns = relative(figure.turns[0 : len(figure.times)], figure.layout)
        poses = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_rotvec().reshape(len(turns), -1)
        write_npz(
            path / f"person{track.id}.npz",
            poses=poses,
            betas=body.model.betas(body.shape),
            trans=figure.roots - body.rest.heads[0],
            mocap_framerate=np.array(clock.rate),
            gender=np.array(body.model.gender),
            surface_model_type=np.array(body.model.name),
        )


MESH_FORMATS: Mapping[str, MeshFormat] = {
    "glb": MeshFormat("_mesh.glb", write_mesh_gltf),
    "obj": MeshFormat("_obj", write_obj),
    "smpl": MeshFormat("_smpl", write_smpl),
}
"""Name on the command line -> the format; the first is the default."""


def mesh_formats(names: str) -> dict[str, MeshFormat]:
    """The formats of names with commas between, each once.

    Raises:
        UsageError: there is none of a name; says which is near.
    """
    found = {}
    for name in (name.strip() for name in names.split(",")):
        if name not in MESH_FORMATS:
            advice = f"{did_you_mean(name, MESH_FORMATS)}known are {', '.join(MESH_FORMATS)}"
            raise UsageError(f"format {name!r}: no such format of meshes; {advice}")
        found[name] = MESH_FORMATS[name]
    return found
