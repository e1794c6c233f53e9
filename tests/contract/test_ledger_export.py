"""What every ledger promises of its exports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
import tracemalloc
from decimal import Decimal
from typing import Any, BinaryIO, cast

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from typing_extensions import override

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.export.export import COLUMNS
from aegis_graph.ledger.export.row_reader import BATCH_ROWS
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.pricing.money import usd_text
from aegis_graph.text.spreadsheet import escape_formula
from aegis_graph.types import EXPORT_FORMATS, ExportFormat
from tests.contract.ledger_store import USD, Store, hold, settlement

EVIL = "=HYPERLINK(\"http://x\",'a')"
SPREADSHEET: tuple[ExportFormat, ...] = ("csv", "focus")


async def exported(ledger: SqlLedger, format: ExportFormat, **chosen: Any) -> bytes:
    stream = io.BytesIO()
    count = await ledger.export(stream, format=format, **chosen)
    assert count == len(parsed(format, stream.getvalue()))
    return stream.getvalue()


def parsed(format: ExportFormat, data: bytes) -> list[dict[str, Any]]:
    if format == "parquet":
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
        return rows
    text = data.decode()
    if format == "json":
        return list(json.loads(text))
    if format == "jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def a_few_rows(store: Store, ledger: SqlLedger) -> None:
    costs = [0, 1, 10, 999_999_999, USD, 12 * USD + 340_000_000, 123_456_789_012]
    for number, cost in enumerate(costs):
        facts = {"provider": ("cheap", "dear")[number % 2], "user": f'ü "{number}",\n'}
        admission = await ledger.admit([hold(2 * 10**11, model="m|1", thread_id="t", **facts)])
        status = "failed" if number == 3 else "answered"
        await ledger.settle([settlement(admission, cost, status=status)])
        store.now = store.now.replace(day=store.now.day + 1)
    await ledger.admit([hold(5)])


def expected(store: Store) -> list[dict[str, Any]]:
    rows = sorted(store.rows(), key=lambda row: int(row["id"]))
    return [{**row, "cost_usd": usd_text(row["cost_nano_usd"])} for row in rows]


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "parquet"])
async def test_every_format_gives_back_every_row(store: Store, format: ExportFormat) -> None:
    ledger = store.open()
    await a_few_rows(store, ledger)
    rows, wanted = parsed(format, await exported(ledger, format)), expected(store)
    assert set(COLUMNS) == set(wanted[0])
    if format == "csv":
        wanted = [{k: "" if v is None else str(v) for k, v in row.items()} for row in wanted]
    if format == "parquet":
        rows = [{**row, "cost_usd": usd_text(int(row["cost_usd"] * USD))} for row in rows]
    assert rows == wanted


@pytest.mark.parametrize("user", ["ada", "Doe, Jo", 'the "one"', "a\nb", "-1", "=1", "ü", "a-b=c"])
async def test_csv_is_what_the_csv_module_writes(store: Store, user: str) -> None:
    ledger = store.open()
    for cost in (1, 10 * USD, 1_020_000_000):
        admission = await ledger.admit([hold(20 * USD, user="ada", run_id="r")])
        await ledger.settle([settlement(admission, cost)])
    await ledger.admit([hold(5, user=user)])
    safe = [
        {
            name: escape_formula(value) if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in expected(store)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(safe)
    assert await exported(ledger, "csv") == text.getvalue().encode()


@pytest.mark.parametrize("format", EXPORT_FORMATS)
async def test_an_export_of_nothing_is_whole(store: Store, format: ExportFormat) -> None:
    ledger = store.open()
    assert parsed(format, await exported(ledger, format)) == []
    if format in SPREADSHEET:
        assert (await exported(ledger, format)).count(b"\n") == 1


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", EVIL])
async def test_a_spreadsheet_finds_no_formula(store: Store, evil: str) -> None:
    ledger = store.open()
    names = {"provider": evil, "model": evil, "user": evil, "thread_id": evil, "route_id": evil}
    admission = await ledger.admit([hold(5, **names)])
    await ledger.settle([settlement(admission, 1, status="failed", error_type=evil)])
    for format in SPREADSHEET:
        (row,) = parsed(format, await exported(ledger, format))
        assert list(row.values()).count(f"'{evil}") >= 6
        assert not [cell for cell in row.values() if cell.startswith(tuple("=+-@\t\r\n"))]
    (row,) = parsed("jsonl", await exported(ledger, "jsonl"))
    assert row["user_id"] == evil


@pytest.mark.parametrize("format", EXPORT_FORMATS)
async def test_days_and_providers_can_be_chosen(store: Store, format: ExportFormat) -> None:
    ledger = store.open()
    await a_few_rows(store, ledger)
    for chosen, days in [
        ({"since": "2026-11-25"}, [25, 26, 27, 28, 29, 30]),
        ({"until": "2026-11-25"}, [23, 24]),
        ({"since": "2026-11-24", "until": "2026-11-28", "provider": "dear"}, [24, 26]),
        ({"provider": "nobody"}, []),
    ]:
        rows = parsed(format, await exported(ledger, format, **chosen))
        column = "ChargePeriodStart" if format == "focus" else "day"
        # The attempt on the 30th has not ended: it is no charge yet.
        wanted = [day for day in days if format != "focus" or day < 30]
        assert [int(row[column][8:10]) for row in rows] == wanted


async def test_focus_has_its_columns_and_adds_up_to_the_ledger(store: Store) -> None:
    ledger = store.open()
    await a_few_rows(store, ledger)
    rows = parsed("focus", await exported(ledger, "focus"))
    ended = [row for row in store.rows() if row["status"] != "reserved"]
    spent = sum(row["cost_nano_usd"] for row in ended)
    for column in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"):
        assert sum(Decimal(row[column]) for row in rows) * USD == spent
    for column in ("ConsumedQuantity", "PricingQuantity"):
        assert sum(Decimal(row[column]) for row in rows) == 10 * len(ended)
        # Of a column of whole numbers a reader would make integers, which the format forbids.
        assert all("." in row[column] for row in rows)
    first = rows[0]
    assert first["ChargePeriodStart"] == "2026-11-23T12:00:00Z"
    assert first["ChargePeriodEnd"] == "2026-11-23T13:00:00Z"
    assert first["BillingPeriodStart"] == "2026-11-01T00:00:00Z"
    assert first["BillingPeriodEnd"] == "2026-12-01T00:00:00Z"
    fixed = {"BillingCurrency": "USD", "ChargeCategory": "Usage", "ConsumedUnit": "Tokens"}
    fixed |= {"ServiceCategory": "AI and Machine Learning", "PricingUnit": "Tokens"}
    names = dict.fromkeys(("ServiceName", "ProviderName", "PublisherName"), "cheap")
    more = {"InvoiceIssuerName": "cheap", "SkuId": "m|1", "ResourceId": "m|1", "x_Task": "chat"}
    assert first.items() >= {**fixed, **names, **more, "x_Cost_Basis": "reported"}.items()
    assert {"x_Route_Id", "x_User_Id", "ChargeDescription", "BillingAccountId"} <= first.keys()
    assert first["InvoiceId"] == ""


async def test_focus_1_4_has_other_names_and_the_same_charges(store: Store) -> None:
    ledger = store.open()
    await a_few_rows(store, ledger)
    old = parsed("focus", await exported(ledger, "focus"))
    new = parsed("focus", await exported(ledger, "focus", focus_version="1.4"))
    renamed = {"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"}
    assert [{renamed.get(key, key): value for key, value in row.items()} for row in old] == new


def calls(count: int) -> str:
    """The statement that records so many calls."""
    return f"""
    INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task, sensitivity,
        user_id, query_hash, status, cost_basis, hold_nano_usd, cost_nano_usd, expires_at)
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
    SELECT '2026-12-31T23:59:59.999Z', '2026-12-31', 'r' || CAST(n AS TEXT), 1, 'p', 'm', 'chat',
        'public', 'u', 'h', 'answered', 'reported', 9, n, '2027-01-01T00:00:00.000Z'
    FROM numbers
    """


MANY = calls(20_000)


class Sink(io.RawIOBase):
    """Counts lines and keeps nothing."""

    lines = 0

    @override
    def write(self, data: Any) -> int:
        self.lines += bytes(data).count(b"\n")
        return len(data)


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "focus"])
async def test_memory_does_not_grow_with_the_rows(
    store: Store, format: ExportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Smaller batches show the same with fewer rows, each of whose allocations is traced.
    monkeypatch.setattr("aegis_graph.ledger.export.row_reader.BATCH_ROWS", 500)
    ledger = store.open()
    await ledger.transact(lambda connection: connection.execute(calls(2_000)))

    def peak(rows: int) -> int:
        sink = Sink()
        tracemalloc.start()
        count = ledger.export_blocking(cast(BinaryIO, sink), format=format)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == rows
        assert sink.lines >= rows
        return most

    first = peak(2_000)
    await ledger.transact(lambda connection: connection.execute(calls(2_000)))
    assert peak(4_000) < first * 1.2


async def test_parquet_is_written_in_groups(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aegis_graph.ledger.export.parquet.BATCHES_PER_GROUP", 2)
    ledger = store.open()
    await ledger.transact(lambda connection: connection.execute(MANY))
    data = await exported(ledger, "parquet")
    assert pyarrow.parquet.ParquetFile(io.BytesIO(data)).num_row_groups == 2
    costs = pyarrow.parquet.read_table(io.BytesIO(data)).column("cost_usd").to_pylist()
    assert sum(costs) == Decimal(20_000 * 20_001 // 2) / USD


async def test_a_month_ends_with_its_year(store: Store) -> None:
    ledger = store.open()
    await ledger.transact(lambda connection: connection.execute(MANY))
    row = parsed("focus", await exported(ledger, "focus"))[-1]
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"], row["ChargePeriodEnd"]) == (
        "2026-12-01T00:00:00Z",
        "2027-01-01T00:00:00Z",
        "2027-01-01T00:00:00Z",
    )


async def test_a_format_nobody_knows_is_refused_by_name(store: Store) -> None:
    with pytest.raises(ConfigError, match="'xlsx' is none of csv"):
        await store.open().export(io.BytesIO(), format=cast(ExportFormat, "xlsx"))


async def test_a_missing_library_says_how_to_install_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "aegis_graph.ledger.export.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aegis-graph\[parquet\]'"):
        await store.open().export(io.BytesIO(), format="parquet")


class FullDisk(io.RawIOBase):
    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Any) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("format", EXPORT_FORMATS)
async def test_a_full_disk_is_not_taken_for_the_ledgers_fault(
    store: Store, format: ExportFormat
) -> None:
    ledger = store.open()
    await ledger.admit([hold(5)])
    with pytest.raises(OSError, match="No space left"):
        await ledger.export(cast(BinaryIO, FullDisk()), format=format)


async def test_a_cancelled_export_stops_writing(store: Store) -> None:
    ledger = store.open()
    await ledger.transact(lambda connection: connection.execute(MANY))
    loop, task = asyncio.get_running_loop(), asyncio.Event()

    class Cancelling(Sink):
        @override
        def write(self, data: Any) -> int:
            if self.lines == 1:
                asyncio.run_coroutine_threadsafe(give_up(), loop).result()
            return super().write(data)

    async def give_up() -> None:
        running.cancel()
        task.set()

    sink = Cancelling()
    running = asyncio.ensure_future(ledger.export(cast(BinaryIO, sink), format="jsonl"))
    sink.lines = 1
    with pytest.raises(asyncio.CancelledError):
        await running
    await task.wait()
    await asyncio.sleep(0.5)
    assert sink.lines <= 2 * BATCH_ROWS + 1
