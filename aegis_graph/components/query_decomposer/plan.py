"""Plans of sub-questions: read from what a model wrote, checked, and put into an order that works.

Pure: nothing here asks a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from typing_extensions import TypedDict

from aegis_graph.text.json_text import answer_part, is_cut_off, repaired_json
from aegis_graph.text.words import topic_words, words

QuestionKind = Literal["simple", "compound", "comparison", "multi-hop", "temporal"]
QUESTION_KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)

MAX_STEPS = 5
"""Sub-questions of a plan, at most, unless the caller says otherwise."""

MAX_QUESTION_CHARS = 500
"""Characters of a sub-question: a longer one is no question any more."""

MAX_ANSWER_CHARS = 200
"""Characters of an earlier answer that are put into a later question."""

_REFERENCE = re.compile(r"\{\s*#?\s*(\d{1,4})\s*\}")
_LISTED = re.compile(r"^[ \t]*(?:\d{1,2}[.)]|[-*\u2022])[ \t]+(.+\?)[ \t]*$", re.MULTILINE)
_LISTS = ("steps", "sub_questions", "subquestions", "questions", "plan", "queries")
_QUESTIONS = ("question", "sub_question", "subquestion", "query", "text", "q")
_NEEDS = ("needs", "depends_on", "dependencies", "requires", "after")


class PlanStep(TypedDict):
    """One sub-question."""

    id: int
    """Counted from 1. A step comes after those it needs."""
    question: str
    """``{1}`` in it stands for the answer to step 1."""
    needs: list[int]
    """The steps whose answers it uses."""


class QueryPlan(TypedDict):
    """Sub-questions that together answer a question."""

    kind: QuestionKind
    steps: list[PlanStep]


PLAN_SCHEMA: Mapping[str, Any] = {
    "title": "plan",
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": list(QUESTION_KINDS)},
        "steps": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "question": {"type": "string"},
                    "needs": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["id", "question", "needs"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["kind", "steps"],
    "additionalProperties": False,
}
"""What a provider that can answer in a schema is held to."""


class InvalidPlanError(ValueError):
    """What a model wrote is no plan that can be followed; says why in one line."""


class _Draft(NamedTuple):
    key: str
    """What the model calls the step."""
    question: str
    needs: frozenset[str]


def single_plan(question: str) -> QueryPlan:
    """The plan that asks the question itself."""
    return QueryPlan(kind="simple", steps=[PlanStep(id=1, question=question, needs=[])])


def is_plainly_simple(question: str) -> bool:
    """Whether a question is so short and plain that planning it cannot pay.

    Example:
        >>> is_plainly_simple("What is the limit?"), is_plainly_simple("Is A cheaper than B?")
        (True, False)
    """
    return (
        len(topic_words(question)) <= _FEW_WORDS
        and len(question) <= _SHORT
        and question.count("?") <= 1
        and not _NOT_PLAIN.search(question)
    )


_FEW_WORDS = 8
"""Of this repository's 60 questions, 42 of the 55 that one look-up answers cost no call with it,
and 25 with five; the five that need two look-ups all say so in a word below."""
_SHORT = 120
_NOT_PLAIN = re.compile(
    r"\b(and|or|than|both|each|between|versus|vs|compar\w+|differ\w*|more|less|most|least"
    r"|before|after|since|until|during|first|last|latest|earlier|later|whose|of \w+ of"
    r"|und|oder|als|beide\w*|jeweils|zwischen|gegenüber|vergleich\w*|unterschied\w*|mehr|weniger"
    r"|vor|nach|seit|bis|während|zuerst|zuletzt|früher|später|dessen|deren)\b"
    r"|\w (that|which|who|where)\b|[;\n]"
    r"|\b(the|der|die|dem|des) (\w+(er|or|ent|ist|erin|orin)|wife|capital|head) (of|von|des|der)\b",
    re.IGNORECASE,
)
"""What joins, compares, orders in time, or hides a question in a question."""


def parse_plan(text: str, question: str, *, most: int = MAX_STEPS, cut: bool = False) -> QueryPlan:
    """Read the plan that a model wrote, mending what can be mended without guessing.

    Broken JSON is repaired, steps are numbered anew in an order in which each comes after those it
    needs, and the same question asked twice is asked once.

    Args:
        text: The model's reply.
        question: The question that was to be planned; a simple one is asked as it is.
        most: Steps of a plan, at most.
        cut: Whether the reply ended at a cap of tokens: a plan that is not whole is none then.

    Raises:
        InvalidPlanError: There is no plan in it, it was cut off, or it has a cycle, a reference to
            a step that is not there, or too many steps.

    Example:
        >>> parse_plan('{"kind": "multi-hop", "steps": ["Who?", "When was {1} born?"]}', "...")
        ... # doctest: +NORMALIZE_WHITESPACE
        {'kind': 'multi-hop', 'steps': [{'id': 1, 'question': 'Who?', 'needs': []},
         {'id': 2, 'question': 'When was {1} born?', 'needs': [1]}]}
    """
    text = answer_part(text)
    # Mended, half a question would be looked up.
    if is_cut_off(text, at_cap=cut):
        raise InvalidPlanError("it was cut off")
    kind, rows = _outline(text)
    # The user's own words, whatever steps the model wrote all the same.
    if kind == "simple":
        return single_plan(question)
    drafts = [_draft(row, place) for place, row in enumerate(rows, start=1) if row is not None]
    # Until none goes: two questions may become the same once their references point to one step.
    while len(fewer := _without_doubles(drafts)) < len(drafts):
        drafts = fewer
    if not drafts:
        raise InvalidPlanError("it has no steps")
    if len(drafts) > most:
        raise InvalidPlanError(f"it has {len(drafts)} steps; at most {most} are allowed")
    steps = _numbered(_ordered(drafts))
    if len(steps) == 1:
        return single_plan(question)
    needed = any(step["needs"] for step in steps)
    # The steps show better than the model's label whether one needs another.
    if kind is None or (kind == "multi-hop" and not needed):
        kind = "multi-hop" if needed else "compound"
    return QueryPlan(kind=kind, steps=steps)


def resolve(step: PlanStep, answers: Mapping[int, str | None], questions: Mapping[int, str]) -> str:
    """A step's question with the earlier answers in their places.

    Where an earlier question has no answer, the question itself takes its place.
    """

    def put(reference: re.Match[str]) -> str:
        n = int(reference[1])
        if n not in step["needs"]:
            return reference[0]  # The user wrote it, not a plan.
        answer = " ".join((answers.get(n) or "").split())[:MAX_ANSWER_CHARS]
        # Its words are searched for at least.
        return answer or f"({questions[n].rstrip(' ?.')})"

    # In one pass, so that an answer that looks like a reference is not replaced again.
    return _REFERENCE.sub(put, step["question"])


def _outline(text: str) -> tuple[QuestionKind | None, Sequence[Any]]:
    """The kind and the steps, wherever and however the model wrote them."""
    found = repaired_json(text)
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, Mapping) and (outline := _outline_of(one)):
            return outline
    # A list of questions without an object around it, as JSON or as lines of text.
    for listed in (found if isinstance(found, list) else [], _LISTED.findall(text)):
        if listed and all(map(_question, listed)):
            return None, listed
    raise InvalidPlanError("there is no list of steps in it")


def _outline_of(found: Mapping[str, Any]) -> tuple[QuestionKind | None, Sequence[Any]] | None:
    kind = _kind(found.get("kind") or found.get("type") or found.get("class"))
    rows = next((found[key] for key in _LISTS if isinstance(found.get(key), list | Mapping)), None)
    if isinstance(rows, Mapping):
        inner = _outline_of(rows)
        return (kind or inner[0], inner[1]) if inner else (kind, list(rows.values()))
    return None if rows is None and kind != "simple" else (kind, rows or [])


def _kind(value: object) -> QuestionKind | None:
    name = str(value).strip().casefold().replace("_", "-").replace(" ", "-")
    name = {"multihop": "multi-hop", "single": "simple"}.get(name, name)
    return next((kind for kind in QUESTION_KINDS if kind == name), None)


def _question(row: object) -> str:
    if isinstance(row, list) and len(row) == 1:
        [row] = row
    if isinstance(row, Mapping):
        row = next((row[key] for key in _QUESTIONS if isinstance(row.get(key), str)), "")
    return " ".join(row.split()) if isinstance(row, str) else ""


def _draft(row: object, place: int) -> _Draft:
    question = _question(row)
    # A place for an answer alone asks nothing.
    if not words(_REFERENCE.sub("", question)):
        raise InvalidPlanError(f"step {place} has no question")
    if len(question) > MAX_QUESTION_CHARS:
        raise InvalidPlanError(f"step {place} is longer than {MAX_QUESTION_CHARS} characters")
    # A reference in the question is a need, whether or not the model lists it.
    key, named = str(place), list[object](_REFERENCE.findall(question))
    if isinstance(row, Mapping):
        key = _key(row.get("id")) or key
        needs: object = next((row[one] for one in _NEEDS if row.get(one) is not None), [])
        named += needs if isinstance(needs, list) else [needs]
    return _Draft(key, question, frozenset(filter(None, map(_key, named))))


def _key(value: object) -> str:
    """A step's name as a number in text, as references are: 1, "1", "{1}", "#1", "step 1"."""
    found = re.findall(r"\d{1,4}", str(value)) if isinstance(value, str | int) else []
    # A bool is an int for Python, and names no step.
    return str(int(found[-1])) if found and not isinstance(value, bool) else ""


def _without_doubles(drafts: Sequence[_Draft]) -> list[_Draft]:
    """Each question once; a step that needs its double needs it."""
    first: dict[tuple[str, ...], _Draft] = {}
    instead: dict[str, str] = {}
    for draft in drafts:
        if draft.key in instead:
            raise InvalidPlanError(f"two steps are called {draft.key}")
        kept = first.setdefault((*words(draft.question), *sorted(draft.needs)), draft)
        instead[draft.key] = kept.key
    return [_redirected(draft, instead) for draft in first.values()]


def _redirected(draft: _Draft, instead: Mapping[str, str]) -> _Draft:
    unknown = sorted(draft.needs - instead.keys())
    if unknown:
        raise InvalidPlanError(f"step {draft.key} needs step {unknown[0]}, which is not there")
    # The double goes, so what referred to it refers to the step that stays.
    question = _REFERENCE.sub(lambda mark: "{" + instead[str(int(mark[1]))] + "}", draft.question)
    return _Draft(draft.key, question, frozenset(instead[key] for key in draft.needs))


def _ordered(drafts: Sequence[_Draft]) -> list[_Draft]:
    """Each after those it needs, otherwise as they came."""
    waiting, done = list(drafts), list[_Draft]()
    while waiting:
        known = {draft.key for draft in done}
        ready = next((draft for draft in waiting if draft.needs <= known), None)
        if ready is None:
            names = ", ".join(draft.key for draft in waiting)
            raise InvalidPlanError(f"steps {names} wait for each other")
        waiting.remove(ready)
        done.append(ready)
    return done


def _numbered(drafts: Sequence[_Draft]) -> list[PlanStep]:
    number = {draft.key: n for n, draft in enumerate(drafts, start=1)}
    return [
        PlanStep(
            id=number[draft.key],
            question=_REFERENCE.sub(
                lambda mark: "{" + str(number[str(int(mark[1]))]) + "}", draft.question
            ),
            needs=sorted(number[key] for key in draft.needs),
        )
        for draft in drafts
    ]
