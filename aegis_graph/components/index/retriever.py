"""An index as a LangChain retriever: by words, by meaning where it has vectors, and ranked."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar, cast

from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict
from typing_extensions import override

from aegis_graph.components.index.database import IndexFile
from aegis_graph.components.index.embedding import space_name
from aegis_graph.components.index.filters import Where, condition_of
from aegis_graph.components.index.search import Hit, Search, hits, space_of
from aegis_graph.components.index.selection import diverse, select
from aegis_graph.components.index.stems import Stemmer
from aegis_graph.components.index.vectors import Space, unit_blob
from aegis_graph.components.retriever.base import DEPTH_FACTOR, CostedRetriever, RetrieverResult
from aegis_graph.components.retriever.embedder import RequestEmbedder
from aegis_graph.errors import RoutingError
from aegis_graph.ledger.async_sqlite import ask
from aegis_graph.ledger.queries import Query, Statement, advance
from aegis_graph.text.question_parts import separate_parts
from aegis_graph.types import LOCAL_ONLY, AttemptRecord

T = TypeVar("T")
_RERANKED = 30
"""Passages that a reranker is shown, at least."""


@dataclass
class _Run:
    """One question on its way."""

    question: str
    options: Mapping[str, Any]
    embedder: RequestEmbedder | None
    vectors: Sequence[bytes] = ()
    space: Space | None = None
    reason: str | None = None
    """Why the search is not all that it should be."""

    @cached_property
    def asked(self) -> list[str]:
        """What is looked for: the question, and each part of it that stands alone."""
        return [self.question, *separate_parts(self.question)]

    def result(self, documents: list[Document]) -> RetrieverResult:
        attempts = [] if self.embedder is None else self.embedder.attempts
        return RetrieverResult(
            documents=documents, attempts=list(attempts), degraded_reason=self.reason
        )


class IndexRetriever(CostedRetriever):
    """Searches an index. Build it with ``DocumentIndex.retriever``.

    Each question sees the index as it is at that moment, also while it is being written.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    file: IndexFile
    embeddings: Embeddings | None = None
    embeddings_location: Literal["local", "cloud"] = "cloud"
    limit: int = 6
    per_document: int | None = None
    diversity: float = 0.0
    neighbours: int = 0
    where: Where | None = None
    reranker: BaseDocumentCompressor | None = None
    reranker_location: Literal["local", "cloud"] = "cloud"

    @property
    @override
    def runs_functions(self) -> bool:
        """See ``CostedRetriever.runs_functions``."""
        return self.embeddings is not None or self.reranker is not None

    @override
    def find(self, question: str, options: Mapping[str, Any] | None = None) -> RetrieverResult:
        """See ``CostedRetriever.find``."""
        run = self._run(question, options)
        if run.embedder is not None and self._may_embed(run):
            run.space = self._ask(space_of(self._space))
            if self._has_vectors(run):
                try:
                    self._take(run, run.embedder.embed(run.asked, "query"))
                except RoutingError as error:
                    _by_words_alone(run, error)
        found = self._ask(hits(self._search(run)))
        return self._finish(run, found)

    @override
    async def afind(
        self, question: str, options: Mapping[str, Any] | None = None
    ) -> RetrieverResult:
        """As ``find``, without holding up the event loop."""
        run = self._run(question, options)
        if run.embedder is not None and self._may_embed(run):
            run.space = await self._aask(space_of(self._space))
            if self._has_vectors(run):
                try:
                    self._take(run, await run.embedder.aembed(run.asked, "query"))
                except RoutingError as error:
                    _by_words_alone(run, error)
        search = await asyncio.to_thread(self._search, run)
        found = await self._aask(hits(search))
        return await asyncio.to_thread(self._finish, run, found)

    @property
    def _space(self) -> str:
        assert self.embeddings is not None, "only asked where there are embeddings"
        return space_name(self.embeddings)

    def _run(self, question: str, options: Mapping[str, Any] | None) -> _Run:
        given = dict(options or {})
        if self.embeddings is None:
            return _Run(question, given, None)
        location = self.embeddings_location
        return _Run(question, given, RequestEmbedder.of(self.embeddings, given, location=location))

    def _may_embed(self, run: _Run) -> bool:
        assert run.embedder is not None, "only asked where there are embeddings"
        if run.embedder.refusal is not None:
            run.reason = f"searched by words alone: {run.embedder.refusal}"
        return run.embedder.refusal is None

    def _has_vectors(self, run: _Run) -> bool:
        if run.space is None:
            # The question is not bought a vector that nothing could be compared with.
            run.reason = f"searched by words alone: the index has no vectors of {self._space}"
        return run.space is not None

    def _take(self, run: _Run, vectors: Sequence[Sequence[float]]) -> None:
        assert run.space is not None, "a question is embedded where there is something to compare"
        dimensions = len(vectors[0])
        if dimensions == run.space.dimensions:
            run.vectors = [unit_blob(one) for one in vectors]
            return
        what = f"its vectors have {run.space.dimensions} dimensions, the question's {dimensions}"
        _add_reason(run, f"searched by words alone: {what}")

    def _search(self, run: _Run) -> Search:
        depth = self.limit * DEPTH_FACTOR
        return Search(
            words=[Stemmer().query(one) for one in run.asked],
            where=condition_of(self.where),
            depth=depth if self.reranker is None else max(depth, _RERANKED),
            neighbours=self.neighbours,
            space=run.space,
            vectors=run.vectors,
        )

    def _finish(self, run: _Run, found: list[Hit]) -> RetrieverResult:
        ranked = found if self.reranker is None else self._reranked(run, found)
        ranked = diverse(ranked, self.diversity)
        shown = select(ranked, limit=self.limit, per_document=self.per_document)
        return run.result([one.as_document() for one in shown])

    def _reranked(self, run: _Run, found: list[Hit]) -> list[Hit]:
        assert self.reranker is not None, "only called with one"
        levels = {run.options.get("sensitivity"), *(one.found.sensitivity for one in found)}
        if self.reranker_location == "cloud" and levels & LOCAL_ONLY:
            _add_reason(run, "not reranked: private passages are not shown to a cloud")
            return found
        documents = [one.found.as_document() for one in found]
        try:
            best = self.reranker.compress_documents(documents, run.question)
        # Any library may be behind it. What was found stands in the order in which it was found.
        except Exception as error:  # noqa: BLE001 - the result says it, and loses only the order
            _add_reason(run, f"not reranked: {type(error).__name__}: {error}")
            return found
        by_id = {str(one.found.id): one for one in found}
        return [by_id[one.id] for one in best if one.id in by_id]

    def _ask(self, query: Query[T]) -> T:
        connection = self.file.open_to_read()
        try:
            step = advance(query, None)
            while isinstance(step, Statement):
                rows = connection.execute(step.sql, step.parameters).fetchall()
                step = advance(query, rows)
        except sqlite3.Error as error:
            raise self.file.explain(error) from error
        finally:
            connection.close()
        return cast(T, step.value)

    async def _aask(self, query: Query[T]) -> T:
        try:
            return await ask(self.file.open_to_read, query)
        except sqlite3.Error as error:
            raise self.file.explain(error) from error


def _by_words_alone(run: _Run, error: RoutingError) -> None:
    assert run.embedder is not None, "it has just been asked"
    run.embedder.attempts.extend(cast("list[AttemptRecord]", error.attempts))
    _add_reason(run, f"searched by words alone: {error}")


def _add_reason(run: _Run, reason: str) -> None:
    reason = " ".join(reason.split())
    run.reason = reason if run.reason is None else f"{run.reason}; {reason}"
