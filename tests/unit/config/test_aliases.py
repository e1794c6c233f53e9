"""Aliases: names of an application's own for providers and models, checked when they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_graph import ConfigError, RouterConfig
from aegis_graph.config.aliases import rows_named

ROWS = "".join(
    f'[[providers]]\nname = "{name}"\nkind = "ollama"\nmodel = "{model}"\nlocation = "local"\n'
    for name, model in (("here", "qwen3"), ("there", "qwen3"), ("qwen4", "other"))
)


def load(folder: Path, aliases: str) -> RouterConfig:
    path = folder / "aegis.toml"
    path.write_text(f"[aliases]\n{aliases}\n{ROWS}", encoding="utf-8")
    return RouterConfig.load(path, environ={})


def test_an_alias_names_providers_and_models_in_order(tmp_path: Path) -> None:
    assert load(tmp_path, 'fast = ["there", "qwen3"]').aliases == {"fast": ("there", "qwen3")}


@pytest.mark.parametrize(
    ("aliases", "words"),
    [
        ('fast = ["nowhere"]', "aliases.fast: no provider and no model is named 'nowhere'"),
        ("fast = []", "aliases.fast: empty"),
        ('here = ["there"]', "aliases.here: hides"),
        ('qwen3 = ["there"]', "aliases.qwen3: hides"),
        ('auto = ["there"]', "aliases.auto: is no name for one"),
        ('" " = ["there"]', "aliases. : is no name for one"),
        ('a = ["here"]\nb = ["a"]', "aliases.b: 'a' is an alias itself"),
        ('fast = "here"', "aliases.fast: "),
    ],
)
def test_a_wrong_alias_is_refused_in_one_line(tmp_path: Path, aliases: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, aliases)
    text = str(caught.value)
    assert "\n" not in text
    assert words in text


def test_a_name_is_that_of_a_provider_before_that_of_a_model() -> None:
    config = RouterConfig()
    rows = [
        config.providers[0].model_copy(update={"name": name, "model": model})
        for name, model in (("a", "b"), ("b", "c"), ("d", "c"))
    ]
    assert rows_named("b", rows) == ["b"]
    assert rows_named("c", rows) == ["b", "d"]
    assert rows_named("e", rows) == []


def test_aliases_of_the_default_chain_do_not_keep_images_from_being_read(tmp_path: Path) -> None:
    path = tmp_path / "aegis.toml"
    path.write_text('[aliases]\nfast = ["ollama"]\n', encoding="utf-8")
    assert RouterConfig.load(path, environ={}).aliases == {"fast": ("ollama",)}
    assert RouterConfig.load_vision(path, environ={}).aliases == {}
