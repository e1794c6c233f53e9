"""What an application of a user's writes: its types are to be clean, in every checker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from typing_extensions import override

import aegis_graph
from aegis_graph import (
    BudgetExceededError,
    BudgetSpec,
    Provider,
    ProviderOptions,
    ProviderSpec,
    Rejection,
    Request,
    RoutedChatModel,
    RoutedMessagesState,
    RouterConfig,
    RouterContext,
    RouterHandle,
    RoutingError,
    create_embeddings,
    create_ledger,
    create_rag,
    create_router,
)
from aegis_graph.providers.openai import OpenAIProvider

ERRORS: tuple[type[aegis_graph.AegisError], ...] = (
    aegis_graph.AegisError,
    aegis_graph.AllProvidersFailedError,
    aegis_graph.AttemptRefusedError,
    aegis_graph.AuthenticationError,
    aegis_graph.BadRequestError,
    aegis_graph.BudgetExceededError,
    aegis_graph.ConfigError,
    aegis_graph.ContentRefusedError,
    aegis_graph.ContextTooLongError,
    aegis_graph.DocumentError,
    aegis_graph.HookError,
    aegis_graph.InsertError,
    aegis_graph.InvalidRequestError,
    aegis_graph.LedgerError,
    aegis_graph.LimitExceededError,
    aegis_graph.MalformedAnswerError,
    aegis_graph.ModelAccessError,
    aegis_graph.ModelLoadingError,
    aegis_graph.NoProviderError,
    aegis_graph.ProviderError,
    aegis_graph.ProviderTimeoutError,
    aegis_graph.ProviderUnavailableError,
    aegis_graph.QuotaError,
    aegis_graph.RateLimitError,
    aegis_graph.ReadOnlyLedgerError,
    aegis_graph.RejectedAnswerError,
    aegis_graph.RequestRejectedError,
    aegis_graph.RoutingError,
    aegis_graph.StoreError,
    aegis_graph.WorkerLostError,
    aegis_graph.StreamCutError,
    aegis_graph.StreamInterruptedError,
    aegis_graph.UnfitAnswerError,
    aegis_graph.UnsupportedContentError,
)


class AcmeOptions(ProviderOptions):
    region: str = "eu"


class AcmeProvider(OpenAIProvider):
    options_type = AcmeOptions

    @property
    @override
    def address(self) -> str:
        return self.spec.base_url or "http://127.0.0.1:8000/v1"


kind: type[Provider] = AcmeProvider
config = RouterConfig(
    providers=(
        ProviderSpec(name="embedded", kind="extractive", model="best-sentences", location="local"),
    ),
    budgets=(BudgetSpec(scope="total", window="month", limit_usd=Decimal(5)),),
)
ledger = create_ledger(config)


async def names_a_city(request: Request, answer: AIMessage) -> Rejection | None:
    return None if "Paris" in answer.text else Rejection(f"no city for {request.task}")


router = create_router(config, ledger=ledger, accept={"answer": "citations", "*": names_a_city})
private = router.with_options(sensitivity="pii", user_id="ada", tags={"team": "search"})
handle = RouterHandle(config).with_options(task="answer", max_cost_usd="0.02", run_id="r1")
embeddings = create_embeddings(config).with_options(sensitivity="public", run_id="r1")


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


async def shorten(state: RoutedMessagesState) -> dict[str, list[HumanMessage]]:
    return {"messages": [HumanMessage(state["messages"][-1].text[:20])]}


builder = StateGraph(RoutedMessagesState, context_schema=RouterContext)
builder.add_node("shorten", shorten)
builder.add_node("llm", private)
builder.add_edge(START, "shorten").add_edge("shorten", "llm").add_edge("llm", END)
graph = builder.compile()

model = RoutedChatModel(router=router, task="answer", sensitivity="internal", max_output_tokens=99)
agent = model.bind_tools([weather])
rag = create_rag(router, lambda question: [Document(question)])


async def main() -> Mapping[str, int]:
    context: RouterContext = {"sensitivity": "hipaa", "user_id": "ada"}
    try:
        found = await graph.ainvoke({"messages": [HumanMessage("?")]}, context=context)
        print(found["attempts"][0]["provider"], (await agent.ainvoke("Hi")).text)
        print((await handle.ainvoke({"messages": [HumanMessage("?")]}))["route_id"])
        print((await rag.ainvoke({"question": "?"}))["answer"])
    except BudgetExceededError as error:
        print([attempt["cost_usd"] for attempt in error.attempts])
    except RoutingError as error:
        print(error.skipped, error.attempts)
    rows = await ledger.report("provider", first_day="2026-11-01", end_day="2026-12-01")
    left = {budget.scope: budget.left_nano_usd for budget in await ledger.budgets()}
    return {**left, **{row.name: row.spent_nano_usd for row in rows}}


if __name__ == "__main__":
    print(asyncio.run(main()))
