"""Embeddings over real HTTP: the same admission, order, prices and rows as answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from aegis_graph import RouterConfig, create_embeddings
from aegis_graph.embeddings import MAX_BATCH_BYTES, RoutedEmbeddings
from aegis_graph.errors import (
    AllProvidersFailedError,
    BudgetExceededError,
    ConfigError,
    InvalidRequestError,
    NoProviderError,
)
from aegis_graph.testing import Fault, LoopbackServer, RawReply, Reply
from aegis_graph.testing.loopback.journal import ProtocolName
from aegis_graph.testing.wires.embeddings import hashed_words, texts_of
from tests.flow.support import KEYS, KINDS, Row, assert_sound, make_config, rows, spent

DIMENSIONS = 64
MODELS = {"ollama": "bge-m3", "openai": "text-embedding-3-small", "dashscope": "text-embedding-v4"}


def embedder(server: LoopbackServer, kind: str, **changes: Any) -> Row:
    """A row of ``embeddings`` that the loopback server plays."""
    return {
        "name": kind,
        "kind": kind,
        "model": MODELS[kind],
        "dimensions": DIMENSIONS,
        "base_url": getattr(server, f"{kind}_url"),
        "location": "local" if kind == "ollama" else "cloud",
        "api_key_env": None if kind == "ollama" else "LOOPBACK_KEY",
        "price": {"input_usd_per_mtok": "1", "output_usd_per_mtok": "0"},
        "retry_wait_s": 0,
        **changes,
    }


def embeddings_of(
    server: LoopbackServer,
    db: Path,
    *table: Row,
    budgets: dict[str, str] | None = None,
    **more: Any,
) -> RoutedEmbeddings:
    return create_embeddings(
        make_config(server, db, embeddings=table, budgets=budgets), environ=KEYS, **more
    )


@pytest.fixture
def one_space(server: LoopbackServer) -> list[Row]:
    """A local and two cloud rows of one space. The server's vectors depend on the words only."""
    changes: dict[str, Row] = {
        "ollama": {},
        "dashscope": {},
        # A compatible endpoint is not asked for a length: it gives the model's own.
        "openai": {"model": "m"},
    }
    return [embedder(server, kind, space="one", dimensions=1024, **changes[kind]) for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_embeds_in_batches_and_pays_what_the_provider_counted(
    server: LoopbackServer, db: Path, kind: ProtocolName
) -> None:
    texts = [f"text number {number}" for number in range(25)]
    row = embedder(server, kind, dimensions=1024)
    embeddings = embeddings_of(server, db, row)

    vectors = await embeddings.aembed_documents(texts)

    assert vectors == [pytest.approx(hashed_words(text, 1024)) for text in texts]
    sent = [texts_of(call.body) for call in server.calls(kind)]
    assert sorted(text for batch in sent for text in batch) == sorted(texts)
    assert Counter(map(len, sent)) == ({10: 2, 5: 1} if kind == "dashscope" else {25: 1})
    found = rows(db)
    assert {(row["task"], row["status"], row["cost_basis"]) for row in found} == {
        ("embed", "answered", "reported")
    }
    # Three words each, at one dollar per million tokens.
    assert [row["cost_nano_usd"] for row in found] == [row["input_tokens"] * 1000 for row in found]
    assert spent(db) == 75_000
    assert all(row["hold_nano_usd"] >= row["cost_nano_usd"] for row in found)
    assert_sound(db)


def test_sync_callers_get_the_same_and_a_langchain_store_takes_it(
    server: LoopbackServer, db: Path
) -> None:
    store = InMemoryVectorStore(embeddings_of(server, db, embedder(server, "ollama")))
    names = ["a city in France", "the price of a token", "a hold in the ledger"]
    store.add_documents([Document(name) for name in names])

    [found] = store.similarity_search("which token price", k=1)

    assert found.page_content == "the price of a token"
    assert [row["task"] for row in rows(db)] == ["embed", "embed"]


async def test_dashscope_is_told_what_searches_and_what_is_searched(
    server: LoopbackServer, db: Path
) -> None:
    embeddings = embeddings_of(server, db, embedder(server, "dashscope"))
    await embeddings.aembed_documents(["a"])
    await embeddings.aembed_query("b")
    sent = [call.body["parameters"] for call in server.calls()]
    assert sent == [
        {"text_type": "document", "dimension": DIMENSIONS},
        {"text_type": "query", "dimension": DIMENSIONS},
    ]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(500),
        Fault.status(401),
        Fault.drop(),
        Fault.malformed(),
        Fault.end_early(Reply(), 0),
    ],
    ids=lambda fault: fault.kind + str(fault.status_code),
)
async def test_a_failing_provider_is_followed_by_the_next_of_the_same_space(
    server: LoopbackServer, db: Path, one_space: list[Row], fault: Fault
) -> None:
    server.always("ollama", fault, model="bge-m3")
    embeddings = embeddings_of(server, db, *one_space)

    found = await embeddings.aembed(["Paris"])

    assert found.vectors == [pytest.approx(hashed_words("Paris", 1024))]
    assert [row["provider"] for row in found.attempts][-1] == "dashscope"
    assert len(rows(db)) == len(server.calls()) == len(found.attempts)
    assert_sound(db)


async def test_vectors_of_another_length_are_a_failed_attempt_that_is_paid(
    server: LoopbackServer, db: Path
) -> None:
    row = embedder(server, "openai", dimensions=DIMENSIONS, model="m")
    with pytest.raises(AllProvidersFailedError, match="1024 dimensions; the configuration says 64"):
        await embeddings_of(server, db, row).aembed_query("Paris")
    [paid] = rows(db)
    assert (paid["status"], paid["error_type"]) == ("failed", "MalformedAnswerError")
    assert paid["cost_nano_usd"] == 1000


async def test_usage_that_is_missing_is_estimated_from_above(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.no_usage(Reply()), model="m")
    row = embedder(server, "openai", model="m", dimensions=1024)
    await embeddings_of(server, db, row).aembed_query("Paris")
    [paid] = rows(db)
    assert paid["cost_basis"] == "estimated"
    assert paid["cost_nano_usd"] == paid["hold_nano_usd"] > 5000


async def test_a_budget_of_the_task_refuses_before_anything_is_sent(
    server: LoopbackServer, db: Path
) -> None:
    embeddings = embeddings_of(
        server, db, embedder(server, "openai"), budgets={"task:embed": "0.000001"}
    )
    with pytest.raises(BudgetExceededError, match="budget task:embed per month"):
        await embeddings.aembed_documents(["Paris"])
    assert server.calls() == ()


async def test_an_error_inside_an_answer_is_read_by_its_code(
    server: LoopbackServer, db: Path, one_space: list[Row]
) -> None:
    body = b'{"error": {"message": "Rate limit", "code": 429}}'
    server.always("openai", RawReply(body=body), model="m")
    await embeddings_of(server, db, one_space[2], *one_space[:2]).aembed_documents(["a text"])
    failed = [row for row in rows(db) if row["provider"] == "openai"]
    assert {(row["error_type"], row["cost_basis"]) for row in failed} == {
        ("RateLimitError", "none")
    }
    assert_sound(db)


async def test_sensitive_texts_stay_on_local_providers(
    server: LoopbackServer, db: Path, one_space: list[Row]
) -> None:
    server.always("ollama", Fault.status(500), model="bge-m3")
    embeddings = embeddings_of(server, db, *one_space).with_options(sensitivity="pii")
    with pytest.raises(AllProvidersFailedError):
        await embeddings.aembed_documents(["a patient's name"])
    cloud = embeddings_of(server, db, *one_space[1:], sensitivity="hipaa")
    with pytest.raises(NoProviderError, match="hipaa data stays on local providers"):
        await cloud.aembed_documents(["a patient's name"])
    assert {call.protocol for call in server.calls()} == {"ollama"}


def test_the_older_name_of_with_options_still_works(server: LoopbackServer, db: Path) -> None:
    embeddings = embeddings_of(server, db, embedder(server, "ollama"))
    assert embeddings.asking(user_id="a") == embeddings.with_options(user_id="a")
    assert embeddings.asking(user_id="a") != embeddings


async def test_a_batch_that_fails_stops_the_others(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Fault.status(400), model="bge-m3")
    row = embedder(server, "ollama", batch_size=1)
    embeddings = embeddings_of(server, db, row).with_options(concurrency=1)
    with pytest.raises(Exception, match="the request was rejected"):
        await embeddings.aembed_documents([f"text {number}" for number in range(20)])
    assert len(server.calls()) == 1
    assert_sound(db)


async def test_a_batch_has_no_more_bytes_than_a_provider_takes(
    server: LoopbackServer, db: Path
) -> None:
    half = "x" * (MAX_BATCH_BYTES // 2)
    await embeddings_of(server, db, embedder(server, "ollama")).aembed_documents([half] * 3)
    assert sorted(len(texts_of(call.body)) for call in server.calls()) == [1, 2]


@pytest.mark.parametrize("text", ["", "  \n", None, 7])
async def test_an_empty_text_is_a_wrong_request(
    server: LoopbackServer, db: Path, text: Any
) -> None:
    embeddings = embeddings_of(server, db, embedder(server, "ollama"))
    with pytest.raises(InvalidRequestError, match=r"texts\[1\]: empty"):
        await embeddings.aembed_documents(["fine", text])
    assert await embeddings.aembed_documents([]) == []
    assert server.calls() == ()


def test_rows_of_two_spaces_are_refused_in_one_line(server: LoopbackServer, db: Path) -> None:
    two = [embedder(server, "ollama"), embedder(server, "openai")]
    with pytest.raises(ValueError, match="they cannot be compared; keep one of them"):
        make_config(server, db, embeddings=two)
    with pytest.raises(ValueError, match="they cannot be compared"):
        make_config(server, db, embeddings=[two[0], {**two[0], "name": "b", "dimensions": 65}])
    make_config(server, db, embeddings=[{**row, "space": "one"} for row in two])
    with pytest.raises(ValueError, match="tasks: means nothing for embeddings"):
        make_config(server, db, embeddings=[{**two[0], "tasks": ["embed"]}])


def test_what_cannot_be_embedded_is_a_configuration_error(server: LoopbackServer, db: Path) -> None:
    with pytest.raises(ConfigError, match="embeddings: empty; name at least one"):
        embeddings_of(server, db)
    with pytest.raises(ConfigError, match="name at least one that is enabled"):
        embeddings_of(server, db, embedder(server, "ollama", enabled=False))
    with pytest.raises(ConfigError, match=r"embeddings\.ollama\.kind: 'extractive' is unknown"):
        embeddings_of(server, db, {**embedder(server, "ollama"), "kind": "extractive"})
    with pytest.raises(ConfigError, match=r"embeddings\.ollama\.price: no price is known"):
        embeddings_of(server, db, embedder(server, "ollama", price=None))


def test_known_models_have_prices_and_the_default_is_local() -> None:
    cloud = [
        {"name": kind, "kind": kind, "model": MODELS[kind], "dimensions": 8, "location": "cloud"}
        for kind in ("openai", "dashscope")
    ]
    for row in cloud:
        document = {"embeddings": [row], "providers": [], "budgets": []}
        create_embeddings(
            RouterConfig.model_validate(
                {
                    **document,
                    "providers": [
                        {"name": "e", "kind": "extractive", "model": "m", "location": "local"}
                    ],
                }
            )
        )
    assert [row.location for row in RouterConfig().embeddings] == ["local"]
    moved = RouterConfig.load(environ={"OLLAMA_BASE_URL": "http://elsewhere:1/"})
    assert moved.embeddings[0].base_url == "http://elsewhere:1"
