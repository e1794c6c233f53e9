"""What the flow tests share: configurations over a loopback server, and a look into the ledger."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from PIL import Image, ImageDraw

from aegis_graph import RouterConfig, create_router
from aegis_graph.testing import LoopbackServer, Received
from aegis_graph.testing.loopback.journal import ProtocolName

Row = dict[str, Any]

KEYS = {"LOOPBACK_KEY": "sk-loopback-secret"}
KINDS: tuple[ProtocolName, ...] = ("ollama", "dashscope", "openai")
DUST_S = 120.0
"""Generous: how long a test waits for something that has to happen."""

PER_MTOK = 1_000_000
"""At this price per million tokens, one token costs one dollar."""

_DEFAULTS: Mapping[str, Row] = {
    "ollama": {"model": "llama3.2:3b", "location": "local", "price": "free"},
    "dashscope": {"model": "qwen-plus", "location": "cloud", "api_key_env": "LOOPBACK_KEY"},
    "openai": {
        "model": "gpt-4o",
        "location": "cloud",
        "api_key_env": "LOOPBACK_KEY",
        "price": {"input_usd_per_mtok": "2.5", "output_usd_per_mtok": "10"},
    },
}


def provider(server: LoopbackServer, kind: str, **changes: Any) -> Row:
    """A row of the configuration for a provider that the loopback server plays."""
    return {
        "name": kind,
        "kind": kind,
        "base_url": getattr(server, f"{kind}_url"),
        "retry_wait_s": 0,
        **_DEFAULTS[kind],
        **changes,
    }


def drawn(width: int = 320, height: int = 120, *, text: str = "", kind: str = "PNG") -> bytes:
    """An image file with a line of black text on white."""
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).text((20, 20), text, fill="black", font_size=32)
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def flat_price(usd: str, *, tokens: int = 1) -> Row:
    """Changes that make every full answer of so many tokens cost, and hold, exactly so much."""
    per_mtok = f"{float(usd) * PER_MTOK / tokens:f}"
    return {
        "price": {"input_usd_per_mtok": "0", "output_usd_per_mtok": per_mtok},
        "max_output_tokens": tokens,
    }


def make_config(
    server: LoopbackServer,
    db: Path,
    *,
    providers: Sequence[Row] | None = None,
    budgets: Mapping[str, str] | None = None,
    **sections: Any,
) -> RouterConfig:
    """A configuration whose providers are played and whose ledger is a file of the test.

    Args:
        server: Plays the providers of the default chain.
        db: The ledger's file.
        providers: Rows from ``provider``; one of each kind when absent.
        budgets: Monthly limits in USD by scope.
        sections: Further sections, such as ``health``; ``ledger`` adds to the ledger's.
    """
    chain = [provider(server, kind) for kind in KINDS] if providers is None else providers
    limits = [
        {"scope": scope, "window": "month", "limit_usd": limit}
        for scope, limit in (budgets or {}).items()
    ]
    ledger = {"url": f"sqlite:///{db}", **sections.pop("ledger", {})}
    return RouterConfig.model_validate(
        {"ledger": ledger, "providers": chain, "budgets": limits, **sections}
    )


def open_router(config: RouterConfig, **more: Any) -> Any:
    """A router with the keys of the loopback providers."""
    return create_router(config, **{"environ": KEYS, **more})


def ask(text: str = "Which city?", **more: Any) -> Any:
    """A request to the router."""
    return {"messages": [HumanMessage(text)], **more}


def read(db: Path, query: str, *parameters: object) -> list[Row]:
    """Rows of a query on a connection of its own."""
    with closing(sqlite3.connect(db, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query, parameters)]


def rows(db: Path) -> list[Row]:
    """Every row of ``requests`` in order."""
    return read(db, "SELECT * FROM requests ORDER BY id")


def made(db: Path) -> list[Row]:
    """The rows of calls; a hold that was given back unused is none."""
    return [row for row in rows(db) if (row["status"], row["cost_basis"]) != ("cancelled", "none")]


def spent(db: Path, scope: str = "total") -> int:
    """Nano-USD spent in a scope, from the running totals."""
    found = read(db, "SELECT sum(spent_nano_usd) AS usd FROM totals WHERE scope = ?", scope)
    return found[0]["usd"] or 0


def eventually(condition: Callable[[], bool], *, goal: str, timeout_s: float = DUST_S) -> None:
    """Ask again and again until the condition holds, or fail."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {goal}"
        pause.wait(0.005)


def settled(db: Path) -> bool:
    """Whether no hold is open."""
    found = read(db, "SELECT count(*) AS open FROM requests WHERE status = 'reserved'")
    return found == [{"open": 0}]


async def dust_settles(db: Path) -> None:
    """Wait until no hold is open, without blocking the loop."""
    await asyncio.to_thread(eventually, lambda: settled(db), goal="every hold settled")


def assert_sound(db: Path) -> None:
    """No hold is open, and the totals are exactly the sums of the rows, scope by scope."""
    assert [row for row in rows(db) if row["status"] == "reserved"] == []
    sums: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows(db):
        scopes = ("total", *(f"{key}:{row[key]}" for key in ("provider", "model", "task")))
        run = [f"run:{row['run_id']}"] if row["run_id"] else []
        tags = [f"tag:{key}={value}" for key, value in json.loads(row["tags"] or "{}").items()]
        for scope in (*scopes, f"user:{row['user_id']}", *run, *tags):
            sums[scope, row["day"]] += row["cost_nano_usd"]
            counts[scope, row["day"]] += 1
    for total in read(db, "SELECT * FROM totals"):
        key = (total["scope"], total["day"])
        assert total["held_nano_usd"] == 0, total
        assert total["spent_nano_usd"] == sums.pop(key), total
        assert total["calls"] == counts.pop(key), total
    assert (sums.total(), counts.total()) == (0, 0)


def assert_one_row_per_call(db: Path, calls: Sequence[Received]) -> None:
    """Each call that arrived has one row. Holds where providers are named by their protocol."""
    assert Counter(row["provider"] for row in made(db)) == Counter(call.protocol for call in calls)


def assert_rows_of_cancelled_calls(db: Path, calls: Sequence[Received]) -> None:
    """Each call has its row. A row too many is of a call that was cancelled before its first byte.

    Holds where each prompt is ``city <thread_id>?``.
    """
    asked = Counter((call.protocol, _prompt(call.body)) for call in calls)
    kept = Counter((row["provider"], f"city {row['thread_id']}?") for row in made(db))
    assert not asked - kept, "calls without a row"
    unsent = Counter(
        (row["provider"], f"city {row['thread_id']}?")
        for row in made(db)
        if (row["status"], row["cost_basis"]) == ("cancelled", "held")
    )
    assert kept - asked <= unsent, "rows without a call"


def _prompt(body: Row) -> str:
    messages = body["messages"] if "messages" in body else body["input"]["messages"]
    content = messages[0]["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


@contextmanager
def locked(db: Path) -> Iterator[None]:
    """Hold the database's write lock, as another program would."""
    # Entered by the thread that serves a call, and left by the test's.
    shared = sqlite3.connect(db, timeout=30, isolation_level=None, check_same_thread=False)
    with closing(shared) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
