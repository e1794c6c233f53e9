"""What the tokens of a report's rows would have cost at the provider that is the baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.export.row_reader import RowReader
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.row_selection import TOTAL, RowSelection
from aegis_graph.ledger.scopes import tags_of
from aegis_graph.pricing.money import to_nano_usd
from aegis_graph.pricing.prices import Price
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.registry import create_provider

_COLUMNS = (
    "id",
    "timestamp",
    "day",
    "provider",
    "model",
    "task",
    "user_id",
    "run_id",
    "tags",
    "status",
    "cost_nano_usd",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "reasoning_tokens",
)


def baseline_price(config: RouterConfig) -> Price:
    """The price of the provider that ``routing.baseline`` names.

    Raises:
        ConfigError: None is named.
    """
    name = config.routing.baseline
    row = next((one for one in config.providers if one.name == name), None)
    if row is None:
        raise ConfigError(
            f'--savings: {config.source} names no baseline; write baseline = "NAME" under [routing]'
        )
    return create_provider(row, source=config.source).price


def baseline_costs(
    by: str, selection: RowSelection, price: Price, *, embedders: frozenset[str]
) -> Query[Counter[str]]:
    """Nano-USD that the baseline would have cost, by the names of a report's rows.

    Every row that is chosen is read, in batches. Attempts without an answer would not
    have been made there, and count nothing; embeddings count as what they cost.

    Args:
        by: What the report is by.
        selection: Which rows.
        price: The baseline's, at the time of each row.
        embedders: The models of embeddings.
    """
    reader = RowReader(selection, None)
    costs: Counter[str] = Counter()
    columns = {name: name for name in _COLUMNS}
    while rows := (yield from reader.next_rows(columns, ended=True)):
        for values in rows:
            row = dict(zip(_COLUMNS, values, strict=True))
            name = _name(by, row)
            if name is None:
                continue
            if row["model"] in embedders:
                costs[name] += int(row["cost_nano_usd"])
            elif row["status"] == "answered":
                costs[name] += _cost(price, row)
    return costs


def _cost(price: Price, row: Mapping[str, object]) -> int:
    def tokens(name: str) -> int:
        return int(str(row[name] or 0))

    usage = TokenUsage(
        tokens("input_tokens"),
        tokens("output_tokens"),
        tokens("cached_input_tokens"),
        reasoning_tokens=tokens("reasoning_tokens"),
    )
    moment = datetime.fromisoformat(str(row["timestamp"]))
    return to_nano_usd(price.cost(usage, at=moment).usd)


def _name(by: str, row: Mapping[str, object]) -> str | None:
    """The report's row in which a row of the ledger counts; ``None`` where it counts in none."""
    kind, _, key = by.partition(":")
    if by == TOTAL:
        return by
    if kind == "tag":
        return tags_of(str(row["tags"])).get(key) if row["tags"] else None
    if kind == "month":
        return str(row["day"])[:7]
    value = row[{"user": "user_id", "run": "run_id"}.get(kind, kind)]
    return None if value is None else str(value)
