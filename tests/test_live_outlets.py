"""What goes out of a live run, and to whom: avatars, pages, clients that are slow, and the frames that they miss."""

import json
import queue
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from live_frames import frame_of, nobody, t_pose, unity_bones
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from vidpose.body.tracks import Track
from vidpose.common.errors import VidposeError
from vidpose.live.newest import NewestFrames
from vidpose.live.vmc import Avatar
from vidpose.live.web import WebOutlet, is_welcome, listen
from vidpose.video import VideoFrame


def test_a_t_pose_is_an_avatars_rest_pose():
    result = replace(nobody(), tracks=(t_pose(),))
    messages = list(Avatar().messages(frame_of(result, floor=-0.98)))
    world = unity_bones(messages)
    assert {bone: turn.magnitude() for bone, (_, turn) in world.items() if turn.magnitude() > np.radians(2)} == {}
    assert world["Hips"][0] == pytest.approx((0, 0.98, 0))
    # An avatar of Unity looks along z, with its left at negative x.
    assert world["LeftHand"][0][0] < -0.6
    assert world["LeftFoot"][0][1] == pytest.approx(0.08, abs=0.01)


def test_an_avatar_stays_with_whom_it_has():
    avatar = Avatar()
    first, second = t_pose(), replace(t_pose(), id=2)

    def hips(second: int, *tracks: Track) -> list[float]:
        messages = list(avatar.messages(frame_of(replace(nobody(), tracks=tracks), second)))
        return [values[1] for address, values in messages if address == "/VMC/Ext/Bone/Pos" and values[0] == "Hips"]

    assert hips(0, second) == [0]
    aside = replace(second, roots=np.add(second.roots, (0.5, 0, 0)))
    assert hips(1, first, aside) == [pytest.approx(-0.5)]
    assert hips(1, first) == []  # for a moment out of sight
    assert hips(2, first) == [0]
    assert hips(3) == []


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


def test_a_client_that_is_slow_misses_frames_and_is_not_late():
    outlet = WebOutlet(listen("127.0.0.1", 0), nobody())
    try:
        with connect("ws" + outlet.url.removeprefix("http"), proxy=None, max_queue=1) as slow:
            with connect("ws" + outlet.url.removeprefix("http"), proxy=None) as quick:
                json.loads(slow.recv())
                json.loads(quick.recv())
                got = []
                for number in range(60):
                    outlet.send(frame_of(nobody(), number))
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


def test_a_name_that_is_no_utf_8_has_a_page():
    named = replace(nobody(), source=replace(nobody().source, path="caf\udce9.mp4"))
    outlet = WebOutlet(listen("127.0.0.1", 0), named)
    try:
        with urllib.request.urlopen(outlet.url) as answer:
            assert "<title>caf\\udce9.mp4" in answer.read().decode()
        with connect("ws" + outlet.url.removeprefix("http"), proxy=None) as client:
            assert json.loads(client.recv())["source"]["path"] == "caf\udce9.mp4"
    finally:
        outlet.close()


@pytest.fixture
def chrome() -> Iterator[Any]:
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as opened:
        yield opened


def test_the_page_shows_the_newest_frame(chrome):
    outlet = WebOutlet(listen("127.0.0.1", 0), nobody())
    try:
        chrome.get(outlet.url)
        result = replace(nobody(), tracks=(t_pose(),))
        until = time.monotonic() + 20
        number, shown = 0, None
        while shown is None or float(shown) < 3:
            assert time.monotonic() < until
            outlet.send(frame_of(result, number, floor=-0.98, dropped=7))
            number += 1
            time.sleep(0.05)
            shown = chrome.execute_script("return document.body.dataset.frame")
        look = """
            const colours = (id) => new Set(new Uint32Array(document.querySelector(id).getContext("2d").getImageData(
                0, 0, document.querySelector(id).width, document.querySelector(id).height).data.buffer)).size;
            return [colours("#image"), colours("#scene canvas"), document.querySelector("#dropped").textContent,
                    document.querySelector("#people").textContent, document.querySelector("#facts").textContent,
                    Number(document.querySelector("#latency").textContent)];"""
        picture, scene, dropped, people, facts, latency = chrome.execute_script(look)
        assert picture > 100
        assert scene > 100
        assert (dropped, people, facts) == ("7", "1 person", "live · 640 x 480")
        assert latency >= 0
        assert chrome.get_log("browser") == []
    finally:
        outlet.close()
