from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from aegis_graph import create_bulk, create_relation_extractor
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkItem
from aegis_graph.bulk.results import ResultParts
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.bulk.bulk_support import ANSWER, NANO, asked, prompt, result_rows, routed
from tests.flow.bulk.test_bulk import QUICK, cities
from tests.flow.support import read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "parts").iterdir())


def test_parts_are_whole_while_the_job_goes_on_and_one_file_at_its_end(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    job.part_rows = 4
    job.run(cities(10), max_cost_usd="0.009", concurrency=1)
    assert parts(folder) == ["part-00001.jsonl", "part-00002.jsonl", "part-00003.jsonl"]
    assert len(result_rows(folder)) == 9
    assert read(folder / "job.sqlite", "SELECT count(*) AS n FROM items WHERE output > ''") == [
        {"n": 0}
    ]
    job.run(max_cost_usd="1")
    assert parts(folder) == []
    assert len({row["key"] for row in result_rows(folder)}) == 10
    assert (folder / "results.jsonl").stat().st_mode & 0o077 == 0


def test_results_of_items_that_are_added_later_are_joined(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    job.run(cities(3))
    job.run(cities(5))
    job.run(cities(6))
    assert len({row["key"] for row in result_rows(folder)}) == len(result_rows(folder)) == 6


def test_a_crash_after_a_part_was_named_writes_the_same_part_again(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    job.run(cities(6), max_cost_usd="0.004", concurrency=1)
    before = (folder / "parts" / "part-00001.jsonl").read_bytes()
    queue = WorkQueue.open(folder)
    with queue.file.writing() as connection:
        # As it is between the file's name and the transaction that follows.
        connection.execute("UPDATE items SET output = '\"Paris\"' WHERE part = 1")
    ResultParts(queue).export_rest()
    after = (folder / "parts" / "part-00001.jsonl").read_bytes()
    assert after.count(b"\n") == before.count(b"\n") == 4
    assert len(result_rows(folder)) == 4
    queue.close()


def test_results_as_parquet_have_exact_money(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    def answer(call: Any) -> Any:
        return Fault.status(400) if prompt(call) == "city 1?" else ANSWER

    server.always("openai", answer)
    job = create_bulk(routed(server, db), name="cities", results=folder, format="parquet")
    job.part_rows = 2
    job.run(cities(5), max_attempts=1)
    server.always("openai", ANSWER)
    job.retry()
    job.run()
    table = pyarrow.parquet.read_table(folder / "results.parquet").to_pylist()
    assert len({row["key"] for row in table}) == 5
    assert {row["cost_usd"] for row in table} == {Decimal("0.001000000")}
    assert all('"Paris"' in row["output"] and row["error"] is None for row in table)


def test_results_say_where_their_items_are_from(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    asks = {"messages": [("user", "city 1?")]}
    job.run([BulkItem("one", asks, "cities.csv, line 2"), *cities(1)])
    assert [row["source"] for row in result_rows(folder)] == ["cities.csv, line 2", None]


def test_parquet_that_an_earlier_version_wrote_has_no_source(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder, format="parquet")
    file = folder / "results.parquet"
    job.run(cities(2))
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(file).drop_columns(["source"]), file)
    job.run([BulkItem("new", {"messages": [("user", "city 9?")]}, "cities.csv, line 9")])
    found = pyarrow.parquet.read_table(file).to_pylist()
    assert [row["source"] for row in found] == [None, None, "cities.csv, line 9"]
    assert {row["cost_usd"] for row in found} == {Decimal("0.001000000")}


def test_outputs_are_json_that_other_programs_read(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", ANSWER)

    def odd(state: Any) -> Any:
        return {"score": math.nan, "all": [math.inf, 1.5, "NaN"]}

    create_bulk(routed(server, db), name="cities", results=folder, output=odd).run(cities(1))
    assert result_rows(folder)[0]["output"] == {"score": None, "all": [None, 1.5, "NaN"]}


def test_what_is_kept_of_an_output_can_be_chosen(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    server.always("openai", Reply("Café", input_tokens=1, output_tokens=1))

    def text(state: Any) -> str:
        # With half a character, which no file in UTF-8 can have.
        return f"{state['messages'][-1].text} \ud83d"

    create_bulk(routed(server, db), name="cities", results=folder, output=text).run(cities(1))
    assert result_rows(folder)[0]["output"] == "Café \ud83d"


def test_a_forecast_buys_nothing_twice(server: LoopbackServer, db: Path, folder: Path) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="cities", results=folder)
    forecast = job.forecast(cities(40), sample=10, concurrency=4)
    assert len(server.calls()) == 10
    assert (forecast.total, forecast.sample) == (40, 10)
    assert forecast.cost_usd == forecast.most_cost_usd == Decimal("0.04")
    assert 0 <= forecast.least_seconds <= forecast.seconds <= forecast.most_seconds
    # By chance, and the same ones again: not the first ten.
    assert set(asked(server)) != set(cities(10))
    assert job.forecast(sample=10).sample == 10
    assert len(server.calls()) == 10
    summary = job.run()
    assert summary.progress.spent_nano_usd == 40 * NANO
    assert asked(server) == dict.fromkeys(cities(40), 1)


def test_a_component_counts_in_the_job_and_its_store_keeps_what_was_paid(
    server: LoopbackServer, db: Path, folder: Path, tmp_path: Path
) -> None:
    found = '{"entities": [], "relations": []}'
    server.always("openai", Reply(found, input_tokens=10, output_tokens=1))
    graph = create_relation_extractor(routed(server, db), store=tmp_path / "answers.db")
    job = create_bulk(graph, name="relations", results=folder)
    items = [{"text": f"Ada lives in city {number}."} for number in range(6)]
    summary = job.run(items, concurrency=2)
    assert summary.progress.done == 6
    assert {row["cost_usd"] for row in result_rows(folder)} <= {"0.001", "0.002"}
    rows = read(db, "SELECT run_id, tags FROM requests")
    assert {row["run_id"].split("/")[0] for row in rows} == {"relations"}
    calls = len(server.calls())
    again = create_bulk(graph, name="relations", results=tmp_path / "again")
    again.run(items)
    assert len(server.calls()) == calls


def test_a_component_that_answers_without_a_model_is_not_done(
    server: LoopbackServer, db: Path, folder: Path
) -> None:
    graph = create_relation_extractor(routed(server, db))
    server.always("openai", Reply('{"entities": [], "relations": []}', output_tokens=1))
    job = create_bulk(graph, name="relations", results=folder)
    items = [{"text": f"Ada lives in city {number}."} for number in range(6)]
    summary = job.run(items, max_cost_usd="0", concurrency=2)
    assert (summary.progress.state, summary.progress.done) == ("money_ended", 0)
    assert summary.progress.pending == 6
    summary = job.run(max_cost_usd="1", settings=QUICK)
    assert (summary.progress.state, summary.progress.done) == ("finished", 6)
