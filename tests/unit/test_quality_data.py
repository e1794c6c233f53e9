"""The benchmark's own data holds what its README says."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from scoring.own_data import DATA, OwnQuestion, OwnSentence, own_questions, own_relations

from aegis_graph.text.words import topic_words

DOCUMENTS = {
    path.name: path.read_text(encoding="utf-8") for path in (DATA / "documents").glob("*.md")
}
QUESTIONS = own_questions()
RELATIONS = own_relations()


def test_the_questions_are_of_the_kinds_that_are_said() -> None:
    kinds = Counter(one.kind for one in QUESTIONS)
    assert kinds == {"single": 40, "table": 5, "two": 5, "unanswerable": 10}
    assert Counter(one.language for one in QUESTIONS) == {"en": 40, "de": 20}
    assert len({one.id for one in QUESTIONS}) == 60


def test_no_question_stands_twice() -> None:
    assert len({one.question.casefold() for one in QUESTIONS}) == 60
    assert len({frozenset(topic_words(one.question)) for one in QUESTIONS}) == 60


def test_the_documents_have_a_fair_length() -> None:
    assert len(DOCUMENTS) == 13
    for name, text in DOCUMENTS.items():
        assert 400 <= len(text.split()) <= 1500, name
        assert any(gold.document == name for one in QUESTIONS for gold in one.passages), name


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: one.id)
def test_gold_quotes_stand_in_their_documents_once(question: OwnQuestion) -> None:
    for gold in question.passages:
        assert DOCUMENTS[gold.document].count(gold.quote) == 1
        assert "\n" not in gold.quote
    assert len({gold.document for gold in question.passages}) == {
        "two": 2,
        "unanswerable": 0,
    }.get(question.kind, 1)
    if question.kind == "table":
        assert question.passages[0].quote.startswith("| ")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda one: one.id)
def test_a_question_says_what_answers_it_unless_it_cannot_be_answered(
    question: OwnQuestion,
) -> None:
    assert question.answerable == bool(question.answers) == (question.kind != "unanswerable")
    for spellings in question.answers:
        assert spellings
        for spelling in spellings:
            assert spelling not in question.question.split(), "the question gives its answer away"
            assert not set(question.wrong) & {spelling}
            re.compile(spelling.removeprefix("re:"))


def test_the_sentences_are_of_the_kinds_that_are_said() -> None:
    sentences = RELATIONS.sentences
    kinds = Counter(one.kind for one in sentences)
    assert kinds == {"plain": 20, "passive": 12, "two": 12, "negation": 8, "none": 8}
    assert Counter(one.language for one in sentences) == {"en": 45, "de": 15}
    assert len({one.id for one in sentences}) == len({one.text for one in sentences}) == 60
    assert len(RELATIONS.relations) == 8
    used = Counter(name for one in sentences for _, name, _ in one.relations)
    assert set(used) == set(RELATIONS.relations)
    assert min(used.values()) >= 4


@pytest.mark.parametrize("sentence", RELATIONS.sentences, ids=lambda one: one.id)
def test_a_sentence_names_its_entities_and_relates_their_types(sentence: OwnSentence) -> None:
    for name, kind in sentence.entities.items():
        assert sentence.text.count(name) == 1
        assert kind in RELATIONS.entity_types
    for head, name, tail in sentence.relations:
        types = (sentence.entities[head], sentence.entities[tail])
        assert types == RELATIONS.relations[name][:2]
    expected = {"plain": {1}, "passive": {1}, "two": {2}, "negation": {0, 1}, "none": {0}}
    assert len(sentence.relations) in expected[sentence.kind]
