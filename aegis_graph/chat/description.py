"""What a chat model says of itself: to traces, and to code that has to know how much it takes."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langgraph.pregel.protocol import PregelProtocol
from typing_extensions import override

from aegis_graph.chat.call_config import ConfiguredChatModel


class DescribedChatModel(ConfiguredChatModel):
    """A chat model that describes the router behind it."""

    router: PregelProtocol[Any, Any, Any, Any]

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
        params["ls_model_name"] = kwargs.get("model", self.router.get_name())
        return params
