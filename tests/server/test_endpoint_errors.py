"""What goes wrong at the endpoint has the status, the word and the end that clients understand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from aegis_graph.testing import Fault, Reply
from tests.server.served import Served, serving

ASK: Any = [{"role": "user", "content": "?"}]
WORDS = Reply("one two three four")
CHAT = {"model": "auto", "messages": ASK}


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=served.openai_url, api_key="none", max_retries=0) as made:
        yield made


def refusal(call: Any) -> tuple[int, str, str | None]:
    with pytest.raises(openai.APIStatusError) as refused:
        call()
    body: Any = refused.value.body
    assert set(body) == {"message", "type", "param", "code"}
    return refused.value.status_code, body["code"], body["param"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"functions": []}, "functions"),
        ({"temperature": 9}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": "much"}, "top_p"),
        ({"max_tokens": -1}, "max_output_tokens"),
        ({"stop": [1]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": 1}, "stream_options"),
        ({"messages": []}, "messages"),
        ({"messages": "?"}, "messages"),
        ({"messages": [{"role": "remove", "content": "?"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "file:///etc/hosts"}}
                        ],
                    }
                ]
            },
            None,
        ),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, None),
        ({"metadata": {"sensitivty": "pii"}}, None),
        ({"metadata": {"sensitivity": "secret"}}, "sensitivity"),
        ({"metadata": {"tags": "a"}}, "tags"),
        ({"metadata": {"tags": {"api_key": "other"}}}, "tags"),
        ({"metadata": {"max_cost_usd": "much"}}, "max_cost_usd"),
        ({"metadata": {"timeout_s": "long"}}, "timeout_s"),
        ({"model": ""}, None),
        ({"model": None}, "model"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_asked(
    served: Served, changes: dict[str, Any], param: str | None
) -> None:
    answer = httpx.post(f"{served.openai_url}/chat/completions", json=CHAT | changes)
    error = answer.json()["error"]
    assert answer.status_code in (400, 404)
    assert param is None or error["param"] == param
    assert error["message"]
    assert served.provider.calls() == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"model": "auto", "model": "auto"}',
        b'{"model": "auto", "temperature": NaN}',
        b'{"model": "auto", "temperature": 1e999}',
        b'{"model": "auto", "seed": ' + b"9" * 5000 + b"}",
        b'{"model": "auto", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b'{"a": ' * 150 + b"1" + b"}" * 151,
        rb'{"model": "auto", "messages": [{"role": "user", "content": "\ud800"}]}',
        rb'{"model": "auto", "user": "\u0000", "messages": [{"role": "user", "content": "?"}]}',
    ],
    ids=range(12),
)
def test_odd_json_is_refused(served: Served, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    for path in ("chat/completions", "responses", "embeddings"):
        answer = httpx.post(f"{served.openai_url}/{path}", content=body, headers=headers)
        assert answer.status_code == 400, (path, answer.text)
        assert answer.json()["error"]["type"] == "invalid_request_error"
    assert served.provider.calls() == ()


def test_a_form_is_no_request(served: Served) -> None:
    answer = httpx.post(
        f"{served.openai_url}/chat/completions",
        content=json.dumps(CHAT),
        headers={"content-type": "text/plain"},
    )
    assert answer.status_code == 400


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    create = client.chat.completions.create
    assert refusal(lambda: create(model="gpt-9", messages=ASK)) == (
        404,
        "model_not_found",
        "model",
    )
    embed = client.embeddings.create
    assert refusal(lambda: embed(model="first", input="a"))[:2] == (404, "model_not_found")
    assert refusal(lambda: client.responses.create(model="no", input="a"))[0] == 404


@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_budget_says_payment_required(tmp_path: Path, stream: bool) -> None:
    budgets = [{"scope": "total", "window": "month", "limit_usd": "0"}]
    with serving(tmp_path, budgets=budgets) as served:
        answer = httpx.post(
            f"{served.openai_url}/chat/completions",
            json=CHAT | {"stream": stream, "metadata": {"providers": "first"}},
        )
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (402, "budget_exceeded")
        assert error["type"] == "insufficient_quota"
        assert "budget total per month" in error["message"]
        assert answer.headers["x-should-retry"] == "false"
        assert served.provider.calls() == ()


def test_a_full_limit_says_when_to_come_again(tmp_path: Path) -> None:
    limits = [{"scope": "total", "requests_per_minute": 1}]
    with serving(tmp_path, limits=limits) as served:
        served.provider.always("openai", WORDS)
        url = f"{served.openai_url}/chat/completions"
        assert httpx.post(url, json=CHAT).status_code == 200
        # No wait in the queue, which a slow provider of this machine would get.
        answer = httpx.post(url, json=CHAT | {"model": "gpt-4o"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            429,
            "rate_limit_exceeded",
        )
        assert 1 <= int(answer.headers["retry-after"]) <= 61


@pytest.mark.parametrize("stream", [False, True])
def test_when_all_fail_the_client_does_not_try_again(served: Served, stream: bool) -> None:
    served.provider.always("openai", Fault.status(500))
    with (
        openai.OpenAI(base_url=served.openai_url, api_key="x", max_retries=2) as client,
        pytest.raises(openai.InternalServerError) as failed,
    ):
        client.chat.completions.create(model="auto", messages=ASK, stream=stream)
    assert failed.value.status_code == 503
    assert failed.value.code == "all_providers_failed"
    # Twice each: the router's own retry, and none of the client's.
    assert len(served.provider.calls()) == 6


def test_what_no_provider_may_see_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        url = f"{served.openai_url}/chat/completions"
        answer = httpx.post(
            url, json=CHAT | {"model": "first"}, headers={"x-aegis-sensitivity": "pii"}
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            403,
            "no_private_provider",
        )
        assert served.provider.calls() == ()


def test_an_unknown_header_of_ours_is_refused(served: Served) -> None:
    answer = httpx.post(
        f"{served.openai_url}/chat/completions", json=CHAT, headers={"x-aegis-sensitivty": "pii"}
    )
    assert answer.status_code == 400
    assert "x-aegis-sensitivity" in answer.json()["error"]["message"]


def test_a_stream_that_breaks_off_ends_in_an_error(client: openai.OpenAI, served: Served) -> None:
    served.provider.script(
        "openai", Fault.cut(WORDS, after_chunks=2), Fault.cut(WORDS, after_chunks=2)
    )
    with client.chat.completions.create(model="auto", messages=ASK, stream=True) as stream:
        said = []
        with pytest.raises(openai.APIError) as broken:
            said += [event.choices[0].delta.content for event in stream]
    assert broken.value.code == "stream_interrupted"
    with client.responses.create(model="auto", input="?", stream=True) as events:
        kinds: list[Any] = list(events)
    assert [one.type for one in kinds[-2:]] == ["error", "response.failed"]
    assert kinds[-2].code == "stream_interrupted"
    assert [row["status"] for row in served.rows()] == ["failed", "failed"]


def test_before_the_first_word_the_next_provider_answers(
    client: openai.OpenAI, served: Served
) -> None:
    served.provider.script("openai", Fault.cut(WORDS, after_chunks=0), WORDS)
    with client.chat.completions.create(model="auto", messages=ASK, stream=True) as stream:
        said = [event.choices[0].delta.content or "" for event in stream]
        assert stream.response.headers["x-aegis-provider"] == "second"
    assert "".join(said) == "one two three four"


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
@pytest.mark.parametrize("when", ["before", "within", "whole"])
async def test_a_client_that_hangs_up_cancels_its_attempt(
    tmp_path: Path, when: str, path: str
) -> None:
    slow = Reply("one two three", chunk_interval_s=30)
    body = {"model": "auto", "stream": when != "whole"}
    body |= {"input": "?"} if path == "responses" else {"messages": ASK}
    with serving(tmp_path) as served:
        served.provider.script("openai", slow if when == "within" else Reply("late", latency_s=30))
        async with httpx.AsyncClient(timeout=60) as client:
            first = asyncio.Event()

            async def ask() -> None:
                url = f"{served.openai_url}/{path}"
                async with client.stream("POST", url, json=body) as answer:
                    async for _ in answer.aiter_lines():
                        first.set()

            asking = asyncio.create_task(ask())
            await asyncio.to_thread(served.provider.wait_for_calls, 1)
            if when == "within":
                await first.wait()
            asking.cancel()
            await asyncio.wait([asking])
        await asyncio.to_thread(served.provider.wait_until_idle)
    # The server has ended, and its ledger has written what was queued.
    (row,) = served.rows()
    assert row["status"] == "cancelled"
    # What was sent may be billed: the hold counts, or what was heard of the answer.
    assert row["cost_nano_usd"] > 0
    assert row["cost_basis"] in {"estimated", "held"}
