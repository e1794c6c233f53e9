"""The tasks over our own data: ``retrieval``, ``answers``, ``relations`` and ``decomposition``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aegis_graph.components.retriever.retriever import create_retriever
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.embeddings import RoutedEmbeddings, create_embeddings
from aegis_graph.routing.router import Router, create_router
from scoring.comparison import Comparison, Meter, Side
from scoring.figures import Scores
from scoring.oracle import GoldPassages
from scoring.own_answers import score_answer
from scoring.own_data import (
    DATA,
    OwnQuestion,
    own_passages,
    own_questions,
    own_relations,
)
from scoring.ranking import score_ranking
from scoring.records import RecordFile, key_of, spread
from scoring.searches import searching
from scoring.systems import System, answering, decomposing, extracting
from scoring.triples import score_triples

OWN_TASKS = ("retrieval", "answers", "relations", "decomposition")

MAX_OUTPUT_TOKENS = 400
"""Of each answer, for every system: four times what the longest gold answer needs."""


@dataclass(frozen=True)
class OwnRun:
    """How to run over our own data: the same for every system."""

    config: RouterConfig
    provider: str
    limit: int | None = None
    concurrency: int = 4
    gleanings: int = 0
    max_output_tokens: int = MAX_OUTPUT_TOKENS
    baseline: bool = False
    embeddings: bool = False
    """Whether questions are searched by meaning as well, by the configuration's embeddings."""
    oracle: bool = False
    """Whether the gold passages are given in place of what a search finds."""
    results: Path | None = None
    data: Path = DATA
    meter: Meter = field(default_factory=Meter)

    async def run(self, task: str) -> list[Side]:
        """Run one task; the first side is what the others are compared with."""
        comparison = Comparison(
            task,
            self._model(task),
            list(spread(self._items(task), self.limit)),
            _SCORES[task],
            self.meter,
            RecordFile(self.results),
            self.concurrency,
            self.max_output_tokens,
        )
        return await comparison.run(self._systems(task))

    def _items(self, task: str) -> list[Any]:
        if task == "relations":
            return list(own_relations(self.data).sentences)
        questions = own_questions(self.data)
        # What is not there cannot be found.
        found_only = task == "retrieval" or self.oracle
        return [one for one in questions if one.answerable or not found_only]

    def _systems(self, task: str) -> list[System]:
        router, baseline = self._router(), self.baseline
        if task == "relations":
            data = own_relations(self.data)
            return extracting(router, data, gleanings=self.gleanings, baseline=baseline)
        passages, embeddings = own_passages(self.data), self._embeddings()
        corpus = key_of([asdict(one) for one in passages], self._model("retrieval"))
        if task == "retrieval":
            folder = self.data / "documents"
            return searching(passages, embeddings, corpus, documents=folder, baseline=baseline)
        if self.oracle:
            gold = GoldPassages(passages, self._items(task))
            return answering(router, gold, key_of("oracle", corpus), baseline=baseline)
        retriever = create_retriever(passages, embeddings=embeddings)
        make = answering if task == "answers" else decomposing
        return make(router, retriever, corpus, baseline=baseline)

    def _router(self) -> Router:
        rows = tuple(row for row in self.config.providers if row.name == self.provider)
        config = self.config.model_copy(update={"providers": rows})
        return create_router(config, after_attempt=self.meter.note)

    def _embeddings(self) -> RoutedEmbeddings | None:
        if not self.embeddings:
            return None
        return create_embeddings(self.config, sensitivity="public", after_attempt=self.meter.note)

    def _model(self, task: str) -> str:
        if task == "retrieval":
            return self.config.embeddings[0].model if self.embeddings else "none"
        return next(row.model for row in self.config.providers if row.name == self.provider)


def _ranked(question: OwnQuestion, said: Any) -> Scores:
    return score_ranking(said["holds"], len(question.passages))


def _decomposed(question: OwnQuestion, said: Any) -> Scores:
    planned = float(said.get("planned", False))
    valid = float(said.get("valid plan", False))
    return {**score_answer(question, said), "valid plan": (valid, planned)}


_SCORES: dict[str, Any] = {
    "retrieval": _ranked,
    "answers": score_answer,
    "relations": lambda sentence, said: score_triples(sentence, said["relations"]),
    "decomposition": _decomposed,
}
