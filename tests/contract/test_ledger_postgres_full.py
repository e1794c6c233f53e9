"""A full disk under PostgreSQL: a clear error, nothing half written, and work goes on after it.

The database is in a tablespace on a small file system in memory; where none can be mounted (it
takes the rights of root), this is skipped.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.maintenance import verify
from tests.contract.ledger_store import hold, settlement
from tests.contract.test_ledger_postgres import open_ledger

SIZE = "48m"
"""Some more than an empty database."""


@pytest.fixture
def small_disk(postgres_url: str) -> Iterator[str]:
    """The address of a database on a disk of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        psycopg.connect(postgres_url, autocommit=True) as server,
    ):
        row = server.execute("SHOW data_directory").fetchone()
        assert row is not None
        if not Path(row[0]).exists():
            pytest.skip("the server is on another machine")
        owner = Path(row[0]).stat()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=False
        )
        if mounted.returncode:
            pytest.skip("no file system can be mounted here")
        try:
            yield from _database(server, Path(folder), owner.st_uid, owner.st_gid, postgres_url)
        finally:
            subprocess.run(["umount", folder], check=True)


def _database(
    server: psycopg.Connection[object], folder: Path, uid: int, gid: int, url: str
) -> Iterator[str]:
    place = folder / "space"
    place.mkdir()
    subprocess.run(["chown", f"{uid}:{gid}", str(folder), str(place)], check=True)
    Path(folder).chmod(0o755)
    server.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
    try:
        server.execute("CREATE DATABASE small TABLESPACE small")
        yield urlunsplit(urlsplit(url)._replace(path="/small"))
        server.execute("DROP DATABASE small WITH (FORCE)")
    finally:
        server.execute("DROP TABLESPACE small")


def fill(other: psycopg.Connection[Any]) -> None:
    """Leave not a page on the disk."""
    other.execute("CREATE TABLE filler (text TEXT)")
    for rows in (1000, 100, 10, 1):
        with pytest.raises(psycopg.errors.DiskFull):  # noqa: PT012  until it is raised
            while True:
                other.execute(
                    "INSERT INTO filler SELECT repeat('x', 7000) FROM generate_series(1, %s)",
                    (rows,),
                )


async def test_a_full_disk_is_an_error_in_time_and_work_goes_on_after_it(small_disk: str) -> None:
    ledger = open_ledger(small_disk, busy_s=5)
    made = await ledger.admit([hold(10)])
    # One connection: a new one may have to write a file of the server's before it is there.
    with psycopg.connect(small_disk, autocommit=True) as other:
        fill(other)
        known = 1
        with pytest.raises(LedgerError, match="the disk is full; free some space"):  # noqa: PT012
            for _ in range(2000):  # Until the pages that the ledger has already are full, too.
                await ledger.admit([hold(1)])
                known += 1
        assert known < 2000
        other.execute("DROP TABLE filler")
    await ledger.settle([settlement(made, 5)])
    assert (await ledger.admit([hold(1)])).hold_id is not None
    (row,) = await ledger.budgets()
    assert (row.spent_nano_usd, row.held_nano_usd) == (5, known)
    assert await verify(ledger) == []
    ledger.close()
