"""A request as a line of a batch: which provider is asked, what is sent, what is held for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple, cast
from uuid import uuid4

from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs

from aegis_graph.bulk.batch.service import ENDPOINT
from aegis_graph.errors import AegisError, ConfigError
from aegis_graph.ledger.records import Hold
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.application.hooked_attempt import checked_by_hook
from aegis_graph.routing.application.hooked_plan import plan_by_policy
from aegis_graph.routing.assembly import RouterBuilder
from aegis_graph.routing.exchange.outgoing_call import OutgoingCall
from aegis_graph.routing.fast_path import FastPathGraph
from aegis_graph.routing.nodes import RouterNodes
from aegis_graph.routing.observer import RunObserver
from aegis_graph.routing.policy import Candidate, may_receive
from aegis_graph.routing.reservation import bound_of, hold_for
from aegis_graph.routing.route import admitted_hold
from aegis_graph.routing.state import RouterState, in_progress, join_messages

READ_WITHIN_S = 86_400.0
"""For how long after a batch's own time its answers may wait to be read. Later the reservations
count as spent, until the answers are."""

MOST_CUSTOM_ID = 64
"""Characters of an item's key that stands in a file as it is; a longer one is hashed."""

UNSENT = 0
"""In place of the number of a reservation that was not made."""


class BatchLine(NamedTuple):
    """A request that may be a line of a batch."""

    provider: Provider
    """In its tier of batches."""
    custom_id: str
    text: bytes
    """JSON and the line's end."""
    hold: Hold
    """The reservation that it needs."""


class LineWriter:
    """Writes the requests of a job as lines.

    Args:
        router: Which they are asked of.
    """

    def __init__(self, router: FastPathGraph) -> None:
        builder = router.builder
        assert isinstance(builder, RouterBuilder), "a router is built by one"
        nodes = builder.nodes_around
        assert nodes is not None, "assembled"
        self._bound = router.config or {}
        self._nodes: RouterNodes = nodes
        self._providers = {one.spec.name: _in_batches(one) for one in builder.providers}

    @property
    def providers(self) -> dict[str, Provider]:
        """Those that take batches, by their names."""
        return {name: one for name, one in self._providers.items() if isinstance(one, Provider)}

    def why_none(self) -> str:
        """Why no provider takes batches, in one line."""
        return "; ".join(str(one) for one in self._providers.values())

    async def write(
        self, key: str, asked: Mapping[str, Any], config: RunnableConfig
    ) -> BatchLine | None:
        """The line of a request.

        Args:
            key: The item's.
            asked: The request.
            config: Of its run.

        Returns:
            ``None`` where it is to be asked without a batch: the provider that is asked first
            takes none, or the request is one that a line cannot be.
        """
        merged = ensure_config(merge_configs(self._bound, config))
        try:
            return await self._written(key, asked, merged)
        except (AegisError, TypeError, ValueError):
            # Asked without a batch it meets the same, and has its error from there.
            return None

    async def _written(
        self, key: str, asked: Mapping[str, Any], config: RunnableConfig
    ) -> BatchLine | None:
        nodes, services = self._nodes, self._nodes.services
        messages = join_messages([], asked["messages"])
        state = in_progress(cast("RouterState", {**asked, "messages": messages}))
        state["route_id"] = uuid4().hex
        request = replace(nodes.read(state, config), max_wait_s=0.0)
        candidate = await self._first(request, state)
        provider = None if candidate is None else self._providers[candidate.spec.name]
        # A request that has a time of its own cannot wait for a day.
        if not isinstance(provider, Provider) or request.timeout_s is not None:
            return None
        if not may_receive(provider.spec, request.sensitivity):
            return None
        files = provider.batch_files
        assert files is not None, "opened for batches"
        now = services.clock()
        whole_s = files.window_s + READ_WITHIN_S
        hold = hold_for(provider, request, state["route_id"], 1, at=now, whole_s=whole_s)
        allowed = request
        if services.hooks.before_attempt is not None:
            unsent = admitted_hold(UNSENT, hold.nano_usd, now, provider.tier)
            hook = services.hooks.before_attempt
            allowed = await checked_by_hook(hook, provider, request, state, unsent)
        text = await _text(provider, allowed, custom_id := custom_id_of(key))
        if text is None or len(text) > files.most_line_bytes:
            return None
        return BatchLine(provider, custom_id, text, hold)

    async def _first(self, request: Request, state: RouterState) -> Candidate | None:
        """The candidate that would be asked first, if there is one."""
        planner, services = self._nodes.planner, self._nodes.services
        await planner.learn(request)
        plan = planner.plan(request, state, None, services.clock())
        plan = await plan_by_policy(services.hooks.policy, plan, request, state)
        return plan.candidates[0] if plan.candidates else None


def custom_id_of(key: str) -> str:
    """What a line is called: its item's key, or the hash of a long or foreign one.

    >>> custom_id_of("oslo"), len(custom_id_of("o" * 100))
    ('oslo', 64)
    """
    plain = key.isascii() and len(key) <= MOST_CUSTOM_ID
    return key if plain else sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _in_batches(provider: Provider) -> Provider | ConfigError:
    try:
        opened: Provider = provider.open_batches()
    except ConfigError as error:
        return error
    return opened


async def _text(provider: Provider, request: Request, custom_id: str) -> bytes | None:
    cap = bound_of(provider, request).output_cap
    outgoing = OutgoingCall(provider, request, RunObserver(), {}, number=1, output_cap=cap)
    body = outgoing.written(await provider.model())
    if body is None:
        return None
    line = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
