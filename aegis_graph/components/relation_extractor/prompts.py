"""The messages of an extraction, and the form of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from aegis_graph.components.prompts import prompts
from aegis_graph.components.relation_extractor.records import KnownEntity
from aegis_graph.components.relation_extractor.schema import ANY, RelationSchema
from aegis_graph.text.words import language_of

_NAMES = {"type": "array", "items": {"type": "string"}}


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT = {"type": "string"}
_TRIPLE = ("head", "relation", "tail")

ANSWER_SCHEMA: dict[str, Any] = {
    "title": "Extraction",
    "description": "Entities and relations that the text states.",
    **_object(
        "entities",
        entities={
            "type": "array",
            "items": _object("name", name=_TEXT, type=_TEXT, aliases=_NAMES),
        },
        relations={
            "type": "array",
            "items": _object(*_TRIPLE, **dict.fromkeys((*_TRIPLE, "quote"), _TEXT)),
        },
    ),
}
"""No more than is needed: an answer with one wrong label is filtered, and not bought again."""


class PromptWriter:
    """Writes the messages; the language follows the text.

    Args:
        folder: A folder whose prompts win over those of this package.

    Raises:
        ConfigError: A prompt of the folder cannot be used.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._extract = prompts("relation_extractor", folder)
        self._glean = prompts("relation_extractor_glean", folder)
        self._retry = prompts("relation_extractor_retry", folder)

    def messages(self, prompt: ExtractionPrompt) -> list[BaseMessage]:
        """What to ask next, after the answers so far."""
        # Of each chunk: a document may change its language.
        language = language_of(prompt.text)
        system = self._extract[language].substitute(
            entity_types=_types(prompt.schema),
            relations=_relations(prompt.schema),
            entities="; ".join(map(_known, prompt.known)) or ANY,
        )
        messages: list[BaseMessage] = [SystemMessage(system), HumanMessage(prompt.text)]
        for answer in prompt.answers:
            glean = self._glean[language].substitute()
            messages += [AIMessage(answer), HumanMessage(glean)]
        return messages

    def retry(self, prompt: ExtractionPrompt, unreadable: str) -> list[BaseMessage]:
        """The same question after an answer that could not be read; empty where it is lost."""
        messages, retry = self.messages(prompt), self._retry[language_of(prompt.text)].substitute()
        if unreadable:
            return [*messages, AIMessage(unreadable), HumanMessage(retry)]
        # Two messages of one role in a row are refused by some servers.
        return [*messages[:-1], HumanMessage(f"{messages[-1].text}\n\n{retry}")]


@dataclass(frozen=True, slots=True)
class ExtractionPrompt:
    """One chunk, what may be found in it, and what was answered so far."""

    text: str
    schema: RelationSchema
    known: Sequence[KnownEntity]
    answers: Sequence[str]


def _types(schema: RelationSchema) -> str:
    # Where the list is a guide only, the prompt says that any other type will do.
    open_end = [] if schema.strict and schema.types else [ANY]
    return ", ".join([*schema.types, *open_end])


def _relations(schema: RelationSchema) -> str:
    any_triple = (ANY, ANY, ANY)
    open_end = [] if schema.strict and schema.relations else [any_triple]
    return ", ".join(f"({', '.join(triple)})" for triple in [*schema.relations, *open_end])


def _known(entity: KnownEntity) -> str:
    label = entity.get("type")
    return f"{entity['name']} ({label})" if label else entity["name"]
