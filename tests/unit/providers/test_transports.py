"""What a row's HTTP client is given: trust where there is TLS, and no half that is never used."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.providers.http import no_sync_client
from aegis_graph.providers.http.headers import RowHeaders
from aegis_graph.providers.http.transports import Httpx2Transport, HttpxTransport, RowRules
from aegis_graph.providers.ollama import OllamaProvider


def transport(kind: Any, *, uses_proxy: bool = False) -> Any:
    headers = RowHeaders(None, None, {})
    return kind(RowRules(headers=headers, uses_proxy=uses_proxy, most_bytes=1, most_stream_bytes=1))


def authorities(url: Any, kind: Any, *, uses_proxy: bool = False) -> int:
    inner = transport(kind, uses_proxy=uses_proxy)._transport_for(url)
    return len(inner.ssl_context.get_ca_certs())


@pytest.mark.parametrize(
    ("kind", "url"), [(HttpxTransport, httpx.URL), (Httpx2Transport, httpx2.URL)]
)
def test_authorities_are_read_where_there_is_tls_only(
    kind: Any, url: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert authorities(url("https://api.openai.com/v1"), kind) > 0
    assert authorities(url("http://localhost:11434"), kind) == 0
    monkeypatch.setenv("HTTP_PROXY", "https://proxy.example.com")
    assert authorities(url("http://gpu.example.com"), kind, uses_proxy=True) > 0


def test_an_address_has_one_transport_and_its_own() -> None:
    row = transport(HttpxTransport)
    here, there = httpx.URL("http://localhost/a"), httpx.URL("https://localhost/a")
    assert row._transport_for(here) is row._transport_for(httpx.URL("http://localhost/b"))
    assert row._transport_for(there) is not row._transport_for(here)
    assert not row._transport_for(here).ssl_context.get_ca_certs()


def test_the_synchronous_half_of_a_client_sends_nothing() -> None:
    row = ProviderSpec(name="o", kind="ollama", model="m", location="local", price="free")
    provider = OllamaProvider(row)
    provider.load()
    model = provider.open_model(None).model
    with pytest.raises(httpx.UnsupportedProtocol, match="asked asynchronously"):
        model._client.list()  # type: ignore[attr-defined]  # the integration's own
    with pytest.raises(httpx2.UnsupportedProtocol, match="asked asynchronously"):
        no_sync_client().get("http://localhost")
