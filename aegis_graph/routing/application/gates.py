"""What decides whether a complete answer is good enough, and how it is asked.

A gate hands on the answer that it accepts, and raises where it refuses one. The form that a request
asks for (a schema, a tool) is a gate that each attempt passes itself, because a provider that did
not understand the form is asked in another one; a check of the application's stands in the node
``accept``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from langchain_core.messages import AIMessage

from aegis_graph.config.time_limits import DEFAULT_LIMITS
from aegis_graph.errors import (
    AttemptRefusedError,
    HookError,
    ProviderError,
    ProviderTimeoutError,
    RejectedAnswerError,
)
from aegis_graph.request.request import Request
from aegis_graph.request.structured import validate_answer
from aegis_graph.routing.application.hooks import Check, HookCall, Rejection
from aegis_graph.routing.deadline import Deadline
from aegis_graph.routing.stream_recorder import message_text
from aegis_graph.text.foreign import clean_text, with_whole_characters

SOON_READ = 2_000
"""Characters of an answer that is read faster than a thread for it would begin."""

LONGEST_CHECK_S = DEFAULT_LIMITS["local"].whole_s
"""How long a check may take: as long as the longest attempt where a row says nothing."""

_REFUSED = "refused by the check"
"""The reason of a check that returns ``False``."""


class AnswerGate(Protocol):
    """Judges a complete answer."""

    async def judge(self, request: Request, answer: AIMessage) -> AIMessage:
        """The answer, as it is handed on.

        Raises:
            UnfitAnswerError: It is refused; the message says why.
        """

    def too_late(self) -> ProviderError | HookError:
        """What happens where the time is over before the answer is judged."""


async def pass_gate(
    gate: AnswerGate, request: Request, answer: AIMessage, *, until: float | None
) -> AIMessage:
    """The answer that a gate accepts.

    Args:
        gate: Judges it.
        request: What was asked.
        answer: A complete answer.
        until: When it must be judged, in the event loop's time.

    Raises:
        UnfitAnswerError: It is refused.
        ProviderError: To find that out takes too long.
        HookError: The application's check failed, or takes too long.
    """
    try:
        async with asyncio.timeout_at(until) as limit:
            return await gate.judge(request, answer)
    except TimeoutError as error:
        if limit.expired():
            raise gate.too_late() from error
        raise


@dataclass(frozen=True, slots=True)
class FormGate:
    """Whether an answer has the form that the request asks for: its schema, or a tool's call.

    Args:
        find_problem: Judges the value of an answer instead of the JSON Schema.
    """

    find_problem: Callable[[Any], str | None] | None

    async def judge(self, request: Request, answer: AIMessage) -> AIMessage:
        """The answer with its value, where it must have one."""
        # Mending what a model wrote can take long, and all other requests would wait.
        return await asyncio.to_thread(self.read, request, answer)

    def read(self, request: Request, answer: AIMessage) -> AIMessage:
        """The same at once."""
        answer = _with_whole_characters(answer)
        return validate_answer(answer, request.options, self.find_problem)

    def is_soon_read(self, request: Request, answer: AIMessage) -> bool:
        """Whether that takes no time to speak of."""
        return "response_schema" not in request.options or len(message_text(answer)) <= SOON_READ

    def too_late(self) -> ProviderError:
        """It counts as the provider's: the attempt's own time is over."""
        return ProviderTimeoutError("the answer takes too long to read")


@dataclass(frozen=True, slots=True)
class NamedCheck:
    """A check of answers."""

    name: str
    """As the configuration has it, or as the function is called."""
    function: Check
    is_own: bool = False
    """Whether it is one of this package's, which wait for nothing."""


@dataclass(frozen=True, slots=True)
class CheckGate:
    """Whether an answer passes a check.

    Args:
        check: The check.
        call: Names it in the error where it fails.
        deadline: When the whole request must have ended.
    """

    check: NamedCheck
    call: HookCall
    deadline: Deadline | None
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    """By the event loop's clock."""

    @property
    def ends_at(self) -> float:
        """When it must have said something, by the event loop's clock."""
        longest = self.began + LONGEST_CHECK_S
        return longest if self.deadline is None else min(longest, self.deadline.ends_at)

    async def judge(self, request: Request, answer: AIMessage) -> AIMessage:
        """The answer itself; the check sees a copy."""
        function, shown = self.check.function, answer.model_copy(deep=True)
        # A function that waits would hold up all other requests.
        inline = self.check.is_own and len(answer.text) <= SOON_READ
        if not inline and not inspect.iscoroutinefunction(function):
            function = partial(_in_thread, function)
        try:
            verdict = await self.call.result(function, request, shown)
        except AttemptRefusedError as error:
            raise self.call.error("failed: AttemptRefusedError") from error
        if verdict is None or verdict is True:
            return answer
        if verdict is False:
            verdict = _REFUSED
        if isinstance(verdict, str):
            verdict = Rejection(verdict)
        if not isinstance(verdict, Rejection):
            what = f"returned {type(verdict).__name__}"
            raise self.call.error(f"{what}; return None, True, False, a reason or a Rejection")
        reason = clean_text(str(verdict.reason))
        if not reason:
            raise self.call.error("refused an answer without a reason")
        raise RejectedAnswerError(reason, tell_model=verdict.tell_model)

    def too_late(self) -> ProviderError | HookError:
        """The provider has done its work. The request's time is over, or the check hangs."""
        if self.deadline is not None and self.ends_at == self.deadline.ends_at:
            return RejectedAnswerError("was not judged within the request's time")
        # The next provider's answer would be paid, and wait for it as long.
        return self.call.error(f"said nothing within {LONGEST_CHECK_S:g} s")


async def _in_thread(function: Callable[..., Any], *arguments: object) -> Any:
    """What a function returns that may wait; a coroutine of it runs on this loop."""
    returned, failed = await asyncio.to_thread(_outcome, function, *arguments)
    if failed is not None:
        raise failed
    return await returned if inspect.isawaitable(returned) else returned


def _outcome(function: Callable[..., Any], *arguments: object) -> tuple[Any, Exception | None]:
    # As values: asyncio never ends a call to a thread that raises ``StopIteration``.
    try:
        return function(*arguments), None
    except Exception as error:  # noqa: BLE001  raised again by the caller
        return None, error


def _with_whole_characters(answer: AIMessage) -> AIMessage:
    """The answer, in what it says and in the arguments of its calls.

    A model may write half of a character, which no database takes. What it belongs to is paid for.
    """
    said = {
        "content": answer.content,
        "additional_kwargs": answer.additional_kwargs,
        "tool_calls": answer.tool_calls,
        "invalid_tool_calls": answer.invalid_tool_calls,
    }
    whole = {name: with_whole_characters(value) for name, value in said.items() if value}
    if all(value is said[name] for name, value in whole.items()):
        return answer
    return answer.model_copy(update=whole)
