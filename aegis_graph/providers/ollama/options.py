"""Settings of the kind ``ollama``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from aegis_graph.providers.base import ProviderOptions

_DURATION = r"^-?([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$"
"""Go's form of a duration, which Ollama reads."""

_NOT_SAMPLING = {"keep_alive", "think"}
"""Fields that stand beside the table of settings in Ollama's protocol."""


class OllamaOptions(ProviderOptions):
    """What a row's ``options`` may say: Ollama's own table, and what stands beside it.

    What is absent is left to the model's own file. Source:
    https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx#valid-parameters-and-values

    Example:
        >>> OllamaOptions(num_ctx=8192, keep_alive="1h").sampling()
        {'num_ctx': 8192}
    """

    num_ctx: int | None = Field(default=None, ge=1)
    """Length of the context, in tokens, prompt and answer together; chosen to fit when absent."""
    keep_alive: int | Annotated[str, Field(pattern=_DURATION)] | None = None
    """How long the model stays loaded: seconds, or a text such as ``10m``; ``-1`` for ever."""
    think: bool | Literal["low", "medium", "high"] | None = None
    """Whether a model that can think does, and how much; ``thinking`` of the row when absent."""
    seed: int | None = None
    top_k: int | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, ge=0, le=1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    typical_p: float | None = Field(default=None, ge=0, le=1)
    repeat_last_n: int | None = Field(default=None, ge=-1)
    repeat_penalty: float | None = Field(default=None, ge=0)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_eta: float | None = Field(default=None, ge=0)
    mirostat_tau: float | None = Field(default=None, ge=0)
    num_keep: int | None = Field(default=None, ge=-1)
    """Tokens of the beginning that are kept where the context is full."""
    num_batch: int | None = Field(default=None, ge=1)
    num_gpu: int | None = Field(default=None, ge=-1)
    """Layers that are put on the GPU."""
    main_gpu: int | None = Field(default=None, ge=0)
    num_thread: int | None = Field(default=None, ge=0)
    use_mmap: bool | None = None

    def sampling(self) -> dict[str, Any]:
        """The table of settings in a request."""
        return self.model_dump(exclude_none=True, exclude=_NOT_SAMPLING)


SAMPLING = frozenset(OllamaOptions.model_fields) - _NOT_SAMPLING
"""The names in Ollama's table of settings."""
