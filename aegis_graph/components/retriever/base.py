"""What the retrievers of this package have in common: they say what a search cost."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from typing_extensions import TypedDict, override

from aegis_graph.types import AttemptRecord

RRF_K = 60
"""Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion", SIGIR 2009: what tells ranks apart."""

DEPTH_FACTOR = 4
"""Times the limit: how far down each of the rankings is read that are joined."""

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


class CostedRetriever(BaseRetriever):
    """A LangChain retriever that says what a search cost, and takes a request's options."""

    @property
    def runs_functions(self) -> bool:
        """Whether a search calls what an application gave, which may expect LangGraph around it."""
        return True

    @abstractmethod
    def find(self, question: str, options: Mapping[str, Any] | None = None) -> RetrieverResult:
        """Search, and say what it cost.

        Args:
            question: What to look for.
            options: The request's, such as ``sensitivity`` and ``run_id``; every call of
                routed embeddings is made with them.
        """

    @abstractmethod
    async def afind(
        self, question: str, options: Mapping[str, Any] | None = None
    ) -> RetrieverResult:
        """As ``find``, from async code."""

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


def take_turns(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Join rankings of different questions: the best of each, then the second of each.

    Example:
        >>> take_turns([[1, 2, 3], [3, 1], [4]])
        [1, 3, 4, 2]
    """
    turns = zip_longest(*rankings)
    return list(dict.fromkeys(place for turn in turns for place in turn if place is not None))


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
