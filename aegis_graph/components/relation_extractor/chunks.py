"""Cuts what is to be extracted from into chunks, each an exact piece of its document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from aegis_graph.components.documents.langchain import read_documents
from aegis_graph.components.documents.splitting import split_passages
from aegis_graph.components.relation_extractor.records import Chunk, KnownEntity, Place
from aegis_graph.errors import InvalidRequestError


def documents_of(state: Mapping[str, Any]) -> list[Document]:
    """The documents of a request: its ``text``, then its ``documents``, which may be JSON.

    Raises:
        InvalidRequestError: There are none, or one is no document.
    """
    text = state.get("text")
    if text is not None and not isinstance(text, str):
        raise InvalidRequestError("text: must be a text")
    documents = [Document(text, metadata={"source": "text"})] if text and text.strip() else []
    documents += read_documents(state.get("documents") or [])
    if not any(document.page_content.strip() for document in documents):
        raise InvalidRequestError("text: empty; give a text, or documents with some")
    return documents


def read_entities(value: Any) -> list[KnownEntity]:
    """The entities that the caller knows.

    Raises:
        InvalidRequestError: One has no name.
    """
    entities: list[KnownEntity] = []
    for number, given in enumerate(value or []):
        row = {"name": given} if isinstance(given, str) else given
        name = row.get("name") if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not name.strip():
            raise InvalidRequestError(f"known_entities[{number}]: needs a name")
        aliases = [alias for alias in row.get("aliases") or [] if isinstance(alias, str)]
        entities.append(KnownEntity(name=name, type=str(row.get("type") or ""), aliases=aliases))
    return entities


def cut_into_chunks(documents: Sequence[Document], size: int) -> list[Chunk]:
    """Chunks of about ``size`` characters, in order; the same text makes one chunk only.

    They end between paragraphs or sentences. A statement that spans two chunks is not found.
    """
    chunks: dict[str, Chunk] = {}
    for number, document in enumerate(documents):
        text = document.page_content
        source = str(document.metadata.get("source") or f"document {number + 1}")
        for begin, end in _packed(text, size):
            # A text from JSON may have lone surrogates, which UTF-8 refuses.
            name = hashlib.sha256(text[begin:end].encode(errors="surrogatepass")).hexdigest()[:16]
            # The same text is bought once, and found at each of its places.
            chunk = chunks.setdefault(name, Chunk(id=name, text=text[begin:end], places=[]))
            chunk["places"].append(Place(source=source, document=number, start=begin))
    return list(chunks.values())


def _packed(text: str, size: int) -> Iterator[tuple[int, int]]:
    """Spans of neighbouring passages that fill a chunk each."""
    begin = end = -1
    for passage in split_passages(text, source=""):
        last = passage.start + len(passage.text)
        if begin >= 0 and last - begin > size:
            yield begin, end
            begin = -1
        if begin < 0:
            begin = passage.start
        end = last
    if begin >= 0:
        yield begin, end
