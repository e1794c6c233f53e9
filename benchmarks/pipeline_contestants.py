"""The RAG pipeline, LangChain's retrieval chain over the same passages, and their retriever."""

from __future__ import annotations

from typing import Any

from contestants import new_router, open_client
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from pipeline import PASSAGES
from worker import Contestant

from aegis_graph.components.rag import create_rag
from aegis_graph.components.retriever.retriever import PassageRetriever, create_retriever
from aegis_graph.text.passages import Passage

QUESTION = "How long is the warranty of pump 417?"


def rag(*, kind: str, url: str, ledger: str) -> Contestant:
    """Plan, search, answer, check and records."""
    graph = create_rag(new_router(kind, url, ledger), _retriever())

    async def call() -> Any:
        result = await graph.ainvoke({"question": QUESTION})
        assert result["citations"], result["answer"]

    return Contestant(call)


def chain(*, kind: str, url: str) -> Contestant:
    """The retrieval chain of LangChain's documentation, over the router's client."""
    opened, options = open_client(kind, url)
    model = opened.model.bind(**options)
    prompt = ChatPromptTemplate.from_template(
        "Answer the question from the context alone.\n\nContext:\n{context}\n\nQuestion: {question}"
    )
    context = _retriever() | RunnableLambda(_joined)
    whole = {"context": context, "question": RunnablePassthrough()} | prompt | model
    answering = whole | StrOutputParser()

    async def call() -> Any:
        return await answering.ainvoke(QUESTION)

    return Contestant(call, close=opened.aclose)


def retriever_alone() -> Contestant:
    """What both of them search with."""
    retriever = _retriever()

    async def call() -> Any:
        return await retriever.ainvoke(QUESTION)

    return Contestant(call)


def _joined(documents: list[Document]) -> str:
    return "\n\n".join(document.page_content for document in documents)


def _retriever() -> PassageRetriever:
    kinds = ("valve", "boiler", "pump", "heater", "filter")
    return create_retriever(
        [
            Passage(
                source=f"{kind}s.md",
                text=f"The warranty of {kind} {number} is {number % 60 + 1} months from the day of"
                f" delivery. It is serviced every {number % 11 + 1} weeks, by a technician of the"
                f" firm in hall {number % 17}, who writes the pressure and the temperature down.",
                heading=f"{kind.title()} {number}",
            )
            for number in range(PASSAGES)
            for kind in [kinds[number % len(kinds)]]
        ]
    )
