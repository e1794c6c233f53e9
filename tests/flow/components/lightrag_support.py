"""A deterministic model for LightRAG, played by the loopback server, and what its tests share."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx  # type: ignore[import-untyped]

from aegis_graph import RouterConfig
from aegis_graph.components.lightrag.rag import RoutedLightRAG
from aegis_graph.components.lightrag.settings import LightRAGSettings
from aegis_graph.testing import LoopbackServer, Received, Reply
from tests.flow.support import KEYS, Row, make_config, provider

DOCUMENTS = {
    "curie.txt": (
        "Marie Curie was a physicist and chemist who discovered radium together with Pierre Curie"
        " in Paris. She received the Nobel Prize in Physics in 1903 and worked at the University of"
        " Paris."
    ),
    "radium.txt": (
        "Radium is a radioactive chemical element. Radium was discovered by Marie Curie and Pierre"
        " Curie in 1898 and was used by the Radium Institute in Paris for medical research."
    ),
    "institute.txt": (
        "The Radium Institute in Paris was founded for Marie Curie. The Radium Institute trained"
        " Irene Joliot-Curie, who also received a Nobel Prize."
    ),
}
QUESTION = "What did Marie Curie discover at the Radium Institute?"

KINDS_OF = {
    "Marie Curie": "Person",
    "Pierre Curie": "Person",
    "Irene Joliot-Curie": "Person",
    "Radium Institute": "Organization",
    "University of Paris": "Organization",
    "Nobel Prize": "Event",
    "Radium": "NaturalObject",
    "Paris": "Location",
}
"""What the model finds in a text. The description is the first sentence that names it."""

CHAT_MODEL, VECTOR_MODEL, DIMENSIONS = "llama3.2:3b", "bge-m3", 64
PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}
VECTOR_PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "0"}

_WORD = re.compile(r"\w+|[^\w\s]")
_FIELD, _END = "<|#|>", "<|COMPLETE|>"


def play(server: LoopbackServer) -> None:
    """Have every chat call of every protocol answered by the model."""
    server.always("ollama", model)
    server.always("openai", model)


def model(call: Received) -> Reply:
    """What a careful model would answer LightRAG, with the words counted as tokens."""
    messages = call.body["messages"]
    text = answer_to(messages)
    read = sum(len(_WORD.findall(message["content"])) for message in messages)
    return Reply(text, input_tokens=read, output_tokens=max(1, len(_WORD.findall(text))))


def answer_to(messages: list[dict[str, Any]]) -> str:
    """The answer to a prompt of LightRAG, by what it is about."""
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    prompt = messages[-1]["content"]
    if any(message["role"] == "assistant" for message in messages):
        return _END
    if "---Input Text---" in prompt:
        return extraction(prompt.split("---Input Text---\n```\n", 1)[1].split("\n```", 1)[0])
    if "Description List:" in prompt:
        name = re.search(r"^(?:Entity|Relation) Name: (.*)$", prompt, re.MULTILINE)
        return f"{name.group(1) if name else 'It'}: summary of the descriptions."
    if "high_level_keywords" in prompt:
        question = prompt.split("User Query: ")[-1]
        found = [name for name in KINDS_OF if name.lower() in question.lower()]
        return json.dumps(
            {"high_level_keywords": ["association", "history"], "low_level_keywords": found}
        )
    named = re.findall(r"^\[(\d+)\] (.+)$", system, re.MULTILINE)
    return f"Answer to: {prompt}\n\n" + "\n".join(f"- [{number}] {path}" for number, path in named)


def extraction(text: str) -> str:
    """Entities and relations of a text, in the form that LightRAG asks for."""
    found = [name for name in KINDS_OF if name.lower() in text.lower()]
    sentences = re.split(r"(?<=[.?!])\s+", text)
    rows = []
    for name in found:
        about = next((one for one in sentences if name.lower() in one.lower()), text)
        rows.append(_FIELD.join(("entity", name, KINDS_OF[name], about.strip())))
    for other in found[1:]:
        rows.append(
            _FIELD.join(
                ("relation", found[0], other, "association, history", f"{found[0]} and {other}.")
            )
        )
    return "\n".join([*rows, _END])


def vectors(server: LoopbackServer, **changes: Any) -> Row:
    """A row of ``embeddings`` for a local model."""
    return {
        "name": "ollama",
        "kind": "ollama",
        "model": VECTOR_MODEL,
        "dimensions": DIMENSIONS,
        "base_url": server.ollama_url,
        "location": "local",
        "price": VECTOR_PRICE,
        "retry_wait_s": 0,
        **changes,
    }


def lightrag_config(
    server: LoopbackServer,
    db: Path,
    *,
    providers: list[Row] | None = None,
    budgets: dict[str, str] | None = None,
    **changes: Any,
) -> RouterConfig:
    """A local chain whose every token has a price, so that budgets have something to count."""
    chain = providers or [provider(server, "ollama", price=PRICE)]
    rows = changes.pop("embeddings", [vectors(server)])
    return make_config(server, db, providers=chain, budgets=budgets, embeddings=rows, **changes)


SETTINGS = LightRAGSettings(
    output_tokens={"extract": 600, "glean": 100, "summary": 100, "answer": 200, "keywords": 100},
    # Three documents are enough for summaries.
    more={"force_llm_summary_on_merge": 3},
)


def open_rag(config: RouterConfig, folder: Path, **more: Any) -> RoutedLightRAG:
    """A workspace named after its folder: in one process no two may have the same name."""
    name = re.sub(r"\W", "_", str(folder))[-60:]
    given = {"workspace": name, "settings": SETTINGS, "environ": KEYS, **more}
    return RoutedLightRAG(config, working_dir=folder, **given)


def operation(call: Received) -> str:
    """What a call that the server saw was for."""
    if "messages" not in call.body:
        return "embed"
    messages = call.body["messages"]
    prompt = messages[-1]["content"]
    if any(message["role"] == "assistant" for message in messages):
        return "glean"
    if "---Input Text---" in prompt:
        return "extract"
    if "Description List:" in prompt:
        return "summary"
    return "keywords" if "high_level_keywords" in prompt else "answer"


def bought(server: LoopbackServer) -> Counter[str]:
    """How often each request of an insert was answered, by its whole prompt."""
    kept = {"extract", "glean", "summary"}
    return Counter(
        json.dumps(call.body["messages"], sort_keys=True)
        for call in server.calls()
        if operation(call) in kept and call.produced.completed
    )


def graph_of(folder: Path) -> dict[str, Any]:
    """What LightRAG has written: entities, relations and their descriptions, and the statuses."""
    [path] = folder.rglob("graph_chunk_entity_relation.graphml")
    graph = nx.read_graphml(path)
    passing = {"created_at", "file_path", "source_id"}

    def lasting(facts: dict[str, Any]) -> dict[str, Any]:
        # Several documents' descriptions and sources are joined in the order of their ends.
        kept = {key: value for key, value in facts.items() if key not in passing}
        kept["description"] = sorted(str(facts["description"]).split("<SEP>"))
        kept["source_id"] = sorted(str(facts["source_id"]).split("<SEP>"))
        return kept

    return {
        "nodes": {name: lasting(facts) for name, facts in graph.nodes(data=True)},
        "edges": {tuple(sorted((a, b))): lasting(facts) for a, b, facts in graph.edges(data=True)},
    }
