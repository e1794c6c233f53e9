"""Admit a request's next attempt: the first candidate with room, waited for where that helps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from aegis_graph.ledger.admission_queue import PlaceInLine
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.limits import LimitRefusal, UnitLimit
from aegis_graph.ledger.records import Admission, BudgetRefusal, Hold
from aegis_graph.ledger.scopes import matching_scope
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.request.request import Request
from aegis_graph.routing.candidates.planner import Planner
from aegis_graph.routing.deadline import Deadline, is_over, shortened
from aegis_graph.routing.policy import Candidate, ProviderPlan, out_of_time, passed_over
from aegis_graph.routing.reservation import hold_for
from aegis_graph.routing.route import AdmittedHold, admitted_hold
from aegis_graph.routing.services import SharedServices
from aegis_graph.types import SettlementRecord, SkippedRecord

Settled = Callable[[Sequence[SettlementRecord], Sequence[Alert]], Awaitable[None]]
"""Called once, when the ledger has the attempt before."""


class Admitted(NamedTuple):
    """What became of it."""

    hold: AdmittedHold | None
    """The reservation; ``None`` where no candidate had room."""
    candidate: Candidate | None
    """Of which it is."""
    skipped: list[SkippedRecord]
    """The candidates that had none."""
    free_in_s: float | None
    """When a limit has room again, in seconds, where none was admitted and that is known."""
    full: Sequence[BudgetRefusal] = ()
    """Of every candidate, where budgets and nothing else were in the way."""


class _Wait(NamedTuple):
    """What is waited for."""

    candidate: Candidate
    refusal: LimitRefusal


@dataclass(slots=True)
class NextAttempt:
    """The admission of one attempt. Nothing is reserved while it waits.

    Args:
        planner: Knows the providers.
        services: The ledger, and its queue.
        limits: What an attempt must fit into beside the budgets, by provider.
        request: What is asked.
        route_id: The request's identifier.
        number: Of the attempt.
        deadline: When the request must have ended.
        plan: The candidates, in order.
        waited_s: How long the request has waited for each provider, in seconds; kept up to date.
        may_wait: Whether a provider that is full is waited for; else it is passed over, also where
            others wait for it.
        approval: Of more than the budgets have.
    """

    planner: Planner
    services: SharedServices
    limits: Mapping[str, tuple[UnitLimit, ...]]
    request: Request
    route_id: str
    number: int
    deadline: Deadline | None
    plan: ProviderPlan
    waited_s: dict[str, float]
    may_wait: bool = True
    approval: Approval | None = None
    _given_up: list[tuple[Candidate, LimitRefusal]] = field(default_factory=list)
    _queued_s: float = 0.0

    async def admit(self, settle: Sequence[SettlementRecord], settled: Settled) -> Admitted:
        """Settle what ended, and reserve the first candidate that has room.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        place = self.services.ledger.queue.arrive()
        try:
            while True:
                now = self.services.clock()
                holds = [self._hold(candidate, now) for candidate in self.plan.candidates]
                asked, ahead = self._before_the_full(holds, place)
                admission = Admission(None, None, ())
                if asked or settle or not (ahead or self._given_up):
                    # One transaction: what the last attempt leaves of its hold is free for this.
                    admission = await self.services.ledger.admit(
                        asked, settle=settle, approval=self.approval
                    )
                    await self._tell(admission, settled(settle, admission.alerts))
                    settle = ()
                wait = self._waited_for(asked, admission) or ahead
                if admission.hold_id is not None or wait is None:
                    return self._outcome(holds, admission, now)
                await self._wait(wait, place)
        finally:
            place.leave()

    async def _tell(self, admission: Admission, reported: Awaitable[None]) -> None:
        """Say what the transaction settled and refused, before anything is done with its hold."""
        try:
            await reported
            await self.services.notices.refused(admission.refusals)
        except BaseException:
            # No node will claim it.
            if admission.hold_id is not None:
                self.services.ledger.settle_soon(unused_hold(admission.hold_id))
            raise

    def _hold(self, candidate: Candidate, now: datetime) -> Hold:
        name = candidate.spec.name
        limits = self.limits[name]
        provider = self.planner.provider_of(candidate)
        hold = hold_for(
            provider,
            self.request,
            self.route_id,
            self.number,
            at=now,
            limits=limits,
            expected_nano_usd=candidate.expected_nano_usd,
            whole_s=candidate.wait_s,
        )
        if not limits:
            return hold
        waits = self._left_s(candidate) > 0
        return replace(hold, waits=waits, queued_ms=round(self._queued_s * 1000))

    def _left_s(self, candidate: Candidate) -> float:
        """How long the candidate may still be waited for, in seconds."""
        if not self.may_wait:
            return 0.0
        spec = candidate.spec
        left_s = spec.longest_queue_s - self.waited_s.get(spec.name, 0.0)
        return max(0.0, shortened(left_s, self.deadline))

    def _before_the_full(
        self, holds: Sequence[Hold], place: PlaceInLine
    ) -> tuple[Sequence[Hold], _Wait | None]:
        """The holds up to the first that is known to have no room, and why it has none."""
        for index, hold in enumerate(holds):
            if hold.limits:
                refusal = self._known_refusal(hold, place)
                if refusal is not None:
                    return holds[:index], _Wait(self.plan.candidates[index], refusal)
        return holds, None

    def _known_refusal(self, hold: Hold, place: PlaceInLine) -> LimitRefusal | None:
        """Why the ledger need not be asked: by the provider's word, or for those that wait."""
        stated = self.services.rates.refusal(hold.provider, tokens=hold.tokens)
        if stated is not None or (self.may_wait and not hold.waits):
            return stated
        scopes = hold.scopes()
        names = (matching_scope(limit.scope, scopes) for limit in hold.limits)
        ahead = self.services.ledger.queue.refusal_ahead((name for name in names if name), place)
        return None if ahead is None else replace(ahead, provider=hold.provider)

    async def _wait(self, wait: _Wait, place: PlaceInLine) -> None:
        candidate = wait.candidate
        left_s = self._left_s(candidate)
        if wait.refusal.helps_within(left_s):
            time = asyncio.get_running_loop().time
            began = time()
            try:
                await place.wait(wait.refusal, at_most_s=left_s)
            finally:
                waited_s = time() - began
                self._queued_s += waited_s
                name = candidate.spec.name
                self.waited_s[name] = self.waited_s.get(name, 0.0) + waited_s
            if self._left_s(candidate) > 0:
                return
        self._give_up(candidate, wait.refusal)
        if self.deadline is not None and is_over(self.deadline):
            self.plan = out_of_time(self.plan, self.deadline.problem)

    def _give_up(self, candidate: Candidate, refusal: LimitRefusal) -> None:
        left = [one for one in self.plan.candidates if one is not candidate]
        self._given_up.append((candidate, refusal))
        self.plan = self.plan._replace(candidates=left)

    def _outcome(self, holds: Sequence[Hold], admission: Admission, now: datetime) -> Admitted:
        refused = [
            passed_over(candidate, one.code, self._reason(one))
            for candidate, one in zip(self.plan.candidates, admission.refusals, strict=False)
        ]
        vain = [passed_over(one, "limit", self._reason(refusal)) for one, refusal in self._given_up]
        skipped = [*vain, *refused]
        if admission.hold_id is None or admission.index is None:
            known = [*(refusal.free_in_s for _, refusal in self._given_up), admission.free_in_s]
            free_in_s = min((one for one in known if one is not None), default=None)
            full = [one for one in admission.refusals if isinstance(one, BudgetRefusal)]
            return Admitted(
                None, None, skipped, free_in_s, full if len(full) == len(skipped) else ()
            )
        made = holds[admission.index]
        self.services.rates.take(made.provider, tokens=made.tokens)
        chosen = self.plan.candidates[admission.index]
        hold = admitted_hold(admission.hold_id, made.nano_usd, now, chosen.tier, made.queued_ms)
        return Admitted(hold, chosen, skipped, None)

    def _reason(self, refusal: BudgetRefusal | LimitRefusal) -> str:
        if isinstance(refusal, BudgetRefusal):
            return refusal.reason()
        return refusal.reason(self.waited_s.get(refusal.provider, 0.0))

    def _waited_for(self, asked: Sequence[Hold], admission: Admission) -> _Wait | None:
        """The limit for which the last hold that was looked at waits, if it does."""
        if admission.hold_id is not None or not admission.refusals:
            return None
        refusal, last = admission.refusals[-1], len(admission.refusals) - 1
        if asked[last].waits and isinstance(refusal, LimitRefusal):
            return _Wait(self.plan.candidates[last], refusal)
        return None
