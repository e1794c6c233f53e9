"""What ``docs/providers.md`` says is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import BUILT_IN, create_provider

TEXT = (Path(__file__).parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)


def test_every_kind_of_this_package_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", TEXT, re.M)
    assert sorted(rows) == sorted(BUILT_IN)


def test_the_row_with_options_is_accepted() -> None:
    (document,) = [tomllib.loads(one) for one in blocks("toml") if "[[providers]]" in one]
    price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
    rows = [{**row, "price": price} for row in document["providers"]]
    (row,) = RouterConfig.model_validate({"providers": rows, "budgets": []}).providers
    assert create_provider(row, source="docs").call_options(7) == {"max_tokens": 7}


def test_the_example_kind_is_complete_and_knows_its_options() -> None:
    names: dict[str, Any] = {}
    exec(next(one for one in blocks("python") if "AcmeProvider" in one), names)
    kind: type[Provider] = names["AcmeProvider"]
    facts = {"name": "a", "kind": "acme", "model": "m", "location": "cloud", "price": "free"}
    assert kind(ProviderSpec.model_validate(facts)).options.model_dump() == {"region": "eu"}
    with pytest.raises(ConfigError, match="options: zone: unknown key"):
        kind(ProviderSpec.model_validate({**facts, "options": {"zone": "eu"}}))
