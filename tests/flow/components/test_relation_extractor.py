"""The relation extractor over a loopback provider: what it finds, what it buys, how it fails."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from aegis_graph import RouterHandle, create_relation_extractor
from aegis_graph.errors import ConfigError, InvalidRequestError, LedgerError, StoreError
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from tests.flow.components.extraction_support import (
    COST,
    EMPTY,
    PRICE,
    SCHEMA,
    answer_on,
    asked_about,
    city,
    make_extractor,
    people,
    person,
    reply,
    said,
    statement,
    triples,
)
from tests.flow.support import (
    KEYS,
    assert_sound,
    made,
    make_config,
    open_router,
    provider,
    rows,
    spent,
)

MANY = 200
SEED = 20_261_124


def all_on(count: int) -> list[tuple[str, str, str]]:
    return [(person(n), "LIVES_IN", city(n)) for n in range(count)]


def assert_grounded(result: Any, documents: list[Document]) -> None:
    spans = [span for one in result["entities"] for span in one["mentions"]]
    spans += [span for one in result["relations"] for span in one["evidence"]]
    assert spans
    for span in spans:
        text = documents[span["document"]].page_content
        assert text[span["start"] : span["end"]] == span["quote"] != ""


def test_entities_and_relations_come_with_their_places(server: LoopbackServer, db: Path) -> None:
    server.script("openai", reply(answer_on(0)))
    documents = people(1)

    result = make_extractor(server, db).invoke({"documents": documents})

    assert triples(result) == all_on(1)
    assert [(one["id"], one["name"], one["type"]) for one in result["entities"]] == [
        ("e1", "Person000", "Person"),
        ("e2", "City000", "City"),
    ]
    assert result["relations"][0]["evidence"] == [
        {
            "source": "0.txt",
            "document": 0,
            "start": 0,
            "end": 26,
            "quote": "Person000 lives in City000",
        }
    ]
    assert_grounded(result, documents)
    assert (result["degraded"], result["degraded_reason"], result["failed_chunks"]) == (
        False,
        None,
        [],
    )
    assert [(one["task"], one["cost_usd"]) for one in result["attempts"]] == [
        ("extract", "0.00007")
    ]


@pytest.mark.parametrize(
    "health", [{"failures": 10_000}, {"failures": 3, "cooldown_s": 0.05}], ids=["", "cooldowns"]
)
async def test_two_hundred_chunks_survive_a_provider_that_fails_one_in_five(
    server: LoopbackServer, db: Path, health: Any
) -> None:
    dice = random.Random(SEED)
    bad = (Fault.status(500), Fault.status(429))

    def good(call: Received) -> Reply:
        """Of ten people, nine of whom the chunk does not name."""
        number = statements.index(asked_about(call))
        return reply(answer_on(*((number + n) % MANY for n in range(10))))

    statements = [statement(n) for n in range(MANY)]
    server.script(
        "openai", *(dice.choice(bad) if dice.random() < 0.2 else good for _ in range(MANY * 2))
    )
    documents = people(MANY)

    graph = make_extractor(server, db, health=health, max_retries=9, retry_wait_s=0.05)

    result = await graph.ainvoke({"documents": documents})

    assert result["failed_chunks"] == []
    assert sorted(triples(result)) == all_on(MANY)
    assert_grounded(result, documents)
    answered = [call for call in server.calls() if call.produced.status == 200]
    assert Counter(map(asked_about, answered)) == Counter(statement(n) for n in range(MANY))
    assert len(server.calls()) - len(answered) > MANY / 10
    assert spent(db) == len(answered) * COST
    assert len(result["attempts"]) == len(made(db)) == len(server.calls())
    assert_sound(db)


async def test_a_provider_that_rests_is_waited_for(server: LoopbackServer, db: Path) -> None:
    server.script("openai", Fault.status(500), Fault.status(500))
    server.always("openai", reply(answer_on(*range(4))))
    row = provider(server, "openai", max_retries=0, **PRICE)
    config = make_config(server, db, providers=[row], health={"failures": 2, "cooldown_s": 60})
    now = [datetime.now(UTC)]
    graph = create_relation_extractor(
        open_router(config, clock=lambda: now[0]),
        schema=SCHEMA,
        max_gleanings=0,
        max_concurrency=1,
        retry_wait_s=0.05,
    )

    waits = []
    async for event in graph.astream({"documents": people(4)}, stream_mode="custom"):
        if event["event"] == "extraction_waits":
            now[0] += timedelta(seconds=61)
            waits.append(event)
    result = await graph.ainvoke({"documents": people(4)})

    assert waits[0] == {"event": "extraction_waits", "chunks": 4, "seconds": 0.05}
    assert (triples(result), result["reused"]) == (all_on(4), 4)
    assert len(server.calls()) == 6


def test_a_failed_chunk_is_reported_and_run_again_alone(server: LoopbackServer, db: Path) -> None:
    good = reply(answer_on(*range(3)))
    server.script("openai", good, Fault.status(500), Fault.status(500), good)
    graph = make_extractor(server, db, max_retries=0, max_concurrency=1)
    request = {"documents": people(3)}

    first = graph.invoke(request)
    [failed] = first["failed_chunks"]
    server.script("openai", good)
    second = graph.invoke({**request, "only": [failed["id"]]})

    assert (failed["task"], failed["error_type"]) == ("extract", "AllProvidersFailedError")
    assert first["degraded"]
    assert first["degraded_reason"].startswith("1 of 3 chunks are not complete: ")
    assert len(triples(first)) == 2
    assert triples(second) == all_on(3)
    assert (second["reused"], len(second["attempts"]), second["degraded"]) == (2, 1, False)
    assert asked_about(server.calls()[-1]) == statement(failed["places"][0]["document"])


def test_chunks_that_are_not_named_are_not_asked_about(server: LoopbackServer, db: Path) -> None:
    result = make_extractor(server, db).invoke({"documents": people(2), "only": []})

    assert [one["error_type"] for one in result["failed_chunks"]] == ["NotAskedError"] * 2
    assert result["degraded"]
    assert server.calls() == ()


@pytest.mark.parametrize("bound", [1, 3])
async def test_no_more_chunks_are_in_work_than_allowed(
    server: LoopbackServer, db: Path, bound: int
) -> None:
    class State(TypedDict, total=False):
        documents: list[Document]

    for _ in range(20):
        server.script("openai", slow())
    graph = make_extractor(server, db, max_concurrency=bound)
    host = StateGraph(State).add_node("relations", graph).add_edge(START, "relations").compile()

    await host.ainvoke({"documents": people(20)})

    assert server.peak_in_flight == bound
    assert len(server.calls()) == 20


def slow() -> Any:
    answer = reply(EMPTY)
    return type(answer)(answer.text, latency_s=0.02)


def test_sync_callers_are_bounded_too(server: LoopbackServer, db: Path) -> None:
    server.always("openai", slow())
    make_extractor(server, db, max_concurrency=2).invoke({"documents": people(12)})
    assert server.peak_in_flight == 2


def test_gleaning_ends_when_nothing_new_comes(server: LoopbackServer, db: Path) -> None:
    text = f"{statement(0)} {statement(1)}"
    server.script("openai", reply(answer_on(0)), reply(answer_on(0, 1)), reply(answer_on(1)))

    result = make_extractor(server, db, max_gleanings=9).invoke({"text": text})

    assert triples(result) == all_on(2)
    assert [one["task"] for one in result["attempts"]] == ["extract", "glean", "glean"]
    assert [row["task"] for row in rows(db)] == ["extract", "glean", "glean"]
    first, second, third = map(said, server.calls())
    assert (len(first), len(second), len(third)) == (2, 4, 6)
    assert second[2] == answer_on(0)
    assert third[3] == second[3]


@pytest.mark.parametrize(("most", "calls"), [(0, 1), (1, 2), (2, 3)])
def test_gleaning_ends_at_the_limit(
    server: LoopbackServer, db: Path, most: int, calls: int
) -> None:
    server.script("openai", *(reply(answer_on(n)) for n in range(calls)))
    text = " ".join(statement(n) for n in range(9))
    make_extractor(server, db, max_gleanings=most).invoke({"text": text})
    server.assert_all_used()


def test_a_chunk_without_findings_is_not_gleaned(server: LoopbackServer, db: Path) -> None:
    server.script("openai", reply(EMPTY))
    result = make_extractor(server, db, max_gleanings=3).invoke({"text": "Nothing to see."})
    assert len(result["attempts"]) == 1
    assert not result["degraded"]


def test_what_was_extracted_is_kept_when_gleaning_fails(server: LoopbackServer, db: Path) -> None:
    server.script("openai", reply(answer_on(0)), Fault.status(500), Fault.status(500))
    graph = make_extractor(server, db, max_gleanings=1, max_retries=0)

    first = graph.invoke({"text": statement(0)})
    server.script("openai", reply(EMPTY))
    second = graph.invoke({"text": statement(0)})

    assert triples(first) == triples(second) == all_on(1)
    assert [one["task"] for one in first["failed_chunks"]] == ["glean"]
    assert first["degraded"]
    assert (second["reused"], second["degraded"]) == (1, False)
    assert len(server.calls()) == 4


def test_the_budget_that_runs_out_keeps_what_was_found(server: LoopbackServer, db: Path) -> None:
    server.always("openai", reply(answer_on(*range(4))))
    row = provider(
        server,
        "openai",
        max_output_tokens=5,
        price={"input_usd_per_mtok": "0", "output_usd_per_mtok": "200000"},
    )
    graph = make_extractor(server, db, providers=[row], budgets={"total": "2"}, max_concurrency=1)

    result = graph.invoke({"documents": people(4)})

    assert len(triples(result)) == 2
    assert [one["error_type"] for one in result["failed_chunks"]] == ["BudgetExceededError"] * 2
    assert result["degraded"]
    assert "no provider fits into its budget" in result["degraded_reason"]
    assert len(server.calls()) == 2
    assert spent(db) == 2_000_000_000


@pytest.mark.parametrize(("structured", "calls"), [(True, 2), (False, 1)])
def test_an_answer_that_was_cut_is_used_and_not_called_complete(
    server: LoopbackServer, db: Path, structured: bool, calls: int
) -> None:
    whole = answer_on(0, 1)
    cut = whole[: whole.index(city(1))]
    # In a schema half an answer is none, so the question is put again in words.
    server.script("openai", *[Reply(cut, chunks=(cut,), finish_reason="length")] * calls)
    graph = make_extractor(server, db, structured=structured)
    text = f"{statement(0)} {statement(1)}"

    first, second = graph.invoke({"text": text}), graph.invoke({"text": text})

    assert [one["name"] for one in first["entities"]] == [person(0), city(0), person(1)]
    for result in (first, second):
        assert [(one["task"], one["error_type"]) for one in result["failed_chunks"]] == [
            ("extract", "OutputCutError")
        ]
        assert "raise max_output_tokens" in result["degraded_reason"]
    assert (second["reused"], len(server.calls())) == (1, calls)
    server.script("openai", reply(whole))
    assert not graph.invoke({"text": text, "max_output_tokens": 2000})["degraded"]


def test_gleaning_completes_an_answer_that_was_cut(server: LoopbackServer, db: Path) -> None:
    cut = answer_on(0)
    server.script("openai", Reply(cut, chunks=(cut,), finish_reason="length"), reply(answer_on(1)))
    text = f"{statement(0)} {statement(1)}"
    result = make_extractor(server, db, max_gleanings=1).invoke({"text": text})
    assert triples(result) == all_on(2)
    assert not result["degraded"]


def test_a_run_keeps_to_its_own_envelope(server: LoopbackServer, db: Path) -> None:
    server.always("openai", reply(answer_on(*range(4))))
    row = provider(
        server,
        "openai",
        max_output_tokens=5,
        price={"input_usd_per_mtok": "0", "output_usd_per_mtok": "200000"},
    )
    graph = make_extractor(server, db, providers=[row], max_concurrency=1)
    tags = {"team": "ads"}
    request = {"documents": people(4), "run_id": "r1", "max_cost_usd": "3", "tags": tags}

    first = graph.invoke(request)
    second = graph.invoke({**request, "run_id": "r2"})

    assert (len(triples(first)), first["degraded"]) == (3, True)
    assert (triples(second), second["reused"], second["degraded"]) == (all_on(4), 3, False)
    assert [row["run_id"] for row in made(db)] == ["r1"] * 3 + ["r2"]
    assert {row["tags"] for row in made(db)} == {'{"team": "ads"}'}


def test_the_bound_of_the_graph_around_it_wins(server: LoopbackServer, db: Path) -> None:
    server.always("openai", slow())
    graph = make_extractor(server, db, max_concurrency=4)
    graph.invoke({"documents": people(9)}, {"max_concurrency": 1})
    assert server.peak_in_flight == 1


def test_an_unreadable_answer_is_asked_for_once_more(server: LoopbackServer, db: Path) -> None:
    server.script("openai", reply("I would rather not."), reply(answer_on(0)))
    graph = make_extractor(server, db, structured=False)

    result = graph.invoke({"text": statement(0)})

    assert triples(result) == all_on(1)
    first, second = map(said, server.calls())
    assert second[:2] == first
    assert second[2] == "I would rather not."
    assert "could not be read as JSON" in second[3]
    assert graph.invoke({"text": statement(0)})["reused"] == 1


@pytest.mark.parametrize("kind", ["openai", "ollama", "dashscope"])
def test_answers_are_asked_for_in_a_schema_where_the_provider_has_it(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, reply(answer_on(0)))
    row = provider(server, kind, **({"structured": "json_schema"} if kind == "openai" else {}))

    result = make_extractor(server, db, providers=[row]).invoke({"text": statement(0)})

    assert triples(result) == all_on(1)
    [call] = server.calls(kind)
    assert '"Extraction"' in json.dumps(call.body)
    assert not result["degraded"]


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_a_server_that_is_bound_by_a_schema_can_invent_no_label(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    # This one is not bound: what it invents is filtered, and not bought again.
    invented = {"entities": [{"name": person(0), "type": "Alien"}], "relations": []}
    server.always(kind, reply(json.dumps(invented)))
    row = provider(server, kind, **({"structured": "json_schema"} if kind == "openai" else {}))
    graph = make_extractor(server, db, providers=[row], max_gleanings=0)

    result = graph.invoke({"text": statement(0)})
    graph.invoke({"text": statement(0), "schema": {"relations": ["MET"], "strict": False}})

    assert (len(result["attempts"]), result["dropped"]) == (1, {"entity_off_schema": 1})
    bound, free = (schema_in(call.body) for call in server.calls())
    entity, relation = bound["entities"]["items"], bound["relations"]["items"]
    assert entity["properties"]["type"]["enum"] == ["Person", "City"]
    assert entity["required"] == ["name", "type"]
    assert relation["properties"]["relation"]["enum"] == ["LIVES_IN"]
    assert "enum" not in json.dumps(free)


def schema_in(body: dict[str, Any]) -> dict[str, Any]:
    if "format" in body:
        return dict(body["format"]["properties"])
    return dict(body["response_format"]["json_schema"]["schema"]["properties"])


def test_an_answer_that_does_not_fit_is_asked_for_once_more_in_words(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", reply("No."), reply(f"Here: {answer_on(0)}"))
    # A row that leaves it open is asked by a tool first: the server may know no schemas.
    row = provider(server, "openai", structured="json_schema", **PRICE)

    result = make_extractor(server, db, providers=[row]).invoke({"text": statement(0)})

    assert triples(result) == all_on(1)
    assert [one["error_type"] for one in result["attempts"]] == ["UnfitAnswerError", None]
    first, second = server.calls()
    assert "Extraction" in json.dumps(first.body)
    assert "Extraction" not in json.dumps(second.body)
    assert "could not be read as JSON" in said(second)[1]


def test_a_model_that_cannot_be_read_twice_fails_the_chunk(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", reply("I would rather not."))
    graph = make_extractor(server, db, structured=False)

    result = graph.invoke({"text": statement(0)})

    [failed] = result["failed_chunks"]
    assert failed["error_type"] == "MalformedAnswerError"
    assert failed["reason"] == "unreadable twice: the answer contains no JSON object"
    assert len(server.calls()) == len(result["attempts"]) == 2
    graph.invoke({"text": statement(0)})
    assert len(server.calls()) == 4, "an unreadable answer is not kept"


def test_strict_schemas_drop_and_count_and_open_ones_keep(server: LoopbackServer, db: Path) -> None:
    text = "Ada met Bob in Paris. Ada founded Acme. London is large."
    answer = {
        "entities": [
            {"name": "Ada", "type": "person"},
            {"name": "Bob", "type": "Person"},
            {"name": "Paris", "type": "CITY"},
            {"name": "Acme", "type": "Company"},
            {"name": "Zoë", "type": "Person"},
            {"name": "London", "type": "City"},
        ],
        "relations": [
            {"head": "Ada", "relation": "lives in", "tail": "Paris", "quote": "in Paris"},
            {"head": "Paris", "relation": "LIVES_IN", "tail": "Ada", "quote": "in Paris"},
            {"head": "Ada", "relation": "MET", "tail": "Bob", "quote": "Ada met Bob"},
            {"head": "Ada", "relation": "FOUNDED", "tail": "Acme", "quote": "Ada founded Acme"},
            {"head": "Ada", "relation": "LIVES_IN", "tail": "London", "quote": "Ada adores it"},
            {"head": "Ada", "relation": "LIVES_IN", "tail": "Ada", "quote": "Ada"},
        ],
    }
    server.always("openai", reply(answer_on(**answer)))

    strict = make_extractor(server, db).invoke({"text": text})
    open_ = make_extractor(server, db).invoke(
        {"text": text, "schema": {"relations": ["MET"], "strict": False}}
    )

    assert triples(strict) == [("Ada", "LIVES_IN", "Paris")]
    assert {one["type"] for one in strict["entities"]} == {"Person", "City"}
    assert strict["dropped"] == {
        "entity_off_schema": 1,
        "entity_ungrounded": 1,
        "relation_off_schema": 1,
        "relation_to_itself": 1,
        "relation_ungrounded": 1,
        "relation_unknown_entity": 1,
    }
    assert ("Ada", "FOUNDED", "Acme") in triples(open_)
    assert "relation_off_schema" not in open_["dropped"]


def test_known_entities_are_the_only_ones(server: LoopbackServer, db: Path) -> None:
    server.script("openai", reply(answer_on(0, 1)))
    known = [{"name": person(0), "type": "Person"}, {"name": city(0), "type": "City"}]
    text = f"{statement(0)} {statement(1)}"

    result = make_extractor(server, db).invoke({"text": text, "known_entities": known})

    assert triples(result) == all_on(1)
    assert [one["name"] for one in result["entities"]] == [person(0), city(0)]
    assert "Person000 (Person); City000 (City)" in said(server.calls()[0])[0]


def test_documents_may_be_json(server: LoopbackServer, db: Path) -> None:
    server.script("openai", reply(answer_on(0)))
    documents = [{"page_content": statement(0), "metadata": {"source": "a.md"}}]
    result = make_extractor(server, db).invoke({"documents": documents})
    assert result["relations"][0]["evidence"][0]["source"] == "a.md"


def test_the_same_text_is_bought_once_and_found_everywhere(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", reply(answer_on(0)))
    documents = [Document(statement(0)), Document(statement(0)), Document(f"\n\n{statement(0)}")]

    result = make_extractor(server, db).invoke({"documents": documents})

    assert result["chunks"] == len(server.calls()) == 1
    evidence = result["relations"][0]["evidence"]
    assert [(span["document"], span["start"]) for span in evidence] == [(0, 0), (1, 0), (2, 2)]
    assert_grounded(result, documents)


def test_kept_answers_outlive_the_process_and_no_more_than_that(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.always("openai", reply(answer_on(0)))
    store, request = tmp_path / "kept" / "answers.db", {"text": statement(0)}

    def calls_of(changes: Any = None, **more: Any) -> int:
        before = len(server.calls())
        make_extractor(server, db, store=store, **more).invoke({**request, **(changes or {})})
        return len(server.calls()) - before

    other_model = [provider(server, "openai", model="gpt-4.1")]
    assert calls_of() == 1
    assert calls_of() == 0
    assert calls_of({"user_id": "ada"}) == 0
    assert calls_of({"sensitivity": "public"}) == 1
    assert calls_of({"max_output_tokens": 7}) == 1
    assert calls_of(schema={"relations": ["LIVES_IN"]}) == 1
    assert calls_of(providers=other_model) == 1
    assert calls_of(providers=other_model) == 0
    assert store.stat().st_mode & 0o077 == 0
    assert statement(0) not in store.read_bytes().decode("latin-1").replace(answer_on(0), "")


def test_a_router_whose_models_change_is_asked_again(server: LoopbackServer, db: Path) -> None:
    server.always("openai", reply(answer_on(0)))

    def config(model: str) -> Any:
        return make_config(server, db, providers=[provider(server, "openai", model=model)])

    handle = RouterHandle(config("gpt-4o"), environ=KEYS)
    graph = create_relation_extractor(handle, schema=SCHEMA, max_gleanings=0)
    assert "attempt_openai" in graph.get_graph(xray=True).draw_mermaid()

    reused = []
    for model in ("gpt-4o", "gpt-4o", "gpt-4.1", "gpt-4.1", "gpt-4o"):
        handle.reload(config(model))
        reused.append(graph.invoke({"text": statement(0)})["reused"])

    assert reused == [0, 1, 0, 1, 1]
    assert [call.model for call in server.calls()] == ["gpt-4o", "gpt-4.1"]


def test_an_answer_is_kept_for_the_models_of_the_file_as_it_is_now(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.always("openai", reply(answer_on(0)))
    file = tmp_path / "aegis.toml"

    def write(model: str) -> None:
        row = provider(server, "openai", model=model, price="free")
        lines = [f"{key} = {json.dumps(value)}" for key, value in row.items()]
        head = ["budgets = []", "[ledger]", f'url = "sqlite:///{db}"', "[[providers]]"]
        file.write_text("\n".join([*head, *lines]), encoding="utf-8")

    write("gpt-4o")
    handle = RouterHandle(file, watch=True, environ=KEYS)
    graph = create_relation_extractor(handle, schema=SCHEMA, max_gleanings=0)
    reused = []
    for model in ("gpt-4o", "gpt-4.1", "gpt-4o", "gpt-4.1"):
        write(model)
        reused.append(graph.invoke({"text": statement(0)})["reused"])

    assert reused == [0, 0, 1, 1]
    assert [call.model for call in server.calls()] == ["gpt-4o", "gpt-4.1"]


def test_a_store_that_cannot_be_used_says_so(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "answers.db"
    broken.write_text("no database " * 100, encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be used as a store of results"):
        make_extractor(server, db, store=broken).invoke({"text": statement(0)})


def test_german_text_is_asked_about_in_german(server: LoopbackServer, db: Path) -> None:
    server.always("openai", reply(answer_on(**german())))
    text = "Marie wohnt in Köln, und sie ist dort nicht allein."

    result = make_extractor(server, db, max_gleanings=1).invoke({"text": text})

    assert triples(result) == [("Marie", "LIVES_IN", "Köln")]
    first, second = map(said, server.calls())
    assert first[0].startswith("Nenne die Entitäten")
    assert second[3].startswith("Lies den Text noch einmal")


def german() -> dict[str, Any]:
    return {
        "entities": [{"name": "Marie", "type": "Person"}, {"name": "Köln", "type": "City"}],
        "relations": [
            {"head": "Marie", "relation": "LIVES_IN", "tail": "Köln", "quote": "wohnt in Köln"}
        ],
    }


def test_a_users_prompt_wins(server: LoopbackServer, db: Path, tmp_path: Path) -> None:
    (tmp_path / "relation_extractor.en.md").write_text("Find $relations!", encoding="utf-8")
    server.script("openai", reply(answer_on(0)))
    make_extractor(server, db, prompts_folder=tmp_path).invoke({"text": statement(0)})
    assert said(server.calls()[0])[0] == "Find (Person, LIVES_IN, City)!"


@pytest.mark.parametrize("sensitivity", ["confidential", "pii", "hipaa"])
async def test_sensitive_documents_never_reach_a_cloud(
    server: LoopbackServer, db: Path, sensitivity: str
) -> None:
    server.always("ollama", Fault.status(500))
    server.always("openai", reply(answer_on(*range(5))))
    server.always("dashscope", reply(answer_on(*range(5))))
    chain = [provider(server, kind) for kind in ("openai", "ollama", "dashscope")]
    graph = make_extractor(server, db, providers=chain, max_gleanings=1)

    lost = await graph.ainvoke({"documents": people(5), "sensitivity": sensitivity})
    open_ = await graph.ainvoke({"documents": people(1), "sensitivity": "public"})

    assert len(lost["failed_chunks"]) == 5
    assert triples(open_) == all_on(1)
    private = [row for row in rows(db) if row["sensitivity"] == sensitivity]
    assert {row["provider"] for row in private} == {"ollama"}
    assert {asked_about(call) for call in server.calls("openai")} == {statement(0)}
    assert server.calls("dashscope") == ()


async def test_a_document_says_how_private_it_is(server: LoopbackServer, db: Path) -> None:
    server.always("openai", reply(answer_on(0)))
    server.always("ollama", reply(answer_on(0)))
    chain = [provider(server, kind) for kind in ("openai", "ollama")]
    marked = Document(statement(0), metadata={"sensitivity": "pii"})

    result = await make_extractor(server, db, providers=chain).ainvoke({"documents": [marked]})

    assert triples(result) == all_on(1)
    assert server.calls("openai") == ()
    assert {row["sensitivity"] for row in rows(db)} == {"pii"}
    wrong = Document(statement(0), metadata={"sensitivity": "secret"})
    with pytest.raises(InvalidRequestError, match=r"documents\[0\]: sensitivity 'secret'"):
        await make_extractor(server, db, providers=chain).ainvoke({"documents": [wrong]})


async def test_progress_is_on_the_stream(server: LoopbackServer, db: Path) -> None:
    server.script("openai", reply(answer_on(0, 1)), Fault.status(500), Fault.status(500))
    graph = make_extractor(server, db, max_concurrency=1, max_retries=0)

    events = [
        event
        async for event in graph.astream({"documents": people(2)}, stream_mode="custom")
        if event["event"] != "attempt_started"
    ]

    assert events[0] == {"event": "extraction_started", "chunks": 2}
    assert [one["event"] for one in events[1:]] == ["chunk_extracted", "chunk_failed"]
    assert (events[1]["entities"], events[1]["relations"], events[1]["reused"]) == (2, 1, 0)
    assert "every provider failed" in events[2]["reason"]


def test_a_ledger_that_cannot_be_used_is_no_failed_chunk(server: LoopbackServer, db: Path) -> None:
    db.write_text("no database " * 100, encoding="utf-8")
    with pytest.raises(LedgerError):
        make_extractor(server, db).invoke({"text": statement(0)})
    assert server.calls() == ()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "text: empty"),
        ({"text": "  "}, "text: empty"),
        ({"text": 7}, "text: must be a text"),
        ({"documents": [{"text": "x"}]}, r"documents\[0\]: needs a page_content"),
        ({"documents": "x"}, "documents: must be a list"),
        ({"text": "x", "sensitivity": "secret"}, "sensitivity: 'secret' is unknown"),
        ({"text": "x", "known_entities": [{"type": "City"}]}, r"known_entities\[0\]: needs a name"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    server: LoopbackServer, db: Path, request_: Any, message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        make_extractor(server, db).invoke(request_)
    assert server.calls() == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_gleanings": -1}, "max_gleanings: -1 is too small"),
        ({"max_concurrency": 0}, "max_concurrency: 0 is too small"),
        ({"chunk_chars": 10}, "chunk_chars: 10 is too small"),
        ({"schema": {"types": []}}, "schema: types: Extra inputs are not permitted"),
        ({"schema": {"relations": [["A", "B"]]}}, r"schema: relations.0.2: Field required"),
        ({"prompts_folder": "nowhere"}, "nowhere: no such folder of prompts"),
    ],
)
def test_a_wrong_argument_is_refused_when_the_graph_is_built(
    server: LoopbackServer, db: Path, arguments: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_extractor(server, db, **arguments)
