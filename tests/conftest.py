"""Clips that tests of several rooms read. Each is made once a run; a test that changes a file makes its own."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clips
import cv2
import numpy as np
import pages
import pytest
from durations import pytest_addoption, pytest_collection_modifyitems, pytest_configure  # noqa: F401

from vidpose.body.tracks import PoseResult
from vidpose.cli import main
from vidpose.weights.shipped import shipped

NUM_FRAMES = 12


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def cfr_clip(folder: Path) -> Path:
    """Twelve grey frames, 96x64, 30 frames a second."""
    return clips.write_clip(folder / "cfr.mp4", [clips.grey_picture(i) for i in range(NUM_FRAMES)])


@pytest.fixture(scope="session")
def vfr_times() -> np.ndarray:
    return np.cumsum([0, 0.01, 0.02, 0.5, 0.033, 0.1, 0.04, 0.04, 0.02, 0.25, 0.01, 0.03])


@pytest.fixture(scope="session")
def vfr_clip(folder: Path, vfr_times: np.ndarray) -> Path:
    """The twelve grey frames at uneven times."""
    return clips.write_clip(folder / "vfr.mp4", [clips.grey_picture(i) for i in range(NUM_FRAMES)], vfr_times)


@pytest.fixture(scope="session")
def page_video(tmp_path_factory: pytest.TempPathFactory, vfr_times: np.ndarray) -> Path:
    """What pages are made of in tests."""
    return pages.write_video(tmp_path_factory.mktemp("page"), vfr_times)


@pytest.fixture(scope="session")
def two_people(page_video: Path, vfr_times: np.ndarray) -> PoseResult:
    """Whom pages show in tests; their arrays are shared."""
    return pages.two_people_in(page_video, vfr_times)


@pytest.fixture(scope="session")
def odd_clip(folder: Path) -> Path:
    """97x63, which H.264 with full colour resolution can have."""
    return clips.write_clip(folder / "odd.mp4", [clips.grey_picture(i, 97, 63) for i in range(NUM_FRAMES)])


@pytest.fixture(scope="session")
def one_frame_clip(folder: Path) -> Path:
    return clips.write_clip(folder / "one.mp4", [clips.grey_picture(0)])


@pytest.fixture(scope="session")
def sound_only(folder: Path) -> Path:
    return clips.write_sound(folder / "sound.m4a")


@pytest.fixture(scope="session")
def image_folder(folder: Path) -> Path:
    """Twelve grey images `shot 0.png` to `shot 11.png`, and a file that is none."""
    images = folder / "images"
    images.mkdir()
    for i in range(NUM_FRAMES):
        cv2.imwrite(str(images / f"shot {i}.png"), clips.grey_picture(i))
    (images / "notes.txt").write_text("not an image")
    return images


@pytest.fixture(scope="session")
def walk_sample() -> Path:
    """The shipped video of one rendered person: 640x480, 25 frames a second, 6 s."""
    return shipped("samples") / "walk-wave.mp4"


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run the program in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vidpose", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        output = capsys.readouterr()
        return int(stopped.value.code or 0), output.out, output.err

    return call


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
