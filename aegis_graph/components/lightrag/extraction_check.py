"""Finds the documents that are done, and of which nothing or not all was extracted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aegis_graph.components.lightrag.documents import given_name, status_word

_ROW = ("<|#|>", '"name"')
"""What an answer with an entity holds: LightRAG's delimiter, or the key of its JSON form."""

_STAGES = {"initial": "extract", "gleaning": "glean", "summary": "summary"}
"""LightRAG's words for where an answer was cut, and the operations whose caps they are."""

NOTHING_FOUND = (
    "no entity was found in it, so only the mode naive finds it; delete it and add it again with"
    " another model for extract"
)


async def extraction_warnings(
    rag: Any, records: Mapping[str, Any], *, read_now: Collection[str] = ()
) -> dict[str, str]:
    """By name, why a document that is done may not be found as it should.

    Args:
        rag: LightRAG's object, open.
        records: Its records of documents, by its identifiers.
        read_now: Identifiers of those whose answers are looked at one by one.
    """
    done = {key: one for key, one in records.items() if status_word(one.status) == "processed"}
    ids = list(done)
    found = dict(zip(ids, await rag.full_entities.get_by_ids(ids), strict=True)) if ids else {}
    warnings: dict[str, str] = {}
    for doc_id, record in done.items():
        parts = _cut(record)
        # Without a row LightRAG has not looked for any, as for a document of an older version.
        if found[doc_id] is not None and not found[doc_id].get("entity_names"):
            parts.insert(0, NOTHING_FOUND)
        elif doc_id in read_now:
            parts += await _without_rows(rag, record)
        if parts:
            warnings[given_name(record.file_path)] = "; ".join(parts)
    return warnings


def _cut(record: Any) -> list[str]:
    counts = _truncation(record).get("stages") or {}
    return [
        f"answers cut at the cap of output tokens: {count}; raise"
        f" LightRAGSettings.output_tokens[{_STAGES.get(stage, stage)!r}]"
        for stage, count in counts.items()
    ]


def _truncation(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = (record.metadata or {}).get("llm_truncation") or {}
    return found


async def _without_rows(rag: Any, record: Any) -> list[str]:
    """Whether pieces of the document were answered without a single entity."""
    # An answer that was cut is not in LightRAG's cache.
    unknown = set(_truncation(record).get("samples") or [])
    ids = [chunk for chunk in record.chunks_list or [] if chunk not in unknown]
    chunks = await rag.text_chunks.get_by_ids(ids)
    empty = 0
    for chunk in filter(None, chunks):
        kept = await rag.llm_response_cache.get_by_ids(list(chunk.get("llm_cache_list") or []))
        answers = [str(one.get("return")) for one in kept if one]
        empty += bool(answers) and not any(row in text for text in answers for row in _ROW)
    count = len(record.chunks_list or [])
    return [f"no entity was found in {empty} of its {count} pieces"] if empty else []
