"""A page that is open in a browser, for tests."""

import time
from pathlib import Path
from typing import Any


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
