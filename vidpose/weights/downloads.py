"""Fetching a file by http.

    fetch("https://host/weights.pth", folder / "weights.pth", sha256="81c58e40")

What has come when a transfer breaks off is kept for the next try. Nothing takes the final name before its hash is
checked, and nothing that was fetched is read as anything but bytes here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage, HTTPResponse, responses
from pathlib import Path
from typing import IO, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from filelock import FileLock

from vidpose import __version__
from vidpose.common.errors import VidposeError, one_line
from vidpose.weights.hashing import file_hash, has_hash

Report = Callable[[int, int | None], None]
"""Called with the bytes that are there and those expected, None where the server does not say."""

_BLOCK = 1 << 16
_TIMEOUT_SECONDS = 30.0


def fetch(url: str, target: Path, sha256: str = "", report: Report = lambda done, total: None) -> None:
    """Bring the file at `url` to `target`, unless it is there already.

    A transfer that breaks off leaves what has come in a hidden file beside `target`, where the next one goes on. Two
    processes that want the same file do not disturb each other: the second waits, and finds it there.

    Args:
        sha256: of the file, or its first digits; "" where nobody knows it: a broken transfer then begins anew.

    Raises:
        VidposeError: the address is not https; no network, an answer that is not the file, another hash, or nothing
            can be written there; says where to put the file instead.
    """
    if not _is_safe(url):
        raise VidposeError(f"{url}: not https, so that anybody on the way could change it; nothing is fetched")
    partial = _partial(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock(target)):
            if has_hash(target, sha256):
                return
            if not (sha256 and has_hash(partial, sha256)):
                # Without a hash nobody would notice that the file has changed since its first part came.
                with open(partial, "ab" if sha256 else "wb") as file:
                    _receive(url, target, file, report)
            if not has_hash(partial, sha256):
                got = file_hash(partial)
                partial.unlink()
                raise VidposeError(
                    f"{url}: sent another file (sha256 {got[:8]}, expected {sha256[:8]}), which is thrown away; "
                    f"fetch again, or put the file at {target}"
                )
            os.replace(partial, target)
    except OSError as error:
        raise VidposeError(
            f"{target}: cannot be written ({error.strerror or error}); make room there, or set VIDPOSE_WEIGHTS to a "
            "folder that has room and may be written to"
        ) from None


def remove(*targets: Path) -> bool:
    """Delete fetched files and what broken transfers of them left; tells whether there was anything.

    Raises:
        VidposeError: one may not be deleted.
    """
    found = False
    for target in targets:
        for path in (target, _partial(target), _lock(target)):
            try:
                found |= path.exists() and path != _lock(target)
                path.unlink(missing_ok=True)
            except OSError as error:
                raise VidposeError(f"{path}: cannot be deleted ({error.strerror})") from None
    return found


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _lock(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def _receive(url: str, target: Path, file: BinaryIO, report: Report) -> None:
    """Append to `file` what it lacks of `url`."""
    with _network(url, target):
        response = _open(url, file.tell())
    with response:
        if response.status != 206:
            # A server that knows no ranges sends everything.
            file.truncate(0)
        done = file.seek(0, os.SEEK_END)
        total = None if response.length is None else done + response.length
        report(done, total)
        while block := _read(response, url, target):
            file.write(block)
            done += len(block)
            report(done, total)
    with _network(url, target):
        if total is not None and done < total:
            raise ConnectionError(f"the connection was lost after {done} of {total} bytes")


def _read(response: HTTPResponse, url: str, target: Path) -> bytes:
    with _network(url, target):
        return response.read(_BLOCK)


def _open(url: str, start: int) -> HTTPResponse:
    headers = {"User-Agent": f"vidpose/{__version__}"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        return _OPENER.open(Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)  # noqa: S310 (the catalogue's)
    except HTTPError as error:
        if error.code == 416 and start:
            # There is no such range, so what was kept is not the beginning of this file.
            error.close()
            return _open(url, 0)
        raise


def _is_safe(url: str) -> bool:
    """Whether nobody on the way can change what comes from an address: https, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but not to where anybody on the way could change the file."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if not _is_safe(newurl):
            raise URLError(f"redirected to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = build_opener(_Redirects)


@contextmanager
def _network(url: str, target: Path) -> Iterator[None]:
    """Make a failure of the network one line that says what to do."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        raise VidposeError(
            f"{url}: cannot be fetched ({_reason(error)}); fetch again, or get the file on "
            f"another machine and put it at {target}"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        error.close()
        if 300 <= error.code < 400:
            return "the server redirects without end"
        return f"the server answers {error.code} {responses.get(error.code, '')}".rstrip()
    cause = error.reason if isinstance(error, URLError) else error
    return getattr(cause, "strerror", None) or (cause if isinstance(cause, str) else one_line(cause))
