"""The node ``accept``: what an application's check makes of a complete answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from aegis_graph.errors import HookError, RejectedAnswerError
from aegis_graph.request.request import Request
from aegis_graph.routing.application.checks import AcceptChecks
from aegis_graph.routing.application.gates import CheckGate, pass_gate
from aegis_graph.routing.application.hooks import HookCall
from aegis_graph.routing.candidates.experience import past_attempt
from aegis_graph.routing.deadline import Deadline, kept
from aegis_graph.routing.nodes import RouterNodes
from aegis_graph.routing.observer import keep_answer, observer_in, retract
from aegis_graph.routing.reservation import failed_request
from aegis_graph.routing.route import Route, pending, refused
from aegis_graph.routing.state import RouterState, route_of
from aegis_graph.telemetry.telemetry import watched_request
from aegis_graph.types import AttemptRecord, SettlementRecord

AcceptCommand = Command[Literal["budget_check", "record_cost"]]


@dataclass(frozen=True, slots=True)
class AcceptNode:
    """Hands an answer on that passes its task's check; what is refused is a failed attempt.

    Args:
        nodes: The two nodes around it.
        checks: What an answer must pass, by task.
    """

    nodes: RouterNodes
    checks: AcceptChecks

    async def run(self, state: RouterState, config: RunnableConfig) -> AcceptCommand:
        """Have the answer judged. Until that is done, its settlement is this node's.

        Where calls at a time are limited, it is written before: a check may take long.

        Raises:
            HookError: The check failed. What was spent is recorded; a checkpointer keeps the
                answer, and a resumed run judges it again without buying it again.
        """
        request = self.nodes.read(state, config)
        deadline, unsettled = Deadline.of(state, request), pending(route_of(state))
        services = self.nodes.services
        try:
            for one in unsettled:
                await services.unclaimed.claim(one["hold_id"])
            await self._judge(request, state, config, deadline)
        except RejectedAnswerError as refusal:
            command = await self._refused(refusal, request, state, config)
        except HookError as error:
            failed = failed_request(request, error)
            await self.nodes.settle(unsettled, state, config, failed=failed)
            raise
        except BaseException:
            # As in a call: a task that was cancelled can be cancelled again.
            for one in unsettled:
                services.ledger.settle_soon(one)
            raise
        else:
            command = await self._accepted(request, state, config)
        # For the nodes after this one, where a resumed run begins here.
        return replace(command, update={**cast("RouterState", command.update), **kept(deadline)})

    async def _judge(
        self,
        request: Request,
        state: RouterState,
        config: RunnableConfig,
        deadline: Deadline | None,
    ) -> None:
        check = self.checks.of(request.task)
        # A run that is resumed may find that there is none any more.
        if check is not None:
            attempt, _ = _judged(state)
            if not check.is_own and self._has_slot(attempt["provider"]):
                await self.nodes.free_slot(pending(route_of(state)))
            observer_in(config).call_started(cast("asyncio.Task[Any]", asyncio.current_task()))
            gate = CheckGate(check, HookCall(f"accept {check.name}", state), deadline)
            await pass_gate(gate, request, _answer(state), until=gate.ends_at)

    def _has_slot(self, provider: str) -> bool:
        """Whether others may have to wait until an attempt of this provider is settled."""
        limits = self.nodes.limits.get(provider, ())
        return any(limit.unit == "max_concurrency" for limit in limits)

    async def _accepted(
        self, request: Request, state: RouterState, config: RunnableConfig
    ) -> AcceptCommand:
        route, answer = route_of(state), _answer(state)
        await self._register(route)
        self._learn(request, *_judged(state))
        keep_answer(answer, config)
        return Command(goto="record_cost", update={"route": route, "answer": answer})

    async def _refused(
        self,
        refusal: RejectedAnswerError,
        request: Request,
        state: RouterState,
        config: RunnableConfig,
    ) -> AcceptCommand:
        """The attempt failed after all: it is paid, and its provider is not asked again."""
        route, reason = route_of(state), str(refusal)
        failed = {"status": "failed", "error_type": type(refusal).__name__}
        judged, settlement = _judged(state)
        attempt = cast(AttemptRecord, {**judged, **failed, "reason": reason})
        settlement = cast(SettlementRecord, {**settlement, **failed})
        onward = refused(
            route,
            settlement,
            attempt["provider"],
            tell_model=reason if refusal.tell_model else None,
        )
        await self._register(onward)
        self._learn(request, attempt, settlement)
        if watched := watched_request():
            watched.refuse(settlement, reason)
        ended = self._retract(attempt, state, config)
        if ended:
            onward = {**onward, "broken_off": _answer(state).text}
        attempts = [attempt if one is judged else one for one in state["attempts"]]
        update = {"route": onward, "attempts": attempts}
        return Command(goto="record_cost" if ended else "budget_check", update=update)

    async def _register(self, route: Route) -> None:
        """Leave the settlements to the next node, or to be written if that never runs."""
        for one in pending(route):
            await self.nodes.services.unclaimed.register(one)

    def _retract(self, attempt: AttemptRecord, state: RouterState, config: RunnableConfig) -> bool:
        """Take back what went out of the answer, if anything did; whether that ends the request."""
        observer = observer_in(config)
        if not observer.streams(config):
            return False
        event = {
            "event": "attempt_discarded",
            "route_id": state["route_id"],
            "attempt": attempt["attempt"],
            "provider": attempt["provider"],
            "model": attempt["model"],
            # The pieces had it before the answer was whole.
            "message_id": _answer(state).id,
            "reason": attempt["reason"],
        }
        return retract(observer, event)

    def _learn(
        self, request: Request, attempt: AttemptRecord, settlement: SettlementRecord
    ) -> None:
        services = self.nodes.services
        services.experience.learn(past_attempt(request, attempt, settlement, services.clock()))


def _answer(state: RouterState) -> AIMessage:
    answer = state.get("answer")
    assert answer is not None, "an attempt was answered"
    return answer


def _judged(state: RouterState) -> tuple[AttemptRecord, SettlementRecord]:
    """The attempt that gave the answer, of those of the last step."""
    number, unsettled = _answer(state).response_metadata["attempt"], pending(route_of(state))
    ended = zip(state["attempts"][-len(unsettled) :], unsettled, strict=True)
    return next(pair for pair in ended if pair[0]["attempt"] == number)
