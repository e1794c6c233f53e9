"""Reading an answer holds up no other task, ends with its attempt, and believes no half."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, field_validator

from aegis_graph import RoutedChatModel
from aegis_graph.errors import AllProvidersFailedError
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.answer_wires import OPENAI_KINDS, answering, open_chain, suspect
from tests.flow.support import DUST_S, assert_sound, made, make_config, open_router, provider

LONG = "word " * 4_000


class Bill(BaseModel):
    """A bill."""

    usd: float
    who: str
    tags: list[str] = []


class Slow(BaseModel):
    """An answer whose validator waits until the test lets it go on."""

    reading: ClassVar[threading.Event]
    go_on: ClassVar[threading.Event]

    text: str

    @field_validator("text")
    @classmethod
    def _wait(cls, text: str) -> str:
        cls.reading.set()
        assert cls.go_on.wait(DUST_S)
        return text


@pytest.fixture
def slow() -> type[Slow]:
    Slow.reading, Slow.go_on = threading.Event(), threading.Event()
    return Slow


async def test_the_loop_goes_on_while_an_answer_is_read(
    server: LoopbackServer, db: Path, slow: type[Slow]
) -> None:
    server.script("ollama", Reply(json.dumps({"text": LONG})))
    router = open_router(make_config(server, db, providers=[provider(server, "ollama")]))
    model = RoutedChatModel(router=router, task="chat").with_structured_output(slow)
    asked = asyncio.ensure_future(model.ainvoke("Which city?"))
    # It comes back only where the validator is not on this loop.
    assert await asyncio.to_thread(slow.reading.wait, DUST_S)
    assert not asked.done()
    slow.go_on.set()
    assert (await asked).text == LONG


async def test_reading_is_part_of_the_attempts_time(
    server: LoopbackServer, db: Path, slow: type[Slow]
) -> None:
    server.always("ollama", Reply(json.dumps({"text": LONG})))
    row = provider(server, "ollama", timeout_s=6, price=suspect(server, "ollama")["price"])
    router = open_router(make_config(server, db, providers=[row]))
    model = RoutedChatModel(router=router, task="chat").with_structured_output(slow)
    with pytest.raises(AllProvidersFailedError, match="ProviderTimeoutError"):
        await model.ainvoke("Which city?")
    slow.go_on.set()
    assert [row["cost_basis"] for row in made(db)] == ["reported"]
    assert_sound(db)


@pytest.mark.parametrize(
    "rubbish", ["{" * 20_000, "[{" * 60_000, '{"a":' * 50_000, "{" + '"' * 90_000]
)
async def test_brackets_without_end_are_a_failed_attempt(
    server: LoopbackServer, db: Path, rubbish: str
) -> None:
    server.always("ollama", Reply(rubbish), model="suspect")
    server.always("openai", Reply('{"usd": 10, "who": "Ada"}'), model="healthy")
    chain = [suspect(server, "ollama"), provider(server, "openai", model="healthy")]
    router = open_router(make_config(server, db, providers=chain))
    model = RoutedChatModel(router=router, task="chat").with_structured_output(Bill)
    assert await model.ainvoke("What?") == Bill(usd=10, who="Ada")
    assert [row["error_type"] for row in made(db)] == ["UnfitAnswerError", None]


@pytest.mark.parametrize("kind", ["ollama", *OPENAI_KINDS])
@pytest.mark.parametrize("word", ["max_tokens", "MAX_TOKENS", "incomplete", "lengthlength"])
async def test_half_a_value_is_none_in_any_dialect(
    server: LoopbackServer, db: Path, kind: str, word: str
) -> None:
    half = '{"usd": 10, "who": "Open'
    step: Any = answering({"content": half}, word)
    if kind == "ollama":
        step = Reply(half, finish_reason=word)
    server.always("ollama" if kind == "ollama" else "openai", step, model="suspect")
    whole = answering({"content": '{"usd": 10, "who": "Ada"}'})
    router = open_chain(server, db, suspect(server, kind, structured="prompt"))
    server.always("openai", whole, model="healthy")
    model = RoutedChatModel(router=router, task="chat").with_structured_output(Bill)
    assert await model.ainvoke("What?") == Bill(usd=10, who="Ada")
    first, second = made(db)
    assert (first["error_type"], second["status"]) == ("UnfitAnswerError", "answered")
    assert first["cost_basis"] == "reported"


@pytest.mark.parametrize("kind", OPENAI_KINDS)
async def test_what_a_model_thought_is_not_its_value(
    server: LoopbackServer, db: Path, kind: str
) -> None:
    text = '<think>maybe {usd: 5}</think>{"usd": 10, "who": "Ada"}'
    server.always("openai", answering({"content": text}), model="suspect")
    router = open_chain(server, db, suspect(server, kind, structured="json_schema"))
    model = RoutedChatModel(router=router, task="chat").with_structured_output(Bill)
    assert await model.ainvoke("What?") == Bill(usd=10, who="Ada")
    assert len(made(db)) == 1


async def test_a_stream_of_blanks_is_cut(server: LoopbackServer, db: Path) -> None:
    blanks = Reply(
        chunks=('{"usd": 10,', *["\n"] * 20_000), finish_reason="length", chunk_interval_s=0.001
    )
    server.always("openai", blanks, model="suspect")
    router = open_chain(server, db, suspect(server, "openai"))
    model = RoutedChatModel(router=router, task="chat", on_interrupt="restart")
    text = "".join([chunk.text async for chunk in model.astream("What?")])
    assert text.endswith("It is Ulm.")
    first, second = made(db)
    assert (first["error_type"], first["cost_basis"]) == ("UnfitAnswerError", "estimated")
    assert second["status"] == "answered"
    (call, _) = server.calls()
    assert call.produced.chunks_sent < 20_000
