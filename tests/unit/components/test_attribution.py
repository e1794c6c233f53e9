"""Numbers of an answer that a rule sets right, and answers that no passage bears out."""

from __future__ import annotations

import pytest

from aegis_graph.components.answer_generator.attribution import check_answer
from aegis_graph.text.passages import Passage

PASSAGES = [
    Passage(
        source="tarn-40.md", text="The box of the Tarn 40 holds 24 bottles.", heading="Tarn 40"
    ),
    Passage(source="tarn-40.md", text="A full battery lasts 9 days in mild weather."),
    Passage(source="list.md", text="The Tarn 40 costs 3,480 EUR. A battery costs 265 EUR."),
]
SMALL, LARGE = "qwen2.5-coder-1.5b", "gpt-4o"


def text_of(question: str, draft: str, model: str = SMALL) -> str | None:
    checked = check_answer(question, draft, PASSAGES, model=model)
    return None if checked is None else checked.text


@pytest.mark.parametrize("model", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("draft", "right"),
    [
        ("A battery costs 265 EUR.", "A battery costs 265 EUR. [3]"),
        ("A battery costs 265 EUR. [1]", "A battery costs 265 EUR. [3]"),
        (
            "The passage states that a battery costs 265 EUR.",
            "The passage states that a battery costs 265 EUR. [3]",
        ),
        (
            "The list of Quellmark states that a battery costs 265 EUR.",
            "The list of Quellmark states that a battery costs 265 EUR. [3]",
        ),
        ("A battery costs 265 EUR [3].", "A battery costs 265 EUR [3]."),
        ("[2] 265 EUR", "265 EUR. [3]"),
        ("[3] A battery costs 265 EUR.", "A battery costs 265 EUR. [3]"),
        (
            "The Tarn 40 costs 3,480 EUR. [2] A battery costs 265 EUR.",
            "The Tarn 40 costs 3,480 EUR. [3] A battery costs 265 EUR. [3]",
        ),
    ],
)
def test_a_sentence_gets_the_passage_that_bears_it_out(model: str, draft: str, right: str) -> None:
    assert text_of("What do the Tarn 40 and a battery cost?", draft, model) == right


def test_the_models_own_number_stays_where_its_passage_is_one_of_several() -> None:
    twice = [Passage(source="a.md", text="Joris chairs the council."), *PASSAGES[1:]]
    twice[1] = Passage(source="b.md", text="One vote was open: Joris abstained.")
    checked = check_answer("Which member abstained?", "Joris did. [2]", twice, model=SMALL)
    assert checked is not None
    assert checked.text == "Joris did. [2]"


def test_a_number_goes_to_the_passage_that_clearly_says_more_of_it() -> None:
    minutes = [
        Passage(source="m.md", text="Present: Marta Quell, Joris Adeyne. Guest: the dredgers."),
        Passage(source="m.md", text="The council voted: four for the dredging, Joris abstained."),
    ]
    draft = "Joris Adeyne abstained in the vote on dredging. [1]"
    checked = check_answer("Who abstained?", draft, minutes, model=LARGE)
    assert checked is not None
    assert checked.text == draft.replace("[1]", "[2]")
    [sentence] = checked.sentences
    assert sentence["added"]
    # A number that the passage has not is no reason to go there.
    assert text_of("What does a battery cost?", "It costs 99 EUR, the battery. [2]", LARGE) == (
        "It costs 99 EUR, the battery. [2]"
    )


def test_a_sentence_without_a_number_is_found_by_the_amounts_that_it_names() -> None:
    manual = [
        Passage(source="b7.md", text="Die Pumpe nie trocken laufen lassen: nach 90 Sekunden heiß."),
        Passage(source="b7.md", text="Zum Nachschmieren 14 Gramm Fett der Sorte Lithal 2 nehmen."),
    ]
    draft = "Zum Nachschmieren braucht man 14 Gramm Fett der Sorte Lithal 2 aus der Dose."
    checked = check_answer("Wie viel Fett braucht ein Lager?", draft, manual, model=LARGE)
    assert checked is not None
    assert checked.text == f"{draft} [2]"
    assert [one["added"] for one in checked.citations] == [True]
    # Without an amount, words alone are too little to say where it is from.
    plain = "Zum Nachschmieren braucht man Fett der Sorte Lithal aus der Dose."
    checked = check_answer("Wie viel Fett braucht ein Lager?", plain, manual, model=LARGE)
    assert checked is not None
    assert checked.text == plain


@pytest.mark.parametrize(
    "pointer",
    [
        "This is stated in the passage [1].",
        "It is mentioned in [1]",
        "This information can be found in source [1].",
        "Das steht in Textstelle [1].",
    ],
)
def test_a_sentence_that_only_points_gives_its_number_to_the_one_before(pointer: str) -> None:
    draft = f"A battery costs 265 EUR. {pointer}"
    assert text_of("What does a battery cost?", draft) == "A battery costs 265 EUR. [3]"


def test_the_name_of_a_thing_may_stand_in_the_title_only() -> None:
    question = "How long does a full battery of the Tarn 40 last in mild weather?"
    answer = "The full battery of the Tarn 40 lasts 9 days in mild weather. [1]"
    assert text_of(question, answer) == answer.replace("[1]", "[2]")


@pytest.mark.parametrize(
    "draft",
    ["The empty Tarn 40 weighs 24 bottles. [1]", "It weighs 12 kg.", "The shop opens at nine. [2]"],
)
def test_a_small_models_invention_is_no_answer_and_a_large_ones_words_are_its_own(
    draft: str,
) -> None:
    question = "How much does the empty Tarn 40 weigh?"
    assert text_of(question, draft) is None
    assert text_of(question, draft, LARGE) == draft


def test_a_number_of_what_the_passages_do_not_name_is_made_up() -> None:
    assert text_of("How many volts does a battery give?", "A full battery gives 9 days.") is None
    answer = "The box holds 24 bottles. [1]"
    assert text_of("How many bottles does the box hold?", answer) == answer


def test_what_is_in_a_language_that_the_rule_cannot_judge_is_no_invention() -> None:
    key, is_kept = "\u041a\u043b\u044e\u0447", "\u0445\u0440\u0430\u043d\u0438\u0442\u0441\u044f"
    text = f"{key} {is_kept} \u0437\u0434\u0435\u0441\u044c."
    other = " ".join(reversed(text.removesuffix(".").split()))
    checked = check_answer("?", f"{other}. [1]", [Passage(source="a", text=text)], model=SMALL)
    assert checked is not None
    assert [one["reason"] for one in checked.sentences] == ["language"]
    same = check_answer("?", f"{text} [1]", [Passage(source="a", text=text)], model=SMALL)
    assert same is not None
    assert [one["reason"] for one in same.sentences] == ["supported"]


@pytest.mark.parametrize("draft", ["No.", "No, it is not covered by the warranty."])
def test_a_yes_or_no_is_cited_from_what_speaks_of_the_question(draft: str) -> None:
    warranty = [
        Passage(source="a.md", text="The warranty covers the lamp. Register it."),
        Passage(source="b.md", text="Damage by diving is not covered by the warranty."),
    ]
    question = "Is damage by diving covered by the warranty?"
    checked = check_answer(question, draft, warranty, model=SMALL)
    assert checked is not None
    assert checked.text == f"{draft} [2]"
    # The passage says no where the answer says yes: of a small model it is not taken.
    checked = check_answer(question, "Yes, it is.", warranty, model=SMALL)
    assert checked is not None
    assert checked.text == "Damage by diving is not covered by the warranty. [2]"
    assert [one["added"] for one in (*checked.sentences, *checked.citations)] == [True, True]
    checked = check_answer(question, "Yes, it is.", warranty, model=LARGE)
    assert checked is not None
    assert checked.text == "Yes, it is."


def test_what_begins_with_the_word_no_need_not_deny() -> None:
    codes = [
        Passage(source="a.md", text="The error E24 stays on the display."),
        Passage(
            source="b.md", text="| Code | Meaning |\n|---|---|\n| E24 | No water after 3 tries |"
        ),
    ]
    checked = check_answer("What does the error E24 mean?", "No water", codes, model=SMALL)
    assert checked is not None
    assert checked.text.startswith("No water.")


def test_a_sentence_that_begins_with_code_is_cited_as_others() -> None:
    client = [
        Passage(source="a.md", text="The client repeats a request."),
        Passage(source="b.md", text="`timeout_s` is 12 by default."),
    ]
    question = "What is the default of timeout_s?"
    checked = check_answer(question, "`timeout_s` is 12 by default.", client, model=SMALL)
    assert checked is not None
    assert checked.text == "`timeout_s` is 12 by default. [2]"


def test_a_name_is_found_whatever_else_its_sentence_denies() -> None:
    notes = [
        Passage(source="a.md", text="The console has a theme."),
        Passage(
            source="b.md", text="The client went to the Guild of Osterwiek and is no longer ours."
        ),
    ]
    question = "Which organisation has the client?"
    for draft in ("The Guild of Osterwiek.", "The Guild of Osterwiek has the client."):
        checked = check_answer(question, draft, notes, model=SMALL)
        assert checked is not None
        assert checked.text == f"{draft} [2]"
    # A claim that is more than a name is judged with its denial.
    checked = check_answer(question, "The client is ours.", notes, model=LARGE)
    assert checked is not None
    assert checked.text == "The client is ours."


def test_a_sentence_that_joins_two_passages_cites_both() -> None:
    draft = "The box holds 24 bottles, and a battery costs 265 EUR."
    question = "How many bottles does the box hold, and what does a battery cost?"
    assert text_of(question, draft) == f"{draft} [1, 3]"
    assert text_of(question, "24 bottles and 265 EUR.") == "24 bottles and 265 EUR. [1, 3]"
    part = "The box holds 24 bottles, and a charger is included."
    assert text_of(question, part, LARGE) == f"{part} [1]"


def test_what_rules_cannot_tell_stays() -> None:
    assert text_of("Does the lid of the chamber lock?", "Yes.") == "Yes."
    both = "It is 12 m long. The box holds 24 bottles. [1]"
    assert text_of("How long is the Tarn 40?", both) == both, "a part is borne out"
    heavy = "It weighs 12 kg. The box holds 24 bottles. [1]"
    assert text_of("How much does the Tarn 40 weigh?", heavy) is None, "bottles are no weight"


@pytest.mark.parametrize(
    ("question", "draft", "text"),
    [
        (
            "What does a battery cost, and how heavy is it?",
            "A battery costs 265 EUR. A battery weighs 3,480 EUR.",
            "A battery costs 265 EUR. [3]",
        ),
        (
            "How heavy is a battery, and what does the Tarn 40 cost?",
            "1. A battery weighs 9 days.\n2. The Tarn 40 costs 3,480 EUR. [1]",
            "The Tarn 40 costs 3,480 EUR. [3]",
        ),
        (
            "How long does a battery last, and what does the crane cost?",
            "A full battery lasts 9 days. [2] The crane costs 77 EUR. [3]",
            "A full battery lasts 9 days. [2]",
        ),
    ],
)
def test_of_answers_to_several_questions_those_stay_that_a_passage_bears_out(
    question: str, draft: str, text: str
) -> None:
    checked = check_answer(question, draft, PASSAGES, model=SMALL)
    assert checked is not None
    assert (checked.text, checked.is_whole) == (text, False)
    assert [checked.text[one["start"] : one["end"]] for one in checked.sentences] == [text]
    large = check_answer(question, draft, PASSAGES, model=LARGE)
    assert large is not None
    assert (len(large.sentences), large.is_whole) == (2, True)


def test_an_answer_to_several_questions_is_whole_or_none() -> None:
    question = "What does a battery cost, and how many bottles does the box hold?"
    draft = "A battery costs 265 EUR. The box of the Tarn 40 holds 24 bottles."
    checked = check_answer(question, draft, PASSAGES, model=SMALL)
    assert checked is not None
    assert (checked.text.count("["), checked.is_whole) == (2, True)
    draft = "A battery costs 266 EUR. The box of the Tarn 40 holds 25 bottles."
    assert check_answer(question, draft, PASSAGES, model=SMALL) is None
