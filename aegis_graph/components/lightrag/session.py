"""A workspace that is opened by its first use, on LightRAG's own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from aegis_graph.components.lightrag import library
from aegis_graph.components.lightrag.calls import RoutedCalls
from aegis_graph.components.lightrag.paid_answers import PaidAnswers
from aegis_graph.components.lightrag.quiet_logging import ignore_ended_runs
from aegis_graph.components.lightrag.run import Run
from aegis_graph.components.lightrag.settings import LightRAGSettings
from aegis_graph.components.lightrag.workspace import Workspace, open_workspace
from aegis_graph.concurrency.portal import Portal
from aegis_graph.embeddings import RoutedEmbeddings
from aegis_graph.routing.router import Router
from aegis_graph.types import Sensitivity

P = ParamSpec("P")
T = TypeVar("T")
_Act = Callable[Concatenate[Workspace, P], Awaitable[T]]


@dataclass(slots=True)
class Session:
    """One workspace between its opening and its closing; it can be opened again."""

    folder: Path
    name: str
    settings: LightRAGSettings
    router: Router
    embeddings: RoutedEmbeddings
    sensitivity: Sensitivity
    """Of documents and questions that come without one."""
    _opened: Workspace | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _portal: Portal | None = None
    _portal_lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, act: _Act[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something in the workspace, from any thread; it is opened where it is not."""
        return self._loop().run(lambda: self._act(act, *args, **kwargs))

    async def arun(self, act: _Act[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something in the workspace, from any event loop; it is opened where it is not."""
        return await self._loop().arun(lambda: self._act(act, *args, **kwargs))

    def close(self) -> None:
        """Close the workspace, and give LightRAG's loop back."""
        with self._portal_lock:
            portal, self._portal = self._portal, None
        if portal is not None:
            try:
                portal.run(self._close)
            finally:
                library.SHARED_LOOP.release()

    def _loop(self) -> Portal:
        with self._portal_lock:
            if self._portal is None:
                self._portal = library.SHARED_LOOP.acquire()
            return self._portal

    async def _act(self, act: _Act[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await act(await self._open(), *args, **kwargs)

    async def _close(self) -> None:
        async with self._opening:
            opened, self._opened = self._opened, None
            if opened is not None:
                await opened.close()

    async def _open(self) -> Workspace:
        async with self._opening:
            if self._opened is not None:
                return self._opened
            # On LightRAG's own loop, and before its import, which reads files.
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
                changing=self._changing,
            )
        # A cancelled opening too: the file would stay locked against every later one.
        except BaseException:
            answers.close()
            raise
