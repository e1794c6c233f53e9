"""A header goes out by its name, or because it carries the row's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from aegis_graph.providers.http.headers import RowHeaders

KEY = "sk-row"


def settled(
    given: Mapping[str, str],
    *,
    key: str | None = KEY,
    url: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    headers = httpx.Headers(given)
    RowHeaders(key, url, options or {}).settle(headers)
    return dict(headers)


BARE = {"accept-encoding": "gzip, deflate"}
SIGNED = {**BARE, "authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "api-key",
        "X-Api-Key",
        "OpenAI-Organization",
        "OpenAI-Project",
        "X-DashScope-WorkSpace",
        "Cookie",
        "X-Tenant",
    ],
)
def test_what_the_row_does_not_name_is_left_out(name: str) -> None:
    assert settled({name: "Bearer ambient"}, key=None) == BARE
    assert settled({name: "Bearer ambient"}) == SIGNED


def test_the_key_goes_where_the_client_puts_it() -> None:
    assert settled({"x-api-key": KEY}) == {**BARE, "x-api-key": KEY}
    assert settled({"authorization": f"Bearer {KEY}"}) == SIGNED


def test_a_longer_key_that_begins_like_the_own_one_is_another() -> None:
    assert settled({"authorization": f"Bearer {KEY}2"}) == SIGNED


def test_what_http_and_the_protocols_need_stays() -> None:
    given = {
        "accept": "application/json",
        "content-type": "application/json",
        "host": "localhost",
        "user-agent": "client",
        "x-dashscope-sse": "enable",
        "anthropic-version": "2023-06-01",
        "x-stainless-lang": "python",
    }
    assert settled(given, key=None) == {**given, **BARE}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"extra_headers": {"X-Tenant": "acme"}}, "x-tenant"),
        ({"arguments": {"default_headers": {"X-Tenant": "acme"}}}, "x-tenant"),
        ({"arguments": {"client_kwargs": {"headers": {"X-Tenant": "acme"}}}}, "x-tenant"),
        ({"arguments": {"organization": "org-1"}}, "openai-organization"),
        ({"arguments": {"project": "p"}}, "openai-project"),
    ],
)
def test_what_the_row_names_goes_out(options: Mapping[str, Any], name: str) -> None:
    assert settled({name: "acme", "x-other": "1"}, key=None, options=options) == {
        name: "acme",
        **BARE,
    }


def test_user_and_password_of_the_address_are_the_rows_own() -> None:
    url = "http://ada:p%40ss@gpu:8000/v1"
    basic = {"authorization": "Basic YWRhOnBAc3M="}
    assert settled(basic, key=None, url=url) == {**BARE, **basic}
    assert settled({"authorization": "Basic b3RoZXI="}, key=None, url=url) == BARE
