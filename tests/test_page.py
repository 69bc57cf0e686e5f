import base64
import json
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
import numpy as np
import pytest
from click.testing import CliRunner, Result
from exports import result_of as placed_result
from exports import track_of, turned, world_joints
from pages import make_long, person, result_of
from scipy.spatial.transform import Rotation

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PinholeCamera, PoseResult, Source, Track
from vidpose.body_models.anny_model import anny
from vidpose.body_models.embodying import embody
from vidpose.cli import view as view_module
from vidpose.cli.view import view
from vidpose.common.errors import VidposeError
from vidpose.export import html as html_module
from vidpose.export.html import write_html
from vidpose.export.page_film import small_film
from vidpose.export.page_length import PageLength, frames_to_show, only
from vidpose.export.placing import Placement
from vidpose.export.scene import ViewerScene
from vidpose.video import VideoReader


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, page_video: Path, two_people: PoseResult) -> Path:
    path = tmp_path_factory.mktemp("page") / "Läufer 走.html"
    write_html(two_people, path, video=page_video)
    return path


def data_of(page: Path) -> dict[str, Any]:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])


def unpacked(packed: dict[str, Any], *shape: int) -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(packed["data"]), "<i2").reshape(shape)
    return np.where(steps == -32768, np.nan, steps * packed["step"])


# What is in the page


def test_the_page_holds_the_numbers_of_the_result(page, two_people, vfr_times):
    data = data_of(page)
    assert base64.b64decode(data["times"]) == vfr_times.tobytes()
    for entry, track in zip(data["people"], two_people.tracks, strict=True):
        np.testing.assert_allclose(unpacked(entry["keypoints"], 12, 17, 2), track.keypoints, atol=1 / 16)
        heights = unpacked(entry["joints"], 12, 17, 3)[..., 2]
        np.testing.assert_allclose(heights, 0.9 - track.joints[..., 1], atol=6e-4)
        elevation = unpacked(entry["angles"]["left_shoulder_elevation"], 12)
        upper_arm = track.joints[:, 12] - track.joints[:, 11]
        down = track.joints[:, [1, 4]].mean(axis=1) - track.joints[:, [11, 14]].mean(axis=1)
        cosine = (upper_arm * down).sum(axis=1) / np.linalg.norm(upper_arm, axis=1) / np.linalg.norm(down, axis=1)
        np.testing.assert_allclose(elevation, np.degrees(np.arccos(cosine)), atol=0.06)


def test_the_page_holds_bodies_where_there_are_rotations(tmp_path, page):
    """Moved by hand, from what the page holds, they are where `MovingBody` has them."""
    assert data_of(page)["model"] is None
    world = world_joints(6)
    world[3] = np.nan
    moving, still = turned(track_of(world_joints(6), 1)), track_of(world_joints(6, 1), 2)
    moving = replace(moving, joints=np.where(np.isnan(world), np.nan, moving.joints).astype(np.float32))
    result = placed_result(moving, still)
    write_html(result, tmp_path / "p.html")
    data = data_of(tmp_path / "p.html")
    parents, (held, bare) = data["model"]["parents"], data["people"]
    assert "body" not in bare
    model, (body,) = anny(), embody(result.with_tracks((moving,)), anny()).values()
    faces = np.frombuffer(base64.b64decode(data["model"]["faces"]), "<u2").reshape(-1, 3)
    np.testing.assert_array_equal(faces, model.faces)
    shares = np.frombuffer(base64.b64decode(data["model"]["weights"]), np.uint8).reshape(-1, len(parents)) / 255.0
    shares /= shares.sum(axis=1, keepdims=True)
    rest, heads = unpacked(held["body"]["rest"], -1, 3), unpacked(held["body"]["heads"], -1, 3)
    turns, roots = unpacked(held["body"]["turns"], 6, -1, 4), unpacked(held["body"]["roots"], 6, 3)
    assert np.isnan(turns[3]).all()
    to_world = result.camera.to_world
    for row in (0, 2, 5):
        rotations = Rotation.from_quat(turns[row], scalar_first=True)
        places = [roots[row]]
        for part, parent in enumerate(parents[1:], 1):
            places.append(places[parent] + rotations[parent].apply(heads[part] - heads[parent]))
        found = sum(
            shares[:, part, None] * (rotations[part].apply(rest - heads[part]) + places[part])
            for part in range(len(parents))
        )
        due = (body.vertices(row) + moving.roots[row]) @ to_world[:, :3].T + to_world[:, 3]
        np.testing.assert_allclose(found, due, atol=2e-3)


def test_bones_that_nobody_has_leave_the_page_its_skeleton(tmp_path, caplog):
    track = turned(track_of(world_joints(3)))
    write_html(placed_result(replace(track, joints=track.joints * 30)), tmp_path / "p.html")
    data = data_of(tmp_path / "p.html")
    assert data["model"] is None
    assert len(data["people"]) == 1
    assert "a thigh of 13 m" in caplog.text


def test_what_is_absent_stays_absent(tmp_path, two_people):
    first = two_people.tracks[0]
    joints, keypoints = first.joints.copy(), first.keypoints.copy()
    joints[3:5], keypoints[4, 2] = np.nan, np.nan
    write_html(two_people.with_tracks((replace(first, joints=joints, keypoints=keypoints),)), tmp_path / "p.html")
    [entry] = data_of(tmp_path / "p.html")["people"]
    assert np.isnan(unpacked(entry["joints"], 12, 17, 3)).all(axis=(1, 2)).tolist() == [i in (3, 4) for i in range(12)]
    assert np.isnan(unpacked(entry["angles"]["left_knee_flexion"], 12)).tolist() == [i in (3, 4) for i in range(12)]
    assert np.argwhere(np.isnan(unpacked(entry["keypoints"], 12, 17, 2)).all(axis=2)).tolist() == [[4, 2]]


def test_a_large_world_still_fits_16_bits(tmp_path, two_people):
    camera = PinholeCamera((100.0, 100.0), (80.0, 60.0), np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.5]], float))
    track = two_people.tracks[0]
    far = replace(track, roots=np.linspace((0, 0.6, 5), (0, 0.6, 300), 12).astype(np.float32))
    write_html(replace(two_people.with_tracks((far,)), camera=camera), tmp_path / "p.html")
    data = data_of(tmp_path / "p.html")
    joints = unpacked(data["people"][0]["joints"], 12, 17, 3)
    assert joints[-1, 0] == pytest.approx([0, 300, 0.9], abs=0.01)
    assert len(data["floors"]) == 1
    assert data["placeNote"] == "In the world, on its floor. Grid 12.5 m."


def test_people_without_a_place_stand_side_by_side_as_in_the_picture(two_people):
    scene = ViewerScene.of(two_people)
    assert scene.place is Placement.ROOT
    middles = {id_: float(joints[:, 0, 0].mean()) for id_, joints in scene.joints.items()}
    assert middles[1] - middles[2] == pytest.approx(1.4)
    assert middles[1] + middles[2] == pytest.approx(0)
    for joints in scene.joints.values():
        np.testing.assert_allclose(joints[..., 2].min(axis=1), 0, atol=1e-9)
    assert (scene.low < [-0.7, 0, 0.1]).all()
    assert (scene.high > [0.7, 0, 1.5]).all()


def test_people_at_different_times_share_a_place(vfr_times):
    early, late = person(1, vfr_times[:5]), person(2, vfr_times, first=6)
    scene = ViewerScene.of(result_of("x.mp4", vfr_times, early, late))
    assert [joints[0, 0, 0] for joints in scene.joints.values()] == [0, 0]
    assert len(scene.floors) == 1


def test_people_with_roots_stand_where_the_camera_sees_them(two_people):
    roots = np.tile([0.5, 0.2, 4.0], (12, 1)).astype(np.float32)
    placed = two_people.with_tracks(tuple(replace(track, roots=roots) for track in two_people.tracks))
    scene = ViewerScene.of(replace(placed, camera=PinholeCamera((100.0, 100.0), (80.0, 60.0))))
    assert scene.place is Placement.CAMERA
    [floor] = scene.floors
    assert floor.z == 0
    # The ankles are 0.9 m below the pelvis, and 8 cm above the floor.
    np.testing.assert_allclose(scene.joints[1][0, 0], [0.5, 4.0, 0.9 + 0.08], atol=1e-6)


def test_a_page_begins_a_second_before_the_first_person_and_ends_one_after_the_last(tmp_path):
    times = np.arange(200) / 20
    track = person(1, times[:121], first=80)
    result = result_of("x.mp4", times, track)
    assert frames_to_show(result) == range(60, 141)
    assert frames_to_show(result_of("x.mp4", times)) == range(200)
    write_html(result, tmp_path / "p.html")
    data = data_of(tmp_path / "p.html")
    assert (data["firstFrame"], data["people"][0]["first"]) == (60, 20)
    assert np.frombuffer(base64.b64decode(data["times"])) == pytest.approx(times[60:141])


def test_the_film_has_the_frames_and_times_of_the_video(tmp_path, two_people, page_video, vfr_times):
    (tmp_path / "film.mp4").write_bytes(small_film(two_people, page_video, PageLength.of(two_people)))
    with VideoReader(tmp_path / "film.mp4") as reader:
        greys = [int(frame.image[60, 80, 0]) for frame in reader]
    assert [min(clips.GREYS, key=lambda grey: abs(grey - seen)) for seen in greys] == list(clips.GREYS) * 2
    assert reader.times == pytest.approx(vfr_times, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "small"),
    [((3840, 2160), (640, 360)), ((1080, 1920), (360, 640)), ((97, 63), (96, 64)), ((4000, 2), (640, 2))],
)
def test_a_film_is_small_and_even(size, small):
    assert PageLength(range(1)).film_size(Source("x.mp4", *size, np.zeros(1), None)) == small


# Long videos


def untight(packed: dict[str, Any], *shape: int) -> np.ndarray:
    """As `unpacked`, of what a long page has."""
    halves = np.frombuffer(zlib.decompress(base64.b64decode(packed["deflated"])), np.uint8)
    low, high = halves.reshape(2, -1, packed["columns"]).astype(np.uint16)
    steps = np.cumsum(low + 256 * high, axis=0, dtype=np.uint16).view(np.int16).reshape(shape)
    return np.where(steps == -32768, np.nan, steps * packed["step"])


def test_a_long_video_leaves_frames_out_for_film_and_people_alike(tmp_path, monkeypatch, vfr_times, page_video, caplog):
    make_long(monkeypatch, frames=6)
    away = person(1, vfr_times)
    joints, keypoints = away.joints.copy(), away.keypoints.copy()
    joints[4], keypoints[4, 2] = np.nan, np.nan
    away = replace(away, joints=joints, keypoints=keypoints)
    result = result_of(page_video, vfr_times, away, person(2, vfr_times, first=3))
    write_html(result, tmp_path / "p.html", video=page_video)
    data = data_of(tmp_path / "p.html")
    assert (data["firstFrame"], data["frameStep"]) == (0, 2)
    assert base64.b64decode(data["times"]) == vfr_times[::2].tobytes()
    first, second = data["people"]
    assert (second["first"], second["rows"]) == (2, 4)
    np.testing.assert_allclose(untight(first["keypoints"], 6, 17, 2), away.keypoints[::2], atol=1 / 4)
    np.testing.assert_allclose(untight(first["joints"], 6, 17, 3)[..., 2], 0.9 - away.joints[::2, :, 1], atol=2e-3)
    np.testing.assert_allclose(untight(second["keypoints"], 4, 17, 2), result.tracks[1].keypoints[1::2], atol=1 / 4)
    assert "12 frames" in data["facts"]
    assert data["facts"].endswith("one frame in 2 shown")
    assert "one frame in 2" in caplog.text
    film = re.search(r'id="film">(.*?)</script>', (tmp_path / "p.html").read_text(encoding="utf-8"))[1]
    (tmp_path / "film.mp4").write_bytes(base64.b64decode(film))
    with VideoReader(tmp_path / "film.mp4") as reader:
        greys = [int(frame.image[60, 80, 0]) for frame in reader]
    assert [min(clips.GREYS, key=lambda grey: abs(grey - seen)) for seen in greys] == [*clips.GREYS, *clips.GREYS][::2]
    assert reader.times == pytest.approx(vfr_times[::2], abs=1e-4)


def test_a_page_may_be_larger_than_a_piece_of_its_film(tmp_path, monkeypatch, two_people, page_video):
    write_html(two_people, tmp_path / "whole.html", video=page_video)
    monkeypatch.setattr(html_module, "_BLOCK", 30)
    write_html(two_people, tmp_path / "pieces.html", video=page_video)
    assert (tmp_path / "pieces.html").read_bytes() == (tmp_path / "whole.html").read_bytes()


def test_somebody_in_frames_that_are_left_out_is_left_out(vfr_times):
    brief = person(2, vfr_times[:6], first=5)
    shown = only(result_of("x.mp4", vfr_times, person(1, vfr_times), brief), range(0, 12, 2))
    assert [(track.id, track.frames.tolist()) for track in shown.tracks] == [(1, [0, 1, 2, 3, 4, 5])]
    np.testing.assert_array_equal(shown.tracks[0].times, shown.source.times)


@pytest.mark.parametrize(
    ("minutes", "people", "step", "size"),
    [(5, 10, 1, (640, 362)), (5.1, 2, 1, (640, 362)), (30, 2, 1, (418, 236)), (60, 1, 2, (418, 236)),
     (60, 5, 5, (640, 362)), (600, 2, 18, (396, 224))],
)  # fmt: skip
def test_a_page_holds_what_a_browser_opens(minutes, people, step, size):
    times = np.arange(round(minutes * 60 * 30)) / 30
    nothing = np.broadcast_to(np.float32(0), (len(times), 1))
    one = Track.of_keypoints(1, np.arange(len(times)), times, nothing, nothing[..., None], nothing)
    result = PoseResult(Source("x.mp4", 848, 480, times, Fraction(30)), (one,) * people, "", "")
    length = PageLength.of(result)
    assert length.frames == range(0, len(times), step)
    assert length.is_long == (minutes > 5)
    assert length.film_size(result.source) == size


def test_another_video_is_refused(tmp_path, two_people, cfr_clip):
    with pytest.raises(VidposeError, match="96x64 pixels, but the result is of a video with 160x120"):
        write_html(two_people, tmp_path / "p.html", video=cfr_clip)
    assert list(tmp_path.iterdir()) == []


# vidpose view RESULT


@pytest.fixture
def saved(tmp_path: Path, two_people: PoseResult) -> Path:
    two_people.save(tmp_path / "Läufer 走.npz")
    return tmp_path / "Läufer 走.npz"


def run_view(*arguments: object) -> Result:
    return CliRunner().invoke(view, [str(argument) for argument in arguments])


def has_film(page: Path) -> bool:
    return '<script type="text/plain" id="film"></script>' not in page.read_text(encoding="utf-8")


def test_the_page_lies_beside_the_result_and_opens(saved, monkeypatch):
    opened = []
    monkeypatch.setattr(view_module.webbrowser, "open", lambda address: opened.append(address) or True)
    done = run_view(saved)
    assert done.exit_code == 0, done.output
    page = saved.with_suffix(".html")
    assert has_film(page)
    assert opened == [page.as_uri()]
    assert "exists already; give `overwrite`" in str(run_view(saved, "--no-open").exception)
    assert run_view(saved, "--no-open", "--no-video", "--overwrite").exit_code == 0
    assert not has_film(page)
    assert len(opened) == 1
    monkeypatch.setattr(view_module.webbrowser, "open", lambda address: False)
    assert "open the file by hand" in run_view(saved, "--overwrite").output


def test_a_video_that_has_gone_is_said_and_one_that_was_named_must_be_there(saved, two_people, tmp_path, page_video):
    gone = replace(two_people, source=replace(two_people.source, path="gone.mp4"))
    gone.save(saved)
    done = run_view(saved, "--no-open")
    assert done.exit_code == 0
    assert "gone.mp4: the video of" in done.output
    assert not has_film(saved.with_suffix(".html"))
    assert run_view(saved, "--no-open", "--video", page_video, "--out", tmp_path / "with.html").exit_code == 0
    assert has_film(tmp_path / "with.html")
    assert "no such video" in str(run_view(saved, "--video", "none.mp4", "--overwrite").exception)
    both = run_view(saved, "--video", page_video, "--no-video", "--overwrite")
    assert "exclude each other" in str(both.exception)


def test_a_page_is_named_so(saved, tmp_path):
    was = saved.read_bytes()
    for name in (saved, tmp_path / "p.txt", tmp_path / "p"):
        refused = run_view(saved, "--no-open", "--out", name, "--overwrite")
        assert str(refused.exception) == f"{name}: cannot write a page of this kind; name it .html, .htm"
    refused = run_view(saved, "--no-open", "--rerun", "--out", tmp_path / "p.html")
    assert "cannot write a recording of this kind; name it .rrd" in str(refused.exception)
    assert saved.read_bytes() == was
    assert not list(tmp_path.glob("p*"))


def test_bodies_are_left_out_on_demand(saved, tmp_path):
    placed_result(turned(track_of(world_joints(2)))).save(tmp_path / "r.npz")
    for options, has_bodies in (((), True), (("--no-mesh",), False)):
        done = run_view(tmp_path / "r.npz", "--no-open", "--no-video", "--overwrite", *options)
        assert done.exit_code == 0, done.output
        assert (data_of(tmp_path / "r.html")["model"] is not None) == has_bodies
    assert "--no-mesh: about the page only" in str(run_view(saved, "--rerun", "--no-mesh").exception)


def test_no_result_and_nowhere_to_write_are_one_line(saved, tmp_path):
    (tmp_path / "text.npz").write_text("not a result")
    assert "not a vidpose result" in str(run_view(tmp_path / "text.npz").exception)
    refused = run_view(saved, "--no-open", "--no-video", "--out", tmp_path / "text.npz" / "p.html")
    assert isinstance(refused.exception, VidposeError)
    assert "text.npz" in str(refused.exception)
    assert "\n" not in str(refused.exception)


def test_rerun_that_is_not_installed_is_one_line(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    error = run_view(saved, "--rerun", "--no-open").exception
    assert isinstance(error, VidposeError)
    assert "pip install 'vidpose[rerun]'" in str(error)
    assert not saved.with_suffix(".rrd").exists()


def test_rerun_gets_the_video_the_skeletons_and_the_angles(saved, two_people, vfr_times):
    pytest.importorskip("rerun", reason="rerun-sdk is not installed (pip install 'vidpose[rerun]')")
    assert run_view(saved, "--rerun", "--no-open").exit_code == 0
    own = [sys.executable, "-m", "rerun", "rrd"]
    subprocess.run([*own, "verify", saved.with_suffix(".rrd")], check=True, timeout=120)
    said = subprocess.run([*own, "stats", saved.with_suffix(".rrd")], check=True, timeout=120, capture_output=True)
    for number in (1, 2):
        assert f"/scene/person_{number}:" in said.stdout.decode()
        assert f"/angles/person_{number}/left_shoulder_elevation:" in said.stdout.decode()
    frames = pytest.importorskip("rerun.dataframe", reason="this rerun-sdk cannot read recordings back")
    recording = frames.load_recording(str(saved.with_suffix(".rrd")))
    table = recording.view(index="frame", contents="/angles/person_2/left_shoulder_elevation").select().read_all()
    assert table.num_rows == 12
    lines = recording.view(index="time", contents="/scene/person_1").select().read_all()
    strips = next(column for name, column in zip(lines.column_names, lines.columns, strict=True) if "LineStrip" in name)
    assert len(strips[0]) == len(H36M_17.bones)
    assert len(strips[len(vfr_times)]) == 0
