"""Live runs: what goes out is what the same frames give offline, nothing looks ahead, the slow are not late."""

import functools
import http.server
import json
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
from scipy.spatial.transform import Rotation
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from vidpose.body.skeletons import H36M_17
from vidpose.body.tracks import PoseResult, Track
from vidpose.common.errors import VidposeError
from vidpose.lifters.zoo import load_weights
from vidpose.live.live_run import LiveReport, run_live
from vidpose.live.newest import Captured, NewestFrames
from vidpose.live.osc import joint_messages
from vidpose.live.outlet import LiveFrame
from vidpose.live.recording import LiveRecording
from vidpose.live.stepper import LiveStepper
from vidpose.live.streaming import Streaming
from vidpose.live.vmc import Avatar
from vidpose.live.web import WebOutlet, is_welcome, json_message, listen
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.pipeline.networks import Networks
from vidpose.pipeline.people_finder import PeopleFinder
from vidpose.refine.causal import CausalPath
from vidpose.refine.focal import Lens
from vidpose.refine.roots import smooth_path
from vidpose.refine.smoothing import OneEuro, Smoothing, one_euro
from vidpose.video import VideoFrame, VideoReader, VideoWriter
from vidpose.video.live_sources import open_source
from vidpose.weights.shipped import shipped

FINDING = Finding(keypoints="blazepose-lite", threads=1)
FRAMES = 11


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody who walks, at ten frames a second."""
    path = tmp_path_factory.mktemp("live") / "walk.mkv"
    with VideoReader(shipped("samples") / "walk-wave.mp4") as video:
        frames = list(islice(video, 0, 3 * FRAMES, 3))
    with VideoWriter(path, frames[0].image.shape[1::-1]) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame.image, number / 10)
    return path


@pytest.fixture(scope="module")
def frames(clip: Path) -> list[VideoFrame]:
    with VideoReader(clip) as video:
        return list(video)


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    with FINDING.open("cpu") as opened:
        yield opened


def stepped(
    frames: list[VideoFrame], networks: Networks, lifter: str = "martinez", smooth: str = "one-euro"
) -> list[PoseResult]:
    """Each frame's answer, without a clock."""
    size = frames[0].image.shape[1::-1]
    stepper = LiveStepper(
        PeopleFinder(networks=networks), load_weights(lifter), Smoothing.parse(smooth), Lens(), name="walk", size=size
    )
    return [stepper.step(frame.image, frame.time, frame.index) for frame in frames]


class Listener:
    """An OSC server that remembers what it was told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, tuple[Any, ...]]] = []
        dispatcher = Dispatcher()
        dispatcher.set_default_handler(lambda address, *arguments: self.messages.append((address, arguments)))
        self._server = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def heard(self) -> dict[float, list[tuple[str, tuple[Any, ...]]]]:
        """What came, by the number or the time that a frame begins with."""
        self._server.shutdown()
        self._server.server_close()
        frames: dict[float, list[tuple[str, tuple[Any, ...]]]] = {}
        for address, arguments in self.messages:
            if address in ("/vidpose/frame", "/VMC/Ext/T"):
                frames[arguments[0]] = []
            if frames:
                frames[next(reversed(frames))].append((address, arguments))
        return frames


@pytest.fixture(scope="module")
def played(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A file played in real time, with somebody listening at every end."""
    osc, vmc = Listener(), Listener()
    told: list[dict[str, Any]] = []
    recording = LiveRecording()
    clients: list[threading.Thread] = []

    def connect_to(url: str) -> None:
        with urllib.request.urlopen(url) as answer:
            page = answer.read().decode()
        assert "<title>" in page
        assert "{{" not in page
        is_connected = threading.Event()

        def read() -> None:
            with connect("ws" + url.removeprefix("http"), proxy=None) as client:
                for message in client:
                    told.append(json.loads(message))
                    is_connected.set()

        clients.append(threading.Thread(target=read))
        clients[0].start()
        assert is_connected.wait(10)

    streaming = Streaming(port=0, osc=osc.address, vmc=vmc.address, device="cpu")
    started = time.monotonic()
    report = run_live(str(clip), FINDING, streaming, Lens(), on_ready=connect_to, recording=recording)
    clients[0].join()
    return {
        "report": report,
        "seconds": time.monotonic() - started,
        "greeting": told[0],
        "json": told[1:],
        "osc": osc.heard(),
        "vmc": vmc.heard(),
        "result": recording.result(),
    }


@pytest.fixture(scope="module")
def offline(played: dict[str, Any], frames: list[VideoFrame], networks: Networks) -> dict[int, PoseResult]:
    """The frames that were not dropped, by their numbers, and who is in them."""
    numbers = np.rint(played["result"].source.times * 10).astype(int).tolist()
    return dict(zip(numbers, stepped([frames[number] for number in numbers], networks), strict=True))


def as_sent(number: int, frames: list[VideoFrame], result: PoseResult, floor: float = 0.0) -> LiveFrame:
    return LiveFrame(Captured(frames[number], time.monotonic(), 0), result, floor)


def test_a_file_is_played_at_its_own_speed(played, offline):
    report = played["report"]
    assert played["seconds"] >= (FRAMES - 1) / 10
    assert report.frames == len(offline)
    assert report.frames + report.dropped == FRAMES
    assert 0 < report.latency(50) <= report.latency(95)


def test_json_is_what_the_frames_give_offline(played, offline, frames):
    assert played["greeting"]["format"] == "vidpose-live"
    assert played["greeting"]["joints"]["names"] == list(H36M_17.joints)
    assert played["json"]
    for told in played["json"]:
        expected = json.loads(json_message(as_sent(told["frame"], frames, offline[told["frame"]])))
        assert told["people"] == expected["people"]
        assert told["latency_ms"] > 0
    somebody = [told for told in played["json"] if told["people"]]
    assert somebody
    assert np.linalg.norm(somebody[-1]["people"][0]["root"]) > 1


def test_osc_is_what_the_frames_give_offline(played, offline, frames):
    assert played["osc"].keys() == offline.keys()
    for number, messages in played["osc"].items():
        expected = list(joint_messages(as_sent(int(number), frames, offline[int(number)])))
        assert [address for address, _ in messages] == [address for address, _ in expected]
        for (address, values), (_, wanted) in zip(messages, expected, strict=True):
            if address != "/vidpose/frame":
                assert values == pytest.approx(wanted, abs=1e-6)
    assert any(address == "/vidpose/1/left_knee" for address, _ in messages)


PARENTS = {
    "Spine": "Hips", "Chest": "Spine", "Neck": "Chest", "Head": "Neck",
    **{f"{side}{bone}": parent for side in ("Left", "Right") for bone, parent in (
        ("UpperLeg", "Hips"), ("LowerLeg", f"{side}UpperLeg"), ("Foot", f"{side}LowerLeg"),
        ("Shoulder", "Chest"), ("UpperArm", f"{side}Shoulder"), ("LowerArm", f"{side}UpperArm"),
        ("Hand", f"{side}LowerArm"),
    )},
}  # fmt: skip
"""Unity's humanoid."""

ENDS = {
    "Spine": "spine", "Chest": "thorax", "Head": "nose",
    **{f"{side}{bone}": f"{side.lower()}_{joint}" for side in ("Left", "Right") for bone, joint in (
        ("UpperLeg", "hip"), ("LowerLeg", "knee"), ("Foot", "ankle"), ("UpperArm", "shoulder"), ("LowerArm", "elbow"),
        ("Hand", "wrist"),
    )},
}  # fmt: skip
"""The joint that each of its bones begins at."""


def unity_bones(messages: list[tuple[str, tuple[Any, ...]]]) -> dict[str, tuple[np.ndarray, Rotation]]:
    """Places and rotations of bones in Unity's world, one hung onto the other as a program there does."""
    local = {arguments[0]: arguments[1:] for address, arguments in messages if address == "/VMC/Ext/Bone/Pos"}
    world: dict[str, tuple[np.ndarray, Rotation]] = {}
    while len(world) < len(local):
        for bone, values in local.items():
            place, turn = np.array(values[:3]), Rotation.from_quat(values[3:])
            if bone == "Hips":
                world[bone] = place, turn
            elif PARENTS[bone] in world:
                start, turned = world[PARENTS[bone]]
                world[bone] = start + turned.apply(place), turned * turn
    return world


def test_vmc_puts_an_avatars_joints_where_they_are(played, offline):
    moved = 0
    for result, messages in zip(offline.values(), played["vmc"].values(), strict=True):
        world = unity_bones(messages)
        if not result.tracks:
            assert not world
            continue
        moved += 1
        assert set(world) == {"Hips", *PARENTS}
        joints = result.tracks[0].joints[0]
        for bone, joint in ENDS.items():
            place = world[bone][0] - world["Hips"][0]
            # Unity: x the other way, y up, z towards the camera.
            assert place == pytest.approx(joints[H36M_17.index(joint)] * (-1, -1, -1), abs=2e-3), bone
    assert moved


def t_pose(distance: float = 3.0) -> Track:
    """Somebody 3 m away who faces the camera, arms out to the sides."""
    places = {
        "pelvis": (0, 0, 0), "right_hip": (-0.13, 0, 0), "right_knee": (-0.13, 0.45, 0), "right_ankle": (-0.13, 0.9, 0),
        "left_hip": (0.13, 0, 0), "left_knee": (0.13, 0.45, 0), "left_ankle": (0.13, 0.9, 0), "spine": (0, -0.25, 0),
        "thorax": (0, -0.5, 0), "nose": (0, -0.61, -0.05), "head_top": (0, -0.75, -0.03),
        "left_shoulder": (0.17, -0.46, 0.01), "left_elbow": (0.45, -0.46, 0.01), "left_wrist": (0.7, -0.46, 0.01),
        "right_shoulder": (-0.17, -0.46, 0.01), "right_elbow": (-0.45, -0.46, 0.01), "right_wrist": (-0.7, -0.46, 0.01),
    }  # fmt: skip
    joints = np.array([[places[joint] for joint in H36M_17.joints]], np.float32)
    keypoints = np.zeros((1, 17, 2), np.float32)
    empty = Track.of_keypoints(
        1, np.zeros(1, int), np.zeros(1), np.zeros((1, 4), np.float32), keypoints, keypoints[..., 0]
    )
    return replace(empty, joints=joints, joint_scores=np.ones((1, 17), np.float32), roots=np.array([[0, 0, distance]]))


def test_a_t_pose_is_an_avatars_rest_pose(frames):
    result = replace(nobody(), tracks=(t_pose(),))
    messages = list(Avatar().messages(as_sent(0, frames, result, floor=-0.98)))
    world = unity_bones(messages)
    assert {bone: turn.magnitude() for bone, (_, turn) in world.items() if turn.magnitude() > np.radians(2)} == {}
    assert world["Hips"][0] == pytest.approx((0, 0.98, 0))
    # An avatar of Unity looks along z, with its left at negative x.
    assert world["LeftHand"][0][0] < -0.6
    assert world["LeftFoot"][0][1] == pytest.approx(0.08, abs=0.01)


def test_an_avatar_stays_with_whom_it_has(frames):
    avatar = Avatar()
    first, second = t_pose(), replace(t_pose(), id=2)

    def hips(*tracks: Track) -> list[float]:
        messages = list(avatar.messages(as_sent(0, frames, replace(nobody(), tracks=tracks))))
        return [values[1] for address, values in messages if address == "/VMC/Ext/Bone/Pos" and values[0] == "Hips"]

    assert hips(second) == [0]
    aside = replace(second, roots=np.add(second.roots, (0.5, 0, 0)))
    assert hips(first, aside) == [pytest.approx(-0.5)]
    assert hips(first) == [0]
    assert hips() == []


def test_the_recording_is_a_result_like_others(played, offline, tmp_path):
    result = played["result"]
    result.save(tmp_path / "live.npz")
    loaded = PoseResult.load(tmp_path / "live.npz")
    (track,) = loaded.tracks
    ours = [some.tracks[0] for some in offline.values() if some.tracks]
    assert np.array_equal(track.joints[track.lifted], np.concatenate([some.joints for some in ours]))
    assert np.array_equal(track.times, loaded.source.times[track.frames])
    assert loaded.export("bvh", tmp_path / "walk.bvh")


def test_nothing_looks_ahead(frames, networks):
    short = stepped(frames[:7], networks)
    assert any(result.tracks for result in short)
    for ours, theirs in zip(short, stepped(frames, networks), strict=False):
        assert [track.id for track in ours.tracks] == [track.id for track in theirs.tracks]
        for one, other in zip(ours.tracks, theirs.tracks, strict=True):
            assert np.array_equal(one.joints, other.joints)
            assert np.array_equal(one.roots, other.roots)


@pytest.fixture(scope="module")
def found(clip: Path, networks: Networks) -> PoseResult:
    return find_people(clip, FINDING, networks=networks)


@pytest.mark.parametrize(("lifter", "window"), [("martinez", 1), ("seq2seq", 5)])
def test_unsmoothed_it_lifts_as_a_whole_clip_is_lifted(lifter, window, found, frames, networks):
    (track,) = lift_people(found, load_weights(lifter), Smoothing.parse("none")).tracks
    whole = dict(zip(track.frames.tolist(), track.joints, strict=True))
    compared = 0
    for number, result in enumerate(stepped(frames, networks, lifter, "none")):
        if result.tracks and number >= track.frames[0] + window - 1:
            # Offline, joints are in the frame of the ray still: how far they are apart is the same in both.
            ours, theirs = (joints[:, None] - joints for joints in (result.tracks[0].joints[0], whole[number]))
            assert np.linalg.norm(ours, axis=-1) == pytest.approx(np.linalg.norm(theirs, axis=-1), abs=1e-4)
            compared += 1
    assert compared >= FRAMES - window - 3


def test_a_value_at_a_time_one_euro_is_that_of_a_curve():
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.1, 20))
    curve = np.random.default_rng(1).normal(size=(20, 3))
    smooth = OneEuro(1.0)
    assert np.array_equal(
        [smooth(value, at) for value, at in zip(curve, times, strict=True)], one_euro(curve, times, 1.0)
    )


def test_the_causal_path_ends_where_the_path_of_the_frames_so_far_ends():
    """Against the equations of the whole stretch, solved anew for each beginning of it."""
    rng = np.random.default_rng(2)
    times = np.arange(60) / 30
    true = np.stack([0.3 * np.sin(2 * times), 0.1 * times, 3 + 0.4 * times], axis=1)
    known = np.tile(np.diag([9e4, 9e4, 9e2]), (60, 1, 1))
    answers = true + rng.normal(size=(60, 3)) / np.sqrt(known[0].diagonal())
    path = CausalPath()
    ours = np.array([path(*each) for each in zip(answers, known, times, strict=True)])
    for last in (20, 40, 59):
        whole = smooth_path(answers[: last + 1], known[: last + 1], times[: last + 1])
        # A third of what a frame is off by.
        assert ours[last] == pytest.approx(whole[-1], abs=0.012)
    assert np.abs(ours - true)[30:, 2].mean() < 0.6 * np.abs(answers - true)[30:, 2].mean()


def test_the_causal_path_goes_on_for_a_moment_and_begins_anew():
    path, known, nothing = CausalPath(), np.diag([1e5, 1e5, 1e4]), np.zeros((3, 3))
    assert np.isnan(path(np.zeros(3), nothing, 0.0)).all()
    for number in range(30):
        path(np.array([number / 30, 0, 3.0]), known, number / 30)
    assert path(np.zeros(3), nothing, 1.2) == pytest.approx((1.2, 0, 3), abs=0.05)
    assert np.isnan(path(np.zeros(3), nothing, 2.0)).all()
    assert path(np.array([5.0, 0, 4]), known, 2.1) == pytest.approx((5, 0, 4), abs=1e-3)


class Fed:
    """A source that gives what a test puts into it; None ends it."""

    name, width, height, is_recorded = "fed", 4, 4, False

    def __init__(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        self.taken = threading.Semaphore(0)

    def __iter__(self) -> Iterator[VideoFrame]:
        while (item := self.queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield VideoFrame(item, float(item), np.zeros((4, 4, 3), np.uint8))
            self.taken.release()

    def feed(self, *items: Any) -> None:
        for item in items:
            self.queue.put(item)
            if isinstance(item, int):
                self.taken.acquire(timeout=5)

    def close(self) -> None: ...


def test_the_newest_frame_wins():
    source = Fed()
    with NewestFrames(source) as newest:
        frames = iter(newest)
        source.queue.put(0)
        assert next(frames).frame.index == 0
        source.taken.acquire(timeout=5)
        source.feed(1, 2, 3)
        late = next(frames)
        assert (late.frame.index, late.dropped) == (3, 2)
        source.feed(4, 5)
        late = next(frames)
        assert (late.frame.index, late.dropped) == (5, 3)
        source.feed(VidposeError("unplugged"))
        with pytest.raises(VidposeError, match="unplugged"):
            next(frames)


def nobody() -> PoseResult:
    from vidpose.body.tracks import Source

    return PoseResult(Source("walk", 640, 480, np.zeros(1), None, pictures=False), (), "h36m17", "h36m17")


def test_a_client_that_is_slow_misses_frames_and_is_not_late(frames):
    outlet = WebOutlet(listen("127.0.0.1", 0), nobody())
    try:
        with connect("ws" + outlet.url.removeprefix("http"), proxy=None, max_queue=1) as slow:
            with connect("ws" + outlet.url.removeprefix("http"), proxy=None) as quick:
                json.loads(slow.recv())
                json.loads(quick.recv())
                got = []
                for number in range(60):
                    frame = VideoFrame(number, number / 30, frames[0].image)
                    outlet.send(LiveFrame(Captured(frame, time.monotonic(), 0), nobody(), 0.0))
                    got.append(json.loads(quick.recv(timeout=5))["frame"])
            assert got == list(range(60))
            seen = [json.loads(slow.recv(timeout=5))["frame"]]
            while seen[-1] != 59:
                seen.append(json.loads(slow.recv(timeout=5))["frame"])
            assert seen == sorted(set(seen))
            assert len(seen) < 8
    finally:
        outlet.close()


@pytest.mark.parametrize(
    ("origin", "host", "welcome"),
    [
        (None, "127.0.0.1:8765", True),
        ("http://127.0.0.1:8765", "127.0.0.1:8765", True),
        ("http://localhost:5173", "localhost:8765", True),
        ("http://[::1]:8765", "[::1]:8765", True),
        ("http://192.168.1.5:8765", "192.168.1.5:8765", True),
        ("http://192.168.1.5:8765", "192.168.1.6:8765", False),
        ("http://192.168.1.5:80", "192.168.1.5:8765", False),
        ("https://example.org", "127.0.0.1:8765", False),
        ("http://example.org:8765", "example.org:8765", False),  # a name that was made to point here
        ("null", "127.0.0.1:8765", False),
    ],
)
def test_pages_of_other_sites_are_not_let_in(origin, host, welcome):
    assert is_welcome(origin, host) is welcome


def test_a_page_of_another_site_gets_no_frames():
    outlet = WebOutlet(listen("127.0.0.1", 0), nobody())
    try:
        with pytest.raises(InvalidStatus, match="403"):
            connect("ws" + outlet.url.removeprefix("http"), proxy=None, origin="https://example.org").__enter__()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(outlet.url + "else")
    finally:
        outlet.close()


def test_ctrl_c_ends_a_run_with_its_summary(clip, tmp_path):
    reports: list[LiveReport] = []

    def interrupt(report: LiveReport) -> None:
        reports.append(report)
        if report.frames == 2:
            raise KeyboardInterrupt

    report = run_live(str(clip), FINDING, Streaming(port=0, device="cpu"), Lens(), on_frame=interrupt)
    assert report.frames == 2
    assert str(report).startswith("2 frames in ")
    assert "ms (p50)" in str(report)


def test_a_stream_is_read_over_the_network(clip, frames):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=clip.parent)
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = open_source(f"http://127.0.0.1:{server.server_address[1]}/walk.mkv")
        assert source.is_recorded
        assert (source.width, source.height) == frames[0].image.shape[1::-1]
        read = list(source)
        source.close()
        server.shutdown()
    assert [frame.time for frame in read] == pytest.approx([frame.time for frame in frames])
    assert np.array_equal(read[-1].image, frames[-1].image)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["97"], 1, "camera 97: there is none"),
        (["ftp://127.0.0.1/a"], 2, "ftp://127.0.0.1/a: no address of a stream"),
        (["http://127.0.0.1:1/a.mp4"], 1, "http://127.0.0.1:1/a.mp4: cannot be opened"),
        (["gone.mp4"], 1, "gone.mp4: no such file"),
        (["{clip}", "--vmc", "here"], 2, "--vmc here: HOST:PORT is wanted"),
        (["{clip}", "--lifter", "videopose3d"], 2, "--lifter videopose3d: it answers for the middle of its window"),
        (["{clip}", "--smooth", "butterworth"], 2, "--smooth butterworth:6: looks at frames that are still to come"),
        (["{clip}", "--keypoints", "temporal-relational"], 2, "--keypoints temporal-relational: looks at clips"),
        (["{clip}", "--port", "{busy}"], 1, "127.0.0.1:{busy}: cannot be listened on"),
        (["{clip}", "--host", "192.0.2.1"], 1, "192.0.2.1:8765: cannot be listened on"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(run, clip, arguments, code, line):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        places = {"clip": str(clip), "busy": busy.getsockname()[1]}
        given = [argument.format(**places) for argument in arguments]
        returned, out, err = run("live", "--no-open", *given)
    assert (returned, out) == (code, "")
    assert err.startswith(f"error: {line.format(**places)}")
    assert err.count("\n") == 1
