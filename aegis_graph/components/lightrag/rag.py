"""``RoutedLightRAG``: LightRAG with every call of it routed, budgeted and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from typing_extensions import Unpack

from aegis_graph.components.lightrag.documents import delete, document_states
from aegis_graph.components.lightrag.forecast import Forecast, forecast_insert
from aegis_graph.components.lightrag.insert import insert
from aegis_graph.components.lightrag.insert_report import InsertReport, require_done
from aegis_graph.components.lightrag.query import Mode, Retrieved, answer, retrieve
from aegis_graph.components.lightrag.run import Run
from aegis_graph.components.lightrag.session import Session
from aegis_graph.components.lightrag.settings import (
    Documents,
    LightRAGSettings,
    OnProgress,
    RunOptions,
    ignore_progress,
    texts_by_path,
    workspace_sensitivity,
)
from aegis_graph.components.lightrag.sync import FolderSync, texts_to_insert
from aegis_graph.components.lightrag.workspace import Workspace, checked_name
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.embeddings import RoutedEmbeddings, create_embeddings
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.ledger.records import Ledger
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.routing.assembly import hooks_of
from aegis_graph.routing.router import Router, create_router
from aegis_graph.types import Sensitivity


class RoutedLightRAG(FolderSync):
    """LightRAG whose every model and embedding call goes through the routing subgraph.

    It is opened by its first use, on a loop of its own, and serves the ``a...`` methods on any loop
    and the others from any thread. Close it, or use it as a context manager.

    A workspace remembers the highest sensitivity of anything in it, and every later call is as
    private: a summary or an answer may hold any document's words.

    Args:
        config: The providers, embeddings, budgets and ledger; the defaults when absent.
        working_dir: Where its files are.
        workspace: The folder in there; one object may have it open.
        sensitivity: How private documents and questions are that do not say it themselves; what is
            bound to the router, or its configuration says, when absent.
        settings: How LightRAG works.
        ledger: A ledger to share, by default the one that the configuration names.
        router: The compiled router, by default built from the configuration.
        embeddings: The routed embeddings, by default built from the configuration.
        environ: Where keys are looked up by name.

    Raises:
        ConfigError: A name, a setting or the configuration is wrong, or the workspace is open.
        ModuleNotFoundError: At its first use: LightRAG is not installed.

    Example:
        >>> with RoutedLightRAG(RouterConfig(), working_dir="data/rag") as rag:  # doctest: +SKIP
        ...     rag.forecast({"curie.txt": text}).expected_usd
        ...     rag.add({"curie.txt": text}).state
        ...     rag.query("What did Marie Curie discover?")
    """

    def __init__(
        self,
        config: RouterConfig | None = None,
        *,
        working_dir: str | Path,
        workspace: str = "default",
        sensitivity: Sensitivity | None = None,
        settings: LightRAGSettings | None = None,
        ledger: Ledger | None = None,
        router: Router | None = None,
        embeddings: RoutedEmbeddings | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config or RouterConfig()
        self._environ = environ
        book = ledger or create_ledger(self._config, environ=environ)
        self.router = router or create_router(self._config, ledger=book, environ=environ)
        """The routing subgraph that its calls go through."""
        # What the application redacts for its router is embedded redacted, too.
        hooks = hooks_of(self.router)
        self.embeddings = embeddings or create_embeddings(
            self._config,
            ledger=book,
            environ=environ,
            before_attempt=hooks.before_attempt,
            after_attempt=hooks.after_attempt,
            on_alert=hooks.on_alert,
            policy=hooks.policy,
            price=hooks.price,
        )
        self._session = Session(
            Path(working_dir),
            checked_name(workspace),
            settings or LightRAGSettings(),
            # Without a checkpointer: with one, each of its thousands of calls would be kept.
            self.router.copy({"checkpointer": False}),
            self.embeddings,
            workspace_sensitivity(sensitivity, self.router),
        )

    async def aadd(
        self,
        documents: Documents,
        *,
        on_progress: OnProgress = ignore_progress,
        **options: Unpack[RunOptions],
    ) -> InsertReport:
        """Insert documents, and whatever an earlier insert has left; a new text replaces the old.

        When the budget ends, it stops with the state ``stopped``: called again it goes on, with
        nothing lost and nothing bought twice. One insert runs at a time; a second one waits. When
        the caller is cancelled, what is being merged is finished first.

        Args:
            documents: Texts by name, such as a file's; or texts, which are named by their content.
            on_progress: Called for each document, on LightRAG's thread.
            **options: See ``RunOptions``.

        Raises:
            InvalidRequestError: A document is empty, or two have names that LightRAG confuses.
            LedgerError: The ledger cannot be used.
            StoreError: The workspace's file of answers cannot be used.
        """
        run = self._insert_run(options)
        return await self._session.arun(insert, documents, run, on_progress)

    def add(
        self,
        documents: Documents,
        *,
        on_progress: OnProgress = ignore_progress,
        **options: Unpack[RunOptions],
    ) -> InsertReport:
        """See ``aadd``."""
        run = self._insert_run(options)
        return self._session.run(insert, documents, run, on_progress)

    async def ainsert(
        self,
        input: str | Sequence[str],
        *,
        file_paths: str | Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> InsertReport:
        """LightRAG's own way to insert. What is not done is an error, which LightRAG hides.

        Args:
            input: One text or several.
            file_paths: Their names.
            **options: See ``RunOptions``.

        Raises:
            BudgetExceededError: The budget ended; the same insert goes on from here.
            InsertError: A document could not be inserted.
        """
        report = await self.aadd(texts_by_path(input, file_paths), **options)
        return require_done(report)

    def insert(
        self,
        input: str | Sequence[str],
        *,
        file_paths: str | Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> InsertReport:
        """See ``ainsert``."""
        return require_done(self.add(texts_by_path(input, file_paths), **options))

    async def aquery(self, query: str, param: Any = None, **options: Unpack[RunOptions]) -> str:
        """LightRAG's own way to ask, in each of its modes.

        Args:
            query: The question.
            param: LightRAG's ``QueryParam``; the mode ``mix`` when absent.
            **options: See ``RunOptions``.

        Raises:
            InvalidRequestError: The question cannot be asked.
            RoutingError: No provider answered.
        """
        return await self._session.arun(answer, query, param, Run(options))

    def query(self, query: str, param: Any = None, **options: Unpack[RunOptions]) -> str:
        """See ``aquery``."""
        return self._session.run(answer, query, param, Run(options))

    async def aretrieve(
        self,
        question: str,
        mode: Mode = "mix",
        *,
        on_progress: OnProgress = ignore_progress,
        run: Run | None = None,
        **options: Unpack[RunOptions],
    ) -> Retrieved:
        """Find what belongs to a question, and ask no model to answer it.

        Args:
            question: What is asked.
            mode: See ``Mode``.
            on_progress: Called for each stage, on LightRAG's thread.
            run: Shows afterwards what was bought, also when this raises.
            **options: See ``RunOptions``.

        Raises:
            InvalidRequestError: The question or the mode cannot be asked.
            RoutingError: The keywords or the question's vector could not be had.
        """
        return await self._session.arun(retrieve, question, mode, run or Run(options), on_progress)

    def retrieve(
        self,
        question: str,
        mode: Mode = "mix",
        *,
        on_progress: OnProgress = ignore_progress,
        run: Run | None = None,
        **options: Unpack[RunOptions],
    ) -> Retrieved:
        """See ``aretrieve``."""
        return self._session.run(retrieve, question, mode, run or Run(options), on_progress)

    async def aforecast(
        self, documents: Documents | Path, *, sensitivity: Sensitivity | None = None
    ) -> Forecast:
        """What inserting documents, or those of a folder, will cost. It buys nothing to find out.

        Raises:
            ConfigError: No configured provider may be asked.
        """
        return await self._session.arun(self._forecast, documents, sensitivity)

    def forecast(
        self, documents: Documents | Path, *, sensitivity: Sensitivity | None = None
    ) -> Forecast:
        """See ``aforecast``."""
        return self._session.run(self._forecast, documents, sensitivity)

    async def adelete(self, name: str, **options: Unpack[RunOptions]) -> None:
        """Take a document out; what it shares with others is rebuilt, which may ask a model."""
        await self._session.arun(delete, name, Run(options))

    async def adocuments(self) -> dict[str, str]:
        """How far each document is, by name."""
        return await self._session.arun(document_states)

    async def aclose(self) -> None:
        """See ``close``."""
        # On a thread: closing waits for LightRAG's loop, and must not block the caller's.
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Write everything, and end LightRAG's tasks. A later use opens the workspace again."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *why: object) -> None:
        await self.aclose()

    async def _forecast(
        self, workspace: Workspace, documents: Documents | Path, level: Sensitivity | None
    ) -> Forecast:
        return await forecast_insert(
            workspace,
            await texts_to_insert(documents),
            workspace.calls.sensitivity_of(Run({} if level is None else {"sensitivity": level})),
            self._session.settings,
            chat=self._providers(self._config.providers),
            vectors=self._providers(self._config.embeddings),
        )

    def _providers(self, rows: Sequence[ProviderSpec]) -> list[Provider]:
        source = self._config.source
        priced, variables = hooks_of(self.router).priced, self._config.variables(self._environ)
        asked = [priced(row, source) for row in rows if row.enabled]
        return [create_provider(row, source=source, environ=variables) for row in asked]
