"""The ledger's rows as FOCUS, the FinOps Foundation's format of bills."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import BinaryIO

from aegis_graph.ledger.export.csv_lines import csv_lines
from aegis_graph.ledger.export.row_reader import ESCAPED, PLAIN, RowReader
from aegis_graph.ledger.queries import Query
from aegis_graph.types import FocusVersion

# With a decimal point: the format wants a quantity that is no integer, even where it is whole.
_TOKENS = "CAST(coalesce(input_tokens, 0) + coalesce(output_tokens, 0) AS TEXT) || '.0'"

# Reads the hour, from which ``_periods`` makes the four columns of time that come first.
_FOCUS = {
    "hour": "substr(timestamp, 1, 13)",
    "BilledCost": PLAIN["cost_usd"],
    "EffectiveCost": PLAIN["cost_usd"],
    "ListCost": PLAIN["cost_usd"],
    "ContractedCost": PLAIN["cost_usd"],
    "BillingCurrency": "'USD'",
    # The ledger knows an account by the provider that gave its key.
    "BillingAccountId": ESCAPED["provider"],
    "BillingAccountName": ESCAPED["provider"],
    "ChargeCategory": "'Usage'",
    "ChargeClass": "NULL",
    "ChargeFrequency": "'Usage-Based'",
    "ChargeDescription": "'LLM call ' || status || ': ' || model",
    "ServiceName": ESCAPED["provider"],
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceSubcategory": "'Generative AI'",
    "ProviderName": ESCAPED["provider"],
    "PublisherName": ESCAPED["provider"],
    "InvoiceIssuerName": ESCAPED["provider"],
    # The provider's bill has it, and the ledger has not.
    "InvoiceId": "NULL",
    "ConsumedQuantity": _TOKENS,
    "ConsumedUnit": "'Tokens'",
    "PricingCategory": "'Standard'",
    "PricingQuantity": _TOKENS,
    "PricingUnit": "'Tokens'",
    "SkuId": ESCAPED["model"],
    "ResourceId": ESCAPED["model"],
    "ResourceName": ESCAPED["model"],
    "ResourceType": "'Model'",
    "Tags": ESCAPED["tags"],
    "x_Request_Id": "id",
    "x_Route_Id": ESCAPED["route_id"],
    "x_Attempt": "attempt",
    "x_Status": "status",
    "x_Task": ESCAPED["task"],
    "x_User_Id": ESCAPED["user_id"],
    "x_Thread_Id": ESCAPED["thread_id"],
    "x_Sensitivity": "sensitivity",
    "x_Cost_Basis": "cost_basis",
    "x_Input_Tokens": "input_tokens",
    "x_Output_Tokens": "output_tokens",
    "x_Run_Id": ESCAPED["run_id"],
    "x_Cached_Input_Tokens": "cached_input_tokens",
    "x_Cache_Write_Tokens": "cache_write_tokens",
    "x_Service_Tier": ESCAPED["service_tier"],
    "x_Served_Model": ESCAPED["served_model"],
    "x_Overrun": "overrun",
    "x_Expected_Nano_Usd": "expected_nano_usd",
    "x_Queued_Ms": "queued_ms",
    "x_First_Token_Ms": "first_token_ms",
}

_PERIODS = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")

_RENAMED: Mapping[FocusVersion, Mapping[str, str]] = {
    "1.2": {},
    "1.4": {"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"},
}
"""What a version calls columns of 1.2 otherwise."""


def focus_columns(version: FocusVersion) -> tuple[str, ...]:
    """Columns of a version of FOCUS, and our own with the prefix ``x_``.

    Source: https://focus.finops.org/focus-specification/ (v1-2, v1-4)
    """
    renamed = _RENAMED[version]
    return (*_PERIODS, *(renamed.get(name, name) for name in _FOCUS if name != "hour"))


def write_focus(stream: BinaryIO, reader: RowReader, *, version: FocusVersion) -> Query[None]:
    """One charge per attempt that has ended, as lines of CSV in UTF-8."""
    stream.write(csv_lines([focus_columns(version)]))
    while rows := (yield from reader.next_rows(_FOCUS, ended=True)):
        stream.write(csv_lines(_periods(row[0]) + row[1:] for row in rows))


@lru_cache(maxsize=64)
def _periods(hour: str) -> tuple[str, str, str, str]:
    """The hour of a charge and its month: beginnings and ends, in UTC."""
    start = datetime.fromisoformat(f"{hour}:00:00+00:00")
    month = start.replace(day=1, hour=0)
    # 31 days after a month's first one is always in the next month.
    ends = start + timedelta(hours=1), (month + timedelta(days=31)).replace(day=1)
    texts = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, ends[0], month, ends[1])]
    return texts[0], texts[1], texts[2], texts[3]
