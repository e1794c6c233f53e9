"""Strict micro-F1 of entities and relations, with and without their types.

An entity is right where one of its mentions has exactly the boundaries of a mention of a gold
entity; typed, its type has to be the gold one's as well. A relation is right where both its ends
are and its name is the gold one's. What says the same of the same gold entities counts once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from scoring.formats import GoldEntity, RelationExample, Stretch


@dataclass(frozen=True)
class Score:
    """Counts, which add up over examples: micro-averaged."""

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.correct + other.correct, self.predicted + other.predicted, self.gold + other.gold
        )

    @property
    def precision(self) -> float:
        """Of what was predicted, the share that is right."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Of what is there, the share that was predicted."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        together = self.predicted + self.gold
        return 2 * self.correct / together if together else 0.0


def score_relations(gold: RelationExample, result: Mapping[str, Any]) -> dict[str, Score]:
    """Score what the relation extractor gave for one example.

    Returns:
        By ``entities``, ``entities, typed``, ``relations`` and ``relations, typed``.
    """
    entities = {one["id"]: one for one in result["entities"]}
    at = {name: _match(one, gold.entities) for name, one in entities.items()}
    types = {name: one["type"] for name, one in entities.items()}
    said = [(one["head_id"], one["relation"], one["tail_id"]) for one in result["relations"]]
    gold_types = [one.type for one in gold.entities]
    return {
        "entities": _score(set(at.values()), set(range(len(gold.entities)))),
        "entities, typed": _score(
            {(at[name], types[name]) for name in entities}, set(enumerate(gold_types))
        ),
        "relations": _score({(at[h], r, at[t]) for h, r, t in said}, gold.relations),
        "relations, typed": _score(
            {(at[h], types[h], r, at[t], types[t]) for h, r, t in said},
            {(h, gold_types[h], r, t, gold_types[t]) for h, r, t in gold.relations},
        ),
    }


def _match(entity: Mapping[str, Any], gold: Sequence[GoldEntity]) -> int | str:
    """The gold entity that shares most mentions with one; its own id where none does."""
    places: set[Stretch] = {(span["start"], span["end"]) for span in entity["mentions"]}
    shared = [len(places & one.places) for one in gold]
    best = max(shared, default=0)
    return shared.index(best) if best else str(entity["id"])


def _score(predicted: Set[Hashable], gold: Set[Hashable]) -> Score:
    return Score(len(predicted & gold), len(predicted), len(gold))
