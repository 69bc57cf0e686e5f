"""What a page does in a browser: headless Chromium, without a network."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import clips
import numpy as np
import pytest
from exports import result_of as placed_result
from exports import track_of, turned, world_joints
from pages import make_long, person, result_of, two_people_in, write_video

from vidpose.body.colours import LEFT, RIGHT
from vidpose.body.tracks import PinholeCamera, PoseResult
from vidpose.body_models.anny_model import anny
from vidpose.body_models.body_model import vertex_normals
from vidpose.body_models.embodying import embody
from vidpose.export.html import write_html


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, vfr_times: np.ndarray) -> Path:
    return write_video(tmp_path_factory.mktemp("page"), vfr_times)


@pytest.fixture(scope="module")
def two_people(video: Path, vfr_times: np.ndarray) -> PoseResult:
    return two_people_in(video, vfr_times)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, video: Path, two_people: PoseResult) -> Path:
    path = tmp_path_factory.mktemp("page") / "Läufer 走.html"
    write_html(two_people, path, video=video)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium without a network."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1000",
                     "--proxy-server=127.0.0.1:9"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    chrome.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    chrome.set_script_timeout(20)
    yield chrome
    chrome.quit()


class Tab:
    """A page that is open, and whether it has said anything on the console."""

    def __init__(self, browser: Any, page: Path) -> None:
        self.browser = browser
        browser.get_log("browser")
        browser.get(page.as_uri())
        self.wait_for("document.querySelector('#clock').textContent !== ''")

    def js(self, script: str) -> Any:
        return self.browser.execute_script(f"return {script}")

    def wait_for(self, condition: str, seconds: float = 10) -> None:
        until = time.monotonic() + seconds
        while not self.js(condition):
            assert time.monotonic() < until, f"never: {condition}"
            time.sleep(0.02)

    def wait_for_film(self) -> None:
        self.wait_for("video.readyState >= 2 && !video.seeking")

    def settle(self) -> None:
        """Wait until what was asked to be drawn is drawn."""
        self.browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def pixels(self, canvas: str, colour: tuple[int, int, int] | None = None) -> int:
        """How many pixels of a canvas have a colour; without one, a number that tells pictures apart."""
        self.settle()
        self.browser.execute_script(
            "const c = document.querySelector(arguments[0]);"
            "window.seen = c.getContext('2d').getImageData(0, 0, c.width, c.height).data", canvas,
        )  # fmt: skip
        if colour is None:
            return self.js("seen.reduce((sum, value, i) => (sum * 31 + value * (i % 251)) % 2147483647, 7)")
        near = " && ".join(f"Math.abs(seen[i + {c}] - {value}) < 40" for c, value in enumerate(colour))
        return self.js(f"(() => {{ let n = 0; for (let i = 0; i < seen.length; i += 4) n += {near}; return n }})()")

    def click(self, selector: str) -> None:
        self.browser.find_element("css selector", selector).click()

    def choose(self, selector: str, value: float | str) -> None:
        script = "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
        script += "for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind))"
        self.browser.execute_script(script, selector, value)

    def clock(self) -> str:
        return self.js("document.querySelector('#clock').textContent")

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.browser).send_keys(*keys).perform()

    def complaints(self) -> list[str]:
        # Reading a canvas back, which only these tests do, makes Chromium give advice.
        return [e["message"] for e in self.browser.get_log("browser") if "willReadFrequently" not in e["message"]]


PICTURE, SCENE = "#picture canvas", "#scene canvas"


def test_the_page_opens_without_a_word_and_fetches_nothing(browser, page):
    tab = Tab(browser, page)
    tab.wait_for_film()
    assert tab.complaints() == []
    fetched = tab.js("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in fetched if not name.startswith("blob:")] == []
    assert "://" not in page.read_text(encoding="utf-8")
    assert browser.title == "Läufer 走 & <b>.mp4 · vidpose"
    assert tab.js("document.querySelector('h1').textContent") == "Läufer 走 & <b>.mp4"
    assert tab.js("document.querySelectorAll('.curve').length") == 10
    assert tab.pixels(PICTURE, LEFT) > 50
    assert tab.pixels(SCENE, RIGHT) > 50
    unlabelled = "[...document.querySelectorAll('button, input, select, canvas')].filter((e) => !(e.ariaLabel || "
    assert tab.js(unlabelled + "e.textContent.trim() || e.labels?.length)).length") == 0


def test_the_skeletons_belong_to_the_frame_that_the_video_shows(browser, page, vfr_times):
    tab = Tab(browser, page)
    tab.wait_for_film()
    for frame in (0, 5, 11, 3, 4, 9):
        tab.choose("#scrub", frame)
        tab.wait_for_film()
        tab.settle()
        shown = tab.js("(() => { const c = document.createElement('canvas').getContext('2d');"
                       "c.drawImage(video, 0, 0); return c.getImageData(80, 60, 1, 1).data[0] })()")  # fmt: skip
        assert min(clips.GREYS, key=lambda grey: abs(grey - shown)) == clips.grey_of(frame)
        assert tab.js("video.currentTime") == pytest.approx(vfr_times[frame], abs=2e-3)
        assert tab.js("player.frame") == frame
        assert f"frame {frame}" in tab.clock()
        assert f"{vfr_times[frame]:05.2f}" in tab.clock()


def test_play_moves_the_clock_and_the_skeletons_and_ends(browser, page):
    tab = Tab(browser, page)
    tab.wait_for_film()
    clock, picture, scene = tab.clock(), tab.pixels(PICTURE), tab.pixels(SCENE)
    tab.choose("#speed", 0.25)
    tab.click("#play")
    assert tab.js("document.querySelector('#play').ariaLabel") == "Pause"
    tab.wait_for("player.frame > 2")
    tab.click("#play")
    assert not tab.js("player.playing")
    assert tab.js("video.paused")
    assert tab.clock() != clock
    assert tab.pixels(PICTURE) != picture
    assert tab.pixels(SCENE) != scene
    tab.choose("#speed", 2)
    tab.click("#play")
    tab.wait_for("!player.playing")
    assert tab.js("player.frame") == 11
    # At the end, play begins again.
    tab.choose("#speed", 0.25)
    tab.click("#play")
    assert tab.js("player.playing")
    assert tab.js("player.frame") < 11
    assert tab.complaints() == []


def test_the_picker_hides_a_person_everywhere(browser, page):
    tab = Tab(browser, page)
    tab.wait_for_film()
    both = {canvas: tab.pixels(canvas, LEFT) for canvas in (PICTURE, SCENE)}
    tab.click("#picker label:nth-of-type(2)")
    for canvas, before in both.items():
        assert 0.15 * before < tab.pixels(canvas, LEFT) < 0.85 * before
    tab.click("#picker label:nth-of-type(1)")
    assert tab.pixels(PICTURE, LEFT) == tab.pixels(SCENE, LEFT) == 0
    tab.click("#picker label:nth-of-type(1)")
    tab.click("#picker label:nth-of-type(2)")
    assert {canvas: tab.pixels(canvas, LEFT) for canvas in both} == both


def test_keys_step_and_play(browser, page):
    from selenium.webdriver.common.keys import Keys

    tab = Tab(browser, page)
    tab.wait_for_film()
    tab.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert tab.js("player.frame") == 2
    tab.press(Keys.END)
    assert tab.js("player.frame") == 11
    tab.press(Keys.HOME)
    assert tab.js("player.frame") == 0
    tab.choose("#speed", 0.25)
    tab.press(" ")
    assert tab.js("player.playing")
    tab.press(" ")
    assert not tab.js("player.playing")


def test_curves_follow_and_lead(browser, page, vfr_times):
    tab = Tab(browser, page)
    tab.wait_for_film()
    panel = "document.querySelector('.curve:nth-child(8)')"
    assert tab.js(f"{panel}.querySelector('h3').firstChild.textContent") == "shoulder elevation"
    before = tab.js(f"{panel}.querySelector('h3 span').textContent")
    at_start = tab.js(f"{panel}.querySelector('.now').getBoundingClientRect().x")
    browser.execute_script(
        f"const c = {panel}.querySelector('canvas');"
        "c.setPointerCapture = () => {};"
        "const r = c.getBoundingClientRect(); c.dispatchEvent(new PointerEvent('pointerdown', "
        "{clientX: r.right - 13, clientY: r.top + 20, buttons: 1, pointerId: 1}))"
    )
    assert tab.js("player.frame") >= 10
    assert tab.js(f"{panel}.querySelector('h3 span').textContent") != before
    assert tab.js(f"{panel}.querySelector('.now').getBoundingClientRect().x") > at_start + 100
    tab.wait_for(f"video.currentTime > {vfr_times[9]}")
    # The other person's curves.
    tab.choose("#whose", 2)
    assert tab.js("curves.person.id") == 2


def test_of_a_long_video_curves_show_the_minute_that_it_is_at(browser, tmp_path):
    """All of it would be a block of colour. Whoever is not there is shown in the minute that is nearest."""
    from selenium.webdriver.common.action_chains import ActionChains

    times = np.arange(1200) / 3
    result = result_of("x.mp4", times, person(1, times, 110), person(2, times[:230], 40))
    write_html(result, tmp_path / "p.html")
    tab = Tab(browser, tmp_path / "p.html")
    panel = ".curve:nth-child(8)"
    canvas = browser.find_element("css selector", f"{panel} canvas")
    assert tab.js("curves.span()") == [0, 60]
    drawn = {tab.pixels(f"{panel} canvas")}
    tab.choose("#scrub", 1000)
    assert tab.js("curves.span()") == [300, 360]
    drawn.add(tab.pixels(f"{panel} canvas"))
    half = canvas.size["width"] // 2
    ActionChains(browser).click_and_hold(canvas).move_by_offset(half, 0).move_by_offset(3, 0).perform()
    assert (tab.js("player.frame"), tab.js("curves.span()")) == (1080, [300, 360])
    ActionChains(browser).release().perform()
    tab.settle()
    assert tab.js("curves.span()") == pytest.approx([times[-1] - 60, times[-1]])
    tab.choose("#whose", 2)
    assert tab.js("curves.span()") == [60, 120]
    assert not browser.find_element("css selector", f"{panel} .now").is_displayed()
    tab.choose("#stretch", "Infinity")
    assert tab.js("curves.span()") == [0, pytest.approx(times[-1])]
    assert browser.find_element("css selector", f"{panel} .now").is_displayed()
    drawn.add(tab.pixels(f"{panel} canvas"))
    assert len(drawn) == 3
    assert tab.js("[...document.querySelectorAll('.person small')].map((small) => small.textContent)") == [
        "00:00 to 06:39", "00:00 to 01:16",
    ]  # fmt: skip
    assert tab.complaints() == []


def test_the_scene_turns_and_the_speed_changes(browser, page):
    from selenium.webdriver.common.action_chains import ActionChains

    tab = Tab(browser, page)
    seen = {tab.pixels(SCENE)}
    canvas = browser.find_element("css selector", SCENE)
    ActionChains(browser).click_and_hold(canvas).move_by_offset(80, 25).release().perform()
    seen.add(tab.pixels(SCENE))
    for button in (1, 2, 3):
        tab.click(f".tools button:nth-child({button})")
        seen.add(tab.pixels(SCENE))
    ActionChains(browser).scroll_from_origin(_origin(canvas), 0, -300).perform()
    seen.add(tab.pixels(SCENE))
    assert len(seen) == 6
    tab.wait_for_film()
    tab.choose("#speed", 0.25)
    tab.click("#play")
    assert tab.js("video.playbackRate") == 0.25
    assert tab.complaints() == []


def _origin(element: Any) -> Any:
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    return ScrollOrigin.from_element(element)


def test_bodies_move_as_they_do_elsewhere_and_can_be_skeletons(browser, tmp_path):
    result = placed_result(turned(track_of(world_joints(12))))
    write_html(result, tmp_path / "p.html")
    tab = Tab(browser, tmp_path / "p.html")
    (track,), (body,) = result.tracks, embody(result, anny()).values()
    for row in (0, 7):
        found = np.array(tab.js(f"[...scene.bodies.vertices(people[0].body, {row})]")).reshape(-1, 3)
        due = (body.vertices(row) + track.roots[row]) @ result.camera.to_world[:, :3].T + result.camera.to_world[:, 3]
        np.testing.assert_allclose(found, due, atol=2e-3)
    normals = np.array(tab.js("[...scene.bodies.normals(scene.bodies.vertices(people[0].body, 0))]")).reshape(-1, 3)
    axes = result.camera.to_world[:, :3]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    np.testing.assert_allclose(normals, vertex_normals(body.vertices(0), body.model.faces) @ axes.T, atol=0.1)
    assert tab.js("document.querySelector('[data-look=body]').ariaPressed") == "true"
    assert tab.pixels(SCENE, LEFT) == 0
    as_body = tab.pixels(SCENE)
    tab.click("[data-look=skeleton]")
    assert tab.pixels(SCENE, LEFT) > 50
    tab.click("[data-look=body]")
    assert tab.pixels(SCENE) == as_body
    assert tab.complaints() == []


def test_the_nearer_body_hides_the_other(browser, tmp_path):
    """Two squares that cross: one is nearer on the left, the other on the right; what faces away is not seen."""
    write_html(placed_result(turned(track_of(world_joints(2)))), tmp_path / "p.html")
    tab = Tab(browser, tmp_path / "p.html")
    picture = """(() => {
        scene.bodies.faces = [0, 2, 1, 0, 3, 2];
        const corner = (x, y, near) => ({ x, y, near, light: 1 });
        const corners = (left, right) =>
          [corner(0, 0, left), corner(10, 0, right), corner(10, 10, right), corner(0, 10, left)];
        const picture = new ImageData(10, 10), nearest = new Float32Array(100);
        scene.bodies.fill(picture, nearest, corners(1, 2), [255, 0, 0]);
        scene.bodies.fill(picture, nearest, corners(2, 1), [0, 0, 255]);
        scene.bodies.fill(picture, nearest, corners(9, 9).reverse(), [0, 255, 0]);
        return [...picture.data];
      })()"""
    pixels = np.array(tab.js(picture)).reshape(10, 10, 4)
    np.testing.assert_array_equal(pixels[:, :5], np.tile([0, 0, 255, 255], (10, 5, 1)))
    np.testing.assert_array_equal(pixels[:, 5:], np.tile([255, 0, 0, 255], (10, 5, 1)))


def test_a_long_page_shows_what_a_short_one_does_in_fewer_frames(browser, tmp_path, monkeypatch, video, vfr_times):
    result = two_people_in(video, vfr_times)
    make_long(monkeypatch, frames=6)
    write_html(result, tmp_path / "p.html", video=video)
    tab = Tab(browser, tmp_path / "p.html")
    tab.wait_for_film()
    for frame in (0, 5, 2):
        tab.choose("#scrub", frame)
        tab.wait_for_film()
        tab.settle()
        shown = tab.js("(() => { const c = document.createElement('canvas').getContext('2d');"
                       "c.drawImage(video, 0, 0); return c.getImageData(80, 60, 1, 1).data[0] })()")  # fmt: skip
        assert min(clips.GREYS, key=lambda grey: abs(grey - shown)) == clips.grey_of(2 * frame)
        assert tab.clock() == f"00:{vfr_times[2 * frame]:05.2f} · frame {2 * frame}"
    for person_, track in enumerate(result.tracks):
        keypoints = np.array(tab.js(f"[...people[{person_}].keypoints]")).reshape(6, 17, 2)
        np.testing.assert_allclose(keypoints, track.keypoints[::2], atol=1 / 4)
        assert tab.js(f"[...people[{person_}].scores].every((score) => score === 255)")
    assert tab.pixels(PICTURE, LEFT) > 50
    assert tab.pixels(SCENE, RIGHT) > 50
    assert tab.complaints() == []


def test_a_browser_that_cannot_read_the_page_says_so(browser, tmp_path, monkeypatch, two_people):
    make_long(monkeypatch, frames=6)
    write_html(two_people, tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    (tmp_path / "p.html").write_text(page.replace("new DecompressionStream", "new NothingOfTheKind"), encoding="utf-8")
    browser.get((tmp_path / "p.html").as_uri())
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    said = browser.execute_script("return document.querySelector('#facts').textContent")
    assert "cannot be shown by this browser (NothingOfTheKind is not defined)" in said


def test_a_page_without_the_video_plays_by_the_computers_clock(browser, tmp_path, two_people, vfr_times):
    write_html(two_people, tmp_path / "p.html")
    tab = Tab(browser, tmp_path / "p.html")
    assert "without the video" in tab.js("document.querySelector('#picture-note').textContent")
    assert tab.js("document.querySelector('video')") is None
    assert tab.pixels(PICTURE, LEFT) > 50
    started = time.monotonic()
    tab.click("#play")
    tab.wait_for("!player.playing")
    assert time.monotonic() - started > 0.9 * (vfr_times[-1] - vfr_times[0])
    assert tab.js("player.frame") == 11
    assert tab.complaints() == []


def test_nobody_one_frame_and_no_3d_make_pages_too(browser, tmp_path, video, vfr_times):
    flat = person(1, vfr_times)
    flat = replace(flat, joints=np.full_like(flat.joints, np.nan))
    results = {
        "nobody": (result_of(video, vfr_times), True),
        "one frame": (result_of("x.mp4", vfr_times[:1], person(1, vfr_times[:1])), False),
        "flat": (result_of(video, vfr_times, flat), True),
        "never lifted": (replace(result_of(video, vfr_times), joint_layout=""), True),
        "nobody, but a camera": (
            replace(result_of("x.mp4", vfr_times), camera=PinholeCamera((9.0, 9.0), (1.0, 1.0))),
            False,
        ),
    }
    for name, (result, has_film) in results.items():
        write_html(result, tmp_path / f"{name}.html", video=video if has_film else None)
        tab = Tab(browser, tmp_path / f"{name}.html")
        if has_film:
            tab.wait_for_film()
        tab.click("#forward")
        tab.click("#play")
        tab.settle()
        assert tab.complaints() == [], name
        assert tab.js("document.querySelector('.angles').hidden") == (name != "one frame")
        assert ("nobody found" in tab.js("document.querySelector('#facts').textContent")) == (not result.tracks)
        assert tab.js("document.querySelector('.people').hidden") == (not result.tracks)
        assert (tab.pixels(SCENE, LEFT) > 50) == (name == "one frame")


def test_a_minute_opens_within_two_seconds_and_stays_small(browser, tmp_path):
    times = np.arange(1800) / 30
    people = [person(i + 1, times, 40 + 40 * i) for i in range(3)]
    write_html(result_of("x.mp4", times, *people), tmp_path / "p.html")
    assert (tmp_path / "p.html").stat().st_size < 15e6
    browser.get("about:blank")
    # The processor's time, not the clock's: a machine that does something else besides is not the page's fault.
    browser.execute_cdp_cmd("Performance.disable", {})
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    Tab(browser, tmp_path / "p.html").settle()
    spent = {
        entry["name"]: entry["value"] for entry in browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    }
    assert 0.01 < spent["TaskDuration"] < 2
