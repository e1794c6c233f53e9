"""Where a dearer model answers than the row's, its price counts, and the row says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer
from tests.flow.scripted_kind import install, scripted
from tests.flow.support import Row, ask, assert_sound, make_config, open_router, rows

ROWS_PRICE = 10 * 2_500 + 5 * 10_000
"""Of 10 and 5 tokens of ``gpt-4o``, in nano-USD."""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


async def answered_by(server: LoopbackServer, db: Path, served: object, **changes: Any) -> Row:
    """The ledger's row where a server that was asked for ``gpt-4o`` names another model."""
    said = {"finish_reason": "stop", "model_name": served}
    row = scripted(said, "Paris.", **{"model": "openai:gpt-4o", "price": None, **changes})
    config = make_config(server, db, providers=[row], budgets={"total": "1"})
    router = open_router(config, environ={"OPENAI_API_KEY": "sk-test"})
    result = await router.ainvoke(ask())
    (found,) = rows(db)
    assert (result["attempts"][0]["cost_basis"], found["status"]) == (
        *(found["cost_basis"], "answered"),
    )
    assert_sound(db)
    return found


@pytest.mark.parametrize(
    ("served", "nano_usd", "basis"),
    [
        ("gpt-4o-2024-08-06", ROWS_PRICE, "reported"),
        ("gpt-4o-mini", ROWS_PRICE, "reported"),
        ("a-model-of-no-book", ROWS_PRICE, "reported"),
        (7, ROWS_PRICE, "reported"),
        ("gpt-4o-2024-05-13", 10 * 5_000 + 5 * 15_000, "estimated"),
        ("gpt-4-0613", 10 * 30_000 + 5 * 60_000, "estimated"),
    ],
)
async def test_the_dearer_price_counts(
    server: LoopbackServer, db: Path, served: object, nano_usd: int, basis: str
) -> None:
    row = await answered_by(server, db, served)
    assert (row["cost_nano_usd"], row["cost_basis"], row["model"]) == (
        *(nano_usd, basis, "openai:gpt-4o"),
    )


async def test_what_is_above_the_reservation_is_an_overrun_and_a_warning(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = await answered_by(server, db, "gpt-4-0613", max_output_tokens=5)
    assert row["overrun"] == row["cost_nano_usd"] - row["hold_nano_usd"] > 0
    said = [line for line in caplog.messages if line.startswith("provider scripted: ")]
    assert said[0] == (
        "provider scripted: gpt-4-0613 has answered, which is dearer than the row's model:"
        " its price counts"
    )
    assert "above its reservation" in said[1]


@pytest.mark.parametrize("price", ["free", {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}])
async def test_a_price_of_the_row_counts_whatever_answers(
    server: LoopbackServer, db: Path, price: Any
) -> None:
    row = await answered_by(server, db, "gpt-4-0613", price=price)
    assert (row["cost_nano_usd"], row["cost_basis"]) == (
        *(0 if price == "free" else 15_000, "reported"),
    )
