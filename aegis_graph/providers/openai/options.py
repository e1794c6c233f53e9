"""Settings of the kind ``openai``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aegis_graph.providers.base import ProviderOptions
from aegis_graph.providers.setting_checks import ExtraBody, ExtraHeaders

CapName = Literal["max_tokens", "max_completion_tokens"]

_NOT_SENT = {"output_cap", "stream", "stream_options"}
"""Fields that say how something is sent, and are no arguments of a call themselves."""


class OpenAIOptions(ProviderOptions):
    """What a row's ``options`` may say. What is absent is not sent.

    Example:
        >>> OpenAIOptions(seed=7, extra_body={"top_k": 20}).arguments()
        {'seed': 7, 'extra_body': {'top_k': 20}}
    """

    output_cap: CapName | None = None
    """What the server calls the output cap; ``max_completion_tokens`` for OpenAI and
    ``max_tokens`` for others when absent. A server that refuses one name is asked by the other."""
    stream_options: bool = True
    """Whether the server knows ``stream_options``, which asks for the usage of a stream."""
    stream: bool = False
    """Whether answers that are asked for whole arrive in pieces too, so that
    ``first_token_timeout_s`` and ``idle_timeout_s`` count for them."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    reasoning_effort: str | None = Field(default=None, pattern=r"^[a-z]{1,20}$")
    """How much a model that reasons does, such as ``low``."""
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: str | None = Field(default=None, pattern=r"^[a-z_]{1,20}$")
    """Such as ``flex`` or ``priority``, where the account has them."""
    extra_body: ExtraBody = Field(default_factory=dict)
    """Further fields of the body, such as ``{ top_k = 20 }`` for vLLM."""
    extra_headers: ExtraHeaders = Field(default_factory=dict)
    """Further headers. No secrets: keys come from the environment."""

    def arguments(self) -> dict[str, Any]:
        """The settings as arguments of a call."""
        return {
            name: dict(value) if isinstance(value, dict) else value
            for name, value in self.model_dump(exclude_none=True, exclude=_NOT_SENT).items()
            if value != {}
        }


class OpenAIEmbeddingOptions(ProviderOptions):
    """What the ``options`` of a row of embeddings may say."""

    extra_body: ExtraBody = Field(default_factory=dict)
    """Further fields of the body."""
    extra_headers: ExtraHeaders = Field(default_factory=dict)
    """Further headers. No secrets: keys come from the environment."""
