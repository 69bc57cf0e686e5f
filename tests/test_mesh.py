"""Skinned bodies: the baked model against Anny's own answers, the fit against bodies that are known, and the files."""

import dataclasses
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from click.testing import CliRunner
from exports import gltf_numbers, result_of, track_of, turned, world_joints
from scipy.spatial.transform import Rotation

from vidpose.body.kinematics import orientations, pose
from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PinholeCamera, PoseResult
from vidpose.body_models.anny_model import anny
from vidpose.body_models.body_model import face_normals, skinned
from vidpose.body_models.embodying import MovingBody, _Fitting, embody
from vidpose.cli import cli
from vidpose.common.errors import UsageError, VidposeError
from vidpose.export.meshes import write_mesh_gltf, write_obj, write_obj_frame
from vidpose.pipeline.job import Job
from vidpose.pipeline.outputs import OVERLAYS, Writing
from vidpose.render import OverlayRenderer, bodies_of
from vidpose.render.shading import PlacedMesh, draw_meshes

DATA = Path(__file__).parent / "data"
AT = H36M_17.index

SHAPE = {"height": 0.3, "thighs": 0.2, "forearms": -0.3, "torso": 0.2, "shoulders": 0.1, "weight": 0.7}


def known_body(rows: int = 24) -> tuple[PoseResult, np.ndarray]:
    """A result whose person is a body of the model, and its vertices (N, V, 3) from the root joint.

    What turns it are the turns of a body of rigid bones. Joints in the middle lie beside the model's, each by a way
    that is constant in its bone's frame.
    """
    model, track = anny(), turned(track_of(world_joints(rows)))
    fitting = _Fitting(model, model.rest(SHAPE), H36M_17)
    turns_NJDD = orientations(track.joints.astype(float), H36M_17)
    turns = fitting._start(turns_NJDD)[:, model.mover_of]
    heads = pose(fitting.offsets_BD, turns, np.zeros((rows, 3)), model.layout)
    beside = {"spine": (0, 0.05, 0.02), "thorax": (0, -0.03, 0), "nose": (0, 0.03, 0.1), "head_top": (0, 0.15, 0)}
    joints = np.stack([
        heads[:, model.layout.index(model.landmarks[name].head)]
        + turns[:, model.layout.index(model.landmarks[name].held_by)] @ np.array(beside.get(name, (0, 0, 0)), float)
        for name in H36M_17.joints
    ], axis=1)  # fmt: skip
    root = joints[:, :1].copy()
    vertices = skinned(model, fitting.rest, turns, heads) - root
    track = dataclasses.replace(track, joints=(joints - root).astype(np.float32))
    return result_of(track), vertices


@pytest.fixture(scope="module")
def known() -> tuple[PoseResult, np.ndarray]:
    return known_body()


@pytest.fixture(scope="module")
def walker() -> PoseResult:
    """Somebody of other proportions than any of the model's, with rotations and places."""
    return result_of(turned(track_of(world_joints(12))))


@pytest.fixture(scope="module")
def bodies(walker: PoseResult) -> dict[int, MovingBody]:
    return embody(walker, anny())


def test_bodies_are_annys_own():
    """Six bodies in random poses, as the package anny 0.6.2 gave them; 16 bits a number allow 0.1 mm."""
    model = anny()
    with np.load(DATA / "body_model.npz") as golden:
        names = golden["names"].tolist()
        columns = (golden[key] for key in ("shapes", "turns", "vertices", "heads"))
        for shape, turns, vertices, heads in zip(*columns, strict=True):
            rest = model.rest(dict(zip(names, shape.tolist(), strict=True)))
            turns = turns[None].astype(float)
            found = pose(rest.offsets(model.layout), turns, np.zeros((1, 3)), model.layout)
            np.testing.assert_allclose(found[0], heads, atol=1e-4)
            np.testing.assert_allclose(skinned(model, rest, turns, found)[0][::9], vertices, atol=1e-4)


def test_the_model_is_whole():
    model = anny()
    np.testing.assert_allclose(model.weights.sum(axis=1), 1, atol=1e-3)
    assert model.faces.max() == len(model.weights) - 1
    rest = model.rest({})
    out = face_normals(rest.vertices, model.faces)
    litres = 1000 / 6 * (out * rest.vertices[model.faces[:, 0]]).sum()
    assert 60 < litres < 100  # negative if faces looked in
    assert model.rest({"age": 8}).heads[:, 1].max() < rest.heads[:, 1].max()


def test_a_body_of_the_model_is_found_again(known: tuple[PoseResult, np.ndarray]):
    result, vertices = known
    (body,) = embody(result, anny(), {"weight": 0.7}).values()
    assert body.mean_error < 0.003
    found = np.stack([body.vertices(row) for row in range(len(vertices))])
    errors = np.linalg.norm(found - vertices, axis=-1)
    assert errors.mean() < 0.005
    assert np.percentile(errors, 99) < 0.012


def test_proportions_are_the_persons_own(bodies: dict[int, MovingBody]):
    body = bodies[1]
    assert body.mean_error < 0.004
    layout, heads = body.model.layout, body.rest.heads
    for side, bones, due in (("left", ("upperleg01", "lowerleg01", "foot"), (0.43, 0.39)),
                             ("right", ("upperarm01", "lowerarm01", "wrist"), (0.28, 0.26))):  # fmt: skip
        places = heads[[layout.index(f"{side}_{bone}") for bone in bones]]
        np.testing.assert_allclose(np.linalg.norm(np.diff(places, axis=0), axis=1), due, atol=0.012)


def test_what_the_user_says_stands(walker: PoseResult, bodies: dict[int, MovingBody]):
    (old,) = embody(walker, anny(), {"age": 80, "gender": 1}).values()
    assert (old.shape["age"], old.shape["gender"]) == (80, 1)
    assert np.abs(old.rest.vertices - bodies[1].rest.vertices).max() > 0.02


def test_rows_without_a_pose_have_no_body(walker: PoseResult):
    (track,) = walker.tracks
    joints = track.joints.copy()
    joints[3:5] = np.nan
    gap = walker.with_tracks((dataclasses.replace(track, joints=joints),))
    (body,) = embody(gap, anny()).values()
    assert np.flatnonzero(~body.posed).tolist() == [3, 4]


def test_one_frame_is_enough():
    (body,) = embody(result_of(turned(track_of(world_joints(1)))), anny()).values()
    assert body.mean_error < 0.004


def placed(result: PoseResult, vertices: np.ndarray, row: int) -> np.ndarray:
    """Vertices of a row, from the root joint in the camera's axes, in the world with y up: by hand."""
    (track,) = result.tracks
    world = result.camera.to_world
    points = (vertices + track.roots[row]) @ world[:, :3].T + world[:, 3]
    return points[:, [0, 2, 1]] * (1, 1, -1)


def test_gltf_moves_as_the_body_does(walker: PoseResult, bodies: dict[int, MovingBody], tmp_path: Path):
    """Skinned here by the file's own numbers: four bones a vertex, where the model has up to nine."""
    write_mesh_gltf(walker, bodies, tmp_path / "a.glb")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    names = [file.nodes[joint].name for joint in file.skins[0].joints]
    assert {"upperleg01.L", "head", "wrist.R"} <= {*names}
    row = 7
    worlds = node_matrices(file, row)
    binds = gltf_numbers(file, file.skins[0].inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    moves = np.stack([worlds[joint] for joint in file.skins[0].joints]) @ binds
    attributes = file.meshes[0].primitives[0].attributes
    corners, owners, weights, normals = (
        gltf_numbers(file, getattr(attributes, name)) for name in ("POSITION", "JOINTS_0", "WEIGHTS_0", "NORMAL")
    )
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    blended = (moves[owners] * weights[..., None, None]).sum(axis=1)
    found = (blended[:, :3, :3] @ corners[..., None])[..., 0] + blended[:, :3, 3]
    errors = np.linalg.norm(found - placed(walker, bodies[1].vertices(row), row), axis=1)
    assert errors.mean() < 0.001
    assert errors.max() < 0.02


def node_matrices(file: pygltflib.GLTF2, key: int) -> dict[int, np.ndarray]:
    """(4, 4) of every node at a keyframe, in the scene."""
    moved = {}
    for channel in file.animations[0].channels:
        values = gltf_numbers(file, file.animations[0].samplers[channel.sampler].output)
        moved[channel.target.node, channel.target.path] = values[key]
    worlds = {}

    def visit(number: int, above: np.ndarray) -> None:
        node, own = file.nodes[number], np.eye(4)
        own[:3, 3] = moved.get((number, "translation"), node.translation or (0, 0, 0))
        own[:3, :3] = Rotation.from_quat(moved.get((number, "rotation"), node.rotation or (0, 0, 0, 1))).as_matrix()
        worlds[number] = above @ own
        for child in node.children or ():
            visit(child, worlds[number])

    for root in file.scenes[0].nodes:
        visit(root, np.eye(4))
    return worlds


def test_obj_is_the_body_in_a_frame(walker: PoseResult, bodies: dict[int, MovingBody], tmp_path: Path):
    write_obj(walker, bodies, tmp_path / "a")
    assert len([*(tmp_path / "a").iterdir()]) == 12
    write_obj_frame(walker, bodies, tmp_path / "a.obj", 5)
    text = (tmp_path / "a.obj").read_text()
    assert text == (tmp_path / "a" / "000005.obj").read_text()
    lines = [line.split() for line in text.splitlines()]
    vertices = np.array([line[1:] for line in lines if line[0] == "v"], float)
    np.testing.assert_allclose(vertices, placed(walker, bodies[1].vertices(5), 5), atol=2e-5)
    faces = np.array([[corner.split("//")[0] for corner in line[1:]] for line in lines if line[0] == "f"], int)
    np.testing.assert_array_equal(faces - 1, anny().faces)
    with pytest.raises(VidposeError, match="nobody has a pose in that frame"):
        write_obj_frame(walker, {}, tmp_path / "b.obj", 5)


def test_the_nearer_mesh_hides_the_other_and_what_faces_away_is_not_drawn():
    camera = PinholeCamera((100, 100), (50, 50))
    square = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    facing = np.array([[0, 2, 1], [0, 3, 2]])  # towards the camera, which looks along z
    far = PlacedMesh(np.add(square, (0, 0, 4)), facing, (0, 0, 255))
    near = PlacedMesh(np.add(square, (1, 0, 2)), facing, (255, 0, 0))
    for order in ((far, near), (near, far)):
        image = np.zeros((100, 100, 3), np.uint8)
        draw_meshes(image, order, camera)
        assert image[50, 60].argmax() == 0
        assert image[50, 60, 0] > 100
        assert image[50, 40].argmax() == 2
        assert not image[10, 10].any()
    image = np.zeros((100, 100, 3), np.uint8)
    draw_meshes(image, [PlacedMesh(far.vertices, facing[:, ::-1], far.colour)], camera)
    draw_meshes(image, [PlacedMesh(-far.vertices, facing, far.colour)], camera)
    assert not image.any()


def test_meshes_that_go_through_each_other_are_told_apart_at_every_pixel():
    """Two planes that cross where the camera looks, in column 50: to its left one is nearer, to its right the other."""
    camera = PinholeCamera((100, 100), (50, 50))
    square = np.array([[-1.0, -1, 3], [1, -1, 5], [1, 1, 5], [-1, 1, 3]])
    facing = np.array([[0, 2, 1], [0, 3, 2]])
    other = np.array([[-1.0, -1, 5], [1, -1, 3], [1, 1, 3], [-1, 1, 5]])
    meshes = [PlacedMesh(square, facing, (0, 0, 255)), PlacedMesh(other, facing, (255, 0, 0))]
    for order in (meshes, meshes[::-1]):
        image = np.zeros((100, 100, 3), np.uint8)
        draw_meshes(image, order, camera)
        assert (image[32:68, 32:50].argmax(axis=-1) == 2).all()
        assert (image[32:68, 50:68].argmax(axis=-1) == 0).all()


def test_the_overlay_shows_the_mesh_where_the_person_is(walker: PoseResult, bodies: dict[int, MovingBody]):
    size = walker.source.width, walker.source.height
    grey = np.full((size[1], size[0], 3), 90, np.uint8)
    drawn = OverlayRenderer(walker, bodies=bodies).draw(grey, 6)
    (track,) = walker.tracks
    pixels = walker.camera.project(track.joints[6] + track.roots[6])
    scale = drawn.shape[0] / size[1]
    for joint in ("spine", "left_knee", "right_elbow"):
        x, y = np.rint(pixels[AT(joint)] * scale).astype(int)
        assert np.ptp(drawn[y, x].astype(int)) > 30, joint  # no more the grey of the picture


def test_infer_draws_meshes_over_the_video(walker: PoseResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """By the way of `render`: both call for the same meshes of the same result."""
    drawn = []
    monkeypatch.setattr("vidpose.render.render_overlay", lambda *of, bodies, **options: drawn.append(bodies))
    job = Job((tmp_path / "a.mp4",), (walker,))
    for overlay in OVERLAYS:
        Writing(tmp_path, ("json",), overlay, overwrite=True).outputs("a").write(walker, tmp_path / "a.mp4", job)
    assert drawn[0] is None
    assert len(drawn) == 2  # and none for "none"
    np.testing.assert_array_equal(drawn[1][1].roots, embody(walker, anny())[1].roots)


def test_an_overlay_that_cannot_be_is_said_before_the_work(walker: PoseResult, tmp_path: Path):
    said = "--overlay mesh: needs a body fitted to each person; ask for --fit"
    run = CliRunner().invoke(cli, ["infer", str(tmp_path / "a.mp4"), "--overlay", "mesh", "--no-fit"])
    assert said in str(run.exception) or said in run.output
    with pytest.raises(UsageError, match="choose from skeletons, mesh, none"):
        Writing(tmp_path, overlay="bones").check(Job((tmp_path / "a.mp4",)))
    assert bodies_of(walker.with_tracks(())) == {}
    with pytest.raises(VidposeError, match="no camera"):
        bodies_of(dataclasses.replace(walker, camera=None))
    (track,) = walker.tracks
    bare = dataclasses.replace(track, id=2, rotations=track.rotations[:, :0])
    assert [*bodies_of(walker.with_tracks((track, bare)))] == [1]
    with pytest.raises(VidposeError, match="person 2 has no rotations"):
        bodies_of(walker.with_tracks((bare,)))


def test_what_cannot_be_is_said_in_a_line(walker: PoseResult):
    (track,) = walker.tracks
    with pytest.raises(VidposeError, match="person 1 has no rotations"):
        embody(result_of(track_of(world_joints(3))), anny())
    with pytest.raises(VidposeError, match="nobody has 3D joints"):
        embody(walker.with_tracks(()), anny())
    huge = dataclasses.replace(track, joints=track.joints * 9)
    with pytest.raises(VidposeError, match=r"a thigh of 3\.\d m"):
        embody(walker.with_tracks((huge,)), anny())
    with pytest.raises(UsageError, match="did you mean weight"):
        embody(walker, anny(), {"wieght": 0.3})
    with pytest.raises(UsageError, match="age goes from 1 to 90"):
        embody(walker, anny(), {"age": 300})


def test_the_command_writes_both_formats_and_says_how_well_they_fit(walker: PoseResult, tmp_path: Path):
    walker.save(tmp_path / "a.npz")
    run = CliRunner().invoke(cli, ["mesh", str(tmp_path / "a.npz"), "--format", "glb,obj", "--shape", "weight=0.8"])
    assert run.exit_code == 0, run.output
    assert (tmp_path / "a_mesh.glb").stat().st_size < 300_000
    assert len([*(tmp_path / "a_obj").iterdir()]) == 12
    assert "person 1: 1." in run.output
    run = CliRunner().invoke(cli, ["mesh", str(tmp_path / "a.npz"), "--format", "obj", "--frame", "3"])
    assert run.exit_code == 0, run.output
    assert (tmp_path / "a_000003.obj").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shape", "weight"], "--shape weight: not NAME=VALUE with a number"),
        (["--shape", "wieght=1"], "did you mean weight"),
        (["--shape", "age=300"], "--shape age=300: age goes from 1 to 90"),
        (["--frame", "2"], "only --format obj has single frames"),
        (["--format", "obj", "--frame", "99"], "--frame 99: nobody has a pose in that frame"),
        (["--format", "fbx"], "known are glb, obj, smpl"),
        (["--person", "7"], "--person 7: not in"),
        (
            ["--format", "smpl"],
            "--format smpl: for bodies of SMPL, SMPL-H and SMPL-X; name the file of one with --body",
        ),
        (["--body", "smpl.pkl"], "a pickle, which could run code"),
        (["--body", "no.npz"], "no.npz"),
    ],
)
def test_wrong_use_is_said_in_a_line(options: list[str], said: str, walker: PoseResult, tmp_path: Path):
    walker.save(tmp_path / "a.npz")
    run = CliRunner().invoke(cli, ["mesh", str(tmp_path / "a.npz"), *options])
    assert isinstance(run.exception, VidposeError)
    assert said in str(run.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("result", "options", "said"),
    [
        ("bare", [], "person 1 has no rotations, which a mesh starts from; lift again, with `fit`"),
        ("nobody", [], "nobody in it has 3D joints, which a mesh is fitted to"),
        ("walker", ["--body", "bare.npz"], "bare.npz"),
        ("walker", ["--shape", "weight=nan"], "weight goes from 0 to 1"),
        ("walker", ["--shape", "height=1e9"], "height goes from 0 to 1"),
    ],
)
def test_odd_input_is_said_in_a_line(result: str, options: list[str], said: str, walker: PoseResult, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    walker.save(tmp_path / "walker.npz")
    walker.with_tracks(()).save(tmp_path / "nobody.npz")
    result_of(track_of(world_joints(3))).save(tmp_path / "bare.npz")
    run = CliRunner().invoke(cli, ["mesh", f"{result}.npz", *options])
    assert isinstance(run.exception, VidposeError)
    assert said in str(run.exception)
    assert "\n" not in str(run.exception)
    assert len([*tmp_path.iterdir()]) == 3


def test_the_mesh_of_one_frame_is_written(tmp_path: Path):
    result_of(turned(track_of(world_joints(1)))).save(tmp_path / "a.npz")
    run = CliRunner().invoke(cli, ["mesh", str(tmp_path / "a.npz"), "--format", "glb,obj"])
    assert run.exit_code == 0, run.output
    assert (tmp_path / "a_obj" / "000000.obj").exists()


def test_hands_and_feet_turn_by_themselves(walker: PoseResult, bodies: dict[int, MovingBody]):
    """A quarter turn of the left wrist and of the right ankle moves what hangs on them, and nothing else."""
    (track,) = walker.tracks
    rotations = track.rotations.copy()
    for joint in ("left_wrist", "right_ankle"):
        turn = Rotation.from_quat(np.roll(rotations[:, AT(joint)], -1, axis=-1)) * Rotation.from_rotvec(
            [0, np.pi / 2, 0]
        )
        rotations[:, AT(joint)] = np.roll(turn.as_quat(), 1, axis=-1)
    (body,) = embody(walker.with_tracks((dataclasses.replace(track, rotations=rotations),)), anny()).values()
    way = np.linalg.norm(body.vertices(3) - bodies[1].vertices(3), axis=1)
    hanging = body.model.weights[:, [body.model.layout.index(bone) for bone in ("left_wrist", "right_foot")]]
    assert (way[(hanging > 0.9).any(axis=1)]).mean() > 0.04
    assert (way[hanging.sum(axis=1) == 0]).max() < 1e-3
