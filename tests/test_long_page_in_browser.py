"""What the page of a long video does in a browser."""

import clips
import numpy as np
import pytest
from pages import make_long, person, result_of, two_people_in
from tabs import PICTURE, SCENE, Tab

from vidpose.body.colours import LEFT, RIGHT
from vidpose.export.html import write_html


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


def test_a_long_page_shows_what_a_short_one_does_in_fewer_frames(browser, tmp_path, monkeypatch, page_video, vfr_times):
    result = two_people_in(page_video, vfr_times)
    make_long(monkeypatch, frames=6)
    write_html(result, tmp_path / "p.html", video=page_video)
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
