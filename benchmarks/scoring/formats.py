"""Reads the public data sets' own files into examples, and refuses anything else in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

Stretch = tuple[int, int]


class BadFileError(ValueError):
    """A file that is not in one of the formats. The message names file, place and what is wrong."""


@dataclass(frozen=True)
class GoldEntity:
    """An entity, and every place in the text that names it."""

    type: str
    places: frozenset[Stretch]


@dataclass(frozen=True)
class RelationExample:
    """A text with its entities, and the relations between them by their numbers."""

    id: str
    text: str
    entities: Sequence[GoldEntity]
    relations: frozenset[tuple[int, str, int]]


@dataclass(frozen=True)
class Paragraph:
    """What a question is answered from."""

    title: str
    text: str


@dataclass(frozen=True)
class QuestionExample:
    """A question, its answer in all its forms, and the paragraphs that it needs."""

    id: str
    question: str
    answers: Sequence[str]
    paragraphs: Sequence[Paragraph]
    supporting: frozenset[Paragraph]


@dataclass(frozen=True)
class CitationExample:
    """A question with documents; each group of short answers is one thing to be said."""

    id: str
    question: str
    documents: Sequence[Paragraph]
    short_answers: Sequence[Sequence[str]]


def read_relations(path: Path, names: Mapping[str, str] | None = None) -> list[RelationExample]:
    """CoNLL04 (as in SpERT: ``tokens``) or Re-DocRED (``sents``, ``vertexSet``, ``labels``).

    Args:
        path: The file.
        names: What a relation is called in words, such as Re-DocRED's ``rel_info.json``.

    Raises:
        BadFileError: It is neither.
    """
    words = names or {}
    readers = {
        "tokens": lambda row, at: _conll04(row, at, words),
        "vertexSet": lambda row, at: _redocred(row, at, words),
    }
    return _read(path, readers, "CoNLL04 (tokens) or Re-DocRED (vertexSet)")


def read_questions(path: Path) -> list[QuestionExample]:
    """HotpotQA (``supporting_facts``, ``context``) or MuSiQue (``paragraphs``), JSON or JSON lines.

    Raises:
        BadFileError: It is neither.
    """
    readers = {"supporting_facts": _hotpotqa, "paragraphs": _musique}
    return _read(path, readers, "HotpotQA (supporting_facts) or MuSiQue (paragraphs)")


def read_citations(path: Path) -> list[CitationExample]:
    """ALCE, as its ASQA and QAMPARI files with retrieved ``docs``.

    Raises:
        BadFileError: It is not.
    """
    return _read(path, {"docs": _alce}, "ALCE (question, docs)")


def read_names(path: Path) -> dict[str, str]:
    """A JSON object from a relation's id to its name.

    Raises:
        BadFileError: It is none.
    """
    value = _json(path)
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise BadFileError(f"{path}: must be a JSON object from relation ids to names")
    return value


def _read(
    path: Path, readers: Mapping[str, Callable[[dict[str, Any], int], Any]], formats: str
) -> list[Any]:
    examples = []
    for number, row in enumerate(_rows(path)):
        reader = next(
            (readers[key] for key in readers if isinstance(row, dict) and key in row), None
        )
        if reader is None:
            raise BadFileError(f"{path}: example {number}: not in the format of {formats}")
        try:
            examples.append(reader(row, number))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise BadFileError(f"{path}: example {number}: {what}") from error
    if not examples:
        raise BadFileError(f"{path}: has no examples")
    return examples


def _rows(path: Path) -> list[Any]:
    value = _json(path)
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    return value if isinstance(value, list) else [value]


def _json(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BadFileError(f"{path}: cannot be read: {why}") from error
    try:
        return json.loads(text)
    except ValueError as whole:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2:
            raise BadFileError(f"{path}: not JSON: {whole}") from whole
        return list(_json_lines(path, lines))


def _json_lines(path: Path, lines: Sequence[tuple[int, str]]) -> Iterator[Any]:
    for number, line in lines:
        try:
            yield json.loads(line)
        except ValueError as error:
            raise BadFileError(f"{path}: line {number}: not JSON: {error}") from error


def _tokens(tokens: Sequence[str]) -> tuple[str, list[int]]:
    """The text, and where each token begins in it."""
    starts = [0, *accumulate(len(token) + 1 for token in tokens)]
    return " ".join(tokens), starts[:-1]


def _stretch(tokens: Sequence[str], starts: Sequence[int], first: int, after: int) -> Stretch:
    if not 0 <= first < after <= len(tokens):
        raise ValueError(f"an entity at tokens {first} to {after} of {len(tokens)}")
    return starts[first], starts[after - 1] + len(tokens[after - 1])


def _conll04(row: dict[str, Any], number: int, names: Mapping[str, str]) -> RelationExample:
    tokens = row["tokens"]
    text, starts = _tokens(tokens)
    entities = [
        GoldEntity(one["type"], frozenset({_stretch(tokens, starts, one["start"], one["end"])}))
        for one in row["entities"]
    ]
    relations = {
        (
            _index(one["head"], entities),
            names.get(one["type"], one["type"]),
            _index(one["tail"], entities),
        )
        for one in row["relations"]
    }
    return RelationExample(str(row.get("orig_id", number)), text, entities, frozenset(relations))


def _redocred(row: dict[str, Any], number: int, names: Mapping[str, str]) -> RelationExample:
    tokens = [token for sentence in row["sents"] for token in sentence]
    text, starts = _tokens(tokens)
    firsts = [0, *accumulate(len(sentence) for sentence in row["sents"])]
    entities = []
    for vertex in row["vertexSet"]:
        places = frozenset(
            _stretch(
                tokens,
                starts,
                firsts[m["sent_id"]] + m["pos"][0],
                firsts[m["sent_id"]] + m["pos"][1],
            )
            for m in vertex
        )
        entities.append(GoldEntity(vertex[0]["type"], places))
    relations = {
        (_index(one["h"], entities), names.get(one["r"], one["r"]), _index(one["t"], entities))
        for one in row["labels"]
    }
    return RelationExample(str(row.get("title", number)), text, entities, frozenset(relations))


def _index(value: int, entities: Sequence[GoldEntity]) -> int:
    if not 0 <= value < len(entities):
        raise ValueError(f"a relation of entity {value} of {len(entities)}")
    return value


def _hotpotqa(row: dict[str, Any], number: int) -> QuestionExample:
    context, facts = row["context"], row["supporting_facts"]
    if isinstance(context, dict):  # As Hugging Face has it: columns in place of rows.
        context = zip(context["title"], context["sentences"], strict=True)
        facts = zip(facts["title"], facts["sent_id"], strict=True)
    paragraphs = [Paragraph(title, "".join(sentences)) for title, sentences in context]
    needed = {title for title, _ in facts}
    return QuestionExample(
        str(row.get("_id") or row.get("id") or number),
        row["question"],
        [row["answer"]],
        paragraphs,
        frozenset(one for one in paragraphs if one.title in needed),
    )


def _musique(row: dict[str, Any], number: int) -> QuestionExample:
    pairs = [
        (Paragraph(one["title"], one["paragraph_text"]), one["is_supporting"])
        for one in row["paragraphs"]
    ]
    return QuestionExample(
        str(row.get("id", number)),
        row["question"],
        [row["answer"], *row.get("answer_aliases", [])],
        [paragraph for paragraph, _ in pairs],
        frozenset(paragraph for paragraph, supports in pairs if supports),
    )


def _alce(row: dict[str, Any], number: int) -> CitationExample:
    groups = [pair["short_answers"] for pair in row.get("qa_pairs") or []]
    groups = groups or list(row.get("answers") or [])
    return CitationExample(
        str(row.get("sample_id") or row.get("id") or number),
        row["question"],
        [Paragraph(one["title"], one["text"]) for one in row["docs"]],
        groups,
    )
