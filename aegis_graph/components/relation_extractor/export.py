"""Hands extracted relations on: as a networkx graph, and as files that Neo4j imports."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aegis_graph.components.relation_extractor.records import Entity, Relation, Span
from aegis_graph.text.spreadsheet import escape_formula

NODES, RELATIONSHIPS = "nodes.csv", "relationships.csv"

_NODE_HEADER = (
    *("id:ID", "name:string", "type:string", "aliases:string[]", "mentions:int"),
    *("source:string", "start:int", "end:int", "quote:string", ":LABEL"),
)
_RELATIONSHIP_HEADER = (
    *(":START_ID", ":END_ID", ":TYPE", "relation:string", "evidence:int"),
    *("source:string", "start:int", "end:int", "quote:string"),
)
"""Source: https://neo4j.com/docs/operations-manual/current/import/"""

_ARRAY_DELIMITER = ";"
"""Neo4j's own default."""


def to_networkx(result: Mapping[str, Any]) -> Any:
    """The relations as a ``networkx.MultiDiGraph`` whose nodes are the entities' ids.

    Nodes carry ``name``, ``type``, ``aliases`` (joined by ``; ``), ``mentions`` (how many) and the
    first mention's ``source``, ``start``, ``end`` and ``quote``; edges, whose key is the relation,
    carry ``relation``, ``evidence`` (how many) and the first evidence likewise. All are text or
    numbers, which every writer of networkx takes.

    Args:
        result: What the relation extractor gave.

    Raises:
        ModuleNotFoundError: networkx is missing; the message has the line that installs it.

    Example:
        >>> graph = to_networkx({"entities": [], "relations": []})
        >>> graph.number_of_nodes()
        0
    """
    try:
        import networkx  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "a graph needs networkx: pip install 'aegis-graph[networkx]'", name=missing.name
        ) from missing
    graph = networkx.MultiDiGraph()
    for entity in result["entities"]:
        aliases = "; ".join(entity["aliases"])
        facts = {"name": entity["name"], "type": entity["type"], "aliases": aliases}
        mentions = entity["mentions"]
        graph.add_node(entity["id"], **facts, mentions=len(mentions), **_where(mentions))
    for relation in result["relations"]:
        graph.add_edge(
            relation["head_id"],
            relation["tail_id"],
            key=relation["relation"],
            relation=relation["relation"],
            evidence=len(relation["evidence"]),
            **_where(relation["evidence"]),
        )
    return graph


def to_neo4j_csv(result: Mapping[str, Any], folder: str | Path) -> tuple[Path, Path]:
    """Write ``nodes.csv`` and ``relationships.csv`` with the headers of ``neo4j-admin import``.

    Import them with ``neo4j-admin database import full --nodes=nodes.csv
    --relationships=relationships.csv``. Names come from documents, so they are made harmless:
    labels and relationship types keep letters, digits and underscores; a line break becomes a
    space, and a ``;`` in an alias a comma; and a cell that a spreadsheet would run as a formula
    gets an apostrophe in front.

    Args:
        result: What the relation extractor gave.
        folder: Where to write; made when it is not there. Files of these names are replaced.

    Returns:
        The two files.

    Example:
        >>> to_neo4j_csv(result, "export")  # doctest: +SKIP
        (PosixPath('export/nodes.csv'), PosixPath('export/relationships.csv'))
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    nodes, relationships = target / NODES, target / RELATIONSHIPS
    _write(nodes, _NODE_HEADER, map(_node, result["entities"]))
    _write(relationships, _RELATIONSHIP_HEADER, map(_relationship, result["relations"]))
    return nodes, relationships


def _node(entity: Entity) -> list[str | int]:
    aliases = [_cell(one).replace(_ARRAY_DELIMITER, ",") for one in entity["aliases"]]
    where = _where(entity["mentions"])
    return [
        *(entity["id"], _cell(entity["name"]), _cell(entity["type"])),
        _cell(_ARRAY_DELIMITER.join(aliases)),
        *(len(entity["mentions"]), *_cells(where)),
        _label(entity["type"], "Entity"),
    ]


def _relationship(relation: Relation) -> list[str | int]:
    where = _where(relation["evidence"])
    return [
        *(relation["head_id"], relation["tail_id"]),
        _label(relation["relation"], "RELATED_TO"),
        *(_cell(relation["relation"]), len(relation["evidence"]), *_cells(where)),
    ]


def _where(spans: Sequence[Span]) -> dict[str, str | int]:
    first = spans[0]
    return {key: first[key] for key in ("source", "start", "end", "quote")}


def _cells(values: Mapping[str, str | int]) -> list[str | int]:
    return [_cell(value) if isinstance(value, str) else value for value in values.values()]


def _cell(text: str) -> str:
    """One line, without what a spreadsheet runs or a CSV reader stops at."""
    return escape_formula(re.sub(r"[\r\n\t\x00\u2028\u2029]+", " ", text))


def _label(text: str, otherwise: str) -> str:
    label = re.sub(r"\W+", "_", text).strip("_")
    return f"_{label}" if label[:1].isdigit() else label or otherwise


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    # A lone surrogate cannot be written, and must not end the export; csv makes its line ends
    # itself.
    with path.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
