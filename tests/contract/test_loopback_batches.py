"""The loopback server takes batches of OpenAI's form and DashScope's, read by OpenAI's client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from aegis_graph.testing import Fault, LoopbackServer, Reply, Usage

ROOTS = ("openai_url", "compatible_url")
each_root = pytest.mark.parametrize("root", ROOTS)


@asynccontextmanager
async def client_of(server: LoopbackServer, root: str = "openai_url") -> AsyncIterator[Any]:
    address = getattr(server, root)
    async with openai.AsyncOpenAI(api_key="k", base_url=address, max_retries=0) as client:
        yield client


def line(key: str, model: str = "m", **changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"city {key}?"}]
    body = {"model": model, "messages": messages, "max_tokens": 5}
    return {
        "custom_id": key,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
        **changes,
    }


async def submit(client: Any, lines: Sequence[Any], **more: Any) -> Any:
    text = "\n".join(json.dumps(one) for one in lines).encode()
    file = await client.files.create(file=("asked.jsonl", text), purpose="batch")
    asked = {"endpoint": "/v1/chat/completions", "completion_window": "24h", **more}
    return await client.batches.create(input_file_id=file.id, **asked)


async def lines_of(client: Any, file_id: str | None) -> dict[str, Any]:
    if file_id is None:
        return {}
    content = await client.files.content(file_id)
    rows = [json.loads(one) for one in content.text.splitlines()]
    return {row["custom_id"]: row for row in rows}


def text_of(row: Any) -> str:
    return str(row["response"]["body"]["choices"][0]["message"]["content"])


@each_root
async def test_a_batch_is_uploaded_answered_and_downloaded(
    server: LoopbackServer, root: str
) -> None:
    server.always("openai", lambda call: Reply(f"to {call.custom_id}", input_tokens=7))
    async with client_of(server, root) as client:
        made = await submit(client, [line("a"), line("b")], metadata={"ds_name": "two"})
        assert (made.status, made.metadata) == ("validating", {"ds_name": "two"})
        assert server.calls() == ()
        done = await client.batches.retrieve(made.id)
        assert (done.status, done.error_file_id) == ("completed", None)
        counts = done.request_counts
        assert (counts.total, counts.completed, counts.failed) == (2, 2, 0)
        rows = await lines_of(client, done.output_file_id)
    assert {key: text_of(row) for key, row in rows.items()} == {"a": "to a", "b": "to b"}
    first, second = server.calls("openai")
    assert (first.batch_id, first.custom_id, second.custom_id) == (made.id, "a", "b")
    assert (first.path, first.model, first.produced.status) == ("/v1/chat/completions", "m", 200)
    assert first.produced.usage == Usage(7, 5)
    assert server.in_flight == 0


async def test_the_ids_of_dashscope_say_what_a_file_is(server: LoopbackServer) -> None:
    server.always("openai", Reply("x"))
    async with client_of(server, "compatible_url") as client:
        made = await submit(client, [line("a")], completion_window="14d")
        done = await client.batches.retrieve(made.id)
    assert done.input_file_id.startswith("file-batch-")
    assert done.output_file_id.startswith("file-batch_output-")


async def test_a_line_that_fails_is_in_the_file_of_errors(server: LoopbackServer) -> None:
    server.script("openai", Fault.status(400, message="no"), Reply("x"), Fault.drop())
    server.script("openai", Fault.no_usage(Reply("y")), Fault.malformed())
    async with client_of(server) as client:
        made = await submit(client, [line(key) for key in "abcde"])
        done = await client.batches.retrieve(made.id)
        wrong = await lines_of(client, done.error_file_id)
        content = (await client.files.content(done.output_file_id)).text.splitlines()
    assert (done.status, set(wrong)) == ("completed", {"a", "c"})
    assert wrong["a"]["response"]["status_code"] == 400
    assert wrong["a"]["response"]["body"]["error"]["message"] == "no"
    assert (wrong["c"]["response"], wrong["c"]["error"]["code"]) == (None, "request_timeout")
    assert "usage" not in json.loads(content[1])["response"]["body"]
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(content[2])
    assert len(server.calls()) == 5
    server.assert_all_used()


async def test_a_line_without_a_step_is_refused_and_remembered(server: LoopbackServer) -> None:
    async with client_of(server) as client:
        made = await submit(client, [line("a")])
        done = await client.batches.retrieve(made.id)
        wrong = await lines_of(client, done.error_file_id)
    assert wrong["a"]["response"]["status_code"] == 501
    with pytest.raises(AssertionError, match="unscripted: line of batch_"):
        server.assert_all_used()


async def test_what_is_left_when_the_time_is_over_was_never_answered(
    server: LoopbackServer,
) -> None:
    server.always("openai", Reply("x"))
    server.hold_batches()
    async with client_of(server) as client:
        made = await submit(client, [line(key) for key in "abc"])
        assert (await client.batches.retrieve(made.id)).status == "in_progress"
        server.run_batches(1)
        assert len(server.calls()) == 1
        server.run_batches(1, expire=True)
        ended = await client.batches.retrieve(made.id)
        answers = await lines_of(client, ended.output_file_id)
        wrong = await lines_of(client, ended.error_file_id)
    assert (ended.status, set(answers)) == ("expired", {"a", "b"})
    assert wrong["c"]["error"]["code"] == "batch_expired"
    assert len(server.calls()) == 2


async def test_a_cancelled_batch_keeps_what_was_answered(server: LoopbackServer) -> None:
    server.always("openai", Reply("x"))
    server.hold_batches()
    async with client_of(server) as client:
        made = await submit(client, [line("a"), line("b")])
        server.run_batches(1)
        assert (await client.batches.cancel(made.id)).status == "cancelling"
        ended = await client.batches.retrieve(made.id)
        answers = await lines_of(client, ended.output_file_id)
        wrong = await lines_of(client, ended.error_file_id)
    assert (ended.status, set(answers), set(wrong)) == ("cancelled", {"a"}, {"b"})
    assert wrong["b"]["error"]["code"] == "batch_cancelled"
    assert server.batches == {made.id: "cancelled"}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([line("a"), line("a")], "duplicate_custom_id"),
        ([line("a"), line("b", model="n")], "mismatched_model"),
        ([line("a", url="/v1/embeddings")], "invalid_url"),
        ([{"custom_id": "a"}], "invalid_url"),
        ([line("a", body={})], "missing_required_parameter"),
        ([], "invalid_request_count"),
    ],
)
async def test_a_file_that_is_wrong_fails_the_batch(
    server: LoopbackServer, lines: Sequence[Any], code: str
) -> None:
    async with client_of(server) as client:
        made = await submit(client, lines)
        failed = await client.batches.retrieve(made.id)
    assert failed.status == "failed"
    assert code in [one.code for one in failed.errors.data]
    assert server.calls() == ()


@pytest.mark.parametrize(
    ("root", "changes"),
    [
        ("openai_url", {"completion_window": "48h"}),
        ("compatible_url", {"completion_window": "15d"}),
        ("openai_url", {"endpoint": "/v1/embeddings"}),
        ("openai_url", {"metadata": {str(number): "x" for number in range(17)}}),
        ("compatible_url", {"metadata": {"ds_name": "x" * 101}}),
    ],
)
async def test_a_batch_that_is_wrong_is_refused(
    server: LoopbackServer, root: str, changes: Any
) -> None:
    async with client_of(server, root) as client:
        with pytest.raises(openai.BadRequestError):
            await submit(client, [line("a")], **changes)


@each_root
async def test_batches_are_listed_in_pages_and_files_are_deleted(
    server: LoopbackServer, root: str
) -> None:
    server.always("openai", Reply("x"))
    async with client_of(server, root) as client:
        made = [await submit(client, [line("a")]) for _ in range(3)]
        listed = [one.id async for one in client.batches.list(limit=2)]
        assert listed == [one.id for one in reversed(made)]
        only = {"input_file_ids": made[0].input_file_id}
        found = await client.batches.list(extra_query=only)
        assert [one.id for one in found.data] == [made[0].id]
        assert len(server.batch_files) == 3
        await client.files.delete(made[0].input_file_id)
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(made[0].input_file_id)
        assert len(server.batch_files) == 2


async def test_an_answer_can_be_lost_that_was_done(server: LoopbackServer) -> None:
    server.always("openai", Reply("x"))
    server.lose_answer("POST", "/v1/batches")
    async with client_of(server) as client:
        with pytest.raises(openai.APIConnectionError):
            await submit(client, [line("a")])
        assert [one.status async for one in client.batches.list()] == ["validating"]
        again = await submit(client, [line("b")])
        assert again.status == "validating"
    await asyncio.to_thread(server.wait_until_idle)
