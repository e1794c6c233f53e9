"""Every error this package raises, in one tree.

```
AegisError
├── ConfigError (ValueError)            the configuration is wrong; names the key and the file
├── InvalidRequestError (ValueError)    the request is wrong; nothing was asked
│   └── UnsupportedContentError         this model cannot take it; another one may
├── DocumentError (ValueError)          a document cannot be read
├── LedgerError (RuntimeError)          the ledger cannot be read or written
│   └── ReadOnlyLedgerError             it can be read, and cannot be written
├── StoreError (RuntimeError)           a store of paid results, or an index, cannot be used
├── WorkerLostError (RuntimeError)      a process that ran items of a bulk job is gone
├── InsertError (RuntimeError)          LightRAG could not insert some of the documents
├── RoutingError (RuntimeError)         no answer; carries the attempts and the skipped providers
│   ├── NoProviderError                 no provider may be asked: privacy, task, keys, cooldown
│   │   ├── BudgetExceededError         the budgets leave no room for any of them
│   │   └── LimitExceededError          a limit of calls or tokens has no room for now
│   ├── AllProvidersFailedError         every provider that may be asked failed
│   ├── RequestRejectedError            every provider that was asked refused the request itself
│   ├── StreamInterruptedError          the answer broke off after its first words went out
│   └── HookError                       a function that was given to the router failed
├── AttemptRefusedError (RuntimeError)  a ``before_attempt`` function refuses this provider
└── ProviderError                       one attempt failed; stays inside the routing subgraph
    ├── AuthenticationError             the key is refused
    ├── ModelAccessError                the key may not use this model, or it does not exist there
    ├── RateLimitError                  too many requests; may say how long to wait
    ├── QuotaError                      the account has no credit left
    ├── ContextTooLongError             the prompt does not fit this model
    ├── ContentRefusedError             the provider's content filter refused
    ├── BadRequestError                 this provider refuses the request; another may take it
    ├── ProviderTimeoutError            no complete answer within the time limit
    ├── ProviderUnavailableError        connection refused or dropped, or a 5xx status
    │   └── ModelLoadingError           the server is still loading the model
    ├── MalformedAnswerError            the answer breaks the provider's own protocol
    ├── StreamCutError                  the answer ended before it was complete
    └── UnfitAnswerError                the answer is complete, and not what was asked for
        └── RejectedAnswerError         a check of the application refuses it
```

Routing, ledger and store errors derive from ``RuntimeError`` because LangGraph's default
``RetryPolicy`` leaves those alone: a refused request must not be asked three times.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar


class AegisError(Exception):
    """Base of every error of this package."""


class ConfigError(AegisError, ValueError):
    """The configuration is wrong. The message names the key and the file."""


class InvalidRequestError(AegisError, ValueError):
    """The request to the router is wrong. No provider was asked and nothing was recorded."""


class UnsupportedContentError(InvalidRequestError):
    """A model cannot take a part of the messages; nothing was sent, and another model may."""


class DocumentError(AegisError, ValueError):
    """A document is missing or cannot be read."""

    reason: str = "unreadable"
    """What it is a case of, in one word, by which a report can count: ``broken``, ``password``."""

    @classmethod
    def because(cls, reason: str, message: str) -> DocumentError:
        """An error that says what it is a case of."""
        error = cls(message)
        error.reason = reason
        return error


class LedgerError(AegisError, RuntimeError):
    """The ledger cannot be opened, read or written. The message says what to do."""


class ReadOnlyLedgerError(LedgerError):
    """The ledger can be read, and cannot be written: no call can be admitted."""


class StoreError(AegisError, RuntimeError):
    """A store of paid results, or an index of documents, cannot be opened, read or written."""


class WorkerLostError(AegisError, RuntimeError):
    """A process that ran items of a bulk job is gone; the job's other workers run them again."""


class InsertError(AegisError, RuntimeError):
    """LightRAG could not insert some of the documents. The message names them, and why."""


class RoutingError(AegisError, RuntimeError):
    """A request ended without an answer.

    Args:
        message: One line that says why.
        route_id: Identifier of the request, as in the ledger.
        attempts: The physical calls that were made, as in the router's output.
        skipped: The providers that were not asked, each with its reason.
    """

    def __init__(
        self,
        message: str,
        *,
        route_id: str,
        attempts: Sequence[Mapping[str, Any]] = (),
        skipped: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.route_id = route_id
        self.attempts = [dict(attempt) for attempt in attempts]
        self.skipped = [dict(skip) for skip in skipped]

    # Without calling ``__init__``: what each kind takes beside the message is in its attributes.
    # No ``@override`` in this file: its import would hold up the command line's help.
    def __reduce__(self) -> tuple[Any, ...]:  # type: ignore[explicit-override]  # a slow import
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class NoProviderError(RoutingError):
    """No configured provider may be asked: privacy, task, missing keys or cooldown."""


class BudgetExceededError(NoProviderError):
    """Every provider that might have answered is out of budget."""


class LimitExceededError(NoProviderError):
    """Limits of calls or tokens left no room for any provider, and waiting for them was in vain.

    Args:
        message: One line that says why.
        route_id: Identifier of the request, as in the ledger.
        attempts: The physical calls that were made: none.
        skipped: The providers that were not asked, each with its reason.
        retry_after_s: When the first of them has room unless others take it, in seconds; ``None``
            where that depends on calls that are under way.
    """

    def __init__(
        self,
        message: str,
        *,
        route_id: str,
        attempts: Sequence[Mapping[str, Any]] = (),
        skipped: Sequence[Mapping[str, Any]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, route_id=route_id, attempts=attempts, skipped=skipped)
        self.retry_after_s = retry_after_s


class AllProvidersFailedError(RoutingError):
    """Every provider that may be asked was asked, and failed."""


class RequestRejectedError(RoutingError):
    """Every provider that was asked refused the request itself; the message has each reason."""


class StreamInterruptedError(RoutingError):
    """The answer broke off after its first words went out, so no other provider was asked.

    Args:
        message: One line that says why.
        route_id: Identifier of the request, as in the ledger.
        attempts: The physical calls that were made; the last is the one that broke off.
        skipped: The providers that were not asked, each with its reason.
        partial_text: What the caller had been given.
    """

    def __init__(
        self,
        message: str,
        *,
        route_id: str,
        attempts: Sequence[Mapping[str, Any]] = (),
        skipped: Sequence[Mapping[str, Any]] = (),
        partial_text: str = "",
    ) -> None:
        super().__init__(message, route_id=route_id, attempts=attempts, skipped=skipped)
        self.partial_text = partial_text

    @property
    def cost_usd(self) -> str:
        """What the whole request cost, in USD as decimal text."""
        return f"{sum(Decimal(attempt['cost_usd']) for attempt in self.attempts):f}"


class HookError(RoutingError):
    """A function that was given to the router failed, or returned what it may not.

    Nothing was sent for the attempt that it concerns, or, where it was to judge an answer, the cost
    of that is recorded. The message names the function and what is wrong; what the function raised
    is the ``__cause__``.
    """


class AttemptRefusedError(AegisError, RuntimeError):
    """Raised by a ``before_attempt`` function: this provider is not asked for this request.

    Its message is the reason, which is recorded; the next provider is asked.

    Example:
        >>> def before_attempt(attempt):
        ...     if attempt.location == "cloud" and "ACME" in attempt.messages[-1].text:
        ...         raise AttemptRefusedError("names a customer")
    """


class ProviderError(AegisError):
    """One attempt failed.

    Args:
        message: The reason in one line, without keys, prompts or answers.
        status: The HTTP status, where there was one.
        code: The provider's own error code, where there was one.
        param: The argument of the call that the provider does not take at all, where it says so.
        retry_after_s: Seconds the provider asked to wait.
        outcome_unknown: Whether the provider may have done (and may bill) the work.
        should_retry: Whether the provider says to ask it again; ``None`` where it says nothing.
        about_request: Whether the refusal concerns this request alone, so that no other request
            is kept from the provider. ``None`` where that is not clear: the provider is left alone
            when a second, different request meets the same.
    """

    retryable: ClassVar[bool] = False
    """Whether asking the same provider again may help and cannot buy the work twice."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        outcome_unknown: bool = False,
        should_retry: bool | None = None,
        about_request: bool | None = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
        self.outcome_unknown = outcome_unknown
        self.should_retry = should_retry
        self.about_request = about_request


class AuthenticationError(ProviderError):
    """The provider refuses the key (401)."""


class ModelAccessError(ProviderError):
    """The key may not use this model, or the model is not there (403, 404)."""


class RateLimitError(ProviderError):
    """Too many requests (429)."""

    retryable = True


class QuotaError(ProviderError):
    """The account has no credit or quota left; waiting a moment does not help."""


class ContextTooLongError(ProviderError):
    """The prompt does not fit into this model's context."""


class ContentRefusedError(ProviderError):
    """The provider's content filter refused the prompt or the answer."""


class BadRequestError(ProviderError):
    """This provider refuses the request (400, 413, 422); another one may take it."""


class ProviderTimeoutError(ProviderError):
    """No complete answer within the provider's time limit."""


class ProviderUnavailableError(ProviderError):
    """The connection was refused or dropped, or the provider answered 5xx.

    Safe to retry only with a status: a dropped connection may hide work that was done.
    """

    retryable = True


class ModelLoadingError(ProviderUnavailableError):
    """The server is still loading the model; it was waited for as long as the row allows."""

    retryable = False


class MalformedAnswerError(ProviderError):
    """The provider answered something that breaks its own protocol."""


class StreamCutError(ProviderError):
    """The answer ended before the provider marked it as complete."""


class UnfitAnswerError(ProviderError):
    """The answer is complete, but empty, unfit for the schema, or without a readable tool call."""


class RejectedAnswerError(UnfitAnswerError):
    """A check of the application refuses the answer; the message is its reason.

    Args:
        message: The reason in one line.
        tell_model: Whether the reason stands in the prompt of the provider that is asked next.
    """

    def __init__(self, message: str, *, tell_model: bool = False) -> None:
        super().__init__(message)
        self.tell_model = tell_model
