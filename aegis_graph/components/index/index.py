"""An index of documents that stays: one SQLite file, built with ``create_index``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aegis_graph.clock import Clock, utc_now
from aegis_graph.components.documents.files import OnFile
from aegis_graph.components.index.contents import path_of, status_of
from aegis_graph.components.index.database import IndexFile, index_path
from aegis_graph.components.index.filters import Where, condition_of
from aegis_graph.components.index.marks import SensitivityMarks
from aegis_graph.components.index.removal import remove_documents
from aegis_graph.components.index.report import (
    EmbedReport,
    IndexStatus,
    RemoveReport,
    UpdateReport,
)
from aegis_graph.components.index.update import IndexUpdate
from aegis_graph.config.ledger_spec import data_folder
from aegis_graph.errors import InvalidRequestError
from aegis_graph.types import Sensitivity

if TYPE_CHECKING:
    from langchain_core.documents.compressor import BaseDocumentCompressor
    from langchain_core.embeddings import Embeddings

    from aegis_graph.components.index.retriever import IndexRetriever

INDEX_FOLDER = "indexes"


def create_index(
    path_or_name: str | os.PathLike[str],
    *,
    folder: Path | None = None,
    embeddings: Embeddings | None = None,
    embeddings_location: Literal["local", "cloud"] = "cloud",
    sensitivity: Sensitivity | None = None,
    sensitivity_patterns: Mapping[str, Sensitivity] | None = None,
    clock: Clock = utc_now,
) -> DocumentIndex:
    """Name an index; its file is made by the first update, readable by its owner alone.

    Args:
        path_or_name: A path, or a mere name such as ``docs``, which is a file in ``folder``.
        folder: Where indexes with a mere name are; a folder of this user's data when absent.
        embeddings: Finds passages by meaning as well, once ``embed`` has been called.
        embeddings_location: Where these run, unless they are those of ``create_embeddings``, which
            know. What is ``confidential``, ``pii`` or ``hipaa`` is not shown to a cloud.
        sensitivity: How private all of the documents are, at least.
        sensitivity_patterns: How private those are whose paths match, such as
            ``{"hr/*": "pii"}``. A file ``.aegis-sensitivity`` with one word says it for its folder;
            of all that is said of a document, the strictest counts.
        clock: Returns the present as an aware datetime in UTC.

    Example:
        >>> index = create_index("docs")
        >>> index.update([Path("docs")]).added  # doctest: +SKIP
        26
        >>> retriever = index.retriever(limit=4)
        >>> retriever.invoke("What is a hold?")  # doctest: +SKIP
        [Document(...), ...]
    """
    place = index_path(path_or_name, folder or data_folder() / INDEX_FOLDER)
    return DocumentIndex(
        IndexFile(place),
        embeddings=embeddings,
        embeddings_location=embeddings_location,
        marks={"base": sensitivity, "patterns": dict(sensitivity_patterns or {})},
        clock=clock,
    )


class DocumentIndex:
    """An index of documents. Build it with ``create_index``."""

    def __init__(
        self,
        file: IndexFile,
        *,
        embeddings: Embeddings | None,
        embeddings_location: Literal["local", "cloud"],
        marks: Mapping[str, Any],
        clock: Clock,
    ) -> None:
        self._file = file
        self._embeddings = embeddings
        self._location: Literal["local", "cloud"] = embeddings_location
        self._marks = marks
        self._clock = clock

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def update(self, paths: Sequence[Path] = (), *, on_file: OnFile | None = None) -> UpdateReport:
        """Read what is new or changed, and take out what is gone.

        Killed at any moment, the index has each document as it was before or as it is now. Other
        processes may update the same index: they wait for each other.

        Args:
            paths: Files and folders, which are added to those of earlier updates. Without any, all
                of the earlier ones are looked at again.
            on_file: Called before each file with its path, its number from 1, and how many there
                are.

        Raises:
            DocumentError: A path is not there, or none was ever named.
            ConfigError: A mark says no level that is known.
            StoreError: The index cannot be written.
        """
        with self._file.writing() as connection:
            # With fresh marks: what was read of folders holds for one update.
            marks = SensitivityMarks(**self._marks)
            update = IndexUpdate(self._file, connection, marks=marks, clock=self._clock)
            return update.run(paths, on_file=on_file)

    async def aupdate(
        self, paths: Sequence[Path] = (), *, on_file: OnFile | None = None
    ) -> UpdateReport:
        """As ``update``, in a thread."""
        return await asyncio.to_thread(self.update, paths, on_file=on_file)

    def remove(self, paths: Sequence[Path]) -> RemoveReport:
        """Take files and folders out again, with their words and vectors; all of them or none.

        What is below a folder that stays is left out by later updates too, until one of them names
        it, or something in it. The files themselves are left alone.

        Args:
            paths: Files and folders, whether they are still there or not.

        Raises:
            DocumentError: The index has nothing from one of them.
            StoreError: The index is not there, or cannot be written.
        """
        self._file.check_exists()
        with self._file.writing() as connection:
            return remove_documents(self._file, connection, paths)

    async def aremove(self, paths: Sequence[Path]) -> RemoveReport:
        """As ``remove``, in a thread."""
        return await asyncio.to_thread(self.remove, paths)

    def embed(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        on_texts: Callable[[int, int], None] | None = None,
    ) -> EmbedReport:
        """Embed what has no vector yet; what was embedded before is not paid for again.

        When money ends, what is left is found by its words, and a later call goes on from there.

        Args:
            options: Of routed embeddings: ``max_cost_usd`` and ``run_id`` for the envelope,
                ``user_id`` and ``tags``, and the least ``sensitivity`` of every passage.
            on_texts: Called with how many texts are done, and how many there are.

        Raises:
            InvalidRequestError: The index was created without embeddings.
            StoreError: The index cannot be written.
        """
        # Here, and below: an update needs none of the graph that is behind embeddings.
        from aegis_graph.components.index.embedding import EmbeddingRun  # noqa: PLC0415

        if self._embeddings is None:
            raise InvalidRequestError("embed: the index has no embeddings; give create_index some")
        with self._file.writing() as connection:
            run = EmbeddingRun(
                self._file, connection, self._embeddings, self._location, options or {}, on_texts
            )
            return run.run()

    def retriever(
        self,
        *,
        limit: int = 6,
        per_document: int | None = None,
        diversity: float = 0.0,
        neighbours: int = 0,
        where: Where | None = None,
        reranker: BaseDocumentCompressor | None = None,
        reranker_location: Literal["local", "cloud"] = "cloud",
    ) -> IndexRetriever:
        """A LangChain retriever over the index, also for ``create_rag``.

        Args:
            limit: Documents per question, at most.
            per_document: Passages of one document, at most.
            diversity: From 0 to 1, how much a passage loses that is like a better one.
            neighbours: Passages before and after each one that are shown with it.
            where: Which documents, such as ``{"source": "guides/*"}``; see ``docs/index.md``.
            reranker: Any LangChain document compressor, such as ``HttpReranker``.
            reranker_location: Where it runs, unless it is an ``HttpReranker``, which knows.

        Raises:
            InvalidRequestError: ``where`` names something else, or ``diversity`` is no share.
        """
        from aegis_graph.components.index.rerank import HttpReranker  # noqa: PLC0415
        from aegis_graph.components.index.retriever import IndexRetriever  # noqa: PLC0415

        condition_of(where)
        if not 0 <= diversity <= 1:
            raise InvalidRequestError(f"diversity: {diversity} is not between 0 and 1")
        if isinstance(reranker, HttpReranker):
            reranker_location = reranker.location
        return IndexRetriever(
            file=self._file,
            embeddings=self._embeddings,
            embeddings_location=self._location,
            limit=limit,
            per_document=per_document,
            diversity=diversity,
            neighbours=neighbours,
            where=where,
            reranker=reranker,
            reranker_location=reranker_location,
        )

    def status(self) -> IndexStatus:
        """What the index has.

        Raises:
            StoreError: It is not there, or cannot be read.
        """
        with closing(self._file.open_to_read()) as connection:
            return status_of(connection)

    def path_of(self, source: str) -> Path | None:
        """The file that a document or a citation names; this never leaves the machine.

        Raises:
            StoreError: The index is not there, or cannot be read.
        """
        with closing(self._file.open_to_read()) as connection:
            return path_of(connection, source)
