"""Fetching from a server that does what servers and networks do."""

import hashlib
import resource
import socket
import threading
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

import numpy as np
import pytest
from file_server import Server, serving

from vidpose.common.errors import VidposeError
from vidpose.weights import downloads
from vidpose.weights.downloads import fetch, remove
from vidpose.weights.hashing import has_hash

CONTENT = np.random.default_rng(0).bytes(300_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "weights.pth"


def partial(target: Path) -> Path:
    return target.with_name(".weights.pth.partial")


def assert_refused(server: Server, path: str, target: Path, *parts: str, sha256: str = SHA256) -> None:
    """Nothing has the final name, and one line says what came of which address and where the file may be put."""
    with pytest.raises(VidposeError) as caught:
        fetch(server.url(path), target, sha256)
    message = str(caught.value)
    assert "\n" not in message
    for part in (server.url(path), str(target), *parts):
        assert part in message
    assert not target.exists()


@pytest.mark.parametrize("path", ["file", "plain", "moved", "longer"])
@pytest.mark.parametrize("digits", [8, 64])
def test_the_whole_file_comes_and_only_it(server, target, path, digits):
    told = []
    fetch(server.url(path), target, SHA256[:digits], lambda *numbers: told.append(numbers))
    assert target.read_bytes() == CONTENT
    assert not partial(target).exists()
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_a_sound_file_is_not_fetched_again_and_a_damaged_one_is_replaced(server, target):
    fetch(server.url("file"), target, SHA256)
    fetch(server.url("file"), target, SHA256)
    assert len(server.asked) == 1
    target.write_bytes(CONTENT[:-1])
    fetch(server.url("file"), target, SHA256)
    assert target.read_bytes() == CONTENT


def test_after_a_cut_connection_the_next_try_goes_on(server, target):
    half = len(CONTENT) // 2
    assert_refused(server, "cut", target, f"lost after {half} of {len(CONTENT)} bytes", "fetch again")
    assert partial(target).read_bytes() == CONTENT[:half]
    told = []
    fetch(server.url("cut"), target, SHA256, lambda *numbers: told.append(numbers))
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={half}-"]
    assert told[0] == (half, len(CONTENT))


def test_the_range_survives_a_redirect(server, target):
    assert_refused(server, "cut", target)
    fetch(server.url("moved"), target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.ranges[1:] == [f"bytes={len(CONTENT) // 2}-"] * 2


def test_a_server_without_ranges_sends_everything_again(server, target):
    assert_refused(server, "cut", target)
    fetch(server.url("plain"), target, SHA256)
    assert target.read_bytes() == CONTENT


def test_what_came_whole_before_an_interrupt_is_not_asked_for_again(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(CONTENT)
    fetch(server.url("file"), target, SHA256)
    assert target.read_bytes() == CONTENT
    assert not server.asked


def test_a_kept_part_longer_than_the_file_is_dropped(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(bytes(len(CONTENT) + 5))
    fetch(server.url("file"), target, SHA256)
    assert target.read_bytes() == CONTENT


def test_a_kept_part_of_another_file_is_found_out_and_dropped(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(bytes(1000))
    assert_refused(server, "file", target, "sent another file")
    fetch(server.url("file"), target, SHA256)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["file", "shorter"])
def test_of_a_file_with_another_hash_nothing_is_kept(server, target, path):
    wrong = SHA256 if path == "shorter" else "0123456789abcdef"
    assert_refused(server, path, target, "sent another file", f"expected {wrong[:8]}", sha256=wrong)
    assert not partial(target).exists()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing", "404 Not Found"),
        ("broken", "500 Internal Server Error"),
        ("loop", "redirects without end"),
        ("nonsense", "Invalid"),
        ("chunked", "IncompleteRead"),
    ],
)
def test_an_answer_that_is_not_the_file_is_one_line(server, target, path, says):
    assert_refused(server, path, target, says)
    assert len(server.asked) < 12


def test_a_refused_part_of_a_transfer_survives_a_server_out_of_order(server, target):
    assert_refused(server, "cut", target)
    assert_refused(server, "broken", target)
    assert partial(target).stat().st_size == len(CONTENT) // 2


def test_no_network_is_one_line(target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/weights.pth"
        with pytest.raises(VidposeError) as caught:
            fetch(url, target, SHA256)
    assert str(caught.value).startswith(f"{url}: cannot be fetched (Connection refused); ")
    assert str(caught.value).endswith(f"put it at {target}")


def test_a_server_that_says_nothing_is_given_up(server, target, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT_SECONDS", 0.1)
    assert_refused(server, "silent", target, "timed out")


def test_a_full_disk_is_one_line_and_the_next_try_goes_on(server, target):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(VidposeError, match="cannot be written") as caught:
            fetch(server.url("file"), target, SHA256)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "make room there, or set VIDPOSE_WEIGHTS" in str(caught.value)
    assert not target.exists()
    assert partial(target).stat().st_size == room
    fetch(server.url("file"), target, SHA256)
    assert server.ranges == [None, f"bytes={room}-"]
    assert target.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_one_line(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VidposeError, match=r"weights.pth: cannot be written \(File exists\)"):
        fetch(server.url("file"), tmp_path / "file" / "weights.pth", SHA256)


def test_those_who_want_the_same_file_at_once_share_one_transfer(server, target):
    others = [threading.Thread(target=fetch, args=(server.url("file"), target, SHA256)) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_no_redirect_leads_from_https_to_http():
    follow = downloads._Redirects().redirect_request
    safe = Request("https://host/weights.pth")
    with pytest.raises(URLError, match=r"to http://host/weights\.pth, which is not https"):
        follow(safe, None, 302, "Found", {}, "http://host/weights.pth")
    assert follow(safe, None, 302, "Found", {}, "https://other/weights.pth").full_url == "https://other/weights.pth"


@pytest.mark.parametrize("url", ["http://host/weights.pth", "ftp://host/weights.pth", "file:///etc/passwd"])
def test_what_is_not_https_is_not_asked_for(target, url):
    with pytest.raises(VidposeError, match=f"{url}: not https") as error:
        fetch(url, target, SHA256)
    assert "\n" not in str(error.value)
    assert not target.parent.exists()


def test_without_a_known_hash_the_file_is_taken_as_it_comes_but_whole_and_from_the_start(server, target):
    assert_refused(server, "cut", target, sha256="")
    server.content = CONTENT[::-1]
    fetch(server.url("file"), target)
    assert target.read_bytes() == server.content
    assert server.ranges == [None, None]


def test_remove_leaves_nothing(server, target):
    assert not remove(target)
    fetch(server.url("file"), target, SHA256)
    assert remove(target)
    assert_refused(server, "cut", target)
    assert remove(target)
    assert list(target.parent.iterdir()) == []


def test_has_hash_compares_first_digits(target):
    assert not has_hash(target, "")
    target.parent.mkdir()
    target.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert has_hash(target, "ba7816bf8f01cfea")
    assert not has_hash(target, "ba7816bf8f01cfeb")
    assert not has_hash(target.parent, "")
