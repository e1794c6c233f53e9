"""Sensitive data never reaches a cloud provider's socket, whatever the configuration and faults."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from aegis_graph import create_ledger, create_router
from aegis_graph.clock import utc_now
from aegis_graph.errors import RoutingError
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.providers.registry import create_provider
from aegis_graph.request.request import Request
from aegis_graph.routing.attempt import Attempt
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.candidates.planner import Planner
from aegis_graph.routing.candidates.ranking import Ranking
from aegis_graph.routing.hosts.host import RequestReader
from aegis_graph.routing.nodes import RouterNodes
from aegis_graph.routing.reservation import hold_for
from aegis_graph.routing.route import admitted, admitted_hold, new_route
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.state import RouterOutput, RouterState
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.types import LOCAL_ONLY, SENSITIVITIES, TASKS
from tests.flow.support import (
    KEYS,
    KINDS,
    Row,
    ask,
    assert_sound,
    eventually,
    make_config,
    open_router,
    provider,
    read,
    rows,
    settled,
)

SECRET = "the patient's diagnosis"
PRIVATE = sorted(LOCAL_ONLY)
OPEN = sorted(set(SENSITIVITIES) - LOCAL_ONLY)
PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
CROSSED = """
    SELECT * FROM requests WHERE sensitivity IN ('confidential', 'pii', 'hipaa')
    AND provider LIKE 'cloud%'
"""
"""The one query that proves it, where a provider's name tells its location."""

FAULTS = [
    Reply("fine"),
    Fault.status(400),
    Fault.status(401),
    Fault.status(404),
    Fault.status(429),
    Fault.status(500),
    Fault.drop(),
    Fault.cut(Reply("a b c d"), after_chunks=2),
    Fault.end_early(Reply("a b c d"), after_chunks=1),
    Fault.malformed(1),
]
PICTURE = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"pixel").decode()},
}

chains = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(KINDS),
            "location": st.sampled_from(["local", "cloud"]),
            "images": st.booleans(),
            "tasks": st.none() | st.sets(st.sampled_from(TASKS), min_size=1).map(sorted),
            "max_retries": st.integers(0, 1),
            "price": st.sampled_from(["free", PRICE]),
            "step": st.sampled_from(FAULTS),
        }
    ),
    min_size=1,
    max_size=5,
)
requests = st.fixed_dictionaries(
    {"sensitivity": st.sampled_from(SENSITIVITIES), "task": st.sampled_from(TASKS)}
)


@pytest.fixture(scope="module")
def places() -> Iterator[Mapping[str, LoopbackServer]]:
    """One server for all that is local, one for all that is in the cloud."""
    with LoopbackServer() as local, LoopbackServer() as cloud:
        yield {"local": local, "cloud": cloud}


def play(places: Mapping[str, LoopbackServer], chain: list[Row]) -> list[Row]:
    """Script each provider, and return its row of the configuration."""
    specs = []
    for number, drawn in enumerate(chain):
        row = dict(drawn)
        kind, step, server = row.pop("kind"), row.pop("step"), places[row["location"]]
        name = f"{row['location']}_{number}"
        # The model's name finds the step of this very provider.
        server.always(kind, step, model=name)
        key = "LOOPBACK_KEY" if kind != "ollama" else None
        specs.append(provider(server, kind, name=name, model=name, api_key_env=key, **row))
    return specs


async def converse(router: Any, request: Row, *, images: bool, streams: list[bool]) -> None:
    """A few requests of one caller: later ones meet cooldowns and verdicts."""
    content: Any = [{"type": "text", "text": SECRET}, PICTURE] if images else SECRET
    for stream in streams:
        with suppress(RoutingError):
            async for _ in router.astream(
                {"messages": [HumanMessage(content)], **request},
                stream_mode=["messages", "custom"] if stream else "values",
            ):
                pass


@settings(
    max_examples=60,
    database=None,
    deadline=timedelta(seconds=60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    chain=chains,
    request_=requests,
    images=st.booleans(),
    streams=st.lists(st.booleans(), min_size=1, max_size=3),
)
def test_nothing_sensitive_reaches_a_cloud_provider(
    places: Mapping[str, LoopbackServer],
    chain: list[Row],
    request_: Row,
    images: bool,
    streams: list[bool],
) -> None:
    before = len(places["cloud"].journal)
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "costs.db"
        config = make_config(places["cloud"], db, providers=play(places, chain))
        ledger = create_ledger(config)
        router = create_router(config, ledger=ledger, environ=KEYS)
        asyncio.run(converse(router, request_, images=images, streams=streams))
        eventually(lambda: settled(db), goal="every hold settled")
        ledger.close()

        calls = places["cloud"].journal[before:]
        if request_["sensitivity"] in LOCAL_ONLY:
            assert calls == ()
        asked = [row for row in rows(db) if row["provider"].startswith("cloud")]
        assert [row["model"] for row in asked] == [call.model for call in calls]
        assert read(db, CROSSED) == []
        assert {row["sensitivity"] for row in rows(db)} <= {request_["sensitivity"]}
        assert_sound(db)


@pytest.mark.parametrize("sensitivity", PRIVATE)
@pytest.mark.parametrize("kind", KINDS)
async def test_private_data_stays_at_home_when_every_local_provider_is_down(
    places: Mapping[str, LoopbackServer], db: Path, kind: Any, sensitivity: str
) -> None:
    before = len(places["cloud"].journal)
    steps = {"local": Fault.status(500), "cloud": Reply("I know it all")}
    chain = [
        {"kind": kind, "location": place, "step": steps[place], "price": "free"}
        for place in ("cloud", "local", "cloud")
    ]
    router = open_router(make_config(places["cloud"], db, providers=play(places, chain)))

    for _ in range(4):
        with pytest.raises(RoutingError, match="stays on local providers"):
            await router.ainvoke(ask(SECRET, sensitivity=sensitivity))

    assert places["cloud"].journal[before:] == ()
    assert read(db, CROSSED) == []
    assert read(db, "SELECT count(*) AS n FROM unanswered") == [{"n": 4}]


@pytest.mark.parametrize("sensitivity", OPEN)
async def test_public_data_does_use_the_cloud(
    places: Mapping[str, LoopbackServer], db: Path, sensitivity: str
) -> None:
    before = len(places["cloud"].journal)
    chain = [
        {"kind": "ollama", "location": "local", "step": Fault.status(404)},
        {"kind": "openai", "location": "cloud", "step": Reply("Paris")},
    ]
    router = open_router(make_config(places["cloud"], db, providers=play(places, chain)))

    await router.ainvoke(ask(sensitivity=sensitivity))

    assert len(places["cloud"].journal[before:]) == 1
    assert [row["sensitivity"] for row in rows(db)] == [sensitivity] * 2


class Parts:
    """The router's own nodes around one cloud provider, to be put together wrongly."""

    def __init__(self, server: LoopbackServer, db: Path) -> None:
        config = make_config(server, db, providers=[provider(server, "openai")])
        cloud = create_provider(config.providers[0], source="", environ=KEYS)
        self.services = SharedServices.of(config, ledger=None, clock=utc_now)
        read = RequestReader({})
        self.attempt = Attempt(cloud, self.services, read)
        names = ProviderNames(config.providers)
        ranking = Ranking(config.routing, self.services.experience, names)
        planner = Planner([cloud], self.services.health, names, ranking)
        self.nodes = RouterNodes(planner, self.services, read, {"openai": ()})

    async def forge(self, state: RouterState, config: RunnableConfig) -> Command[str]:
        """A budget check that was made for a public request, with a real reservation."""
        request = Request.from_state({**state, "sensitivity": "public"}, config)
        hold = hold_for(self.attempt.provider, request, "r", 1, at=utc_now())
        hold_id = (await self.services.ledger.admit([hold])).hold_id
        assert hold_id is not None
        await self.services.unclaimed.register(unused_hold(hold_id))
        reserved = admitted_hold(hold_id, hold.nano_usd, utc_now())
        route = admitted(new_route(), reserved, "forged")
        update = {"route": route, "attempts": [], "skipped": [], "route_id": "r"}
        return Command(goto="attempt_openai", update=update)


@pytest.mark.parametrize("sensitivity", PRIVATE)
async def test_the_attempt_node_of_a_cloud_provider_turns_private_data_back(
    server: LoopbackServer, db: Path, sensitivity: Any
) -> None:
    node = Parts(server, db).attempt

    for hold in (None, admitted_hold(7, 1, utc_now())):
        route = {**new_route(), "hold": hold}
        state: Any = ask(SECRET, sensitivity=sensitivity, route=route)
        command = await node.run(state, {})
        assert command.goto == "budget_check"
        assert isinstance(command.update, dict)
        assert command.update["route"]["excluded"] == ["openai"]

    assert server.journal == ()


@pytest.mark.parametrize("sensitivity", PRIVATE)
async def test_a_state_tampered_with_between_two_nodes_does_not_open_the_cloud(
    server: LoopbackServer, db: Path, sensitivity: Any
) -> None:
    server.always("openai", Reply("I know it all"))
    parts = Parts(server, db)
    builder: Any = StateGraph(RouterState, output_schema=RouterOutput)
    builder.add_node("forge", parts.forge, destinations=("attempt_openai",))
    builder.add_node(
        "attempt_openai", parts.attempt.run, destinations=("budget_check", "record_cost")
    )
    builder.add_node("budget_check", parts.nodes.budget_check, destinations=("record_cost",))
    builder.add_node("record_cost", parts.nodes.record_cost)
    builder.add_edge(START, "forge")
    router = builder.compile()

    await router.ainvoke(ask("Which city?", sensitivity="public"))
    assert len(server.journal) == 1, "the forged way leads to the cloud"
    with pytest.raises(RoutingError):
        await router.ainvoke(ask(SECRET, sensitivity=sensitivity))

    assert len(server.journal) == 1
    assert [(row["status"], row["cost_basis"]) for row in rows(db)] == [
        ("answered", "reported"),
        ("cancelled", "none"),
    ]
    assert_sound(db)
