"""Where the calls of a row go, and what they carry: what the row says, and nothing else says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig, create_embeddings
from aegis_graph.config.specs import EmbeddingSpec, ProviderSpec
from aegis_graph.errors import AllProvidersFailedError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import KEYS, Row, ask, made, open_router
from tests.raw_server import RawServer, raw_server, whole

CHATS: dict[str, tuple[str, Row]] = {
    "openai": ("openai", {"kind": "openai", "model": "gpt-4o"}),
    "ollama": ("ollama", {"kind": "ollama", "model": "llama3.2:3b"}),
    "dashscope": ("dashscope", {"kind": "dashscope", "model": "qwen-plus"}),
    "langchain_openai": ("openai", {"kind": "langchain", "model": "openai:gpt-4o"}),
    "langchain_ollama": ("ollama", {"kind": "langchain", "model": "ollama:llama3.2:3b"}),
    "anyllm_openai": ("openai", {"kind": "anyllm", "model": "openai:gpt-4o"}),
    "anyllm_ollama": ("ollama", {"kind": "anyllm", "model": "ollama:llama3.2:3b"}),
    "anyllm_anthropic": ("anthropic", {"kind": "anyllm", "model": "anthropic:claude-haiku-4-5"}),
}
PLAYED = [name for name, (protocol, _) in CHATS.items() if protocol != "anthropic"]
EMBEDDINGS: dict[str, Row] = {
    "openai": {"kind": "openai", "model": "text-embedding-3-small"},
    "ollama": {"kind": "ollama", "model": "bge-m3"},
    "dashscope": {"kind": "dashscope", "model": "text-embedding-v4"},
}
PATHS = {"openai": "/v1", "ollama": "", "dashscope": "/api/v1", "anthropic": ""}
PRIVATE = {"sensitivity": "pii"}


def chat_row(name: str, base: str, **more: Any) -> Row:
    protocol, row = CHATS[name]
    there = {"name": name, "base_url": f"{base}{PATHS[protocol]}", "location": "local"}
    return {**row, **there, "price": "free", "max_retries": 0, "timeout_s": 60, **more}


def embedding_row(name: str, base: str, **more: Any) -> Row:
    there = {"name": name, "base_url": f"{base}{PATHS[name]}", "location": "local"}
    facts = {"price": "free", "max_retries": 0, "dimensions": 1024}
    return {**EMBEDDINGS[name], **there, **facts, **more}


def config_of(db: Path, **rows: list[Row]) -> RouterConfig:
    return RouterConfig.model_validate(
        {"ledger": {"url": f"sqlite:///{db}"}, "budgets": [], "embeddings": [], **rows}
    )


async def chat(row: Row, db: Path) -> Any:
    router = open_router(config_of(db, providers=[row]))
    return await router.ainvoke(ask("My secret", **PRIVATE if row["location"] == "local" else {}))


async def embed(row: Row, db: Path) -> Any:
    embeddings = create_embeddings(config_of(db, embeddings=[row]), environ=KEYS)
    level: Any = "pii" if row["location"] == "local" else "internal"
    return await embeddings.with_options(sensitivity=level).aembed(["My secret"])


def provider_of(row: Row) -> Provider:
    spec = EmbeddingSpec if "dimensions" in row else ProviderSpec
    return create_provider(spec.model_validate(row), source="test", environ=KEYS)


async def probe(row: Row, db: Path) -> Any:
    return await provider_of(row).probe()


Use = Callable[[Row, Path], Awaitable[Any]]
USES: list[tuple[str, Use, Callable[..., Row]]] = [
    *((name, chat, chat_row) for name in PLAYED),
    *((name, probe, chat_row) for name in PLAYED),
    *((name, embed, embedding_row) for name in EMBEDDINGS),
]
each_use = pytest.mark.parametrize(
    ("name", "use", "row_of"), USES, ids=[f"{use.__name__}-{name}" for name, use, _ in USES]
)


@pytest.fixture
def played() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        for protocol in ("openai", "ollama", "dashscope"):
            server.always(protocol, Reply("Hello"))
        yield server


# Redirects


REDIRECTS = [(*use, 307) for use in USES]
REDIRECTS += [(*use, status) for use in USES if use[1] is chat for status in (301, 302, 303, 308)]


@pytest.mark.parametrize(
    ("name", "use", "row_of", "status"),
    REDIRECTS,
    ids=[f"{use.__name__}-{name}-{status}" for name, use, _, status in REDIRECTS],
)
async def test_no_redirect_is_followed(
    name: str,
    use: Use,
    row_of: Callable[..., Row],
    status: int,
    played: LoopbackServer,
    tmp_path: Path,
) -> None:
    db = tmp_path / "costs.db"

    def elsewhere(asked: Any) -> list[bytes]:
        more = f"Location: {played.ollama_url}{asked.path}\r\n"
        return whole(b"", status=f"{status} Moved", more=more)

    with raw_server(elsewhere) as server:
        row = row_of(name, server.url, api_key_env="LOOPBACK_KEY")
        if use is probe:
            found = await probe(row, db)
            assert found.reachable is False
        else:
            with pytest.raises(AllProvidersFailedError) as caught:
                await use(row, db)
            (attempt,) = caught.value.attempts
            assert attempt["error_type"] == "ProviderUnavailableError", attempt
            assert (attempt["cost_basis"], attempt["cost_usd"]) == ("none", "0")
            assert [one["cost_basis"] for one in made(db)] == ["none"]
    assert server.asked != []
    assert played.journal == ()


# Proxies

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@contextmanager
def proxied(monkeypatch: pytest.MonkeyPatch, *, no_proxy: str = "") -> Iterator[RawServer]:
    """A proxy that the environment names, and that answers nothing but an error."""
    with raw_server(lambda asked: whole(b"{}", status="503 Down")) as proxy:
        for variable in PROXY_VARIABLES:
            monkeypatch.setenv(variable, proxy.url)
            monkeypatch.setenv(variable.lower(), proxy.url)
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(variable, no_proxy)
        yield proxy


@each_use
async def test_a_local_row_uses_no_proxy(
    name: str,
    use: Use,
    row_of: Callable[..., Row],
    played: LoopbackServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxied(monkeypatch) as proxy:
        await use(row_of(name, played.ollama_url), tmp_path / "costs.db")
    assert proxy.asked == []
    assert played.journal != ()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9", "nonsense"])
@pytest.mark.parametrize("name", PLAYED)
async def test_a_proxy_that_is_not_there_harms_no_local_row(
    name: str, proxy: str, played: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in PROXY_VARIABLES:
        monkeypatch.setenv(variable, proxy)
    await chat(chat_row(name, played.ollama_url), tmp_path / "costs.db")
    assert [call.generation for call in played.calls()] == [True]


@each_use
async def test_a_row_in_the_cloud_goes_through_the_proxy(
    name: str,
    use: Use,
    row_of: Callable[..., Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxied(monkeypatch) as proxy:
        row = row_of(name, "http://provider.invalid", location="cloud")
        if use is probe:
            found = await probe(row, tmp_path / "costs.db")
            assert found.reachable
        else:
            with pytest.raises(AllProvidersFailedError) as caught:
                await use(row, tmp_path / "costs.db")
            assert "HTTP 503" in str(caught.value)
    assert [one.path.startswith("http://provider.invalid") for one in proxy.asked] == [True]


@pytest.mark.parametrize("name", PLAYED)
async def test_no_proxy_is_honoured(
    name: str, played: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(monkeypatch, no_proxy="127.0.0.1") as proxy:
        await chat(chat_row(name, played.ollama_url, location="cloud"), tmp_path / "costs.db")
    assert proxy.asked == []


async def test_an_https_address_is_asked_of_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(monkeypatch) as proxy, pytest.raises(AllProvidersFailedError):
        await chat(
            chat_row("openai", "https://provider.invalid", location="cloud"), tmp_path / "c.db"
        )
    assert [(one.method, one.path) for one in proxy.asked] == [("CONNECT", "provider.invalid:443")]


# Keys

AMBIENT = "ambient-secret"
VARIABLES = (
    "ALIBABA_CLOUD_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "AZURE_OPENAI_AD_TOKEN",
    "AZURE_OPENAI_API_KEY",
    "DASHSCOPE_API_KEY",
    "DASHSCOPE_WORKSPACE",
    "LANGSMITH_API_KEY",
    "LANGSMITH_GATEWAY_API_KEY",
    "OLLAMA_API_KEY",
    "OPENAI_ADMIN_KEY",
    "OPENAI_API_KEY",
    "OPENAI_ORGANIZATION",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
)
ADDRESSES = (
    "ANTHROPIC_BASE_URL",
    "AZURE_OPENAI_ENDPOINT",
    "DASHSCOPE_HTTP_BASE_URL",
    "OLLAMA_HOST",
    "OPENAI_API_BASE",
    "OPENAI_BASE_URL",
)
CUSTOM_HEADERS = ("ANTHROPIC_CUSTOM_HEADERS", "OPENAI_CUSTOM_HEADERS")


@pytest.fixture
def ambient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    """An environment full of keys, and of addresses of a server that nothing may ask."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"default login {AMBIENT} password {AMBIENT}\n", encoding="utf-8")
    netrc.chmod(0o600)
    with raw_server(lambda asked: whole(b"{}", status="503 Down")) as elsewhere:
        for variable in VARIABLES:
            monkeypatch.setenv(variable, AMBIENT)
        for variable in ADDRESSES:
            monkeypatch.setenv(variable, elsewhere.url)
        for variable in CUSTOM_HEADERS:
            monkeypatch.setenv(variable, f"X-Tenant: {AMBIENT}\nAuthorization: Bearer {AMBIENT}")
        monkeypatch.setenv("NETRC", str(netrc))
        yield elsewhere


def assert_nothing_ambient(headers: Any) -> None:
    found = {name: value for name, value in dict(headers).items() if AMBIENT in value}
    assert found == {}
    # The user and the password of a ``netrc`` are packed.
    assert not any(value.startswith("Basic") for value in dict(headers).values())


@pytest.mark.parametrize("key_env", [None, "LOOPBACK_KEY"])
@each_use
async def test_what_the_row_does_not_name_is_not_sent(
    name: str,
    use: Use,
    row_of: Callable[..., Row],
    key_env: str | None,
    ambient: RawServer,
    played: LoopbackServer,
    tmp_path: Path,
) -> None:
    await use(row_of(name, played.ollama_url, api_key_env=key_env), tmp_path / "costs.db")
    assert ambient.asked == []
    assert played.journal != ()
    for call in played.journal:
        assert_nothing_ambient(call.headers)
        if use is not probe:
            wanted = f"Bearer {KEYS['LOOPBACK_KEY']}" if key_env else None
            assert call.headers.get("authorization") == wanted


@pytest.mark.parametrize("key_env", [None, "LOOPBACK_KEY"])
@pytest.mark.parametrize("use", [chat, probe])
async def test_nor_is_it_by_anthropics_client(
    use: Use, key_env: str | None, ambient: RawServer, tmp_path: Path
) -> None:
    with raw_server(lambda asked: whole(b"{}", status="503 Down")) as server:
        row = chat_row("anyllm_anthropic", server.url, api_key_env=key_env)
        if use is probe:
            await probe(row, tmp_path / "costs.db")
        else:
            with pytest.raises(AllProvidersFailedError):
                await chat(row, tmp_path / "costs.db")
    assert ambient.asked == []
    assert server.asked != []
    for asked in server.asked:
        assert_nothing_ambient(asked.headers)
        assert asked.headers.get("x-api-key") == (KEYS["LOOPBACK_KEY"] if key_env else None)


@pytest.mark.parametrize("kind", ["langchain", "anyllm"])
async def test_what_the_row_names_is_sent(
    kind: str, ambient: RawServer, played: LoopbackServer, tmp_path: Path
) -> None:
    arguments = {"organization": "org-row", "default_headers": {"X-Tenant": "row"}}
    row = chat_row(f"{kind}_openai", played.ollama_url, options={"arguments": arguments})
    await chat(row, tmp_path / "costs.db")
    headers = played.calls("openai")[0].headers
    assert headers["openai-organization"] == "org-row"
    assert headers["x-tenant"] == "row"


async def test_azure_gets_the_key_of_its_row_alone(
    ambient: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    # Beside an address of its own, Azure's integration takes none of OpenAI's variables.
    monkeypatch.delenv("OPENAI_API_BASE")
    with raw_server(lambda asked: whole(b"{}", status="503 Down")) as server:
        arguments = {"azure_endpoint": server.url}
        row = {
            **chat_row("langchain_openai", server.url),
            "model": "azure_openai:gpt-4o",
            "options": {"arguments": arguments},
            "base_url": None,
            "api_key_env": "LOOPBACK_KEY",
        }
        with pytest.raises(AllProvidersFailedError):
            await chat(row, tmp_path / "costs.db")
    assert server.asked != []
    for asked in server.asked:
        assert_nothing_ambient(asked.headers)
        assert KEYS["LOOPBACK_KEY"] in (
            asked.headers.get("api-key", ""),
            asked.headers.get("authorization", "").removeprefix("Bearer "),
        )


@pytest.mark.parametrize(
    ("facts", "key_env"),
    [
        ({"kind": "openai", "model": "gpt-4o"}, "OPENAI_API_KEY"),
        ({"kind": "openai", "model": "m", "base_url": "https://api.example.com/v1"}, None),
        ({"kind": "dashscope", "model": "qwen-plus"}, "ALIBABA_CLOUD_API_KEY"),
        (
            {
                "kind": "dashscope",
                "model": "qwen-plus",
                "base_url": "https://dashscope.aliyuncs.com/api/v1",
            },
            "ALIBABA_CLOUD_API_KEY",
        ),
        (
            {
                "kind": "dashscope",
                "model": "qwen-plus",
                "base_url": "https://ws-1.ap-southeast-1.maas.aliyuncs.com/api/v1",
            },
            "ALIBABA_CLOUD_API_KEY",
        ),
        (
            {
                "kind": "dashscope",
                "model": "qwen-plus",
                "base_url": "https://dashscope.aliyuncs.com.example.com/api/v1",
            },
            None,
        ),
        ({"kind": "langchain", "model": "openai:gpt-4o"}, "OPENAI_API_KEY"),
        ({"kind": "anyllm", "model": "openai:gpt-4o"}, "OPENAI_API_KEY"),
        (
            {
                "kind": "langchain",
                "model": "openai:gpt-4o",
                "base_url": "https://api.example.com/v1",
            },
            None,
        ),
        ({"kind": "anyllm", "model": "mistral:mistral-small-latest"}, None),
        ({"kind": "ollama", "model": "m"}, None),
    ],
)
def test_a_default_key_is_for_the_kinds_own_host(facts: Row, key_env: str | None) -> None:
    row = {"name": "row", "location": "cloud", "price": "free", **facts}
    assert provider_of(row).key_env == key_env


# Time to connect


@contextmanager
def host_that_never_accepts() -> Iterator[str]:
    """The address of a socket whose queue is full, so that the system drops what knocks."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        address = listener.getsockname()
        for _ in range(8):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"


async def test_a_host_that_never_accepts_costs_nothing(tmp_path: Path) -> None:
    def attempt(use: Use, row: Row) -> Awaitable[Any]:
        # All wait at the same time: each of them for as long as the limit says.
        return use(row, tmp_path / f"{use.__name__}-{row['name']}.db")

    with host_that_never_accepts() as address:
        tasks = [
            asyncio.ensure_future(attempt(use, row_of(name, address, api_key_env="LOOPBACK_KEY")))
            for name, use, row_of in USES
            if use is not probe
        ]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, AllProvidersFailedError), outcome
        (record,) = outcome.attempts
        assert record["error_type"] == "ProviderUnavailableError", record
        assert (record["cost_basis"], record["cost_usd"]) == ("none", "0"), record
        assert record["latency_ms"] < 50_000, "it ended by the attempt's own limit"
