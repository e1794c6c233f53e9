"""One physical call to one provider: its cost, and what it says of the provider's health."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from aegis_graph.errors import ProviderError, ProviderTimeoutError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.error_codes import CODES
from aegis_graph.request.request import Request
from aegis_graph.routing.candidates.experience import past_attempt
from aegis_graph.routing.deadline import Deadline, is_over
from aegis_graph.routing.events import no_writer, stream_writer
from aegis_graph.routing.exchange.attempt_exchange import AttemptExchange
from aegis_graph.routing.exchange.outcome import CallOutcome, attempt_record, signed
from aegis_graph.routing.exchange.retry import retry_wait_s
from aegis_graph.routing.observer import observer_in, retract
from aegis_graph.routing.reservation import bound_of
from aegis_graph.routing.route import AdmittedHold
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.settlement import SettlementCalculator
from aegis_graph.routing.state import RouterState, route_of
from aegis_graph.routing.walking.direct_run import direct_run
from aegis_graph.text.foreign import clean_error
from aegis_graph.types import AttemptRecord, SettlementRecord


class Call:
    """One physical call, from its first byte to its settlement.

    Args:
        services: What all requests share.
        provider: As it is asked.
        request: What is asked.
        state: The request's.
        hold: The attempt's reservation.
        config: The run's configuration.
        is_judged: Whether an answer must pass a check.
        waited_s: How long ago the call was sent, in seconds, where its answer is there already.
    """

    def __init__(
        self,
        services: SharedServices,
        provider: Provider,
        request: Request,
        state: RouterState,
        hold: AdmittedHold,
        config: RunnableConfig,
        *,
        is_judged: bool = False,
        waited_s: float = 0.0,
    ) -> None:
        self._services = services
        self.provider = provider
        self._spec = provider.spec
        # As it is now: what the provider repeats of it is hidden, also after it was replaced.
        self._key = provider.api_key()
        self.request = request
        self._state = state
        self.number = len(state["attempts"]) + 1
        self._is_judged = is_judged
        self._observer = observer_in(config)
        self._bound = bound_of(provider, request)
        self._deadline = Deadline.of(state, request)
        run = direct_run(state)
        self._exchange = AttemptExchange(
            provider,
            request,
            self._observer,
            config,
            rates=services.rates,
            route_id=state["route_id"],
            attempts=state["attempts"],
            output_cap=self._bound.output_cap,
            deadline=self._deadline,
            is_heard=run is None or run.is_heard,
        )
        self.timer, self.recorder = self._exchange.timer, self._exchange.recorder
        self.settlement: SettlementRecord | None = None
        self._began = time.monotonic() - waited_s
        self._answers_before = services.health.answers(provider.asked_as)
        self._queued_ms = hold.get("queued_ms")
        self._admitted_at = datetime.fromisoformat(hold["admitted_at"])
        self._calculator = SettlementCalculator(
            hold,
            self._bound,
            provider.price,
            provider=self._spec.name,
            tier=provider.tier,
            # A method of this object's would keep it, and the prompt, until the next collection.
            first_token_ms=self._exchange.first_token_ms,
            served_price=provider.served_price,
        )

    @property
    def streams(self) -> bool:
        """Whether the answer is asked for in pieces."""
        return self._exchange.streams

    @property
    def answer(self) -> AIMessage | None:
        """What was paid for, also where it was refused then."""
        return self._exchange.answer

    @property
    def output_cap(self) -> int:
        """The output cap that is sent."""
        return self._bound.output_cap

    async def make(self) -> CallOutcome:
        """Call, and say how it ended. Its cost is settled also where the run ends right after."""
        health, name = self._services.health, self.provider.asked_as
        writer = stream_writer()
        if writer is not no_writer:
            writer(self._event("attempt_started"))
        try:
            self._observer.call_started(cast("asyncio.Task[Any]", asyncio.current_task()))
            answer = await self._exchange.answered()
        except ProviderError as error:
            texts = [message.text for message in self.request.messages]
            clean_error(error, key=self._key, prompt=texts, known=CODES)
            again = self._exchange.has_another_form(error)
            # A request that gives little time shows nothing of the provider.
            own_time = is_over(self._deadline) or self.provider.tier is not None
            cut = isinstance(error, ProviderTimeoutError) and own_time
            if again or cut:
                health.abandoned(name)
            else:
                asked, before = self.request.query_hash, self._answers_before
                health.failed(name, error, key=self._key, request=asked, answers_before=before)
            return await self._failed(error, again=again)
        except BaseException as error:
            # The caller is gone, or its own callback raised: either way no other provider is asked.
            # Nothing is awaited here, because a task that was cancelled can be cancelled again.
            if not self._exchange.is_given_up:
                self._services.ledger.settle_soon(self._cut_short(error, "cancelled").settlement)
            raise
        # An answer without any content has sent no piece on yet.
        self.recorder.flush()
        health.succeeded(name)
        self.settlement = settlement = self._calculator.answered(answer, **self._latency())
        # Before anything else: a run that is cancelled after this node still settles the cost.
        await self._services.unclaimed.register(settlement)
        ended = self._ended(settlement, route_of(self._state)["reason"])
        answer = signed(answer, ended.record, self._state["route_id"])
        self._exchange.trace.answered(answer)
        return ended._replace(answer=answer)

    def give_up(self, overtaken_by: str | None) -> CallOutcome:
        """End a call that is not needed any more; its task is to be cancelled after this.

        Args:
            overtaken_by: The provider that answered first; ``None`` where the caller is gone.
        """
        reason = route_of(self._state)["reason"]
        if overtaken_by is not None:
            reason = f"{reason}; {overtaken_by} answered first"
        outcome = self._cut_short(asyncio.CancelledError(), reason)
        self._exchange.is_given_up = True
        return outcome

    def record_so_far(self) -> AttemptRecord:
        """The record that the call would have if it ended now."""
        return self._record(self._cancelled(), route_of(self._state)["reason"])

    def _cut_short(self, error: BaseException, reason: str) -> CallOutcome:
        self.settlement = self._cancelled()
        self._services.health.abandoned(self.provider.asked_as)
        self._exchange.trace.failed(error)
        return self._ended(self.settlement, reason)

    def _cancelled(self) -> SettlementRecord:
        if self._exchange.may_be_billed:
            return self._calculator.cancelled(self.recorder, **self._latency())
        return self._calculator.unsent(**self._latency())

    async def _failed(self, error: ProviderError, *, again: bool) -> CallOutcome:
        settlement = self._calculator.failed(error, self.answer, self.recorder, **self._latency())
        self.settlement = settlement
        await self._services.unclaimed.register(settlement)
        self._exchange.trace.failed(error)
        ended = self._ended(settlement, str(error))
        if self.recorder.has_content:
            event = {**self._event("attempt_discarded"), "reason": str(error)}
            if retract(self._observer, event):
                return ended._replace(broken_off=self.recorder.answer_text)
        if again:
            return ended
        if self.provider.tier is not None and not self._exchange.has_begun:
            # The provider itself is asked at once.
            return ended._replace(exclude=self.provider.asked_as)
        longest_s = self._services.health.spec.max_retry_wait_s
        wait_s = retry_wait_s(error, self._spec, self._state["attempts"], longest_s=longest_s)
        late = self._deadline is not None and (wait_s or 0.0) >= self._deadline.left_s
        # What has begun to answer may bill it, whatever it said in the end.
        if wait_s is None or late or self.recorder.has_content:
            return ended._replace(exclude=self._spec.name)
        return ended._replace(retry_after_s=wait_s)

    def _ended(self, settlement: SettlementRecord, reason: str) -> CallOutcome:
        record, experience = self._record(settlement, reason), self._services.experience
        past = past_attempt(self.request, record, settlement, self._admitted_at)
        if past.cancelled and settlement["cost_basis"] == "none":
            # It was never sent.
            return CallOutcome(record, settlement)
        experience.measure(
            past,
            bound=0 if self.request.has_images else self._bound.input_tokens,
            first_ms=self.timer.first_piece_ms,
            in_pieces=self._exchange.in_pieces,
        )
        # An answer that is yet to be judged may turn out to be a failure.
        if not (past.answered and self._is_judged):
            experience.learn(past)
        return CallOutcome(record, settlement)

    def _record(self, settlement: SettlementRecord, reason: str) -> AttemptRecord:
        task, queued_ms = self.request.task, self._queued_ms
        return attempt_record(task, self.provider, self.number, settlement, reason, queued_ms)

    def _event(self, event: str) -> dict[str, Any]:
        # LangChain names the pieces of an answer after the model's run, so the events can name the
        # message before it exists.
        return {
            "event": event,
            "route_id": self._state["route_id"],
            "attempt": self.number,
            "provider": self._spec.name,
            "model": self._spec.model,
            "message_id": f"lc_run--{self._exchange.run_id}",
        }

    def _latency(self) -> dict[str, int]:
        return {"latency_ms": round((time.monotonic() - self._began) * 1000)}
