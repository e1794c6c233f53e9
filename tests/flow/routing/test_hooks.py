"""The application's own functions in a request's way: what they may change, and what not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from aegis_graph import (
    AttemptRefusedError,
    Candidate,
    HookError,
    NoProviderError,
    OutgoingAttempt,
    RoutedChatModel,
    RoutedLightRAG,
    RouterHandle,
    SettledAttempt,
    create_embeddings,
)
from aegis_graph.errors import ConfigError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.types import SkippedRecord
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    dust_settles,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    read,
    rows,
)
from tests.flow.test_embeddings import embedder

SECRET = "078-05-1120"


def redact(attempt: OutgoingAttempt) -> OutgoingAttempt:
    hidden = [
        one.model_copy(update={"content": one.text.replace(SECRET, "***")})
        for one in attempt.messages
    ]
    return replace(attempt, messages=hidden)


def redact_in_place(attempt: OutgoingAttempt) -> None:
    for message in attempt.messages:
        message.content = message.text.replace(SECRET, "***")


async def redact_later(attempt: OutgoingAttempt) -> OutgoingAttempt:
    await asyncio.sleep(0)
    return redact(attempt)


def sent(server: LoopbackServer) -> list[str]:
    return [str(call.body["messages"][-1]["content"]) for call in server.calls()]


def cloud_only(server: LoopbackServer, db: Path, **sections: Any) -> Any:
    return make_config(server, db, providers=[provider(server, "openai")], **sections)


class TestBeforeAttempt:
    @pytest.mark.parametrize("hook", [redact, redact_in_place, redact_later])
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_what_it_hides_never_leaves_and_stays_in_the_conversation(
        self, server: LoopbackServer, db: Path, hook: Any, streamed: bool
    ) -> None:
        server.always("openai", Reply("It is hers."))
        router = open_router(cloud_only(server, db), before_attempt=hook)
        asked = ask(f"Whose is {SECRET}?")
        if streamed:
            parts = [part async for part in router.astream(asked, stream_mode="values")]
            result = parts[-1]
        else:
            result = await router.ainvoke(asked)
        assert sent(server) == ["Whose is ***?"]
        assert [one.text for one in result["messages"]] == [f"Whose is {SECRET}?", "It is hers."]
        assert_sound(db)

    def test_it_is_in_the_way_of_sync_callers_chat_models_and_handles(
        self, server: LoopbackServer, db: Path
    ) -> None:
        server.always("openai", Reply("It is hers."))
        config = cloud_only(server, db)
        handle = RouterHandle(config, environ=KEYS, before_attempt=redact)
        handle.invoke(ask(SECRET))
        handle.reload(cloud_only(server, db, health={"failures": 7}))
        handle.invoke(ask(SECRET))
        model = RoutedChatModel(router=handle)
        model.invoke(SECRET)
        assert "".join(part.text for part in model.stream(SECRET)) == "It is hers."
        assert sent(server) == ["***"] * 4

    async def test_it_sees_every_physical_call_with_its_hold(
        self, server: LoopbackServer, db: Path
    ) -> None:
        server.script("openai", Fault.status(429), Reply("yes"))
        seen: list[OutgoingAttempt] = []
        row = provider(server, "openai", **flat_price("2"), max_retries=1)
        config = make_config(server, db, providers=[row])
        router = open_router(config, before_attempt=seen.append)
        chosen = {"user_id": "ada", "task": "answer", "run_id": "r1", "tags": {"team": "ads"}}
        await router.ainvoke(ask("Hm?", **chosen))
        assert [(one.provider, one.attempt, one.hold_nano_usd) for one in seen] == [
            ("openai", 1, 2_000_000_000),
            ("openai", 2, 2_000_000_000),
        ]
        one = seen[0]
        assert (one.model, one.location, one.task, one.sensitivity) == (
            *("gpt-4o", "cloud", "answer", "internal"),
        )
        assert (one.user_id, one.run_id, one.max_output_tokens) == ("ada", "r1", 1)
        assert one.tags == {"team": "ads"}
        assert [message.text for message in one.messages] == ["Hm?"]

    @pytest.mark.parametrize("private", ["openai", "dashscope"])
    async def test_a_refused_provider_is_never_asked_and_the_next_one_is(
        self, server: LoopbackServer, db: Path, private: str
    ) -> None:
        server.always("openai", Reply("yes"))
        server.always("dashscope", Reply("yes"))

        def refuse(attempt: OutgoingAttempt) -> None:
            if attempt.provider == private:
                raise AttemptRefusedError("names\na customer")

        chain = [provider(server, private), provider(server, "ollama")]
        server.always("ollama", Reply("yes"))
        router = open_router(make_config(server, db, providers=chain), before_attempt=refuse)
        result = await router.ainvoke(ask())
        assert [call.protocol for call in server.calls()] == ["ollama"]
        assert [(one["provider"], one["code"], one["reason"]) for one in result["skipped"]] == [
            (private, "hook", "names a customer")
        ]
        assert [one["provider"] for one in result["attempts"]] == ["ollama"]
        assert_sound(db)
        assert [row["provider"] for row in made(db)] == ["ollama"]

    async def test_where_all_are_refused_the_error_has_the_reasons(
        self, server: LoopbackServer, db: Path
    ) -> None:
        def refuse(attempt: OutgoingAttempt) -> None:
            raise AttemptRefusedError("not today")

        router = open_router(make_config(server, db), before_attempt=refuse)
        with pytest.raises(NoProviderError, match=r"openai not asked \(not today\)") as caught:
            await router.ainvoke(ask())
        assert {one["code"] for one in caught.value.skipped} == {"hook"}
        assert server.journal == ()
        assert_sound(db)

    @pytest.mark.parametrize(
        ("made_of_it", "problem"),
        [
            (lambda attempt: 1 / 0, "failed: ZeroDivisionError"),
            (lambda attempt: attempt.messages, "returned list; return the attempt, or None"),
            (lambda attempt: replace(attempt, sensitivity="public"), "only the messages"),
            (lambda attempt: attempt.options.update(stop=["a"]), "only the messages"),
            (lambda attempt: replace(attempt, messages=[]), "messages: empty"),
            (lambda attempt: replace(attempt, messages=["a"]), "not a LangChain message"),
        ],
    )
    async def test_one_that_fails_ends_the_request_before_a_byte_is_sent(
        self, server: LoopbackServer, db: Path, made_of_it: Any, problem: str
    ) -> None:
        router = open_router(make_config(server, db), before_attempt=made_of_it)
        with pytest.raises(HookError, match=f"^before_attempt: .*{problem}") as caught:
            await router.ainvoke(ask(SECRET))
        assert SECRET not in str(caught.value)
        assert caught.value.route_id
        assert server.journal == ()
        assert_sound(db)
        assert [row["error_type"] for row in read(db, "SELECT * FROM unanswered")] == ["HookError"]

    async def test_a_prompt_that_outgrows_its_reservation_is_not_sent(
        self, server: LoopbackServer, db: Path
    ) -> None:
        def grow(attempt: OutgoingAttempt) -> OutgoingAttempt:
            return replace(attempt, messages=[HumanMessage("long " * 100)])

        router = open_router(cloud_only(server, db), before_attempt=grow)
        with pytest.raises(NoProviderError, match="larger than its reservation"):
            await router.ainvoke(ask())
        assert server.journal == ()
        assert_sound(db)

    async def test_a_request_cancelled_inside_it_leaves_no_hold(
        self, server: LoopbackServer, db: Path
    ) -> None:
        inside = asyncio.Event()

        async def wait(attempt: OutgoingAttempt) -> None:
            inside.set()
            await asyncio.Event().wait()

        router = open_router(cloud_only(server, db), before_attempt=wait)
        task = asyncio.create_task(router.ainvoke(ask()))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await dust_settles(db)
        assert server.journal == ()
        assert [row["cost_nano_usd"] for row in rows(db)] == [0]

    async def test_it_can_wait_for_a_person_and_holds_no_money_meanwhile(
        self, server: LoopbackServer, db: Path
    ) -> None:
        def approve(attempt: OutgoingAttempt) -> None:
            if interrupt(f"send to {attempt.provider}?") != "yes":
                raise AttemptRefusedError("a person said no")

        server.always("openai", Reply("sent"))
        router = open_router(cloud_only(server, db), before_attempt=approve)
        builder = StateGraph(MessagesState).add_node("llm", router).add_edge(START, "llm")
        graph: Any = builder.compile(checkpointer=MemorySaver())
        thread = {"configurable": {"thread_id": "t"}}
        paused = await graph.ainvoke(ask(), thread)
        assert [one.value for one in paused["__interrupt__"]] == ["send to openai?"]
        await dust_settles(db)
        assert server.journal == ()
        done = await graph.ainvoke(Command(resume="yes"), thread)
        assert done["messages"][-1].text == "sent"
        assert_sound(db)

    async def test_texts_to_embed_are_redacted_too_and_none_may_be_left_out(
        self, server: LoopbackServer, db: Path
    ) -> None:
        row = embedder(server, "dashscope", dimensions=1024)
        config = make_config(server, db, embeddings=[row])
        plain = create_embeddings(config, environ=KEYS)
        redacting = create_embeddings(config, environ=KEYS, before_attempt=redact)
        assert await redacting.aembed_documents([f"Ada {SECRET}", "Paris"]) == (
            await plain.aembed_documents(["Ada ***", "Paris"])
        )
        assert SECRET not in str([call.body for call in server.journal])

        def drop(attempt: OutgoingAttempt) -> OutgoingAttempt:
            return replace(attempt, messages=attempt.messages[1:])

        dropping = create_embeddings(config, environ=KEYS, before_attempt=drop)
        with pytest.raises(HookError, match="2 texts are to be embedded, and 1 were left"):
            await dropping.aembed_documents(["Ada", "Paris"])
        assert_sound(db)

    async def test_lightrag_embeds_what_the_router_it_is_given_redacts(
        self, server: LoopbackServer, db: Path, tmp_path: Path
    ) -> None:
        row = embedder(server, "dashscope", dimensions=1024)
        config = make_config(server, db, embeddings=[row])
        router = open_router(config, before_attempt=redact)
        with RoutedLightRAG(config, working_dir=tmp_path, router=router, environ=KEYS) as rag:
            await rag.embeddings.aembed_query(f"Whose is {SECRET}?")
        assert [call.body["input"]["texts"] for call in server.calls()] == [["Whose is ***?"]]


class TestAfterAttempt:
    async def test_it_sees_each_call_once_when_the_ledger_has_its_cost(
        self, server: LoopbackServer, db: Path
    ) -> None:
        server.script("dashscope", Fault.status(500))
        server.script("openai", Reply("Paris.", input_tokens=9, output_tokens=3))
        seen: list[SettledAttempt] = []

        def look(settled: SettledAttempt) -> None:
            seen.append(settled)
            assert [row for row in rows(db) if row["status"] == "reserved"][1:] == []
            if settled.answer is not None:
                settled.answer.content = "changed"
                assert_sound(db)

        chain = [
            provider(server, "dashscope", max_retries=0),
            provider(server, "openai"),
        ]
        router = open_router(make_config(server, db, providers=chain), after_attempt=look)
        result = await router.ainvoke(ask(user_id="ada", run_id="r1", tags={"team": "ads"}))
        assert result["messages"][-1].text == "Paris."
        assert [one.record for one in seen] == result["attempts"]
        failed, answered = seen
        assert failed.answer is None
        assert (answered.input_tokens, answered.output_tokens, answered.user_id) == (9, 3, "ada")
        assert answered.cost_nano_usd == rows(db)[-1]["cost_nano_usd"]
        assert {one.route_id for one in seen} == {result["route_id"]}
        assert [one.tags for one in seen] == [{"team": "ads"}] * 2

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_what_it_raises_loses_no_paid_answer(
        self, server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture, streamed: bool
    ) -> None:
        def fail(settled: SettledAttempt) -> None:
            raise ValueError(SECRET)

        server.always("openai", Reply("Paris."))
        router = open_router(cloud_only(server, db), after_attempt=fail)
        with caplog.at_level(logging.WARNING, logger="aegis_graph"):
            if streamed:
                modes = ["values", "custom"]
                parts = [part async for part in router.astream(ask(), stream_mode=modes)]
                result = [part for mode, part in parts if mode == "values"][-1]
                events = [part for mode, part in parts if mode == "custom"]
                failure = {"hook": "after_attempt", "error_type": "ValueError"}
                assert {"event": "hook_failed", **failure} in events
            else:
                result = await router.ainvoke(ask())
        assert result["messages"][-1].text == "Paris."
        assert [one.getMessage() for one in caplog.records] == [
            "hook after_attempt failed: ValueError"
        ]
        assert_sound(db)

    async def test_a_call_that_was_not_made_is_none(self, server: LoopbackServer, db: Path) -> None:
        seen: list[SettledAttempt] = []

        def refuse(attempt: OutgoingAttempt) -> None:
            raise AttemptRefusedError("no")

        router = open_router(
            make_config(server, db), before_attempt=refuse, after_attempt=seen.append
        )
        with pytest.raises(NoProviderError):
            await router.ainvoke(ask())
        assert seen == []


class TestPolicy:
    async def test_it_reorders_and_leaves_out_with_a_reason_for_both(
        self, server: LoopbackServer, db: Path
    ) -> None:
        server.always("openai", Reply("yes"))
        seen: list[list[str]] = []

        def dearest_first(
            candidates: Sequence[Candidate], skipped: Sequence[SkippedRecord], request: Any
        ) -> list[Candidate]:
            seen.append([one["provider"] for one in skipped])
            assert request.task == "chat"
            chosen = [one for one in candidates if one.spec.name != "ollama"]
            return [one._replace(reason="our rule") for one in reversed(chosen)]

        router = open_router(make_config(server, db), policy=dearest_first)
        result = await router.ainvoke(ask())
        assert [call.protocol for call in server.calls()] == ["openai"]
        assert result["attempts"][0]["reason"] == "our rule"
        assert [(one["provider"], one["code"]) for one in result["skipped"]] == [
            ("ollama", "policy")
        ]
        assert seen == [[]]

    async def test_it_is_asked_for_each_attempt_and_may_be_async(
        self, server: LoopbackServer, db: Path
    ) -> None:
        server.always("openai", Fault.status(500))
        server.always("dashscope", Reply("yes"))
        seen: list[list[str]] = []

        async def backwards(candidates: Any, skipped: Any, request: Any) -> Any:
            seen.append([one.spec.name for one in candidates])
            return candidates[::-1]

        chain = [
            provider(server, kind, max_retries=0) for kind in ("ollama", "dashscope", "openai")
        ]
        router = open_router(make_config(server, db, providers=chain), policy=backwards)
        result = await router.ainvoke(ask())
        assert [one["provider"] for one in result["attempts"]] == ["openai", "dashscope"]
        assert seen == [["ollama", "dashscope", "openai"], ["ollama", "dashscope"]]

    @pytest.mark.parametrize("level", ["confidential", "pii", "hipaa"])
    async def test_it_cannot_send_private_data_to_a_cloud(
        self, server: LoopbackServer, db: Path, level: str
    ) -> None:
        config = make_config(server, db)
        cloud = Candidate(config.providers[-1], "because")
        router = open_router(config, policy=lambda candidates, skipped, request: [cloud])
        with pytest.raises(HookError, match=r"^policy: 'openai' is no candidate"):
            await router.ainvoke(ask(sensitivity=level))
        assert server.journal == ()
        assert_sound(db)

    @pytest.mark.parametrize(
        ("made_of_it", "problem"),
        [
            (lambda candidates, *_: candidates * 2, "'ollama' is no candidate, or was returned"),
            (lambda *_: None, "returned NoneType"),
            (lambda *_: ["openai"], "returned str among the candidates"),
            (
                lambda candidates, *_: [
                    Candidate(one.spec.model_copy(update={"timeout_s": 1.0}), "")
                    for one in candidates
                ],
                "'ollama' is no candidate",
            ),
            (lambda *_: 1 / 0, "failed: ZeroDivisionError"),
        ],
    )
    async def test_one_that_fails_ends_the_request_with_its_name(
        self, server: LoopbackServer, db: Path, made_of_it: Any, problem: str
    ) -> None:
        router = open_router(make_config(server, db), policy=made_of_it)
        with pytest.raises(HookError, match=f"^policy: {problem}"):
            await router.ainvoke(ask())
        assert server.journal == ()
        assert [row["error_type"] for row in read(db, "SELECT * FROM unanswered")] == ["HookError"]

    async def test_one_that_fails_after_a_paid_attempt_leaves_it_recorded(
        self, server: LoopbackServer, db: Path
    ) -> None:
        server.always("openai", Fault.cut(Reply("half an answer"), after_chunks=1))

        def once(candidates: Any, skipped: Any, request: Any) -> Any:
            if len(candidates) < 2:
                raise RuntimeError
            return candidates

        chain = [provider(server, "openai", max_retries=0), provider(server, "dashscope")]
        router = open_router(make_config(server, db, providers=chain), policy=once)
        with pytest.raises(HookError) as caught:
            await router.ainvoke(ask())
        assert [one["provider"] for one in caught.value.attempts] == ["openai"]
        assert_sound(db)
        assert [row["status"] for row in rows(db)] == ["failed"]

    def test_what_is_no_function_is_refused_at_once(self, server: LoopbackServer, db: Path) -> None:
        with pytest.raises(ConfigError, match=r"^policy: must be a function, not str"):
            open_router(make_config(server, db), policy="cheapest")
