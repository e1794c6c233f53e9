"""What the environment says of the original deployment, and what a file says over it."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from aegis_graph import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.providers.registry import create_provider

FILE = """
[[providers]]
name = "here"
kind = "ollama"
model = "m"
location = "local"
price = "free"
{}
"""


def limits(config: RouterConfig) -> dict[str, Decimal]:
    return {row.scope: row.limit_usd for row in config.budgets}


def test_monthly_budgets_of_the_environment_replace_the_defaults() -> None:
    environ = {"MONTHLY_BUDGET_ALIBABA_CLOUD": "3.50", "MONTHLY_BUDGET_OPENAI": "0"}
    config = RouterConfig.load(environ=environ)
    assert limits(config) == {"provider:dashscope": Decimal("3.5"), "provider:openai": Decimal(0)}
    assert {row.window for row in config.budgets} == {"month"}


def test_an_empty_variable_says_nothing() -> None:
    environ = {"MONTHLY_BUDGET_OPENAI": "", "OLLAMA_BASE_URL": "", "AEGIS_CONFIG": ""}
    assert RouterConfig.load(environ=environ) == RouterConfig()


@pytest.mark.parametrize(
    "text", ["ten", "-1", "nan", "inf", "-0.01", "5 USD", "$5", "1,000", " ", "1e40", "0x5"]
)
@pytest.mark.parametrize("name", ["MONTHLY_BUDGET_OPENAI", "MONTHLY_BUDGET_ALIBABA_CLOUD"])
def test_an_amount_of_the_environment_that_is_none_is_refused_by_its_name(
    name: str, text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        RouterConfig.load(environ={name: text})
    assert str(caught.value).startswith(f"{name}: {text!r} is not an amount in USD")
    assert "\n" not in str(caught.value)


def test_budgets_of_a_file_win_over_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "aegis.toml"
    path.write_text('[[budgets]]\nscope = "provider:openai"\nwindow = "day"\nlimit_usd = 7\n')
    config = RouterConfig.load(path, environ={"MONTHLY_BUDGET_OPENAI": "5"})
    assert limits(config) == {"provider:openai": Decimal(7)}


def test_a_file_without_budgets_keeps_those_of_the_providers_it_has(tmp_path: Path) -> None:
    path = tmp_path / "aegis.toml"
    path.write_text(FILE.format("").replace('"here"', '"openai"'))
    config = RouterConfig.load(path, environ={"MONTHLY_BUDGET_OPENAI": "5"})
    assert limits(config) == {"provider:openai": Decimal(5)}


def test_the_address_of_ollama_comes_from_the_environment() -> None:
    config = RouterConfig.load(environ={"OLLAMA_BASE_URL": "http://gpu:11434/"})
    assert config.providers[0].base_url == "http://gpu:11434"
    assert config.providers[1:] == RouterConfig().providers[1:]


@pytest.mark.parametrize("url", ["gpu:11434", "ftp://gpu", "http://", "/run/ollama.sock"])
@pytest.mark.parametrize("text", [None, FILE.format("")], ids=["defaults", "file"])
def test_an_address_of_the_environment_that_is_none_is_refused(
    tmp_path: Path, url: str, text: str | None
) -> None:
    path = None
    if text is not None:
        path = tmp_path / "aegis.toml"
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"^OLLAMA_BASE_URL: .* is not an http address$"):
        RouterConfig.load(path, environ={"OLLAMA_BASE_URL": url})


def test_the_address_in_a_file_wins_over_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "aegis.toml"
    environ = {"OLLAMA_BASE_URL": "http://gpu:11434"}
    path.write_text(FILE.format(""))
    assert RouterConfig.load(path, environ=environ).providers[0].base_url == "http://gpu:11434"
    path.write_text(FILE.format('base_url = "http://other:1/"'))
    assert RouterConfig.load(path, environ=environ).providers[0].base_url == "http://other:1"


def test_aegis_config_names_the_file_where_the_caller_names_none(tmp_path: Path) -> None:
    path, other = tmp_path / "aegis.toml", tmp_path / "other.toml"
    path.write_text("[health]\nfailures = 7\n")
    other.write_text("[health]\nfailures = 8\n")
    environ = {"AEGIS_CONFIG": str(path)}
    assert RouterConfig.load(environ=environ).health.failures == 7
    assert RouterConfig.load(environ=environ).source == str(path)
    assert RouterConfig.load(other, environ=environ).health.failures == 8


def test_a_file_that_aegis_config_names_in_vain_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        RouterConfig.load(environ={"AEGIS_CONFIG": str(missing)})


def test_the_process_environment_counts_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MONTHLY_BUDGET_OPENAI", "1.25")
    monkeypatch.delenv("AEGIS_CONFIG", raising=False)
    assert limits(RouterConfig.load())["provider:openai"] == Decimal("1.25")


def beside(folder: Path, text: str) -> Path:
    """A configuration, and a ``.env`` beside it."""
    (folder / ".env").write_text(text)
    path = folder / "aegis.toml"
    path.write_text("")
    return path


def test_the_file_of_variables_beside_a_configuration_fills_in(tmp_path: Path) -> None:
    path = beside(tmp_path, "MONTHLY_BUDGET_OPENAI=0\nAEGIS_LEDGER_URL=sqlite:////srv/costs.db\n")
    config = RouterConfig.load(path, environ={})
    assert limits(config)["provider:openai"] == 0
    assert config.ledger.url == "sqlite:////srv/costs.db"


def test_the_environment_wins_over_the_file_of_variables(tmp_path: Path) -> None:
    path = beside(tmp_path, "MONTHLY_BUDGET_OPENAI=0\n")
    config = RouterConfig.load(path, environ={"MONTHLY_BUDGET_OPENAI": "7"})
    assert limits(config)["provider:openai"] == 7


def test_a_key_is_found_beside_the_configuration_and_stays_out_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = RouterConfig.load(beside(tmp_path, "OPENAI_API_KEY=sk-from-file\n"))
    row = next(row for row in config.providers if row.name == "openai")
    provider = create_provider(row, source=config.source, environ=config.variables())
    assert provider.api_key() == "sk-from-file"
    assert "OPENAI_API_KEY" not in os.environ
    # The environment is looked at when a call is made.
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-environment")
    assert provider.api_key() == "sk-from-environment"
    assert "sk-from-file" not in repr(config) + str(config.model_dump())


def test_a_broken_line_is_named_and_not_quoted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = beside(tmp_path, "# ours\n\nsk secret words\nMONTHLY_BUDGET_OPENAI=0\n")
    assert limits(RouterConfig.load(path, environ={}))["provider:openai"] == 0
    assert caplog.messages == [f"{tmp_path}/.env: line 3 is not like NAME=value, and is left out"]


def test_a_folder_of_that_name_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (tmp_path / "aegis.toml").write_text("")
    assert limits(RouterConfig.load(tmp_path / "aegis.toml", environ={}))


def test_a_file_of_variables_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = beside(tmp_path, "")
    (tmp_path / ".env").write_bytes(b"KEY=\xff\n")
    with pytest.raises(ConfigError, match=r"\.env: not text in UTF-8"):
        RouterConfig.load(path, environ={})
