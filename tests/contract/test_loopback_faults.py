"""What the loopback server puts on the wire, fault by fault, streamed and not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from aegis_graph.testing import Fault, LoopbackServer, Reply, Usage
from aegis_graph.testing.loopback.journal import ProtocolName

PROTOCOLS: tuple[ProtocolName, ...] = ("dashscope", "ollama", "openai")
MESSAGES = [{"role": "user", "content": "Which city?"}]
TEXT_PATH = "/services/aigc/text-generation/generation"
REPLY = Reply("one two three four", input_tokens=8, output_tokens=4)
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@dataclass(frozen=True)
class Raw:
    """What a client without any knowledge of the protocols sees."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool

    def events(self) -> list[Any]:
        """The JSON of each line of a stream, and the text of a line that is not JSON."""
        lines = (line.removeprefix("data:") for line in self.body.decode().splitlines())
        return [_parse(line) for line in lines if line.lstrip().startswith(("{", "[DONE]"))]

    def text(self, protocol: ProtocolName) -> str:
        return "".join(_text(protocol, event) for event in self.events())


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line.strip()


def _text(protocol: ProtocolName, event: Any) -> str:
    if not isinstance(event, dict) or "error" in event or "code" in event:
        return ""
    if protocol == "ollama":
        return str(event["message"]["content"])
    choices = event["choices"] if protocol == "openai" else event["output"]["choices"]
    part = choices[0].get("delta") or choices[0].get("message", {}) if choices else {}
    return str(part.get("content", ""))


def _finish(protocol: ProtocolName, event: Any) -> Any:
    if protocol == "ollama":
        return event.get("done_reason")
    body = event if protocol == "openai" else event["output"]
    return body["choices"][0]["finish_reason"]


def _request(server: LoopbackServer, protocol: ProtocolName, *, stream: bool) -> httpx.Request:
    body: dict[str, Any] = {"model": "m", "messages": MESSAGES, "stream": stream}
    if protocol == "ollama":
        return httpx.Request("POST", f"{server.ollama_url}/api/chat", json=body)
    if protocol == "openai":
        body["stream_options"] = {"include_usage": True}
        return httpx.Request("POST", f"{server.openai_url}/chat/completions", json=body)
    return httpx.Request(
        "POST",
        server.dashscope_url + TEXT_PATH,
        json={"model": "m", "input": {"messages": MESSAGES}, "parameters": {}},
        headers={"X-DashScope-SSE": "enable"} if stream else {},
    )


def ask(server: LoopbackServer, protocol: ProtocolName, *, stream: bool) -> Raw:
    body, cut = b"", False
    with httpx.Client(timeout=60, verify=False) as client:
        response = client.send(_request(server, protocol, stream=stream), stream=True)
        try:
            for data in response.iter_raw():
                body += data
        except httpx.RemoteProtocolError:
            cut = True
        finally:
            response.close()
    server.wait_until_idle()
    return Raw(response.status_code, response.headers, body, cut)


@each_protocol
def test_the_words_leave_one_by_one(server: LoopbackServer, protocol: ProtocolName) -> None:
    server.script(protocol, REPLY)

    raw = ask(server, protocol, stream=True)

    assert raw.text(protocol) == "one two three four"
    (call,) = server.calls()
    assert (call.produced.chunks_sent, call.produced.characters_sent) == (4, 18)
    assert call.produced.usage == Usage(8, 4)
    assert call.produced.completed


ERRORS: Mapping[ProtocolName, object] = {
    "dashscope": {
        "code": "Throttling.RateQuota",
        "message": "slow down",
        "request_id": "loopback-error",
    },
    "ollama": {"error": "slow down"},
    "openai": {
        "error": {
            "message": "slow down",
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    },
}


@each_mode
@each_protocol
def test_status(server: LoopbackServer, protocol: ProtocolName, stream: bool) -> None:
    server.script(protocol, Fault.status(429, retry_after_s=1.5, message="slow down"))

    raw = ask(server, protocol, stream=stream)

    assert (raw.status, raw.headers["retry-after"]) == (429, "1.5")
    assert json.loads(raw.body) == ERRORS[protocol]
    assert server.calls()[0].produced.status == 429


@each_mode
@each_protocol
async def test_hang(server: LoopbackServer, protocol: ProtocolName, stream: bool) -> None:
    server.script(protocol, Fault.hang())
    asking = asyncio.create_task(asyncio.to_thread(ask, server, protocol, stream=stream))
    await asyncio.to_thread(server.wait_for_calls, 1)
    assert server.in_flight == 1

    # It raises where its thread goes on, as it would if it let the call end.
    server.stop()
    assert server.in_flight == 0

    with pytest.raises(httpx.RemoteProtocolError):
        await asking
    (call,) = server.calls()
    assert (call.produced.status, call.produced.disconnected) == (None, False)


@each_protocol
async def test_a_client_that_goes_away_is_noticed(
    server: LoopbackServer, protocol: ProtocolName
) -> None:
    server.script(protocol, Fault.slow_stream(REPLY, 60.0))
    async with httpx.AsyncClient(verify=False) as client:
        response = await client.send(_request(server, protocol, stream=True), stream=True)
        await response.aclose()

    await asyncio.to_thread(server.wait_until_idle)

    (call,) = server.calls()
    assert (call.produced.chunks_sent, call.produced.completed) == (1, False)
    assert call.produced.disconnected


@each_mode
@each_protocol
def test_slow_stream(server: LoopbackServer, protocol: ProtocolName, stream: bool) -> None:
    server.script(protocol, Fault.slow_stream(REPLY, 0.02))
    started = time.monotonic()

    ask(server, protocol, stream=stream)

    assert time.monotonic() - started >= 3 * 0.02
    assert server.calls()[0].produced.completed


@each_protocol
def test_cut_stream(server: LoopbackServer, protocol: ProtocolName) -> None:
    server.script(protocol, Fault.cut(REPLY, after_chunks=2))

    raw = ask(server, protocol, stream=True)

    assert (raw.status, raw.cut, raw.text(protocol)) == (200, True, "one two ")
    produced = server.calls()[0].produced
    assert (produced.chunks_sent, produced.completed, produced.disconnected) == (2, False, False)


@each_protocol
def test_cut_body(server: LoopbackServer, protocol: ProtocolName) -> None:
    server.script(protocol, Fault.cut(REPLY, after_chunks=2))

    raw = ask(server, protocol, stream=False)

    assert (raw.status, raw.cut) == (200, True)
    assert len(raw.body) == int(raw.headers["content-length"]) // 2


@each_mode
@each_protocol
def test_end_early(server: LoopbackServer, protocol: ProtocolName, stream: bool) -> None:
    server.script(protocol, Fault.end_early(REPLY, after_chunks=2))

    raw = ask(server, protocol, stream=stream)

    assert (raw.status, raw.cut, raw.text(protocol)) == (200, False, "one two ")
    assert _finish(protocol, raw.events()[-1]) == ("null" if protocol == "dashscope" else None)
    assert not server.calls()[0].produced.completed


@each_mode
@each_protocol
def test_malformed(server: LoopbackServer, protocol: ProtocolName, stream: bool) -> None:
    server.script(protocol, Fault.malformed(after_chunks=1))

    raw = ask(server, protocol, stream=stream)

    assert (raw.status, raw.cut) == (200, False)
    assert isinstance(raw.events()[-1], str)
    assert raw.text(protocol) == ("piece " if stream else "")


@each_mode
@each_protocol
def test_no_usage(server: LoopbackServer, protocol: ProtocolName, stream: bool) -> None:
    server.script(protocol, Fault.no_usage(REPLY))

    raw = ask(server, protocol, stream=stream)

    assert raw.text(protocol) == "one two three four"
    assert b"eval_count" not in raw.body
    assert b"tokens" not in raw.body
    assert server.calls()[0].produced.usage is None
    assert server.calls()[0].produced.completed


@each_protocol
def test_stream_error(server: LoopbackServer, protocol: ProtocolName) -> None:
    server.script(protocol, Fault.stream_error(REPLY, 2, error_code="DataInspectionFailed"))

    raw = ask(server, protocol, stream=True)

    assert (raw.status, raw.cut) == (200, False)
    error = raw.events()[-1]
    assert raw.text(protocol) == "one two "
    assert "DataInspectionFailed" in json.dumps(error)
    assert ("error" in error) == (protocol != "dashscope")
    assert (b"id:3\nevent:error\n:HTTP_STATUS/400\n" in raw.body) == (protocol == "dashscope")


@each_protocol
def test_stream_error_without_a_stream(server: LoopbackServer, protocol: ProtocolName) -> None:
    server.script(protocol, Fault.stream_error(REPLY, 2))
    assert ask(server, protocol, stream=False).status == 500


@each_mode
@each_protocol
def test_drop(server: LoopbackServer, protocol: ProtocolName, stream: bool) -> None:
    server.script(protocol, Fault.drop())
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        ask(server, protocol, stream=stream)
    assert server.calls()[0].produced.status is None
