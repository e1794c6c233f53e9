"""What the configuration is read from: a file over the environment."""

from __future__ import annotations

import logging
import os
import re
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError

from aegis_graph.config.config_model import Usd
from aegis_graph.config.defaults import DEFAULT_BUDGETS, DEFAULT_EMBEDDINGS, DEFAULT_PROVIDERS
from aegis_graph.config.env_file import NAME as ENV_FILE
from aegis_graph.config.env_file import broken_lines, read_env_file
from aegis_graph.config.ledger_spec import SQLITE, anchored
from aegis_graph.config.specs import URL_PATTERN, ProviderSpec
from aegis_graph.errors import ConfigError

NO_FILE = "the default configuration"
"""The source of a configuration that is read from no file."""

logger = logging.getLogger(__name__)

BUDGET_VARIABLES: Mapping[str, str] = {
    "MONTHLY_BUDGET_ALIBABA_CLOUD": "dashscope",
    "MONTHLY_BUDGET_OPENAI": "openai",
}
"""Monthly limits of the original deployment, and the provider each belongs to."""

URL_VARIABLES: Mapping[str, str] = {"ollama": "OLLAMA_BASE_URL"}
"""Variables of the original deployment with the address of a kind's server."""


def config_path(
    path: str | Path | None = None, *, environ: Mapping[str, str] | None = None
) -> Path | None:
    """The configuration's file: the one given, else the one that ``AEGIS_CONFIG`` names."""
    variables = os.environ if environ is None else environ
    chosen = path or variables.get("AEGIS_CONFIG")
    return Path(chosen) if chosen else None


def environment_value(name: str, environ: Mapping[str, str] | None) -> str | None:
    """What the environment has now under a name; ``None`` where that is nothing."""
    variables = os.environ if environ is None else environ
    return variables.get(name, "").strip() or None


def environment(
    env_file: Path | None, environ: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """The environment as it is whenever a name is looked up, over what a ``.env`` file says now.

    Raises:
        ConfigError: The file cannot be read.
    """
    variables = os.environ if environ is None else environ
    values = read_env_file(env_file) if env_file is not None else {}
    return ChainMap(cast("MutableMapping[str, str]", variables), values) if values else variables


class Sources(NamedTuple):
    """What a configuration is read from."""

    document: dict[str, Any]
    """What the file says."""
    facts: dict[str, Any]
    """The fields of a configuration that say where it came from."""
    variables: Mapping[str, str]
    """The environment, over the ``.env`` beside the file."""


def read_sources(path: str | Path | None, environ: Mapping[str, str] | None) -> Sources:
    """Read the file, and the ``.env`` beside it."""
    chosen = config_path(path, environ=environ)
    env_file = chosen.absolute().parent / ENV_FILE if chosen else None
    variables = environment(env_file, environ)
    if env_file is not None:
        warn_of_broken_lines(env_file)
    document = _read(chosen) if chosen else {}
    _set_ledger(document, chosen, variables)
    source = str(chosen) if chosen else NO_FILE
    return Sources(document, {"source": source, "env_file": env_file}, variables)


def warn_of_broken_lines(env_file: Path) -> None:
    """Name in the log each line of a ``.env`` that says nothing, and not what is in it."""
    for line in broken_lines(env_file):
        logger.warning("%s: line %d is not like NAME=value, and is left out", env_file, line)


def _set_ledger(document: dict[str, Any], path: Path | None, variables: Mapping[str, str]) -> None:
    """Anchor the ledger's address: in the environment to this folder, in a file to the file's."""
    named, table = variables.get("AEGIS_LEDGER_URL"), document.get("ledger", {})
    if not isinstance(table, dict):
        return  # Checking it says what is wrong.
    if named:
        document["ledger"] = {**table, "url": anchored(named, Path.cwd())}
    elif path is not None and isinstance(table.get("url"), str) and table["url"] != SQLITE:
        document["ledger"] = {**table, "url": anchored(table["url"], path.parent)}


def alibaba_limit(variables: Mapping[str, str]) -> Decimal | None:
    """The monthly limit of the original deployment for Alibaba, in USD, where it is set."""
    variable = "MONTHLY_BUDGET_ALIBABA_CLOUD"
    return _usd_from(variable, variables[variable]) if variables.get(variable) else None


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415  many configurations are made without a file

    try:
        # Editors and shells of Windows begin a file with a mark of its coding.
        document = tomllib.loads(path.read_text(encoding="utf-8").removeprefix("\ufeff"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8; save it as that") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    # Fields of the class, but no keys of a file.
    for key in {"source", "env_file"} & document.keys():
        raise ConfigError(f"{path}: {key}: unknown key")
    return document


def with_environment(document: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
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
