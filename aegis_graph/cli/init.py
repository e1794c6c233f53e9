"""``aegis init``: a first configuration, from three questions and what this machine has."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from pydantic import ValidationError

from aegis_graph.cli import OK
from aegis_graph.config.budget_input import parse_usd
from aegis_graph.config.env_file import NAME as ENV_FILE
from aegis_graph.config.router_config import RouterConfig, first_fault
from aegis_graph.config.sources import config_path, environment
from aegis_graph.config.specs import KEY_ALIASES, ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.text.foreign import clean_text
from aegis_graph.types import DEFAULT_SENSITIVITY, SENSITIVITIES

FILE = Path("aegis.toml")
LOOK_S = 2.0
"""How long a local server is waited for: one that is there answers in milliseconds."""
MOST_USD = "10"
NO_MODEL = "none"

HEAD = """\
# Written by `aegis init`; aegis.example.toml of the package has every key.
# What is left out keeps its default. Point --config or AEGIS_CONFIG here.
# Keys stay out of this file: they come from the environment, or from .env beside it.

# [ledger]
# url = "sqlite:///costs.db"        # default: one file in this user's data folder

[defaults]
sensitivity = {sensitivity}   # of a request that says none; confidential, pii, hipaa stay local

# Providers are asked in this order: cheapest first.
"""
LOCAL = """\
[[providers]]
name = "ollama"
kind = "ollama"
model = {model}
base_url = {url}
location = "local"
price = "free"

"""
CLOUD = """\
[[providers]]
name = {name}
kind = {kind}
model = {model}{url}
api_key_env = {key}   # the name of the variable; without it the provider is skipped
location = "cloud"

"""
EMBEDDED = """\
[[providers]]
name = "extractive"   # needs nothing: quotes documents where no model answers `aegis ask`
kind = "extractive"
model = "best-sentences"
location = "local"
price = "free"
tasks = ["answer"]
"""
BUDGET = """
[[budgets]]
scope = {scope}
window = "month"
limit_usd = {usd}   # hard: 0 means that nothing may be spent
"""


def init(options: argparse.Namespace) -> int:
    """Write a configuration, and say what was found for it."""
    variables = environment(Path.cwd() / ENV_FILE)
    path = config_path(options.config, environ=variables) or FILE
    if path.exists() and not options.force:
        raise ConfigError(f"{path} is there already; --force replaces it")
    asks = not options.yes
    if asks and not sys.stdin.isatty():
        raise ConfigError("init asks three questions: use a terminal, or --yes for the defaults")
    # Not the file that is named: it is what this writes.
    found = RouterConfig.load(environ={**variables, "AEGIS_CONFIG": ""})
    local = next(row for row in found.providers if row.kind == "ollama")
    clouds = [row for row in found.providers if row.location == "cloud"]
    models = _models(local.base_url or "")
    _say_what_is_there(local, models, clouds, variables)
    model = models[0] if models else local.model
    usd, sensitivity = MOST_USD, str(DEFAULT_SENSITIVITY)
    if asks:
        model = _asked(f"Local model that is asked first, or {NO_MODEL}", model)
        usd = _asked("Most that each cloud may cost in a month, in USD", usd)
        sensitivity = _asked(
            f"How private a request is that does not say it ({', '.join(SENSITIVITIES)})",
            sensitivity,
        )
    parse_usd(usd)
    text = _file(None if model == NO_MODEL else model, local, clouds, usd, sensitivity)
    _check(text)
    _write(path, text, force=options.force)
    if options.json:
        print(json.dumps({"file": str(path)}))
    else:
        print(f"{path} is written; look at it, then try: aegis --config {path} doctor")
    return OK


def _models(url: str) -> list[str]:
    """What an Ollama server has; nothing where none answers."""
    try:
        # Not through a proxy: it is on this machine, or beside it.
        with build_opener(ProxyHandler({})).open(f"{url}/api/tags", timeout=LOOK_S) as answer:
            rows = json.load(answer)["models"]
        return [str(row["name"]) for row in rows]
    # No server, or another one: there is nothing to offer then.
    except (OSError, ValueError, KeyError, TypeError, HTTPException):
        return []


def _say_what_is_there(
    local: ProviderSpec,
    models: Sequence[str],
    clouds: Sequence[ProviderSpec],
    variables: Mapping[str, str],
) -> None:
    has = f"has {clean_text(', '.join(models))}" if models else "has no model, or does not answer"
    print(f"Ollama at {local.base_url} {has}", file=sys.stderr)
    for row in clouds:
        name = row.api_key_env or ""
        known = [one for one in (name, KEY_ALIASES.get(name, name)) if variables.get(one)]
        print(f"{row.name}: {known[0] if known else f'{name} is not'} set", file=sys.stderr)


def _asked(question: str, default: str) -> str:
    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError as error:
        raise ConfigError("init: the questions were not answered; nothing is written") from error


def _file(
    model: str | None,
    local: ProviderSpec,
    clouds: Sequence[ProviderSpec],
    usd: str,
    sensitivity: str,
) -> str:
    quoted = json.dumps
    parts = [HEAD.format(sensitivity=quoted(sensitivity))]
    if model is not None:
        parts.append(LOCAL.format(model=quoted(model), url=quoted(local.base_url)))
    for row in clouds:
        url = f"\nbase_url = {quoted(row.base_url)}" if row.base_url else ""
        names = {"name": row.name, "kind": row.kind, "model": row.model, "key": row.api_key_env}
        parts.append(CLOUD.format(url=url, **{key: quoted(value) for key, value in names.items()}))
    parts.append(EMBEDDED)
    parts += [
        BUDGET.format(scope=quoted(f"provider:{row.name}"), usd=quoted(usd)) for row in clouds
    ]
    return "".join(parts)


def _check(text: str) -> None:
    """Make sure that what was answered makes a configuration."""
    try:
        RouterConfig.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise ConfigError(f"init: {first_fault(error)}") from error


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
