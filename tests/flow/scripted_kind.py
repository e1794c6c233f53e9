"""A kind of provider that another package brings: a LangChain model that answers as it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from typing_extensions import override

from aegis_graph.providers.base import OpenModel
from aegis_graph.providers.langchain import LangChainProvider
from tests.flow.components.lightrag_support import answer_to

ROLES = {"system": "system", "human": "user", "ai": "assistant"}


class ScriptedModel(BaseChatModel):
    """Answers with one text, or, without one, as a careful model would answer LightRAG."""

    text: str = ""
    metadata: dict[str, Any]
    """``response_metadata`` of each answer, as some client would give it."""

    @property
    @override
    def _llm_type(self) -> str:
        return "scripted"

    @override
    def _generate(self, messages: list[BaseMessage], *args: Any, **more: Any) -> ChatResult:
        asked = [{"role": ROLES[one.type], "content": one.text} for one in messages]
        answer = AIMessage(
            self.text or answer_to(asked),
            response_metadata=dict(self.metadata),
            usage_metadata={"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])


class ScriptedProvider(LangChainProvider):
    """Its row's ``arguments`` are the model's fields."""

    @property
    @override
    def address(self) -> str:
        """This machine: nothing leaves the process."""
        return "http://127.0.0.1"

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        async def close() -> None:
            return

        return OpenModel(ScriptedModel(**self.options.arguments), close)


def install(folder: Path) -> None:
    """Make the kind ``scripted`` known where the folder is on the path of imports."""
    about = folder / "scripted_kind-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted-kind\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[aegis_graph.providers]\nscripted = {__name__}:{ScriptedProvider.__name__}\n"
    )


def scripted(metadata: dict[str, Any], text: str = "", **changes: Any) -> dict[str, Any]:
    """A row of the configuration whose every answer has this text and this metadata."""
    arguments = {"metadata": metadata, **({"text": text} if text else {})}
    return {
        "name": "scripted",
        "kind": "scripted",
        "model": "any",
        "location": "local",
        "price": "free",
        "options": {"arguments": arguments},
        **changes,
    }
