"""Finds out what an HTTP request asks for, and has it answered as the script says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from aegis_graph.testing.loopback.batch_desk import BatchDesk
from aegis_graph.testing.loopback.batch_routes import is_batch_path, respond, uploaded
from aegis_graph.testing.loopback.journal import Journal, ProtocolName, Received
from aegis_graph.testing.loopback.playback import Exchange
from aegis_graph.testing.loopback.replies import Step
from aegis_graph.testing.loopback.script import Script
from aegis_graph.testing.wires import dashscope as dashscope_wire
from aegis_graph.testing.wires import embeddings as embedding_wire
from aegis_graph.testing.wires import ollama as ollama_wire
from aegis_graph.testing.wires import openai as openai_wire
from aegis_graph.testing.wires.batches import COMPATIBLE_ROOT
from aegis_graph.testing.wires.embeddings import embedding_reply
from aegis_graph.testing.wires.wire import Wire

WIRES: Mapping[ProtocolName, Wire] = {
    "dashscope": dashscope_wire.DashScopeWire(),
    "ollama": ollama_wire.OllamaWire(),
    "openai": openai_wire.OpenAIWire(),
}

GENERATION_PATHS: Mapping[str, ProtocolName] = {
    "/api/chat": "ollama",
    "/v1/chat/completions": "openai",
    f"{COMPATIBLE_ROOT}/chat/completions": "openai",
    "/api/v1/services/aigc/text-generation/generation": "dashscope",
    "/api/v1/services/aigc/multimodal-generation/generation": "dashscope",
}

EMBEDDING_PATHS: Mapping[str, Wire] = {
    "/api/embed": embedding_wire.OllamaEmbeddingWire(),
    "/v1/embeddings": embedding_wire.OpenAIEmbeddingWire(),
    "/api/v1/services/embeddings/text-embedding/text-embedding": (
        embedding_wire.DashScopeEmbeddingWire()
    ),
}

MODEL_LISTS: Mapping[str, Callable[[Sequence[str]], dict[str, Any]]] = {
    "/api/tags": ollama_wire.model_list,
    "/v1/models": openai_wire.model_list,
}


class Handler:
    """Serves the requests of one run of a server.

    Args:
        journal: Where requests are written down.
        script: Where the answers come from.
        batches: Keeps the batches and their files.
        models: Gives the names for the lists of models.
    """

    def __init__(
        self,
        journal: Journal,
        script: Script,
        batches: BatchDesk,
        *,
        models: Callable[[], Sequence[str]],
    ) -> None:
        self._journal = journal
        self._batches = batches
        self._script = script
        self._models = models
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request and keep it in the journal."""
        # The number is taken before the body is awaited: calls are counted as they arrive.
        call = await _read_request(request, self._journal.next_number())
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # Before it is answered: a test waits for calls that are never answered, too.
        self._journal.add(call)
        try:
            return await self._respond(
                Exchange(_wire(call.path), call, request, self._journal.notify)
            )
        except asyncio.CancelledError:
            # aiohttp cancels a handler when its client goes away; the end of the server does the
            # same.
            call.produced.disconnected = not self._stopping
            raise
        except ConnectionResetError:
            call.produced.disconnected = True
            # Nothing can be sent any more, but aiohttp wants a response back.
            return web.Response()
        finally:
            self._tasks.discard(task)
            self._journal.finish(call)

    def cancel_all(self) -> None:
        """Give up the requests that are being served, because the server stops."""
        self._stopping = True
        for task in tuple(self._tasks):
            task.cancel()

    async def _respond(self, exchange: Exchange) -> web.StreamResponse:
        call, method = exchange.call, exchange.request.method
        if method == "GET" and call.path in MODEL_LISTS:
            return await exchange.send_json(200, MODEL_LISTS[call.path](self._models()))
        if is_batch_path(call.path):
            return await respond(exchange, self._batches)
        if not call.generation:
            return await self._refuse(exchange, 404, f"unknown: {method} {call.path}")
        if not call.body:
            return await self._refuse(exchange, 400, f"not a JSON object: {method} {call.path}")
        step = self._step(call)
        if step is None:
            return await self._refuse(
                exchange, 501, f"unscripted: {method} {call.path}, model {call.model!r}"
            )
        return await exchange.play(step(call) if callable(step) else step)

    def _step(self, call: Received) -> Step | None:
        if call.path in EMBEDDING_PATHS:
            # Steps for a whole protocol are for its chat calls; an embedding in between must not
            # use one up.
            return self._script.take_own(call.protocol, call.model) or embedding_reply
        return self._script.take(call.protocol, call.model)

    async def _refuse(self, exchange: Exchange, status: int, why: str) -> web.StreamResponse:
        self._script.add_problem(why)
        body = exchange.wire.error(status, f"loopback_{status}", f"loopback server: {why}")
        return await exchange.send_json(status, body)


async def _read_request(request: web.Request, number: int) -> Received:
    parsed: Any = None
    if request.content_type == "multipart/form-data":
        parsed = await uploaded(request)
    else:
        with suppress(ValueError):
            parsed = json.loads(await request.read() or b"{}")
    # An empty mapping stands for what is no JSON object: such a call is kept, and refused with 400.
    body = parsed if isinstance(parsed, dict) else {}
    path = request.path
    wire = _wire(path)
    # Names of HTTP headers have no case of their own; the journal needs one to be searched by.
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Received(
        number=number,
        protocol=wire.name,
        path=path,
        model=str(body.get("model", "")),
        body=body,
        headers=headers,
        streamed=wire.wants_stream(body, headers),
        generation=request.method == "POST"
        and (path in GENERATION_PATHS or path in EMBEDDING_PATHS),
        arrived_at=time.monotonic(),
    )


def _wire(path: str) -> Wire:
    return EMBEDDING_PATHS.get(path) or WIRES[GENERATION_PATHS.get(path) or _protocol_of(path)]


def _protocol_of(path: str) -> ProtocolName:
    # A path that nothing serves gets its refusal in the protocol that its beginning belongs to.
    if path.startswith(("/v1", COMPATIBLE_ROOT)):
        return "openai"
    return "dashscope" if path.startswith("/api/v1") else "ollama"
