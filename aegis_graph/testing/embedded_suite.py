"""The tests for a kind of provider that needs no server; see ``provider_suite``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.routing.router import Router, create_router
from aegis_graph.testing.provider_cases import (
    KEY,
    KEY_ENV,
    ask,
)

each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


class ProviderSuite:
    """The tests for a kind that needs no server. Others inherit ``RemoteProviderSuite``.

    A subclass whose name begins with ``Test`` gives ``facts``, and overrides what differs.

    Example:
        >>> class TestMine(ProviderSuite):
        ...     facts = {"kind": "extractive", "model": "best-sentences"}
        ...     task = "answer"
        >>> TestMine().row()["kind"]
        'extractive'
    """

    facts: ClassVar[Mapping[str, Any]]
    """``kind``, ``model`` and the row's other settings."""
    task: ClassVar[str] = "chat"
    package: ClassVar[str | None] = None
    """Import name of the optional package that the kind needs, if it needs one."""
    reports_usage: ClassVar[bool] = True
    """Whether the provider says how many tokens an answer took."""

    def row(self) -> dict[str, Any]:
        """The provider's row of the configuration."""
        price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}
        # Without retries, so that a fault is one attempt.
        common = {"name": "tested", "location": "local", "price": price, "max_retries": 0}
        return {**common, **self.facts}

    def messages(self) -> list[BaseMessage]:
        """A request that the provider can answer."""
        return [HumanMessage("What is the capital?")]

    @pytest.fixture
    def router(self, tmp_path: Path) -> Router:
        """A router with this provider alone."""
        return self.open_router(tmp_path)

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider by itself."""
        return self.open_provider()

    def open_provider(self) -> Provider:
        """The provider by itself."""
        # A provider by itself writes to no ledger: no file comes of this path.
        (spec,) = self.config(Path("unused.db")).providers
        return create_provider(spec, source="the suite", environ={KEY_ENV: KEY})

    def config(self, db: Path, **changes: Any) -> RouterConfig:
        """A configuration with this provider alone."""
        rows = [{**self.row(), **changes}]
        document = {"ledger": {"url": f"sqlite:///{db}"}, "providers": rows, "budgets": []}
        return RouterConfig.model_validate(document)

    def open_router(self, folder: Path, **changes: Any) -> Router:
        """A router with this provider alone, its ledger in ``folder``."""
        return create_router(self.config(folder / "costs.db", **changes), environ={KEY_ENV: KEY})

    def request(self, **more: Any) -> Any:
        """The router's input."""
        return {"messages": self.messages(), "task": self.task, **more}

    @each_mode
    def test_it_answers_and_says_what_it_used(self, router: Router, stream: bool) -> None:
        """An answer has a text and, where the provider counts, its tokens."""
        outcome = asyncio.run(ask(router, self.request(), stream=stream))
        assert outcome.text, outcome
        assert outcome.message.text == outcome.text
        (attempt,) = outcome.attempts
        assert attempt["status"] == "answered"
        assert attempt["cost_basis"] == ("reported" if self.reports_usage else "estimated")

    def test_it_serves_one_event_loop_after_another_and_two_at_once(self, router: Router) -> None:
        """No connection is shared by two event loops."""
        # Two loops in turn: a client kept from the first one is bound to a loop that is closed.
        answers = [asyncio.run(ask(router, self.request())).text for _ in range(2)]

        async def two_loops() -> list[str]:
            # A second loop, on a thread of its own, while this one asks as well.
            inner = asyncio.to_thread(asyncio.run, ask(router, self.request()))
            both = await asyncio.gather(inner, ask(router, self.request()))
            return [outcome.text for outcome in both]

        answers += asyncio.run(two_loops())
        answers.append(router.invoke(self.request())["messages"][-1].text)
        assert len(set(answers)) == 1, answers

    def test_what_it_needs_can_be_installed_with_one_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A missing package is reported before a request, with the line that installs it."""
        assert self.open_provider().missing_package() is None
        if self.package is not None:
            # What Python itself takes for a module that cannot be imported.
            monkeypatch.setitem(sys.modules, self.package, None)
            line = self.open_provider().missing_package()
            assert line is not None, f"{self.package} is missing, and the provider does not say so"
            assert line.startswith("pip install ")

    def test_it_can_be_looked_at_for_free(self, provider: Provider) -> None:
        """``aegis doctor`` finds it there."""
        found = asyncio.run(provider.probe())
        assert found.reachable is not False, found
