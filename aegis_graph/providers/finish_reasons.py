"""Why an answer ended: every provider's word, and what it means for the attempt."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from langchain_core.messages import AIMessage

from aegis_graph.errors import (
    ContentRefusedError,
    ContextTooLongError,
    MalformedAnswerError,
    ProviderError,
    ProviderUnavailableError,
    StreamCutError,
    UnfitAnswerError,
)
from aegis_graph.text.foreign import clean_text
from aegis_graph.types import CUT_OFF, FINISH_REASON

logger = logging.getLogger(__name__)

Outcome = Literal["complete", "tools", "length", "filtered", "failed"]
"""What the end of an answer means, from the mildest to the strictest."""

_STRICTNESS: tuple[Outcome, ...] = ("complete", "tools", "length", "filtered", "failed")


@dataclass(frozen=True, slots=True)
class FinishReason:
    """The end of an answer."""

    word: str
    """The provider's word, printable and short; ``length`` for every word that means a cap."""
    outcome: Outcome
    error: type[ProviderError] | None = None
    """What the attempt failed with, where it did."""
    known: bool = True


_WORDS: Mapping[Outcome, str] = {
    "complete": """
        stop end_turn stop_sequence pause_turn eos eos_token word stop_token stop_str stop_word
        complete completed finish finished done normal end
        stopped_eos stopped_word
    """,
    "tools": """
        tool_calls tool_call tool_use function_call function_calls tool_planning requires_action
    """,
    "length": """
        length max_tokens max_output_tokens max_completion_tokens max_length model_length limit
        token_limit max_output max_len max_context stopped_limit incomplete continuation
    """,
    "filtered": """
        content_filter content_filtered filtered refusal sensitive safety recitation language
        blocklist prohibited_content spii image_safety image_prohibited_content image_recitation
        guardrail_intervened error_toxic content_policy content_policy_violation moderation blocked
        data_inspection_failed model_armor jailbreak
    """,
    "failed": "",
}
"""The words of OpenAI, Azure, OpenRouter, xAI, Mistral, DeepSeek, Anthropic, Gemini, Bedrock,
Cohere, Ollama, vLLM, SGLang, llama.cpp, TGI, watsonx, DashScope, Zhipu, Moonshot and MiniMax, in
small letters. Sources: their API references, and the enumerations in their clients."""

_FAILURES: Mapping[type[ProviderError], str] = {
    ContextTooLongError: "model_context_window_exceeded context_length_exceeded error_limit",
    UnfitAnswerError: """
        malformed_function_call unexpected_tool_call too_many_tool_calls malformed_tool_use
        malformed_model_output missing_thought_signature no_image image_other repetition
    """,
    ProviderUnavailableError: """
        error network_error insufficient_system_resource server_error overloaded load unload invalid
    """,
    MalformedAnswerError: "malformed_response",
    StreamCutError: """
        abort aborted cancel cancelled canceled user_cancel failed failure timeout time_limit
        in_progress queued not_finished finish_reason_unspecified unspecified other
    """,
}
"""The words after which an answer is none, and the error that each means."""


def _table() -> dict[str, FinishReason]:
    """Every known word in small letters."""
    found = {
        word: FinishReason(CUT_OFF if outcome == "length" else word, outcome)
        for outcome, words in _WORDS.items()
        for word in words.split()
    }
    for word, reason in found.items():
        if reason.outcome == "filtered":
            found[word] = FinishReason(word, "filtered", ContentRefusedError)
    for error, words in _FAILURES.items():
        found |= {word: FinishReason(word, "failed", error) for word in words.split()}
    return found


_KNOWN = _table()

# Longest first: LangChain joins the words of two last chunks, ``tool_calls`` and ``stop``.
_JOINED = re.compile("|".join(sorted(map(re.escape, _KNOWN), key=len, reverse=True)))

_GEMINI_NUMBERS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
)
"""Source: the enumeration ``Candidate.FinishReason`` of Gemini's protocol buffers."""

_PREFIX = re.compile(r"^(finishreason\.|stopreason\.|finish_reason_(?!unspecified)|reason_)")

_MAX_WORD = 64
"""Characters of a word that are shown; no provider's own is longer."""

_MAX_JOINED = 4 * _MAX_WORD

_KEYS = (FINISH_REASON, "done_reason", "stop_reason", "stopReason", "finishReason")
"""Under which clients keep the reason in ``response_metadata``; the first that is set counts."""

NATIVE_FINISH_REASON = "native_finish_reason"
"""Under which a gateway such as OpenRouter keeps the word of the provider behind it."""


def read_finish_reason(answer: AIMessage) -> FinishReason | None:
    """Read why an answer ended, and write it into its ``finish_reason`` in the router's word.

    Args:
        answer: Its ``response_metadata`` is changed, unless it names no reason at all.

    Returns:
        ``None`` where the answer names no reason.

    Example:
        >>> answer = AIMessage("Half an ans", response_metadata={"stop_reason": "max_tokens"})
        >>> read_finish_reason(answer).outcome, answer.response_metadata["finish_reason"]
        ('length', 'length')
    """
    metadata = answer.response_metadata
    raw = _raw_reason(metadata)
    if raw is None:
        return None
    reason = meaning_of(raw)
    if not reason.known:
        _log_unknown(reason.word)
    native = metadata.get(NATIVE_FINISH_REASON)
    if native:
        # A gateway's own word is "stop" also where the provider behind it refused.
        behind = meaning_of(native)
        reason = _stricter(reason, behind) if behind.known else reason
    metadata[FINISH_REASON] = reason.word
    return reason


def meaning_of(raw: object) -> FinishReason:
    """What a provider's word means.

    Args:
        raw: A word, a member of an enumeration or its number; words that were joined count as the
            strictest of them.

    Example:
        >>> meaning_of("content_filtercontent_filter").outcome, meaning_of("SAFETY").outcome
        ('filtered', 'filtered')
    """
    raw = getattr(raw, "value", raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < len(_GEMINI_NUMBERS):
        raw = _GEMINI_NUMBERS[raw]
    if isinstance(raw, Mapping):
        # SGLang's own protocol gives an object, of which this is the word.
        raw = raw.get("type")
    return _meaning_of_text(str(raw).strip()[: 2 * _MAX_JOINED])


@lru_cache(maxsize=256)
def _meaning_of_text(text: str) -> FinishReason:
    plain = _PREFIX.sub("", text.casefold().replace("-", "_").replace(" ", "_"))
    words = list(_split(plain[:_MAX_JOINED]))
    if not words or len(plain) > _MAX_JOINED:
        return FinishReason(_shown(text), "complete", known=False)
    strictest = words[0]
    for word in words[1:]:
        strictest = _stricter(strictest, word)
    if len(words) == 1 and strictest.outcome != "length":
        # As the provider writes it: callers compare it with what they know from its documents.
        return FinishReason(_shown(text), strictest.outcome, strictest.error)
    return strictest


def _split(joined: str) -> Iterator[FinishReason]:
    """The known words of which a text is made; none where anything else is in it."""
    found = _JOINED.findall(joined)
    if "".join(found) == joined:
        yield from (_KNOWN[word] for word in found)


def _stricter(one: FinishReason, other: FinishReason) -> FinishReason:
    return max(one, other, key=lambda reason: _STRICTNESS.index(reason.outcome))


def _raw_reason(metadata: Mapping[str, Any]) -> object:
    # A number 0 is a reason, too: the first of Gemini's.
    found = [metadata.get(key) for key in _KEYS]
    reason = next((one for one in found if one not in (None, "", "null")), None)
    if reason is not None:
        return reason
    for key, inner in (("incomplete_details", "reason"), ("prompt_feedback", "block_reason")):
        details = metadata.get(key)
        if isinstance(details, Mapping) and details.get(inner):
            # Gemini names only the reason why it blocked a prompt, of which there are many.
            return details[inner] if key == "incomplete_details" else "blocked"
    if metadata.get("done") is True:
        # Ollama's older servers say no more than that.
        return "stop"
    # OpenAI's newer protocol.
    status = metadata.get("status")
    return status if isinstance(status, str) else None


def _shown(word: str) -> str:
    """A foreign word that may be printed and stored."""
    return clean_text(word)[:_MAX_WORD]


@lru_cache(maxsize=256)
def _log_unknown(word: str) -> None:
    """Once for each word."""
    logger.warning(
        "an answer ended with the unknown finish reason %r, and counts as complete", word
    )
