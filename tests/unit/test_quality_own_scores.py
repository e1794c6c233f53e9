"""The scorers of the benchmark's own data, and what is kept of a run."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from scoring.comparison import Meter
from scoring.figures import difference, figure
from scoring.formats import BadFileError
from scoring.own_answers import is_refusal, is_right, plain, score_answer
from scoring.own_data import GoldPassage, OwnQuestion, OwnSentence
from scoring.ranking import score_ranking
from scoring.records import ItemRecord, Progress, RecordFile, code_of, key_of, spread
from scoring.triples import read_triples, score_triples

GOLD = (GoldPassage("a.md", "A set costs 1,120 EUR."), GoldPassage("b.md", "It takes two hours."))


def question(*answers: list[str], wrong: tuple[str, ...] = ()) -> OwnQuestion:
    golds = GOLD[: len(answers)]
    return OwnQuestion("q", "en", "single", "What?", answers, golds, wrong)


@pytest.mark.parametrize(
    ("answer", "strict", "simple"),
    [
        ("It costs 1,120 EUR. [1]", True, True),
        ("Es kostet **1.120 Euro**.", True, True),
        ("The price is €1120.00", True, True),
        ("EUR 1,120 for a set", True, True),
        ("EUR for 1,120 of them", False, True),
        ("It costs 11,120 EUR.", False, False),
        ("It costs 120 EUR.", False, False),
        ("It costs 1,120 EUR, or 540 EUR.", False, True),
        ("The passages do not answer the question.", False, False),
        ("", False, False),
    ],
)
def test_a_right_answer(answer: str, strict: bool, simple: bool) -> None:
    asked = question(["1,120 EUR"], wrong=("540 EUR",))
    assert is_right(asked, answer) == strict
    assert is_right(asked, answer, simple=True) == simple


def test_everything_asked_for_has_to_be_said() -> None:
    asked = question(["1,120 EUR"], ["two hours", "2 hours"])
    assert is_right(asked, "1,120 EUR and 2-hours")
    assert not is_right(asked, "1,120 EUR", simple=True)


def test_no_is_an_answer_and_no_information_is_none() -> None:
    asked = question(["no", "not allowed"])
    assert is_right(asked, "No, business class is not allowed.")
    assert not is_right(asked, "There is no information about it.")
    assert is_right(question(["re:v(\\d+) only"]), "It is V7 only.")


@pytest.mark.parametrize(
    "answer",
    [
        "The documents do not answer this question.",
        "The passages don't mention the weight.",
        "The weight is not specified in the passages.",
        "There is no information about lumens.",
        "I cannot determine the date from this.",
        "Die Dokumente beantworten diese Frage nicht.",
        "Das ist in den Abschnitten nicht angegeben.",
        "Dazu gibt es keine Angaben.",
        "Die Passagen enthalten keine Information dazu.",
    ],
)
def test_a_refusal(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    ["It costs 38 EUR.", "Business class is not allowed.", "Das ist nicht erlaubt.", ""],
)
def test_no_refusal(answer: str) -> None:
    assert not is_refusal(answer)


def test_numbers_and_units_have_one_spelling() -> None:
    assert plain("12 %") == plain("12 percent") == plain("12 Prozent")
    assert plain("2,50 Euro") == plain("EUR 2.5")
    assert plain("212 m²") == plain("212m2")
    assert plain("3.2") != plain("32")


def test_scores_of_an_answer() -> None:
    asked = question(["1,120 EUR"], ["two hours"])
    said = {"answer": "1,120 EUR [1], two hours [3]", "cited": [1, 3, 9], "holds": [[0], [1], []]}
    scores = score_answer(asked, said)
    assert scores["right, strict"] == scores["right, simple"] == (1, 1)
    assert scores["wrong"] == scores["refused"] == (0, 1)
    assert scores["citation precision"] == (1, 2)
    assert scores["citation recall"] == (1, 2)
    assert scores["gold passages shown"] == (2, 2)
    assert scores["unanswerable refused"] == (0, 0)


def test_scores_where_there_is_no_answer() -> None:
    said = {"answer": "They do not say.", "cited": [], "holds": [[], []]}
    scores = score_answer(question(), said)
    assert scores["unanswerable refused"] == (1, 1)
    assert all(one[1] == 0 for name, one in scores.items() if name != "unanswerable refused")
    guessed = score_answer(question(), {**said, "answer": "It weighs 12 kg."})
    assert guessed["unanswerable refused"] == (0, 1)


def test_a_ranking() -> None:
    first = score_ranking([[0], [], [1]], 2)
    assert first["recall@5"] == (1, 1)
    assert first["nDCG@10"][0] == pytest.approx(1.5 / (1 + 0.63093), abs=1e-4)
    assert score_ranking([[]] * 5 + [[0]], 1)["recall@5"] == (0, 1)
    assert score_ranking([[0], [0]], 1)["nDCG@10"] == (1, 1), "found twice is found once"
    assert score_ranking([[]], 0)["nDCG@10"] == (0, 0)


def test_relations_are_compared_by_name() -> None:
    gold = frozenset({("Luxafen", "produces", "Nimbus 8"), ("Luxafen", "located_in", "Zwelm")})
    sentence = OwnSentence("r", "en", "two", "", {}, gold)
    said = [("The LUXAFEN", "Produces", "Nimbus 8."), ("Zwelm", "located in", "Luxafen")]
    scores = score_triples(sentence, said)
    assert (scores["precision"], scores["recall"], scores["F1"]) == ((1, 2), (1, 2), (2, 4))
    assert scores["nothing said where nothing is"] == (0, 0)
    none = OwnSentence("n", "en", "none", "", {}, frozenset())
    assert score_triples(none, [])["nothing said where nothing is"] == (1, 1)
    assert score_triples(none, said)["nothing said where nothing is"] == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        'Sure:\n```json\n[{"head": "A", "relation": "r", "tail": "B"}]\n```',
        '{"relations": [{"head": "A", "relation": "r", "tail": "B"}, {"head": "A"}]}',
        '[see below] {"head": "A", "relation": "r", "tail": "B"}',
        'One: {"head": "A", "relation": "r", "tail": "B"}. Two: {"head": "A"} [1] {broken',
    ],
)
def test_a_plain_answer_is_read_as_far_as_it_is_json(answer: str) -> None:
    assert read_triples(answer) == [("A", "r", "B")]


def test_every_piece_of_json_in_a_plain_answer_counts() -> None:
    one, two = (json.dumps({"head": head, "relation": "r", "tail": "B"}) for head in "AC")
    assert read_triples(f"1. {one}\n2. {two}") == [("A", "r", "B"), ("C", "r", "B")]


def test_what_is_no_json_has_no_relations() -> None:
    assert read_triples("A works for B [1], {and so on") == []


def test_a_difference_has_the_interval_of_paired_resamples() -> None:
    ours = [{"right": (float(place % 4 != 0), 1.0)} for place in range(40)]
    theirs = [{"right": (float(place % 2), 1.0)} for place in range(40)]
    apart = difference(ours, theirs, "right")
    assert apart is not None
    assert apart.value == 0.25
    assert 0 < apart.low < 0.25 < apart.high < 0.5
    assert apart == difference(ours, theirs, "right"), "the seed is fixed"
    assert difference(ours, ours, "right") == type(apart)(0.0, 0.0, 0.0), "items are paired"


def test_shares_add_up_before_they_are_divided() -> None:
    scores = [{"precision": (1.0, 1.0)}, {"precision": (0.0, 3.0)}, {"precision": (0.0, 0.0)}]
    assert figure(scores, "precision") == 0.25
    assert figure(scores[2:], "precision") is None
    assert difference(scores[2:], scores[:1], "precision") is None


def record(key: str, *, failed: str | None = None, calls: int = 0, lost: int = 0) -> ItemRecord:
    said = {"answer": "ä"}
    return ItemRecord(key, "t", "s", "m", "1", said, failed=failed, calls=calls, failed_calls=lost)


def test_records_are_read_back_and_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.jsonl"
    file = RecordFile(path)
    for one in (record("a"), record("b", failed="down"), record("c", calls=1, lost=1)):
        file.add(one)
    with path.open("a", encoding="utf-8") as written:
        written.write('{"key": "d", "ta')
    again = RecordFile(path)
    assert again.found("a") == record("a")
    assert [again.found(key) for key in "bcd"] == [None, None, None]
    again.add(record("e", calls=2, lost=1))
    assert RecordFile(path).found("e") is not None, "the second call was answered"
    again.add(record("d"))
    assert RecordFile(path).found("d") == record("d")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps({"key": "a"}) + "\n", encoding="utf-8")
    with pytest.raises(BadFileError, match="line 1: no result of a run"):
        RecordFile(path)


def test_a_key_is_of_everything_that_it_is_given() -> None:
    assert key_of("a", 1) == key_of("a", 1) != key_of("a", 2)
    # Known, because the order of a set changes from process to process.
    assert key_of(frozenset("abcdef")) == key_of(list("abcdef"))
    assert code_of("text") == code_of("text") != code_of("components/retriever")


def test_progress_is_a_few_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = Progress("answers", 60, stream=stream)
    for _ in range(60):
        progress.tick()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("answers: 6 of 60, ")
    assert lines[-1].startswith("answers: 60 of 60, ")


def test_a_limit_takes_items_from_all_over() -> None:
    assert list(spread(list(range(60)), 4)) == [0, 15, 30, 45]
    assert list(spread([1, 2], 9)) == list(spread([1, 2], None)) == [1, 2]


def test_a_run_without_calls_took_nothing() -> None:
    assert Meter().of("nothing")["calls"] == 0
