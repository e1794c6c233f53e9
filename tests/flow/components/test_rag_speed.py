"""What a question may cost, as a ratio to a retrieval chain. Counts, because a time would vary."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from typing_extensions import override

from aegis_graph import create_rag, create_retriever
from aegis_graph.text.passages import Passage
from tests.counting import counted_in_threads
from tests.flow.routing.test_speed import Instant, NoLedger, instant_router

QUESTION = "How long is the warranty of pump 4?"
PASSAGES = [
    Passage(
        source=f"{kind}s.md",
        text=f"The warranty of {kind} {number} is {number + 20} months from the day of delivery."
        f" It is serviced every {number + 1} weeks, by a technician of the firm in hall {number},"
        " who writes the pressure and the temperature down.",
    )
    for number in range(10)
    for kind in ("valve", "boiler", "pump")
]
PROMPT = "Answer from the context alone.\n\nContext:\n{context}\n\nQuestion: {question}"


class Cited(Instant):
    """Gives a right answer with its citation at once."""

    @override
    def _generate(self, *args: Any, **more: Any) -> ChatResult:
        usage: Any = {"input_tokens": 300, "output_tokens": 12, "total_tokens": 312}
        text = "The warranty of pump 4 is 24 months from the day of delivery. [1]"
        answer = AIMessage(text, usage_metadata=usage, response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=answer)])


def retrieval_chain() -> Any:
    """The one of LangChain's documentation."""

    def joined(documents: list[Document]) -> str:
        return "\n\n".join(document.page_content for document in documents)

    context = create_retriever(PASSAGES) | RunnableLambda(joined)
    given: Any = {"context": context, "question": RunnablePassthrough()}
    return given | ChatPromptTemplate.from_template(PROMPT) | Cited() | StrOutputParser()


async def functions_called(call: Callable[[], Awaitable[Any]]) -> int:
    """How many functions all threads call for one call that is not the first."""
    await call()
    with counted_in_threads(asyncio.get_running_loop()) as count:
        await call()
    return count.calls


async def test_a_question_costs_little_more_than_a_retrieval_chain() -> None:
    router = instant_router(NoLedger(), Cited(), named="some-llm-70b")
    rag, chain = create_rag(router, create_retriever(PASSAGES)), retrieval_chain()
    asked: Any = {"question": QUESTION}
    found = await rag.ainvoke(asked)
    assert [one["supported"] for one in found["sentences"]] == [True], found
    ours = await functions_called(lambda: rag.ainvoke(asked))
    by_engine = await functions_called(lambda: rag.ainvoke(asked, {"max_concurrency": 8}))
    theirs = await functions_called(lambda: chain.ainvoke(QUESTION))
    # Seen: 0.72 and 0.22.
    assert ours < 0.8 * theirs
    assert ours < 0.3 * by_engine


async def test_only_what_an_application_may_have_given_gets_a_task_of_its_own() -> None:
    router = instant_router(NoLedger(), Cited(), named="some-llm-70b")
    rag, begun = create_rag(router, create_retriever(PASSAGES)), list[Any]()
    loop = asyncio.get_running_loop()

    def begin(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
        begun.append(coro)
        return asyncio.Task(coro, loop=loop, **more)

    loop.set_task_factory(begin)
    try:
        await rag.ainvoke({"question": QUESTION})
    finally:
        loop.set_task_factory(None)
    # The node that asks the retriever.
    assert len(begun) == 1, begun
