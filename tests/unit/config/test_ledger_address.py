"""One ledger from every folder, and a password that no output shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from aegis_graph import ConfigError, RouterConfig
from aegis_graph.config.ledger_spec import LedgerSpec, data_folder


def test_a_relative_path_counts_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "app" / "aegis.toml"
    file.parent.mkdir()
    file.write_text('[ledger]\nurl = "sqlite:///costs/ledger.db"\n')
    found = set()
    for name in ("d1", "d2"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found.add(RouterConfig.load(file, environ={}).ledger.url)
        # The file itself may be named from here.
        relative = Path("..") / "app" / "aegis.toml"
        found.add(RouterConfig.load(relative, environ={}).ledger.url)
    assert found == {f"sqlite:///{tmp_path}/app/costs/ledger.db"}


def test_without_a_file_it_counts_from_the_users_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder().is_relative_to(tmp_path)
    assert RouterConfig().ledger.url == f"sqlite:///{data_folder()}/cost_tracking.db"
    given = RouterConfig.model_validate({"ledger": {"url": "sqlite:///mine.db"}})
    assert given.ledger.url == f"sqlite:///{data_folder()}/mine.db"


def test_the_environment_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aegis.toml"
    file.write_text('[ledger]\nurl = "sqlite:///costs.db"\ntimezone = "Europe/Berlin"\n')
    named = {"AEGIS_LEDGER_URL": "postgresql://host/costs"}
    ledger = RouterConfig.load(file, environ=named).ledger
    assert (ledger.url, ledger.timezone) == ("postgresql://host/costs", "Europe/Berlin")
    monkeypatch.chdir(tmp_path)
    here = RouterConfig.load(environ={"AEGIS_LEDGER_URL": "sqlite:///here.db"})
    assert here.ledger.url == f"sqlite:///{tmp_path}/here.db"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:sec@ret@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:sec/ret@host/db", "postgresql://u:***@host/db"),
        ("postgresql://u:sec:ret@host:5432/db", "postgresql://u:***@host:5432/db"),
        ("postgresql://host/db?password=secret", "postgresql://host/db?password=***"),
        ("postgresql://host/db?a=b&%70assword=secret", "postgresql://host/db?a=b&%70assword=***"),
        ("postgresql://host/db?PASSWORD=secret", "postgresql://host/db?PASSWORD=***"),
        ("postgresql://host/db?sslpassword=secret&x=1", "postgresql://host/db?sslpassword=***&x=1"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_no_form_of_a_password_is_shown(url: str, shown: str) -> None:
    spec = LedgerSpec(url=url)
    assert spec.url_without_password == shown
    config = RouterConfig.model_validate({"ledger": {"url": url}})
    for text in (repr(spec), str(spec), repr(config), str(config)):
        assert "secret" not in text
        assert "sec@" not in text


def test_what_was_typed_in_the_wrong_place_is_in_no_error() -> None:
    row = {"name": "a", "kind": "openai", "model": "m", "location": "cloud", "api_key": "sk-typed"}
    with pytest.raises(ValidationError) as caught:
        RouterConfig.model_validate({"providers": [row]})
    assert "sk-typed" not in str(caught.value)


def test_a_chain_of_ones_own_brings_no_budget_of_another() -> None:
    [ollama, *_] = RouterConfig().providers
    assert RouterConfig(providers=(ollama,)).budgets == ()
    kept = [row for row in RouterConfig().providers if row.name in {"ollama", "openai"}]
    assert [row.scope for row in RouterConfig(providers=tuple(kept)).budgets] == ["provider:openai"]


def test_a_scope_that_is_none_is_explained_in_words(tmp_path: Path) -> None:
    file = tmp_path / "aegis.toml"
    file.write_text('[[budgets]]\nscope = "everything"\nwindow = "day"\nlimit_usd = "1"\n')
    with pytest.raises(ConfigError, match=r"write total, provider:NAME") as caught:
        RouterConfig.load(file, environ={})
    assert "^" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["costs.db", "sqlite://costs.db", "sqlite:///", "mysql://h/costs", "postgres:costs", ""]
)
def test_what_is_no_address_is_told_what_one_looks_like(url: str) -> None:
    with pytest.raises(ValidationError, match="write sqlite:///FILE, or postgresql://USER@HOST/"):
        LedgerSpec(url=url)
