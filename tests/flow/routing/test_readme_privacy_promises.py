"""What the README says of privacy, keys and streams is so in a graph with the router as a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import MessagesState

from aegis_graph import (
    AllProvidersFailedError,
    InvalidRequestError,
    NoProviderError,
    RouterContext,
    create_image_describer,
)
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.hosts import HOSTS, crowd, nested, promise
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    drawn,
    dust_settles,
    made,
    make_config,
    open_router,
    provider,
    rows,
)

SECRET = "My number is 078-05-1120"
everywhere = pytest.mark.parametrize("way", HOSTS)
private_levels = pytest.mark.parametrize("level", ["confidential", "pii", "hipaa"])


def clouds_that_would_answer(server: LoopbackServer) -> None:
    for protocol in ("dashscope", "openai"):
        server.always(protocol, Reply("Seen."))


def asked(server: LoopbackServer) -> list[str]:
    """The protocols of all requests, those for a list of models included."""
    return [entry.protocol for entry in server.journal]


@everywhere
@private_levels
@promise("never sends private data to a cloud")
@promise(
    "A request that no local provider can answer is refused, and never sent elsewhere.",
    "Requests that are `confidential`, `pii` or `hipaa` stay in the network of whoever runs the "
    "package.",
    page="docs/privacy.md",
)
async def test_private_data_is_refused_where_the_local_provider_fails(
    server: LoopbackServer, db: Path, way: str, level: str
) -> None:
    clouds_that_would_answer(server)
    server.always("ollama", Fault.status(503))
    with pytest.raises(AllProvidersFailedError) as raised:
        await HOSTS[way](open_router(make_config(server, db)), SECRET, {"sensitivity": level})
    assert set(asked(server)) == {"ollama"}
    assert {row["provider"] for row in rows(db)} == {"ollama"}
    assert {row["sensitivity"] for row in rows(db)} == {level}
    assert [skip["code"] for skip in raised.value.skipped] == ["privacy", "privacy"]


@everywhere
@private_levels
@promise("`public`, `internal`, or `confidential`, `pii`, `hipaa`, which stay on local providers")
async def test_private_data_is_answered_where_it_is(
    server: LoopbackServer, db: Path, way: str, level: str
) -> None:
    clouds_that_would_answer(server)
    server.always("ollama", Reply("Here."))
    # The clouds are asked first where they may be.
    chain = [provider(server, kind) for kind in ("dashscope", "openai", "ollama")]
    router = open_router(make_config(server, db, providers=chain))
    result = await HOSTS[way](router, SECRET, {"sensitivity": level})
    assert result["messages"][-1].text == "Here."
    await HOSTS[way](router, "Which city?", {"sensitivity": "public"})
    assert asked(server) == ["ollama", "dashscope"]


@promise("never sends private data to a cloud")
async def test_nodes_beside_each_other_keep_private_data_here(
    server: LoopbackServer, db: Path
) -> None:
    clouds_that_would_answer(server)
    server.always("ollama", Fault.status(503))
    with pytest.raises(AllProvidersFailedError):
        await crowd(open_router(make_config(server, db)), 8).ainvoke(ask(sensitivity="pii"))
    await dust_settles(db)
    assert set(asked(server)) <= {"ollama"}
    assert_sound(db)


@everywhere
@promise("A provider whose key is missing is skipped, with that reason.")
async def test_a_missing_key_is_a_reason_and_no_failure(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("ollama", Reply("It is."))
    chain = [provider(server, "openai"), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain), environ={})
    result = await HOSTS[way](router, "Which city?", {})
    assert asked(server) == ["ollama"]
    if "skipped" in result:
        [skip] = result["skipped"]
        assert (skip["provider"], skip["code"]) == ("openai", "key")
        assert "LOOPBACK_KEY is not set" in skip["reason"]


@everywhere
@promise("Keys are read from the environment when a call is made")
async def test_a_key_that_changes_counts_for_the_next_call(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("openai", Reply("It is."))
    environ = dict(KEYS)
    chain = [provider(server, "openai")]
    router = open_router(make_config(server, db, providers=chain), environ=environ)
    await HOSTS[way](router, "Which city?", {})
    environ["LOOPBACK_KEY"] = "sk-second"
    await HOSTS[way](router, "Which city?", {})
    sent = [call.headers["authorization"] for call in server.calls()]
    assert sent == [f"Bearer {KEYS['LOOPBACK_KEY']}", "Bearer sk-second"]
    environ.clear()
    with pytest.raises(NoProviderError):
        await HOSTS[way](router, "Which city?", {})


@everywhere
@promise("with a keyed hash of the prompt and never the prompt")
@promise(
    "The ledger has a hash of the prompt under a key of its own, and no prompt",
    page="docs/privacy.md",
)
async def test_no_byte_of_the_ledger_is_a_prompt_or_an_answer(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.script("ollama", Fault.cut(Reply("Adas secret is"), after_chunks=2))
    server.always("openai", Reply("Adas secret is safe."))
    other = db.with_name("other.db")
    for ledger in (db, other):
        await HOSTS[way](open_router(make_config(server, ledger)), SECRET, {"user_id": "ada"})
    written = b"".join(path.read_bytes() for path in db.parent.glob(f"{db.name}*"))
    assert b"ada" in written
    assert b"078-05" not in written
    assert b"secret" not in written
    # Each ledger has a key of its own: one prompt, two hashes.
    [hashed], [hashed_elsewhere] = ({row["query_hash"] for row in made(one)} for one in (db, other))
    assert hashed != hashed_elsewhere


@promise("private ones are read on this machine")
async def test_a_private_image_in_a_host_stays_here(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    clouds_that_would_answer(server)
    server.always("ollama", Reply("Total 10.50"))
    picture = tmp_path / "receipt.png"
    picture.write_bytes(drawn(text="Total 10.50"))
    chain = [provider(server, kind, images=True) for kind in ("openai", "ollama")]
    describer = create_image_describer(open_router(make_config(server, db, providers=chain)))

    async def look(state: Any) -> dict[str, Any]:
        found = await describer.ainvoke(
            {"paths": [str(picture)], "kind": "text", "sensitivity": "pii"}
        )
        return {"messages": [("ai", found["results"][0]["text"])]}

    result = await nested(look).ainvoke(ask())
    assert result["messages"][-1].text == "Total 10.50"
    assert asked(server) == ["ollama"]


@promise("So there are four ways to give it, and the strictest counts.", page="docs/hosts.md")
@promise(
    "The strictest `sensitivity` and the smallest `max_cost_usd` of state, context, "
    "configuration and binding count.",
    page="docs/hosts.md",
)
@pytest.mark.parametrize("stricter", ["state", "context", "configuration", "binding"])
async def test_the_strictest_of_all_ways_counts_two_levels_down(
    server: LoopbackServer, db: Path, stricter: str
) -> None:
    clouds_that_would_answer(server)
    level = dict.fromkeys(("state", "context", "configuration", "binding"), "public")
    level[stricter] = "pii"
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    graph = nested(router.with_options(sensitivity=level["binding"]), context_schema=RouterContext)
    with pytest.raises(NoProviderError):
        await graph.ainvoke(
            ask(SECRET, sensitivity=level["state"]),
            {"configurable": {"sensitivity": level["configuration"]}},
            context={"sensitivity": level["context"]},
        )
    assert asked(server) == []


@promise(
    '`sensitivity = "required"` in `[defaults]` refuses every request that names no level.',
    page="docs/hosts.md",
)
@pytest.mark.parametrize("state", [None, MessagesState])
async def test_a_file_may_require_a_level_of_every_host(
    server: LoopbackServer, db: Path, state: Any
) -> None:
    clouds_that_would_answer(server)
    config = make_config(server, db, defaults={"sensitivity": "required"})
    router = open_router(config)
    graph = nested(router) if state is None else nested(router, state)
    with pytest.raises(InvalidRequestError, match="requires"):
        await graph.ainvoke(ask(SECRET))
    assert asked(server) == []


@promise("It sends nothing anywhere but to the providers")
@everywhere
async def test_only_the_provider_that_is_asked_has_a_request(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("ollama", Reply("It is."))
    await HOSTS[way](open_router(make_config(server, db)), "Which city?", {})
    assert asked(server) == ["ollama"]
