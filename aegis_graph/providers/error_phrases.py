"""Known wordings of refusals: the last resort where a body has no code that says more.

They decide between classes that did no work, never about a status behind which work may have been
done.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    ContextTooLongError,
    ModelAccessError,
    ModelLoadingError,
    ProviderError,
    QuotaError,
    RateLimitError,
)


class Phrase(NamedTuple):
    """A known wording, and what it means."""

    statuses: frozenset[int]
    pattern: re.Pattern[str]
    error_type: type[ProviderError]
    about_request: bool | None
    """As in ``ProviderError``; a text alone never names the key or the model."""


def _phrase(
    statuses: set[int],
    error_type: type[ProviderError],
    *wordings: str,
    about_request: bool | None = True,
) -> Phrase:
    pattern = re.compile("|".join(wordings))
    return Phrase(frozenset(statuses), pattern, error_type, about_request)


PHRASES: tuple[Phrase, ...] = (
    _phrase(
        {400, 413, 422, 429},
        ContextTooLongError,
        # OpenAI, vLLM, SGLang, DeepSeek, Together, Mistral
        r"maximum (context|model|allowed|prompt|input) length|longer than the (model's|maximum) ",
        r"context length is only|exceeds? .{0,60}context (length|limit|window|size)",
        r"context window (is )?exceeded|too large for model with \d+ maximum",
        # Anthropic, Bedrock, Cohere, Ollama, Gemini
        r"(prompt|input) (is )?too long|too many (input )?tokens|exceeded max context",
        r"token count .{0,40}exceeds",
        # llama.cpp, LM Studio, TGI
        r"exceeds? the available context|when context the overflows|must have less than \d+ tokens",
        r"greater than the context length|`inputs` tokens \+ `max_new_tokens` must be",
        # DashScope, LiteLLM; Groq and OpenAI, where one request is over the limit of a minute
        r"range of input length should be|contextwindowexceedederror|request too large",
    ),
    # llama.cpp, LocalAI, Hugging Face, KServe and Triton; Ollama while another request loads it
    _phrase(
        {500, 503},
        ModelLoadingError,
        r"loading (the )?model|model .{0,120}(loading|warming up|not ready)|server is starting",
        about_request=False,
    ),
    _phrase(
        # GitHub's, and errors inside an answer.
        {403},
        RateLimitError,
        r"rate limit (reached|exceeded)|rate limited|^rate limit\b|too many requests|usage limit",
        about_request=False,
    ),
    # OpenRouter
    _phrase({402}, QuotaError, r"can only afford|fewer max_tokens"),
    _phrase(
        {400, 402, 403, 429},
        QuotaError,
        # Anthropic, DeepSeek, OpenRouter, xAI, LiteLLM, OpenAI
        r"credit balance is too low|insufficient (account )?(balance|credits?|funds)",
        r"(used all|out of|no) available credits|monthly spending limit|budget has been exceeded",
        r"exceeded your current quota, please check your plan",
        about_request=None,
    ),
    _phrase(
        {400, 403},
        AuthenticationError,
        # xAI, Gemini, Bedrock, and gateways
        r"(incorrect|invalid|wrong|expired|missing) api[ -]?(key|token)|invalid authentication",
        r"api[ -]?key (is )?(not valid|invalid|expired|not found|missing)",
        r"security token .{0,40}(invalid|expired)",
        about_request=None,
    ),
    _phrase(
        {400, 403},
        ContentRefusedError,
        # LiteLLM, Azure, OpenRouter, xAI, Together, Zhipu
        r"contentpolicyviolationerror|content management policy|inappropriate content",
        r"flagged (by|as|for|due)|requires moderation",
        r"(violates?|violation of) .{0,40}(usage|content) (policy|policies|guidelines)",
        r"blocked by .{0,40}(moderation|safety|guardrail|content)",
    ),
    _phrase(
        {400, 403, 404, 422},
        BadRequestError,
        # OpenRouter, Ollama, vLLM, Groq
        r"no (allowed )?(endpoints|providers|model).{0,60}support",
        r"(does not|doesn't|do not|not|n't) (currently )?support .{0,60}(tool|function|think|reason"
        r"|image|vision|audio|video|modal|json|schema|stream|system|developer|parameter"
        r"|response_format|temperature|stop|logprobs)",
        r"(tools?|images?|thinking|vision|function calling|tool use|image input)"
        r" (is|are) not (supported|available|enabled)",
        r"(tool choice|tool use|function calling) requires",
        r"unsupported (parameter|value|content|image|media)",
    ),
    _phrase(
        {400, 422},
        ModelAccessError,
        # Ollama, vLLM, OpenRouter, Mistral, Gemini
        r"model .{0,120}(not found|does not exist|is not available|not exist)",
        r"(is not a valid|invalid|unknown|unsupported) model( id| name)?\b",
        r"user location is not supported",
        about_request=None,
    ),
)
"""Wordings in lower case; the first that is found counts."""
