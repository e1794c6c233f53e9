"""A ledger's file that is deleted, replaced or renamed under a program, or may not be written."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_graph import LedgerError
from aegis_graph.ledger.ledger import SqlLedger
from tests import programs
from tests.contract.ledger_store import hold, settlement, spent_and_held
from tests.contract.test_ledger_file import open_ledger

OTHER_USER = 65534
"""A user without rights, for tests that run as root, to whom every file is writable."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqlLedger]:
    ledger = open_ledger(path)
    yield ledger
    ledger.close()


def files(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


async def test_no_call_is_admitted_by_a_ledger_that_was_deleted(
    ledger: SqlLedger, path: Path
) -> None:
    await ledger.settle([settlement(await ledger.admit([hold(100)]), 40)])
    for file in files(path):
        file.unlink()
    # Again and again: a new file would have the whole budget again.
    for _ in range(3):
        with pytest.raises(LedgerError, match="was deleted"):
            await ledger.admit([hold(100)])
    assert files(path) == []


async def test_a_ledger_that_was_renamed_is_written_to_no_more(
    ledger: SqlLedger, path: Path
) -> None:
    await ledger.settle([settlement(await ledger.admit([hold(100)]), 40)])
    ledger.close()
    for file in files(path):
        file.rename(file.with_name(f"old-{file.name}"))
    with pytest.raises(LedgerError, match="was deleted"):
        await ledger.admit([hold(100)])
    # Put back, it goes on where it was.
    for file in sorted(path.parent.glob("old-*")):
        file.rename(file.with_name(file.name.removeprefix("old-")))
    assert (await ledger.admit([hold(100)])).hold_id is not None
    assert await spent_and_held(ledger) == [(40, 100)]


async def test_a_backup_that_was_put_in_its_place_is_noticed_once_and_used_then(
    ledger: SqlLedger, path: Path, tmp_path: Path
) -> None:
    await ledger.settle([settlement(await ledger.admit([hold(100)]), 40)])
    ledger.close()
    backup = tmp_path / "backup" / "costs.db"
    backup.parent.mkdir()
    shutil.copy(path, backup)
    await ledger.settle([settlement(await ledger.admit([hold(100)]), 50)])
    for file in files(path):
        if file != path:
            file.unlink()
    backup.replace(path)
    with pytest.raises(LedgerError, match="was replaced"):
        await ledger.admit([hold(100)])
    assert (await ledger.admit([hold(100)])).hold_id is not None
    assert await spent_and_held(ledger) == [(40, 100)]


async def test_the_file_is_its_owners_alone(ledger: SqlLedger, path: Path) -> None:
    before = os.umask(0)
    try:
        await ledger.admit([hold(100)])
        found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files(path)}
    finally:
        os.umask(before)
    assert set(found) == {"costs.db", "costs.db-wal", "costs.db-shm", "costs.db.key"}
    assert set(found.values()) == {0o600}


async def write(path: Path) -> None:
    written = open_ledger(path)
    await written.settle([settlement(await written.admit([hold(100)]), 40)])
    written.close()


READ = """
import os, sys
import tomllib  # before: Python's own files may be where another user may not read
if os.getuid() == 0:
    os.setgid({user}); os.setuid({user})
from aegis_graph.cli import main
sys.argv = ["aegis", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file modes")
@pytest.mark.parametrize(
    "command",
    [["costs"], ["budgets"], ["ledger", "export", "--format", "csv"], ["ledger", "verify"]],
)
def test_reading_needs_no_right_to_write(command: list[str]) -> None:
    # Not below pytest's folder, which is shut for other users.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "there" / "costs.db"
        asyncio.run(write(path))
        config = Path(folder) / "aegis.toml"
        config.write_text(f'[ledger]\nurl = "sqlite:///{path}"\n')
        Path(folder).chmod(0o755)
        config.chmod(0o644)
        path.chmod(0o444)
        path.parent.chmod(0o555)
        try:
            done = programs.run_text(
                READ.format(user=OTHER_USER),
                *command,
                "--config",
                str(config),
                cwd=Path(folder),
                environ={"PATH": os.environ["PATH"], "HOME": folder},
            )
        finally:
            path.parent.chmod(0o755)
        assert (done.returncode, done.stderr) == (0, "")
        assert [file.name for file in files(path)] == ["costs.db", "costs.db.key"]
