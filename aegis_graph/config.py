"""The configuration: ``aegis.toml`` as frozen rows, checked before anything runs."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aegis_graph.errors import ConfigError
from aegis_graph.state import Task

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,39}$"
"""A provider's name is also a node's name and part of a budget's scope."""

KEY_ALIASES: Mapping[str, str] = {"ALIBABA_CLOUD_API_KEY": "DASHSCOPE_API_KEY"}
"""A second name under which a key may be set: the SDK's own."""

BUDGET_VARIABLES: Mapping[str, str] = {
    "MONTHLY_BUDGET_ALIBABA_CLOUD": "dashscope",
    "MONTHLY_BUDGET_OPENAI": "openai",
}
"""Monthly limits of the original deployment, and the provider each belongs to."""

Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=24)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PriceSpec(_Row):
    """A price in USD per million tokens. It overrides the price book."""

    input_usd_per_mtok: Usd
    output_usd_per_mtok: Usd
    cached_input_usd_per_mtok: Usd | None = None
    """Price of input tokens the provider read from its cache; the input price when absent."""


class ProviderSpec(_Row):
    """One provider in the chain: what to call, with which key, and what it may serve."""

    name: str = Field(pattern=NAME_PATTERN)
    kind: str
    """``ollama``, ``dashscope``, ``openai`` or ``extractive``."""
    model: str = Field(min_length=1)
    location: Literal["local", "cloud"]
    """Where the data goes. Sensitive requests stay on ``local`` providers."""
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+")
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable with the key; never the key."""
    price: Literal["free"] | PriceSpec | None = None
    """``free``, a price, or nothing: then the price book must know the model."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """Time limit of one attempt, from the first byte sent to the last received."""
    max_retries: int = Field(default=1, ge=0, le=5)
    """How often a refusal that did no work (429, 5xx) is tried again at this provider."""
    retry_wait_s: float = Field(default=0.5, ge=0, le=60)
    """Wait before the first retry, doubled each time, where the provider asked for none."""
    max_output_tokens: int = Field(default=1024, ge=1, le=1_000_000)
    """Cap sent to the provider when the request names none."""
    tasks: tuple[Task, ...] | None = None
    """The tasks this provider serves; all of them when absent."""
    images: bool = False
    """Whether the model takes images."""
    thinking: bool = False
    """Whether a model that can think is asked to (``dashscope``)."""
    temperature: float | None = Field(default=None, ge=0, lt=2)

    @field_validator("base_url")
    @classmethod
    def _without_trailing_slash(cls, url: str | None) -> str | None:
        return url.rstrip("/") if url else url


class BudgetSpec(_Row):
    """A hard limit on spending. ``0`` means that nothing may be spent."""

    scope: str = Field(pattern=r"^(total|(provider|model|task|user):\S+)$")
    """``provider:NAME``, ``model:NAME``, ``task:NAME``, ``user:NAME``, ``user:*`` or ``total``."""
    window: Literal["day", "week", "month", "total"]
    limit_usd: Usd


class LedgerSpec(_Row):
    """Where costs are recorded, and whose midnight ends a day."""

    url: str = Field(default="sqlite:///data/cost_tracking.db", pattern=r"^sqlite:///\S")
    timezone: str = "UTC"
    busy_timeout_s: float = Field(default=5.0, gt=0, le=300)
    """How long to wait for a lock that another program holds, before giving up."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {name!r}") from error
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which days and months begin."""
        return ZoneInfo(self.timezone)


class HealthSpec(_Row):
    """When a failing provider is left alone, and for how long."""

    failures: int = Field(default=3, ge=1)
    """Failures in a row that start a cooldown."""
    cooldown_s: float = Field(default=30.0, gt=0)
    """How long a cooldown lasts, in seconds; after it one probe decides."""
    verdict_s: float = Field(default=600.0, gt=0)
    """How long a refusal that does not heal (bad key, no access, no quota) is remembered."""
    max_retry_wait_s: float = Field(default=5.0, ge=0)
    """The longest wait a provider may ask for before it is passed over instead."""


DEFAULT_PROVIDERS: tuple[ProviderSpec, ...] = (
    ProviderSpec(
        name="ollama",
        kind="ollama",
        model="llama3.2:3b",
        base_url="http://localhost:11434",
        location="local",
        price="free",
    ),
    ProviderSpec(
        name="dashscope",
        kind="dashscope",
        model="qwen-plus",
        base_url="https://dashscope-intl.aliyuncs.com/api/v1",
        api_key_env="ALIBABA_CLOUD_API_KEY",
        location="cloud",
    ),
    ProviderSpec(
        name="openai",
        kind="openai",
        model="gpt-4o",
        api_key_env="OPENAI_API_KEY",
        location="cloud",
        images=True,
    ),
    ProviderSpec(
        name="extractive",
        kind="extractive",
        model="best-sentences",
        location="local",
        price="free",
        tasks=("answer",),
    ),
)
"""The original deployment's chain, then the embedded provider that needs nothing."""

DEFAULT_BUDGETS: tuple[BudgetSpec, ...] = (
    BudgetSpec(scope="provider:dashscope", window="month", limit_usd=Decimal(10)),
    BudgetSpec(scope="provider:openai", window="month", limit_usd=Decimal(20)),
)
"""The original deployment's monthly limits."""


class RouterConfig(_Row):
    """Everything the router is built from.

    Example:
        >>> config = RouterConfig()
        >>> [provider.name for provider in config.providers]
        ['ollama', 'dashscope', 'openai', 'extractive']
    """

    ledger: LedgerSpec = LedgerSpec()
    providers: tuple[ProviderSpec, ...] = Field(default=DEFAULT_PROVIDERS, min_length=1)
    """The chain, in the order in which providers are asked: cheapest first."""
    budgets: tuple[BudgetSpec, ...] = DEFAULT_BUDGETS
    health: HealthSpec = HealthSpec()
    source: str = Field(default="the default configuration", exclude=True)
    """Where it came from, for error messages."""

    @model_validator(mode="after")
    def _names_fit_together(self) -> RouterConfig:
        names = [provider.name for provider in self.providers]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"providers[{index}].name: {name!r} is used twice")
        seen: set[tuple[str, str]] = set()
        for index, budget in enumerate(self.budgets):
            kind, _, subject = budget.scope.partition(":")
            if kind == "provider" and subject not in names:
                raise ValueError(f"budgets[{index}].scope: no provider is named {subject!r}")
            if (budget.scope, budget.window) in seen:
                raise ValueError(
                    f"budgets[{index}]: a second budget for {budget.scope!r} per {budget.window}"
                )
            seen.add((budget.scope, budget.window))
        return self

    @classmethod
    def load(
        cls, path: str | Path | None = None, *, environ: Mapping[str, str] | None = None
    ) -> RouterConfig:
        """Read a configuration file over the defaults.

        What the file says wins over the environment; the environment wins over the defaults.

        Args:
            path: The file. Without it, the one that ``AEGIS_CONFIG`` names; without that, defaults.
            environ: Environment variables, by default the process's own.

        Raises:
            ConfigError: One line that names the key and the file.

        Example:
            >>> RouterConfig.load(environ={"MONTHLY_BUDGET_OPENAI": "5"}).budgets[1].limit_usd
            Decimal('5')
        """
        variables = os.environ if environ is None else environ
        chosen = path or variables.get("AEGIS_CONFIG") or None
        source = str(chosen) if chosen else "the default configuration"
        document = _read(Path(chosen)) if chosen else {}
        return cls._checked({**_with_environment(document, variables), "source": source}, source)

    @classmethod
    def _checked(cls, document: Mapping[str, Any], source: str) -> RouterConfig:
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise ConfigError(f"{source}: {_first_line(error)}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    if "source" in document:
        raise ConfigError(f"{path}: source: unknown key")
    return document


def _with_environment(document: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Fill what the file leaves out from the original deployment's variables."""
    merged = dict(document)
    if "providers" not in document:
        merged["providers"] = [
            spec.model_copy(update={"base_url": variables["OLLAMA_BASE_URL"].rstrip("/")})
            if spec.kind == "ollama" and variables.get("OLLAMA_BASE_URL")
            else spec
            for spec in DEFAULT_PROVIDERS
        ]
    elif variables.get("OLLAMA_BASE_URL") and isinstance(document["providers"], list):
        merged["providers"] = [
            {**row, "base_url": row.get("base_url") or variables["OLLAMA_BASE_URL"]}
            if isinstance(row, dict) and row.get("kind") == "ollama"
            else row
            for row in document["providers"]
        ]
    if "budgets" not in document:
        merged["budgets"] = _default_budgets(merged["providers"], variables)
    return merged


def _default_budgets(providers: object, variables: Mapping[str, str]) -> list[dict[str, Any]]:
    names = {
        getattr(row, "name", None) or (row.get("name") if isinstance(row, dict) else None)
        for row in (providers if isinstance(providers, list) else [])
    }
    limits: dict[str, Any] = {budget.scope: budget.limit_usd for budget in DEFAULT_BUDGETS}
    for variable, provider in BUDGET_VARIABLES.items():
        if variables.get(variable):
            limits[f"provider:{provider}"] = _usd_from(variable, variables[variable])
    return [
        {"scope": scope, "window": "month", "limit_usd": limit}
        for scope, limit in limits.items()
        if scope.removeprefix("provider:") in names
    ]


def _usd_from(variable: str, text: str) -> Decimal:
    try:
        limit = Decimal(text)
    except ArithmeticError as error:
        raise ConfigError(f"{variable}: {text!r} is not an amount in USD") from error
    if not limit.is_finite() or limit < 0:
        raise ConfigError(f"{variable}: {text!r} is not an amount in USD of at least 0")
    return limit


def _first_line(error: ValidationError) -> str:
    """The first fault, as ``providers[1].timeout_sec: unknown key``."""
    fault = error.errors(include_url=False)[0]
    where = ""
    for part in fault["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif part not in {"PriceSpec", "literal['free']"}:
            where += f".{part}" if where else str(part)
    what = {"extra_forbidden": "unknown key", "missing": "missing"}.get(fault["type"])
    text = what or fault["msg"].removeprefix("Value error, ")
    more = error.error_count() - 1
    suffix = f" (and {more} more)" if more else ""
    return f"{where}: {text}{suffix}" if where else f"{text}{suffix}"
