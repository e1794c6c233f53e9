"""What a person types of a budget, checked the same way wherever it is typed."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import ConfigError

_MOST_USD = 9_000_000_000
"""What fits into 64 bits as nano-USD, rounded."""


def parse_usd(text: str) -> Decimal:
    """An amount of money as a person types it.

    Raises:
        ConfigError: It is not one that the ledger can hold.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"{text!r} is not an amount in USD like 12.50") from error
    # First, because comparing a decimal that is no number raises.
    if amount.is_nan() or not 0 <= amount <= _MOST_USD:
        raise ConfigError(f"{text!r} is not an amount from 0 to {_MOST_USD} USD")
    return amount


def check_scope(config: RouterConfig, scope: str) -> None:
    """Refuse a limit for a misspelled provider, which would hold nothing back.

    Raises:
        ConfigError: The scope names a provider that is none of the configuration's.
    """
    kind, _, subject = scope.partition(":")
    names = [provider.name for provider in config.providers]
    if kind == "provider" and subject not in names:
        raise ConfigError(
            f"budget scope: no provider is named {subject!r}; there are {', '.join(names)}"
        )
