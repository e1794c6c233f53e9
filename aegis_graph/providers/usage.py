"""What a provider counted, made sound: whole numbers only, and each token once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

MAX_COUNT = 1_000_000_000
"""No request has more tokens: a larger count is a fault of the server."""

CACHE_WRITES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
"""Anthropic's names for tokens written to its cache for five minutes and for an hour, under which
langchain-anthropic and any-llm hand them on."""

EXPLICIT_CACHE_READ = "explicit_cache_read"
"""Our name for those of the cached tokens that a message had marked, where a provider bills them by
a price of their own."""

_INPUT_DETAILS: Mapping[str, str] = {
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_creation",
    "audio_tokens": "audio",
    "image_tokens": "image",
}
_OUTPUT_DETAILS: Mapping[str, str] = {
    "reasoning_tokens": "reasoning",
    "audio_tokens": "audio",
    "image_tokens": "image",
}
"""The details that have a price or a column of their own: OpenAI's name, and LangChain's.

Source: https://platform.openai.com/docs/api-reference/chat/object; compatible services add
``image_tokens``.
"""


_BESIDE: Mapping[str, str] = {
    "prompt_cache_hit_tokens": "cached_tokens",
    "cache_read_input_tokens": "cached_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
}
"""Names beside the main counts, and OpenAI's: the first is DeepSeek's, the others Anthropic's, as
gateways (LiteLLM) pass them on. Source: https://api-docs.deepseek.com/guides/kv_cache."""


def whole_count(value: object) -> int | None:
    """A count of tokens, where a value is one: a whole number from 0 to ``MAX_COUNT``.

    Example:
        >>> [whole_count(value) for value in (7, 7.0, 5.5, "7", True, -1, 2**63, float("nan"))]
        [7, 7, None, None, None, None, None, None]
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def openai_usage(raw: object) -> dict[str, Any] | None:
    """A usage object of OpenAI's protocol with sound counts only; ``None`` where it is unusable.

    A detail that is no count is left out, and so is a total. Reasoning that a server counts beside
    the completion (xAI) is added to it, where the total says that it is beside it.

    Example:
        >>> details = {"reasoning_tokens": 94}
        >>> usage = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135}
        >>> openai_usage({**usage, "completion_tokens_details": details})["completion_tokens"]
        103
        >>> openai_usage({"prompt_tokens": "n/a", "completion_tokens": 9}) is None
        True
    """
    if not isinstance(raw, Mapping):
        return None
    read = whole_count(raw.get("prompt_tokens"))
    written = whole_count(raw.get("completion_tokens"))
    if read is None or written is None:
        return None
    details = raw.get("prompt_tokens_details")
    beside = sound_counts(raw, _BESIDE)
    inputs = {_BESIDE[name]: count for name, count in beside.items()}
    inputs |= sound_counts(details, _INPUT_DETAILS)
    outputs = sound_counts(raw.get("completion_tokens_details"), _OUTPUT_DETAILS)
    total = whole_count(raw.get("total_tokens")) or read + written
    written += reasoning_beside(read, written, total, outputs.get("reasoning_tokens"))
    usage: dict[str, Any] = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": total,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": outputs,
    }
    times = details.get("cache_creation_token_details") if isinstance(details, Mapping) else None
    times = times or raw.get("cache_creation")
    if by_time := sound_counts(times, CACHE_WRITES):
        usage["prompt_tokens_details"] = {**inputs, "cache_creation_token_details": by_time}
    return usage


def openai_usage_metadata(raw: object) -> UsageMetadata | None:
    """The same in LangChain's form, with the details that langchain-openai has no name for."""
    usage = openai_usage(raw)
    if usage is None:
        return None
    inputs, outputs = usage["prompt_tokens_details"], usage["completion_tokens_details"]
    times = inputs.get("cache_creation_token_details", {})
    read = {ours: inputs[name] for name, ours in _INPUT_DETAILS.items() if name in inputs}
    written = {ours: outputs[name] for name, ours in _OUTPUT_DETAILS.items() if name in outputs}
    return _metadata(
        usage["prompt_tokens"],
        usage["completion_tokens"],
        usage["total_tokens"],
        {**read, **times},
        written,
    )


def reasoning_beside(read: int, written: int, total: int, reasoning: int | None) -> int:
    """The tokens of reasoning that a server counts beside the output; 0 where they are part of it.

    Args:
        read: Input tokens.
        written: Output tokens.
        total: What the server says that all of them are.
        reasoning: Tokens of reasoning, where the server names them.
    """
    return reasoning if reasoning and total == read + written + reasoning else 0


def combined_usage(seen: Sequence[UsageMetadata]) -> UsageMetadata | None:
    """The usage of an answer whose stream had several: the last of what grows, or the sum.

    Counts grow where each usage repeats the input, as with vLLM's ``continuous_usage_stats``. A
    provider that names the input once (Anthropic, Gemini) sends increments.

    Args:
        seen: The usages, with whole numbers, in the order in which they came.

    Example:
        >>> def usage(read: int, written: int) -> UsageMetadata:
        ...     total = read + written
        ...     return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=total)
        >>> combined_usage([usage(9, 1), usage(9, 2), usage(9, 3)])["output_tokens"]
        3
        >>> combined_usage([usage(9, 1), usage(0, 2)])["total_tokens"]
        12
    """
    # A usage of zeros says that its piece has none.
    counted = [usage for usage in seen if usage["input_tokens"] or usage["output_tokens"]]
    if len(counted) < 2:
        return counted[0] if counted else next(iter(seen), None)
    inputs = [usage["input_tokens"] for usage in counted]
    outputs = [usage["output_tokens"] for usage in counted]
    repeats = inputs[0] > 0 and _never_falls(inputs)
    grows = repeats and _never_falls(outputs)
    read = inputs[-1] if repeats else sum(inputs)
    written = outputs[-1] if grows else sum(outputs)
    return _metadata(
        read,
        written,
        # The server's own says more than the two do, where it counts something beside them.
        counted[-1]["total_tokens"] if grows else read + written,
        _joined((usage.get("input_token_details") for usage in counted), last=repeats),
        _joined((usage.get("output_token_details") for usage in counted), last=grows),
    )


def _never_falls(counts: Sequence[int]) -> bool:
    return all(before <= after for before, after in pairwise(counts))


def _joined(rows: Iterable[Mapping[str, Any] | None], *, last: bool) -> dict[str, int]:
    joined: dict[str, int] = {}
    for row in rows:
        for name, count in sound_counts(row, row or ()).items():
            joined[name] = count if last else joined.get(name, 0) + count
    return joined


def sound_counts(row: object, names: Iterable[str]) -> dict[str, int]:
    """Those of these fields that are counts; none of them where the row is no object."""
    if not isinstance(row, Mapping):
        return {}
    found = {name: whole_count(row.get(name)) for name in names}
    return {name: count for name, count in found.items() if count is not None}


def _metadata(
    read: int, written: int, total: int, inputs: Mapping[str, int], outputs: Mapping[str, int]
) -> UsageMetadata:
    usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=total)
    # Providers add details of their own to those that LangChain declares.
    if inputs:
        usage["input_token_details"] = InputTokenDetails(**inputs)  # type: ignore[typeddict-item]
    if outputs:
        usage["output_token_details"] = OutputTokenDetails(**outputs)  # type: ignore[typeddict-item]
    return usage
