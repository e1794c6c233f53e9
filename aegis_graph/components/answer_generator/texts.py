"""What the component says: to a model, and in an answer's place, in each language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from aegis_graph.components.prompts import nearest_prompts, prompts
from aegis_graph.text.words import Language

_PARTS, _SMALL, _OWN = (f"answer_generator{one}" for one in ("_small_parts", "_small", ""))


@dataclass(frozen=True, slots=True)
class AnswerTexts:
    """The texts, each by language."""

    instructions: Mapping[Language, Template]
    for_small: Mapping[Language, Template]
    """Without numbers: a small model that is asked for them copies sentences in place of answers,
    and those that it gives are worse than what a rule finds (``benchmarks/README.md``)."""
    for_small_parts: Mapping[Language, Template]
    """For a question that asks for several things: in one sentence it answers one of them."""
    no_context: Mapping[Language, Template]
    no_part: Mapping[Language, Template]
    degraded: Mapping[Language, Template]

    @classmethod
    def read(cls, folder: str | Path | None) -> AnswerTexts:
        """Read them; a user's folder wins."""
        return cls(
            prompts(_OWN, folder),
            nearest_prompts((_SMALL, _OWN), folder),
            nearest_prompts((_PARTS, _SMALL, _OWN), folder),
            prompts("answer_generator_no_context", folder),
            prompts("answer_generator_no_part", folder),
            prompts("answer_generator_degraded", folder),
        )
