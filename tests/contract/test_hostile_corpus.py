"""Every kind of provider takes every hostile response of its wire as it should."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from langchain_core.messages import AIMessage
from typing_extensions import override

from aegis_graph.providers.openai import OpenAIProvider
from aegis_graph.testing.corpus import HostileResponse, hostile_responses
from aegis_graph.testing.corpus.ends import BROKEN_OFF, CUT, FILTERED
from aegis_graph.testing.corpus.wire_forms import FORMS
from aegis_graph.testing.hostile_suite import HostileSuite
from aegis_graph.testing.loopback.journal import ProtocolName

_SDK = "the SDK looks the code up in a table, and forgets the status where it cannot"
_ANYLLM = "any-llm gives Ollama's reasons as stop, whatever they are; Ollama has none of these"
KNOWN_WRONG: Mapping[str, Mapping[str, str]] = {
    "dashscope": {
        **{
            f"refused: {status} with a code that is a list": _SDK for status in (400, 401, 429, 500)
        },
        "refused: 500 a code that is a list": _SDK,
    },
    "anyllm, Ollama": {
        f"end: {word}": _ANYLLM for word in (*FILTERED, *BROKEN_OFF, *CUT) if word != "length"
    },
}
"""Responses by kind that are not taken as they should be, each with the reason."""


class TestHostileOpenAI(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "openai", "model": "gpt-4o"}
    protocol: ClassVar[ProtocolName] = "openai"


class TestHostileOllama(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "ollama", "model": "llama3.2:3b"}
    protocol: ClassVar[ProtocolName] = "ollama"
    validates = True


class TestHostileDashScope(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "dashscope", "model": "qwen-plus"}
    protocol: ClassVar[ProtocolName] = "dashscope"
    validates = True
    known_wrong: ClassVar[Mapping[str, str]] = KNOWN_WRONG["dashscope"]


class TestHostileLangChainOpenAI(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "langchain", "model": "openai:gpt-4o"}
    protocol: ClassVar[ProtocolName] = "openai"


class TestHostileLangChainOllama(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "langchain", "model": "ollama:llama3.2:3b"}
    protocol: ClassVar[ProtocolName] = "ollama"
    validates = True


class TestHostileAnyLLMOpenAI(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "anyllm", "model": "openai:gpt-4o"}
    protocol: ClassVar[ProtocolName] = "openai"
    validates = True


class TestHostileAnyLLMOllama(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "anyllm", "model": "ollama:llama3.2:3b"}
    protocol: ClassVar[ProtocolName] = "ollama"
    validates = True
    known_wrong: ClassVar[Mapping[str, str]] = KNOWN_WRONG["anyllm, Ollama"]


class LaxProvider(OpenAIProvider):
    """Takes every answer for one, also where it names no reason to end and where it is empty."""

    @override
    def check_complete(self, answer: AIMessage) -> None:
        return

    @override
    def check_content(self, answer: AIMessage) -> None:
        return


class LaxSuite(HostileSuite):
    facts: ClassVar[Mapping[str, Any]] = {"kind": "lax", "model": "gpt-4o"}
    protocol: ClassVar[ProtocolName] = "openai"
    thorough = True
    names: ClassVar[tuple[str, ...]] = (
        "plain: the answer",
        "end: error",
        "end: nothing, and stop",
        "end: the reason is null",
        "usage: the table is null",
        "refused: 500, plain",
    )

    @override
    def responses(self) -> tuple[HostileResponse, ...]:
        return tuple(one for one in super().responses() if one.name in self.names)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_kind_that_takes_everything_for_an_answer_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    about = tmp_path / "lax_kind-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lax-kind\nVersion: 1.0\n")
    target = f"{__name__}:{LaxProvider.__name__}"
    (about / "entry_points.txt").write_text(f"[aegis_graph.providers]\nlax = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    suite = LaxSuite()
    assert {one.name for one in suite.responses()} == set(suite.names)
    folder = tmp_path / "run"
    folder.mkdir()

    found = suite.faults(folder, stream=stream, second=True)

    assert set(found) == {"end: nothing, and stop", "end: the reason is null"}
    assert all("answered" in " ".join(faults) for faults in found.values())


@pytest.mark.parametrize(("wire", "most"), [("openai", 400), ("ollama", 300), ("dashscope", 300)])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_the_corpus_is_large_and_every_response_is_one_of_its_own(
    wire: ProtocolName, most: int, streamed: bool
) -> None:
    corpus = hostile_responses(wire)
    names = [one.name for one in corpus]
    assert len(set(names)) == len(names)
    bodies = [reply for one in corpus if (reply := one.reply(streamed=streamed)) is not None]
    assert len(bodies) >= most
    assert all(one.outcome.texts or one.outcome.errors for one in corpus)
    assert all(one.outcome.bases for one in corpus)


def test_what_is_known_to_be_wrong_is_in_the_corpus() -> None:
    names = {one.name for wire in FORMS for one in hostile_responses(wire)}
    assert {name for known in KNOWN_WRONG.values() for name in known} <= names
