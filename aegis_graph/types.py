"""The words and records that all rooms share: tasks, levels of privacy, outcomes."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, get_args

from typing_extensions import TypedDict

Task = str
"""What a call is for: any name of letters, digits and ``-_./``; budgets and reports go by it."""
Sensitivity = Literal["public", "internal", "confidential", "pii", "hipaa"]
CostBasis = Literal["reported", "estimated", "held", "none"]
Status = Literal["answered", "failed", "cancelled"]
Window = Literal["day", "week", "month", "total"]
"""The time that a budget's limit is for; each begins anew by the ledger's calendar, ``total`` never
does."""
LimitUnit = Literal[
    "max_concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "requests_per_day",
    "tokens_per_day",
]
"""What a limit counts: calls under way, or requests and tokens of the last 60 seconds or of the
ledger's day."""
ResultKind = Literal["description", "text", "table", "chart"]
"""What may be wanted of an image."""
Order = Literal["listed", "price", "latency", "weighted"]
"""By what the providers that may serve a request are put in order: as they are listed, by what an
answer is expected to cost or to take, or by their weights."""
HedgeAfter = float | Literal["p95", "off"]
"""How long a request waits for an attempt before a second one is sent beside it: seconds, the time
that one answer in twenty takes longer than, or for ever."""
OnBudget = Literal["raise", "interrupt", "downshift"]
"""What happens near a budget's end: the request fails, a person is asked for more, or the cheaper
provider is asked first."""
ExportFormat = Literal["csv", "json", "jsonl", "parquet", "focus"]
FocusVersion = Literal["1.2", "1.4"]
"""Of the FinOps Foundation's format of bills, whose columns an export can have."""
GroupBy = Literal["provider", "model", "task", "user", "day", "month", "run"]
"""What a report has one row for, beside ``tag:KEY``; days and months are those of the ledger's time
zone."""

TASKS: tuple[Task, ...] = (
    "answer",
    "chat",
    "decompose",
    "embed",
    "extract",
    "glean",
    "keywords",
    "summary",
    "vision",
)
"""The tasks of the package's own components."""
TASK_PATTERN = r"^[A-Za-z0-9_./-]{1,80}$"
TAG_KEY_PATTERN = r"[A-Za-z0-9_.-]{1,40}"
MAX_TAG_VALUE = 80
"""Characters of a tag's value."""
MAX_TAGS = 8
"""Tags of one request: each is one more total that its transaction keeps."""
RESULT_KINDS: tuple[ResultKind, ...] = get_args(ResultKind)
ON_BUDGET: tuple[OnBudget, ...] = get_args(OnBudget)
ORDERS: tuple[Order, ...] = get_args(Order)
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
FOCUS_VERSIONS: tuple[FocusVersion, ...] = get_args(FocusVersion)
WINDOWS: tuple[Window, ...] = get_args(Window)
LIMIT_UNITS: tuple[LimitUnit, ...] = get_args(LimitUnit)
SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)
LOCAL_ONLY: frozenset[Sensitivity] = frozenset({"confidential", "pii", "hipaa"})
"""Requests of these levels go to no provider but those with the location ``local``."""

DEFAULT_TASK: Task = "chat"
DEFAULT_SENSITIVITY: Sensitivity = "internal"
DEFAULT_USER = "default"

MAX_OUTPUT_TOKENS = 1_000_000
"""The largest output cap that a provider's row or a request may have."""

FINISH_REASON = "finish_reason"
"""Key of an answer's ``response_metadata`` with why it ended."""
CUT_OFF = "length"
"""The finish reason of an answer that ended at a cap of tokens, whichever provider gave it."""


def asked_as(provider: str, tier: str | None) -> str:
    """A provider's name, with the tier that it is asked in where that is not its usual one.

    >>> asked_as("openai", "flex"), asked_as("openai", None)
    ('openai:flex', 'openai')
    """
    return provider if tier is None else f"{provider}:{tier}"


class AttemptRecord(TypedDict):
    """One physical call to one provider, as the caller sees it."""

    attempt: int
    """1 for the first call of the request."""
    task: Task
    provider: str
    model: str
    status: Status
    error_type: str | None
    """Name of the ``ProviderError`` class, where the attempt failed."""
    reason: str
    """Why this provider was asked, or why the attempt failed."""
    cost_usd: str
    """Decimal text, exact."""
    cost_basis: CostBasis
    latency_ms: int
    tier: NotRequired[str]
    """The tier at half the price that it was asked in; absent for the provider's usual one."""
    queued_ms: NotRequired[int]
    """How long the request had waited for a limit; absent where none is in force."""


SkipCode = Literal[
    "privacy",
    "task",
    "images",
    "tools",
    "schema",
    "option",
    "choice",
    "key",
    "package",
    "cooldown",
    "verdict",
    "price",
    "timeout",
    "wait",
    "budget",
    "limit",
    "hook",
    "policy",
]
"""Why a provider was not called, as a word for programs."""


class SkippedRecord(TypedDict):
    """A configured provider that was not called, and why."""

    provider: str
    model: str
    code: SkipCode
    reason: str
    tier: NotRequired[str]
    """The tier at half the price that was passed over; absent for the provider itself."""


UNBELIEVED = -1
"""In place of an overrun: the provider reported more than can be true, and the hold was spent."""


class SettlementRecord(TypedDict):
    """What a reservation turned into; kept in the state until the ledger has it."""

    hold_id: int
    status: Status
    error_type: str | None
    cost_nano_usd: int
    cost_basis: CostBasis
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
    latency_ms: int
    cache_write_tokens: int | None
    service_tier: str | None
    """As the provider named the tier that it served."""
    served_model: str | None
    """As the provider named the model that answered."""
    first_token_ms: int | None
    """When the first piece came, after the call was sent; ``None`` for an answer in one piece."""
    overrun: int
    """Nano-USD above the hold; ``UNBELIEVED`` where a usage was not believed."""


class CallOptions(TypedDict, total=False):
    """How the models are to answer, in the form that every provider's own is made from. JSON."""

    tools: list[dict[str, Any]]
    """Tools that the model may call, in OpenAI's form."""
    tool_choice: str
    """``auto``, ``none``, ``required``, or the name of the tool that must be called."""
    parallel_tool_calls: bool
    """Whether one answer may call several tools, where the provider lets one say so."""
    stop: list[str]
    """Words at which the answer ends."""
    temperature: float
    default_temperature: float
    """The temperature where neither the request nor the provider's row names one. It leaves no
    provider out: one that takes no temperature, or that thinks, is asked without it."""
    top_p: float
    top_k: int
    seed: int
    presence_penalty: float
    frequency_penalty: float
    reasoning_effort: str
    """How much a model that reasons does, such as ``low``."""
    response_schema: dict[str, Any]
    """A JSON Schema of an object; models see its title. An answer that does not fit it is a
    failed attempt; the one that does is in ``additional_kwargs["parsed"]``."""
    schema_method: Literal["json_schema", "json_mode", "tool"]
    """How to get an answer in that schema; each provider's own way when absent."""
    strict: bool
    """Whether OpenAI's grammar keeps to the schema to the letter."""
