"""A workspace of LightRAG, open: its object, and how far each document is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aegis_graph.components.lightrag import library
from aegis_graph.components.lightrag.calls import RoutedCalls
from aegis_graph.components.lightrag.paid_answers import PaidAnswers
from aegis_graph.components.lightrag.run import CURRENT_DOCUMENT, Run
from aegis_graph.components.lightrag.store_files import opening_error
from aegis_graph.components.private_store import result_key
from aegis_graph.errors import ConfigError

Phase = Literal["prepare", "extract", "merge"]
"""Where a document is: being cut up, having its chunks read, or being merged into the graph."""

_ROLES = ("base", "extract", "keyword", "query", "vlm")
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


def checked_name(workspace: str) -> str:
    """The name of a workspace, which is a folder's name as well.

    Raises:
        ConfigError: It is empty, or has characters that LightRAG would replace.
    """
    if not _NAME.fullmatch(workspace):
        raise ConfigError(f"workspace: {workspace!r} is not 1 to 64 letters, digits and _")
    return workspace


@dataclass(slots=True)
class Workspace:
    """What is open between ``open_workspace`` and ``close``."""

    rag: Any
    """LightRAG's object, unmodified."""
    answers: PaidAnswers
    calls: RoutedCalls
    changing: asyncio.Lock
    """Held by an insert or a deletion. It outlives a closing: one that is still under way then must
    not meet one in the workspace opened again."""
    phases: dict[str, Phase] = field(default_factory=dict)
    """The documents in progress, by LightRAG's name for them."""
    on_document: Callable[[str], Awaitable[None]] | None = None
    """Called with a document's identifier when it begins and when it ends."""

    def can_stop(self) -> bool:
        """Whether no document is at a point at which the graph may be half written."""
        return all(phase == "extract" for phase in self.phases.values())

    def use_models_of(self, run: Run) -> None:
        """Have LightRAG's own cache of extractions know which models answer them.

        It is for the time of a change: what one model could not do, another is asked for.
        """
        models = self.calls.models("extract", self.calls.sensitivity_of(run))
        self.rag.set_role_llm_metadata("extract", model=result_key(models)[:16])

    def track_documents(self) -> None:
        """Follow each document, and let its calls know which one they are for.

        Both methods are LightRAG's own; the second is private, and pinned by a test.
        """
        process, extract = self.rag.process_single_document, self.rag._process_extract_entities

        async def followed(*, doc_id: str, **more: Any) -> Any:
            CURRENT_DOCUMENT.set(doc_id)
            # A document that was interrupted is purged first: not a point to stop at.
            self.phases[doc_id] = "prepare"
            await self._notify(doc_id)
            try:
                return await process(doc_id=doc_id, **more)
            finally:
                self.phases.pop(doc_id, None)
                await self._notify(doc_id)

        async def extracting(*given: Any, **more: Any) -> Any:
            doc_id = CURRENT_DOCUMENT.get()
            if doc_id not in self.phases:
                return await extract(*given, **more)
            self.phases[doc_id] = "extract"
            try:
                found = await extract(*given, **more)
                # On disk before the graph changes: an insert after a crash takes this
                # document out again, and rebuilds from these what others share with it.
                await self.rag.llm_response_cache.index_done_callback()
                await self.rag.text_chunks.index_done_callback()
                return found
            finally:
                # After an error too: from here on LightRAG may touch the graph.
                self.phases[doc_id] = "merge"

        self.rag.process_single_document = followed
        self.rag._process_extract_entities = extracting

    async def close(self) -> None:
        """Write everything, end everything."""
        try:
            await library.stop(self.rag)
        finally:
            self.answers.close()

    async def _notify(self, doc_id: str) -> None:
        if self.on_document is not None:
            await self.on_document(doc_id)


async def open_workspace(
    folder: Path,
    workspace: str,
    answers: PaidAnswers,
    calls: RoutedCalls,
    *,
    tokenizer: Any,
    settings: Mapping[str, Any],
    changing: asyncio.Lock,
) -> Workspace:
    """Open LightRAG over its files.

    Args:
        folder: Its working directory.
        workspace: The name, checked.
        answers: What was bought before; its file keeps other processes out.
        calls: The functions that it is given.
        tokenizer: With ``encode``, ``decode`` and ``name``.
        settings: Arguments of its constructor.
        changing: The lock of whatever changes documents.

    Raises:
        ConfigError: A setting is refused, the workspace is open in this process, or its vectors
            are of another length.
        StoreError: One of its files is damaged; the message names it.
        ModuleNotFoundError: LightRAG is not installed.
    """
    try:
        rag = library.build(
            working_dir=str(folder),
            workspace=workspace,
            tokenizer=tokenizer,
            role_functions={role: calls.chat_function(role) for role in _ROLES},
            embed=calls.embedding_function(),
            dimensions=calls.embeddings.dimensions,
            settings=settings,
        )
        await library.start(rag)
    # LightRAG raises whatever its files make it raise; where they are sound, it goes on as it is.
    except Exception as error:
        fault = await asyncio.to_thread(
            opening_error,
            folder / workspace,
            dimensions=calls.embeddings.dimensions,
            paid=answers.name,
        )
        raise fault or error from error
    opened = Workspace(rag, answers, calls, changing)
    opened.track_documents()
    return opened
