"""Describes one image: from its bytes, past what was kept, through the router, to its result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, cast

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from typing_extensions import TypedDict

from aegis_graph.components.documents.sources import shown
from aegis_graph.components.image_describer.colors import Colour
from aegis_graph.components.image_describer.results import (
    ImageResult,
    failed_result,
    read_answer,
)
from aegis_graph.components.image_describer.size_limit import SizedSemaphore
from aegis_graph.components.image_describer.slices import Parts, joined_result, parts_of
from aegis_graph.components.image_describer.sources import ImageRef, load_image
from aegis_graph.components.image_describer.store import ImageStore
from aegis_graph.components.model_chain import model_chain
from aegis_graph.components.router_node import RouterGraph, cost_usd
from aegis_graph.concurrency.loop_scoped import LoopScoped
from aegis_graph.errors import (
    BudgetExceededError,
    DocumentError,
    InvalidRequestError,
    NoProviderError,
    RoutingError,
)
from aegis_graph.text.words import Language
from aegis_graph.types import DEFAULT_SENSITIVITY, ResultKind


class ImageJob(TypedDict):
    """One image to look at."""

    ref: ImageRef
    part: dict[str, Any] | None
    kind: ResultKind
    language: Language
    again: bool
    options: dict[str, Any]
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class ImageDescriber:
    """The node ``look``: one image, from its bytes to its result."""

    wording: Mapping[ResultKind, Mapping[Language, Template]]
    store: ImageStore | None
    room: LoopScoped[SizedSemaphore]

    async def describe(
        self, router: RouterGraph, job: ImageJob, config: RunnableConfig
    ) -> dict[str, Any]:
        """Wait for room, ask, and send the progress to callers that stream."""
        emit = get_stream_writer()
        ref = job["ref"]
        where = {"source": ref["source"], "number": job["number"], "count": job["count"]}
        async with (await self.room.get()).acquired(ref["size"]):
            emit({"event": "image_started", **where})
            result = await self._result(router, job, config)
        facts = {key: result[key] for key in _EVENT_FIELDS}  # type: ignore[literal-required]
        emit({"event": "image_done", **where, **facts})
        return {"looked": [result]}

    async def _result(
        self, router: RouterGraph, job: ImageJob, config: RunnableConfig
    ) -> ImageResult:
        ref, wanted = job["ref"], self.wording[job["kind"]][job["language"]].substitute()
        key = await asyncio.to_thread(self._key, router, job, wanted) if self.store else None
        kept = await asyncio.to_thread(self.store.get, key) if self.store and key else None
        # Looked up in any case, so that a store that cannot be used is found before anything is
        # bought.
        if kept is not None and not job["again"]:
            return as_kept(cast("ImageResult", kept), ref["source"])
        try:
            # In a thread, because decoding a large picture takes long.
            parts = await asyncio.to_thread(_decoded, ref, job)
        # The image is that way, so it is a result; the others go on.
        except (DocumentError, InvalidRequestError) as error:
            return _failed(job, error)
        results = await self._parts(router, job, config, wanted, parts)
        result = joined_result(results, parts)
        complete = len(results) == len(parts.parts) and not any(one["error"] for one in results)
        if self.store and key and complete:
            # Before it counts as done: what is interrupted now is not bought again.
            await asyncio.to_thread(self.store.put, key, dict(result), degraded=result["degraded"])
        return result

    async def _parts(
        self, router: RouterGraph, job: ImageJob, config: RunnableConfig, wanted: str, parts: Parts
    ) -> list[ImageResult]:
        """The result of each part, one after the other, until nothing may be asked any more."""
        if len(parts.parts) == 1:
            [only] = parts.parts
            message = _message(wanted, only.content)
            return [await self._asked(router, job, config, [message], parts.colours)]
        results: list[ImageResult] = []
        for part in parts.parts:
            asked = f"{wanted} [rows from {part.top}]"
            key = await asyncio.to_thread(self._key, router, job, asked)
            kept = await asyncio.to_thread(self.store.get, key) if self.store and key else None
            if kept is not None and not job["again"]:
                results.append(as_kept(cast("ImageResult", kept), job["ref"]["source"]))
                continue
            message = _message(wanted, part.content)
            result = await self._asked(router, job, config, [message], parts.colours)
            results.append(result)
            if result["error_type"] in _NOT_ADMITTED:
                break
            if self.store and key and result["error"] is None:
                facts = dict(result)
                await asyncio.to_thread(self.store.put, key, facts, degraded=result["degraded"])
        return results

    async def _asked(
        self,
        router: RouterGraph,
        job: ImageJob,
        config: RunnableConfig,
        messages: list[BaseMessage],
        colours: Sequence[Colour],
    ) -> ImageResult:
        request = {"messages": messages, "task": "vision", **job["options"]}
        ref = job["ref"]
        try:
            answered = await router.ainvoke(request, config)
        except RoutingError as error:
            result = _failed(job, error)
            route: dict[str, Any] = {
                "attempts": error.attempts,
                "skipped": error.skipped,
                "route_id": error.route_id,
            }
        else:
            route = answered
            result = read_answer(
                answered["messages"][-1],
                job["kind"],
                source=ref["source"],
                sha256=ref["sha256"],
                counted=colours,
            )
        return {
            **result,
            "attempts": route["attempts"],
            "skipped": route["skipped"],
            "route_id": route["route_id"],
            "cost_usd": f"{cost_usd(route['attempts']):f}",
        }

    def _key(self, router: RouterGraph, job: ImageJob, wanted: str) -> str | None:
        if self.store is None:
            return None
        options = job["options"]
        return self.store.key(
            sha256=job["ref"]["sha256"],
            prompt=f"{job['kind']}: {wanted}",
            sensitivity=options.get("sensitivity", DEFAULT_SENSITIVITY),
            max_output_tokens=options.get("max_output_tokens"),
            chain=model_chain(router, with_images=True),
        )


_EVENT_FIELDS = ("kept", "method", "provider", "cost_usd", "error", "degraded_reason")
"""What an event says of a result; never what is in the image."""


_NOT_ADMITTED = {BudgetExceededError.__name__, NoProviderError.__name__}
"""After these, the other parts of the picture would be refused as well."""


def _decoded(ref: ImageRef, job: ImageJob) -> Parts:
    """The image as it is sent. Decodes it, so that a broken one buys nothing."""
    # The parts before it only count: this one stands at its number.
    given = job["part"]
    data = load_image(ref, [given] * (ref["number"] or 0) if given else ())
    return parts_of(data, job["kind"])


def _message(wanted: str, part: dict[str, Any]) -> BaseMessage:
    return HumanMessage([{"type": "text", "text": wanted}, part])


def _failed(job: ImageJob, error: Exception) -> ImageResult:
    ref = job["ref"]
    why = shown(str(error)).removeprefix(f"{ref['source']}: ")
    return failed_result(
        ref["source"], job["kind"], why, error_type=type(error).__name__, sha256=ref["sha256"]
    )


def as_kept(result: ImageResult, source: str) -> ImageResult:
    """A result that was bought before: it costs nothing now."""
    return {
        **result,
        "source": source,
        "kept": True,
        "cost_usd": "0",
        "attempts": [],
        "skipped": [],
    }
