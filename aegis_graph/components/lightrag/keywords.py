"""The keywords of a question, read from whatever a model answered."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from aegis_graph.text.json_text import answer_part, repaired_object


class Keywords(NamedTuple):
    """What a question is about: in general, and by name."""

    high: list[str]
    """Themes, which the mode ``global`` looks for."""
    low: list[str]
    """Names, which the mode ``local`` looks for."""

    @classmethod
    def read(cls, answer: str) -> Keywords:
        """The keywords in a model's answer; none where it is prose.

        Example:
            >>> Keywords.read('{"high_level_keywords": "history", "low_level_keywords": ["Ulm"]}')
            Keywords(high=['history'], low=['Ulm'])
            >>> Keywords.read("I would look for Ulm.")
            Keywords(high=[], low=[])
        """
        fields = repaired_object(answer_part(answer)) or {}
        return cls(*(_texts(fields.get(key)) for key in _FIELDS))

    @property
    def as_json(self) -> str:
        """In the form that LightRAG reads."""
        return json.dumps(dict(zip(_FIELDS, self, strict=True)), ensure_ascii=False)

    def serve(self, mode: str) -> bool:
        """Whether there is something to look for in a mode."""
        wanted = {"local": self.low, "global": self.high}
        return bool(wanted.get(mode, [*self.high, *self.low]))


_FIELDS = ("high_level_keywords", "low_level_keywords")


def _texts(value: Any) -> list[str]:
    rows = value if isinstance(value, list) else [value]
    return [row.strip() for row in rows if isinstance(row, str) and row.strip()]
