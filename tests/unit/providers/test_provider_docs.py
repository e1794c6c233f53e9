"""What ``docs/providers.md`` says is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.config.time_limits import DEFAULT_LIMITS
from aegis_graph.errors import ConfigError
from aegis_graph.providers.base import Provider, ProviderOptions
from aegis_graph.providers.dashscope.options import DashScopeOptions
from aegis_graph.providers.finish_reasons import meaning_of
from aegis_graph.providers.ollama.options import OllamaOptions
from aegis_graph.providers.openai.options import OpenAIOptions
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


def cells(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its first two lines."""
    section = TEXT.split(f"### {heading}\n")[1].split("\n#")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [line.strip("|").split("|") for line in table[2:]]


def test_each_word_that_ends_an_answer_means_what_the_table_says() -> None:
    outcomes = ("complete", "length", "tools", "filtered", "failed")
    rows = cells("What ends an answer")
    for _, *columns in rows:
        for outcome, cell in zip(outcomes, columns, strict=True):
            words = set(re.findall(r"`(\w+)`", cell)) - {"finish_reason", "native_finish_reason"}
            assert {word: meaning_of(word).outcome for word in words} == dict.fromkeys(
                words, outcome
            )
    assert len(rows) == 8


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ollama", OllamaOptions), ("openai", OpenAIOptions), ("dashscope", DashScopeOptions)],
)
def test_the_table_of_settings_has_each_of_them(kind: str, options: type[ProviderOptions]) -> None:
    (row,) = [row for row in cells("Settings of one kind") if row[0].strip() == f"kind `{kind}`"]
    assert set(re.findall(r"`(\w+)`", row[1])) == options.model_fields.keys()


def test_the_limits_of_time_are_those_that_are_in_force() -> None:
    limits = {
        re.findall(r"`(\w+)`", key)[0]: (local.strip(), cloud.strip())
        for _, key, local, cloud in cells("Time")
    }
    local, cloud = DEFAULT_LIMITS["local"], DEFAULT_LIMITS["cloud"]
    assert limits == {
        "timeout_s": (f"{local.whole_s:g}", f"{cloud.whole_s:g}"),
        "first_token_timeout_s": (f"{local.first_token_s:g}", "none"),
        "idle_timeout_s": (f"{local.idle_s:g}", "none"),
    }
    assert cloud[1:] == (None, None)
