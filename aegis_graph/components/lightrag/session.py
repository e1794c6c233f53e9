"""A workspace that is opened by its first use, and what is done in it, on LightRAG's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from aegis_graph.components.lightrag import insert, library, query
from aegis_graph.components.lightrag.budget_queue import BudgetQueue
from aegis_graph.components.lightrag.calls import CURRENT_RUN, RoutedCalls, Run
from aegis_graph.components.lightrag.forecast import (
    USUAL_OUTPUT_TOKENS,
    ChunkSize,
    Estimator,
    Forecast,
)
from aegis_graph.components.lightrag.paid_answers import PaidAnswers
from aegis_graph.components.lightrag.quiet_logging import ignore_ended_runs
from aegis_graph.components.lightrag.settings import (
    LightRAGSettings,
    OnProgress,
    RunOptions,
    checked_sensitivity,
)
from aegis_graph.components.lightrag.spending import Operation
from aegis_graph.components.lightrag.workspace import Workspace, open_workspace
from aegis_graph.embeddings import RoutedEmbeddings
from aegis_graph.errors import InsertError, InvalidRequestError
from aegis_graph.providers.base import Provider
from aegis_graph.routing.router import Router
from aegis_graph.types import Sensitivity


@dataclass(slots=True)
class Session:
    """One workspace between its opening and its closing; it can be opened again."""

    folder: Path
    name: str
    settings: LightRAGSettings
    router: Router
    embeddings: RoutedEmbeddings
    sensitivity: Sensitivity
    """Of what does not say it itself."""
    _opened: Workspace | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _inserting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def insert(
        self, documents: Mapping[str, str], options: RunOptions, on_progress: OnProgress
    ) -> insert.InsertReport:
        """See ``RoutedLightRAG.add``."""
        chosen = self._complete(options)
        workspace = await self._open()
        async with self._inserting:
            # First, so that nothing of them is ever asked as less than they are.
            workspace.answers.raise_sensitivity(chosen["sensitivity"])
            run = Run(chosen, BudgetQueue(self.settings.concurrency))
            return await insert.insert(workspace, documents, run, on_progress)

    async def retrieve(
        self, question: str, mode: query.Mode, run: Run, on_progress: OnProgress
    ) -> query.Retrieved:
        """See ``RoutedLightRAG.retrieve``."""
        run.options = self._complete(run.options)
        return await query.retrieve(await self._open(), question, mode, run, on_progress)

    async def answer(self, question: str, param: Any, options: RunOptions) -> str:
        """See ``RoutedLightRAG.query``."""
        run = Run(self._complete(options))
        workspace = await self._open()
        given = param or import_module("lightrag").QueryParam(enable_rerank=False)
        if given.stream:
            raise InvalidRequestError(
                "param.stream: stream the graph of create_lightrag_query instead,"
                ' with stream_mode="messages"'
            )
        return await query.answer(workspace, question, given, run)

    async def delete(self, name: str, options: RunOptions) -> None:
        """See ``RoutedLightRAG.delete``."""
        workspace = await self._open()
        found = await workspace.rag.doc_status.get_doc_by_file_basename(name)
        if found is None:
            raise InvalidRequestError(f"document {name!r}: is not in workspace {self.name!r}")
        run = Run(self._complete(options))
        async with self._inserting:
            token = CURRENT_RUN.set(run)
            try:
                result = await workspace.rag.adelete_by_doc_id(found[0])
            finally:
                CURRENT_RUN.reset(token)
        if run.error is not None:
            raise run.error
        if result.status != "success":
            raise InsertError(f"document {name!r}: is not deleted: {result.message}")

    async def forecast(
        self,
        documents: Mapping[str, str],
        sensitivity: Sensitivity | None,
        *,
        chat: Sequence[Provider],
        vectors: Sequence[Provider],
    ) -> Forecast:
        """See ``RoutedLightRAG.forecast``."""
        workspace = await self._open()
        level = workspace.calls.sensitivity_of(
            Run(self._complete({"sensitivity": sensitivity} if sensitivity else {}))
        )
        new = await insert.new_documents(workspace, documents)
        chunks = await asyncio.to_thread(self._chunks, list(new.values()))
        usual: dict[Operation, float] = {
            operation: workspace.answers.mean_output_tokens(operation) or known
            for operation, known in USUAL_OUTPUT_TOKENS.items()
        }
        estimator = Estimator(chat, vectors, self.settings.caps(), usual, self.settings.gleaning)
        lines = estimator.operations(chunks, level)
        return Forecast(len(new), len(documents) - len(new), len(chunks), lines)

    async def states(self) -> dict[str, str]:
        """See ``RoutedLightRAG.documents``."""
        return await insert.document_states(await self._open())

    async def close(self) -> None:
        """See ``RoutedLightRAG.close``."""
        async with self._opening:
            opened, self._opened = self._opened, None
            if opened is not None:
                await opened.close()

    def _complete(self, options: RunOptions) -> RunOptions:
        level = options.get("sensitivity")
        return {
            **options,
            "sensitivity": checked_sensitivity(self.sensitivity if level is None else level),
        }

    def _chunks(self, texts: Sequence[str]) -> list[ChunkSize]:
        """The chunks as LightRAG will cut them."""
        chunker, utils = import_module("lightrag.chunker"), import_module("lightrag.utils")
        tokenizer = utils.Tokenizer(self.settings.tokenizer.name, self.settings.tokenizer)
        sizes = (self.settings.chunk_overlap_tokens, self.settings.chunk_tokens)
        return [
            ChunkSize(piece["tokens"], len(piece["content"].encode("utf-8", errors="replace")))
            for text in texts
            for piece in chunker.chunking_by_token_size(
                tokenizer, utils.sanitize_text_for_encoding(text), None, False, *sizes
            )
        ]

    async def _open(self) -> Workspace:
        async with self._opening:
            if self._opened is not None:
                return self._opened
            library.allow_blocking_io()
            library.load()
            ignore_ended_runs()
            self._opened = await self._open_files()
            return self._opened

    async def _open_files(self) -> Workspace:
        # Before anything else: it keeps others out.
        answers = PaidAnswers(self.folder / f"{self.name}.answers.db")
        default = Run({"sensitivity": self.sensitivity})
        calls = RoutedCalls(self.router, self.embeddings, answers, default, self.settings.caps())
        try:
            return await open_workspace(
                self.folder,
                self.name,
                answers,
                calls,
                tokenizer=self.settings.tokenizer,
                settings=self.settings.arguments(),
            )
        except BaseException:
            answers.close()
            raise
