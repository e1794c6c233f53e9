"""A request to the router, checked once, before anything is asked or reserved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from aegis_graph.errors import InvalidRequestError
from aegis_graph.pricing.money import usd_text
from aegis_graph.pricing.rates import InputKind
from aegis_graph.request.content_parts import RequestImage, check_parts
from aegis_graph.request.input_kinds import input_kinds
from aegis_graph.request.limits import (
    hedge_after,
    price_limit,
    run_limit,
    time_limit_s,
    wait_limit_s,
)
from aegis_graph.request.options import options_bound, read_options
from aegis_graph.request.prompt_text import prompt_hash, utf8_size
from aegis_graph.request.selection import NARROWING, Selection, read_selections
from aegis_graph.request.tags import checked_tags
from aegis_graph.request.token_bounds import prompt_bound
from aegis_graph.types import (
    DEFAULT_SENSITIVITY,
    DEFAULT_TASK,
    DEFAULT_USER,
    MAX_OUTPUT_TOKENS,
    ORDERS,
    SENSITIVITIES,
    TASK_PATTERN,
    CallOptions,
    HedgeAfter,
    Order,
    Sensitivity,
    Task,
)

MAX_ID = 200
"""Characters of a user's or a thread's name: a row of the ledger stays small."""


@dataclass(frozen=True)
class Request:
    """The question, the user that it counts for, and how private it is.

    Example:
        >>> def policy(candidates, skipped, request: Request):
        ...     return candidates[:1] if request.prompt_tokens > 100_000 else candidates
    """

    messages: Sequence[BaseMessage]
    task: Task
    sensitivity: Sensitivity
    user_id: str
    thread_id: str | None
    max_output_tokens: int | None
    images: Sequence[RequestImage]
    options: CallOptions
    prompt_tokens: int
    """An upper bound, without the images."""
    run_id: str | None = None
    """The run that the request is a part of."""
    run_limit_nano_usd: int | None = None
    """What all requests of the run may cost together."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """What its caller counts it by as well; budgets may be for one."""
    selections: tuple[Selection, ...] = ()
    """Which providers may be asked, the nearest choice first; each narrows the others."""
    timeout_s: float | None = None
    """How long all attempts, waits and retries may take together, in seconds."""
    max_price_nano_usd: int | None = None
    """The most that one call may cost."""
    order: Order | None = None
    """By what the providers are put in order; as the configuration says when absent."""
    asked: Sequence[BaseMessage] = ()
    """What the caller asked, where the messages are others; the hash is of that."""
    max_wait_s: float = 0.0
    """How long it may wait for providers at half their price, in seconds, all such attempts
    together; 0 asks for no such tier."""
    hedge_after_s: HedgeAfter | None = None
    """When a second attempt is sent beside one without an answer; as configured when absent."""

    @cached_property
    def query_hash(self) -> str:
        """SHA-256 of the prompt and its options; only a reservation's row needs it."""
        return prompt_hash(self.asked or self.messages, self.options)

    @cached_property
    def input_kinds(self) -> Set[InputKind]:
        """The kinds of input with prices of their own that it may have."""
        return input_kinds(self.messages, self.options)

    @property
    def protecting_choices(self) -> dict[str, Any]:
        """What protects the caller, as a request's state has it."""
        chosen: dict[str, Any] = {"sensitivity": self.sensitivity}
        if self.run_id is not None:
            chosen["run_id"] = self.run_id
        if self.run_limit_nano_usd is not None:
            chosen["max_cost_usd"] = usd_text(self.run_limit_nano_usd)
        if self.tags:
            chosen["tags"] = dict(self.tags)
        if self.selections:
            chosen[NARROWING] = [one.as_json() for one in self.selections]
        if self.timeout_s is not None:
            chosen["timeout_s"] = self.timeout_s
        if self.max_price_nano_usd is not None:
            chosen["max_price_usd"] = usd_text(self.max_price_nano_usd)
        return chosen

    @property
    def has_images(self) -> bool:
        """Whether there are images among the messages."""
        return bool(self.images)

    @property
    def has_remote_images(self) -> bool:
        """Whether an image would have to be fetched from its address."""
        return any(image.remote for image in self.images)

    def with_messages(self, messages: Sequence[BaseMessage]) -> Request:
        """The same request with other messages, checked as those of any request are.

        Raises:
            InvalidRequestError: One line that says what is wrong.
        """
        return replace(
            self,
            messages=messages,
            asked=self.asked or self.messages,
            images=check_parts(messages),
            prompt_tokens=prompt_bound(messages) + options_bound(self.options),
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any], config: RunnableConfig) -> Request:
        """Read and check the graph's state.

        Raises:
            InvalidRequestError: One line that says what is wrong.
        """
        messages = state.get("messages") or []
        images = check_parts(messages)
        options = read_options(state.get("options"))
        thread = (config.get("configurable") or {}).get("thread_id")
        return cls(
            messages=messages,
            images=images,
            options=options,
            prompt_tokens=prompt_bound(messages) + options_bound(options),
            thread_id=None if thread is None else _checked_thread_id(str(thread)),
            **checked_choices(state),
        )


def checked_choices(state: Mapping[str, Any]) -> dict[str, Any]:
    """What is chosen for a request, as its fields have it.

    Raises:
        InvalidRequestError: One line that says what is wrong.
    """
    run_id = _checked_name("run_id", state.get("run_id"))
    level, timeout_s = state.get("sensitivity"), state.get("timeout_s")
    return {
        "task": _checked_task(state.get("task")),
        "sensitivity": _one_of("sensitivity", level, SENSITIVITIES, DEFAULT_SENSITIVITY),
        "user_id": _checked_name("user_id", state.get("user_id")) or DEFAULT_USER,
        "max_output_tokens": _output_cap(state.get("max_output_tokens")),
        "run_id": run_id,
        "run_limit_nano_usd": run_limit(state.get("max_cost_usd"), run_id),
        "tags": checked_tags(state.get("tags")),
        "selections": read_selections(state),
        "timeout_s": None if timeout_s is None else time_limit_s("timeout_s", timeout_s),
        "max_price_nano_usd": price_limit(state.get("max_price_usd")),
        "order": _one_of("order", state.get("order"), ORDERS, None),
        "max_wait_s": wait_limit_s(state.get("max_wait_s")),
        "hedge_after_s": hedge_after(state.get("hedge_after_s")),
    }


def _one_of(key: str, value: object, allowed: Sequence[Any], default: Any) -> Any:
    # Only None is absent: an empty sensitivity is a mistake, and may not become a lower one.
    if value is None:
        return default
    if value in allowed:
        return value
    raise InvalidRequestError(f"{key}: {value!r} is unknown; use one of {', '.join(allowed)}")


def _checked_task(value: object) -> Task:
    if value is None:
        return DEFAULT_TASK
    # A dollar in the pattern would let a line's end pass.
    if isinstance(value, str) and re.fullmatch(TASK_PATTERN, value) and value.isprintable():
        return value
    raise InvalidRequestError(
        f"task: {value!r} is no name of 1 to 80 letters, digits and any of - _ . /"
    )


def _checked_name(key: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable():
        return value
    raise InvalidRequestError(f"{key}: must be printable text of 1 to {MAX_ID} characters")


def _checked_thread_id(value: str) -> str:
    # PostgreSQL stores no NUL in a text.
    if len(value) <= MAX_ID and "\0" not in value and utf8_size(value) is not None:
        return value
    raise InvalidRequestError(
        f"thread_id: must be text of at most {MAX_ID} characters, without NUL"
    )


def _output_cap(value: Any) -> int | None:
    if value is None:
        return None
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and 0 < value <= MAX_OUTPUT_TOKENS:
        return int(value)
    raise InvalidRequestError(
        f"max_output_tokens: {value!r} is not a whole number from 1 to {MAX_OUTPUT_TOKENS:,}"
    )
