"""Grounding, merging and schemas: what the text bears out, once."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.components.relation_extractor.grounding import ground, normalised
from aegis_graph.components.relation_extractor.merging import merge
from aegis_graph.components.relation_extractor.parsing import (
    ParsedExtraction,
    RawEntity,
    RawRelation,
)
from aegis_graph.components.relation_extractor.records import Chunk, Findings, Place
from aegis_graph.components.relation_extractor.schema import RelationSchema

OPEN = RelationSchema()


def chunk(text: str, *, document: int = 0, start: int = 0) -> Chunk:
    place = Place(source=f"{document}.txt", document=document, start=start)
    return Chunk(id=f"{document}:{start}", text=text, places=[place])


def found(
    text: str,
    *entities: RawEntity,
    relations: tuple[RawRelation, ...] = (),
    document: int = 0,
    schema: RelationSchema = OPEN,
) -> tuple[Chunk, Findings]:
    findings = ground([ParsedExtraction(entities, relations)], text, schema)
    return chunk(text, document=document), findings


def names(result: list[Any]) -> list[str]:
    return [one["name"] for one in result]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The Beatles", "beatles", True),
        ("U.S.", "US", True),
        ("O'Neill", "O\u2019Neill", True),
        ("Berlin's", "Berlin", True),
        ("Jean-Luc  Picard", "Jean Luc Picard", True),
        ("\uff21da", "Ada", True),
        ("C++", "C", False),
        ("C#", "C++", False),
        ("The", "the", True),
        ("Der Spiegel", "Spiegel", True),
        ("Ada", "Adam", False),
    ],
)
def test_two_writings_of_a_name(one: str, other: str, same: bool) -> None:
    assert (normalised(one) == normalised(other)) is same


def test_duplicates_join_across_chunks_with_all_their_places() -> None:
    pairs = [
        found("The Beatles split.", RawEntity("The Beatles", "Band")),
        found("beatles; Beatles", RawEntity("Beatles", "BAND"), document=1),
        found("He heard Beatles.", RawEntity("Beatles", ""), document=2),
    ]
    [entity], _ = merge(pairs)
    assert (entity["name"], entity["type"]) == ("Beatles", "Band")
    assert entity["aliases"] == ["The Beatles"]
    assert [(s["document"], s["quote"]) for s in entity["mentions"]] == [
        (0, "The Beatles"),
        (1, "Beatles"),
        (2, "Beatles"),
    ]


def test_an_alias_joins_what_it_names() -> None:
    pairs = [
        found("Marie Curie (Mme Curie) won.", RawEntity("Marie Curie", "P", ("Mme Curie",))),
        found("Mme Curie spoke.", RawEntity("Mme Curie", "P"), document=1),
    ]
    [entity], _ = merge(pairs)
    assert (entity["name"], entity["aliases"]) == ("Marie Curie", ["Mme Curie"])
    assert len(entity["mentions"]) == 3


def test_an_alias_of_two_joins_nobody() -> None:
    pairs = [
        found("John Smith, Smith to all.", RawEntity("John Smith", "P", ("Smith",))),
        found("Anna Smith, or Smith.", RawEntity("Anna Smith", "P", ("Smith",)), document=1),
        found("Smith wrote.", RawEntity("Smith", "P"), document=2),
    ]
    entities, _ = merge(pairs)
    assert names(entities) == ["John Smith", "Anna Smith", "Smith"]


def test_pronouns_are_no_aliases_but_acronyms_are() -> None:
    text = "Ada and he. Bob and he. The WHO and IT and US."
    _, findings = found(
        text,
        RawEntity("Ada", "P", ("he",)),
        RawEntity("Bob", "P", ("he",)),
        RawEntity("WHO", "Org"),
        RawEntity("IT", "Field"),
        RawEntity("US", "Land"),
        RawEntity("he", "P"),
    )
    assert names(findings["entities"]) == ["Ada", "Bob", "WHO", "IT", "US"]
    assert all(not one["aliases"] for one in findings["entities"])
    assert findings["dropped"] == {"entity_ungrounded": 1}


def test_the_same_name_of_two_types_is_two_things_and_the_schema_picks() -> None:
    schema = RelationSchema(relations=(("Person", "VISITED", "Place"),))
    text = "Washington visited Washington."
    pair = found(
        text,
        RawEntity("Washington", "Place"),
        RawEntity("Washington", "Person"),
        relations=(RawRelation("Washington", "visited", "Washington", text),),
        schema=schema,
    )
    entities, [relation] = merge([pair])
    by_id = {one["id"]: one["type"] for one in entities}
    assert (by_id[relation["head_id"]], by_id[relation["tail_id"]]) == ("Person", "Place")


@pytest.mark.parametrize("quote", ["", "Ada is acquainted with Bob"])
def test_a_relation_without_a_quote_needs_a_sentence_with_both_ends(quote: str) -> None:
    ends = (RawEntity("Ada", ""), RawEntity("Bob", ""))
    bare = (RawRelation("Ada", "KNOWS", "Bob", quote),)
    _, together = found("Hello. Ada knows Bob.", *ends, relations=bare)
    _, apart = found("Ada left. Bob came.", *ends, relations=bare)
    [relation] = together["relations"]
    assert "Hello. Ada knows Bob."[slice(*relation["stretch"])] == "Ada knows Bob."
    assert (apart["relations"], apart["dropped"]) == ([], {"relation_ungrounded": 1})


@pytest.mark.parametrize("quote", ["", "supplied Bob", "Ada has never supplied Bob"])
def test_a_relation_that_the_text_denies_is_dropped(quote: str) -> None:
    ends = (RawEntity("Ada", ""), RawEntity("Bob", ""))
    relations = (RawRelation("Ada", "supplies", "Bob", quote),)
    denial = "Ada has never supplied Bob."
    _, denied = found(denial, *ends, relations=relations)
    assert (denied["relations"], denied["dropped"]) == ([], {"relation_negated": 1})
    # Elsewhere the text states it: the evidence is that place.
    _, stated = found(f"{denial} Later, Ada supplied Bob.", *ends, relations=relations)
    [relation] = stated["relations"]
    assert relation["stretch"][0] == len(denial) + 1


def test_a_relation_that_is_itself_a_no_is_kept() -> None:
    text = "Ada has never met Bob. She is well. She does not supply Bob."
    ends = (RawEntity("Ada", ""), RawEntity("Bob", ""))
    never = RawRelation("Ada", "never_met", "Bob", "Ada has never met Bob")
    pronoun = RawRelation("Ada", "supplies", "Bob", "She does not supply Bob")
    far = RawRelation("Ada", "is_with", "Bob", text)
    _, findings = found(text, *ends, relations=(never, pronoun, far))
    assert [one["relation"] for one in findings["relations"]] == ["never_met"]
    assert findings["dropped"] == {"relation_negated": 2}


def test_relations_join_with_all_their_evidence() -> None:
    ends = (RawEntity("Ada", "P"), RawEntity("Bob", "P"))
    pairs = [
        found(
            f"Ada knows Bob{mark}",
            *ends,
            relations=(RawRelation("Ada", label, "Bob", "Ada knows Bob"),),
            document=number,
        )
        for number, (mark, label) in enumerate([("!", "KNOWS"), ("?", "knows")])
    ]
    _, [relation] = merge(pairs)
    assert [span["document"] for span in relation["evidence"]] == [0, 1]


WORDS = st.sampled_from(["Ada", "Bob", "Köln", "the", "of", "Ada Bob", "New York", "York", "x.y"])


@given(st.lists(WORDS, max_size=8), st.lists(WORDS, max_size=6), st.integers(0, 2**32))
def test_every_span_is_in_its_text_and_the_order_of_chunks_does_not_matter(
    text: list[str], said: list[str], seed: int
) -> None:
    whole = ", ".join(text)
    entities = tuple(RawEntity(name, "T", tuple(said[:2])) for name in said)
    relations = tuple(RawRelation(a, "R", b, whole[:9]) for a in said[:3] for b in said[:3])
    pairs = [found(whole, *entities, relations=relations, document=n) for n in range(3)]
    result = merge(pairs)
    random.Random(seed).shuffle(pairs)
    assert merge(pairs) == result
    ids = {entity["id"] for entity in result[0]}
    spans = [span for one in result[0] for span in one["mentions"]]
    for relation in result[1]:
        assert {relation["head_id"], relation["tail_id"]} <= ids
        spans += relation["evidence"]
    assert all(whole[span["start"] : span["end"]] == span["quote"] != "" for span in spans)


def test_schema_labels() -> None:
    schema = RelationSchema.of(
        {
            "entity_types": ["Person", "City"],
            "relations": [["Person", "BORN_IN", "City"], "KNOWS"],
        }
    )
    assert schema.entity_type("PERSON") == "Person"
    assert schema.entity_type("Dog") is None
    assert schema.relation("Person", "born-in", "City") == "BORN_IN"
    assert schema.relation("City", "knows", "City") == "KNOWS"
    assert schema.relation("City", "born in", "City") is None
    assert schema.relation("City", "eats", "City") is None
    open_ = schema.model_copy(update={"strict": False})
    assert open_.entity_type(" Dog ") == "Dog"
    assert open_.relation("City", "eats", "City") == "eats"
    assert open_.relation("City", "born in", "City") == "BORN_IN"
    assert open_.relation("City", "  ", "City") is None
