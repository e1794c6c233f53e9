"""Items from files of rows, documents, images and iterables, one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped]
import pytest
from langgraph.graph import START, StateGraph
from pyarrow.parquet import write_table  # type: ignore[import-untyped]
from pydantic import BaseModel

from aegis_graph import (
    RouterConfig,
    create_image_describer,
    create_relation_extractor,
    create_router,
)
from aegis_graph.bulk.graph_source import input_fields
from aegis_graph.bulk.items import item_key
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkItem, JobIdentity
from aegis_graph.bulk.sources import ItemFiles
from aegis_graph.errors import DocumentError, InvalidRequestError, StoreError

TEXTS = {"text", "documents", "user_id"}
IMAGES = {"paths", "images", "kind"}


def items(*paths: str | Path, takes: set[str] | None = TEXTS, **more: Any) -> list[BulkItem]:
    return list(ItemFiles(paths, takes, **more))


def refused(*paths: str | Path, takes: set[str] | None = TEXTS, **more: Any) -> str:
    with pytest.raises((DocumentError, InvalidRequestError)) as caught:
        items(*paths, takes=takes, **more)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_each_row_is_an_item_and_says_where_it_stands(tmp_path: Path) -> None:
    rows = tmp_path / "items.jsonl"
    rows.write_text('\ufeff{"id": "c-17", "text": "Ada"}\n\n{"id": 18, "text": "Bob"}\n')
    [first, second] = items(rows, key="id")
    assert first == BulkItem(key="c-17", input={"text": "Ada"}, source=f"{rows}, line 1")
    assert (second.key, second.source) == ("18", f"{rows}, line 3")


def test_without_a_key_an_item_is_known_by_its_input(tmp_path: Path) -> None:
    rows = tmp_path / "items.jsonl"
    rows.write_text('{"text": "Ada", "page": 1}\n{"page": 2, "text": "Ada"}\n{"text": "Bob"}\n')
    first, twin, other = (item.key for item in items(rows))
    assert first == twin == item_key({"text": "Ada"})
    assert other != first


def test_cells_of_a_csv_file_are_fields_and_empty_ones_are_absent(tmp_path: Path) -> None:
    rows = tmp_path / "items.csv"
    rows.write_text('id,text,user_id\n1,"Ada,\nand Bob",\n2,Carol,eve\n', encoding="utf-8-sig")
    [first, second] = items(rows, key="id")
    assert first.input == {"text": "Ada,\nand Bob"}
    assert first.source == f"{rows}, line 2"
    assert (second.input, second.source) == (
        {"text": "Carol", "user_id": "eve"},
        f"{rows}, line 4",
    )


def test_a_cell_may_hold_a_whole_document(tmp_path: Path) -> None:
    rows = tmp_path / "items.tsv"
    rows.write_text("id\ttext\n1\t" + "a" * 300_000 + "\n")
    [only] = items(rows, key="id")
    assert len(only.input["text"]) == 300_000


def test_parquet_has_fields_of_json(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "id": list(range(600)),
            "text": ["Ada"] * 600,
            "user_id": [None] * 600,
            "documents": [[{"paid": Decimal("1.50"), "on": date(2026, 11, 23)}]] * 600,
        }
    )
    write_table(table, tmp_path / "items.parquet")
    found = items(tmp_path / "items.parquet", key="id")
    assert [item.key for item in found] == [str(number) for number in range(600)]
    assert found[599].source == f"{tmp_path}/items.parquet, row 600"
    assert found[0].input == {"text": "Ada", "documents": [{"paid": "1.50", "on": "2026-11-23"}]}


def test_documents_are_read_one_after_the_other_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Ada was born in London.")
    (tmp_path / "b.md").write_bytes(b"\0\1\2")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.txt").write_text("Bob")
    files = ItemFiles([tmp_path], TEXTS, key="source")
    read = iter(files)
    assert next(read).key == "a.md"
    # Not read yet.
    (tmp_path / "sub" / "c.txt").write_text("Carol")
    [last] = read
    document = {"page_content": "Carol", "metadata": {"source": "sub/c.txt"}}
    assert last == BulkItem(key="sub/c.txt", input={"documents": [document]}, source="sub/c.txt")
    assert [one.source for one in files.skipped] == ["b.md"]
    [whole, _] = items(tmp_path, takes={"text"})
    assert whole.input == {"text": "Ada was born in London."}


def test_an_image_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"first")
    (tmp_path / "note.txt").write_text("no image")
    [before] = items(tmp_path, takes=IMAGES, fields={"kind": "text"})
    assert before.input == {"paths": [str(tmp_path / "a.png")], "kind": "text"}
    (tmp_path / "a.png").write_bytes(b"second")
    [after] = items(tmp_path, takes=IMAGES, fields={"kind": "text"})
    assert after.input == before.input
    assert after.key != before.key


def test_two_images_of_one_name_are_two_items(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(folder.encode())
    found = items(
        tmp_path / "x", tmp_path / "y", tmp_path / "x" / "a.png", takes=IMAGES, key="source"
    )
    assert [(item.source, item.key.partition("@")[0]) for item in found] == [
        ("x/a.png", "x/a.png"),
        ("y/a.png", "y/a.png"),
    ]


def test_a_pattern_names_files_and_a_name_with_its_signs_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    for name in ("b.md", "a.md", "c [1].md"):
        (tmp_path / "corpus" / name).write_text(name)
    found = items(f"{tmp_path}/corpus/*.md", f"{tmp_path}/corpus/c [1].md", key="source")
    assert [item.key for item in found] == ["a.md", "b.md", "c [1].md"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"text": "Bob"', "is no JSON (Expecting ',' delimiter); correct the line"),
        ('["Bob"]', 'must be a JSON object, like {"text": "..."}'),
        ('{"text": NaN}', "is no JSON (NaN is no number of JSON); correct the line"),
        ('{"text": "\udc80"}', "is not UTF-8; save the file as UTF-8"),
        ("[" * 100_000, "is nested too deeply; flatten it"),
        ('{"page": 7}', "the graph takes documents, text, user_id"),
    ],
)
def test_a_bad_line_is_named_with_what_to_do(tmp_path: Path, line: str, why: str) -> None:
    rows = tmp_path / "items.jsonl"
    rows.write_bytes(f'{{"text": "Ada"}}\n{line}\n'.encode(errors="surrogateescape"))
    assert refused(rows) == f"{rows}, line 2: {why}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", ": is empty; its first line names the columns"),
        ("text,text\n", ", line 1: each column needs a name of its own"),
        (
            "id,text\n1,Ada, and Bob\n",
            ", line 2: has 3 cells under 2 columns; quote cells with a delimiter, a quote or a line"
            " break in them",
        ),
        ('id,text\n1,"Ada', ", line 2: unexpected end of data; correct the line"),
        ("id,text\n1,\udcff\n", ", about line 1: is not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_bad_csv_file_is_named_with_the_line(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "items.csv").write_bytes(text.encode(errors="surrogateescape"))
    assert refused(tmp_path / "items.csv") == f"{tmp_path}/items.csv{why}"


def test_a_bad_parquet_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(b"PAR1")
    why = "not a readable Parquet file (ArrowInvalid); write it again"
    assert refused(tmp_path / "items.parquet") == f"{tmp_path}/items.parquet: {why}"
    write_table(pyarrow.table({"text": [b"\0"]}), tmp_path / "items.parquet")
    why = "a column of bytes is no JSON; leave it out"
    assert refused(tmp_path / "items.parquet") == f"{tmp_path}/items.parquet, row 1: {why}"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"text": "Ada"}, "has no 'id' to be its key; it has text"),
        *(
            (
                {"text": "Ada", "id": value},
                f"the key {value!r:.60} is no printable text of 1 to 128 characters",
            )
            for value in ("", "a\nb", "a" * 129, True, 1.5, ["a"], None)
        ),
    ],
)
def test_a_key_must_be_there_and_be_one(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps(row))
    assert refused(tmp_path / "items.jsonl", key="id") == f"{tmp_path}/items.jsonl, line 1: {why}"


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert refused() == "no items: name at least one file or folder"
    pattern = f"{tmp_path}/*.md"
    assert refused(pattern) == f"{pattern}: no file has such a name; check the pattern"
    gone = tmp_path / "gone.jsonl"
    assert refused(gone) == f"{gone}: no such file or directory; check the path"
    folder = tmp_path / "gone"
    for takes in (TEXTS, IMAGES):
        why = "no such file or folder; check the path"
        assert refused(folder, takes=takes) == f"{folder}: {why}"
    assert refused(tmp_path, takes=IMAGES) == f"{tmp_path}: no images in this folder"
    (tmp_path / "a.md").write_bytes(b"\0")
    assert refused(tmp_path).startswith("a.md: ")


def test_a_graph_that_takes_no_documents_says_what_it_takes(tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text("Ada")
    assert refused(note, takes={"question"}) == (
        f"{note}: the graph takes no documents; name a file of rows (.jsonl, .ndjson, .csv, .tsv,"
        " .parquet): the graph takes question"
    )
    assert (
        refused(note, fields={"kind": "text"}) == "kind: the graph takes documents, text, user_id"
    )


def test_the_form_of_an_input_is_that_of_the_graph() -> None:
    router = create_router(RouterConfig.load(environ={}))
    assert {"text", "documents"} <= (input_fields(create_relation_extractor(router)) or set())
    assert {"paths", "kind"} <= (input_fields(create_image_describer(router)) or set())
    assert {"messages", "task"} <= (input_fields(router) or set())


class City(BaseModel):
    name: str


class Harbour(City):
    on_ship: Callable[[str], None]


def test_the_form_of_an_input_has_what_it_inherits_and_what_no_json_schema_has() -> None:
    graph = StateGraph(Harbour).add_node("see", lambda state: state).add_edge(START, "see")
    assert input_fields(graph.compile()) == frozenset({"name", "on_ship"})


def test_a_key_that_comes_twice_with_another_input_is_refused_by_its_line(tmp_path: Path) -> None:
    rows = tmp_path / "items.jsonl"
    rows.write_text(
        '{"id": 1, "text": "Ada"}\n{"id": 1, "text": "Ada"}\n{"id": 1, "text": "Bob"}\n'
    )
    (tmp_path / "out").mkdir()
    queue = WorkQueue(tmp_path / "out", JobIdentity(name="letters"))
    with pytest.raises(StoreError) as caught:
        queue.add(ItemFiles([rows], TEXTS, key="id"))
    assert "items.jsonl, line 3" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert queue.facts().total == 0
    queue.close()


def test_a_file_that_changed_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"first")
    (tmp_path / "out").mkdir()
    queue = WorkQueue(tmp_path / "out", JobIdentity(name="images"))
    assert queue.add(ItemFiles([tmp_path / "a.png"], IMAGES)) == 1
    assert queue.add(ItemFiles([tmp_path / "a.png"], IMAGES)) == 0
    (tmp_path / "a.png").write_bytes(b"second")
    with pytest.raises(StoreError, match=r"^a\.png: another item"):
        queue.add(ItemFiles([tmp_path / "a.png"], IMAGES))
    queue.close()
