"""Embeddings for one request: asked with its options, and only for what they may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.embeddings import Embeddings

from aegis_graph.embeddings import EmbeddedTexts, Keep, RoutedEmbeddings
from aegis_graph.providers.embedding_model import TextType
from aegis_graph.types import LOCAL_ONLY, AttemptRecord

_OPTIONS = ("sensitivity", "user_id", "run_id", "max_cost_usd", "tags")
"""Not the cap of output tokens: a vector has none."""
_PLAIN_BATCH = 32
"""Texts of one call of embeddings that are not routed."""


@dataclass(frozen=True, slots=True)
class RequestEmbedder:
    """Embeddings for one request, and what they cost."""

    plain: Embeddings
    routed: RoutedEmbeddings | None
    """The same, when it goes through the router: it takes the request's options and tells costs."""
    refusal: str | None
    """Why it may not be asked."""
    attempts: list[AttemptRecord]

    @classmethod
    def of(
        cls,
        embeddings: Embeddings,
        options: Mapping[str, Any],
        *,
        location: Literal["local", "cloud"],
    ) -> RequestEmbedder:
        """The embeddings as a request may ask them.

        Args:
            embeddings: Any, or those of ``create_embeddings``.
            options: The request's.
            location: Where embeddings run that are not routed. Routed ones keep what is private on
                local providers themselves.
        """
        if isinstance(embeddings, RoutedEmbeddings):
            given = {key: options[key] for key in _OPTIONS if key in options}
            return cls(embeddings, embeddings.with_options(**given), None, [])
        sensitivity = options.get("sensitivity")
        is_kept = sensitivity in LOCAL_ONLY and location == "cloud"
        refusal = f"{sensitivity} is not embedded in a cloud" if is_kept else None
        return cls(embeddings, None, refusal, [])

    def embed(self, texts: list[str], text_type: TextType) -> list[list[float]]:
        """The vectors of some texts.

        Raises:
            RoutedEmbeddings: raise ``RoutingError``; others what they raise.
        """
        routed = self.routed
        if routed is not None:
            return self._count(routed.portal.run(lambda: routed.aembed(texts, text_type=text_type)))
        if text_type == "query":
            return [self.plain.embed_query(text) for text in texts]
        return self.plain.embed_documents(texts)

    async def aembed(self, texts: list[str], text_type: TextType) -> list[list[float]]:
        """As ``embed``, from async code."""
        if self.routed is not None:
            return self._count(await self.routed.aembed(texts, text_type=text_type))
        if text_type == "query":
            return [await self.plain.aembed_query(text) for text in texts]
        return await self.plain.aembed_documents(texts)

    def embed_and_keep(self, texts: list[str], keep: Keep) -> None:
        """Embed texts, and keep each batch before the next is paid for.

        Args:
            texts: Texts that are searched.
            keep: Called with the texts and vectors of a batch.
        """
        routed = self.routed
        if routed is not None:
            self._count(routed.portal.run(lambda: routed.aembed(texts, keep=keep)))
            return
        for first in range(0, len(texts), _PLAIN_BATCH):
            some = texts[first : first + _PLAIN_BATCH]
            keep(some, self.plain.embed_documents(some))

    def _count(self, done: EmbeddedTexts) -> list[list[float]]:
        self.attempts.extend(done.attempts)
        return done.vectors
