"""A check does not keep its provider's slot: it is free when the answer is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from aegis_graph import Alert, AllProvidersFailedError, Request, SettledAttempt
from aegis_graph.config.specs import BudgetSpec
from aegis_graph.testing import LoopbackServer
from tests.flow.accept_support import BAD, GOOD, REASON, answer_with, cascade, names_a_city
from tests.flow.support import ask, assert_sound, make_config, open_router, read, rows

ONE_SLOT = [
    ({"max_concurrency": 1, "queue_s": 0}, {}),
    ({}, {"limits": [{"scope": "total", "max_concurrency": 1}]}),
    ({}, {"limits": [{"scope": "user:*", "max_concurrency": 1}]}),
]

each_slot = pytest.mark.parametrize(
    ("changes", "sections"), ONE_SLOT, ids=["the row", "total", "a user"]
)


@each_slot
async def test_a_check_may_ask_the_provider_whose_only_slot_the_answer_had(
    server: LoopbackServer, db: Path, changes: Any, sections: Any
) -> None:
    answer_with(server, GOOD, BAD)
    seen: list[list[tuple[str, int]]] = []

    async def asks_itself(request: Request, answer: AIMessage) -> str | None:
        found = read(db, "SELECT status, cost_nano_usd FROM requests")
        seen.append([(row["status"], row["cost_nano_usd"]) for row in found])
        second = await router.ainvoke(ask(task="chat"))
        return None if second["messages"][-1].text == answer.text else "differs"

    config = make_config(server, db, providers=cascade(server, **changes)[:1], **sections)
    router = open_router(config, accept={"answer": asks_itself})
    result = await router.ainvoke(ask(task="answer"))
    assert result["messages"][-1].text == GOOD
    assert seen == [[("answered", 1_000_000_000)]]
    assert [row["status"] for row in rows(db)] == ["answered", "answered"]
    assert_sound(db)


@each_slot
async def test_what_is_refused_is_paid_once_and_reported_once(
    server: LoopbackServer, db: Path, changes: Any, sections: Any
) -> None:
    answer_with(server, BAD, GOOD)
    alerts: list[Alert] = []
    ended: list[SettledAttempt] = []
    budget = {"scope": "total", "window": "month", "limit_usd": "100", "alert_at": "0.01"}
    config = make_config(server, db, providers=cascade(server, **changes), **sections)
    config = config.model_copy(update={"budgets": (BudgetSpec.model_validate(budget),)})
    router = open_router(
        config,
        accept={"answer": names_a_city},
        on_alert=alerts.append,
        after_attempt=ended.append,
    )
    result = await router.ainvoke(ask(task="answer"))
    assert [(one["status"], one["cost_usd"]) for one in result["attempts"]] == [
        ("failed", "1"),
        ("answered", "5"),
    ]
    assert [one.record for one in ended] == result["attempts"]
    assert [one.spent_nano_usd for one in alerts] == [1_000_000_000]
    assert [(row["status"], row["error_type"], row["cost_nano_usd"]) for row in rows(db)] == [
        ("failed", "RejectedAnswerError", 1_000_000_000),
        ("answered", None, 5_000_000_000),
    ]
    assert_sound(db)


async def test_the_slot_is_free_for_other_requests_while_a_check_waits(
    server: LoopbackServer, db: Path
) -> None:
    answer_with(server, BAD, BAD)

    async def refuses_both(request: Request, answer: AIMessage) -> str:
        # Without a place in the queue: where the slot is taken, it ends in an error.
        other = await router.ainvoke(ask("another?", task="chat"))
        assert other["attempts"][0]["status"] == "answered"
        return REASON

    row = {"max_concurrency": 1, "queue_s": 0}
    config = make_config(server, db, providers=cascade(server, **row))
    router = open_router(config, accept={"answer": refuses_both})
    with pytest.raises(AllProvidersFailedError, match=REASON):
        await router.ainvoke(ask(task="answer"))
    assert [(row["task"], row["provider"], row["status"]) for row in rows(db)] == [
        ("answer", "ollama", "failed"),
        ("chat", "ollama", "answered"),
        ("answer", "openai", "failed"),
        ("chat", "ollama", "answered"),
    ]
    assert_sound(db)
