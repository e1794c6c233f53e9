"""Kinds of this package and of others, their settings, and what a wrong one says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph import RouterConfig, create_router
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import AllProvidersFailedError, ConfigError
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.registry import BUILT_IN, create_provider, kinds

ACME = '''
from aegis_graph.providers.extractive.provider import ExtractiveProvider
from aegis_graph.providers.base import ProviderOptions


class AcmeOptions(ProviderOptions):
    region: str = "eu"
    lanes: int = 1


class AcmeProvider(ExtractiveProvider):
    options_type = AcmeOptions


class Half(ExtractiveProvider.__base__):
    """Lacks every method of its own."""


def not_a_class():
    return None
'''


def row(**changes: Any) -> ProviderSpec:
    known = {"name": "one", "kind": "acme", "model": "best-sentences", "location": "cloud"}
    return ProviderSpec.model_validate({**known, "price": "free", **changes})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that brings kinds, as a wheel leaves it behind."""
    (tmp_path / "acme_aegis.py").write_text(ACME, encoding="utf-8")
    (tmp_path / "acme_broken.py").write_text("import no_such_package_anywhere\n", encoding="utf-8")
    about = tmp_path / "acme_aegis-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-aegis\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[aegis_graph.providers]\n"
        "acme = acme_aegis:AcmeProvider\n"
        "broken = acme_broken:Provider\n"
        "gone = acme_aegis:Nothing\n"
        "half = acme_aegis:Half\n"
        "function = acme_aegis:not_a_class\n"
        "openai = acme_aegis:AcmeProvider\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("installed")
def test_another_package_brings_a_kind_that_answers() -> None:
    config = RouterConfig.model_validate(
        {"providers": [row(options={"region": "us"}).model_dump()], "budgets": []}
    )
    provider = create_provider(config.providers[0], source="test")

    assert provider.options.model_dump() == {"region": "us", "lanes": 1}
    assert "attempt_one" in create_router(config).get_graph().nodes
    assert "acme" in kinds()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("broken", "cannot be imported: ModuleNotFoundError: No module named 'no_such_package"),
        ("gone", "cannot be imported: AttributeError"),
        ("half", "is not a complete subclass of Provider"),
        ("function", "is not a complete subclass of Provider"),
    ],
)
def test_a_kind_that_cannot_be_used_says_who_brings_it_in_one_line(kind: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_provider(row(kind=kind), source="aegis.toml")
    text = str(caught.value)
    assert text.startswith(f"aegis.toml: providers.one.kind: {kind!r}, brought by acme-aegis as ")
    assert why in text
    assert "\n" not in text


@pytest.mark.usefixtures("installed")
def test_a_kind_of_this_package_cannot_be_replaced() -> None:
    provider = create_provider(row(kind="openai"), source="test")
    assert type(provider).__module__ == "aegis_graph.providers.openai.provider"


def test_two_packages_that_bring_the_same_kind_are_both_named(installed: Path) -> None:
    about = installed / "other-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[aegis_graph.providers]\nacme = acme_aegis:Half\n")

    with pytest.raises(ConfigError, match="brought by more than one package: acme-aegis, other"):
        create_provider(row(), source="test")


@pytest.mark.usefixtures("installed")
def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        create_provider(row(kind="nobody"), source="aegis.toml")
    known = ", ".join(sorted({*BUILT_IN, "acme", "broken", "function", "gone", "half"}))
    assert str(caught.value) == (
        f"aegis.toml: providers.one.kind: 'nobody' is unknown; known are {known}"
    )


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("acme", {"region": "us", "colour": "red"}, "options: colour: unknown key"),
        ("acme", {"lanes": "many"}, "options: lanes: Input should be a valid integer"),
        ("extractive", {"region": "us"}, "options: region: unknown key"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_an_option_that_the_kind_does_not_have_is_an_error(
    kind: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=f"aegis.toml: providers.one.{why}"):
        create_provider(row(kind=kind, options=options), source="aegis.toml")


def test_a_row_that_is_switched_off_is_no_node_and_keeps_its_budget() -> None:
    off = row(name="off", kind="nobody_knows", enabled=False).model_dump()
    on = row(name="on", kind="extractive").model_dump()
    budget = {"scope": "provider:off", "window": "month", "limit_usd": "5"}
    config = RouterConfig.model_validate({"providers": [off, on], "budgets": [budget]})

    nodes = create_router(config).get_graph().nodes
    assert "attempt_on" in nodes
    assert "attempt_off" not in nodes


def test_a_configuration_with_every_provider_switched_off_is_refused() -> None:
    with pytest.raises(ValueError, match="every one is switched off"):
        RouterConfig.model_validate({"providers": [row(enabled=False).model_dump()], "budgets": []})


def test_entry_points_are_not_searched_for_a_kind_of_this_package() -> None:
    program = (
        "import aegis_graph\n"
        "from aegis_graph.providers import registry\n"
        "registry.entry_points = lambda **_: 1 / 0\n"
        "aegis_graph.create_router(aegis_graph.RouterConfig())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("kind", ["anyllm", "langchain"])
def test_a_secret_among_the_arguments_is_refused(kind: str) -> None:
    options = {"arguments": {"openai_api_key": "sk-1"}}
    with pytest.raises(ConfigError, match="openai_api_key: no secrets here") as caught:
        create_provider(row(kind=kind, model="openai:gpt-4o", options=options), source="f")
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize("kind", ["anyllm", "langchain"])
def test_the_price_book_knows_a_librarys_model(kind: str) -> None:
    known = create_provider(row(kind=kind, model="openai:gpt-4o-mini", price=None), source="f")
    own = create_provider(row(kind="openai", model="gpt-4o-mini", price=None), source="f")
    usage = TokenUsage(1000, 1000)
    assert known.price(usage) == own.price(usage) > 0
    with pytest.raises(ConfigError, match=r"providers\.one\.price: no price is known"):
        create_provider(row(kind=kind, model="ollama:llama3.2:3b", price=None), source="f")


async def test_a_model_whose_package_is_missing_says_so_and_costs_nothing(tmp_path: Path) -> None:
    rows = [row(kind="langchain", model="mistralai:mistral-small-latest", price="free")]
    config = RouterConfig.model_validate(
        {
            "ledger": {"url": f"sqlite:///{tmp_path / 'c.db'}"},
            "providers": [one.model_dump() for one in rows],
            "budgets": [],
        }
    )
    with pytest.raises(AllProvidersFailedError, match="langchain-mistralai") as caught:
        await create_router(config).ainvoke({"messages": [HumanMessage("Hello")]})
    assert caught.value.attempts[0]["cost_basis"] == "none"
