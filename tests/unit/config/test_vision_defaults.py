"""Who looks at images, for each way to configure it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from aegis_graph import RouterConfig, create_router
from aegis_graph.config.defaults import VISION_PROVIDERS
from aegis_graph.errors import ConfigError

TEXT = """
[[providers]]
name = "llm"
kind = "openai"
model = "m"
base_url = "http://localhost:8000/v1"
location = "cloud"
price = "free"
"""


def names(text: str, folder: Path, **environ: str) -> list[str]:
    return [row.name for row in load(text, folder, **environ).providers]


def load(text: str, folder: Path, **environ: str) -> RouterConfig:
    path = folder / "aegis.toml"
    path.write_text(text)
    return RouterConfig.load_vision(path, environ=environ)


def test_the_default_chain_goes_from_the_cloud_to_what_needs_nothing() -> None:
    config = RouterConfig.load_vision(environ={})
    assert [(row.name, row.model, row.location, row.thinking) for row in config.providers] == [
        ("dashscope_vision", "qwen3-vl-30b-a3b-instruct", "cloud", False),
        ("dashscope_vision_thinking", "qwen3-vl-30b-a3b-thinking", "cloud", True),
        ("ollama_vision", "qwen2.5vl:7b", "local", False),
        ("ocr", "rapidocr", "local", False),
    ]
    assert {row.tasks for row in config.providers} == {("vision",)}
    nodes = create_router(config).get_graph().nodes
    assert {f"attempt_{row.name}" for row in config.providers} <= set(nodes)


def test_the_example_file_has_the_default_chain() -> None:
    example = RouterConfig.load(Path(__file__).parents[3] / "aegis.example.toml", environ={})
    shown = {row.name: row for row in example.providers}
    for spec in VISION_PROVIDERS:
        default = spec.model_dump(exclude={"base_url", "price"})
        assert shown[spec.name].model_dump(exclude={"base_url", "price"}) == default


def test_the_originals_limit_holds_for_both_cloud_models_together() -> None:
    for environ, limit in (({}, 10), ({"MONTHLY_BUDGET_ALIBABA_CLOUD": "0"}, 0)):
        (budget,) = RouterConfig.load_vision(environ=environ).budgets
        assert (budget.scope, budget.window, budget.limit_usd) == (
            "task:vision",
            "month",
            Decimal(limit),
        )
    with pytest.raises(ConfigError, match="MONTHLY_BUDGET_ALIBABA_CLOUD: 'much'"):
        RouterConfig.load_vision(environ={"MONTHLY_BUDGET_ALIBABA_CLOUD": "much"})


def test_where_ollama_is_holds_here_too(tmp_path: Path) -> None:
    for text in ("", TEXT):
        config = load(text, tmp_path, OLLAMA_BASE_URL="http://gpu:11434")
        (row,) = (row for row in config.providers if row.kind == "ollama")
        assert row.base_url == "http://gpu:11434"


def test_a_file_without_providers_keeps_its_other_sections(tmp_path: Path) -> None:
    budgets = "".join(
        f'[[budgets]]\nscope = "{scope}"\nwindow = "day"\nlimit_usd = 1\n'
        for scope in ("provider:dashscope", "user:*")
    )
    config = load(f"[health]\nfailures = 7\n{budgets}", tmp_path)
    assert config.health.failures == 7
    assert [budget.scope for budget in config.budgets] == ["user:*"]
    with pytest.raises(ConfigError, match="no provider is named 'dashscpe'"):
        load(budgets.replace("dashscope", "dashscpe"), tmp_path)


def test_a_file_with_a_provider_that_sees_is_taken_as_it_is(tmp_path: Path) -> None:
    assert names(f"{TEXT}images = true\n", tmp_path) == ["llm"]
    assert names(f'{TEXT}images = true\ntasks = ["vision"]\n', tmp_path) == ["llm"]


@pytest.mark.parametrize(
    "more", ["", 'images = true\ntasks = ["chat"]\n', "images = true\nenabled = false\n"]
)
def test_nothing_goes_to_a_cloud_that_the_file_does_not_name(tmp_path: Path, more: str) -> None:
    assert names(TEXT + more, tmp_path) == ["llm", "ollama_vision", "ocr"]


def test_a_name_that_is_taken_is_not_taken_twice(tmp_path: Path) -> None:
    assert names(TEXT.replace('"llm"', '"ocr"'), tmp_path) == ["ocr", "ollama_vision"]


def test_a_fault_of_the_file_is_told_as_ever(tmp_path: Path) -> None:
    for text in (f"{TEXT}tasks = 5\nimages = true\n", "providers = 5\n", "providers = [5]\n"):
        with pytest.raises(ConfigError, match=r"aegis\.toml: providers"):
            load(text, tmp_path)
