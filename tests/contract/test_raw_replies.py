"""A raw reply goes over the wire to the byte, whatever the client makes of it."""

from __future__ import annotations

import gzip
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from aegis_graph.testing import LoopbackServer, RawReply
from aegis_graph.testing.loopback.replies import EVENT_STREAM, Ending

BODY = b'{"model": "m"}'


def post(server: LoopbackServer) -> httpx.Response:
    url = f"{server.openai_url}/chat/completions"
    return httpx.post(url, content=BODY, verify=False, timeout=60)


def connect(server: LoopbackServer) -> socket.socket:
    """A connection on which one call has been sent."""
    address = urlsplit(server.openai_url)
    connection = socket.create_connection(
        (str(address.hostname), int(str(address.port))), timeout=60
    )
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {len(BODY)}\r\n\r\n"
    connection.sendall(head.encode() + BODY)
    return connection


def bytes_of(server: LoopbackServer) -> bytes:
    """All that the server sends to one call, to the end of the connection."""
    with connect(server) as connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_status_headers_and_body_arrive_as_they_are(server: LoopbackServer) -> None:
    headers = [("Content-Type", "text/html"), ("X-Twice", "1"), ("X-Twice", "\udcff")]
    server.script("openai", RawReply(status=299, headers=headers, body=b"\x00\xff\xfe"))

    assert bytes_of(server) == (
        b"HTTP/1.1 299 Scripted\r\nContent-Type: text/html\r\nX-Twice: 1\r\nX-Twice: \xff\r\n"
        b"Content-Length: 3\r\nConnection: close\r\n\r\n\x00\xff\xfe"
    )


def test_chunks_are_framed_unless_the_headers_say_how(server: LoopbackServer) -> None:
    pieces = (b"data: 1\n", b"\n")
    server.script("openai", RawReply(headers=EVENT_STREAM, chunks=pieces))
    server.script("openai", RawReply(headers={"Content-Length": "99"}, chunks=pieces))

    framed, untouched = bytes_of(server), bytes_of(server)

    assert framed.endswith(b"\r\n\r\n8\r\ndata: 1\n\r\n1\r\n\n\r\n0\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in framed
    assert untouched.endswith(b"\r\n\r\ndata: 1\n\n")
    assert b"chunked" not in untouched


def test_a_compressed_body_is_the_caller_s_own(server: LoopbackServer) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    server.script("openai", RawReply(headers=headers, body=gzip.compress(b'{"a": 1}')))
    server.script("openai", RawReply(headers=headers, body=b"no gzip"))

    assert post(server).json() == {"a": 1}
    with pytest.raises(httpx.DecodingError):
        post(server)


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_an_answer_without_its_end_is_noticed(server: LoopbackServer, ending: Ending) -> None:
    server.script("openai", RawReply(chunks=(b"half",), ending=ending))

    with pytest.raises(httpx.TransportError):
        post(server)

    server.wait_until_idle()
    assert not server.calls()[0].produced.completed


def test_a_reset_is_one(server: LoopbackServer) -> None:
    server.script("openai", RawReply(chunks=(b"half",), ending="reset"))
    with pytest.raises(ConnectionResetError):
        bytes_of(server)


def test_a_reply_that_hangs_waits_for_its_client(server: LoopbackServer) -> None:
    server.script("openai", RawReply(chunks=(b"half",), ending="hang"))
    with connect(server) as connection:
        received = b""
        while b"half" not in received:
            received += connection.recv(65536)
        assert server.in_flight == 1
    server.wait_until_idle()
    assert server.calls()[0].produced.disconnected


def test_the_pieces_come_apart(server: LoopbackServer) -> None:
    server.script("openai", RawReply(chunks=(b"a", b"b"), chunk_interval_s=0.05))
    url = f"{server.openai_url}/chat/completions"
    with httpx.stream("POST", url, content=BODY, verify=False, timeout=60) as response:
        pieces = list(response.iter_raw())
    assert pieces == [b"a", b"b"]
    assert server.calls()[0].produced.completed


def test_a_client_can_call_again_after_a_raw_reply(server: LoopbackServer) -> None:
    server.always("openai", RawReply(body=b"{}"))
    with httpx.Client(verify=False) as client:
        url = f"{server.openai_url}/chat/completions"
        answers = [client.post(url, content=BODY, timeout=60).content for _ in range(3)]
    assert answers == [b"{}"] * 3
