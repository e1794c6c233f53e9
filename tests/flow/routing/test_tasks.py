"""Tasks are the caller's own names: budgets, rows and reports go by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_graph import BudgetExceededError
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask, make_config, open_router, provider, rows


async def test_a_name_of_ones_own_has_its_budget_and_its_providers(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("It is."))
    config = make_config(
        server,
        db,
        providers=[provider(server, "openai", tasks=["rerank", "search/query-rewrite"])],
        budgets={"task:rerank": "0"},
    )
    router = open_router(config)
    await router.ainvoke(ask(task="search/query-rewrite"))
    with pytest.raises(BudgetExceededError):
        await router.ainvoke(ask(task="rerank"))
    assert [row["task"] for row in rows(db)] == ["search/query-rewrite"]
