"""Live runs: what goes out is what the same frames give offline, nothing looks ahead, the slow are not late."""

import functools
import http.server
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_frames import ENDS, PARENTS, Messages, unity_bones
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
from websockets.sync.client import connect

from vidpose.body.skeletons import EXTREMITIES_10, H36M_17
from vidpose.body.tracks import PoseResult
from vidpose.lifters.zoo import open_lifter
from vidpose.live.feet_and_hands import FeetAndHands
from vidpose.live.live_run import LiveReport, run_live
from vidpose.live.newest import Captured
from vidpose.live.osc import joint_messages
from vidpose.live.outlet import LiveFrame
from vidpose.live.recording import LiveRecording
from vidpose.live.stepper import LiveStepper
from vidpose.live.streaming import Streaming
from vidpose.live.web import json_message
from vidpose.pipeline.choices import Finding
from vidpose.pipeline.finding import find_people
from vidpose.pipeline.lifting import lift_people
from vidpose.pipeline.networks import Networks
from vidpose.pipeline.people_finder import PeopleFinder
from vidpose.refine.causal import CausalPath
from vidpose.refine.extremities import FOOT
from vidpose.refine.focal import Lens
from vidpose.refine.roots import smooth_path
from vidpose.refine.smoothing import OneEuro, Smoothing, one_euro
from vidpose.video import VideoFrame, VideoReader, VideoWriter
from vidpose.video.container import shown
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
    frames: list[VideoFrame], networks: Networks, lifter: str = "martinez", smooth: str = Streaming.smooth
) -> list[PoseResult]:
    """Each frame's answer, without a clock."""
    size = frames[0].image.shape[1::-1]
    stepper = LiveStepper(
        PeopleFinder(networks=networks),
        open_lifter(lifter, "cpu"),
        Smoothing.parse(smooth),
        Lens(),
        name="walk",
        size=size,
    )
    return [stepper.step(frame.image, frame.time, frame.index) for frame in frames]


class Listener:
    """An OSC server that remembers what it was told."""

    def __init__(self) -> None:
        self.messages: Messages = []
        dispatcher = Dispatcher()
        dispatcher.set_default_handler(lambda address, *arguments: self.messages.append((address, arguments)))
        self._server = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def heard(self) -> dict[float, Messages]:
        """What came, by the number or the time that a frame begins with."""
        self._server.shutdown()
        self._server.server_close()
        frames: dict[float, Messages] = {}
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
    whole = FeetAndHands()
    for number, messages in played["osc"].items():
        expected = list(joint_messages(as_sent(int(number), frames, whole(offline[int(number)]))))
        assert [address for address, _ in messages] == [address for address, _ in expected]
        for (address, values), (_, wanted) in zip(messages, expected, strict=True):
            if address != "/vidpose/frame":
                assert values == pytest.approx(wanted, abs=1e-6)
    assert any(address == "/vidpose/1/left_knee" for address, _ in messages)


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


def test_feet_point_where_they_do_and_turn_an_avatars(played):
    with np.load(shipped("samples") / "walk-wave.truth.npz") as file:
        truth = file["extremities"][0]
    # The rest pose of a foot, in Unity's axes: heel and toe almost level, the toe ahead.
    rest = np.subtract(FOOT.points["toe"], FOOT.points["heel"])
    off = []
    for (number, osc), vmc in zip(played["osc"].items(), played["vmc"].values(), strict=True):
        sent, world = {address: values[:3] for address, values in osc}, unity_bones(vmc)
        for side in ("left", "right"):
            if f"/vidpose/1/{side}_toe" in sent:
                found = np.subtract(sent[f"/vidpose/1/{side}_toe"], sent[f"/vidpose/1/{side}_heel"])
                turned = world[f"{side.title()}Foot"][1].apply(rest)
                np.testing.assert_allclose(turned / np.linalg.norm(turned), -found / np.linalg.norm(found), atol=1e-3)
                toe, heel = (truth[3 * int(number), EXTREMITIES_10.index(f"{side}_{end}")] for end in ("toe", "heel"))
                cosine = found @ (toe - heel) / np.linalg.norm(found) / np.linalg.norm(toe - heel)
                off.append(np.degrees(np.arccos(cosine)))
    assert len(off) > 4
    assert np.mean(off) < 20


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
    (track,) = lift_people(found, open_lifter(lifter, "cpu"), Smoothing.parse("none")).tracks
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


def test_ctrl_c_ends_the_command_with_its_summary(run, clip, monkeypatch):
    def interrupt(report: LiveReport) -> str:
        if report.frames == 2:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(LiveReport, "now", interrupt)
    code, out, _ = run("live", clip, "--no-open", "--keypoints", FINDING.keypoints, "--port", 0, "--out", "live.npz")
    assert code == 0
    page, wrote, summary = out.splitlines()
    assert page.startswith("page at http://127.0.0.1:")
    assert wrote == "wrote live.npz"
    assert re.fullmatch(r"2 frames in \d+\.\d s, \d+ dropped, latency \d+ ms \(p50\), \d+ ms \(p95\)", summary)
    assert PoseResult.load("live.npz").source.num_frames == 2


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


def test_a_file_that_ends_early_is_told(clip, frames, tmp_path, caplog):
    assert len(list(open_source(str(clip)))) == len(frames)
    assert not caplog.messages
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert 0 < len(list(open_source(str(cut)))) < len(frames)
    assert caplog.messages == [f"{cut}: ends early or is damaged; played what could be decoded"]


@pytest.mark.parametrize(
    "address",
    ["rtsp://10.0.0.1:554/cam", "http://[fe80::1]/@me/a.m3u8", "srt://10.0.0.1:9000", "udp://@239.0.0.1:1234"],
)
def test_an_address_is_shown_without_its_secrets(address):
    secret = address.replace("://@", "://").replace("://", "://admin:p@ss:word@")
    plain = address.replace("://@", "://")
    assert shown(address) == shown(secret) == shown(f"{secret}?passphrase=key&token=a/b@c") == plain


def test_a_streams_password_stays_with_who_gave_it(clip, run):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("?token=Secret4") and self.headers["Authorization"] == "Basic YWRtaW46U2VjcmV0MTIz":
                super().do_GET()
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=clip.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_address[1]}"
        source = open_source(f"http://admin:Secret123@{host}/walk.mkv?token=Secret4")
        source.close()
        server.shutdown()
    assert source.name == f"http://{host}/walk.mkv"
    assert "Secret" not in str(source._file._path)  # which errors and warnings name
    for kind in ("http", "ftp"):
        code, out, err = run("live", "--no-open", f"{kind}://admin:Secret123@127.0.0.1:1/a.mp4?token=Secret4")
        assert err.startswith(f"error: {kind}://127.0.0.1:1/a.mp4: ")
        assert code in (1, 2)
        assert "Secret" not in out + err


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["97"], 1, "camera 97: there is none"),
        (["ftp://127.0.0.1/a"], 2, "ftp://127.0.0.1/a: no address of a stream"),
        (["http://127.0.0.1:1/a.mp4"], 1, "http://127.0.0.1:1/a.mp4: cannot be opened"),
        (["gone.mp4"], 1, "gone.mp4: no such file"),
        (["{clip}", "--out", "a.csv"], 2, "a.csv: cannot write a result of this kind; name it .npz"),
        (["{clip}", "--vmc", "here"], 2, "--vmc here: HOST:PORT is wanted"),
        (["{clip}", "--lifter", "videopose3d"], 2, "--lifter videopose3d: it answers for the middle of its window"),
        (["{clip}", "--smooth", "butterworth"], 2, "--smooth butterworth:6: looks at frames that are still to come"),
        (["{clip}", "--keypoints", "temporal-relational"], 2, "--keypoints temporal-relational: looks at clips"),
        (["{clip}", "--port", "{busy}"], 1, "127.0.0.1:{busy}: cannot be listened on"),
        (["{clip}", "--host", ""], 2, "--host : an address of this machine is wanted"),
        (["{clip}", "--host", "a" * 300], 1, "a" * 300 + ":8765: cannot be listened on (no such host)"),
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
