"""What a reply looks like on the wire where the clients do not show it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from aegis_graph.testing import LoopbackServer, Reply
from aegis_graph.testing.loopback.journal import ProtocolName

SERVICES = "/api/v1/services/aigc"
SSE = {"X-DashScope-SSE": "enable"}


def post(server: LoopbackServer, path: str, body: Any, **headers: str) -> httpx.Response:
    url = server.ollama_url + path
    return httpx.post(url, json={"model": "m", **body}, headers=headers, verify=False)


@pytest.mark.parametrize(("cap", "finish"), [(8, "length"), (9, "stop"), (-1, "stop")])
@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        ("dashscope", f"{SERVICES}/text-generation/generation"),
        ("ollama", "/api/chat"),
        ("openai", "/v1/chat/completions"),
    ],
)
def test_the_cap_of_the_call_is_a_reason_to_finish(
    server: LoopbackServer, protocol: ProtocolName, path: str, cap: int, finish: str
) -> None:
    server.script(protocol, Reply("long", output_tokens=9))
    caps = {
        "parameters": {"max_tokens": cap},
        "options": {"num_predict": cap},
        "max_completion_tokens": cap,
    }

    answer = post(server, path, {**caps, "stream": False}).json()

    output = answer if protocol == "openai" else answer.get("output")
    said = output["choices"][0]["finish_reason"] if output else answer["done_reason"]
    assert said == finish


def test_dashscope_frames_look_like_alibaba_s(server: LoopbackServer) -> None:
    server.script("dashscope", Reply("a b", input_tokens=5, output_tokens=3))

    answer = post(server, f"{SERVICES}/text-generation/generation", {}, **SSE)

    first, second, last, rest = answer.text.split("\n\n")
    assert rest == ""
    assert first.startswith('id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{"choices":[{')
    assert '"content":"a "},"finish_reason":"null"}' in first
    assert '"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}' in first
    assert '"usage":{"input_tokens":5,"output_tokens":3,"total_tokens":8}' in second
    assert '"content":""},"finish_reason":"stop"}' in last


@pytest.mark.parametrize("headers", [SSE, {"Accept": "text/event-stream"}])
def test_dashscope_s_vision_path_streams_lists(
    server: LoopbackServer, headers: dict[str, str]
) -> None:
    server.script("dashscope", Reply("cat", reasoning="hm"))

    answer = post(server, f"{SERVICES}/multimodal-generation/generation", {}, **headers)

    frames = [line for line in answer.text.splitlines() if line.startswith("data:")]
    bodies = [json.loads(frame.removeprefix("data:")) for frame in frames]
    messages = [body["output"]["choices"][0]["message"] for body in bodies]
    assert [message["content"] for message in messages] == [[], [{"text": "cat"}], []]
    assert messages[0]["reasoning_content"] == "hm"
    assert all("total_tokens" not in body["usage"] for body in bodies)


def test_dashscope_s_vision_path_answers_with_a_list(server: LoopbackServer) -> None:
    server.script("dashscope", Reply("cat"))
    answer = post(server, f"{SERVICES}/multimodal-generation/generation", {}).json()
    assert answer["output"]["choices"][0]["message"]["content"] == [{"text": "cat"}]


def test_openai_sends_usage_only_to_those_who_ask(server: LoopbackServer) -> None:
    server.script("openai", Reply("a b"))

    answer = post(server, "/v1/chat/completions", {"stream": True})

    assert "usage" not in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    assert server.calls()[0].produced.usage is None


def test_ollama_streams_unless_told_not_to(server: LoopbackServer) -> None:
    server.always("ollama", Reply("a b"))

    assert len(post(server, "/api/chat", {}).text.splitlines()) == 3
    assert post(server, "/api/chat", {"stream": False}).json()["message"]["content"] == "a b"
    assert [call.streamed for call in server.calls()] == [True, False]
