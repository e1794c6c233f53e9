"""The benchmark of cascades: graded answers are read as they come, and the gate sees no grade."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from routing_quality import alone, at_random, learned_gate, oracle
from scoring.answer_gate import AnswerGate, Example, features, halves
from scoring.formats import BadFileError
from scoring.graded_answers import PRICES, RESULTS, GradedModel, read_models, write_made_up

LINE: dict[str, Any] = {
    "global_index": "AIME_112",
    "question": "How many?",
    "llm_selected": "m-1",
    "generated_answer": "The final answer is: \\boxed{{982}}",
    "token_usage": {"input_tokens": 349, "output_tokens": 120, "total_tokens": 469},
    "success": True,
    "provider": "p",
    "error": None,
    "evaluation_result": {
        "extracted_answer": "982",
        "ground_truth": "610",
        "score": 0.25,
        "metric": "math_metric",
        "inference_cost": 0.000237,
    },
}
"""A line in RouterArena's form, made up."""


def written(folder: Path, **models: list[dict[str, Any]]) -> Path:
    (folder / RESULTS).mkdir(parents=True)
    for name, rows in models.items():
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (folder / RESULTS / f"{name}.jsonl").write_text(text)
    (folder / PRICES).parent.mkdir()
    row = {"input_token_price_per_million": 0.25, "output_token_price_per_million": 1.25}
    (folder / PRICES).write_text(json.dumps(dict.fromkeys((*models, "unasked"), row)))
    return folder


def changed(**changes: Any) -> dict[str, Any]:
    return {**LINE, **changes}


def test_a_line_is_read_as_it_comes(tmp_path: Path) -> None:
    (model,) = read_models(written(tmp_path / "a", one=[LINE]))
    answer = model.answers["AIME_112"]
    assert (answer.question, answer.text) == ("How many?", LINE["generated_answer"])
    assert (answer.input_tokens, answer.output_tokens) == (349, 120)
    assert (answer.score, answer.usd) == (0.25, 0.000237)
    assert model.price == {"input_usd_per_mtok": "0.25", "output_usd_per_mtok": "1.25"}


def test_the_cheapest_model_comes_first(tmp_path: Path) -> None:
    dear = {**LINE["evaluation_result"], "inference_cost": 1}
    folder = written(tmp_path / "a", a=[changed(evaluation_result=dear)], b=[LINE])
    assert [one.name for one in read_models(folder)] == ["b", "a"]
    assert [one.name for one in read_models(folder, ["a"])] == ["a"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "How many?"}, "line 1 is no graded answer: KeyError"),
        (changed(token_usage=None), "line 1 is no graded answer: TypeError"),
        (changed(evaluation_result={"score": "high"}), "line 1 is no graded answer"),
    ],
)
def test_another_form_is_refused_with_its_line(
    tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadFileError, match=words):
        read_models(written(tmp_path / "a", one=[row]))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no prices of models"):
        read_models(tmp_path)
    folder = written(tmp_path / "a", one=[LINE], two=[changed(global_index="AIME_113")])
    with pytest.raises(BadFileError, match="not asked the same questions"):
        read_models(folder)
    with pytest.raises(BadFileError, match="no answers and price of 'unasked'; there are one, two"):
        read_models(folder, ["unasked"])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[GradedModel]:
    folder = tmp_path_factory.mktemp("made-up") / "set"
    write_made_up(folder, 200)
    return read_models(folder)


def test_a_made_up_set_has_the_same_form_and_is_always_the_same(
    models: list[GradedModel], tmp_path: Path
) -> None:
    write_made_up(tmp_path / "again", 200)
    assert read_models(tmp_path / "again") == models
    cheap, dear = models
    assert (cheap.usd < dear.usd, cheap.score < dear.score) == (True, True)


def test_no_grade_of_a_question_decides_about_its_answer(models: list[GradedModel]) -> None:
    cheap, dear = models
    known, unknown = halves(sorted(cheap.answers))
    assert not set(known) & set(unknown)
    assert len(known) + len(unknown) == 200
    graded = learned_gate(cheap, dear, known)

    def regraded(model: GradedModel) -> GradedModel:
        worse = {name: replace(model.answers[name], score=0.0) for name in unknown}
        return replace(model, answers={**model.answers, **worse})

    assert learned_gate(regraded(cheap), regraded(dear), known) == graded


def test_the_gate_refuses_what_was_often_wrong_in_the_questions_it_learned_from() -> None:
    unsure, sure = "It cannot be determined, most likely \\boxed{A}", "It is \\boxed{A}"
    examples = [Example(features("Which? A. B.", unsure), 0.6, 1, 5) for _ in range(40)]
    examples += [Example(features("Which? A. B.", sure), -0.2, 1, 5) for _ in range(60)]
    gate = AnswerGate.learned(examples)
    assert gate.refuses("Which? A. B.", unsure)
    assert not gate.refuses("Which? A. B.", sure)


def test_the_gate_refuses_no_more_than_it_may_spend() -> None:
    # The other model is better at all of them, and all alike cannot be afforded.
    examples = [Example([1.0, number / 100], 0.5 + number / 100, 1, 5) for number in range(100)]
    gate = AnswerGate.learned(examples)
    refused = sum(one.seen[1] * gate.weights[1] + gate.weights[0] > gate.threshold
                  for one in examples)  # fmt: skip
    assert 0 < refused * 5 + 100 <= 0.9 * 500


def test_what_stands_beside_the_cascade(models: list[GradedModel]) -> None:
    cheap, dear = models
    best = oracle(cheap, dear)
    assert best.score >= max(cheap.score, dear.score)
    assert best.usd <= cheap.usd + dear.usd
    assert alone("dear", dear, is_dearer=True).asked_dearer == 1
    assert at_random(cheap, dear).score == pytest.approx((cheap.score + dear.score) / 2)
