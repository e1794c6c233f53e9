"""Only budgets are in the way: a person is asked for more, and what is allowed counts once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command
from typing_extensions import override

from aegis_graph import (
    BudgetExceededError,
    BudgetQuestion,
    ConfigError,
    LedgerError,
    NoProviderError,
    RoutedChatModel,
    RoutedMessagesState,
    RouterConfig,
    RouterHandle,
    create_ledger,
)
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import Admission, Hold
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.processes import ended, start
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    flat_price,
    make_config,
    open_router,
    provider,
    read,
    rows,
)

ANSWER = Reply("Paris", input_tokens=10, output_tokens=1)
T: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture
def answering(server: LoopbackServer) -> LoopbackServer:
    server.always("openai", ANSWER)
    return server


def config_of(
    server: LoopbackServer,
    db: Path,
    *,
    on_budget: str = "interrupt",
    limit: str = "0.1",
    **more: Any,
) -> RouterConfig:
    """One provider whose answers cost $0.4, and a budget with no room for one."""
    chain = more.pop("providers", [provider(server, "openai", **flat_price("0.4"))])
    return make_config(
        server, db, providers=chain, budgets={"total": limit}, routing={"on_budget": on_budget},
        **more,
    )  # fmt: skip


def raises(db: Path) -> list[dict[str, Any]]:
    return read(db, "SELECT * FROM budget_raises ORDER BY timestamp")


def question_in(result: Any) -> BudgetQuestion:
    (one,) = result["__interrupt__"]
    question: BudgetQuestion = one.value
    return question


def resume(usd: object, **more: Any) -> Command[Any]:
    return Command(resume={"approve_usd": usd, **more})


def host_of(router: Any, saver: Any, state: Any = RoutedMessagesState) -> Any:
    builder = StateGraph(state).add_node("llm", router).add_edge(START, "llm")
    return builder.compile(checkpointer=saver)


async def test_the_run_waits_for_more_and_goes_on_with_it(
    answering: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(answering, db), checkpointer=InMemorySaver())
    question = question_in(await router.ainvoke(ask(user_id="ada"), T))
    assert json.loads(json.dumps(question)) == question
    assert question["text"] == "$0.4 needed, $0.1 left of total/month. Allow how much more?"
    assert (question["needed_usd"], question["lacking_usd"]) == ("0.4", "0.3")
    (candidate,) = question["candidates"]
    until = candidate["budgets"][0]["until"]
    assert until is not None
    assert until.endswith("-01")
    assert candidate == {
        "provider": "openai", "needed_usd": "0.4", "lacking_usd": "0.3",
        "budgets": [
            {"budget": "total", "scope": "total", "window": "month", "limit_usd": "0.1",
             "left_usd": "0.1", "until": until},
        ],
    }  # fmt: skip
    assert not answering.calls()
    assert rows(db) == []
    result = await router.ainvoke(resume("0.3"), T)
    assert result["messages"][-1].content == "Paris"
    assert len(answering.calls()) == 1
    (made,) = raises(db)
    assert (made["nano_usd"], made["approved_by"]) == (300_000_000, "ada")
    assert made["route_id"] == question["route_id"] == result["route_id"]
    assert_sound(db)


def test_a_sync_caller_is_asked_too(answering: LoopbackServer, db: Path) -> None:
    router = open_router(config_of(answering, db), checkpointer=InMemorySaver())
    assert question_in(router.invoke(ask(), T))["lacking_usd"] == "0.3"
    result = router.invoke(resume("0.3", approved_by="eve"), T)
    assert result["messages"][-1].content == "Paris"
    assert raises(db)[0]["approved_by"] == "eve"
    parts = list(router.stream(ask(), {"configurable": {"thread_id": "u"}}))
    assert "__interrupt__" in parts[-1]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"approve_usd": "0"}, "no more was allowed"),
        ({"approve_usd": "0.0000000001"}, "no more was allowed"),
        ({"approve_usd": None}, "no more was allowed: approve_usd: None is not an amount in USD"),
        ("yes", "no more was allowed: approve_usd: 'yes' is not an amount in USD"),
        ({"approve_usd": "-1"}, "approve_usd: '-1' is not an amount in USD"),
        ({"approve_usd": "NaN"}, "approve_usd: 'NaN' is not an amount in USD"),
        ({"approve_usd": True}, "approve_usd: True is not an amount in USD"),
        ({"approve_usd": {"usd": 1}}, "is not an amount in USD"),
        ({"approve_usd": "2000000"}, "approve_usd: 2000000 is more than 1,000,000 USD"),
        ({"approve": "1"}, "the answer has no approve_usd"),
        ([], "is not an amount in USD"),
        ({"approve_usd": "1", "approved_by": 7}, "approved_by: is not text"),
        ({"approve_usd": "1\n2" * 999}, "is not an amount in USD"),
    ],
)
async def test_no_or_nothing_that_can_be_read_refuses_in_one_line(
    answering: LoopbackServer, db: Path, answer: Any, says: str
) -> None:
    router = open_router(config_of(answering, db), checkpointer=InMemorySaver())
    await router.ainvoke(ask(), T)
    with pytest.raises(BudgetExceededError) as refused:
        await router.ainvoke(Command(resume=answer), T)
    line = str(refused.value)
    assert line.startswith("no provider fits into its budget: openai not asked (budget total per")
    assert says in line
    assert "\n" not in line
    assert len(line) < 500
    assert raises(db) == []
    assert not answering.calls()
    (failed,) = read(db, "SELECT reasons FROM unanswered")
    assert failed["reasons"] == line


@pytest.mark.parametrize("answer", ["0.3", 0.3, {"approve_usd": 0.3}, {"approve_usd": "3e-1"}])
async def test_an_amount_may_come_as_a_number_or_alone(
    answering: LoopbackServer, db: Path, answer: Any
) -> None:
    router = open_router(config_of(answering, db), checkpointer=InMemorySaver())
    await router.ainvoke(ask(), T)
    await router.ainvoke(Command(resume=answer), T)
    assert raises(db)[0]["nano_usd"] == 300_000_000


async def test_too_little_counts_and_the_rest_is_asked_for(
    answering: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(answering, db), checkpointer=InMemorySaver())
    await router.ainvoke(ask(), T)
    again = question_in(await router.ainvoke(resume("0.1"), T))
    assert again["text"] == "$0.4 needed, $0.2 left of total/month. Allow how much more?"
    assert (await router.ainvoke(resume("0.2"), T))["messages"][-1].content == "Paris"
    assert [row["nano_usd"] for row in raises(db)] == [100_000_000, 200_000_000]


async def test_a_host_asks_and_what_was_paid_before_is_not_bought_again(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.always("openai", ANSWER)
    server.script("dashscope", Reply("", output_tokens=1))
    config = config_of(
        server, db, limit="0.45",
        providers=[
            provider(server, "dashscope", **flat_price("0.1")),
            provider(server, "openai", **flat_price("0.4")),
        ],
    )  # fmt: skip
    settled: list[str] = []
    hooks = {"after_attempt": lambda one: settled.append(one.record["provider"])}
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        host = host_of(open_router(config, **hooks), saver)
        question = question_in(await host.ainvoke(ask(), T))
        assert [one["provider"] for one in question["candidates"]] == ["openai"]
        assert question["text"].startswith("$0.4 needed, $0.35 left")
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        # Another process goes on.
        host = host_of(open_router(config, **hooks), saver)
        result = await host.ainvoke(resume("0.05"), T)
    assert result["messages"][-1].content == "Paris"
    assert [one["provider"] for one in result["attempts"]] == ["dashscope", "openai"]
    assert settled == ["dashscope", "openai"]
    assert [one.protocol for one in server.calls()] == ["dashscope", "openai"]
    assert_sound(db)


class AnswersLate(SqlLedger):
    """A ledger whose first admission with an approval commits, and then seems to have failed."""

    failed = False

    @override
    async def admit(self, holds: Sequence[Hold], **more: Any) -> Admission:
        admission = await super().admit(holds, **more)
        if more.get("approval") is not None and not self.failed:
            self.failed = True
            raise LedgerError("the connection is lost")
        return admission


async def test_a_run_that_ends_between_the_answer_and_its_use_neither_loses_nor_repeats_it(
    answering: LoopbackServer, db: Path
) -> None:
    config = config_of(answering, db)
    ledger = create_ledger(config)
    ledger.__class__ = AnswersLate
    router = open_router(config, ledger=ledger, checkpointer=InMemorySaver())
    await router.ainvoke(ask(), T)
    with pytest.raises(LedgerError, match="the connection is lost"):
        await router.ainvoke(resume("0.7"), T)
    result = await router.ainvoke(None, T)
    assert result["messages"][-1].content == "Paris"
    # The hold of the first admission is open until its lease ends, as any that a crash leaves.
    assert [row["nano_usd"] for row in raises(db)] == [700_000_000]
    assert [row["status"] for row in rows(db)] == ["reserved", "answered"]


async def test_a_replay_asks_again_and_the_same_question_raises_nothing_more(
    answering: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(answering, db), checkpointer=InMemorySaver())
    question = question_in(await router.ainvoke(ask(), T))
    waiting = await router.aget_state(T)
    await router.ainvoke(resume("0.3"), T)
    # From the checkpoint at which the question stands: the answer to it has been used.
    replayed = await router.ainvoke(None, waiting.config)
    if question_in(replayed)["question_id"] == question["question_id"]:
        replayed = await router.ainvoke(resume("0.3"), T)
    again = question_in(replayed)
    assert again["question_id"] != question["question_id"]
    assert again["text"] == "$0.4 needed, $0 left of total/month. Allow how much more?"
    assert [row["nano_usd"] for row in raises(db)] == [300_000_000]
    assert len(answering.calls()) == 1
    await router.ainvoke(resume("0.4"), T)
    assert [row["nano_usd"] for row in raises(db)] == [300_000_000, 400_000_000]
    assert len(answering.calls()) == 2


async def test_a_stream_ends_with_the_question_and_goes_on_with_the_answer(
    answering: LoopbackServer, db: Path
) -> None:
    host = host_of(open_router(config_of(answering, db)), InMemorySaver())
    modes: Any = ["messages", "updates"]
    parts = [part async for part in host.astream(ask(), T, stream_mode=modes)]
    assert [part for mode, part in parts if mode == "messages"] == []
    assert question_in(parts[-1][1])["lacking_usd"] == "0.3"
    text = ""
    async for mode, part in host.astream(resume("0.3"), T, stream_mode=modes, subgraphs=False):
        text += part[0].content if mode == "messages" else ""
    assert text == "Paris"


async def test_the_envelope_of_a_run_is_raised_for_that_run(
    answering: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(answering, db, limit="9"), checkpointer=InMemorySaver())
    asked = ask(run_id="r", max_cost_usd="0.5")
    await router.ainvoke(asked, T)
    question = question_in(await router.ainvoke(asked, T))
    assert question["text"] == "$0.4 needed, $0.1 left of run:r/total. Allow how much more?"
    assert question["candidates"][0]["budgets"][0]["until"] is None
    assert (await router.ainvoke(resume("0.3"), T))["messages"][-1].content == "Paris"
    assert "__interrupt__" in await router.ainvoke(asked, T)


async def test_a_private_run_is_asked_too(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", Reply("here", output_tokens=1))
    chain = [
        provider(server, "openai", **flat_price("0.4")),
        provider(server, "ollama", **flat_price("0.4")),
    ]
    config = config_of(server, db, providers=chain)
    router = open_router(config, checkpointer=InMemorySaver())
    question = question_in(await router.ainvoke(ask(sensitivity="pii"), T))
    assert [one["provider"] for one in question["candidates"]] == ["ollama"]
    assert (await router.ainvoke(resume("1"), T))["messages"][-1].content == "here"
    assert [row["sensitivity"] for row in rows(db)] == ["pii"]


async def test_nothing_is_asked_where_something_else_is_in_the_way_too(
    answering: LoopbackServer, db: Path
) -> None:
    chain = [
        provider(answering, "openai", **flat_price("0.4")),
        provider(answering, "dashscope", requests_per_minute=1, **flat_price("0.05")),
    ]
    answering.always("dashscope", ANSWER)
    config = config_of(answering, db, providers=chain)
    router = open_router(config, checkpointer=InMemorySaver())
    assert "__interrupt__" not in await router.ainvoke(ask(), T)
    with pytest.raises(BudgetExceededError) as refused:
        await router.ainvoke(ask(), T)
    assert {one["code"] for one in refused.value.skipped} == {"budget", "limit"}
    with pytest.raises(NoProviderError, match="pii data stays on local") as private:
        await router.ainvoke(ask(sensitivity="pii"), T)
    assert not isinstance(private.value, BudgetExceededError)


async def no_provider(router: Any, asked: Any) -> str:
    with pytest.raises(BudgetExceededError) as refused:
        await router.ainvoke(asked, T)
    return str(refused.value)


async def test_where_nothing_can_be_asked_the_error_says_what_would_help(
    answering: LoopbackServer, db: Path
) -> None:
    config = config_of(answering, db)
    helps = 'on_budget = "interrupt" can ask for more where the router'
    assert helps in await no_provider(open_router(config), ask())
    # Kept by no checkpoint, an answer could raise a budget again at each resume.
    forgetful = open_router(config, checkpointer=False)
    assert helps in await no_provider(host_of(forgetful, InMemorySaver()), ask())
    model = RoutedChatModel(router=open_router(config))

    async def call(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    host: Any = host_of(call, InMemorySaver(), MessagesState)
    assert "give create_router(on_budget=) a function" in await no_provider(host, ask())
    assert raises(db) == []


async def test_raise_is_what_happens_without_a_word_and_in_place_of_the_files(
    answering: LoopbackServer, db: Path
) -> None:
    for router in (
        open_router(
            make_config(answering, db, budgets={"total": "0"}), checkpointer=InMemorySaver()
        ),
        open_router(config_of(answering, db), on_budget="raise", checkpointer=InMemorySaver()),
    ):
        edges = {(edge.source, edge.target) for edge in router.get_graph().edges}
        assert ("budget_check", "budget_check") not in edges
    line = await no_provider(router, ask())
    assert line.endswith("left)")


def test_the_drawing_shows_that_budget_check_may_ask(answering: LoopbackServer, db: Path) -> None:
    router = open_router(config_of(answering, db))
    edges = {(edge.source, edge.target) for edge in router.get_graph().edges}
    assert ("budget_check", "budget_check") in edges


def test_what_is_no_choice_is_refused_when_the_router_is_made(
    answering: LoopbackServer, db: Path
) -> None:
    with pytest.raises(ConfigError, match="on_budget: must be a function"):
        open_router(config_of(answering, db), on_budget=7)
    words = "must be a function or one of raise, interrupt, downshift, not str"
    with pytest.raises(ConfigError, match=words):
        open_router(config_of(answering, db), on_budget="ask")


async def test_a_function_answers_where_no_graph_can_wait(
    answering: LoopbackServer, db: Path
) -> None:
    asked: list[str] = []

    async def allow(question: BudgetQuestion) -> dict[str, str]:
        asked.append(question["text"])
        return {"approve_usd": question["lacking_usd"], "approved_by": "a rule"}

    handle = RouterHandle(
        config_of(answering, db, on_budget="raise"), environ=KEYS, on_budget=allow
    )
    assert (await handle.ainvoke(ask()))["messages"][-1].content == "Paris"
    model = RoutedChatModel(router=handle)
    assert (await model.ainvoke("Which city?")).content == "Paris"
    pieces = [chunk.content async for chunk in model.astream([HumanMessage("Which?")])]
    assert "".join(map(str, pieces)) == "Paris"
    assert len(asked) == len(raises(db)) == 3
    assert {row["approved_by"] for row in raises(db)} == {"a rule"}


def test_a_sync_function_may_refuse(answering: LoopbackServer, db: Path) -> None:
    router = open_router(config_of(answering, db), on_budget=lambda _: None)
    with pytest.raises(BudgetExceededError, match="no more was allowed"):
        router.invoke(ask())


class DiesAfterTheCommit(SqlLedger):
    """A ledger whose process is gone when an admission with an approval is committed."""

    @override
    async def admit(self, holds: Sequence[Hold], **more: Any) -> Admission:
        admission = await super().admit(holds, **more)
        if more.get("approval") is not None:
            os._exit(9)
        return admission


def resume_and_die(config: RouterConfig, checkpoints: str, pipe: Connection) -> None:
    async def work() -> None:
        ledger = create_ledger(config)
        ledger.__class__ = DiesAfterTheCommit
        async with AsyncSqliteSaver.from_conn_string(checkpoints) as saver:
            await open_router(config, ledger=ledger, checkpointer=saver).ainvoke(resume("0.7"), T)

    asyncio.run(work())


async def test_a_process_that_is_killed_with_the_answer_leaves_it_to_the_next_one(
    answering: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    config, checkpoints = config_of(answering, db), str(tmp_path / "checkpoints.db")
    async with AsyncSqliteSaver.from_conn_string(checkpoints) as saver:
        await open_router(config, checkpointer=saver).ainvoke(ask(), T)
    process, _ = start(resume_and_die, config, checkpoints)
    assert ended(process) == 9
    assert [row["nano_usd"] for row in raises(db)] == [700_000_000]
    async with AsyncSqliteSaver.from_conn_string(checkpoints) as saver:
        router = open_router(config, checkpointer=saver)
        result = await router.ainvoke(None, T)
        if "__interrupt__" in result:
            # It died before the checkpointer had kept the answer; given again, it counts once.
            result = await router.ainvoke(resume("0.7"), T)
    assert result["messages"][-1].content == "Paris"
    assert [row["nano_usd"] for row in raises(db)] == [700_000_000]
    assert [row["status"] for row in rows(db)] == ["reserved", "answered"]
