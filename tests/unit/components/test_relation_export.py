"""Relations as a graph and as Neo4j's files."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx  # type: ignore[import-untyped]
import pytest

from aegis_graph import to_neo4j_csv, to_networkx


def span(quote: str, start: int = 0) -> dict[str, Any]:
    end = start + len(quote)
    return {"source": "a.txt", "document": 0, "start": start, "end": end, "quote": quote}


def entity(number: int, name: str, label: str, *aliases: str) -> dict[str, Any]:
    return {
        "id": f"e{number}",
        "name": name,
        "type": label,
        "aliases": list(aliases),
        "mentions": [span(name, 3), span(name, 30)],
    }


def result(*entities: dict[str, Any], relation: str = "KNOWS") -> dict[str, Any]:
    row = {
        "head": entities[0]["name"],
        "head_id": "e1",
        "relation": relation,
        "tail": entities[1]["name"],
        "tail_id": "e2",
        "evidence": [span("she knows", 7)],
    }
    return {"entities": list(entities), "relations": [row]}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_networkx_and_all_of_its_writers_take_it(tmp_path: Path) -> None:
    graph = to_networkx(result(entity(1, "Ada", "Person", "A.", "Lady"), entity(2, "Bob", "")))

    assert graph.nodes["e1"] == {
        "name": "Ada",
        "type": "Person",
        "aliases": "A.; Lady",
        "mentions": 2,
        "source": "a.txt",
        "start": 3,
        "end": 6,
        "quote": "Ada",
    }
    [(head, tail, key, facts)] = graph.edges(keys=True, data=True)
    assert (head, tail, key) == ("e1", "e2", "KNOWS")
    assert (facts["relation"], facts["evidence"], facts["quote"]) == ("KNOWS", 1, "she knows")
    networkx.write_graphml(graph, tmp_path / "g.graphml")
    networkx.write_gexf(graph, tmp_path / "g.gexf")
    assert networkx.read_graphml(tmp_path / "g.graphml").number_of_edges() == 1


def test_neo4j_reads_its_headers(tmp_path: Path) -> None:
    found = result(entity(1, "Ada", "Person", "A.", "Lady"), entity(2, "Bob", "Home Owner"))

    nodes, relationships = to_neo4j_csv(found, tmp_path / "new" / "folder")

    assert [path.name for path in (nodes, relationships)] == ["nodes.csv", "relationships.csv"]
    first, second = read(nodes)
    assert first == {
        "id:ID": "e1",
        "name:string": "Ada",
        "type:string": "Person",
        "aliases:string[]": "A.;Lady",
        "mentions:int": "2",
        "source:string": "a.txt",
        "start:int": "3",
        "end:int": "6",
        "quote:string": "Ada",
        ":LABEL": "Person",
    }
    assert second[":LABEL"] == "Home_Owner"
    [edge] = read(relationships)
    assert (edge[":START_ID"], edge[":END_ID"], edge[":TYPE"]) == ("e1", "e2", "KNOWS")
    assert (edge["start:int"], edge["quote:string"]) == ("7", "she knows")


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ('say "hi", now', 'say "hi", now'),
        ("two\r\nlines", "two lines"),
        ("nul\x00byte", "nul byte"),
        ("half \ud800 a pair", "half ? a pair"),
    ],
)
def test_what_stands_in_a_document_runs_nothing(tmp_path: Path, name: str, cell: str) -> None:
    found = result(entity(1, name, "P", f"{name};x"), entity(2, "Bob", "P"))
    nodes, relationships = to_neo4j_csv(found, tmp_path)
    assert read(nodes)[0]["name:string"] == cell
    assert read(nodes)[0]["aliases:string[]"] == f"{cell},x"
    assert len(nodes.read_text(encoding="utf-8").splitlines()) == 3
    assert len(relationships.read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize(
    ("label", "safe"),
    [
        ("KNOWS", "KNOWS"),
        ("kennt über", "kennt_über"),
        ("X`) DETACH DELETE (n", "X_DETACH_DELETE_n"),
        ("A;B", "A_B"),
        ("1st", "_1st"),
        ("!!", "RELATED_TO"),
    ],
)
def test_a_relation_makes_one_harmless_type(tmp_path: Path, label: str, safe: str) -> None:
    found = result(entity(1, "Ada", ";"), entity(2, "Bob", "P"), relation=label)
    nodes, relationships = to_neo4j_csv(found, tmp_path)
    assert read(relationships)[0][":TYPE"] == safe
    assert read(relationships)[0]["relation:string"] == label
    assert read(nodes)[0][":LABEL"] == "Entity"


def test_without_networkx_the_error_says_what_installs_it() -> None:
    program = (
        "import sys; sys.modules['networkx'] = None\n"
        "from aegis_graph import to_networkx\n"
        "to_networkx({'entities': [], 'relations': []})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "pip install 'aegis-graph[networkx]'" in done.stderr
