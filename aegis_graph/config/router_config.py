"""The configuration: ``aegis.toml`` over the environment over the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from aegis_graph.config.accept import check_accept
from aegis_graph.config.addresses import webhook_fault
from aegis_graph.config.aliases import check_aliases
from aegis_graph.config.config_model import NAME_OF_VARIABLE, ConfigModel
from aegis_graph.config.defaults import (
    DEFAULT_BUDGETS,
    DEFAULT_EMBEDDINGS,
    DEFAULT_PROVIDERS,
    with_vision_providers,
)
from aegis_graph.config.index_spec import IndexSpec
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.config.limit_specs import LimitSpec
from aegis_graph.config.price_specs import FREE, PRICED
from aegis_graph.config.sources import (
    NO_FILE,
    alibaba_limit,
    environment,
    read_sources,
    with_environment,
)
from aegis_graph.config.specs import (
    BudgetSpec,
    DefaultsSpec,
    EmbeddingSpec,
    HealthSpec,
    ProviderSpec,
    RoutingSpec,
)
from aegis_graph.config.telemetry_spec import TelemetrySpec
from aegis_graph.errors import ConfigError


class RouterConfig(ConfigModel):
    """Everything the router is built from.

    Example:
        >>> config = RouterConfig()
        >>> [provider.name for provider in config.providers]
        ['ollama', 'dashscope', 'openai', 'extractive']
    """

    ledger: LedgerSpec = Field(default_factory=LedgerSpec)
    providers: tuple[ProviderSpec, ...] = DEFAULT_PROVIDERS
    """The chain, in the order in which providers are asked where ``routing`` says no other."""
    embeddings: tuple[EmbeddingSpec, ...] = DEFAULT_EMBEDDINGS
    """The providers of embeddings, in their own order. A row may bear a provider's name, and then
    shares its budgets."""
    aliases: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Names under which a request may choose providers: of each, the names of providers or of
    models, in the order in which they are asked."""
    budgets: tuple[BudgetSpec, ...] = DEFAULT_BUDGETS
    limits: tuple[LimitSpec, ...] = ()
    """Limits in other units than money, beside those of the providers' rows."""
    health: HealthSpec = HealthSpec()
    routing: RoutingSpec = RoutingSpec()
    """Which of the providers that may serve a request is asked first."""
    accept: Mapping[str, str] = Field(default_factory=dict)
    """What an answer must pass, by task, or under ``*`` for every task without a check of its own:
    ``json``, ``citations`` or ``module:function``."""
    defaults: DefaultsSpec = DefaultsSpec()
    """What counts for a request that does not say it itself."""
    index: IndexSpec = IndexSpec()
    telemetry: TelemetrySpec = TelemetrySpec()
    """What spans and metrics show of requests."""
    alert_webhook: SecretStr | None = None
    """Where each notice is posted as JSON: alerts and exhausted budgets, a provider that is off, a
    cost above its hold; https, or http on this machine. A secret: no log and no dump has it."""
    alert_webhook_env: str | None = Field(default=None, pattern=NAME_OF_VARIABLE)
    """Name of the environment variable with that address; where it is set, it goes before the
    file's."""
    alert_webhook_key_env: str | None = Field(default=None, pattern=NAME_OF_VARIABLE)
    """Name of the environment variable with the secret by which the posts are signed."""
    # Not in a dump: a file made from it would have a key that no file may have.
    source: str = Field(default=NO_FILE, exclude=True)
    """Where it came from, for error messages."""
    env_file: Path | None = Field(default=None, exclude=True)
    """Where a key is looked up that the environment lacks: ``.env`` beside the file."""

    @field_validator("alert_webhook")
    @classmethod
    def _check_webhook(cls, address: SecretStr | None) -> SecretStr | None:
        fault = None if address is None else webhook_fault(address.get_secret_value())
        if fault is not None:
            raise ValueError(fault)
        return address

    @model_validator(mode="after")
    def _check_names_and_budgets(self) -> RouterConfig:
        names = [provider.name for provider in self.providers]
        if not names:
            raise ValueError("providers: empty; name at least one")
        if not any(provider.enabled for provider in self.providers):
            raise ValueError("providers: every one is switched off; enable at least one")
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"providers[{index}].name: {name!r} is used twice")
        baseline = self.routing.baseline
        if baseline is not None and baseline not in names:
            raise ValueError(f"routing.baseline: no provider is named {baseline!r}")
        check_aliases(self.aliases, self.providers)
        check_accept(self.accept)
        _check_embeddings(self.embeddings)
        # Only now: a row of embeddings may bear a provider's name.
        names += [row.name for row in self.embeddings]
        if "budgets" not in self.model_fields_set:
            # The defaults are for the default chain: of another one they keep what is there.
            there = [row for row in self.budgets if row.scope.removeprefix("provider:") in names]
            object.__setattr__(self, "budgets", tuple(there))
        _check_budgets(self.budgets, names)
        _check_limits(self.limits, names)
        return self

    @classmethod
    def load(
        cls, path: str | Path | None = None, *, environ: Mapping[str, str] | None = None
    ) -> RouterConfig:
        """Read a configuration file over the defaults.

        What the file says wins over the environment, the environment over a ``.env`` beside the
        file, and that over the defaults.

        Args:
            path: The file. Without it, the one that ``AEGIS_CONFIG`` names; without that, defaults.
            environ: Environment variables, by default the process's own.

        Raises:
            ConfigError: One line that names the key and the file.

        Example:
            >>> RouterConfig.load(environ={"MONTHLY_BUDGET_OPENAI": "5"}).budgets[1].limit_usd
            Decimal('5')
        """
        document, facts, variables = read_sources(path, environ)
        return cls._checked(with_environment(document, variables), facts)

    @classmethod
    def load_vision(
        cls, path: str | Path | None = None, *, environ: Mapping[str, str] | None = None
    ) -> RouterConfig:
        """Read the configuration for requests that have images.

        Where no file names providers, the chain is ``VISION_PROVIDERS``, and all of it together may
        spend what ``MONTHLY_BUDGET_ALIBABA_CLOUD`` says, or $10 a month. A file's own providers are
        the chain where one of them takes images. Where none does, the local ones of
        ``VISION_PROVIDERS`` follow them: no image goes to a cloud that the file does not name.

        Args:
            path: The file, as in ``load``.
            environ: Environment variables, by default the process's own.

        Raises:
            ConfigError: One line that names the key and the file.

        Example:
            >>> [row.name for row in RouterConfig.load_vision(environ={}).providers]
            ['dashscope_vision', 'dashscope_vision_thinking', 'ollama_vision', 'ocr']
        """
        document, facts, variables = read_sources(path, environ)
        # The environment last: it fills in the addresses of the rows that are there by then.
        filled = with_environment(
            with_vision_providers(document, alibaba_limit(variables)), variables
        )
        return cls._checked(filled, facts)

    @classmethod
    def _checked(cls, document: Mapping[str, Any], facts: Mapping[str, Any]) -> RouterConfig:
        try:
            return cls.model_validate({**document, **facts})
        except ValidationError as error:
            raise ConfigError(f"{facts['source']}: {first_fault(error)}") from error

    @property
    def is_from_file(self) -> bool:
        """Whether a file says what counts, and not the defaults."""
        return self.source != NO_FILE

    def variables(self, environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Where keys are looked up by name: in the environment, then in the ``.env`` file.

        Args:
            environ: Environment variables, by default the process's own.

        Raises:
            ConfigError: The ``.env`` file cannot be read.
        """
        return environment(self.env_file, environ)


def _check_budgets(budgets: tuple[BudgetSpec, ...], names: list[str]) -> None:
    for index, budget in enumerate(budgets):
        _check_provider(budget.scope, names, where=f"budgets[{index}].scope")
        scope, window = budget.scope, budget.window
        if (scope, window) in [(other.scope, other.window) for other in budgets[:index]]:
            raise ValueError(f"budgets[{index}]: a second budget for {scope!r} per {window}")


def _check_limits(limits: tuple[LimitSpec, ...], names: list[str]) -> None:
    for index, limit in enumerate(limits):
        _check_provider(limit.scope, names, where=f"limits[{index}].scope")
        if limit.scope in [other.scope for other in limits[:index]]:
            raise ValueError(f"limits[{index}]: a second row for {limit.scope!r}; join them")


def _check_provider(scope: str, names: list[str], *, where: str) -> None:
    kind, _, subject = scope.partition(":")
    if kind == "provider" and subject not in names:
        raise ValueError(f"{where}: no provider is named {subject!r}")


def _check_embeddings(rows: tuple[EmbeddingSpec, ...]) -> None:
    for index, row in enumerate(rows):
        if row.name in [other.name for other in rows[:index]]:
            raise ValueError(f"embeddings[{index}].name: {row.name!r} is used twice")
        if row.vector_space != rows[0].vector_space:
            (space, size), (first, first_size) = row.vector_space, rows[0].vector_space
            raise ValueError(
                f"embeddings[{index}]: gives vectors of {space!r} with {size} dimensions, and"
                f" {rows[0].name} of {first!r} with {first_size}: they cannot be compared; keep one"
                " of them, or give both the same space where it is one model with two names"
            )


_PLAIN = {
    "extra_forbidden": "unknown key",
    "missing": "missing",
    # ``[providers]`` for ``[[providers]]``.
    "tuple_type": "must be a list; a table of it is written with two brackets",
}
"""Plain words for faults that pydantic says in Python's."""


def first_fault(error: ValidationError) -> str:
    """The first fault of a configuration, as ``providers[1].timeout_sec: unknown key``."""
    fault = error.errors(include_url=False)[0]
    where = ""
    for part in fault["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        # Tags of a union, which stand in no file.
        elif part not in {FREE, PRICED}:
            where += f".{part}" if where else str(part)
    what = _PLAIN.get(fault["type"])
    text = what or fault["msg"].removeprefix("Value error, ")
    more = error.error_count() - 1
    suffix = f" (and {more} more)" if more else ""
    return f"{where}: {text}{suffix}" if where else f"{text}{suffix}"
