"""The page to look at, and frames as JSON, by one server on one port.

    GET /         the page
    ws://.../     a message a frame, as JSON: for programs
    ws://.../page a message a frame for the page, and the picture behind it as JPEG

Each client has a message under way at most: the next is sent once its pong has come, and is then the newest there is.
So a slow network or a slow client misses frames, and none waits in a queue. Pictures of a camera are private: a page
of another site that the browser shows is not let in.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import socket
import threading
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

import cv2
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from vidpose.body.tracks import PoseResult
from vidpose.common.errors import UsageError, VidposeError
from vidpose.export.json import header, rows
from vidpose.live.live_page import page, page_message
from vidpose.live.outlet import LiveFrame

FORMAT, FORMAT_VERSION = "vidpose-live", 1

_PICTURE_WIDTH, _PICTURE_QUALITY = 640, 75
"""Pixels, and JPEG's quality: of the page's picture."""

_STALLED = 10.0
"""Seconds without a pong, after which a client is let go."""

_log = logging.getLogger("vidpose.live.web")
_log.propagate = False  # what strangers send is no warning of ours
_log.addHandler(logging.NullHandler())


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0 is any that is free.

    Raises:
        UsageError: no host is named.
        VidposeError: the port is in use, or the host is none of this machine.
    """
    if not host:
        raise UsageError("`host=`: an address of this machine is wanted; 0.0.0.0 is all of them")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or -1
        reason = os.strerror(number) if number > 0 else "no such host"
        raise VidposeError(
            f"{host}:{port}: cannot be listened on ({reason}); give another `port`, or a `host` of this machine"
        ) from None


class WebOutlet:
    """Serves frames until it is closed.

    Args:
        listener: what `listen` gives; closed with the outlet.
        nobody: a result without frames (`LiveStepper.nobody`), of which clients are told the header.

    Attributes:
        url: of the page, for a browser on this machine.
    """

    def __init__(self, listener: socket.socket, nobody: PoseResult) -> None:
        host, port = listener.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = "127.0.0.1"
        self.url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
        self._greeting = json.dumps({**header(nobody), "format": FORMAT, "format_version": FORMAT_VERSION})
        self._page = page(nobody).encode(errors="backslashreplace")
        self._newest: LiveFrame | None = None
        self._loop, self._changed = asyncio.new_event_loop(), asyncio.Condition()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._do(self._begin(listener))

    def send(self, frame: LiveFrame) -> None:
        """Hand a frame to all clients that wait for one."""
        asyncio.run_coroutine_threadsafe(self._publish(frame), self._loop)

    def close(self) -> None:
        """Say goodbye to the clients, and listen no more."""
        with contextlib.suppress(TimeoutError):
            self._do(self._goodbye())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_STALLED)

    async def _begin(self, listener: socket.socket) -> Server:
        # Compressing costs more time than a network here takes for the bytes.
        return await serve(
            self._serve, sock=listener, process_request=self._answer, compression=None, logger=_log, close_timeout=1
        )

    async def _goodbye(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _publish(self, frame: LiveFrame) -> None:
        async with self._changed:
            self._newest = frame
            self._changed.notify_all()

    async def _after(self, sent: LiveFrame | None) -> LiveFrame:
        """The newest frame, once it is another one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._newest is not sent)
        assert self._newest is not None
        return self._newest

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The page, or a refusal; None goes on to a WebSocket."""
        if not is_welcome(request.headers.get("Origin"), request.headers.get("Host", "")):
            return connection.respond(403, "pages of other sites are not let in\n")
        path = urlsplit(request.path).path
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return None if path in ("/", "/page") else connection.respond(404, "frames are at / and at /page\n")
        if path != "/":
            return connection.respond(404, "the page is at /\n")
        kind = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(self._page))}
        return Response(200, "OK", Headers(Connection="close", **kind), self._page)

    async def _serve(self, client: ServerConnection) -> None:
        sending = asyncio.create_task(self._send_frames(client))
        try:
            # What a client says is of no interest, but its answers to our pings would wait behind it.
            async for _ in client:
                pass
        except ConnectionClosed:
            pass
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def _send_frames(self, client: ServerConnection) -> None:
        assert client.request is not None
        for_page = urlsplit(client.request.path).path == "/page"
        send = _send_to_page if for_page else _send_json
        sent: LiveFrame | None = None
        try:
            if not for_page:
                await client.send(self._greeting)
            while True:
                sent = await self._after(sent)
                await send(client, sent)
                await asyncio.wait_for(await client.ping(), _STALLED)
        except ConnectionClosed:
            pass
        except TimeoutError:
            await client.close()


async def _send_json(client: ServerConnection, frame: LiveFrame) -> None:
    await client.send(json_message(frame))


async def _send_to_page(client: ServerConnection, frame: LiveFrame) -> None:
    await client.send(page_message(frame))
    await client.send(await asyncio.to_thread(_jpeg, frame))


def json_message(frame: LiveFrame) -> str:
    """A frame for programs: its number and times, and of everybody what a line of vidpose's JSON files has."""
    at, result = frame.captured.frame, frame.result
    people = [{"id": track.id, **row} for track in result.tracks for row in rows(result, track)]
    return json.dumps(
        {
            "frame": at.index,
            "time": round(at.time, 6),
            "latency_ms": round(frame.latency(), 2),
            "dropped": frame.captured.dropped,
            "people": people,
        },
        allow_nan=False,
    )


def _jpeg(frame: LiveFrame) -> bytes:
    image = frame.captured.frame.image
    height, width = image.shape[:2]
    if width > _PICTURE_WIDTH:
        size = _PICTURE_WIDTH, max(1, round(height * _PICTURE_WIDTH / width))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    kind = [cv2.IMWRITE_JPEG_QUALITY, _PICTURE_QUALITY]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), kind)[1])


def is_welcome(origin: str | None, host: str) -> bool:
    """Whether who asks may see the camera.

    Args:
        origin: the page that asks, as its browser says; None: no page does.
        host: the name by which this server was called.

    Returns:
        True where no page asks, or one of this machine, or ours at the address that it was fetched from. A name that
        is no number may belong to anyone who lets it point here, so ours goes by numbers.
    """
    if origin is None:
        return True
    asking, called = urlsplit(origin).hostname, urlsplit(f"//{host}").hostname
    if asking == "localhost":
        return True
    try:
        address = ipaddress.ip_address(asking or "")
    except ValueError:
        return False
    return address.is_loopback or (asking == called and urlsplit(origin).netloc == host)
