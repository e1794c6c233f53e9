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
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.sources import config_path
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.records import Budget, Ledger
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.routing.application.hooks import RouterHooks
from aegis_graph.routing.assembly import assemble, compiled
from aegis_graph.routing.router import Router
from aegis_graph.routing.services import SharedServices

logger = logging.getLogger(__name__)


class Load(Protocol):
    """How a configuration is read from its file: ``RouterConfig.load``, or like it."""

    def __call__(self, path: Path | None, /, *, environ: Mapping[str, str] | None) -> RouterConfig:
        """Read the file, or what counts without one."""


class _InForce(NamedTuple):
    """What is in force, replaced as a whole."""

    config: RouterConfig
    chain: list[Provider]
    router: Router


class ActiveRouter:
    """The chain in force. Every argument is one of ``RouterHandle``, the hooks as one."""

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
        hooks: RouterHooks,
    ) -> None:
        given = config if isinstance(config, RouterConfig) else None
        path = None if isinstance(config, RouterConfig) else config_path(config, environ=environ)
        self._path = path
        self._environ = environ
        self._checkpointer = checkpointer
        self._name = name
        self._lock = threading.Lock()
        # Before the file is parsed: a change in between is then noticed with the next request.
        self._seen = _file_bytes(path)
        self._watched = watch and path is not None
        self._load = load
        first = given or load(path, environ=environ)
        self._services = SharedServices.of(
            first, ledger=ledger, clock=clock, hooks=hooks, environ=environ
        )
        self._in_force = self._build(first, [])

    @property
    def config(self) -> RouterConfig:
        """The configuration in force."""
        return self._in_force.config

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self._services.ledger

    @property
    def router(self) -> Router:
        """The compiled router in force."""
        return self._in_force.router

    def refresh(self) -> Router:
        """The router in force, after the file was read again where it is watched."""
        if self._watched:
            self._reread_if_changed()
        return self._in_force.router

    async def arefresh(self) -> Router:
        """As ``refresh``, with the file read in a thread: a disk may be slow."""
        if self._watched:
            await asyncio.to_thread(self._reread_if_changed)
        return self._in_force.router

    def reload(self, config: RouterConfig | None) -> None:
        """See ``RouterHandle.reload``."""
        with self._lock:
            try:
                if config is None:
                    self._seen = _file_bytes(self._path)
                    config = self._read_again()
                self._replace(config)
            except ConfigError as error:
                logger.error("the old configuration stays in force: %s", error)
                raise

    def _reread_if_changed(self) -> None:
        """Put the file in force as it is now; a caller that waits for the lock finds it done."""
        with self._lock:
            content = _file_bytes(self._path)
            # An editor may empty the file before it writes it.
            if content == self._seen or not (content or b"").strip():
                return
            # Also where the file is wrong: that is reported once, and not with every request.
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
        old = self._in_force
        if config.ledger != old.config.ledger:
            raise ConfigError(
                f"{config.source}: ledger: cannot change while the program runs; start it again"
            )
        new = self._build(config, old.chain)
        identities = {provider.spec.name: _health_identity(provider.spec) for provider in new.chain}
        self._services.health.spec = config.health
        self._services.webhook.config = config
        self._services.telemetry.spec = config.telemetry
        self._services.ledger.seed([Budget.of(spec) for spec in config.budgets])
        self._in_force = new
        # After the new chain is in force, so that no new request opens a retired provider again. A
        # running call keeps its connections to its end.
        for provider in old.chain:
            if provider not in new.chain:
                provider.retire()
            if identities.get(provider.spec.name) != _health_identity(provider.spec):
                self._services.health.forget(provider.spec.name)
                if provider.waiting is not None:
                    self._services.health.forget(provider.waiting.asked_as)

    def _build(self, config: RouterConfig, old: list[Provider]) -> _InForce:
        """The chain of a configuration, with the old providers that it keeps."""
        kept = {provider.spec.name: provider for provider in old}
        variables = config.variables(self._environ)
        chain = []
        for written in [row for row in config.providers if row.enabled]:
            row = self._services.hooks.priced(written, config.source)
            known = kept.get(row.name)
            # An unchanged row keeps its provider, and with it the open connections.
            if known is not None and known.spec == row:
                chain.append(known)
            else:
                chain.append(create_provider(row, source=config.source, environ=variables))
        graph = assemble(chain, self._services, config)
        router = compiled(graph, checkpointer=self._checkpointer, name=self._name)
        return _InForce(config, chain, router)


def _file_bytes(path: Path | None) -> bytes | None:
    """What the file says, as bytes: its date may be the same after two changes in one moment."""
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        # Reading the configuration says what is wrong with it.
        return None


def _health_identity(spec: ProviderSpec) -> tuple[str | None, ...]:
    """What a provider's health is about: another address, model or key is another provider."""
    return (spec.kind, spec.base_url, spec.model, spec.api_key_env)
