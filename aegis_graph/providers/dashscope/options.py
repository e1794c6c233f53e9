"""Settings of the kind ``dashscope``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from aegis_graph.config.specs import URL_PATTERN
from aegis_graph.providers.base import ProviderOptions
from aegis_graph.providers.setting_checks import ExtraBody, ExtraHeaders


class DashScopeOptions(ProviderOptions):
    """What a row's ``options`` may say. What is absent is left to the service.

    Source: https://www.alibabacloud.com/help/en/model-studio/qwen-api-reference
    """

    vl_high_resolution_images: bool = False
    """Whether an image may take up to 16,384 tokens instead of 2,560."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """The service's own default is 1.5 for some vision models, which spoils transcriptions."""
    repetition_penalty: float | None = Field(default=None, gt=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    thinking_budget: int | None = Field(default=None, ge=1)
    """Most tokens of thinking, beside the output cap; as many as the cap when absent."""
    batch_url: str | None = Field(default=None, pattern=URL_PATTERN)
    """The address of Batch Chat, for ``half_price``; that of the region when absent."""
    extra_body: ExtraBody = Field(default_factory=dict)
    """Further entries of the protocol's ``parameters``, such as ``{ enable_search = true }``."""
    extra_headers: ExtraHeaders = Field(default_factory=dict)
    """Further headers. No secrets: keys come from the environment."""

    @field_validator("extra_body")
    @classmethod
    def _one_place_for_each(cls, body: Mapping[str, Any]) -> Mapping[str, Any]:
        # Beside these two the hold would be too small for what the model may think.
        for name, setting in {"enable_thinking": "thinking", "thinking_budget": "options"}.items():
            if name in body:
                raise ValueError(f"{name}: has a place of its own: {setting} of the row")
        return body
