"""What is compared where passages are searched: by words, by meaning, by both."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bm25s  # type: ignore[import-untyped]
import numpy as np

from aegis_graph import create_index
from aegis_graph.components.retriever.retriever import create_retriever
from aegis_graph.embeddings import RoutedEmbeddings
from aegis_graph.text.passages import Passage
from scoring.own_answers import gold_within
from scoring.own_data import OwnQuestion
from scoring.records import code_of, key_of
from scoring.systems import Said, System

DEPTH = 10
"""Passages that are looked at: what nDCG@10 needs."""


def searching(
    passages: Sequence[Passage],
    embeddings: RoutedEmbeddings | None,
    corpus: str,
    *,
    documents: Path,
    baseline: bool,
) -> list[System]:
    """The retriever by words and, with embeddings, by meaning and both; and BM25 of whole words.

    The index has the same documents, and is asked in the ways that change a ranking.
    """
    rooms = ("components/documents", "components/retriever", "components/index", "text")
    code = key_of(code_of(*rooms), corpus)
    plain = System("BM25 of whole words", _whole_words(passages), code)
    systems = [*([plain] if baseline else []), System("bm25", _retriever(passages, None), code)]
    index = _Index(documents, embeddings)
    systems += [
        System("index", index.asked(), code),
        System("index, diverse", index.asked(diversity=0.5), code),
        System("index, neighbours", index.asked(neighbours=1), code),
    ]
    if embeddings is None:
        return systems
    vectors = System("vectors", _meaning(passages, embeddings), code)
    return [*systems, vectors, System("hybrid", _retriever(passages, embeddings), code)]


def _whole_words(passages: Sequence[Passage]) -> Any:
    index = bm25s.BM25()
    index.index([_split(one.text) for one in passages], show_progress=False)

    async def ask(question: OwnQuestion, options: Mapping[str, Any]) -> Said:
        scores = index.get_scores(_split(question.question))
        return _said(question, [passages[place] for place in np.argsort(-scores)[:DEPTH]])

    return ask


def _meaning(passages: Sequence[Passage], embeddings: RoutedEmbeddings) -> Any:
    matrix: list[Any] = []
    lock = asyncio.Lock()

    async def ask(question: OwnQuestion, options: Mapping[str, Any]) -> Said:
        async with lock:
            if not matrix:
                matrix.append(_unit(await embeddings.aembed_documents([p.text for p in passages])))
        routed = embeddings.with_options(run_id=options["run_id"])
        scores = matrix[0] @ _unit([await routed.aembed_query(question.question)])[0]
        return _said(question, [passages[place] for place in np.argsort(-scores)[:DEPTH]])

    return ask


def _retriever(passages: Sequence[Passage], embeddings: RoutedEmbeddings | None) -> Any:
    retriever = create_retriever(passages, embeddings=embeddings, limit=DEPTH)

    async def ask(question: OwnQuestion, options: Mapping[str, Any]) -> Said:
        result = await retriever.afind(question.question, {"run_id": options["run_id"]})
        found = [(one.metadata["source"], one.page_content) for one in result["documents"]]
        return {"holds": gold_within(question, found)}

    return ask


class _Index:
    """An index of the documents in a folder of its own, made by the first question.

    Args:
        documents: A folder of them.
        embeddings: Embeds them, where there are some.
    """

    def __init__(self, documents: Path, embeddings: RoutedEmbeddings | None) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._documents = documents
        self._index = create_index(Path(self._folder.name, "index.db"), embeddings=embeddings)
        self._embeds = embeddings is not None
        self._lock = asyncio.Lock()

    def asked(self, **choices: Any) -> Any:
        """Asks it with a retriever's choices."""
        retriever = self._index.retriever(limit=DEPTH, **choices)

        async def ask(question: OwnQuestion, options: Mapping[str, Any]) -> Said:
            async with self._lock:
                if not self._index.path.exists():
                    await self._index.aupdate([self._documents])
                    if self._embeds:
                        await asyncio.to_thread(self._index.embed)
            result = await retriever.afind(question.question, {"run_id": options["run_id"]})
            found = [(one.metadata["source"], one.page_content) for one in result["documents"]]
            return {"holds": gold_within(question, found)}

        return ask


def _said(question: OwnQuestion, found: Sequence[Passage]) -> Said:
    return {"holds": gold_within(question, [(one.source, one.text) for one in found])}


def _split(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _unit(vectors: Sequence[Sequence[float]]) -> Any:
    matrix = np.asarray(vectors, dtype=float)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
