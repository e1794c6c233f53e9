"""Hostile responses of the wires of OpenAI, Ollama and DashScope, each with what is right.

Pure data: it is played by the loopback server, and asked by ``hostile_suite``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from aegis_graph.testing.corpus.bodies import body_responses
from aegis_graph.testing.corpus.choices import choice_responses
from aegis_graph.testing.corpus.ends import end_responses, openai_end_responses
from aegis_graph.testing.corpus.errors_inside import inside_responses
from aegis_graph.testing.corpus.headers import header_responses
from aegis_graph.testing.corpus.hosted_dialects import HOSTED
from aegis_graph.testing.corpus.hostile_response import (
    Forms,
    HostileResponse,
    Outcome,
    answered,
)
from aegis_graph.testing.corpus.hostile_words import word_responses
from aegis_graph.testing.corpus.native_dialects import DASHSCOPE, OLLAMA
from aegis_graph.testing.corpus.openai_dialects import OPENAI
from aegis_graph.testing.corpus.refusals import Refusal, refusal_responses
from aegis_graph.testing.corpus.streams import stream_responses
from aegis_graph.testing.corpus.tool_calls import tool_call_responses
from aegis_graph.testing.corpus.usage import openai_usage_responses, usage_responses
from aegis_graph.testing.corpus.wire_forms import FORMS, TEXT, WireForm
from aegis_graph.testing.loopback.journal import ProtocolName

__all__ = ["Forms", "HostileResponse", "Outcome", "hostile_responses"]

_DIALECTS: Mapping[ProtocolName, Mapping[str, Refusal]] = {
    "dashscope": DASHSCOPE,
    "ollama": OLLAMA,
    "openai": {**OPENAI, **HOSTED},
}


@cache
def hostile_responses(wire: ProtocolName) -> tuple[HostileResponse, ...]:
    """The corpus of one wire.

    Example:
        >>> corpus = hostile_responses("openai")
        >>> corpus[0].name
        'plain: the answer'
        >>> len(corpus) > 400
        True
    """
    return tuple(_responses(FORMS[wire]))


def _responses(form: WireForm) -> Iterator[HostileResponse]:
    plain = Forms(form.body(form.whole()), form.stream(form.events()))
    yield HostileResponse("plain: the answer", form.name, plain, answered(TEXT))
    yield from usage_responses(form)
    yield from end_responses(form)
    yield from body_responses(form)
    yield from stream_responses(form)
    yield from choice_responses(form)
    yield from tool_call_responses(form)
    yield from refusal_responses(form, _DIALECTS[form.name])
    yield from inside_responses(form)
    yield from header_responses(form)
    yield from word_responses(form)
    if form.name == "openai":
        yield from openai_usage_responses(form)
        yield from openai_end_responses(form)
