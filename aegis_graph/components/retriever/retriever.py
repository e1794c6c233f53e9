"""Passages in memory as a LangChain retriever: by words, and by meaning where embeddings are given.

The two rankings are joined by reciprocal rank fusion.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, PrivateAttr
from typing_extensions import TypedDict, override

from aegis_graph.components.documents.langchain import document_of
from aegis_graph.components.retriever.bm25 import PassageIndex
from aegis_graph.embeddings import RoutedEmbeddings
from aegis_graph.errors import RoutingError
from aegis_graph.providers.embedding_model import TextType
from aegis_graph.text.passages import Passage
from aegis_graph.types import LOCAL_ONLY, AttemptRecord

RRF_K = 60
"""Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion", SIGIR 2009: what tells ranks apart."""

DEPTH_FACTOR = 4
"""Times the limit: how far down each of the two rankings is read."""

OPTIONS_KEY = "aegis_choices"
"""The key of a run's metadata under which a request's common options reach a retriever."""


class RetrieverResult(TypedDict):
    """Documents, and what it cost to find them."""

    documents: list[Document]
    """Best first."""
    attempts: list[AttemptRecord]
    """The calls for embeddings that went through the router."""
    degraded_reason: str | None
    """Why the search was by words alone, where it should not have been."""


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
        return cls(PassageIndex(full), [document_of(passage) for passage in full])


class PassageRetriever(BaseRetriever):
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

    def find(self, question: str, options: Mapping[str, Any] | None = None) -> RetrieverResult:
        """Search, and say what it cost.

        Args:
            question: What to look for.
            options: The request's, such as ``sensitivity`` and ``run_id``; every call of
                routed embeddings is made with them.
        """
        given = dict(options or {})
        by_words = self._read().index.places(question, self.limit * DEPTH_FACTOR)
        if self.embeddings is None:
            return self._found(by_words)
        sensitivity = given.get("sensitivity")
        embedder = _Embedder.of(self.embeddings, given)
        # Routed embeddings keep what is private on local providers themselves.
        if embedder.routed is None and sensitivity in LOCAL_ONLY and not self._is_local():
            return self._found(by_words, reason=f"{sensitivity} is not embedded in a cloud")
        try:
            by_meaning = self._places_by_meaning(question, embedder)
        except RoutingError as error:
            # The passages may have been embedded before the question was refused: that cost counts.
            attempts = [*embedder.attempts, *cast("list[AttemptRecord]", error.attempts)]
            return self._found(by_words, attempts=attempts, reason=str(error))
        return self._found(fuse([by_words, by_meaning]), attempts=embedder.attempts)

    async def afind(
        self, question: str, options: Mapping[str, Any] | None = None
    ) -> RetrieverResult:
        """As ``find``, in a thread: the first question builds what it searches in."""
        return await asyncio.to_thread(self.find, question, options)

    @override
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return self.find(query, run_manager.metadata.get(OPTIONS_KEY))["documents"]

    @override
    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return (await self.afind(query, run_manager.metadata.get(OPTIONS_KEY)))["documents"]

    def _read(self) -> _Corpus:
        with self._lock:
            if not self._corpus:
                given = self.passages() if callable(self.passages) else self.passages
                self._corpus.append(_Corpus.of(given))
            return self._corpus[0]

    def _is_local(self) -> bool:
        return self.embeddings_location == "local"

    def _found(
        self,
        places: Sequence[int],
        *,
        attempts: Sequence[AttemptRecord] = (),
        reason: str | None = None,
    ) -> RetrieverResult:
        return RetrieverResult(
            documents=[self._read().documents[place] for place in places[: self.limit]],
            attempts=list(attempts),
            degraded_reason=None if reason is None else f"searched by words alone: {reason}",
        )

    def _places_by_meaning(self, question: str, embedder: _Embedder) -> list[int]:
        import numpy as np  # noqa: PLC0415 - only a search waits for it

        documents = self._read().documents
        with self._lock:
            # Under the lock, because many may ask the first question at once, and the passages are
            # to be bought once.
            if not self._vectors:
                texts = [document.page_content for document in documents]
                self._vectors.append(_unit(embedder.embed(texts, "document")))
        scores = self._vectors[0] @ _unit(embedder.embed([question], "query"))[0]
        best = np.argsort(-scores, kind="stable")[: self.limit * DEPTH_FACTOR]
        return [int(place) for place in best if scores[place] > 0]


@dataclass(frozen=True, slots=True)
class _Embedder:
    """Embeddings for one request, and what they cost."""

    plain: Embeddings
    routed: RoutedEmbeddings | None
    """The same, when it goes through the router: it takes the request's options and tells costs."""
    attempts: list[AttemptRecord]

    @classmethod
    def of(cls, embeddings: Embeddings, options: Mapping[str, Any]) -> _Embedder:
        if not isinstance(embeddings, RoutedEmbeddings):
            return cls(embeddings, None, [])
        # Not the cap of output tokens: a vector has none.
        wanted = ("sensitivity", "user_id", "run_id", "max_cost_usd", "tags")
        given = {key: options[key] for key in wanted if key in options}
        return cls(embeddings, embeddings.with_options(**given), [])

    def embed(self, texts: list[str], text_type: TextType) -> list[list[float]]:
        routed = self.routed
        if routed is not None:
            done = routed.portal.run(lambda: routed.aembed(texts, text_type=text_type))
            self.attempts.extend(done.attempts)
            return done.vectors
        if text_type == "query":
            return [self.plain.embed_query(text) for text in texts]
        return self.plain.embed_documents(texts)


def fuse(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Join rankings by reciprocal rank fusion, best first; ties keep the order of the first.

    Example:
        >>> fuse([[1, 2, 3], [3, 1]])
        [1, 3, 2]
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, start=1):
            scores[place] = scores.get(place, 0.0) + 1 / (RRF_K + rank)
    return sorted(scores, key=lambda place: -scores[place])


def _unit(vectors: Sequence[Sequence[float]]) -> Any:
    import numpy as np  # noqa: PLC0415 - only a search waits for it

    matrix = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    # A vector of zeros stays one, and is like no other.
    return matrix / np.where(lengths == 0, 1, lengths)
