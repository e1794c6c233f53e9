"""LangChain documents as the numbered passages of a prompt, and passages as documents.

A document's metadata may name its ``source``, its ``page`` (counted from 0, as LangChain's loaders
do) or ``page_label``, as ``start_index`` where its text begins in the whole document, and as
``sensitivity`` how private it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from aegis_graph.errors import InvalidRequestError
from aegis_graph.text.passages import Passage
from aegis_graph.types import DEFAULT_SENSITIVITY, SENSITIVITIES


def document_of(passage: Passage) -> Document:
    """A passage as any LangChain component knows it."""
    place: dict[str, Any] = {
        "source": passage.source,
        "start_index": passage.start,
        "heading": passage.heading,
    }
    if passage.page is not None:
        # LangChain's loaders count pages from 0; the label is what a reader sees.
        place |= {"page": passage.page - 1, "page_label": str(passage.page)}
    if passage.slide is not None:
        place["slide"] = passage.slide
    if passage.sheet:
        place["sheet"] = passage.sheet
    if passage.lines is not None:
        # A list, because metadata goes through JSON.
        place["lines"] = list(passage.lines)
    return Document(passage.text, metadata=place)


def passages_of(documents: Sequence[Document]) -> list[Passage]:
    """Documents as passages, in the same order: number ``n`` is document ``n - 1``."""
    return [
        Passage(
            source=_source(document, n),
            text=document.page_content,
            start=_as_int(document.metadata.get("start_index")) or 0,
            page=_page(document.metadata),
            heading=str(document.metadata.get("heading") or ""),
            slide=_as_int(document.metadata.get("slide")),
            sheet=str(document.metadata.get("sheet") or ""),
            lines=_lines(document.metadata.get("lines")),
        )
        for n, document in enumerate(documents, start=1)
    ]


def read_documents(given: object) -> list[Document]:
    """The documents of a component's input, which come as dicts from Studio and over HTTP.

    Raises:
        InvalidRequestError: One of them is no document.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InvalidRequestError("documents: must be a list of LangChain documents")
    return [_document(one, place) for place, one in enumerate(given)]


def with_highest_sensitivity(
    options: Mapping[str, Any], documents: Sequence[Document]
) -> dict[str, Any]:
    """A request's options, as private as the most private of its documents.

    A document says how private it is by ``sensitivity`` in its metadata.

    Raises:
        InvalidRequestError: One of them says something unknown.
    """
    levels = [options.get("sensitivity") or DEFAULT_SENSITIVITY]
    for place, document in enumerate(documents):
        level = document.metadata.get("sensitivity")
        if level is not None and level not in SENSITIVITIES:
            known = ", ".join(SENSITIVITIES)
            raise InvalidRequestError(
                f"documents[{place}]: sensitivity {level!r} is unknown; use one of {known}"
            )
        levels += [level] if level else []
    highest = max(levels, key=SENSITIVITIES.index)
    return {**options, "sensitivity": highest} if highest != levels[0] else dict(options)


def _document(given: object, place: int) -> Document:
    if isinstance(given, Document):
        return given
    if isinstance(given, Mapping):
        # As the documents are serialised, or as a person writes them.
        fields = given["kwargs"] if isinstance(given.get("kwargs"), Mapping) else given
        text, metadata = fields.get("page_content"), fields.get("metadata") or {}
        if isinstance(text, str) and isinstance(metadata, Mapping):
            return Document(text, metadata=dict(metadata))
    raise InvalidRequestError(f"documents[{place}]: needs a page_content, and metadata if any")


def _source(document: Document, n: int) -> str:
    named = document.metadata.get("source") or document.metadata.get("title") or document.id
    return str(named or f"document {n}")


def _page(metadata: Mapping[str, Any]) -> int | None:
    label = _as_int(metadata.get("page_label"))
    page = _as_int(metadata.get("page"))
    # The label is the number that is printed on the page, where the loader knows it.
    return label if label is not None or page is None else page + 1


def _lines(value: object) -> tuple[int, int] | None:
    match value:
        case [int(first), int(last)]:
            return first, last
    return None


def _as_int(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
