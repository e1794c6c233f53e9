"""What is compared: each component, and the plainest prompt for the same model and data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from aegis_graph import create_relation_extractor
from aegis_graph.components.answer_generator.graph import create_answer_generator
from aegis_graph.components.rag import create_rag
from aegis_graph.components.retriever.retriever import PassageRetriever
from aegis_graph.routing.router import Router
from scoring.oracle import GoldPassages
from scoring.own_answers import gold_within
from scoring.own_data import OwnQuestion, OwnRelations, OwnSentence
from scoring.questions import cited_numbers
from scoring.records import code_of, key_of
from scoring.triples import read_triples

PLAIN_ANSWER = "Answer from these passages. If they do not answer, say so."
PLAIN_EXTRACTION = (
    "Extract the relations that the text states between the entities that it names, as JSON: "
    '[{{"head": "...", "relation": "...", "tail": "..."}}]. Relations, with the types of head and '
    "tail: {relations}.\n\nText: {text}"
)
NO_PLAN = ("no plan was made", "the plan could not be used")
"""How the decomposer's reason says that a model was asked for a plan and gave none."""

Said = Mapping[str, Any]
Ask = Callable[[Any, Mapping[str, Any]], Awaitable[Said]]
"""From an item and the request's options (``run_id``, ``max_output_tokens``) to what was said."""


@dataclass(frozen=True)
class System:
    """One side of a comparison."""

    name: str
    ask: Ask
    depends_on: str
    """A key of the code, prompt and passages that its answers come from."""


def answering(
    router: Router, retriever: PassageRetriever | GoldPassages, corpus: str, *, baseline: bool
) -> list[System]:
    """The answer generator, and two lines over the same passages.

    ``corpus`` is a key of what is searched, and how.
    """
    graph = create_answer_generator(router)

    async def ours(question: OwnQuestion, options: Mapping[str, Any]) -> Said:
        documents = await _documents(retriever, question)
        request: Any = {"question": question.question, "documents": documents, **options}
        return _answered(question, documents, await graph.ainvoke(request))

    async def plainly(question: OwnQuestion, options: Mapping[str, Any]) -> Said:
        documents = await _documents(retriever, question)
        shown = "\n\n".join(f"[{n}] {one.page_content}" for n, one in enumerate(documents, start=1))
        prompt = f"{PLAIN_ANSWER}\n\n{shown}\n\nQuestion: {question.question}"
        text = await _plainly(router, prompt, "answer", options)
        holds = _holds(question, documents)
        return {"answer": text, "cited": cited_numbers(text), "holds": holds}

    found = key_of(code_of("components/documents", "components/retriever", "text"), corpus)
    plain = System("plain prompt", plainly, key_of(PLAIN_ANSWER, found))
    component = System("answer generator", ours, key_of(code_of(), corpus))
    return _sides(plain, component, baseline=baseline)


def decomposing(
    router: Router, retriever: PassageRetriever, corpus: str, *, baseline: bool
) -> list[System]:
    """Questions that are taken apart first, and the question itself."""
    graphs = {
        decompose: create_rag(router, retriever, decompose=decompose) for decompose in (False, True)
    }

    def asking(*, decompose: bool) -> Ask:
        async def ask(question: OwnQuestion, options: Mapping[str, Any]) -> Said:
            request: Any = {"question": question.question, **options}
            result = await graphs[decompose].ainvoke(request)
            said = _answered(question, result["documents"], result)
            reason = str(result["degraded_reason"])
            planned = any(one["task"] == "decompose" for one in result["attempts"])
            return {
                **said,
                "plan": [step["question"] for step in result["steps"]],
                "planned": planned,
                "valid plan": planned and not any(text in reason for text in NO_PLAN),
            }

        return ask

    code = key_of(code_of(), corpus)
    plain = System("question itself", asking(decompose=False), code)
    component = System("query decomposer", asking(decompose=True), code)
    return _sides(plain, component, baseline=baseline)


def extracting(
    router: Router, data: OwnRelations, *, gleanings: int, baseline: bool
) -> list[System]:
    """The relation extractor, and one prompt that asks for JSON."""
    triples = [(head, name, tail) for name, (head, tail, _) in data.relations.items()]
    graph = create_relation_extractor(
        router,
        schema={"entity_types": list(data.entity_types), "relations": triples},
        max_gleanings=gleanings,
    )
    listed = ", ".join(f"{name} ({head}, {tail})" for head, name, tail in triples)

    async def ours(sentence: OwnSentence, options: Mapping[str, Any]) -> Said:
        request: Any = {"text": sentence.text, **options}
        result = await graph.ainvoke(request)
        found = [[one["head"], one["relation"], one["tail"]] for one in result["relations"]]
        return {"relations": found, "dropped": result["dropped"], **_degraded(result)}

    async def plainly(sentence: OwnSentence, options: Mapping[str, Any]) -> Said:
        prompt = PLAIN_EXTRACTION.format(relations=listed, text=sentence.text)
        text = await _plainly(router, prompt, "extract", options)
        return {"answer": text, "relations": [list(one) for one in read_triples(text)]}

    plain = System("plain prompt", plainly, key_of(PLAIN_EXTRACTION, listed))
    component = System("relation extractor", ours, key_of(code_of(), listed, gleanings))
    return _sides(plain, component, baseline=baseline)


async def _documents(
    retriever: PassageRetriever | GoldPassages, question: OwnQuestion
) -> list[Document]:
    return (await retriever.afind(question.question))["documents"]


async def _plainly(router: Router, prompt: str, task: str, options: Mapping[str, Any]) -> str:
    request: Any = {"messages": [HumanMessage(prompt)], "task": task, **options}
    return str((await router.ainvoke(request))["messages"][-1].text)


def _answered(
    question: OwnQuestion, documents: Sequence[Document], result: Mapping[str, Any]
) -> Said:
    return {
        "answer": result["answer"],
        "cited": sorted({one["n"] for one in result["citations"]}),
        "holds": _holds(question, documents),
        **_degraded(result),
    }


def _degraded(result: Mapping[str, Any]) -> dict[str, str]:
    return {"degraded": str(result["degraded_reason"])} if result["degraded"] else {}


def _holds(question: OwnQuestion, documents: Sequence[Document]) -> list[list[int]]:
    shown = [(str(one.metadata.get("source")), one.page_content) for one in documents]
    return gold_within(question, shown)


def _sides(plain: System, component: System, *, baseline: bool) -> list[System]:
    return [plain, component] if baseline else [component]
