"""The configuration: ``aegis.toml`` over the environment over the defaults."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from aegis_graph.config.config_model import ConfigModel, Usd
from aegis_graph.config.defaults import (
    DEFAULT_BUDGETS,
    DEFAULT_EMBEDDINGS,
    DEFAULT_PROVIDERS,
    with_vision_providers,
)
from aegis_graph.config.price_specs import FREE, PRICED
from aegis_graph.config.specs import (
    URL_PATTERN,
    BudgetSpec,
    DefaultsSpec,
    EmbeddingSpec,
    HealthSpec,
    LedgerSpec,
    ProviderSpec,
)
from aegis_graph.errors import ConfigError

BUDGET_VARIABLES: Mapping[str, str] = {
    "MONTHLY_BUDGET_ALIBABA_CLOUD": "dashscope",
    "MONTHLY_BUDGET_OPENAI": "openai",
}
"""Monthly limits of the original deployment, and the provider each belongs to."""

URL_VARIABLES: Mapping[str, str] = {"ollama": "OLLAMA_BASE_URL"}
"""Variables of the original deployment with the address of a kind's server."""


class RouterConfig(ConfigModel):
    """Everything the router is built from.

    Example:
        >>> config = RouterConfig()
        >>> [provider.name for provider in config.providers]
        ['ollama', 'dashscope', 'openai', 'extractive']
    """

    ledger: LedgerSpec = LedgerSpec()
    providers: tuple[ProviderSpec, ...] = DEFAULT_PROVIDERS
    """The chain, in the order in which providers are asked: cheapest first."""
    embeddings: tuple[EmbeddingSpec, ...] = DEFAULT_EMBEDDINGS
    """The providers of embeddings, in their own order. A row may bear a provider's name, and then
    shares its budgets."""
    budgets: tuple[BudgetSpec, ...] = DEFAULT_BUDGETS
    health: HealthSpec = HealthSpec()
    defaults: DefaultsSpec = DefaultsSpec()
    """What counts for a request that does not say it itself."""
    # Not in a dump: a file made from it would have a key that no file may have.
    source: str = Field(default="the default configuration", exclude=True)
    """Where it came from, for error messages."""

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
        _check_embeddings(self.embeddings)
        # Only now: a row of embeddings may bear a provider's name.
        names += [row.name for row in self.embeddings]
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
        document, source, variables = _sources(path, environ)
        return cls._checked({**_with_environment(document, variables), "source": source}, source)

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
        document, source, variables = _sources(path, environ)
        # The environment last: it fills in the addresses of the rows that are there by then.
        filled = _with_environment(
            with_vision_providers(document, _alibaba_limit(variables)), variables
        )
        return cls._checked({**filled, "source": source}, source)

    @classmethod
    def _checked(cls, document: Mapping[str, Any], source: str) -> RouterConfig:
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise ConfigError(f"{source}: {first_fault(error)}") from error


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


def config_path(
    path: str | Path | None = None, *, environ: Mapping[str, str] | None = None
) -> Path | None:
    """The configuration's file: the one given, else the one that ``AEGIS_CONFIG`` names."""
    variables = os.environ if environ is None else environ
    chosen = path or variables.get("AEGIS_CONFIG")
    return Path(chosen) if chosen else None


def _sources(
    path: str | Path | None, environ: Mapping[str, str] | None
) -> tuple[dict[str, Any], str, Mapping[str, str]]:
    """What the file says, its name, and the environment."""
    variables = os.environ if environ is None else environ
    chosen = config_path(path, environ=variables)
    document = _read(chosen) if chosen else {}
    return document, str(chosen) if chosen else "the default configuration", variables


def _alibaba_limit(variables: Mapping[str, str]) -> Decimal | None:
    variable = "MONTHLY_BUDGET_ALIBABA_CLOUD"
    return _usd_from(variable, variables[variable]) if variables.get(variable) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    # A field of the class, but no key of a file.
    if "source" in document:
        raise ConfigError(f"{path}: source: unknown key")
    return document


def _with_environment(document: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Fill what the file leaves out from the original deployment's variables."""
    merged = dict(document)
    defaults: Mapping[str, tuple[ProviderSpec, ...]] = {
        "providers": DEFAULT_PROVIDERS,
        "embeddings": DEFAULT_EMBEDDINGS,
    }
    for table, rows in defaults.items():
        merged[table] = _with_urls(document.get(table, rows), variables)
    # After the providers: the defaults keep the budgets of those that are there.
    if "budgets" not in document:
        merged["budgets"] = _default_budgets(merged["providers"], variables)
    return merged


def _with_urls(rows: object, variables: Mapping[str, str]) -> object:
    """Fill in the address of a kind's server: in default rows, and where the file says none."""
    # An empty variable counts as one that is not set.
    urls = {
        kind: _url_from(name, variables[name])
        for kind, name in URL_VARIABLES.items()
        if variables.get(name)
    }
    # Default rows are a tuple of specs; rows of a file are a list, and not checked yet.
    if isinstance(rows, tuple):
        return [
            row.model_copy(update={"base_url": urls[row.kind]}) if row.kind in urls else row
            for row in rows
        ]
    if not isinstance(rows, list):
        return rows
    return [
        {**row, "base_url": urls[row["kind"]]}
        if isinstance(row, dict) and str(row.get("kind")) in urls and "base_url" not in row
        else row
        for row in rows
    ]


def _default_budgets(providers: object, variables: Mapping[str, str]) -> list[dict[str, Any]]:
    names = {
        getattr(row, "name", None) or (row.get("name") if isinstance(row, dict) else None)
        for row in (providers if isinstance(providers, list | tuple) else [])
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
        limit: Decimal = TypeAdapter(Usd).validate_python(text)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"]
        raise ConfigError(f"{variable}: {text!r} is not an amount in USD: {why}") from error
    return limit


def _url_from(variable: str, text: str) -> str:
    url = text.rstrip("/")
    if not re.match(URL_PATTERN, url):
        raise ConfigError(f"{variable}: {url!r} is not an http address")
    return url


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
    what = {"extra_forbidden": "unknown key", "missing": "missing"}.get(fault["type"])
    text = what or fault["msg"].removeprefix("Value error, ")
    more = error.error_count() - 1
    suffix = f" (and {more} more)" if more else ""
    return f"{where}: {text}{suffix}" if where else f"{text}{suffix}"
