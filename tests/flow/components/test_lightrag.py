"""LightRAG, unmodified, over the routing subgraph: inserts, questions, budgets, privacy."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lightrag import QueryParam  # type: ignore[import-untyped]

from aegis_graph.components.lightrag.query import MODES
from aegis_graph.components.lightrag.rag import RoutedLightRAG
from aegis_graph.errors import (
    AllProvidersFailedError,
    BudgetExceededError,
    ConfigError,
    InsertError,
    InvalidRequestError,
)
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from tests.flow.components.lightrag_support import (
    CHAT_MODEL,
    DOCUMENTS,
    PRICE,
    QUESTION,
    SETTINGS,
    bought,
    graph_of,
    lightrag_config,
    model,
    open_rag,
    operation,
    play,
    vectors,
)
from tests.flow.support import assert_sound, dust_settles, made, provider, rows, spent


async def test_three_documents_are_inserted_and_asked_in_all_five_modes(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    events: list[Any] = []
    async with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        report = await rag.aadd(DOCUMENTS, on_progress=events.append)
        answers = {
            mode: await rag.aquery(QUESTION, QueryParam(mode=mode, enable_rerank=False))
            for mode in MODES
        }

    assert (report.state, report.reason) == ("done", None)
    assert dict(report.documents) == dict.fromkeys(DOCUMENTS, "processed")
    assert {answer.splitlines()[0] for answer in answers.values()} == {f"Answer to: {QUESTION}"}
    assert all("institute.txt" in answer for answer in answers.values())
    told = [(event["document"], event["status"]) for event in events]
    assert Counter(told) == Counter(
        (name, status) for name in DOCUMENTS for status in ("started", "processed")
    )
    # The ledger's calls are the journal's, task by task, and so is what they cost.
    seen = Counter(operation(call) for call in server.calls())
    assert Counter(row["task"] for row in made(db)) == seen
    assert set(seen) == {"extract", "glean", "summary", "embed", "keywords", "answer"}
    usage = [call.produced.usage for call in server.calls()]
    assert spent(db) == sum(
        1000 * (one.input_tokens + 2 * one.output_tokens) for one in usage if one
    )
    inserted = Counter(row["task"] for row in made(db)[: len(report.attempts)])
    assert {name: line["calls"] for name, line in report.by_operation.items()} == inserted
    assert_sound(db)


def test_retrieval_alone_asks_no_model_for_an_answer(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
        for mode in MODES:
            before = len(server.calls())
            found = rag.retrieve(QUESTION, mode)
            asked = Counter(operation(call) for call in server.calls()[before:])
            assert asked == ({"embed": 1} if mode == "naive" else {"embed": 1, "keywords": 1})
            assert {row["file_path"] for row in found.references} == set(DOCUMENTS)
            assert "Marie Curie" in found.prompt
            assert QUESTION not in found.prompt
            assert bool(found.entities) == (mode != "naive")


def test_the_forecast_buys_nothing_and_bounds_what_is_bought(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        forecast = rag.forecast(DOCUMENTS)
        assert server.calls() == ()
        report = rag.add(DOCUMENTS)
        later = rag.forecast({**DOCUMENTS, "new.txt": "Paris is in France."})

    assert (forecast.documents, forecast.known, forecast.chunks) == (3, 0, 3)
    assert isinstance(forecast.expected_usd, Decimal)
    assert report.cost_usd <= forecast.most_usd
    assert forecast.expected_usd <= forecast.most_usd
    for name, line in forecast.operations.items():
        real = report.by_operation[name]
        assert Decimal(real["cost_usd"]) <= line.most_usd, name
    for name in ("extract", "glean"):
        assert forecast.operations[name].calls == report.by_operation[name]["calls"]
    assert (later.documents, later.known, later.chunks) == (1, 3, 1)
    # The workspace knows by now how long this model's answers are.
    assert (
        later.operations["extract"].output_tokens
        != forecast.operations["extract"].output_tokens // 3
    )


def test_what_is_there_is_not_bought_again(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    config = lightrag_config(server, db)
    with open_rag(config, tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
        before = len(server.calls())
        assert rag.add(DOCUMENTS).state == "done"
        assert rag.insert(list(DOCUMENTS.values()), file_paths=list(DOCUMENTS)).cost_usd == 0
    with open_rag(config, tmp_path / "rag") as again:
        assert again.add(DOCUMENTS).state == "done"
        assert again.retrieve(QUESTION, "naive").references
    assert len(server.calls()) == before + 1


def test_the_budget_for_half_of_an_insert_stops_it_and_more_resumes_it(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    # Only answers cost, so that what is reserved is near to what is spent.
    chain = [
        provider(server, "ollama", price={"input_usd_per_mtok": "0", "output_usd_per_mtok": "1"})
    ]
    settings = replace(SETTINGS, output_tokens={**SETTINGS.output_tokens, "extract": 450})
    more: dict[str, Any] = {"settings": settings}
    free = [vectors(server, price="free")]
    config = lightrag_config(server, tmp_path / "whole.db", providers=chain, embeddings=free)
    with open_rag(config, tmp_path / "whole", **more) as rag:
        whole = rag.add(DOCUMENTS)
    once = bought(server)

    half = whole.cost_usd / 2
    config = lightrag_config(
        server, db, providers=chain, embeddings=free, budgets={"total": f"{half:f}"}
    )
    with open_rag(config, tmp_path / "rag", **more) as rag:
        stopped = rag.add(DOCUMENTS)
        assert stopped.state == "stopped"
        assert "budget total per month" in str(stopped.reason)
        assert 0 < Decimal(spent(db)) / 10**9 <= half
        assert "failed" not in stopped.documents.values()
        assert 0 < len(bought(server) - once) < len(once)
        with pytest.raises(BudgetExceededError):
            rag.insert(list(DOCUMENTS.values()), file_paths=list(DOCUMENTS))

    config = lightrag_config(server, db, providers=chain, embeddings=free, budgets={"total": "1"})
    with open_rag(config, tmp_path / "rag", **more) as rag:
        resumed = rag.add(DOCUMENTS)
    assert resumed.state == "done"
    assert graph_of(tmp_path / "rag") == graph_of(tmp_path / "whole")
    # The same requests as in one go, and each of them once.
    assert in_any_order(bought(server) - once) == in_any_order(once)
    assert_sound(db)


def in_any_order(requests: Counter[str]) -> Counter[str]:
    """A summary lists its descriptions in the order in which their documents ended."""
    counted: Counter[str] = Counter()
    for request, times in requests.items():
        lines = [line for one in json.loads(request) for line in one["content"].splitlines()]
        counted["\n".join(sorted(lines))] += times
    return counted


@pytest.mark.parametrize("task", ["summary", "embed"])
def test_a_merge_that_cannot_be_paid_is_done_by_the_next_insert(
    server: LoopbackServer, db: Path, tmp_path: Path, task: str
) -> None:
    play(server)
    with open_rag(lightrag_config(server, tmp_path / "whole.db"), tmp_path / "whole") as rag:
        rag.add(DOCUMENTS)
    with LoopbackServer() as own:
        play(own)
        with open_rag(
            lightrag_config(own, db, budgets={f"task:{task}": "0"}), tmp_path / "rag"
        ) as rag:
            stopped = rag.add(DOCUMENTS)
            assert stopped.state == "stopped"
            assert f"budget task:{task} per month" in str(stopped.reason)
        config = lightrag_config(own, db, budgets={f"task:{task}": "1"})
        with open_rag(config, tmp_path / "rag") as rag:
            assert rag.add(DOCUMENTS).state == "done"
        assert set(bought(own).values()) == {1}
    assert graph_of(tmp_path / "rag") == graph_of(tmp_path / "whole")


def test_an_envelope_stops_an_insert_and_a_wider_one_resumes_it(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    run: Any = {"run_id": "job", "tags": {"team": "ads"}}
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        stopped = rag.add(DOCUMENTS, max_cost_usd="0.008", **run)
        assert stopped.state == "stopped"
        assert Decimal(spent(db)) / 10**9 <= Decimal("0.008")
        assert rag.add(DOCUMENTS, max_cost_usd="1", **run).state == "done"
    assert set(bought(server).values()) == {1}
    assert {(row["run_id"], row["tags"]) for row in rows(db)} == {("job", '{"team": "ads"}')}


def test_a_failed_document_is_taken_up_by_the_next_insert(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    def moody(call: Received) -> Reply | Fault:
        broken = operation(call) == "extract" and "Irene" in call.body["messages"][-1]["content"]
        return Fault.status(401) if broken else model(call)

    server.always("ollama", moody)
    health = {"failures": 100, "verdict_s": 0.001}
    with open_rag(lightrag_config(server, db, health=health), tmp_path / "rag") as rag:
        failed = rag.add(DOCUMENTS)
        assert failed.state == "failed"
        assert failed.documents["institute.txt"] == "failed"
        assert "AuthenticationError" in str(failed.reason)
        play(server)
        assert rag.add(DOCUMENTS).state == "done"
    assert set(bought(server).values()) == {1}


def test_sensitive_documents_reach_no_cloud_also_not_by_way_of_later_ones(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    server.always("openai", Fault.status(500), model=CHAT_MODEL)
    cloud = [provider(server, "openai", price=PRICE), provider(server, "ollama", price=PRICE)]
    table = [
        vectors(
            server,
            name="cloud",
            kind="openai",
            base_url=server.openai_url,
            location="cloud",
            api_key_env="LOOPBACK_KEY",
            space="one",
            dimensions=1024,
        ),
        vectors(server, space="one", dimensions=1024),
    ]
    config = lightrag_config(server, db, providers=cloud, embeddings=table)
    secret = {"curie.txt": DOCUMENTS["curie.txt"]}
    public = {name: text for name, text in DOCUMENTS.items() if name not in secret}
    with open_rag(config, tmp_path / "rag") as rag:
        rag.add(secret, sensitivity="pii")
    # A new object, a public document, a public question: the workspace remembers.
    with open_rag(config, tmp_path / "rag", sensitivity="public") as rag:
        assert rag.add(public, sensitivity="public").state == "done"
        rag.query(QUESTION, sensitivity="public")
    assert {call.protocol for call in server.calls()} == {"ollama"}
    assert {row["sensitivity"] for row in rows(db)} == {"pii"}
    assert {operation(call) for call in server.calls()} >= {"summary", "embed", "answer"}


async def test_a_caller_that_goes_away_leaves_nothing_that_buys(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    started = threading.Event()
    release = threading.Event()

    def slow(call: Received) -> Reply:
        if operation(call) == "glean":
            started.set()
            release.wait(20)
        return model(call)

    server.always("ollama", slow)
    async with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        task = asyncio.create_task(rag.aadd(DOCUMENTS))
        await asyncio.to_thread(started.wait, 20)
        task.cancel()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await dust_settles(db)
        before = len(server.calls())
        states = await rag.adocuments()
        assert len(server.calls()) == before
        assert "failed" not in states.values()
        assert (await rag.aadd(DOCUMENTS)).state == "done"
    assert set(bought(server).values()) == {1}


def test_names_that_lightrag_would_confuse_are_refused(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        with pytest.raises(InvalidRequestError, match=r"takes its name for that of 'x\.docx'"):
            rag.add({"x.docx": "one", "x.[native].docx": "two"})
        with pytest.raises(InvalidRequestError, match="document 'e': empty"):
            rag.add({"e": "  "})
        rag.add({"x.txt": DOCUMENTS["curie.txt"]})
        doubled = rag.add({"y.txt": DOCUMENTS["curie.txt"]})
        assert doubled.documents["y.txt"] == "duplicate"
        with pytest.raises(InvalidRequestError, match="mode: 'deep' is unknown"):
            rag.retrieve(QUESTION, "deep")  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="sensitivity: '' is unknown"):
            rag.add({"z.txt": "z"}, sensitivity="")  # type: ignore[arg-type]


async def test_a_document_can_be_taken_out_and_put_in_again(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    async with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        await rag.aadd(DOCUMENTS)
        await rag.adelete("curie.txt")
        assert set(await rag.adocuments()) == {"radium.txt", "institute.txt"}
        assert (await rag.aadd(DOCUMENTS)).state == "done"
        with pytest.raises(InvalidRequestError, match="is not in workspace"):
            await rag.adelete("nobody.txt")


def test_a_workspace_is_open_once(server: LoopbackServer, db: Path, tmp_path: Path) -> None:
    play(server)
    config = lightrag_config(server, db)
    document = {"curie.txt": DOCUMENTS["curie.txt"]}
    with open_rag(config, tmp_path / "rag", workspace="one") as rag:
        rag.add(document)
        with (
            open_rag(config, tmp_path / "rag", workspace="one") as second,
            pytest.raises(ConfigError, match="the workspace is open already"),
        ):
            second.add(document)
        with (
            open_rag(config, tmp_path / "other", workspace="one") as other,
            pytest.raises(ConfigError, match="'one' is open in this process already"),
        ):
            other.add(document)
    # Another folder, the same name, after the first one is closed: nothing is left of it.
    with open_rag(config, tmp_path / "third", workspace="one") as rag:
        assert rag.add({"radium.txt": DOCUMENTS["radium.txt"]}).documents == {
            "radium.txt": "processed"
        }
    with pytest.raises(ConfigError, match="workspace: 'a b' is not"):
        RoutedLightRAG(config, working_dir=tmp_path, workspace="a b")


def test_a_question_that_cannot_be_paid_says_so(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    config = lightrag_config(server, db, budgets={"task:keywords": "0"})
    with open_rag(config, tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
        with pytest.raises(BudgetExceededError, match="budget task:keywords"):
            rag.query(QUESTION)
        assert rag.query(QUESTION, QueryParam(mode="naive", enable_rerank=False))
        server.always("ollama", Fault.status(500))
        with pytest.raises(AllProvidersFailedError):
            rag.query(QUESTION, QueryParam(mode="naive", enable_rerank=False))


def test_an_insert_that_fails_is_an_error_for_callers_of_the_original_api(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.always("ollama", Fault.status(404))
    with (
        open_rag(lightrag_config(server, db), tmp_path / "rag") as rag,
        pytest.raises(InsertError, match="ModelAccessError"),
    ):
        rag.insert("Paris is a city in France.")
