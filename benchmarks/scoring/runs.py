"""Runs a component over a data set with one provider, and adds up scores, cost and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from aegis_graph import create_relation_extractor, create_router
from aegis_graph.components.answer_generator.graph import create_answer_generator
from aegis_graph.components.rag import create_rag
from aegis_graph.components.retriever.bm25 import PassageIndex
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.text.passages import Passage
from scoring.citations import Judge, answer_match, judge_by_words, score_citations
from scoring.formats import CitationExample, Paragraph, QuestionExample, RelationExample
from scoring.questions import exact_match, f1, recall_at, without_citations
from scoring.records import Progress
from scoring.relations import Score, score_relations

SHORT = Path(__file__).parent / "prompts"
"""Asks for short answers, because the data sets' gold answers are a few words."""

FOUND = 5
"""Paragraphs per question or sub-question."""

MOST_DOCUMENTS = 5
"""Documents of an example with citations: ALCE's "5-psg" setting."""

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """What one provider got: its figures, by name."""

    provider: str
    model: str
    figures: Mapping[str, float | None]
    """Shares from 0 to 1."""
    examples: int
    incomplete: int
    """Examples for which a model could not be asked, or not understood: they count as they are."""
    calls: int
    cost_usd: str
    seconds: float


@dataclass(frozen=True)
class Setting:
    """How to run: the same for every provider."""

    config: RouterConfig
    concurrency: int = 4
    gleanings: int = 0
    store: Path | None = None
    judge: str | None = None
    """The provider that judges entailment; by words where there is none."""

    def router(self, provider: str) -> Any:
        """A router that asks this provider only."""
        rows = tuple(row for row in self.config.providers if row.name == provider)
        return create_router(self.config.model_copy(update={"providers": rows}))

    def model(self, provider: str) -> str:
        """The provider's model."""
        return next(row.model for row in self.config.providers if row.name == provider)

    async def column(
        self,
        provider: str,
        examples: Sequence[T],
        work: Callable[[T], Awaitable[Mapping[str, Any]]],
        figures: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, float | None]],
    ) -> Column:
        """Run all examples, a few at once, and add up."""
        slots = asyncio.Semaphore(self.concurrency)
        progress = Progress(provider, len(examples))

        async def one(example: T) -> Mapping[str, Any]:
            async with slots:
                result = await work(example)
                progress.tick()
                return result

        began = time.perf_counter()
        results = await asyncio.gather(*(one(example) for example in examples))
        seconds = time.perf_counter() - began
        attempts = [attempt for result in results for attempt in result["attempts"]]
        return Column(
            provider,
            self.model(provider),
            figures(results),
            examples=len(results),
            incomplete=sum(bool(result["degraded"]) for result in results),
            calls=len(attempts),
            cost_usd=f"{sum((Decimal(one['cost_usd']) for one in attempts), Decimal(0)):f}",
            seconds=seconds,
        )


async def run_relations(
    setting: Setting, provider: str, examples: Sequence[RelationExample]
) -> Column:
    """Micro-F1 of entities and relations. The labels of the data set are the schema."""
    schema = {
        "entity_types": sorted({one.type for example in examples for one in example.entities}),
        "relations": sorted({name for example in examples for _, name, _ in example.relations}),
    }
    graph = create_relation_extractor(
        setting.router(provider),
        schema=schema,
        max_gleanings=setting.gleanings,
        max_concurrency=setting.concurrency,
        store=setting.store,
    )

    async def work(example: RelationExample) -> Mapping[str, Any]:
        result = await graph.ainvoke({"text": example.text, "sensitivity": "public"})
        return {**result, "scores": score_relations(example, result)}

    return await setting.column(provider, examples, work, _relation_figures)


async def run_questions(
    setting: Setting, provider: str, examples: Sequence[QuestionExample], *, decompose: bool
) -> Column:
    """Recall@5 and answer F1 over the paragraphs of all questions together."""
    rag = create_rag(
        router := setting.router(provider),
        _retriever(examples),
        decompose=decompose,
        generator=create_answer_generator(router, threshold=0, prompts_folder=SHORT),
    )

    async def work(example: QuestionExample) -> Mapping[str, Any]:
        result = await rag.ainvoke({"question": example.question, "sensitivity": "public"})
        found = [Paragraph(one.metadata["title"], one.page_content) for one in result["documents"]]
        answer = without_citations(result["answer"])
        return {
            **result,
            "recall@5": recall_at(found, example.supporting),
            "answer F1": f1(answer, example.answers),
            "exact match": exact_match(answer, example.answers),
        }

    return await setting.column(
        provider, examples, work, _means("recall@5", "answer F1", "exact match")
    )


async def run_citations(
    setting: Setting, provider: str, examples: Sequence[CitationExample]
) -> Column:
    """Citation recall and precision, and answer match, over the first five documents."""
    graph = create_answer_generator(setting.router(provider), threshold=0)
    judge = judge_by_words if setting.judge is None else _model_judge(setting)

    async def work(example: CitationExample) -> Mapping[str, Any]:
        documents = example.documents[:MOST_DOCUMENTS]
        request: Any = {
            "question": example.question,
            "documents": [_document(one) for one in documents],
            "sensitivity": "public",
        }
        result = await graph.ainvoke(request)
        score = await score_citations(result["answer"], documents, judge)
        return {
            **result,
            "citation recall": score.recall,
            "citation precision": score.precision,
            "answer match": answer_match(result["answer"], example.short_answers),
        }

    names = ("citation recall", "citation precision", "answer match")
    return await setting.column(provider, examples, work, _means(*names))


def _relation_figures(results: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name in results[0]["scores"]:
        total = sum((result["scores"][name] for result in results), Score())
        figures[f"{name}: F1"] = total.f1
        figures[f"{name}: precision"] = total.precision
        figures[f"{name}: recall"] = total.recall
    return figures


def _means(
    *names: str,
) -> Callable[[Sequence[Mapping[str, Any]]], Mapping[str, float | None]]:
    def means(results: Sequence[Mapping[str, Any]]) -> Mapping[str, float | None]:
        known = {name: [one[name] for one in results if one[name] is not None] for name in names}
        return {name: fmean(values) if values else None for name, values in known.items()}

    return means


def _retriever(examples: Sequence[QuestionExample]) -> Callable[[str], list[Document]]:
    paragraphs = list(dict.fromkeys(one for example in examples for one in example.paragraphs))
    by_source = {str(number): paragraph for number, paragraph in enumerate(paragraphs)}
    index = PassageIndex(
        [
            Passage(source=source, text=one.text, heading=one.title)
            for source, one in by_source.items()
        ]
    )

    def retrieve(question: str) -> list[Document]:
        found = index.search(question, FOUND)
        return [_document(by_source[passage.source]) for passage in found]

    return retrieve


def _document(paragraph: Paragraph) -> Document:
    facts = {"source": paragraph.title, "title": paragraph.title}
    return Document(paragraph.text, metadata=facts)


def _model_judge(setting: Setting) -> Judge:
    """Asks a model whether a text entails a claim. Its cost is in the ledger, task ``chat``."""
    assert setting.judge is not None, "only where a judge is named"
    router = setting.router(setting.judge)

    async def judge(text: str, claim: str) -> bool:
        question = (
            "Does the text entail the claim? Answer yes or no, and nothing else.\n\n"
            f"Text:\n{text}\n\nClaim: {claim}"
        )
        request: Any = {"messages": [HumanMessage(question)], "sensitivity": "public"}
        answer = (await router.ainvoke(request))["messages"][-1].text
        return str(answer).strip().casefold().startswith("yes")

    return judge
