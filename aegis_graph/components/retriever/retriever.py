"""Passages in memory as a LangChain retriever: by words, and by meaning where embeddings are given.

The two rankings are joined by reciprocal rank fusion. A question that asks for several things is
looked up as a whole and part by part, or the passages of one part would crowd out the others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import override

from aegis_graph.components.documents.langchain import document_of
from aegis_graph.components.retriever.base import (
    DEPTH_FACTOR,
    CostedRetriever,
    RetrieverResult,
    fuse,
    take_turns,
)
from aegis_graph.components.retriever.bm25 import PassageIndex
from aegis_graph.components.retriever.embedder import RequestEmbedder
from aegis_graph.errors import RoutingError
from aegis_graph.text.passages import Passage, text_in_place
from aegis_graph.text.question_parts import separate_parts
from aegis_graph.types import AttemptRecord

Passages = Sequence[Passage] | Callable[[], Sequence[Passage]]


def create_retriever(
    passages: Passages,
    *,
    embeddings: Embeddings | None = None,
    embeddings_location: Literal["local", "cloud"] = "cloud",
    limit: int = 6,
) -> PassageRetriever:
    """Build a retriever over passages, such as those that ``read_passages`` gives.

    Args:
        passages: What to search in, or a function that reads them when the first question comes.
        embeddings: Finds passages by meaning as well. The passages are embedded by the first
            question, once.
        embeddings_location: Where these run, unless they are those of ``create_embeddings``, which
            know. What is ``confidential``, ``pii`` or ``hipaa`` is not shown to a cloud: it is
            searched by words alone.
        limit: Documents per question, at most.

    Example:
        >>> retriever = create_retriever([Passage(source="a.md", text="Budgets are hard limits.")])
        >>> [found.metadata["source"] for found in retriever.invoke("What is a budget?")]
        ['a.md']
    """
    return PassageRetriever(
        passages=passages,
        embeddings=embeddings,
        embeddings_location=embeddings_location,
        limit=limit,
    )


@dataclass(frozen=True, slots=True)
class _Corpus:
    """What is searched in."""

    index: PassageIndex
    documents: list[Document]

    @classmethod
    def of(cls, passages: Sequence[Passage]) -> _Corpus:
        # What is empty can be neither embedded nor quoted.
        full = [passage for passage in passages if passage.text.strip()]
        titles: dict[str, str] = {}
        for one in full:
            # Most files name themselves by their first heading, and not in each passage.
            titles.setdefault(one.source, one.heading)
        placed = [replace(one, text=text_in_place(titles[one.source], one)) for one in full]
        return cls(PassageIndex(placed), [document_of(one) for one in placed])


class PassageRetriever(CostedRetriever):
    """Searches passages in memory. Build it with ``create_retriever``.

    Where the embeddings may not or cannot be asked, a question is searched by words alone.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    passages: Passages
    embeddings: Embeddings | None = None
    embeddings_location: Literal["local", "cloud"] = "cloud"
    limit: int = 6

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _corpus: list[_Corpus] = PrivateAttr(default_factory=list)
    """One, once the first question came."""
    _vectors: list[Any] = PrivateAttr(default_factory=list)
    """The matrix of the passages' unit vectors, once they are embedded."""

    @property
    @override
    def runs_functions(self) -> bool:
        """See ``CostedRetriever.runs_functions``."""
        return callable(self.passages) or self.embeddings is not None

    @override
    def find(self, question: str, options: Mapping[str, Any] | None = None) -> RetrieverResult:
        """See ``CostedRetriever.find``."""
        given = dict(options or {})
        corpus = self._read()
        asked = [question, *separate_parts(question)]
        by_words = [corpus.index.places(one, self.limit * DEPTH_FACTOR) for one in asked]
        # Without passages there is nothing to compare a question's vector with.
        if self.embeddings is None or not corpus.documents:
            return self._found(by_words)
        embedder = RequestEmbedder.of(self.embeddings, given, location=self.embeddings_location)
        if embedder.refusal is not None:
            return self._found(by_words, reason=embedder.refusal)
        try:
            by_meaning = self._places_by_meaning(asked, embedder)
        except RoutingError as error:
            # The passages may have been embedded before the question was refused: that cost counts.
            attempts = [*embedder.attempts, *cast("list[AttemptRecord]", error.attempts)]
            return self._found(by_words, attempts=attempts, reason=str(error))
        fused = [fuse(both) for both in zip(by_words, by_meaning, strict=True)]
        return self._found(fused, attempts=embedder.attempts)

    @override
    async def afind(
        self, question: str, options: Mapping[str, Any] | None = None
    ) -> RetrieverResult:
        """As ``find``, in a thread: the first question builds what it searches in."""
        return await asyncio.to_thread(self.find, question, options)

    def _read(self) -> _Corpus:
        with self._lock:
            if not self._corpus:
                given = self.passages() if callable(self.passages) else self.passages
                self._corpus.append(_Corpus.of(given))
            return self._corpus[0]

    def _found(
        self,
        rankings: Sequence[Sequence[int]],
        *,
        attempts: Sequence[AttemptRecord] = (),
        reason: str | None = None,
    ) -> RetrieverResult:
        best = take_turns(rankings)[: self.limit]
        return RetrieverResult(
            documents=[self._read().documents[place] for place in best],
            attempts=list(attempts),
            degraded_reason=None if reason is None else f"searched by words alone: {reason}",
        )

    def _places_by_meaning(
        self, asked: Sequence[str], embedder: RequestEmbedder
    ) -> list[list[int]]:
        import numpy as np  # noqa: PLC0415 - only a search waits for it

        documents = self._read().documents
        with self._lock:
            # Under the lock, because many may ask the first question at once, and the passages are
            # to be bought once.
            if not self._vectors:
                texts = [document.page_content for document in documents]
                self._vectors.append(_unit(embedder.embed(texts, "document")))
        rankings = []
        for vector in _unit(embedder.embed(list(asked), "query")):
            scores = self._vectors[0] @ vector
            best = np.argsort(-scores, kind="stable")[: self.limit * DEPTH_FACTOR]
            rankings.append([int(place) for place in best if scores[place] > 0])
        return rankings


def _unit(vectors: Sequence[Sequence[float]]) -> Any:
    import numpy as np  # noqa: PLC0415 - only a search waits for it

    matrix = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    # A vector of zeros stays one, and is like no other.
    return matrix / np.where(lengths == 0, 1, lengths)
