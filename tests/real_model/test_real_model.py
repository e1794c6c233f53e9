"""The router and the components on a real small model: what they promise, never what it says.

They run where ``AEGIS_TEST_MODEL_URL`` names an OpenAI-compatible server of one model with two
slots of 8,192 tokens (llama.cpp's), and are skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document

from aegis_graph import (
    create_answer_generator,
    create_query_decomposer,
    create_relation_extractor,
    create_router,
)
from tests.flow.support import ask, read, rows
from tests.real_model.servers import LONG_S, RealModels

EXTRACTIVE = {
    "name": "extractive",
    "kind": "extractive",
    "model": "best-sentences",
    "location": "local",
    "price": "free",
}
CITY = {
    "title": "city",
    "type": "object",
    "properties": {"name": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["name", "inhabitants"],
    "additionalProperties": False,
}


async def test_an_answer_in_a_schema_fits_it(real: RealModels) -> None:
    router = create_router(real.config())
    result = await router.ainvoke(
        ask("Name a city and its inhabitants.", options={"response_schema": CITY})
    )
    parsed = result["messages"][-1].additional_kwargs["parsed"]
    assert set(parsed) == {"name", "inhabitants"}
    assert isinstance(parsed["inhabitants"], int)


async def test_what_is_booked_is_what_the_server_counted(real: RealModels) -> None:
    text = "Count from one to nine, in words."
    router = create_router(real.config())
    result = await router.ainvoke(ask(text, options={"temperature": 0.0, "seed": 1}))
    body = {"model": real.model, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
    async with httpx.AsyncClient(timeout=LONG_S, trust_env=False) as client:
        answer = await client.post(f"{real.url}/chat/completions", json=body)
    (row,) = rows(real.ledger)
    usage = result["messages"][-1].usage_metadata
    assert row["input_tokens"] == answer.json()["usage"]["prompt_tokens"] == usage["input_tokens"]
    assert row["output_tokens"] == usage["output_tokens"] <= 64
    # Of nano-USD: a thousand a token.
    assert row["cost_nano_usd"] == 1000 * (row["input_tokens"] + row["output_tokens"])
    assert row["cost_basis"] == "reported"


async def test_a_prompt_that_is_too_long_falls_back_to_the_next_provider(real: RealModels) -> None:
    router = create_router(real.config(real.row(), EXTRACTIVE))
    result = await router.ainvoke(ask("All work and no play. " * 20_000))
    first, second = result["attempts"]
    assert (first["error_type"], first["cost_usd"]) == ("ContextTooLongError", "0")
    assert (second["provider"], second["status"]) == ("extractive", "answered")


async def test_a_cancelled_answer_frees_its_slot(real: RealModels) -> None:
    router = create_router(real.config(real.row(max_output_tokens=4096)))
    begun = asyncio.Event()

    async def long_answer() -> None:
        story = ask("Write a very long story about a river, with every bend of it.")
        async for _ in router.astream(story, stream_mode="messages"):
            begun.set()

    answering = asyncio.create_task(long_answer())
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait({answering, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=LONG_S)
    assert begun.is_set()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    # As many as there are slots: each would wait for a story that is still being written.
    quick = create_router(real.config(real.row(max_output_tokens=4)))
    async with asyncio.timeout(LONG_S):
        results = await asyncio.gather(*(quick.ainvoke(ask(f"Say {word}.")) for word in "ab"))
        await idle(real)
    assert all(result["messages"][-1].text for result in results)
    story, *others = rows(real.ledger)
    assert (story["status"], len(others)) == ("cancelled", 2)
    assert story["cost_nano_usd"] > 0, "what was written until then is paid"


async def idle(real: RealModels) -> None:
    """Until the server says that no slot is at work; at once where it does not say."""
    async with httpx.AsyncClient(timeout=LONG_S, trust_env=False) as client:
        while (answer := await client.get(f"{real.root}/slots")).is_success:
            if not any(slot["is_processing"] for slot in answer.json()):
                return
            await asyncio.sleep(0.2)


async def test_a_queue_on_two_slots_is_answered_whole(real: RealModels) -> None:
    router = create_router(real.config(real.row(max_output_tokens=4)))
    questions = [ask(f"Say the number {number}.") for number in range(20)]
    async with asyncio.timeout(LONG_S):
        results = await asyncio.gather(*(router.ainvoke(one) for one in questions))
    assert [len(result["attempts"]) for result in results] == [1] * 20
    assert {row["status"] for row in rows(real.ledger)} == {"answered"}
    spent = sum(row["cost_nano_usd"] for row in rows(real.ledger))
    assert [total["spent"] for total in read(real.ledger, SPENT)] == [spent]


SPENT = "SELECT SUM(cost_nano_usd) AS spent FROM requests"


async def test_a_plan_can_be_followed(real: RealModels) -> None:
    router = create_router(real.config(real.row(max_output_tokens=256)))
    graph = create_query_decomposer(router, lambda question: [])
    question = "Is Ann, who founded Acme, older than Bob, who founded Bolt?"
    result = await graph.ainvoke({"question": question})
    assert [attempt["task"] for attempt in result["attempts"]].count("decompose") >= 1
    assert (result["planned_by"] == "model") == (not result["degraded"])
    assert [step["id"] for step in result["steps"]] == list(range(1, len(result["steps"]) + 1))


async def test_what_is_extracted_stands_in_the_text(real: RealModels) -> None:
    router = create_router(real.config(real.row(max_output_tokens=400)))
    schema = {"relations": [("Person", "works_for", "Organization")]}
    graph = create_relation_extractor(router, schema=schema)
    text = "Mirel Tanaquist works for Orbeck Shipping."
    result = await graph.ainvoke({"text": text})
    names = {entity["name"] for entity in result["entities"]}
    assert all(name in text for name in names)
    for relation in result["relations"]:
        assert {relation["head"], relation["tail"]} <= names
        assert all(place["quote"] in text for place in relation["evidence"])


async def test_an_answer_cites_what_is_there(real: RealModels) -> None:
    documents = [
        Document("The limit is 10 USD a month.", metadata={"source": "a.md"}),
        Document("Weeks begin on Monday.", metadata={"source": "b.md"}),
    ]
    graph = create_answer_generator(create_router(real.config()))
    result: Any = await graph.ainvoke({"question": "What is the limit?", "documents": documents})
    for citation in result["citations"]:
        page = documents[citation["n"] - 1].page_content
        assert page[citation["start"] : citation["end"]] == citation["quote"]
    assert json.dumps(result["sentences"])
    assert len(result["attempts"]) == 1, "the numbers are set right without another call"
