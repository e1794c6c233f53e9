"""Notices of the webhook: each change once, signed, tried again, and in no request's way."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig
from aegis_graph.clock import utc_now
from aegis_graph.errors import AegisError, BudgetExceededError
from aegis_graph.routing.alerting.alert_webhook import MAX_POSTS, AlertWebhook
from aegis_graph.routing.alerting.notices import Notice
from aegis_graph.routing.services import SharedServices
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KEYS,
    ask,
    eventually,
    flat_price,
    make_config,
    open_router,
    provider,
    read,
)
from tests.raw_server import RawServer, raw_server, whole

SECRET = "whsec_" + base64.b64encode(b"a key of many bytes").decode()
PARIS = Reply("It is Paris.")


@pytest.fixture
def webhook() -> Iterator[RawServer]:
    with raw_server(lambda asked: whole(b"ok")) as running:
        yield running


def posts(webhook: RawServer, count: int) -> list[dict[str, Any]]:
    """What has been posted, when there is nothing more to come."""
    eventually(lambda: len(webhook.asked) >= count, goal=f"{count} posts")
    eventually(
        lambda: all(one.name != "aegis-alert" for one in threading.enumerate()),
        goal="no post under way",
    )
    assert len(webhook.asked) == count
    return [json.loads(one.body) for one in webhook.asked]


def signature(secret: bytes, headers: Any, body: bytes) -> str:
    """As the specification of Standard Webhooks says."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def test_an_exhausted_budget_is_told_once_per_window(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    server.always("openai", PARIS)
    router = open_router(
        make_config(
            server,
            db,
            providers=[provider(server, "openai")],
            budgets={"user:*": "0"},
            alert_webhook=webhook.url,
        )
    )
    for user in ("ada", "ada", "bob", "ada"):
        with pytest.raises(BudgetExceededError):
            router.invoke(ask(user_id=user))
    found = posts(webhook, 2)
    assert {one["scope"] for one in found} == {"user:ada", "user:bob"}
    [ada] = [one for one in found if one["scope"] == "user:ada"]
    assert (ada["event"], ada["window"], ada["used_usd"]) == ("budget_exhausted", "month", "0")
    assert ada["text"].startswith("budget user:ada (user:*) per month: needs up to $")


def test_of_several_processes_one_tells(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    # The server writes past the cap: what that costs above the reservation leaves no room.
    server.always("openai", Reply("x " * 50, output_tokens=40, finish_reason="stop"))
    row = provider(server, "openai", **flat_price("1", tokens=4))
    budgets = {"user:*": "1"}
    config = make_config(server, db, providers=[row], budgets=budgets, alert_webhook=webhook.url)
    # Each with a ledger and a memory of its own, as processes have.
    routers = [open_router(config) for _ in range(4)]
    for number, router in enumerate(routers):
        router.invoke(ask(user_id=f"user-{number}"))
        with pytest.raises(BudgetExceededError):
            router.invoke(ask(user_id="user-0"))
    events = [(one["event"], one.get("scope")) for one in posts(webhook, 2)]
    assert sorted(events, key=str) == [("budget_exhausted", "user:user-0"), ("cost_overrun", None)]


def test_without_an_address_nothing_is_claimed(server: LoopbackServer, db: Path) -> None:
    row = provider(server, "openai")
    router = open_router(make_config(server, db, providers=[row], budgets={"total": "0"}))
    with pytest.raises(BudgetExceededError):
        router.invoke(ask())
    assert read(db, "SELECT * FROM alerts") == []


async def test_a_notice_is_told_where_the_ledger_cannot_say_whether_it_was(
    webhook: RawServer, tmp_path: Path
) -> None:
    config = make_config_of(webhook, ledger={"url": f"sqlite:///{tmp_path}"})
    services = SharedServices.of(config, ledger=None, clock=utc_now)
    await services.notices.overran("p", "m", 5)
    await services.notices.overran("p", "m", 5)
    (first, *_) = posts(webhook, 1)
    assert first["event"] == "cost_overrun"


def test_a_provider_that_is_off_is_told_once_and_again_when_it_answers(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    server.script("openai", *[Fault.status(500)] * 3, PARIS)
    # Without a cooldown's wait each request is a probe.
    health = {"failures": 2, "first_cooldown_s": 0.001, "cooldown_s": 0.001}
    row = provider(server, "openai", max_retries=0)
    config = make_config(server, db, providers=[row], health=health, alert_webhook=webhook.url)
    router = open_router(config)
    answered = False
    while not answered:
        try:
            router.invoke(ask())
            answered = True
        except AegisError:
            continue
    off, on = posts(webhook, 2)
    assert (off["event"], off["provider"], off["reason"]) == (
        "provider_off",
        "openai",
        "2 failures in a row",
    )
    assert (on["event"], on["text"]) == ("provider_on", "provider openai answers again")


def test_a_refused_key_is_told_without_the_providers_words(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    server.always("openai", Fault.status(401, message=f"bad key {KEYS['LOOPBACK_KEY']}"))
    server.always("ollama", PARIS)
    chain = [provider(server, "openai"), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain, alert_webhook=webhook.url))
    for number in range(3):
        router.invoke(ask(f"Which city {number}?"))
    [off] = posts(webhook, 1)
    assert off["text"] == (
        "provider openai is off: it refuses the key or the model (AuthenticationError)"
    )


def test_an_overrun_is_told_once_a_day(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    # The server writes past the cap, so that more is believed than was reserved.
    server.always("openai", Reply("x " * 50, output_tokens=40, finish_reason="stop"))
    row = provider(server, "openai", **flat_price("1", tokens=4))
    router = open_router(make_config(server, db, providers=[row], alert_webhook=webhook.url))
    for _ in range(3):
        router.invoke(ask())
    [post] = posts(webhook, 1)
    assert (post["event"], post["provider"], post["above_usd"]) == ("cost_overrun", "openai", "9")


def test_posts_are_signed_and_tried_again_under_the_same_identifier() -> None:
    answers = iter([whole(b"", status="503 Busy"), whole(b"", status="429 Slow"), whole(b"ok")])
    with raw_server(lambda asked: next(answers)) as webhook:
        config = make_config_of(webhook, alert_webhook_key_env="HOOK_SECRET")
        before = int(time.time())
        AlertWebhook(config, {"HOOK_SECRET": SECRET}).post_soon(NOTICE)
        posts(webhook, 3)
    assert len({one.headers["webhook-id"] for one in webhook.asked}) == 1
    for one in webhook.asked:
        expected = signature(b"a key of many bytes", one.headers, one.body)
        assert one.headers["webhook-signature"] == expected
        assert before <= int(one.headers["webhook-timestamp"]) <= time.time()
        assert json.loads(one.body) == {"text": "t", "event": "provider_on", "provider": "p"}


def test_a_secret_may_be_any_text_and_a_missing_one_stops_the_post(
    webhook: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config_of(webhook, alert_webhook_key_env="HOOK_SECRET")
    environ: dict[str, str] = {}
    hook = AlertWebhook(config, environ)
    hook.post_soon(NOTICE)
    assert "the alert for provider p was not posted: HOOK_SECRET is not set" in caplog.text
    environ["HOOK_SECRET"] = "whsec_no base64"
    hook.post_soon(NOTICE)
    posts(webhook, 1)
    [post] = webhook.asked
    expected = signature(b"whsec_no base64", post.headers, post.body)
    assert post.headers["webhook-signature"] == expected
    assert "whsec" not in caplog.text


def test_without_a_secret_nothing_is_signed(webhook: RawServer) -> None:
    AlertWebhook(make_config_of(webhook), {}).post_soon(NOTICE)
    posts(webhook, 1)
    assert "webhook-signature" not in webhook.asked[0].headers


def test_a_receiver_that_takes_nothing_holds_a_few_posts_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = threading.Event()

    def hang(asked: object) -> list[bytes]:
        over.wait()
        return whole(b"late")

    with raw_server(hang) as webhook:
        hook = AlertWebhook(make_config_of(webhook), {})
        for _ in range(MAX_POSTS + 2):
            hook.post_soon(NOTICE)
        names = [one.name for one in threading.enumerate()]
        assert names.count("aegis-alert") <= MAX_POSTS
        over.set()
        posts(webhook, MAX_POSTS)
    assert caplog.text.count(f"was not posted: {MAX_POSTS} posts are still under way") == 2


NOTICE = Notice("provider_on", "provider p", "t", {"provider": "p"})


def make_config_of(webhook: RawServer, **sections: Any) -> RouterConfig:
    return RouterConfig.model_validate({"alert_webhook": webhook.url, **sections})
