"""Which end of a relation is its head, where a model has them the wrong way round."""

from __future__ import annotations

import pytest

from aegis_graph.components.relation_extractor.grounding import ground
from aegis_graph.components.relation_extractor.parsing import (
    ParsedExtraction,
    RawEntity,
    RawRelation,
)
from aegis_graph.components.relation_extractor.prompts import (
    MOST_ALIASES,
    answer_problem,
    asked_schema,
)
from aegis_graph.components.relation_extractor.schema import RelationSchema

SCHEMA = RelationSchema.of(
    {
        "relations": [
            ("Person", "wrote", "Book"),
            ("Firm", "bought", "Firm"),
            ("Firm", "bought_by", "Firm"),
            ("Person", "works_for", "Firm"),
        ]
    }
)
TYPES = {"Ada": "Person", "Orrery": "Book", "Nordwind": "Firm", "Suedlicht": "Firm"}


def found(text: str, *said: str, schema: RelationSchema = SCHEMA) -> list[str]:
    """The relations that are kept of what a model said."""
    entities = [RawEntity(name, label) for name, label in TYPES.items() if name in text]
    relations = [RawRelation(*one.split()) for one in said]
    findings = ground([ParsedExtraction(entities, relations)], text, schema)
    names = [one["name"] for one in findings["entities"]]
    return [
        f"{names[one['head']]} {one['relation']} {names[one['tail']]}"
        for one in findings["relations"]
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Orrery was written by Ada.", "Orrery wrote Ada"),
        ("Orrery, a tale by Ada, sold well.", "Orrery wrote Ada"),
        ("Ada wrote Orrery.", "Orrery wrote Ada"),
        ("Ada wrote Orrery.", "Ada wrote Orrery"),
    ],
)
def test_types_tell_which_end_is_the_head(text: str, said: str) -> None:
    assert found(text, said) == ["Ada wrote Orrery"]


def test_the_passive_tells_it_where_the_types_do_not() -> None:
    text = "Nordwind was bought by Suedlicht."
    assert found(text, "Nordwind bought Suedlicht") == ["Suedlicht bought Nordwind"]
    assert found(text, "Suedlicht bought Nordwind") == ["Suedlicht bought Nordwind"]
    free = found(text, "Nordwind bought Suedlicht", schema=RelationSchema())
    assert free == ["Suedlicht bought Nordwind"]


def test_a_relation_that_is_passive_itself_or_of_another_verb_stays() -> None:
    text = "Nordwind was bought by Suedlicht."
    assert found(text, "Nordwind bought_by Suedlicht") == ["Nordwind bought_by Suedlicht"]
    assert found(text, "Nordwind BOUGHT_BY Suedlicht") == ["Nordwind bought_by Suedlicht"]
    text = "Ada is employed by Nordwind."
    assert found(text, "Ada works_for Nordwind") == ["Ada works_for Nordwind"]
    assert found(text, "Ada works_for Nordwind", schema=RelationSchema()) == [
        "Ada works_for Nordwind"
    ]
    assert found("Nordwind bought Suedlicht.", "Nordwind bought Suedlicht") == [
        "Nordwind bought Suedlicht"
    ]


@pytest.mark.parametrize("strict", [True, False])
def test_a_bound_answer_lists_few_aliases_and_one_with_more_is_still_read(strict: bool) -> None:
    form = asked_schema(RelationSchema.of({"entity_types": ["Firm"], "strict": strict}))
    entity = form["properties"]["entities"]["items"]["properties"]
    assert entity["aliases"]["maxItems"] == MOST_ALIASES
    many = {"name": "Nordwind", "type": "Firm", "aliases": ["N"] * (MOST_ALIASES + 1)}
    assert answer_problem({"entities": [many], "relations": []}) is None


@pytest.mark.parametrize("end", ["Haselstrauch", "Haselstrauch Verlag", "the Haselstrauch Verlag"])
def test_an_end_may_have_a_name_that_only_the_model_gives_it(end: str) -> None:
    text = "Ada works for Haselstrauch, whose office is in Ulm."
    entities = [
        RawEntity("Ada", "Person"),
        RawEntity("Haselstrauch", "Firm", ("Haselstrauch Verlag",)),
    ]
    relations = [RawRelation("Ada", "works_for", end)]
    findings = ground([ParsedExtraction(entities, relations)], text, SCHEMA)
    assert [one["name"] for one in findings["entities"]] == ["Ada", "Haselstrauch"]
    assert findings["entities"][1]["aliases"] == []
    [relation] = findings["relations"]
    assert (relation["head"], relation["tail"]) == (0, 1)
