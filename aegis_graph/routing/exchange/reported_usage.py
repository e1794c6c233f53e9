"""What an answer's own counts say, in tokens that have a price. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.usage import (
    CACHE_WRITES,
    EXPLICIT_CACHE_READ,
    combined_usage,
    reasoning_beside,
    sound_counts,
    whole_count,
)
from aegis_graph.routing.stream_recorder import StreamRecorder

MAX_NAME = 200
"""Characters of what a server names: a row of the ledger stays small."""

_TIER_PREFIXES = ("", "flex_", "priority_")
"""What langchain-openai puts before the name of a detail of these service tiers."""


class ReportedUsage(NamedTuple):
    """What an answer says that it used."""

    readings: tuple[TokenUsage, ...]
    """One; or several, where the counts contradict each other."""
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    """``None`` for each of these three where nothing of it was said."""


def with_whole_usage(answer: AIMessage, recorder: StreamRecorder) -> AIMessage:
    """The answer with a usage that counts each of its tokens once.

    LangChain adds up the usages of a stream, also where each of them is the whole so far.
    """
    seen = recorder.usages
    usage = combined_usage(seen) if len(seen) > 1 else answer.usage_metadata
    if usage is None:
        return answer
    read, written, total = _main_counts(usage)
    reasoning = _details(usage.get("output_token_details")).get("reasoning")
    if read is not None and written is not None and total is not None:
        beside = reasoning_beside(read, written, total, reasoning)
        usage = usage if not beside else {**usage, "output_tokens": written + beside}
    if usage is answer.usage_metadata:
        return answer
    return answer.model_copy(update={"usage_metadata": usage})


def reported_usage(answer: AIMessage) -> ReportedUsage | None:
    """What an answer says that it used; ``None`` where it says nothing that can be counted with."""
    if answer.usage_metadata is None:
        return None
    usage = answer.usage_metadata
    read, written, total = _main_counts(usage)
    if read is None or written is None:
        return None
    inputs = _details(usage.get("input_token_details"))
    outputs = _details(usage.get("output_token_details"))
    cached, reasoning = inputs.get("cache_read"), outputs.get("reasoning")
    brief, hour = map(inputs.get, CACHE_WRITES)
    created = inputs.get("cache_creation")
    # Some say the whole beside its parts, some the parts alone.
    writes = max(created or 0, (brief or 0) + (hour or 0))
    tokens = TokenUsage(
        read,
        written,
        cached_input_tokens=cached or 0,
        explicit_cached_tokens=inputs.get(EXPLICIT_CACHE_READ, 0),
        cache_write_tokens=writes,
        cache_write_1h_tokens=hour or 0,
        audio_input_tokens=inputs.get("audio", 0),
        image_input_tokens=inputs.get("image", 0),
        audio_output_tokens=outputs.get("audio", 0),
        image_output_tokens=outputs.get("image", 0),
        reasoning_tokens=reasoning or 0,
    )
    readings = tuple(map(_within_itself, _readings(tokens, total or read + written)))
    return ReportedUsage(
        readings,
        None if cached is None else min(cached, read),
        None if created is brief is hour is None else readings[0].cache_write_tokens,
        reasoning if reasoning is not None and reasoning <= readings[-1].output_tokens else None,
    )


def _readings(tokens: TokenUsage, total: int) -> list[TokenUsage]:
    """What the counts may mean where they do not add up."""
    said = [tokens]
    beyond = total - tokens.input_tokens - tokens.output_tokens
    if tokens.reasoning_tokens > tokens.output_tokens:
        # It cannot be a part of what is less.
        beside = tokens.output_tokens + tokens.reasoning_tokens
        said.append(replace(tokens, output_tokens=beside))
    if beyond > 0:
        said.append(replace(tokens, input_tokens=tokens.input_tokens + beyond))
        said.append(replace(tokens, output_tokens=tokens.output_tokens + beyond))
    elif beyond < 0:
        # Said once more: the two are the dearest reading, and not a sure one.
        said.append(tokens)
    return said


def _within_itself(tokens: TokenUsage) -> TokenUsage:
    """A part of the input cannot be larger than the input: no share is priced twice."""
    cached = min(tokens.cached_input_tokens, tokens.input_tokens)
    writes = min(tokens.cache_write_tokens, tokens.input_tokens - cached)
    hour = min(tokens.cache_write_1h_tokens, writes)
    parts = (tokens.cached_input_tokens, tokens.cache_write_tokens, tokens.cache_write_1h_tokens)
    if parts == (cached, writes, hour):
        return tokens
    return replace(
        tokens, cached_input_tokens=cached, cache_write_tokens=writes, cache_write_1h_tokens=hour
    )


def _main_counts(usage: UsageMetadata) -> tuple[int | None, int | None, int | None]:
    names = ("input_tokens", "output_tokens", "total_tokens")
    read, written, total = (whole_count(usage.get(name)) for name in names)
    return read, written, total


def _details(row: object) -> dict[str, int]:
    """The details that are counts, by their names without a tier; a plain name counts first."""
    counts = sound_counts(row, row if isinstance(row, Mapping) else ())
    if not any(name.startswith(_TIER_PREFIXES[1:]) for name in counts):
        return counts
    details: dict[str, int] = {}
    for prefix in reversed(_TIER_PREFIXES):
        details |= {
            name.removeprefix(prefix): count
            for name, count in counts.items()
            if name.startswith(prefix)
        }
    return details


def served_tier(answer: AIMessage) -> str | None:
    """The service tier that an answer was served in, as its provider names it."""
    metadata: Mapping[str, Any] = answer.response_metadata
    raw = metadata.get("usage") or metadata.get("token_usage")
    said = (metadata, raw if isinstance(raw, Mapping) else {})
    named = next((tier for row in said if (tier := printable_name(row.get("service_tier")))), None)
    if named is not None:
        return named
    usage: Mapping[str, Any] = answer.usage_metadata or {}
    # langchain-openai names the tier of the tokens, and not always that of the answer.
    return next(iter(sound_counts(usage.get("input_token_details"), ("flex", "priority"))), None)


def served_model(answer: AIMessage) -> str | None:
    """The model that the server says has answered."""
    return printable_name(answer.response_metadata.get("model_name"))


def printable_name(text: object) -> str | None:
    r"""A name that a server gave, fit for a row, a log and a terminal; ``None`` where it is none.

    Example:
        >>> printable_name("gpt-4o\x1b[2J")
        'gpt-4o[2J'
    """
    if not isinstance(text, str):
        return None
    kept = "".join(filter(str.isprintable, text))[:MAX_NAME]
    # Two chunks that both name it are joined to its double.
    half = kept[: len(kept) // 2]
    return (half if kept == half * 2 else kept) or None
