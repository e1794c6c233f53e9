"""A row with a tier at half the price, what it costs, and what was asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from aegis_graph.testing.loop_clock import LoopClock
from tests.flow.support import make_config, provider

PRICE = {
    "input_usd_per_mtok": "2",
    "output_usd_per_mtok": "10",
    "service_tiers": {"flex": {"input_usd_per_mtok": "1", "output_usd_per_mtok": "5"}},
}
FULL = Fault.status(429, error_code="service_tier_capacity_exceeded", message="unavailable")
ANSWER = Reply("It is Ulm.", input_tokens=10, output_tokens=5)
AT_FLEX, AT_DEFAULT = 10 * 1_000 + 5 * 5_000, 10 * 2_000 + 5 * 10_000
"""What that costs, in nano-USD."""


def row(server: LoopbackServer, **changes: Any) -> dict[str, Any]:
    return provider(server, "openai", **{"half_price": True, "price": PRICE, **changes})


def config_of(server: LoopbackServer, db: Path, *chain: dict[str, Any], **sections: Any) -> Any:
    return make_config(server, db, providers=chain or [row(server)], **sections)


def asked(result: Any) -> list[tuple[str, str | None, str]]:
    return [(one["provider"], one.get("tier"), one["status"]) for one in result["attempts"]]


def tiers_sent(server: LoopbackServer) -> list[str | None]:
    return [call.body.get("service_tier") for call in server.calls()]


def hangs(clock: LoopClock, seconds: float) -> Callable[[Received], Fault]:
    """Seconds pass from this call on, in which no answer comes."""

    def step(call: Received) -> Fault:
        clock.advance(seconds)
        return Fault.hang()

    return step
