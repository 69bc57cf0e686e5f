"""What a page does in a browser: headless Chromium, without a network."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import clips
import numpy as np
import pytest
from exports import result_of as placed_result
from exports import track_of, turned, world_joints
from pages import person, result_of
from tabs import PICTURE, SCENE, Tab

from vidpose.body.colours import LEFT, RIGHT
from vidpose.body.tracks import PinholeCamera, PoseResult
from vidpose.body_models.anny_model import anny
from vidpose.body_models.body_model import vertex_normals
from vidpose.body_models.embodying import embody
from vidpose.export.html import write_html


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, page_video: Path, two_people: PoseResult) -> Path:
    path = tmp_path_factory.mktemp("page") / "Läufer 走.html"
    write_html(two_people, path, video=page_video)
    return path


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
    assert tab.js("scene.distance(400, 300, 500)") < tab.js("scene.distance(200, 300, 500)")
    tab.wait_for_film()
    tab.choose("#speed", 0.25)
    tab.click("#play")
    assert tab.js("video.playbackRate") == 0.25
    assert tab.complaints() == []


def test_the_scene_leaves_the_browsers_own_keys_alone(browser, page):
    tab = Tab(browser, page)
    tab.wait_for_film()
    before = tab.pixels(SCENE)

    def is_taken(key: str, *modifiers: str) -> bool:
        facts = ", ".join(f"{name}: true" for name in (*modifiers, "bubbles", "cancelable"))
        event = f"new KeyboardEvent('keydown', {{key: {key!r}, {facts}}})"
        return not tab.js(f"document.querySelector('{SCENE}').dispatchEvent({event})")

    for modifier in ("ctrlKey", "metaKey", "altKey"):
        for key in ("+", "-", "ArrowLeft", "ArrowRight"):
            assert not is_taken(key, modifier)
    assert tab.pixels(SCENE) == before
    for key in ("+", "ArrowLeft"):
        assert is_taken(key)
    assert is_taken("+", "shiftKey")
    assert tab.pixels(SCENE) != before


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


def test_nobody_one_frame_and_no_3d_make_pages_too(browser, tmp_path, page_video, vfr_times):
    flat = person(1, vfr_times)
    flat = replace(flat, joints=np.full_like(flat.joints, np.nan))
    results = {
        "nobody": (result_of(page_video, vfr_times), True),
        "one frame": (result_of("x.mp4", vfr_times[:1], person(1, vfr_times[:1])), False),
        "flat": (result_of(page_video, vfr_times, flat), True),
        "never lifted": (replace(result_of(page_video, vfr_times), joint_layout=""), True),
        "nobody, but a camera": (
            replace(result_of("x.mp4", vfr_times), camera=PinholeCamera((9.0, 9.0), (1.0, 1.0))),
            False,
        ),
    }
    for name, (result, has_film) in results.items():
        write_html(result, tmp_path / f"{name}.html", video=page_video if has_film else None)
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
