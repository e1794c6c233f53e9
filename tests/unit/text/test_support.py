"""Whether a text supports a claim, by rule, in English and German."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.support import best_evidence, is_supported, judge, relevance


@pytest.mark.parametrize(
    ("claim", "text", "verdict"),
    [
        ("The budget is 10 USD.", "A budget of 10 USD holds each month.", "supported"),
        ("Das Monatsbudget beträgt 10 USD.", "Das Monatsbudget beträgt 10 USD.", "supported"),
        ("Das Budget beträgt 20 USD.", "Das Budget beträgt 10 USD.", "numbers"),
        ("Es kostet 1.000 Euro.", "Das kostet 1,000 Euro.", "supported"),
        ("It costs 0.5 dollars.", "Es kostet 0,5 dollars, it costs.", "supported"),
        ("It costs 5 dollars.", "It costs 0.5 dollars.", "numbers"),
        ("Schlüssel werden gespeichert.", "Schlüssel werden nie gespeichert.", "negation"),
        ("Keys are never stored.", "Keys are stored.", "negation"),
        ("Kein Schlüssel wird gespeichert.", "Schlüssel werden nie gespeichert.", "supported"),
        ("The limit is soft.", "The limit is hard.", "words"),
        ("It is 40 dollars.", "The limit of the room is 40 dollars.", "supported"),
        ("It is 40 dollars.", "The limit of the room is 40 euros.", "numbers"),
        ("Yes.", "The limit is hard.", "words"),
        ("", "The limit is hard.", "words"),
        ("The limit.", "", "words"),
        ("Users can't delete files.", "Users can delete files.", "negation"),
        ("Files are deleted without a copy.", "Files are deleted with a copy.", "negation"),
        ("File no. 5 is kept.", "File number 5 is kept, no. 5.", "supported"),
        ("The key is allowed.", "The key is disallowed.", "words"),
        ("Die Datei ist gültig.", "Die Datei ist ungültig.", "words"),
        ("The limit is 10 USD.", "It is false that the limit is 10 USD.", "negation"),
        ("Refunds are paid.", "Refunds are paid, and no fee is charged.", "supported"),
        ("Refunds are paid.", "We do not promise it, and that refunds are paid.", "negation"),
        ("La limite est de 10 euros.", "La limite n'est pas de 10 euros.", "negation"),
        ("El límite es 10.", "El límite no es 10.", "negation"),
        ("限额是10美元。", "每月限额是10美元。", "supported"),
        ("限额是10美元。", "限额不是10美元。", "negation"),
        ("キーは保存されます。", "キーは保存されません。", "negation"),
        ("Ключ хранится.", "Ключ не хранится.", "language"),
        ("Ключ хранится.", "Ключ хранится.", "supported"),
        ("Анна спит.", "Ключ хранится.", "words"),
        ("Klucze są zapisywane.", "Klucze nie są zapisywane.", "language"),
    ],
)
def test_judgement(claim: str, text: str, verdict: str) -> None:
    assert judge(claim, text) == verdict


@pytest.mark.parametrize(
    "sentence",
    ["Refunds are paid, but never in cash.", "Refunds are paid, but never.", "1ab", "Not: 5ab."],
)
def test_a_sentence_bears_itself_out(sentence: str) -> None:
    assert judge(sentence, sentence) == "supported"
    assert is_supported(sentence, f"It holds.\n\n{sentence}\n\nIt is so.")


def test_what_says_nothing_is_borne_out_by_nothing() -> None:
    assert judge("", "") == judge("...", "...") == "words"
    assert not is_supported("...", "Wait ...")


@given(st.text(alphabet="ab1. \n|#", max_size=40), st.text(alphabet="ab1. \n|#ä", max_size=80))
@example("", "# #")
@example("", "## #\n\na")
def test_a_quote_is_a_span_of_its_text(claim: str, text: str) -> None:
    quote = best_evidence(claim, text)
    assert 0 <= quote.start <= quote.end <= len(text)
    assert quote.start < quote.end or not text.strip()
    if quote.verdict == "supported":
        assert judge(claim, text[quote.start : quote.end]) == "supported"


PIECES = ["the", "warranty", "is", "not", "5", "1,000", "%", "USD", ".", "!", ",", "but", "nicht"]
SAID = st.lists(st.sampled_from([*PIECES, "ends", "\n", "|", "\u8bbe\u5907"]), max_size=24).map(
    " ".join
)


@given(SAID, SAID)
def test_what_a_text_as_a_whole_lacks_no_piece_of_it_has(claim: str, text: str) -> None:
    assert is_supported(claim, text) == (best_evidence(claim, text).verdict == "supported")
    quotes = [one.text for one in split_sentences(text)]
    if any(judge(claim, one) == "supported" for one in quotes):
        assert judge(claim, text) not in ("words", "numbers")


@pytest.mark.parametrize(
    ("claim", "text", "verdict"),
    [
        ("5 USD.", "The fee is 15 USD.", "numbers"),
        ("5%", "It is 15%.", "numbers"),
        ("Yes", "Yesterday it was so.", "words"),
        ("allowed", "It is disallowed.", "words"),
        (
            "refunds are paid within 14 days",
            "We do not guarantee that refunds are paid within 14 days.",
            "negation",
        ),
        (
            "Erstattungen werden gezahlt",
            "Wir sagen nicht zu, dass Erstattungen werden gezahlt.",
            "negation",
        ),
        ("The balance is -500 EUR.", "The balance is 500 EUR.", "numbers"),
        ("The balance is \u2212500 EUR.", "The balance is 500 EUR.", "numbers"),
        ("The balance is 500 EUR.", "The balance is -500 EUR.", "numbers"),
        ("10 USD a month", "The limit is 10 USD a month.", "supported"),
    ],
)
def test_whole_words_count_and_the_sentence_around_them(
    claim: str, text: str, verdict: str
) -> None:
    evidence = best_evidence(claim, text)
    assert evidence.verdict == verdict
    # The quote is the sentence, so that no reader misses the word that turns it around.
    assert text[evidence.start : evidence.end] == text


def test_the_place_that_supports_is_chosen_among_several() -> None:
    text = "It is false that keys are stored. Weeks begin. On disk, keys are stored."
    evidence = best_evidence("keys are stored", text)
    assert text[evidence.start : evidence.end] == "On disk, keys are stored."


def test_the_shortest_support_wins() -> None:
    text = "Ollama is free. Weeks begin on Monday. Months begin on the first."
    quote = best_evidence("Weeks begin on Monday.", text)
    assert text[quote.start : quote.end] == "Weeks begin on Monday."


@pytest.mark.parametrize(
    ("question", "text", "share"),
    [
        ("What is the monthly limit?", "The limit per month is 10.", 1.0),
        ("Which giraffe has a limit?", "The limit is 10.", 0.5),
        ("Do giraffes sleep?", "The limit is 10.", 0.0),
        ("What happened in 1970?", "In 1970 it began.", 0.5),
        ("What is RFC7519?", "RFC7519 is a standard.", 1.0),
        ("What is RFC7519?", "RFC7518 is a standard.", 0.0),
        ("Is it not free?", "It is free.", 1.0),
        ("Why?", "The limit is 10.", 1.0),
        ("Was kostet es für die Giraffen und wie?", "The limit is 10, and it is hard.", 1.0),
    ],
)
def test_relevance(question: str, text: str, share: float) -> None:
    assert relevance(question, text) == share
