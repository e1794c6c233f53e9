"""What a chat model says of itself: to traces, and to code that has to know how much it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.pregel.protocol import PregelProtocol
from pydantic import Field, model_validator
from typing_extensions import override

from aegis_graph.chat.call_config import ConfiguredChatModel
from aegis_graph.chat.profile import chain_profile, messages_bound, providers_in_force
from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.options import options_bound
from aegis_graph.request.token_bounds import text_bound
from aegis_graph.types import HedgeAfter, Order


class DescribedChatModel(ConfiguredChatModel):
    """A chat model that describes the router behind it.

    Its ``profile`` is that of the chain now, so that a reload of the router changes it, unless one
    was given.
    """

    router: PregelProtocol[Any, Any, Any, Any]
    max_output_tokens: int | None = None
    model: str | None = None
    """A model, a provider's name or an alias of the configuration: which providers may be asked."""
    providers: list[str] | None = None
    timeout_s: float | None = Field(default=None, gt=0, alias="timeout")
    max_price_usd: str | None = None
    order: Order | None = None
    max_wait_s: float | None = Field(default=None, ge=0)
    hedge_after_s: HedgeAfter | None = None

    @model_validator(mode="after")
    def _leave_profile_to_the_chain(self) -> Self:
        if self.profile is None:
            # Absent, it is looked up where it is needed: see ``__getattr__``.
            del self.__dict__["profile"]
        return self

    if not TYPE_CHECKING:
        # Hidden from type checkers, for which any name would be one of the model's then.
        def __getattr__(self, name: str) -> Any:
            if name == "profile":
                return chain_profile(providers_in_force(self.router), self.max_output_tokens)
            return super().__getattr__(name)

    @property
    @override
    def _llm_type(self) -> str:
        return "aegis-router"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        own = set(type(self).model_fields) - set(BaseChatModel.model_fields) - {"router"}
        return {"model_name": self.router.get_name(), **self.model_dump(include=own)}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "aegis-graph"
        params["ls_model_name"] = kwargs.get("model") or self.model or self.router.get_name()
        return params

    @override
    def get_token_ids(self, text: str) -> list[int]:
        """Refuse, unless the model has ``custom_get_token_ids``: each provider has its own ids.

        Raises:
            InvalidRequestError: There is no such function.
        """
        if self.custom_get_token_ids is None:
            raise InvalidRequestError(
                "get_token_ids: each provider has tokens of its own; count them with"
                " get_num_tokens, or set custom_get_token_ids"
            )
        return super().get_token_ids(text)

    @override
    def get_num_tokens(self, text: str) -> int:
        """The most tokens that a text is for any provider: its bytes in UTF-8.

        No vocabulary is loaded. English has about a quarter as many tokens.
        """
        return (
            text_bound(text) if self.custom_get_token_ids is None else super().get_num_tokens(text)
        )

    @override
    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """The most tokens that messages are for any provider of the chain.

        Args:
            messages: Their images count as at the provider that takes the most for one.
            tools: What ``convert_to_openai_tool`` takes.
        """
        if self.custom_get_token_ids is not None:
            return super().get_num_tokens_from_messages(messages, tools)
        rows = [convert_to_openai_tool(tool) for tool in tools or ()]
        chain = providers_in_force(self.router)
        return messages_bound(messages, chain) + options_bound({"tools": rows})
