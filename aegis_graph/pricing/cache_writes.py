"""What families of models bill for input that is written to the provider's cache."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

_FACTORS: tuple[tuple[str, Mapping[str, str]], ...] = (
    # https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing
    (r"claude", {"explicit_cache_write": "1.25", "cache_write_1h": "2"}),
    # https://developers.openai.com/api/docs/guides/prompt-caching: from GPT-5.6 on; there is one
    # time to live.
    (
        r"gpt-(5[.-]([6-9]|\d\d)|[6-9])(?!\d)",
        {"cache_write": "1.25", "cache_write_1h": "1.25"},
    ),
    # https://www.alibabacloud.com/help/en/model-studio/context-cache: five minutes only, and only
    # of the models that Alibaba serves itself.
    (r"^qwen[\d.]*-(coder-|vl-)?(max|plus|flash)", {"explicit_cache_write": "1.25"}),
)
"""What a name contains, as a pattern, and the rates that follow from it, in prices of input."""


def cache_write_rates(model: str, input_rate: Decimal) -> dict[str, Decimal]:
    """The rates of cache writes that follow from a model's input rate; none where none are known.

    Args:
        model: Its name at any provider.
        input_rate: In USD per million tokens.

    Example:
        >>> cache_write_rates("us.anthropic.claude-sonnet-4-6", Decimal(3))["cache_write_1h"]
        Decimal('6')
        >>> cache_write_rates("gpt-4o", Decimal(3))
        {}
    """
    for pattern, factors in _FACTORS:
        if re.search(pattern, model.lower()):
            return {name: input_rate * Decimal(factor) for name, factor in factors.items()}
    return {}
