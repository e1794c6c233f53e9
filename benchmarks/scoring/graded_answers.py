"""Answers of several models to the same questions, each graded and with its tokens.

The form is RouterArena's (https://github.com/RouteWorks/RouterArena, Apache-2.0), as it comes:
``cached_results/MODEL.jsonl`` with a line per question, and ``model_cost/cost.json`` with prices.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.formats import BadFileError

RESULTS, PRICES = Path("cached_results"), Path("model_cost/cost.json")

Price = Mapping[str, str]
"""As a row of a configuration says it."""


@dataclass(frozen=True)
class GradedAnswer:
    """What one model said to one question, and what that was worth."""

    id: str
    """The question's."""
    question: str
    text: str
    input_tokens: int
    output_tokens: int
    score: float
    """From 0 to 1. Whatever decides during a run never sees it."""
    usd: float
    """What the data set says that it cost."""


@dataclass(frozen=True)
class GradedModel:
    """A model, and its answers by question."""

    name: str
    price: Price
    answers: Mapping[str, GradedAnswer]

    @property
    def score(self) -> float:
        """The mean of its answers."""
        return sum(one.score for one in self.answers.values()) / len(self.answers)

    @property
    def usd(self) -> float:
        """What all of them cost."""
        return sum(one.usd for one in self.answers.values())


def read_models(folder: Path, names: Sequence[str] = ()) -> list[GradedModel]:
    """The models of a copy of the data set, the cheapest first, over the same questions.

    Args:
        folder: The copy, with ``cached_results`` and ``model_cost`` in it.
        names: Which of its models; all where none is named.

    Raises:
        BadFileError: A file is missing, or is in another form.
    """
    prices = _prices(folder / PRICES)
    found = sorted(path.stem for path in (folder / RESULTS).glob("*.jsonl"))
    if not found:
        raise BadFileError(f"{folder / RESULTS}: no file MODEL.jsonl")
    models = []
    for name in names or found:
        if name not in found or name not in prices:
            known = ", ".join(one for one in found if one in prices)
            raise BadFileError(f"{folder}: no answers and price of {name!r}; there are {known}")
        answers = {one.id: one for one in _answers(folder / RESULTS / f"{name}.jsonl")}
        models.append(GradedModel(name, prices[name], answers))
    questions = {frozenset((one.id, one.question) for one in m.answers.values()) for m in models}
    if len(questions) != 1:
        raise BadFileError(f"{folder / RESULTS}: the models were not asked the same questions")
    return sorted(models, key=lambda model: model.usd)


def _prices(path: Path) -> dict[str, Price]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: {
                "input_usd_per_mtok": str(row["input_token_price_per_million"]),
                "output_usd_per_mtok": str(row["output_token_price_per_million"]),
            }
            for name, row in rows.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFileError(f"{path}: no prices of models: {type(error).__name__}") from error


def _answers(path: Path) -> Iterator[GradedAnswer]:
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            graded, tokens = row["evaluation_result"], row["token_usage"]
            yield GradedAnswer(
                str(row["global_index"]),
                str(row["question"]),
                str(row["generated_answer"]),
                int(tokens["input_tokens"]),
                int(tokens["output_tokens"]),
                float(graded["score"]),
                float(graded["inference_cost"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            what = f"line {number} is no graded answer: {type(error).__name__}: {error}"
            raise BadFileError(f"{path}: {what}") from error


def write_made_up(folder: Path, questions: int, *, seed: int = 7) -> None:
    """Write a made-up set in the same form, of a cheap model that often says where it guesses.

    Args:
        folder: Where.
        questions: How many.
        seed: Of what is drawn.
    """
    draws = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {"small-1": [], "large-1": []}
    prices = {"small-1": (0.1, 0.4), "large-1": (1.0, 4.0)}
    for number in range(questions):
        right, question = draws.choice("ABCD"), f"Question {number}: which one is it?\nA. B. C. D."
        hard = draws.random() < 0.4
        knows = {"small-1": draws.random() < (0.2 if hard else 0.92)}
        knows["large-1"] = draws.random() < (0.75 if hard else 0.95)
        for name, found in rows.items():
            letter = right if knows[name] else draws.choice("ABCD".replace(right, ""))
            unsure = draws.random() < (0.05 if knows[name] else 0.7)
            words = "It cannot be determined for sure; most likely it is" if unsure else "It is"
            found.append(_row(number, question, name, f"{words} \\boxed{{{letter}}}.", draws))
            usage, (price_in, price_out) = found[-1]["token_usage"], prices[name]
            usd = usage["input_tokens"] * price_in + usage["output_tokens"] * price_out
            found[-1]["evaluation_result"] = {
                "extracted_answer": letter,
                "ground_truth": right,
                "score": float(letter == right),
                "metric": "mcq_accuracy",
                "inference_cost": usd / 1e6,
            }
    (folder / RESULTS).mkdir(parents=True)
    (folder / PRICES).parent.mkdir(parents=True)
    for name, found in rows.items():
        lines = "".join(f"{json.dumps(row)}\n" for row in found)
        (folder / RESULTS / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    table = {
        name: {"input_token_price_per_million": one, "output_token_price_per_million": other}
        for name, (one, other) in prices.items()
    }
    (folder / PRICES).write_text(json.dumps(table), encoding="utf-8")


def _row(number: int, question: str, model: str, text: str, draws: random.Random) -> dict[str, Any]:
    tokens = {"input_tokens": draws.randint(15, 25), "output_tokens": draws.randint(15, 40)}
    return {
        "global_index": f"MadeUp_{number}",
        "question": question,
        "llm_selected": model,
        "generated_answer": text,
        "token_usage": {**tokens, "total_tokens": sum(tokens.values())},
        "success": True,
        "provider": "made-up",
        "error": None,
    }
