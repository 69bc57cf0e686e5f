"""A server on 127.0.0.1 that misbehaves as the first part of the path says, and notes what it was asked for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Attributes: content: what it serves; asked: path and Range header of every request, in order."""

    daemon_threads = True

    def __init__(self, content: bytes):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.asked: list[tuple[str, str | None]] = []
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.asked]


@contextmanager
def serving(content: bytes) -> Iterator[Server]:
    server = Server(content)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Range"]))
        getattr(self, self.path.split("/")[1])()

    def answer(self, status: int, body: bytes, **headers: object) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def file(self) -> None:
        """As it should be."""
        content, asked = self.server.content, self.headers["Range"]
        if not asked:
            return self.answer(200, content)
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            return self.answer(416, b"", Content_Range=f"bytes */{len(content)}")
        return self.answer(206, content[start:], Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")

    def plain(self) -> None:
        """Knows no ranges."""
        self.answer(200, self.server.content)

    def cut(self) -> None:
        """Hangs up half way, but can go on from there."""
        if self.headers["Range"]:
            return self.file()
        content = self.server.content
        return self.answer(200, content[: len(content) // 2], Content_Length=len(content))

    def chunked(self) -> None:
        """Does not say how long the file is, and hangs up before its end."""
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (1000, self.server.content[:1000]))
        self.close_connection = True

    def longer(self) -> None:
        """Sends more than it announced."""
        self.answer(200, self.server.content + b"surplus", Content_Length=len(self.server.content))

    def shorter(self) -> None:
        """Announces less than the file has."""
        self.answer(200, self.server.content, Content_Length=len(self.server.content) - 1)

    def moved(self) -> None:
        self.answer(302, b"", Location=self.path.replace("/moved", "/file", 1))

    def loop(self) -> None:
        self.answer(302, b"", Location=self.path)

    def nonsense(self) -> None:
        self.answer(302, b"", Location="http://[")

    def missing(self) -> None:
        self.answer(404, b"no such file")

    def broken(self) -> None:
        self.answer(500, b"out of order")

    def silent(self) -> None:
        self.server.closing.wait(10)
