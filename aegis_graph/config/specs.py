"""The rows of the configuration, each frozen and checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from aegis_graph.config.config_model import NAME_OF_VARIABLE, ConfigModel, Usd
from aegis_graph.config.limit_specs import Scope, UseLimits
from aegis_graph.config.price_specs import PriceChoice
from aegis_graph.config.time_limits import DEFAULT_LIMITS, DEFAULT_QUEUE_S, Location, TimeLimits
from aegis_graph.types import (
    MAX_OUTPUT_TOKENS,
    TASK_PATTERN,
    OnBudget,
    Order,
    Sensitivity,
    Task,
    Window,
)

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
"""A provider's name is also a node's name and part of a budget's scope."""

KEY_ALIASES: Mapping[str, str] = {"ALIBABA_CLOUD_API_KEY": "DASHSCOPE_API_KEY"}
"""A second name under which a key may be set: the SDK's own."""

TaskName = Annotated[Task, Field(pattern=TASK_PATTERN)]

URL_PATTERN = r"^https?://[^\s/]+"

Seconds = Annotated[float, Field(gt=0, le=3600)]

SchemaMethod = Literal["json_schema", "json_mode", "tool", "prompt"]
"""How a model is made to answer in a schema: by a grammar, by the promise of some JSON, by the
arguments of a tool, or by words alone."""


class ProviderSpec(UseLimits):
    """One provider in the chain: what to call, with which key, and what it may serve.

    Example:
        >>> ProviderSpec(name="here", kind="ollama", model="qwen3:8b", location="local").images
        False
    """

    name: str = Field(pattern=NAME_PATTERN)
    kind: str = Field(min_length=1)
    """What serves it: a kind of this package, or one that another package brings."""
    enabled: bool = True
    """Whether it is asked. A row that is switched off keeps its budgets and its history."""
    model: str = Field(min_length=1)
    location: Location
    """Where the data goes. Sensitive requests stay on ``local`` providers."""
    trusted: str | None = Field(default=None, min_length=1)
    """Why a ``local`` row may have a public address all the same, in words."""
    base_url: str | None = Field(default=None, pattern=URL_PATTERN)
    api_key_env: str | None = Field(default=None, pattern=NAME_OF_VARIABLE)
    """Name of the environment variable with the key; never the key."""
    price: PriceChoice | None = None
    """``free``, a price, or nothing: then the price book must know the model."""
    timeout_s: Seconds | None = None
    """Time limit of one attempt, from the first byte sent to the last received; 60 for ``cloud``
    and 600 for ``local`` when absent."""
    first_token_timeout_s: Seconds | None = None
    """Time limit to the first piece of an answer that arrives in pieces; 300 for ``local`` when
    absent, none for ``cloud``. A server that is loading its model is waited for as long."""
    idle_timeout_s: Seconds | None = None
    """Time limit between two pieces of an answer; 60 for ``local`` when absent, none for
    ``cloud``."""
    max_retries: int = Field(default=1, ge=0, le=5)
    """How often a refusal that did no work (429, 5xx) is tried again at this provider."""
    retry_wait_s: float = Field(default=0.5, ge=0, le=60)
    """Wait before the first retry, doubled each time, where the provider asked for none."""
    queue_s: float | None = Field(default=None, ge=0, le=3600)
    """How long a request waits for the row while a limit is full, before the next one is asked; 60
    for ``local`` and 0 for ``cloud`` when absent."""
    max_output_tokens: int = Field(default=1024, ge=1, le=MAX_OUTPUT_TOKENS)
    """Cap sent to the provider when the request names none."""
    half_price: bool = False
    """Whether requests that can wait (``max_wait_s``) are asked in the provider's tier at half the
    price first: OpenAI's ``flex``, DashScope's Batch Chat."""
    tasks: tuple[TaskName, ...] | None = None
    """The tasks this provider serves; all of them when absent."""
    weight: int | None = Field(default=None, ge=1, le=1_000_000)
    """The row's share among its equals: neighbours that have a weight are asked first as often as
    their weights say, where the order is ``weighted`` or their expected prices are the same."""
    images: bool = False
    """Whether the model takes images."""
    tools: bool = True
    """Whether the model can be offered tools. Some models of Ollama refuse them."""
    structured: SchemaMethod | None = None
    """How the model is made to answer in a schema; the kind decides when this is absent."""
    thinking: bool = False
    """Whether a model that can think is asked to (``dashscope``)."""
    temperature: float | None = Field(default=None, ge=0, lt=2)
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Settings that only this kind has; the kind says which, and refuses the others."""

    @property
    def time_limits(self) -> TimeLimits:
        """The limits that are in force: what the row says, over what suits the location."""
        default = DEFAULT_LIMITS[self.location]
        return TimeLimits(
            self.timeout_s or default.whole_s,
            self.first_token_timeout_s or default.first_token_s,
            self.idle_timeout_s or default.idle_s,
        )

    @property
    def longest_queue_s(self) -> float:
        """How long a request waits for the row while a limit is full, in seconds."""
        return DEFAULT_QUEUE_S[self.location] if self.queue_s is None else self.queue_s

    @field_validator("base_url")
    @classmethod
    def _without_trailing_slash(cls, url: str | None) -> str | None:
        # Clients and probes add their path with a slash of its own.
        return url.rstrip("/") if url else url


class EmbeddingSpec(ProviderSpec):
    """One provider of embeddings. All rows of a configuration give the same vectors."""

    dimensions: int = Field(ge=1, le=65_536)
    """Length of a vector. Models that can give several lengths are asked for this one."""
    space: str | None = Field(default=None, min_length=1)
    """What the vectors are called where one model has several names; the model when absent."""
    batch_size: int | None = Field(default=None, ge=1, le=2048)
    """Most texts of one call; what suits the kind when absent."""

    @model_validator(mode="after")
    def _refuse_settings_of_answers(self) -> EmbeddingSpec:
        chat = ("tasks", "weight", "images", "tools", "structured", "thinking", "temperature")
        calls = ("half_price", "max_output_tokens", "first_token_timeout_s", "idle_timeout_s")
        for key in (*chat, *calls):
            # What a dumped configuration says is the default is no more than not saying it.
            if getattr(self, key) != ProviderSpec.model_fields[key].default:
                raise ValueError(f"{key}: means nothing for embeddings; take it away")
        return self

    @property
    def vector_space(self) -> tuple[str, int]:
        """Only vectors of the same space can be compared with each other."""
        return (self.space or self.model, self.dimensions)


class BudgetSpec(ConfigModel):
    """A hard limit on spending. ``0`` means that nothing may be spent.

    Example:
        >>> BudgetSpec(scope="user:*", window="day", limit_usd="0.50").limit_usd
        Decimal('0.50')
    """

    scope: Scope
    """``provider:NAME``, ``model:NAME``, ``task:NAME``, ``user:NAME``, ``tag:KEY=VALUE`` or
    ``total``; ``user:*`` is each user alone, and ``tag:KEY=*`` each value of the tag."""
    window: Window
    limit_usd: Usd
    alert_at: Annotated[Decimal, Field(gt=0, le=1)] | None = None
    """Share of the limit whose spending gives one alert per window, such as ``0.8``."""


class DefaultsSpec(ConfigModel):
    """What counts for a request that does not say it itself."""

    sensitivity: Sensitivity | Literal["required"] | None = None
    """``required`` refuses a request that says none; ``internal`` when absent."""
    task: TaskName | None = None
    user_id: str | None = Field(default=None, min_length=1, max_length=200)
    max_cost_usd: Usd | None = None
    """The envelope of a run, and of each request that is part of none."""


class RoutingSpec(ConfigModel):
    """Which of the providers that may serve a request is asked first."""

    order: Order = "listed"
    """Of requests that choose none of their own."""
    hedge_after_s: Seconds | Literal["p95", "off"] = "off"
    """When a second attempt is sent beside one that has no answer: after so many seconds, or after
    the time that one answer in twenty of this provider's model and task takes longer than."""
    hedge_tools: bool = False
    """Whether requests that offer tools are hedged, too."""
    baseline: str | None = None
    """The provider against which ``aegis costs --savings`` compares what was spent."""
    on_budget: OnBudget = "raise"
    """What happens where only budgets are in the way of a request: it fails (``raise``), or a
    person is asked for more (``interrupt``). ``downshift`` asks the cheaper provider first once the
    ``alert_at`` of a budget is reached."""


class HealthSpec(ConfigModel):
    """When a failing provider is left alone, and for how long."""

    failures: int = Field(default=3, ge=1)
    """Failures in a row that start a cooldown."""
    first_cooldown_s: float = Field(default=2.0, gt=0, le=604_800)
    """How long the first cooldown lasts, in seconds; after it one probe decides. Each probe that
    fails doubles it."""
    cooldown_s: float = Field(default=30.0, gt=0, le=604_800)
    """How long a cooldown lasts at most, in seconds."""
    verdict_s: float = Field(default=600.0, gt=0, le=604_800)
    """The longest that a refused key or model (bad key, no access, no quota) is left alone."""
    max_retry_wait_s: float = Field(default=5.0, ge=0, le=3600)
    """The longest wait a provider may ask for before it is passed over instead."""
