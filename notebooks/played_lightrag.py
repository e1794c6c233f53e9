"""A model that is played for LightRAG: it finds six names, and says one sentence."""

from __future__ import annotations

import json
import re
from typing import Any

from aegis_graph.testing import Received, Reply

KNOWN = {
    "Marie Curie": "Person",
    "Pierre Curie": "Person",
    "Irene Joliot-Curie": "Person",
    "Radium Institute": "Organization",
    "Radium": "Element",
    "Paris": "City",
}
ANSWER = "Marie Curie and Pierre Curie discovered radium [1]."


def played_model(call: Received) -> Reply:
    """What the model says to a call of LightRAG, by what it is asked for."""
    messages = call.body["messages"]
    read = sum(len(message["content"].split()) for message in messages)
    text = _text(messages)
    return Reply(text, input_tokens=read, output_tokens=len(re.findall(r"\w+", text)))


def _text(messages: list[dict[str, Any]]) -> str:
    prompt = messages[-1]["content"]
    if any(message["role"] == "assistant" for message in messages):
        return "<|COMPLETE|>"  # asked once more, it finds nothing more
    if "---Input Text---" in prompt:
        return _extraction(prompt.split("---Input Text---")[-1])
    if "high_level_keywords" in prompt:
        names = _names(prompt.split("User Query:")[-1])
        return json.dumps({"high_level_keywords": ["association"], "low_level_keywords": names})
    return ANSWER


def _names(text: str) -> list[str]:
    return [name for name in KNOWN if name.lower() in text.lower()]


def _extraction(text: str) -> str:
    """Entities and relations of a text, in the form that LightRAG asks for."""
    found = _names(text)
    rows = [f"entity<|#|>{name}<|#|>{KNOWN[name]}<|#|>{name} is named here." for name in found]
    rows += [
        f"relation<|#|>{found[0]}<|#|>{other}<|#|>association<|#|>{found[0]} and {other}."
        for other in found[1:]
    ]
    return "\n".join([*rows, "<|COMPLETE|>"])
