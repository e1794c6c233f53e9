"""Checks of answers: what they see, and that a refused answer is paid and recorded as failed."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, StateGraph

from aegis_graph import (
    AllProvidersFailedError,
    HookError,
    RejectedAnswerError,
    Rejection,
    Request,
    RoutedMessagesState,
    RouterHandle,
    create_embeddings,
)
from aegis_graph.errors import ConfigError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.accept_support import BAD, GOOD, REASON, answer_with, cascade, names_a_city
from tests.flow.support import (
    DUST_S,
    KEYS,
    ask,
    assert_sound,
    dust_settles,
    flat_price,
    make_config,
    open_router,
    provider,
    read,
    rows,
    spent,
)
from tests.flow.test_embeddings import embedder


async def names_a_city_async(request: Request, answer: AIMessage) -> bool | Rejection:
    await asyncio.sleep(0)
    return True if "Paris" in answer.text else Rejection(REASON)


class NamesACity:
    async def __call__(self, request: Request, answer: AIMessage) -> str | None:
        return names_a_city(request, answer)


def open_cascade(server: LoopbackServer, db: Path, accept: Any, **sections: Any) -> Any:
    config = make_config(server, db, providers=cascade(server), **sections)
    return open_router(config, accept=accept)


async def run(router: Any, asked: Any, by: str) -> Any:
    """One request, whose nodes are run by the fast path, LangGraph's engine or in a host."""
    if by == "the fast path":
        return await router.ainvoke(asked)
    if by == "sync":
        return await asyncio.to_thread(router.invoke, asked)
    if by == "the engine":
        return [part async for part in router.astream(asked, stream_mode="values")][-1]
    host = StateGraph(RoutedMessagesState).add_node("llm", router).add_edge(START, "llm").compile()
    return await host.ainvoke(asked)


each_runner = pytest.mark.parametrize("by", ["the fast path", "sync", "the engine", "a host"])


@each_runner
@pytest.mark.parametrize("check", [names_a_city, names_a_city_async, NamesACity()])
async def test_a_refused_answer_is_paid_and_recorded_and_the_next_one_is_asked(
    server: LoopbackServer, db: Path, check: Any, by: str
) -> None:
    answer_with(server, BAD, GOOD)
    result = await run(open_cascade(server, db, {"answer": check}), ask(task="answer"), by)
    assert [one.text for one in result["messages"]] == ["Which city?", GOOD]
    first, second = result["attempts"]
    assert (first["provider"], first["status"], first["error_type"]) == (
        *("ollama", "failed", "RejectedAnswerError"),
    )
    assert (first["reason"], first["cost_usd"], first["cost_basis"]) == (REASON, "1", "reported")
    assert (second["provider"], second["status"], second["error_type"]) == (
        *("openai", "answered", None),
    )
    assert [(row["status"], row["error_type"], row["cost_nano_usd"]) for row in rows(db)] == [
        ("failed", "RejectedAnswerError", 1_000_000_000),
        ("answered", None, 5_000_000_000),
    ]
    assert len({row["query_hash"] for row in rows(db)}) == 1
    assert_sound(db)


@each_runner
async def test_an_accepted_answer_is_the_first_ones(
    server: LoopbackServer, db: Path, by: str
) -> None:
    answer_with(server, GOOD, GOOD)
    result = await run(open_cascade(server, db, {"*": names_a_city}), ask(), by)
    assert result["messages"][-1].text == GOOD
    assert [(one["provider"], one["status"]) for one in result["attempts"]] == [
        ("ollama", "answered")
    ]
    assert spent(db) == 1_000_000_000
    assert_sound(db)


@each_runner
async def test_where_none_is_accepted_the_error_says_why(
    server: LoopbackServer, db: Path, by: str
) -> None:
    answer_with(server, BAD, BAD)
    router = open_cascade(server, db, {"*": names_a_city})
    with pytest.raises(
        AllProvidersFailedError, match=rf"ollama failed \(RejectedAnswerError: {REASON}\); openai"
    ) as caught:
        await run(router, ask(), by)
    assert [(one["provider"], one["reason"]) for one in caught.value.attempts] == [
        ("ollama", REASON),
        ("openai", REASON),
    ]
    assert [row["status"] for row in rows(db)] == ["failed", "failed"]
    [unanswered] = read(db, "SELECT * FROM unanswered")
    assert unanswered["error_type"] == "AllProvidersFailedError"
    assert REASON in unanswered["reasons"]
    assert_sound(db)


async def test_a_check_sees_the_request_and_what_it_does_to_the_answer_is_no_answer(
    server: LoopbackServer, db: Path
) -> None:
    answer_with(server, GOOD, GOOD)
    seen: list[tuple[Request, AIMessage]] = []

    def look(request: Request, answer: AIMessage) -> None:
        seen.append((request, answer))
        answer.content = "changed"

    router = open_cascade(server, db, {"answer": look})
    chosen: Any = {
        "task": "answer",
        "sensitivity": "public",
        "tags": {"team": "ads"},
        "user_id": "ada",
    }
    result = await router.ainvoke(ask(**chosen))
    [(request, answer)] = seen
    assert (request.task, request.sensitivity, request.user_id) == ("answer", "public", "ada")
    assert request.tags == {"team": "ads"}
    assert [one.text for one in request.messages] == ["Which city?"]
    assert answer.response_metadata["provider"] == "ollama"
    assert result["messages"][-1].text == GOOD


async def test_a_refused_provider_is_well_and_not_asked_again_for_this_request_only(
    server: LoopbackServer, db: Path
) -> None:
    answer_with(server, BAD, GOOD)
    router = open_cascade(server, db, {"*": names_a_city}, health={"failures": 1})
    for _ in range(3):
        result = await router.ainvoke(ask())
        assert [one["provider"] for one in result["attempts"]] == ["ollama", "openai"]
    assert [call.protocol for call in server.calls()] == ["ollama", "openai"] * 3
    assert_sound(db)


class TestWhereNoneIsSet:
    async def test_there_is_no_node(self, server: LoopbackServer, db: Path) -> None:
        graph = open_router(make_config(server, db)).get_graph()
        assert "accept" not in graph.nodes
        assert {edge.target for edge in graph.edges if edge.source == "attempt_openai"} == {
            *("budget_check", "record_cost"),
        }

    async def test_the_drawing_shows_it_where_one_is(
        self, server: LoopbackServer, db: Path
    ) -> None:
        graph = open_cascade(server, db, {"answer": names_a_city}).get_graph()
        ends = {
            name: {edge.target for edge in graph.edges if edge.source == name}
            for name in ("attempt_openai", "accept")
        }
        assert ends == {
            "attempt_openai": {"budget_check", "accept", "record_cost"},
            "accept": {"budget_check", "record_cost"},
        }

    @each_runner
    async def test_another_task_is_not_judged(
        self, server: LoopbackServer, db: Path, by: str
    ) -> None:
        answer_with(server, BAD, GOOD)
        router = open_cascade(server, db, {"answer": names_a_city})
        result = await run(router, ask(task="chat"), by)
        assert result["messages"][-1].text == BAD

    async def test_a_tasks_own_check_goes_before_the_one_for_all(
        self, server: LoopbackServer, db: Path
    ) -> None:
        answer_with(server, BAD, GOOD)
        router = open_cascade(server, db, {"*": names_a_city, "chat": lambda request, answer: True})
        assert len((await router.ainvoke(ask(task="chat")))["attempts"]) == 1
        assert len((await router.ainvoke(ask(task="summary")))["attempts"]) == 2


class TestTellingTheModel:
    @pytest.mark.parametrize(
        ("tell_model", "told"),
        [
            (False, "Which city?"),
            (
                True,
                "Which city?\n\nAnother answer was refused: names no city. Answer again without"
                " this fault.",
            ),
        ],
    )
    async def test_the_reason_is_in_the_next_prompt_where_the_check_says_so(
        self, server: LoopbackServer, db: Path, tell_model: bool, told: str
    ) -> None:
        answer_with(server, BAD, GOOD)

        def check(request: Request, answer: AIMessage) -> Rejection | None:
            assert [one.text for one in request.messages] == ["Which city?"]
            return Rejection(REASON, tell_model=tell_model) if answer.text == BAD else None

        result = await open_cascade(server, db, {"*": check}).ainvoke(ask())
        assert [str(one.body["messages"][-1]["content"]) for one in server.calls()] == [
            "Which city?",
            told,
        ]
        assert [one.text for one in result["messages"]] == ["Which city?", GOOD]
        assert len({row["query_hash"] for row in rows(db)}) == 1
        assert_sound(db)

    async def test_its_size_is_reserved_for(self, server: LoopbackServer, db: Path) -> None:
        """Priced by input tokens alone, the second hold is larger by the words that are added."""
        answer_with(server, BAD, GOOD)
        price = {"price": {"input_usd_per_mtok": "1000", "output_usd_per_mtok": "0"}}
        chain = [provider(server, kind, **price) for kind in ("ollama", "openai")]
        held: list[int] = []

        router = open_router(
            make_config(server, db, providers=chain),
            accept={
                "*": lambda request, answer: (
                    Rejection(REASON, tell_model=True) if answer.text == BAD else True
                )
            },
            before_attempt=lambda attempt: held.append(attempt.hold_nano_usd),
        )
        await router.ainvoke(ask())
        added = "\n\nAnother answer was refused: names no city. Answer again without this fault."
        assert held[1] - held[0] == len(added) * 1_000_000

    async def test_before_attempt_sees_and_may_redact_it(
        self, server: LoopbackServer, db: Path
    ) -> None:
        answer_with(server, BAD, GOOD)

        def redact(attempt: Any) -> None:
            for message in attempt.messages:
                message.content = message.text.replace("Ada", "***")

        router = open_router(
            make_config(server, db, providers=cascade(server)),
            accept={
                "*": lambda request, answer: (
                    Rejection("does not name Ada", tell_model=True) if answer.text == BAD else None
                )
            },
            before_attempt=redact,
        )
        await router.ainvoke(ask())
        assert "does not name ***" in str(server.calls()[-1].body["messages"][-1]["content"])

    async def test_behind_a_message_of_parts_it_is_a_part(
        self, server: LoopbackServer, db: Path
    ) -> None:
        answer_with(server, BAD, GOOD)
        router = open_cascade(
            server,
            db,
            {
                "*": lambda _, answer: (
                    Rejection(REASON, tell_model=True) if answer.text == BAD else 1 < 2
                )
            },
        )
        parts: Any = [{"type": "text", "text": "Welche Stadt ist das und warum?"}]
        await router.ainvoke({"messages": [HumanMessage(parts)]})
        [content] = [one.body["messages"][-1]["content"] for one in server.calls()[1:]]
        assert content[0]["text"] == "Welche Stadt ist das und warum?"
        assert content[1]["text"].strip().startswith("Eine andere Antwort wurde abgelehnt")


class TestACheckThatFails:
    @each_runner
    @pytest.mark.parametrize(
        ("made_of_it", "problem"),
        [
            (lambda request, answer: 1 / 0, "failed: ZeroDivisionError"),
            (lambda request, answer: next(iter(())), "failed: RuntimeError"),
            (lambda request, answer: 7, "returned int; return None, True, False"),
            (lambda request, answer: "", "refused an answer without a reason"),
        ],
    )
    async def test_it_ends_the_request_with_one_line_and_the_cost_is_there(
        self, server: LoopbackServer, db: Path, made_of_it: Any, problem: str, by: str
    ) -> None:
        answer_with(server, BAD, GOOD)
        router = open_cascade(server, db, {"*": made_of_it})
        with pytest.raises(HookError, match=rf"^accept .*<lambda>: ({problem})") as caught:
            await run(router, ask(), by)
        assert "\n" not in str(caught.value)
        assert [one["provider"] for one in caught.value.attempts] == ["ollama"]
        assert [row["status"] for row in rows(db)] == ["answered"]
        assert spent(db) == 1_000_000_000
        assert [row["error_type"] for row in read(db, "SELECT * FROM unanswered")] == ["HookError"]
        assert_sound(db)

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_one_that_hangs_ends_with_the_requests_time(
        self, server: LoopbackServer, db: Path, is_async: bool
    ) -> None:
        answer_with(server, BAD, GOOD)
        go_on = threading.Event()

        async def hang(request: Request, answer: AIMessage) -> None:
            await asyncio.Event().wait()

        def hang_in_thread(request: Request, answer: AIMessage) -> None:
            go_on.wait(DUST_S)

        router = open_cascade(server, db, {"*": hang if is_async else hang_in_thread})
        try:
            with pytest.raises(AllProvidersFailedError, match="in time") as caught:
                await router.ainvoke(ask(timeout_s=10))
        finally:
            go_on.set()
        [attempt] = caught.value.attempts
        assert attempt["reason"] == "was not judged within the request's time"
        assert {one["code"] for one in caught.value.skipped} == {"timeout"}
        await dust_settles(db)
        assert spent(db) == 1_000_000_000
        assert_sound(db)

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_one_that_hangs_without_a_time_limit_ends_the_request_in_the_end(
        self, server: LoopbackServer, db: Path, monkeypatch: pytest.MonkeyPatch, is_async: bool
    ) -> None:
        answer_with(server, BAD, GOOD)
        loop, go_on, later = asyncio.get_running_loop(), threading.Event(), [0.0]
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + later[0])

        def ten_minutes_pass() -> None:
            later[0] = 601.0

        async def hang(request: Request, answer: AIMessage) -> None:
            ten_minutes_pass()
            await asyncio.Event().wait()

        def hang_in_thread(request: Request, answer: AIMessage) -> None:
            loop.call_soon_threadsafe(ten_minutes_pass)
            go_on.wait(DUST_S)

        router = open_cascade(server, db, {"*": hang if is_async else hang_in_thread})
        try:
            with pytest.raises(HookError, match=r"^accept .*hang\w*: said nothing within 600 s$"):
                await router.ainvoke(ask())
        finally:
            go_on.set()
        assert [row["status"] for row in rows(db)] == ["answered"]
        assert spent(db) == 1_000_000_000
        assert_sound(db)

    async def test_a_sync_one_that_waits_holds_up_no_other_request(
        self, server: LoopbackServer, db: Path
    ) -> None:
        answer_with(server, GOOD, GOOD)
        waiting, go_on = threading.Event(), threading.Event()

        def wait(request: Request, answer: AIMessage) -> bool:
            waiting.set()
            return go_on.wait(DUST_S)

        router = open_cascade(server, db, {"answer": wait})
        slow = asyncio.ensure_future(router.ainvoke(ask(task="answer")))
        assert await asyncio.to_thread(waiting.wait, DUST_S)
        assert (await router.ainvoke(ask(task="chat")))["messages"][-1].text == GOOD
        assert not slow.done()
        go_on.set()
        assert (await slow)["messages"][-1].text == GOOD
        assert_sound(db)

    @pytest.mark.parametrize(
        ("accept", "problem"),
        [
            ("json", "accept: must name tasks and their checks, not str"),
            ({"answer": 7}, "accept.answer: must be a function, not int"),
            ({"answer": "cheap"}, "accept.answer: no check is named so"),
            ({"a b": "json"}, "accept.a b: is no task"),
            ({"answer": "no_such_module:check"}, "accept.answer: cannot import 'no_such_module"),
            ({"answer": "json:nothing"}, "accept.answer: cannot import 'json:nothing'"),
            ({"answer": "json:__name__"}, "accept.answer: 'json:__name__' is no function"),
        ],
    )
    def test_what_is_none_is_refused_when_the_router_is_built(
        self, server: LoopbackServer, db: Path, accept: Any, problem: str
    ) -> None:
        with pytest.raises(ConfigError, match=f"^{problem}"):
            open_cascade(server, db, accept)


async def test_a_handle_keeps_it_over_a_reload_and_takes_what_the_file_says_of_others(
    server: LoopbackServer, db: Path
) -> None:
    answer_with(server, BAD, GOOD)
    config = make_config(server, db, providers=cascade(server))
    handle = RouterHandle(config, environ=KEYS, accept={"answer": names_a_city})
    named = make_config(server, db, providers=cascade(server), accept={"chat": "json"})
    handle.reload(named)
    assert len((await handle.ainvoke(ask(task="answer")))["attempts"]) == 2
    with pytest.raises(AllProvidersFailedError, match="not one JSON value"):
        await handle.ainvoke(ask(task="chat"))
    wrong = make_config(server, db, providers=cascade(server), accept={"chat": "nowhere:x"})
    with pytest.raises(ConfigError, match="cannot import 'nowhere:x'"):
        handle.reload(wrong)
    handle.reload(config)
    assert len((await handle.ainvoke(ask(task="chat")))["attempts"]) == 1


def test_embeddings_are_no_answers(server: LoopbackServer, db: Path) -> None:
    config = make_config(server, db, embeddings=[embedder(server, "ollama")], accept={"*": "json"})
    assert create_embeddings(config, environ=KEYS).embed_query("a")


async def test_many_threads_at_once(server: LoopbackServer, db: Path) -> None:
    answer_with(server, BAD, GOOD)
    router = open_cascade(server, db, {"*": names_a_city})
    asked = [asyncio.to_thread(router.invoke, ask()) for _ in range(20)]
    results = await asyncio.gather(*asked)
    assert [[one["status"] for one in result["attempts"]] for result in results] == [
        ["failed", "answered"]
    ] * 20
    assert spent(db) == 20 * 6_000_000_000
    assert_sound(db)


async def test_of_two_attempts_at_once_the_one_that_answered_is_judged(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", Fault.hang(), Reply(GOOD, output_tokens=1))
    server.always("dashscope", Reply(BAD, output_tokens=1))
    chain = [provider(server, kind, **flat_price("1")) for kind in ("openai", "dashscope")]
    config = make_config(server, db, providers=chain, routing={"hedge_after_s": 0.02})
    result = await open_router(config, accept={"*": names_a_city}).ainvoke(ask())
    assert [(one["provider"], one["status"]) for one in result["attempts"]] == [
        ("openai", "cancelled"),
        ("dashscope", "failed"),
        ("openai", "answered"),
    ]
    assert (result["attempts"][1]["reason"], result["messages"][-1].text) == (REASON, GOOD)
    assert sorted((row["provider"], row["status"]) for row in rows(db)) == [
        ("dashscope", "failed"),
        ("openai", "answered"),
        ("openai", "cancelled"),
    ]
    assert_sound(db)


async def test_after_attempt_hears_of_a_refused_answer_as_of_any_failed_attempt(
    server: LoopbackServer, db: Path
) -> None:
    answer_with(server, BAD, GOOD)
    seen: list[Any] = []
    router = open_router(
        make_config(server, db, providers=cascade(server)),
        accept={"*": names_a_city},
        after_attempt=seen.append,
    )
    await router.ainvoke(ask())
    assert (seen[0].record["status"], seen[0].record["reason"]) == ("failed", REASON)
    assert [one.answer and one.answer.text for one in seen] == [None, GOOD]
    assert [one.cost_nano_usd for one in seen] == [1_000_000_000, 5_000_000_000]


def test_the_error_is_one_of_answers_that_do_not_fit() -> None:
    error = RejectedAnswerError(REASON, tell_model=True)
    assert (str(error), error.tell_model) == (REASON, True)
    assert json.dumps({"reason": str(error)})
