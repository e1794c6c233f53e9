"""Embeddings through the routing subgraph: admitted, tried in order, priced and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage
from typing_extensions import TypedDict, Unpack, override

from aegis_graph.clock import Clock, utc_now
from aegis_graph.concurrency.portal import Portal
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import EmbeddingSpec
from aegis_graph.errors import ConfigError, InvalidRequestError
from aegis_graph.ledger.records import Ledger
from aegis_graph.providers.embedding_model import VECTORS, TextType
from aegis_graph.providers.registry import texts_per_call
from aegis_graph.request.tags import joined_tags
from aegis_graph.routing.application.hooks import (
    AfterAttempt,
    BeforeAttempt,
    OnAlert,
    Policy,
    PriceOf,
)
from aegis_graph.routing.hosts.message_streams import hidden_from_streams
from aegis_graph.routing.observer import RunObserver, with_observer
from aegis_graph.routing.router import Router, create_router
from aegis_graph.routing.state import RouterInput
from aegis_graph.types import AttemptRecord, Sensitivity

MAX_BATCH_BYTES = 300_000
"""Most text of one call: OpenAI takes 300,000 tokens, and a token is at least a byte."""


Keep = Callable[[Sequence[str], Sequence[Sequence[float]]], None]


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """Vectors, and what they cost."""

    vectors: list[list[float]]
    """One per text, in their order."""
    attempts: list[AttemptRecord]
    """Every physical call, batch by batch."""
    input_tokens: int = 0
    """Of all texts, as far as the providers count them."""


class EmbeddingChoices(TypedDict, total=False):
    """What ``RoutedEmbeddings.with_options`` may choose; see the fields of these."""

    sensitivity: Sensitivity | None
    user_id: str | None
    run_id: str | None
    max_cost_usd: str | None
    tags: Mapping[str, str] | None
    concurrency: int


@dataclass(frozen=True, slots=True)
class RoutedEmbeddings(Embeddings):
    """A LangChain ``Embeddings`` whose every call goes through the routing subgraph.

    Build it with ``create_embeddings``. A fallback never changes the vectors: all providers of one
    configuration give the same ones.

    Raises:
        InvalidRequestError: A text is empty; no provider was asked.
        RoutingError: A batch was not embedded; batches before it are paid.
    """

    router: Router
    """The compiled graph; it opens in a drawing like the router of chat calls."""
    spec: EmbeddingSpec
    """The first row: model, dimensions and space are those of all of them."""
    texts_per_call: int
    sensitivity: Sensitivity | None = None
    """The configuration's when absent."""
    user_id: str | None = None
    """The user whose budgets count."""
    run_id: str | None = None
    """The envelope that the calls count in."""
    max_cost_usd: str | None = None
    """What the envelope may cost, as decimal text."""
    tags: Mapping[str, str] | None = None
    """What the calls are counted by as well, such as ``{"team": "search"}``."""
    concurrency: int = 4
    """Most batches of one call under way at the same time."""
    portal: Portal = field(default_factory=Portal)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.spec.dimensions

    def with_options(self, **changes: Unpack[EmbeddingChoices]) -> RoutedEmbeddings:
        """The same embeddings with another ``sensitivity``, ``user_id``, ``run_id`` or so.

        ``tags`` are joined with those that are there.
        """
        if "tags" in changes:
            changes["tags"] = joined_tags(changes["tags"], self.tags)
        return replace(self, **changes)

    def asking(self, **changes: Unpack[EmbeddingChoices]) -> RoutedEmbeddings:
        """An older name of ``with_options``."""
        return self.with_options(**changes)

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts that are searched."""
        return (await self.aembed(texts)).vectors

    @override
    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a text that searches."""
        return (await self.aembed([text], text_type="query")).vectors[0]

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts that are searched; from any thread, also in a running loop."""
        return self.portal.run(lambda: self.aembed_documents(texts))

    @override
    def embed_query(self, text: str) -> list[float]:
        """The vector of a text that searches; from any thread, also in a running loop."""
        return self.portal.run(lambda: self.aembed_query(text))

    async def aembed(
        self,
        texts: Sequence[str],
        *,
        text_type: TextType = "document",
        keep: Keep | None = None,
    ) -> EmbeddedTexts:
        """Embed texts, and say what each call cost.

        Args:
            texts: None of them empty. They are sent in batches, each an attempt with its own row.
            text_type: Whether they are searched or search; DashScope's models tell them apart.
            keep: Called with the texts and vectors of each batch before the ledger has its cost.
        """
        for index, text in enumerate(texts):
            if not isinstance(text, str) or not text.strip():
                raise InvalidRequestError(f"texts[{index}]: empty; there is nothing to embed")
        slots = asyncio.Semaphore(self.concurrency)

        async def one(batch: Sequence[str]) -> dict[str, Any]:
            async with slots:
                try:
                    return await self._ask(batch, text_type, keep)
                except BaseException:
                    # Before the slot is free: the others are of no use and must not be bought.
                    _cancel_others(tasks)
                    raise

        tasks = [
            asyncio.ensure_future(one(batch)) for batch in _batches(texts, self.texts_per_call)
        ]
        try:
            results = await asyncio.gather(*tasks)
        finally:
            _cancel_others(tasks)
            # Each settles its attempt before it ends; the first error is the one that is raised.
            await asyncio.gather(*tasks, return_exceptions=True)
        return EmbeddedTexts(
            [vector for found in results for vector in _vectors(found)],
            [attempt for found in results for attempt in found["attempts"]],
            sum(map(_input_tokens, results)),
        )

    async def _ask(
        self, texts: Sequence[str], text_type: TextType, keep: Keep | None
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            # A message's name is where the provider's model reads what the text is for.
            "messages": [HumanMessage(text, name=text_type) for text in texts],
            "task": "embed",
        }
        optional = {
            "sensitivity": self.sensitivity,
            "user_id": self.user_id,
            "run_id": self.run_id,
            "max_cost_usd": self.max_cost_usd,
            "tags": self.tags,
        }
        request.update({key: value for key, value in optional.items() if value is not None})
        observer = RunObserver()
        if keep is not None:
            observer = RunObserver(
                keep=lambda answer: keep(texts, answer.additional_kwargs[VECTORS])
            )
        with hidden_from_streams() as config:
            observed = with_observer(observer, config)
            return await self.router.ainvoke(cast(RouterInput, request), observed)


def create_embeddings(
    config: RouterConfig | None = None,
    *,
    ledger: Ledger | None = None,
    sensitivity: Sensitivity | None = None,
    clock: Clock = utc_now,
    environ: Mapping[str, str] | None = None,
    before_attempt: BeforeAttempt | None = None,
    after_attempt: AfterAttempt | None = None,
    on_alert: OnAlert | None = None,
    policy: Policy | None = None,
    price: PriceOf | None = None,
) -> RoutedEmbeddings:
    """Build embeddings that every vector store of LangChain takes.

    Each batch is admitted against the budgets before it is sent, falls back among providers of the
    same vectors, and has a row in the ledger with the task ``embed``.

    Args:
        config: Its ``embeddings`` are the providers, in their order; the defaults when absent.
        ledger: A ledger to share with a router, by default the one that the configuration names.
        sensitivity: How private the texts are; the last three levels stay on local providers. What
            the configuration says when absent.
        clock: Returns the present as an aware datetime in UTC.
        environ: Where keys are looked up by name, by default the process's environment.
        before_attempt: As for ``create_router``: each text is a message, and may be changed but not
            left out.
        after_attempt: As for ``create_router``.
        on_alert: As for ``create_router``.
        policy: As for ``create_router``.
        price: As for ``create_router``.

    Raises:
        ConfigError: There is no row, or a row's kind or price is unknown.

    Example:
        >>> len(create_embeddings().embed_query("What is a hold?"))  # doctest: +SKIP
        1024
    """
    given = config or RouterConfig()
    rows = [row for row in given.embeddings if row.enabled]
    if not rows:
        raise ConfigError(f"{given.source}: embeddings: empty; name at least one that is enabled")
    # A batch falls back as it is, so it has to fit every provider.
    most = min(texts_per_call(row, source=given.source) for row in rows)
    router = create_router(
        given.model_copy(update={"providers": tuple(rows), "accept": {}}),
        ledger=ledger,
        # Vectors have no place in a checkpoint, and a vector store resumes by itself.
        checkpointer=False,
        name="embeddings",
        clock=clock,
        environ=environ,
        before_attempt=before_attempt,
        after_attempt=after_attempt,
        on_alert=on_alert,
        policy=policy,
        price=price,
    )
    return RoutedEmbeddings(router, rows[0], most, sensitivity=sensitivity)


def _batches(texts: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        # Half a character has no bytes; the request's own check refuses it.
        length = len(text.encode("utf-8", errors="replace"))
        if batch and (len(batch) == most or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def _cancel_others(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        if task is not asyncio.current_task():
            task.cancel()


def _input_tokens(found: Mapping[str, Any]) -> int:
    usage = found["messages"][-1].usage_metadata
    return usage["input_tokens"] if usage else 0


def _vectors(found: Mapping[str, Any]) -> list[list[float]]:
    vectors: list[list[float]] = found["messages"][-1].additional_kwargs[VECTORS]
    return vectors
