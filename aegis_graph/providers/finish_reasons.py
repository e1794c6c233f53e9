"""Why an answer ended, in the router's word, whatever its provider calls it."""

from __future__ import annotations

from collections.abc import Mapping

from langchain_core.messages import AIMessage

from aegis_graph.types import CUT_OFF, FINISH_REASON

_KEYS = (FINISH_REASON, "done_reason", "stop_reason", "stopReason")
"""Under which clients keep the reason in ``response_metadata``; the first that is set counts."""

_WORDS: Mapping[str, str] = {
    "length": CUT_OFF,
    "max_tokens": CUT_OFF,
    "MAX_TOKENS": CUT_OFF,
    "model_length": CUT_OFF,
    "model_context_window_exceeded": CUT_OFF,
}
"""The router's word for a provider's; a word that is not here stays as it is.

OpenAI, Ollama and DashScope say ``length``, Anthropic and Bedrock ``max_tokens``, Gemini and Cohere
``MAX_TOKENS``. The last two, of Mistral and of Anthropic and Bedrock, mean the model's own limit.
"""


def normalize_finish_reason(answer: AIMessage) -> None:
    """Write why an answer ended into its ``finish_reason``, in the router's word.

    Args:
        answer: Its ``response_metadata`` is changed, unless it names no reason at all.

    Example:
        >>> answer = AIMessage("Half an ans", response_metadata={"stop_reason": "max_tokens"})
        >>> normalize_finish_reason(answer)
        >>> answer.response_metadata["finish_reason"]
        'length'
    """
    metadata = answer.response_metadata
    reason = next((metadata[key] for key in _KEYS if metadata.get(key)), None)
    if reason is not None:
        metadata[FINISH_REASON] = _WORDS.get(str(reason), reason)
