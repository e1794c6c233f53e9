"""One attempt: the node that calls one provider. Everything it knows leaves in its Command."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any, Literal
from uuid import UUID, uuid4

from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.config import get_stream_writer
from langgraph.types import Command

from aegis_graph.config import HealthSpec
from aegis_graph.errors import (
    BadRequestError,
    InvalidRequestError,
    ProviderError,
    ProviderTimeoutError,
)
from aegis_graph.health import Health
from aegis_graph.holds import HoldsInTransit
from aegis_graph.ledger.base import Hold, Ledger, unused_hold
from aegis_graph.money import to_nano_usd, usd_text
from aegis_graph.policy import may_receive
from aegis_graph.prices import most_usd
from aegis_graph.providers.base import Provider
from aegis_graph.request import Request
from aegis_graph.settlement import Bill, Heard
from aegis_graph.state import AttemptRecord, Route, RouterState, SettlementRecord

LEASE_MARGIN_S = 60.0
"""Time beyond an attempt's own limit before its hold counts as lost, in seconds."""

AttemptCommand = Command[Literal["budget_check", "record_cost"]]


def output_cap(provider: Provider, request: Request) -> int:
    """The output cap that is really sent."""
    return request.max_output_tokens or provider.spec.max_output_tokens


def hold_for(provider: Provider, request: Request, route: Route) -> Hold:
    """The reservation that an attempt at this provider needs."""
    spec = provider.spec
    output = provider.output_bound(output_cap(provider, request))
    return Hold(
        route_id=route["id"],
        attempt=len(route["attempts"]) + 1,
        provider=spec.name,
        model=spec.model,
        task=request.task,
        sensitivity=request.sensitivity,
        user_id=request.user_id,
        thread_id=request.thread_id,
        query_hash=request.query_hash,
        nano_usd=to_nano_usd(most_usd(provider.price, request.prompt_tokens, output)),
        lease_s=spec.timeout_s + LEASE_MARGIN_S,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """The node ``attempt_<name>``: call the provider once, and say what came of it."""

    provider: Provider
    ledger: Ledger
    health: Health
    transit: HoldsInTransit
    limits: HealthSpec

    async def run(self, state: RouterState, config: RunnableConfig) -> AttemptCommand:
        """Call the provider under the reservation that ``budget_check`` made."""
        request = Request.of(state, config)
        route = state["route"]
        assert route is not None, "only budget_check leads here, and it writes the route"
        if not may_receive(self.provider.spec, request.sensitivity):
            return self._turn_back(route)
        hold = hold_for(self.provider, request, route)
        hold_id = await self._own_hold(hold, route)
        if hold_id is None:
            return Command(goto="budget_check", update={"route": route})
        call = _Call(self, request, route, config, hold_id, hold.nano_usd)
        return await call.make()

    async def _own_hold(self, hold: Hold, route: Route) -> int | None:
        """The reservation handed over, or a new one when nobody keeps it any more.

        That is so after a breakpoint, and when a crashed run is resumed: the call that it may have
        made has a row of its own, and this one needs another.
        """
        if route["hold_id"] is not None and await self.transit.pick_up(route["hold_id"]):
            return route["hold_id"]
        return (await self.ledger.admit([hold])).hold_id

    def _turn_back(self, route: Route) -> AttemptCommand:
        """Refuse to send private data, whatever led here."""
        name = self.provider.spec.name
        pending = None if route["hold_id"] is None else unused_hold(route["hold_id"])
        onward: Route = {**route, "given_up": [*route["given_up"], name], "pending": pending}
        return Command(goto="budget_check", update={"route": onward})


class _Call:
    """One physical call, from its first byte to its settlement."""

    def __init__(
        self,
        node: Attempt,
        request: Request,
        route: Route,
        config: RunnableConfig,
        hold_id: int,
        hold_nano_usd: int,
    ) -> None:
        self._node = node
        self._spec = node.provider.spec
        self._request = request
        self._route = route
        self._config = config
        self._number = len(route["attempts"]) + 1
        self._run_id: UUID = uuid4()
        self._heard = Heard()
        self._answer: AIMessage | None = None
        self._began = time.monotonic()
        self._cap = output_cap(node.provider, request)
        self._bill = Bill(
            hold_id,
            hold_nano_usd,
            price=node.provider.price,
            prompt_tokens=request.prompt_tokens,
            max_output_tokens=node.provider.output_bound(self._cap),
        )

    async def make(self) -> AttemptCommand:
        """Call, and turn whatever happens into the next step."""
        health, name = self._node.health, self._spec.name
        tell = get_stream_writer()
        tell(self._event("attempt_started"))
        health.begin(name, lease_s=self._spec.timeout_s)
        try:
            answer = await self._ask()
        except ProviderError as error:
            health.failed(name, error, key=self._node.provider.api_key())
            return await self._failed(error, tell)
        except BaseException:
            # The caller is gone, or its own callback raised: either way nobody else is asked.
            self._node.ledger.settle_soon(self._bill.cancelled(self._heard, **self._latency()))
            health.abandoned(name)
            raise
        health.succeeded(name)
        settlement = self._bill.answered(answer, **self._latency())
        await self._node.transit.hand_over(settlement)
        update: dict[str, Any] = {"answer": self._signed(answer, settlement)}
        return self._leave("record_cost", settlement, self._route["reason"], update)

    async def _ask(self) -> AIMessage:
        """The provider's answer; every error of its client becomes one of ours here."""
        provider = self._node.provider
        config = merge_configs(
            self._config,
            {
                "run_id": self._run_id,
                "callbacks": [self._heard],
                "metadata": {"attempt": self._number, "provider": self._spec.name},
            },
        )
        try:
            async with asyncio.timeout(self._spec.timeout_s):
                model = await provider.model()
                self._answer = await model.ainvoke(
                    list(self._request.messages), config, **provider.call_options(self._cap)
                )
        except ProviderError:
            raise
        except InvalidRequestError as error:
            # The client found fault with the request before it sent anything.
            raise BadRequestError(str(error)) from error
        except Exception as error:
            if _raised_by_callback(error):
                raise
            if isinstance(error, TimeoutError):
                text = f"no complete answer within {self._spec.timeout_s:g} s"
                raise ProviderTimeoutError(text, outcome_unknown=True) from error
            raise provider.translate(error) from error
        provider.check_complete(self._answer)
        return self._answer

    async def _failed(
        self, error: ProviderError, tell: Callable[[dict[str, Any]], None]
    ) -> AttemptCommand:
        reason = self._without_key(str(error))
        settlement = self._bill.failed(error, self._answer, self._heard, **self._latency())
        await self._node.transit.hand_over(settlement)
        if self._heard.anything:
            tell({**self._event("attempt_discarded"), "reason": reason})
        if isinstance(error, BadRequestError):
            return self._leave("record_cost", settlement, reason, {}, rejected=True)
        wait_s = self._wait_before_retry(error)
        return self._leave("budget_check", settlement, reason, {}, retry_after_s=wait_s)

    def _wait_before_retry(self, error: ProviderError) -> float | None:
        """Seconds until this provider may be asked again, or ``None`` to ask it no more."""
        tries = sum(row["provider"] == self._spec.name for row in self._route["attempts"])
        # Without a status nobody said that the work was not done: it may be billed.
        if not error.retryable or error.status is None or tries >= self._spec.max_retries:
            return None
        wait_s = error.retry_after_s
        if wait_s is None:
            wait_s = self._spec.retry_wait_s * 2**tries
        return wait_s if wait_s <= self._node.limits.max_retry_wait_s else None

    def _leave(
        self,
        goto: Literal["budget_check", "record_cost"],
        settlement: SettlementRecord,
        reason: str,
        update: dict[str, Any],
        *,
        rejected: bool = False,
        retry_after_s: float | None = None,
    ) -> AttemptCommand:
        route = self._route
        attempts = [*route["attempts"], self._record(settlement, reason)]
        given_up = route["given_up"]
        if goto == "budget_check" and retry_after_s is None:
            given_up = [*given_up, self._spec.name]
        onward: Route = {
            **route,
            "attempts": attempts,
            "given_up": given_up,
            "hold_id": None,
            "pending": settlement,
            "retry_after_s": retry_after_s or 0.0,
            "rejected": rejected,
        }
        return Command(goto=goto, update={**update, "route": onward, "attempts": attempts})

    def _record(self, settlement: SettlementRecord, reason: str) -> AttemptRecord:
        return AttemptRecord(
            attempt=self._number,
            provider=self._spec.name,
            model=self._spec.model,
            status=settlement["status"],
            error_type=settlement["error_type"],
            reason=reason,
            cost_usd=usd_text(settlement["cost_nano_usd"]),
            cost_basis=settlement["cost_basis"],
            latency_ms=settlement["latency_ms"],
        )

    def _signed(self, answer: AIMessage, settlement: SettlementRecord) -> AIMessage:
        """The answer with who gave it and what it cost."""
        facts = {
            "provider": self._spec.name,
            "model": self._spec.model,
            "cost_usd": usd_text(settlement["cost_nano_usd"]),
            "cost_basis": settlement["cost_basis"],
            "route_id": self._route["id"],
            "attempt": self._number,
        }
        return answer.model_copy(
            update={"response_metadata": {**answer.response_metadata, **facts}}
        )

    def _event(self, event: str) -> dict[str, Any]:
        return {
            "event": event,
            "route_id": self._route["id"],
            "attempt": self._number,
            "provider": self._spec.name,
            "model": self._spec.model,
            "message_id": f"lc_run--{self._run_id}",
        }

    def _latency(self) -> dict[str, int]:
        return {"latency_ms": round((time.monotonic() - self._began) * 1000)}

    def _without_key(self, reason: str) -> str:
        """A provider's own error code is foreign text: it may repeat what it was sent."""
        key = self._node.provider.api_key()
        return reason.replace(key, "***") if key else reason


def _raised_by_callback(error: Exception) -> bool:
    """Whether the application's own callback failed, which says nothing about the provider."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__") == ahandle_event.__module__ for frame in frames)
