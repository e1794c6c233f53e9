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
from aegis_graph.request.json_schema import value_problem
from aegis_graph.text.words import language_of

MAX_LABELS = 250
"""Names of types or relations that an answer is held to: more are listed in the prompt alone.

Source: https://platform.openai.com/docs/guides/structured-outputs, where longer lists are bounded
by their characters.
"""

MOST_ALIASES = 5
"""Of one entity: a small model that is held to a form may list names until its answer is cut."""

_TEXT = {"type": "string"}
_NAMES = {"type": "array", "items": _TEXT}
_TRIPLE = ("head", "relation", "tail")


def answer_schema(
    types: Sequence[str] = (), relations: Sequence[str] = (), *, aliases: int | None = None
) -> dict[str, Any]:
    """The form of an answer.

    Args:
        types: Names that an entity's type is one of; any where there are none.
        relations: Names that a relation is one of; any where there are none.
        aliases: How many an entity has at most; any number when absent.

    Example:
        >>> answer_schema(["City"])["properties"]["entities"]["items"]["properties"]["type"]
        {'type': 'string', 'enum': ['City']}
    """
    names = _NAMES if aliases is None else {**_NAMES, "maxItems": aliases}
    entity = {"name": _TEXT, "type": _one_of(types), "aliases": names}
    relation = dict.fromkeys((*_TRIPLE, "quote"), _TEXT) | {"relation": _one_of(relations)}
    # An entity without a type could not be kept where types are listed.
    named = ("name", "type") if types else ("name",)
    return {
        "title": "Extraction",
        "description": "Entities and relations that the text states.",
        **_object(
            "entities",
            entities={"type": "array", "items": _object(*named, **entity)},
            relations={"type": "array", "items": _object(*_TRIPLE, **relation)},
        ),
    }


def asked_schema(schema: RelationSchema) -> dict[str, Any]:
    """The form that is asked for: a server that is bound by it can invent no label."""
    if not schema.strict:
        return answer_schema(aliases=MOST_ALIASES)
    return answer_schema(schema.types, schema.relation_names, aliases=MOST_ALIASES)


def answer_problem(value: Any) -> str | None:
    """Where an answer cannot be read. One with a wrong label is filtered, and not bought again."""
    return value_problem(value, ANSWER_SCHEMA)


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _one_of(labels: Sequence[str]) -> dict[str, Any]:
    return {**_TEXT, "enum": list(labels)} if 0 < len(labels) <= MAX_LABELS else _TEXT


ANSWER_SCHEMA = answer_schema()
"""What an answer must have to be read."""


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
