"""Keeps a workspace as a folder is: adds what is new, updates what changed, deletes the rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import Unpack

from aegis_graph.components.documents.files import DocumentSet
from aegis_graph.components.documents.skipped import SkippedDocument
from aegis_graph.components.documents.sources import shown
from aegis_graph.components.lightrag.budget_queue import BudgetQueue
from aegis_graph.components.lightrag.documents import compared, records_by_name, take_out_all
from aegis_graph.components.lightrag.insert import insert_locked
from aegis_graph.components.lightrag.insert_report import InsertReport
from aegis_graph.components.lightrag.run import Run
from aegis_graph.components.lightrag.session import Session
from aegis_graph.components.lightrag.settings import (
    Documents,
    OnProgress,
    RunOptions,
    ignore_progress,
)
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.errors import DocumentError


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a folder's synchronization did. Names are paths below the folder."""

    added: Sequence[str]
    updated: Sequence[str]
    deleted: Sequence[str]
    """What is out. What could not be taken out is ``outdated`` in ``insert``, with the reason."""
    unchanged: Sequence[str]
    skipped: Sequence[SkippedDocument]
    """What was not read, and why. What the workspace has of it is left there."""
    insert: InsertReport
    """How it ended, and what was bought: ``stopped`` goes on with the next call."""


@dataclass(frozen=True, slots=True)
class FolderContent:
    """What a folder has to give."""

    folder: Path
    texts: Mapping[str, str]
    skipped: Sequence[SkippedDocument]
    names: frozenset[str]
    """Of every file of a kind that is read, whether it could be read or not."""

    @property
    def key(self) -> str:
        """What the folder is known by in the workspace."""
        return str(self.folder)

    def has(self, name: str) -> bool:
        """Whether a document is there, or may be: in a folder that cannot be read, or of a kind."""
        path = self.folder / name
        if name in self.names or os.path.lexists(path):
            return True
        full = shown(str(path))
        closed = [one.source for one in self.skipped if one.reason == "unreadable"]
        return any(full.startswith(f"{source}/") for source in closed)


def read_folder(folder: Path) -> FolderContent:
    """Read every document of a folder.

    Raises:
        DocumentError: There is no such folder.
    """
    if not folder.is_dir():
        raise DocumentError(f"{shown(str(folder))}: no such folder; check the path")
    # So that a link to it, or another way to write it, is the same folder.
    folder = folder.resolve()
    documents = DocumentSet([folder])
    texts = {one.source: one.text for one in documents.read()}
    return FolderContent(
        folder,
        {name: text for name, text in texts.items() if text.strip()},
        tuple(documents.skipped),
        frozenset(file.source for file in documents.files),
    )


async def sync_folder(
    workspace: Workspace, folder: Path, run: Run, on_progress: OnProgress
) -> SyncReport:
    """Make the workspace's part that comes from a folder as the folder is.

    Args:
        workspace: Open.
        folder: With documents.
        run: With a queue.
        on_progress: Called on LightRAG's thread.

    Raises:
        DocumentError: There is no such folder, or it is empty and was not before.
    """
    content = await asyncio.to_thread(read_folder, folder)
    async with workspace.changing:
        known = workspace.answers.synced(content.key)
        gone = sorted(name for name in known if not content.has(name))
        if gone and not content.names:
            raise DocumentError(
                f"{shown(str(folder))}: has no documents, and the workspace has {len(gone)} of it;"
                " where they are really gone, delete them one by one"
            )
        found = await compared(workspace, content.texts)
        # First, so that a killed run is known for what it has begun.
        workspace.answers.keep_synced(content.key, [*content.texts])
        there = await records_by_name(workspace)
        # One that was taken out by hand is only to be forgotten.
        outgoing = [name for name in gone if name in there]
        kept = await take_out_all(workspace, outgoing, run)
        for name in gone:
            if name not in kept:
                workspace.answers.forget_synced(name)
        report = await insert_locked(workspace, content.texts, run, on_progress, kept=kept)
    deleted = [name for name in outgoing if name not in kept]
    return SyncReport(
        [*found.added], [*found.updated], deleted, found.unchanged, content.skipped, report
    )


class FolderSync:
    """The part of ``RoutedLightRAG`` that keeps a workspace as a folder is."""

    _session: Session

    async def async_folder(
        self,
        folder: str | Path,
        *,
        on_progress: OnProgress = ignore_progress,
        **options: Unpack[RunOptions],
    ) -> SyncReport:
        """Add what is new in a folder, update what has changed, and delete what is gone.

        Documents are named by their paths below the folder. What other folders or ``add`` have put
        into the workspace is left alone, and so is what is there and cannot be read. It costs what
        ``add`` would for the new and changed documents, within the same budgets, and goes on where
        it stopped.

        Args:
            folder: With documents, and folders of them.
            on_progress: Called for each document, on LightRAG's thread.
            **options: See ``RunOptions``.

        Raises:
            DocumentError: There is no such folder, or it is empty and was not before.
        """
        run = self._insert_run(options)
        return await self._session.arun(sync_folder, Path(folder), run, on_progress)

    def sync_folder(
        self,
        folder: str | Path,
        *,
        on_progress: OnProgress = ignore_progress,
        **options: Unpack[RunOptions],
    ) -> SyncReport:
        """See ``async_folder``."""
        run = self._insert_run(options)
        return self._session.run(sync_folder, Path(folder), run, on_progress)

    def _insert_run(self, options: RunOptions) -> Run:
        return Run(options, BudgetQueue(self._session.settings.concurrency))


async def texts_to_insert(documents: Documents | Path) -> Documents:
    """The texts that are to be inserted: those given, or those of a folder, read in a thread."""
    if isinstance(documents, Path):
        return (await asyncio.to_thread(read_folder, documents)).texts
    return documents
