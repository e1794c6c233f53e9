"""What every kind of provider has to do, as tests that a kind of your own inherits.

The tests ask a real router, with a real ledger, over real HTTP. They need ``pytest`` and nothing
else; nothing outside this module imports it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from aegis_graph.chat.chat_model import RoutedChatModel
from aegis_graph.providers.base import Provider
from aegis_graph.routing.router import Router
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from aegis_graph.testing.embedded_suite import ProviderSuite, each_mode
from aegis_graph.testing.loop_clock import LoopClock
from aegis_graph.testing.loopback.journal import ProtocolName
from aegis_graph.testing.loopback.replies import Step
from aegis_graph.testing.provider_cases import (
    CAP,
    KEY,
    KEY_ECHOES,
    KEY_ENV,
    LIMIT_S,
    PARIS,
    REFUSAL_CASES,
    TOOL,
    UNFINISHED,
    WAIT_S,
    City,
    RequestOutcome,
    ask,
    numbers,
    open_holds,
)
from aegis_graph.types import CUT_OFF, FINISH_REASON

__all__ = ["ProviderSuite", "RemoteProviderSuite"]


class RemoteProviderSuite(ProviderSuite):
    """The tests for a kind that asks a server, over the loopback server.

    Example:
        >>> class TestMine(RemoteProviderSuite):
        ...     facts = {"kind": "openai", "model": "gpt-4o"}
        ...     protocol = "openai"
    """

    protocol: ClassVar[ProtocolName]
    """The protocol that the server is to speak."""
    address: str = ""

    @pytest.fixture(autouse=True)
    def server(self) -> Iterator[LoopbackServer]:
        """A server whose answers the tests script."""
        with LoopbackServer() as running:
            self.address = getattr(running, f"{self.protocol}_url")
            running.always(self.protocol, PARIS)
            yield running

    @override
    def row(self) -> dict[str, Any]:
        """The provider's row of the configuration."""
        there = {"base_url": self.address, "api_key_env": KEY_ENV, "location": "cloud"}
        return {**super().row(), **there, **self.facts}

    def play(self, server: LoopbackServer, step: Step) -> None:
        """Answer every call like this."""
        server.always(self.protocol, step)

    @each_mode
    def test_what_the_provider_counted_is_what_is_recorded(
        self, router: Router, server: LoopbackServer, stream: bool
    ) -> None:
        """The usage is the provider's, and the cost is its price."""
        outcome = asyncio.run(ask(router, self.request(), stream=stream))
        assert outcome.text == PARIS.text
        usage = outcome.message.usage_metadata
        counted = (usage["input_tokens"], usage["output_tokens"])
        assert counted == (PARIS.input_tokens, PARIS.output_tokens)
        # 50 tokens at 1 USD and 6 at 10 USD a million.
        assert outcome.attempts[0]["cost_usd"] == "0.00011"
        (call,) = server.calls()
        # A kind may stream in both modes: only the missing stream is an error.
        assert call.streamed or not stream, "a stream was asked for"

    @each_mode
    def test_the_output_cap_is_sent(
        self, router: Router, server: LoopbackServer, stream: bool
    ) -> None:
        """The reservation is an upper bound only if the provider knows the cap."""
        asyncio.run(ask(router, self.request(max_output_tokens=CAP), stream=stream))
        (call,) = server.calls()
        # By value: each protocol has its own name for the cap.
        assert CAP in list(numbers(call.body)), f"no cap of {CAP} in {call.body}"

    @each_mode
    def test_an_answer_that_the_cap_cut_off_says_so(
        self, router: Router, server: LoopbackServer, stream: bool
    ) -> None:
        """Whatever the protocol calls it, the finish reason is the router's word."""
        self.play(server, Reply("Half an ans", finish_reason="length"))
        outcome = asyncio.run(ask(router, self.request(), stream=stream))
        assert outcome.attempts[0]["status"] == "answered"
        assert outcome.message.response_metadata[FINISH_REASON] == CUT_OFF

    @pytest.mark.parametrize("name", REFUSAL_CASES)
    def test_a_refusal_becomes_the_right_error_and_is_not_retried(
        self, tmp_path: Path, server: LoopbackServer, name: str
    ) -> None:
        """One call, one attempt, the class that the router acts upon, and no invented cost."""
        case = REFUSAL_CASES[name]
        router = self.open_router(tmp_path, timeout_s=LIMIT_S)

        async def refused() -> RequestOutcome:
            clock = LoopClock(asyncio.get_running_loop())

            def play(_: Received) -> Fault:
                # The call has arrived: from here on a provider that hangs is too late.
                if name == "hang":
                    clock.advance(LIMIT_S)
                return case.fault

            self.play(server, play)
            return await ask(router, self.request())

        outcome = asyncio.run(refused())
        (attempt,) = outcome.attempts
        assert (attempt["error_type"], attempt["cost_basis"]) == (case.error, case.basis)
        assert len(server.calls()) == 1, "the client retries by itself"
        assert open_holds(tmp_path) == 0

    @each_mode
    @pytest.mark.parametrize("name", UNFINISHED)
    def test_an_answer_that_does_not_end_is_a_failure_that_may_cost(
        self, router: Router, server: LoopbackServer, tmp_path: Path, name: str, stream: bool
    ) -> None:
        """Half an answer is never given out as one, and never free."""
        self.play(server, UNFINISHED[name])
        outcome = asyncio.run(ask(router, self.request(), stream=stream))
        (attempt,) = outcome.attempts
        assert attempt["status"] == "failed", attempt
        assert attempt["cost_basis"] in {"held", "estimated"}, attempt
        assert attempt["cost_usd"] != "0"
        assert len(server.calls()) == 1
        assert open_holds(tmp_path) == 0

    def test_an_error_inside_a_stream_is_a_failure_that_may_cost(
        self, router: Router, server: LoopbackServer
    ) -> None:
        """The status was 200, and the text before the error has been produced."""
        self.play(server, Fault.stream_error(PARIS, after_chunks=2))
        outcome = asyncio.run(ask(router, self.request(), stream=True))
        (attempt,) = outcome.attempts
        assert (attempt["status"], attempt["cost_basis"]) == ("failed", "estimated")

    @each_mode
    def test_an_answer_without_usage_is_estimated(
        self, router: Router, server: LoopbackServer, stream: bool
    ) -> None:
        """Unknown is never 0."""
        self.play(server, Fault.no_usage(PARIS))
        outcome = asyncio.run(ask(router, self.request(), stream=stream))
        assert outcome.text == PARIS.text
        assert outcome.attempts[0]["cost_basis"] == "estimated"
        assert outcome.attempts[0]["cost_usd"] != "0"

    @each_mode
    def test_a_tool_call_arrives_whole(
        self, router: Router, server: LoopbackServer, provider: Provider, stream: bool
    ) -> None:
        """Its name and its arguments."""
        if not provider.takes_tools:
            pytest.skip("this kind takes no tools")
        call = {"name": "weather", "args": {"city": "Paris"}, "id": "call_1"}
        self.play(server, Reply(tool_calls=(call,)))
        request = self.request(options={"tools": [dict(TOOL)]})
        outcome = asyncio.run(ask(router, request, stream=stream))
        (found,) = outcome.message.tool_calls
        assert (found["name"], found["args"]) == (call["name"], call["args"])
        assert "weather" in str(server.calls()[0].body), "the tool was not offered"

    @each_mode
    def test_an_answer_can_be_made_to_fit_a_schema(
        self, router: Router, server: LoopbackServer, provider: Provider, stream: bool
    ) -> None:
        """Through a tool, the protocol's own form, or words: as the kind says it can."""
        if provider.structured is None:
            pytest.skip("this kind has one form of answer")
        call = {"name": "City", "args": {"name": "Paris"}, "id": "call_1"}
        # The model answers in the form in which it was asked.
        by_tool = provider.structured == "tool"
        self.play(server, Reply(tool_calls=(call,)) if by_tool else Reply('{"name": "Paris"}'))
        model = RoutedChatModel(router=router, task="chat", streaming=stream)
        found = asyncio.run(model.with_structured_output(City).ainvoke(self.messages()))
        assert found == City(name="Paris")
        assert "properties" in str(server.calls()[0].body), "the schema was not sent"

    @pytest.mark.parametrize("name", ["answer", "401", "500", "in the stream", "drop"])
    def test_the_key_goes_to_the_provider_and_nowhere_else(
        self,
        tmp_path: Path,
        server: LoopbackServer,
        provider: Provider,
        caplog: pytest.LogCaptureFixture,
        name: str,
    ) -> None:
        """Not into the model's picture, errors, logs, or the ledger, whatever the provider says."""
        self.play(server, KEY_ECHOES[name])
        # HTTP clients log what they send at this level only.
        caplog.set_level(logging.DEBUG)
        outcome = asyncio.run(ask(self.open_router(tmp_path), self.request(), stream=True))
        shown = [repr(outcome), caplog.text, repr(asyncio.run(_model_of(provider)))]
        # As Latin-1 every byte of a database reads as a character, and a key as itself.
        for text in [*shown, (tmp_path / "costs.db").read_bytes().decode("latin-1")]:
            assert KEY not in text
        (call,) = server.calls()
        assert KEY in str(call.headers), "the key never reached the provider"

    @each_mode
    def test_a_cancelled_call_closes_its_connection(
        self, router: Router, server: LoopbackServer, tmp_path: Path, stream: bool
    ) -> None:
        """The provider stops working, and the attempt is settled."""
        # 50 seconds long, so that it is under way when it is cancelled.
        slow = Reply(chunks=("piece ",) * 1000, chunk_interval_s=0.05)
        self.play(server, slow if stream else Fault.hang())

        async def give_up() -> None:
            task = asyncio.create_task(ask(router, self.request(), stream=stream))
            # On another thread: the call that is waited for needs this loop.
            await asyncio.to_thread(server.wait_for_calls, 1, timeout_s=WAIT_S)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait_until_idle, timeout_s=WAIT_S)

        asyncio.run(give_up())
        (call,) = server.calls()
        assert call.produced.disconnected
        # The settlement may end after the cancelled call.
        patience = threading.Event()
        for _ in range(1000):
            if open_holds(tmp_path) == 0:
                break
            patience.wait(WAIT_S / 1000)
        assert open_holds(tmp_path) == 0

    def test_looking_at_it_buys_nothing(self, provider: Provider, server: LoopbackServer) -> None:
        """A probe asks for no answer, and finds out when the server is gone."""
        asyncio.run(provider.probe())
        assert server.calls() == ()
        server.stop()
        # Not `is False`: some kinds have no free way to find out.
        assert asyncio.run(provider.probe()).reachable is not True


async def _model_of(provider: Provider) -> object:
    return await provider.model()
