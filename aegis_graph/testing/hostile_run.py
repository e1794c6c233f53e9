"""Asks one kind of provider all hostile responses of its wire, many at once, through one router."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage

from aegis_graph.clock import Clock, utc_now
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import RoutingError
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.routing.router import Router, create_router
from aegis_graph.testing.corpus import HostileResponse
from aegis_graph.testing.corpus.headers import ELSEWHERE
from aegis_graph.testing.corpus.hostile_words import KEY, SECRET
from aegis_graph.testing.loop_clock import LoopClock
from aegis_graph.testing.loopback.journal import Received
from aegis_graph.testing.loopback.replies import RawReply, Reply
from aegis_graph.testing.loopback.server import LoopbackServer
from aegis_graph.testing.provider_cases import KEY_ENV, LIMIT_S, TOOL, WAIT_S

AT_ONCE = 24
"""Requests in flight: enough to keep both sides busy."""
SECOND = "second"
"""Name and model of the provider behind the tested one."""
SECOND_ANSWER = "It is said by another"
_NUMBER = re.compile(r"Case (\d+):")
_PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one request."""

    answer: AIMessage | None = None
    error: Exception | None = None
    route_id: str = ""
    attempts: Sequence[Mapping[str, Any]] = ()
    skipped: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True, kw_only=True)
class HostileOutcomes:
    """A batch of hostile responses, what came of each, and what the ledger has of it."""

    results: dict[str, Result] = field(default_factory=dict)
    """By the response's name; what has no form for the client's call is left out."""
    rows: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """The ledger's rows by route."""
    reasons: Sequence[str] = ()
    """What the ledger keeps of the requests without an answer."""
    strayed: Sequence[Received] = ()
    """Calls that followed a redirect to another origin."""
    unkeyed: int = 0
    """Calls that came without the provider's key."""


class HostileRun:
    """Plays responses to one kind of provider, and asks for each of them once.

    Args:
        row: The provider's row of the configuration, without its address.
        responses: What to play.
        stream: Whether the caller streams.
        second: Whether a sound provider stands behind the tested one.
    """

    def __init__(
        self,
        row: Mapping[str, Any],
        responses: Sequence[HostileResponse],
        *,
        stream: bool,
        second: bool,
    ) -> None:
        self._row = row
        self._responses = responses
        self._stream = stream
        self._second = second
        self._absent: set[str] = set()
        self._elsewhere = ""

    def play(self, folder: Path) -> HostileOutcomes:
        """Ask for every response, with a ledger of its own in the folder."""
        run, wire = HostileOutcomes(), self._responses[0].wire
        with LoopbackServer() as server, LoopbackServer() as elsewhere:
            self._elsewhere = elsewhere.ollama_url.removeprefix("http://")
            server.always(wire, self._step)
            server.always("openai", Reply(SECOND_ANSWER), model=SECOND)
            router = self._open(server, getattr(server, f"{wire}_url"), folder)
            run.results = asyncio.run(self._ask_all(router, server))
            run.strayed = elsewhere.journal
            run.unkeyed = sum(
                KEY not in str(call.headers) for call in server.calls() if call.model != SECOND
            )
        for name in self._absent:
            run.results.pop(name, None)
        _read(folder / "costs.db", run)
        return run

    def _open(self, server: LoopbackServer, address: str, folder: Path) -> Router:
        common = {"price": _PRICE, "location": "cloud", "max_retries": 0, "timeout_s": LIMIT_S}
        rows = [
            {"name": "tested", "base_url": address, "api_key_env": KEY_ENV, **common, **self._row}
        ]
        if self._second:
            there = {"kind": "openai", "model": SECOND, "base_url": server.openai_url}
            rows.append({"name": SECOND, **there, **common})
        config = RouterConfig.model_validate(
            {
                "ledger": {"url": f"sqlite:///{folder / 'costs.db'}"},
                "health": {"failures": 10**6},
                "budgets": [],
                "providers": rows,
            }
        )
        # Every response meets a provider of which nothing bad is remembered.
        ledger = create_ledger(config, clock=utc_now)
        return create_router(
            config, ledger=ledger, clock=_forgetful_clock(), environ={KEY_ENV: KEY}
        )

    async def _ask_all(self, router: Router, server: LoopbackServer) -> dict[str, Result]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def ask(number: int, response: HostileResponse) -> tuple[str, Result]:
            async with limit:
                return response.name, await self._ask(router, number, response)

        asked = asyncio.gather(*itertools.starmap(ask, enumerate(self._responses)))
        if all(one.hangs for one in self._responses):
            await _let_time_pass(server, len(self._responses))
        return dict(await asked)

    async def _ask(self, router: Router, number: int, response: HostileResponse) -> Result:
        request: Any = {"messages": [HumanMessage(f"Case {number}: what is {SECRET}?")]}
        if response.offers_tools:
            request["options"] = {"tools": [dict(TOOL)]}
        last: dict[str, Any] = {}
        try:
            if self._stream:
                async for part in router.astream(request, stream_mode=["messages", "values"]):
                    last = part[1] if part[0] == "values" else last
            else:
                last = await router.ainvoke(request)
        except RoutingError as error:
            return Result(
                error=error, route_id=error.route_id, attempts=error.attempts, skipped=error.skipped
            )
        except Exception as error:  # noqa: BLE001  whatever escapes is what the suite looks for
            return Result(error=error)
        answer = last["messages"][-1]
        return Result(
            answer=answer,
            route_id=answer.response_metadata["route_id"],
            attempts=last["attempts"],
            skipped=last.get("skipped") or (),
        )

    def _step(self, call: Received) -> RawReply | Reply:
        found = _NUMBER.search(json.dumps(call.body))
        assert found is not None, call.body
        response = self._responses[int(found[1])]
        reply = response.reply(streamed=call.streamed)
        if reply is None:
            self._absent.add(response.name)
            return Reply("This response has no such form")
        return self._addressed(reply)

    def _addressed(self, reply: RawReply) -> RawReply:
        pairs = list(reply.headers.items() if isinstance(reply.headers, Mapping) else reply.headers)
        if not any(ELSEWHERE in text for _, text in pairs):
            return reply
        there = [(name, text.replace(ELSEWHERE, self._elsewhere)) for name, text in pairs]
        return replace(reply, headers=there)


async def _let_time_pass(server: LoopbackServer, calls: int) -> None:
    """Let the time limit of calls that hang pass, when all of them have arrived."""
    clock = LoopClock(asyncio.get_running_loop())
    await asyncio.to_thread(server.wait_for_calls, calls, timeout_s=WAIT_S)
    clock.advance(LIMIT_S)


def _forgetful_clock() -> Clock:
    """A clock on which every cooldown is over at the next look."""
    days, start = itertools.count(step=2), utc_now()
    return lambda: start + timedelta(days=next(days))


def _read(file: Path, run: HostileOutcomes) -> None:
    with closing(sqlite3.connect(file, timeout=WAIT_S)) as ledger:
        ledger.row_factory = sqlite3.Row
        for row in ledger.execute("SELECT * FROM requests ORDER BY id"):
            # A hold that was given back unused is no call.
            if (row["status"], row["cost_basis"]) != ("cancelled", "none"):
                run.rows.setdefault(row["route_id"], []).append(dict(row))
        run.reasons = [row[0] for row in ledger.execute("SELECT reasons FROM unanswered")]


def batches(responses: Sequence[HostileResponse]) -> Iterator[tuple[HostileResponse, ...]]:
    """Those that hang apart from the others: they end when time passes."""
    for hanging in (False, True):
        batch = tuple(one for one in responses if one.hangs is hanging)
        if batch:
            yield batch
