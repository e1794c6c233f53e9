"""Embeds what an index has no vectors of yet: each text once, kept as soon as it is paid for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from uuid import uuid4

from langchain_core.embeddings import Embeddings

from aegis_graph.components.index.database import IndexFile
from aegis_graph.components.index.report import EmbedReport
from aegis_graph.components.index.rows import FoundPassage
from aegis_graph.components.index.schema import ROW
from aegis_graph.components.index.texts import digest_of
from aegis_graph.components.index.vector_store import keep_vectors
from aegis_graph.components.index.vectors import unit_blob
from aegis_graph.components.retriever.embedder import RequestEmbedder
from aegis_graph.embeddings import RoutedEmbeddings
from aegis_graph.errors import RoutingError
from aegis_graph.text.passages import text_in_place
from aegis_graph.types import DEFAULT_SENSITIVITY, SENSITIVITIES, AttemptRecord, Sensitivity

_CHUNK = 256
"""Texts that are read and embedded together: several calls of the provider."""
_LEVEL = "CASE coalesce(d.sensitivity, '{default}') {cases} END".format(
    default=DEFAULT_SENSITIVITY,
    cases=" ".join(f"WHEN '{level}' THEN {rank}" for rank, level in enumerate(SENSITIVITIES)),
)


def space_name(embeddings: Embeddings) -> str:
    """What vectors are compared with: those of the same model and length.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> space_name(DeterministicFakeEmbedding(size=8))
        'langchain_core.embeddings.fake.DeterministicFakeEmbedding'
    """
    if isinstance(embeddings, RoutedEmbeddings):
        name, dimensions = embeddings.spec.vector_space
        return f"{name}/{dimensions}"
    model = getattr(embeddings, "model", None) or getattr(embeddings, "model_name", None)
    kind = type(embeddings)
    whole = f"{kind.__module__}.{kind.__qualname__}"
    return f"{whole}/{model}" if isinstance(model, str) else whole


@dataclass
class EmbeddingRun:
    """One run over what is left; ``run`` does it."""

    file: IndexFile
    connection: sqlite3.Connection
    embeddings: Embeddings
    location: Literal["local", "cloud"]
    """Where embeddings run that do not go through the router."""
    options: Mapping[str, Any]
    """The envelope, the user and the tags of the calls."""
    on_texts: Any = None
    """Called with how many texts are done, and how many there are."""
    attempts: list[AttemptRecord] = field(default_factory=list)
    reasons: dict[str, None] = field(default_factory=dict)
    done: int = 0
    total: int = 0

    def run(self) -> EmbedReport:
        """Embed until nothing is left that may be embedded, or money ends."""
        options = {"run_id": uuid4().hex, **self.options}
        space = space_name(self.embeddings)
        pending = self._pending(space)
        self.total = sum(map(len, pending.values()))
        for level, passages in pending.items():
            # A text in two documents is as private as the more private of them.
            asked = {**options, "sensitivity": _stricter(level, options.get("sensitivity"))}
            self._embed(asked, passages, space)
        left = sum(map(len, self._pending(space).values()))
        return EmbedReport(
            embedded=self.done,
            left=left,
            reason="; ".join(self.reasons) or None,
            attempts=tuple(self.attempts),
        )

    def _pending(self, space: str) -> dict[Sensitivity, list[int]]:
        """One passage for each text without a vector, by how private it is."""
        rows = self.connection.execute(
            f"SELECT min(p.id), max({_LEVEL}) FROM passages AS p"
            " JOIN documents AS d ON d.id = p.document WHERE NOT EXISTS"
            " (SELECT 1 FROM vectors AS v WHERE v.space = (SELECT id FROM spaces WHERE name = ?)"
            " AND v.digest = p.digest)"
            " GROUP BY p.digest ORDER BY 1",
            (space,),
        )
        pending: dict[Sensitivity, list[int]] = {}
        for passage, rank in rows:
            pending.setdefault(SENSITIVITIES[rank], []).append(passage)
        return pending

    def _embed(self, options: Mapping[str, Any], passages: Sequence[int], space: str) -> None:
        embedder = RequestEmbedder.of(self.embeddings, options, location=self.location)
        if embedder.refusal is not None:
            self.reasons[embedder.refusal] = None
            return
        try:
            for texts in self._texts(passages):
                embedder.embed_and_keep(texts, lambda some, them: self._keep(space, some, them))
        except RoutingError as error:
            # What is kept stays; what is more private may still be embedded by another provider.
            self.attempts += cast("list[AttemptRecord]", error.attempts)
            self.reasons[str(error)] = None
        self.attempts += embedder.attempts

    def _texts(self, passages: Sequence[int]) -> Iterator[list[str]]:
        for first in range(0, len(passages), _CHUNK):
            numbers = json.dumps(passages[first : first + _CHUNK])
            rows = self.connection.execute(
                f"SELECT {ROW} JOIN json_each(?) AS j ON j.value = p.id", (numbers,)
            ).fetchall()
            found = [FoundPassage.of(row) for row in rows]
            yield [text_in_place(one.title, one.passage) for one in found]

    def _keep(self, space: str, texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
        pairs = zip(texts, vectors, strict=True)
        rows = [(digest_of(text), unit_blob(vector)) for text, vector in pairs]
        with self.file.transaction(self.connection):
            keep_vectors(self.connection, space=space, vectors=rows)
        self.done += len(rows)
        if self.on_texts is not None:
            self.on_texts(self.done, self.total)


def _stricter(level: Sensitivity, other: Sensitivity | None) -> Sensitivity:
    return max(level, other or DEFAULT_SENSITIVITY, key=SENSITIVITIES.index)
