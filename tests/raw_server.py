"""A server that answers with bytes as they are, and writes down what it was asked."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from typing_extensions import override

Answer = Callable[["Asked"], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes


@dataclass(slots=True)
class RawServer:
    """What arrived at a server, and where it listens."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sent(self) -> list[Asked]:
        """The requests that carry a body: what a probe asks is left out."""
        return [one for one in self.asked if one.body]


class _Handler(socketserver.StreamRequestHandler):
    @override
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        with suppress(ConnectionError):
            while line := self.rfile.readline(65_536):
                asked = self._read(line.decode("latin-1"))
                server.state.asked.append(asked)
                for piece in server.answer(asked):
                    self.wfile.write(piece)
                    self.wfile.flush()

    def _read(self, line: str) -> Asked:
        method, path, _ = line.split(" ", 2)
        headers: dict[str, str] = {}
        while (row := self.rfile.readline(65_536).decode("latin-1").strip()) != "":
            name, _, value = row.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding", "") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(headers.get("content-length", "0")))
        return Asked(method, path, headers, body)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().strip(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.state = RawServer(self.server_address[1])


@contextmanager
def raw_server(answer: Answer) -> Iterator[RawServer]:
    """Serve on a port of 127.0.0.1 until the block ends."""
    with _Server(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.state
        finally:
            server.shutdown()
            thread.join()


def whole(
    body: bytes, *, status: str = "200 OK", content_type: str = "application/json", more: str = ""
) -> list[bytes]:
    """A response with its length."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body]


def chunked(
    pieces: Iterable[bytes],
    *,
    status: str = "200 OK",
    content_type: str = "text/event-stream",
    more: str = "",
) -> Iterator[bytes]:
    """A response in chunks, ended in good order."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}"
    yield f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    for piece in pieces:
        if piece:
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
