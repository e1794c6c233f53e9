"""The configuration: what is wrong is refused in one line that names the key and the file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from aegis_graph import RouterConfig, create_router
from aegis_graph.config.ledger_spec import data_folder
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.providers.registry import create_provider

PROVIDER = """
[[providers]]
name = "llm"
kind = "ollama"
model = "m"
location = "local"
price = "free"
"""
BUDGET = """
[[budgets]]
scope = "total"
window = "month"
limit_usd = 1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "aegis.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        RouterConfig.load(path, environ={})
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("bugdets = []", "bugdets: unknown key"),
        ('source = "x"', "source: unknown key"),
        ('[ledger]\nfile = "x"', "ledger.file: unknown key"),
        ("[health]\nretries = 1", "health.retries: unknown key"),
        (f"{PROVIDER}timeout = 5", "providers[0].timeout: unknown key"),
        (f'{PROVIDER}api_key = "sk-1"', "providers[0].api_key: unknown key"),
        (f"{PROVIDER}{BUDGET}limit = 5", "budgets[0].limit: unknown key"),
        (
            PROVIDER.replace(
                '"free"', "{ input_usd_per_mtok = 1, output_usd_per_mtok = 1, cached = 0 }"
            ),
            "providers[0].price.cached: unknown key",
        ),
    ],
)
def test_an_unknown_key_is_named_at_every_level(tmp_path: Path, text: str, key: str) -> None:
    assert complaint(write(tmp_path, text)) == key


def test_several_faults_are_counted(tmp_path: Path) -> None:
    text = PROVIDER.replace('"free"', "{ input_usd = 1 }")
    key = "providers[0].price.input_usd_per_mtok: missing (and 2 more)"
    assert complaint(write(tmp_path, text)) == key


@pytest.mark.parametrize("name", ["Ollama", "", "a b", "a-b", "1st", "x" * 41, "ü", "_a", "a\\n"])
def test_an_unusable_name_is_refused(tmp_path: Path, name: str) -> None:
    text = PROVIDER.replace('"llm"', f'"{name}"')
    assert complaint(write(tmp_path, text)).startswith("providers[0].name: ")


def test_a_name_used_twice_is_refused(tmp_path: Path) -> None:
    text = complaint(write(tmp_path, PROVIDER * 2))
    assert text == "providers[1].name: 'llm' is used twice"


def test_a_second_budget_for_the_same_scope_and_window_is_refused(tmp_path: Path) -> None:
    text = complaint(write(tmp_path, PROVIDER + BUDGET * 2))
    assert text == "budgets[1]: a second budget for 'total' per month"
    RouterConfig.load(write(tmp_path, PROVIDER + BUDGET + BUDGET.replace("month", "day")))


def test_a_budget_for_an_unknown_provider_is_refused(tmp_path: Path) -> None:
    text = complaint(write(tmp_path, PROVIDER + BUDGET.replace("total", "provider:lmm")))
    assert text == "budgets[0].scope: no provider is named 'lmm'"


@pytest.mark.parametrize(
    "scope", ["", "all", "provider:", "totals", "total:x", "user: a", "team:x"]
)
def test_an_unknown_scope_is_refused(tmp_path: Path, scope: str) -> None:
    text = complaint(write(tmp_path, PROVIDER + BUDGET.replace('"total"', f'"{scope}"')))
    assert text.startswith("budgets[0].scope: ")


@pytest.mark.parametrize(
    "amount", ["-1", "-0.000001", "nan", "inf", "-inf", '"much"', "true", "[]"]
)
def test_an_amount_that_is_none_is_refused(tmp_path: Path, amount: str) -> None:
    text = PROVIDER + BUDGET.replace("limit_usd = 1", f"limit_usd = {amount}")
    assert complaint(write(tmp_path, text)).startswith("budgets[0].limit_usd: ")


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", '"much"'])
def test_a_price_that_is_none_is_refused(tmp_path: Path, amount: str) -> None:
    price = f"{{ input_usd_per_mtok = {amount}, output_usd_per_mtok = 1 }}"
    text = complaint(write(tmp_path, PROVIDER.replace('"free"', price)))
    assert text.startswith("providers[0].price.input_usd_per_mtok: ")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("timeout_s", ["0", "-1", "nan", "inf", "3601"]),
        ("first_token_timeout_s", ["0", "-1", "nan", "inf", "3601"]),
        ("idle_timeout_s", ["0", "-1", "nan", "inf", "3601"]),
        ("max_retries", ["-1", "6", "1.5"]),
        ("retry_wait_s", ["-1", "nan", "inf"]),
        ("max_output_tokens", ["0", "-1", "1000001"]),
        ("temperature", ["-0.1", "2", "nan"]),
        ("tasks", ['["a b"]', '"chat"']),
        ("location", ['"moon"']),
        ("base_url", ['"localhost:11434"', '"ftp://x"', '"http://"', '"file:///etc/passwd"', '""']),
        ("api_key_env", ['"sk-1234"', '"A B"', '""']),
        ("price", ['"cheap"', "0"]),
        ("model", ['""', "7"]),
    ],
)
def test_a_provider_value_out_of_range_is_refused(
    tmp_path: Path, key: str, values: list[str]
) -> None:
    others = "\n".join(line for line in PROVIDER.splitlines() if not line.startswith(f"{key} ="))
    for value in values:
        text = complaint(write(tmp_path, f"{others}\n{key} = {value}\n"))
        assert text.startswith(f"providers[0].{key}"), value


@pytest.mark.parametrize(
    ("table", "key", "values"),
    [
        ("health", "failures", ["0", "-1"]),
        ("health", "first_cooldown_s", ["0", "-1", "nan", "inf", "1e300"]),
        ("health", "cooldown_s", ["0", "-1", "nan", "inf", "1e300"]),
        ("health", "verdict_s", ["0", "nan", "inf", "1e300"]),
        ("health", "max_retry_wait_s", ["-1", "nan", "inf", "1e300"]),
        ("ledger", "url", ['"mysql://x"', '"sqlite:///"', '"costs.db"', '"sqlite:///a\\u0000"']),
        ("ledger", "timezone", ['"Mars/Olympus"', '""', '"../etc/passwd"', '"Europe"']),
        ("ledger", "busy_timeout_s", ["0", "-1", "nan", "inf", "301"]),
    ],
)
def test_a_value_out_of_range_is_refused(
    tmp_path: Path, table: str, key: str, values: list[str]
) -> None:
    for value in values:
        text = complaint(write(tmp_path, f"[{table}]\n{key} = {value}\n"))
        assert text.startswith(f"{table}.{key}: "), value


@pytest.mark.parametrize("text", ["providers = []", "providers = 5", 'budgets = "x"', "ledger = 1"])
def test_a_table_of_the_wrong_kind_is_refused(tmp_path: Path, text: str) -> None:
    assert complaint(write(tmp_path, text)).startswith(text.partition(" ")[0])


def test_an_unknown_kind_is_refused_when_the_router_is_built(tmp_path: Path) -> None:
    path = write(tmp_path, PROVIDER.replace('"ollama"', '"gemini"'))
    with pytest.raises(ConfigError) as caught:
        create_router(RouterConfig.load(path))
    assert str(caught.value) == (
        f"{path}: providers.llm.kind: 'gemini' is unknown;"
        " known are anyllm, dashscope, extractive, langchain, ocr, ollama, openai"
    )


@pytest.mark.parametrize("kind", ["ollama", "openai", "dashscope"])
def test_a_model_without_a_price_is_refused_when_the_router_is_built(
    tmp_path: Path, kind: str
) -> None:
    text = PROVIDER.replace('price = "free"', "").replace('"ollama"', f'"{kind}"')
    path = write(tmp_path, text.replace('"m"', '"nobody-knows-it"'))
    with pytest.raises(ConfigError) as caught:
        create_router(RouterConfig.load(path))
    assert str(caught.value) == (
        f"{path}: providers.llm.price: no price is known for 'nobody-knows-it';"
        ' set price = "free" or give input_usd_per_mtok and output_usd_per_mtok'
    )


@pytest.mark.parametrize("text", ["= 1", "[providers", "a = 1\na = 2", 'x = "'])
def test_what_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    assert complaint(write(tmp_path, text)).startswith("not valid TOML: ")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "aegis.toml"
    for coding in ("latin-1", "utf-16"):
        path.write_bytes("# Größe".encode(coding))
        assert complaint(path) == "not text in UTF-8; save it as that"


def test_a_mark_of_the_coding_at_the_beginning_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "aegis.toml"
    path.write_text(PROVIDER, encoding="utf-8-sig", newline="\r\n")
    assert [row.name for row in RouterConfig.load(path, environ={}).providers] == ["llm"]


def test_a_table_in_the_place_of_a_list_says_how_a_list_is_written(tmp_path: Path) -> None:
    path = write(tmp_path, PROVIDER.replace("[[providers]]", "[providers]"))
    assert (
        complaint(path) == "providers: must be a list; a table of it is written with two brackets"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert complaint(tmp_path / "missing.toml") == "cannot be read: No such file or directory"
    assert complaint(tmp_path) == "cannot be read: Is a directory"


def test_a_key_never_stands_in_the_complaint_about_it(tmp_path: Path) -> None:
    text = complaint(write(tmp_path, f'{PROVIDER}api_key_env = "sk-distinctive"'))
    assert "sk-distinctive" not in text


def test_the_defaults_are_the_original_deployment() -> None:
    config = RouterConfig.load(environ={})
    chain = [(row.name, row.kind, row.model, row.location) for row in config.providers]
    assert chain == [
        ("ollama", "ollama", "llama3.2:3b", "local"),
        ("dashscope", "dashscope", "qwen-plus", "cloud"),
        ("openai", "openai", "gpt-4o", "cloud"),
        ("extractive", "extractive", "best-sentences", "local"),
    ]
    assert [(row.scope, row.window, row.limit_usd) for row in config.budgets] == [
        ("provider:dashscope", "month", Decimal(10)),
        ("provider:openai", "month", Decimal(20)),
    ]
    assert config.ledger.url == f"sqlite:///{data_folder()}/cost_tracking.db"
    assert config == RouterConfig()


def test_the_key_of_dashscope_is_found_under_both_of_its_names() -> None:
    row = RouterConfig().providers[1]

    def key(**environ: str) -> str | None:
        return create_provider(row, source="test", environ=environ).api_key()

    assert key(ALIBABA_CLOUD_API_KEY="one") == "one"
    assert key(DASHSCOPE_API_KEY="two") == "two"
    assert key(ALIBABA_CLOUD_API_KEY="one", DASHSCOPE_API_KEY="two") == "one"
    assert key(ALIBABA_CLOUD_API_KEY="", DASHSCOPE_API_KEY="two") == "two"
    assert key(ALIBABA_CLOUD_API_KEY=" ", OPENAI_API_KEY="three") is None


def test_no_key_is_read_into_the_configuration() -> None:
    secrets = {"ALIBABA_CLOUD_API_KEY": "sk-distinctive", "OPENAI_API_KEY": "sk-distinctive"}
    assert "sk-distinctive" not in repr(RouterConfig.load(environ=secrets))
    assert isinstance(RouterConfig().providers[0], ProviderSpec)
