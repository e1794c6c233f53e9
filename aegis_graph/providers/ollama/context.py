"""How long a context Ollama needs for a request, and whether it has seen the whole of one.

Ollama cuts a prompt that is longer than its context, silently: it leaves out the oldest messages,
or the middle of the only one, and answers what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from aegis_graph.request.token_bounds import text_bound

SIZES = (8192, 16_384, 32_768, 65_536, 131_072)
"""Lengths of context that are asked for, in tokens. A change loads the model anew, so they are few.

Ollama takes a model's own length where that is shorter.
"""

LEAST_DEFAULT = 4096
"""The length that every server has by default since version 0.6: nothing is asked for below it.

Source: https://docs.ollama.com/context-length
"""

BYTES_PER_TOKEN = 3
"""At least so many bytes of a text are one token in most languages: four or five in English, three
in Chinese. Source code and numbers have three. An estimate: ``is_cut`` notices where it fails.
"""

IMAGE_TOKENS = 2048
"""An estimate of the tokens of an image."""

LEAST_CUT = 1024
"""A smaller count says nothing of a cut: it may leave out what the server had in its cache."""

MOST_BYTES_PER_TOKEN = 24
"""No language has so many bytes per token on average; rows of dashes may."""


def fitting_context(prompt_bytes: int, images: int, output_cap: int) -> int | None:
    """The length of context for a request, in tokens; ``None`` where every server has enough.

    Example:
        >>> fitting_context(6_000, 0, 1024), fitting_context(60_000, 0, 1024)
        (None, 32768)
    """
    needed = prompt_bytes // BYTES_PER_TOKEN + images * IMAGE_TOKENS + output_cap
    if needed <= LEAST_DEFAULT:
        return None
    return next((size for size in SIZES if size >= needed), SIZES[-1])


def is_cut(evaluated: int, messages: Sequence[BaseMessage], num_ctx: int | None) -> bool:
    """Whether a server has seen less than the whole prompt.

    Args:
        evaluated: The prompt's tokens, as the server counts them.
        messages: The prompt.
        num_ctx: The length of context that was asked for.
    """
    if num_ctx is not None and evaluated >= num_ctx:
        return True
    return evaluated >= LEAST_CUT and evaluated < least_tokens(messages)


def least_tokens(messages: Sequence[BaseMessage]) -> int:
    """Fewer tokens than this no tokenizer makes of the messages.

    No token of the usual vocabularies has letters of two words. Where a language is written
    without spaces, the bytes count.
    """
    words = size = 0
    for message in messages:
        pieces = message.text.split()
        words += len(pieces)
        size += sum(map(text_bound, pieces))
    return max(words, size // MOST_BYTES_PER_TOKEN)
