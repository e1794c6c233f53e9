"""Every kind of provider passes the suite that is shipped for kinds of one's own."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from PIL import Image, ImageDraw, ImageFont
from typing_extensions import override

from aegis_graph.testing.loopback.journal import ProtocolName
from aegis_graph.testing.provider_suite import ProviderSuite, RemoteProviderSuite
from aegis_graph.text.passages import Passage, format_question


class TestOllama(RemoteProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "ollama", "model": "llama3.2:3b"}
    protocol: ClassVar[ProtocolName] = "ollama"


class TestOpenAI(RemoteProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "openai", "model": "gpt-4o"}
    protocol: ClassVar[ProtocolName] = "openai"


class TestDashScope(RemoteProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "dashscope", "model": "qwen-plus"}
    protocol: ClassVar[ProtocolName] = "dashscope"


class TestLangChainOpenAI(RemoteProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "langchain", "model": "openai:gpt-4o"}
    protocol: ClassVar[ProtocolName] = "openai"
    package = "langchain"


class TestLangChainOllama(RemoteProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "langchain", "model": "ollama:llama3.2:3b"}
    protocol: ClassVar[ProtocolName] = "ollama"
    package = "langchain"


class TestAnyLLMOpenAI(RemoteProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "anyllm", "model": "openai:gpt-4o"}
    protocol: ClassVar[ProtocolName] = "openai"
    package = "any_llm"


class TestAnyLLMOllama(RemoteProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "anyllm", "model": "ollama:llama3.2:3b"}
    protocol: ClassVar[ProtocolName] = "ollama"
    package = "any_llm"


class TestExtractive(ProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {
        "kind": "extractive",
        "model": "best-sentences",
        "price": "free",
    }
    task = "answer"

    @override
    def messages(self) -> list[BaseMessage]:
        passages = [Passage(source="a.md", text="The capital of France is Paris.")]
        return [HumanMessage(format_question("What is the capital of France?", passages))]


class TestOcr(ProviderSuite):
    facts: ClassVar[Mapping[str, Any]] = {
        "kind": "ocr",
        "model": "rapidocr",
        "price": "free",
        "images": True,
    }
    task = "vision"
    package = "rapidocr"

    @override
    def messages(self) -> list[BaseMessage]:
        pytest.importorskip("rapidocr")
        # Not flat: the engine enlarges a picture until its shorter side has 736 pixels.
        image = Image.new("RGB", (400, 400), "white")
        ImageDraw.Draw(image).text((20, 20), "PARIS", "black", font=ImageFont.load_default(36))
        file = io.BytesIO()
        image.save(file, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        return [HumanMessage([{"type": "image_url", "image_url": {"url": url}}])]
