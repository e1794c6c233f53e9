"""The chain in force, and how another one takes its place."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from langgraph.types import Checkpointer

from aegis_graph.clock import Clock
from aegis_graph.config.router_config import RouterConfig, config_path
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.records import Budget, Ledger
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.routing.router import Router, assemble, compiled
from aegis_graph.routing.services import SharedServices

logger = logging.getLogger(__name__)


class Load(Protocol):
    """How a configuration is read from its file: ``RouterConfig.load``, or like it."""

    def __call__(self, path: Path | None, /, *, environ: Mapping[str, str] | None) -> RouterConfig:
        """Read the file, or what counts without one."""


class _Now(NamedTuple):
    """What is in force, replaced as a whole."""

    config: RouterConfig
    chain: list[Provider]
    router: Router


class ActiveRouter:
    """The chain in force. Every argument is one of ``RouterHandle``."""

    def __init__(
        self,
        config: RouterConfig | str | Path | None,
        *,
        watch: bool,
        ledger: Ledger | None,
        checkpointer: Checkpointer,
        name: str,
        clock: Clock,
        environ: Mapping[str, str] | None,
        load: Load,
    ) -> None:
        given = config if isinstance(config, RouterConfig) else None
        path = None if isinstance(config, RouterConfig) else config_path(config, environ=environ)
        self._path = path
        self._environ = environ
        self._checkpointer = checkpointer
        self._name = name
        self._lock = threading.Lock()
        self._seen = _content(path)
        self._watched = watch and path is not None
        self._load = load
        first = given or load(path, environ=environ)
        self._services = SharedServices.of(first, ledger=ledger, clock=clock)
        self._now = self._built(first, [])

    @property
    def config(self) -> RouterConfig:
        """The configuration in force."""
        return self._now.config

    @property
    def router(self) -> Router:
        """The compiled router in force."""
        return self._now.router

    def refresh(self) -> Router:
        """The router in force, after the file was read again where it is watched."""
        if self._watched:
            self._catch_up()
        return self._now.router

    async def arefresh(self) -> Router:
        """As ``refresh``, with the file read in a thread: a disk may be slow."""
        if self._watched:
            await asyncio.to_thread(self._catch_up)
        return self._now.router

    def reload(self, config: RouterConfig | None) -> None:
        """See ``RouterHandle.reload``."""
        with self._lock:
            try:
                if config is None:
                    self._seen = _content(self._path)
                    config = self._read_again()
                self._replace(config)
            except ConfigError as error:
                logger.error("the old configuration stays in force: %s", error)
                raise

    def _catch_up(self) -> None:
        """Put what the file says now in force; whoever waits for the lock then finds it done."""
        with self._lock:
            content = _content(self._path)
            if content == self._seen or not (content or b"").strip():
                return
            self._seen = content
            try:
                self._replace(self._read_again())
            except ConfigError as error:
                logger.error("the old configuration stays in force: %s", error)

    def _read_again(self) -> RouterConfig:
        if self._path is None:
            raise ConfigError("there is no file to read again; give reload() a configuration")
        return self._load(self._path, environ=self._environ)

    def _replace(self, config: RouterConfig) -> None:
        old = self._now
        if config.ledger != old.config.ledger:
            raise ConfigError(
                f"{config.source}: ledger: cannot change while the program runs; start it again"
            )
        new = self._built(config, old.chain)
        places = {provider.spec.name: _place(provider.spec) for provider in new.chain}
        self._services.health.spec = config.health
        self._services.ledger.seed([Budget.of(spec) for spec in config.budgets])
        self._now = new
        for provider in old.chain:
            if provider not in new.chain:
                provider.retire()
            if places.get(provider.spec.name) != _place(provider.spec):
                self._services.health.forget(provider.spec.name)

    def _built(self, config: RouterConfig, old: list[Provider]) -> _Now:
        """The chain of a configuration, with the old providers that it keeps."""
        kept = {provider.spec.name: provider for provider in old}
        chain = []
        for row in config.providers:
            known = kept.get(row.name)
            if known is not None and known.spec == row:
                chain.append(known)
            elif row.enabled:
                chain.append(create_provider(row, source=config.source, environ=self._environ))
        graph = assemble(chain, self._services)
        router = compiled(graph, checkpointer=self._checkpointer, name=self._name)
        return _Now(config, chain, router)


def _content(path: Path | None) -> bytes | None:
    """What the file says, as bytes: its date may be the same after two changes in one moment."""
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        # Reading the configuration says what is wrong with it.
        return None


def _place(spec: ProviderSpec) -> tuple[str | None, ...]:
    """What a provider's health is about: another address, model or key is another provider."""
    return (spec.kind, spec.base_url, spec.model, spec.api_key_env)
