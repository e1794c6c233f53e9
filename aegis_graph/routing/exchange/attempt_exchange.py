"""What is sent to a provider's client, and the answer that is heard of it.

Every error of the client becomes a ``ProviderError`` here. What it means for the provider and for
the request is decided in ``call``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from traceback import clear_frames
from uuid import UUID

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig

from aegis_graph.errors import (
    BadRequestError,
    InvalidRequestError,
    ProviderError,
    ProviderTimeoutError,
    UnfitAnswerError,
)
from aegis_graph.providers.answer_check import check_says_something
from aegis_graph.providers.base import Provider
from aegis_graph.providers.http.heard_headers import Listener, headers_heard_by
from aegis_graph.request.request import Request
from aegis_graph.routing.application.gates import FormGate, pass_gate
from aegis_graph.routing.candidates.half_price import attempt_limits
from aegis_graph.routing.candidates.provider_rates import ProviderRates
from aegis_graph.routing.deadline import Deadline, is_over
from aegis_graph.routing.exchange.attempt_timer import AttemptTimer
from aegis_graph.routing.exchange.model_loading import answer_when_loaded
from aegis_graph.routing.exchange.outgoing_call import OutgoingCall
from aegis_graph.routing.exchange.reported_usage import with_whole_usage
from aegis_graph.routing.observer import (
    ChunkEvent,
    RunObserver,
    raised_by_callback,
    without_ambient_callbacks,
)
from aegis_graph.routing.stream_recorder import StreamRecorder
from aegis_graph.routing.tracing.attempt_trace import AttemptTrace
from aegis_graph.types import CUT_OFF, FINISH_REASON, AttemptRecord


class AttemptExchange:
    """One request to a provider, and what came back.

    Args:
        provider: The provider that is asked.
        request: What the caller asks.
        observer: What the caller wants of it while it runs.
        config: The run's configuration.
        rates: Hears how much is left of the provider's limits.
        route_id: The request, as the ledger names it.
        attempts: Those that the request had before.
        output_cap: Most tokens of the answer.
        deadline: When the whole request must have ended.
        is_heard: Whether callbacks or tracers may hear of the run.
    """

    def __init__(
        self,
        provider: Provider,
        request: Request,
        observer: RunObserver,
        config: RunnableConfig,
        *,
        rates: ProviderRates,
        route_id: str,
        attempts: Sequence[AttemptRecord],
        output_cap: int,
        deadline: Deadline | None,
        is_heard: bool = True,
    ) -> None:
        self._provider = provider
        self._request = request
        self._observer = observer
        self._rates = rates
        self._route_id = route_id
        self._deadline = deadline
        number = len(attempts) + 1
        self._outgoing = OutgoingCall(
            provider,
            request,
            observer,
            config,
            number=number,
            output_cap=output_cap,
            is_heard=is_heard,
        )
        self.trace = AttemptTrace(
            observer.run,
            request.sensitivity,
            provider=provider.spec.name,
            model=provider.spec.model,
            number=number,
        )
        self.in_pieces = self._outgoing.streams or provider.streams_whole_answers
        """Whether the answer arrives in pieces, wanted or not."""
        limits = attempt_limits(provider, request, attempts)
        self.timer = AttemptTimer(limits, in_pieces=self.in_pieces, deadline=deadline)
        self.recorder = StreamRecorder(
            on_piece=self.timer.piece_arrived,
            pass_on=self._pass_on if observer.on_event else None,
        )
        self.answer: AIMessage | None = None
        """What was paid for, also where it was refused then."""
        self.is_given_up = False
        """Whether the answer is not needed any more; nothing of it is passed on then."""

    @property
    def streams(self) -> bool:
        """Whether the answer is asked for in pieces."""
        return self._outgoing.streams

    def first_token_ms(self) -> int | None:
        """When the first piece came, where the answer arrives in pieces, in milliseconds."""
        return self.timer.first_piece_ms if self.in_pieces else None

    @property
    def run_id(self) -> UUID:
        """The run under which LangChain sees the model."""
        return self._outgoing.run_id

    @property
    def has_begun(self) -> bool:
        """Whether there is something of an answer."""
        return self.answer is not None or self.recorder.has_content

    @property
    def may_be_billed(self) -> bool:
        """Whether the provider may have done any work so far."""
        # Only a call that never reached the client is sure to cost nothing.
        return self._outgoing.was_sent and not self.timer.is_waiting

    async def answered(self) -> AIMessage:
        """The provider's answer, in the form that the request asks for.

        Raises:
            ProviderError: There is none.
            CancelledError: It was given up.
        """
        try:
            return await self._read(await self._ask())
        finally:
            # Whatever a client makes of its end: it says nothing of the provider.
            if self.is_given_up:
                raise asyncio.CancelledError

    async def _ask(self) -> AIMessage:
        provider = self._provider
        try:
            with (
                provider.in_use(),
                without_ambient_callbacks(self._observer),
                headers_heard_by(self._listener()),
            ):
                # Loading a client takes a second or two, which is not the provider's time.
                model = await provider.model()
                if self._deadline is not None and is_over(self._deadline):
                    raise ProviderTimeoutError(self._deadline.problem)
                self.trace.start(model)
                send = partial(self._outgoing.send, model, self.recorder)
                async with self.timer:
                    self.answer = await answer_when_loaded(send, provider.translate, self.timer)
                    return self.answer
        except ProviderError:
            raise
        except InvalidRequestError as error:
            # The client found fault with the request before it sent anything.
            raise BadRequestError(str(error)) from error
        except Exception as error:
            if raised_by_callback(error):
                raise
            if isinstance(error, TimeoutError) and self.timer.problem:
                raise ProviderTimeoutError(self.timer.problem, outcome_unknown=True) from error
            # The client's frames hold the prompt, and streams that are to be closed in this thread.
            clear_frames(error.__traceback__)
            raise provider.translate(error) from error

    async def _read(self, answer: AIMessage) -> AIMessage:
        """Make sure that an answer is one to this request."""
        provider, request = self._provider, self._request
        self.answer = answer = with_whole_usage(answer, self.recorder)
        provider.accept(answer)
        check_says_something(answer, request.messages)
        provider.check_room(answer, self._outgoing.arguments, request)
        cut = answer.response_metadata.get(FINISH_REASON) == CUT_OFF
        if cut or "response_schema" not in request.options:
            self.recorder.check_calls()
        form = FormGate(self._observer.find_problem)
        if form.is_soon_read(request, answer):
            return form.read(request, answer)
        return await pass_gate(form, request, answer, until=self.timer.ends_at)

    def has_another_form(self, error: ProviderError) -> bool:
        """Whether the provider would send this request differently, now that it was refused."""
        # An answer shows what a server passes over without a word.
        unfit = isinstance(error, UnfitAnswerError)
        if error.outcome_unknown or (self.has_begun and not unfit):
            return False
        # Compared, so that a server that refuses every form is not asked for ever.
        return self._provider.adapt(error) and self._outgoing.would_differ()

    def _listener(self) -> Listener | None:
        """What hears how much is left of the provider's limits, where the row has such limits."""
        spec = self._provider.spec
        if not spec.in_units or self._provider.tier is not None:
            return None
        return partial(self._rates.hear, spec.name)

    def _pass_on(self, chunk: AIMessageChunk) -> None:
        if self._observer.on_event and not self.is_given_up:
            spec = self._provider.spec
            self._observer.on_event(ChunkEvent(chunk, spec.name, spec.model, self._route_id))
